//! `bench-appliance`: `oca lab` against nginx on loopback, CPU seconds per GB, in turns.
//! Prints ratios and writes them with the machine's facts; asserts nothing.

#![forbid(unsafe_code)]

mod load;
mod peers;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use nightfill_harness::Trouble;
use serde_json::{Value, json};

use load::Load;
use peers::Server;

/// Measure the segment server against nginx.
#[derive(Parser)]
struct Options {
    /// Where the built programs are.
    #[arg(long)]
    bin_dir: PathBuf,
    /// Runs of each server; the median of the pairs is reported.
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Seconds of each run.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Where the result goes.
    #[arg(long, default_value = "bench/results/appliance.json")]
    result: PathBuf,
}

/// One shape of load.
struct Case {
    name: &'static str,
    object_bytes: usize,
    objects: usize,
    connections: usize,
    tls: bool,
}

const CASES: &[Case] = &[
    Case { name: "plain, 4 MiB", object_bytes: 4 << 20, objects: 32, connections: 32, tls: false },
    Case { name: "TLS 1.3, 4 MiB", object_bytes: 4 << 20, objects: 32, connections: 32, tls: true },
    Case {
        name: "plain, 16 KiB",
        object_bytes: 16 << 10,
        objects: 512,
        connections: 32,
        tls: false,
    },
    Case {
        name: "TLS 1.3, 16 KiB",
        object_bytes: 16 << 10,
        objects: 512,
        connections: 32,
        tls: true,
    },
];

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("bench-appliance: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Trouble> {
    let folder = tempfile::tempdir()?;
    let mut rows = Vec::new();
    println!("{:<18} {:>14} {:>14} {:>9}  CPU seconds", "case", "oca", "nginx", "ratio");
    for case in CASES {
        let row = measure(case, options, folder.path())?;
        let number = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
        let unit = row["per"].as_str().unwrap_or_default().to_owned();
        println!(
            "{:<18} {:>14.4} {:>14.4} {:>9.3}  per {unit}",
            case.name,
            number("oca"),
            number("nginx"),
            number("ratio")
        );
        rows.push(row);
    }
    let result = json!({ "machine": machine(), "pairs": options.pairs, "rows": rows });
    if let Some(parent) = options.result.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(&options.result, format!("{result:#}\n"))?;
    Ok(())
}

fn measure(case: &Case, options: &Options, folder: &Path) -> Result<Value, Trouble> {
    let files = folder.join(format!("{}x{}", case.objects, case.object_bytes));
    let names = write_objects(&files, case)?;
    let ours = Server::oca(&options.bin_dir, &files, folder, case.tls)?;
    let theirs = Server::nginx(&files, folder, case.tls)?;
    let load = Load { names: &names, connections: case.connections, seconds: options.seconds };
    let mut samples: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    let mut ratios = Vec::new();
    // Requests decide the cost of small objects, bytes that of large ones.
    let per_request = case.object_bytes < 1 << 20;
    // The first pair warms caches and is not counted.
    for pair in 0..=options.pairs {
        let mut cost = [0.0; 2];
        for (slot, server) in [&ours, &theirs].into_iter().enumerate() {
            let before = server.cpu_seconds()?;
            let done = load.run(server)?;
            let spent = server.cpu_seconds()? - before;
            let amount =
                if per_request { done.requests as f64 / 1e3 } else { done.bytes as f64 / 1e9 };
            cost[slot] = spent / amount;
        }
        if pair > 0 {
            samples[0].push(cost[0]);
            samples[1].push(cost[1]);
            ratios.push(cost[0] / cost[1]);
        }
    }
    Ok(json!({
        "case": case.name,
        "per": if per_request { "1000 requests" } else { "GB" },
        "connections": case.connections,
        "oca": median(&mut samples[0]),
        "nginx": median(&mut samples[1]),
        "ratio": median(&mut ratios),
    }))
}

fn write_objects(files: &Path, case: &Case) -> Result<Vec<String>, Trouble> {
    std::fs::create_dir_all(files)?;
    let mut random = fastrand::Rng::with_seed(7);
    let mut names = Vec::new();
    for index in 0..case.objects {
        let name = format!("{index}.mp4");
        let mut bytes = vec![0; case.object_bytes];
        random.fill(&mut bytes);
        std::fs::write(files.join(&name), bytes)?;
        names.push(name);
    }
    Ok(names)
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    json!({ "cpu": model, "cores": cores, "kernel": read("/proc/sys/kernel/osrelease").trim() })
}
