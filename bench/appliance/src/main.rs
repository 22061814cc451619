//! `bench-appliance`: `oca lab` against its peers on loopback, one worker on one core, in turns.
//! Prints ratios and writes them with the machine's facts; asserts nothing.

#![forbid(unsafe_code)]

mod cases;
mod cold;
mod line;
mod load;
mod machine;
mod peers;
mod report;
mod sendfile_loop;
mod slow_disk;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Parser, Subcommand};
use nightfill_harness::Trouble;
use serde_json::{Value, json};

use cases::{CASES, Case, Peer};
use peers::{Server, Stage};
use report::Row;

/// Measure the segment server against its peers.
#[derive(Parser)]
struct Options {
    /// Where the built programs are.
    #[arg(long, default_value = "target/release")]
    bin_dir: PathBuf,
    /// Runs of each server; the median of the pairs is reported.
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Seconds of each run.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Only cases whose name has this in it; any number of times.
    #[arg(long = "case")]
    cases: Vec<String>,
    /// The engine `oca` is told to use; its own choice when absent.
    #[arg(long)]
    engine: Option<String>,
    /// Where the result goes; rows of cases that were not run are kept.
    #[arg(long, default_value = "bench/results/appliance.json")]
    result: PathBuf,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// Be the bare peer: serve the files of a folder by epoll and sendfile.
    #[command(hide = true)]
    SendfileLoop {
        /// The folder.
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    let options = Options::parse();
    let ended = match &options.role {
        Some(Role::SendfileLoop { folder }) => sendfile_loop::serve(folder),
        None => run(&options),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("bench-appliance: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Trouble> {
    machine::leave_the_server_its_core();
    let limit = nix::sys::resource::Resource::RLIMIT_NOFILE;
    if let Ok((_, hard)) = nix::sys::resource::getrlimit(limit) {
        // Children inherit it. Where it does not suffice, the case that needs more says so.
        let _ = nix::sys::resource::setrlimit(limit, hard, hard);
    }
    let folder = tempfile::tempdir()?;
    let stage = Stage::set(&options.bin_dir, folder.path(), options.engine.clone())?;
    let wanted = |name: &str| {
        options.cases.is_empty() || options.cases.iter().any(|part| name.contains(part))
    };
    let mut rows = Vec::new();
    report::print_head();
    for case in CASES.iter().filter(|case| wanted(case.name)) {
        let row = measure(case, options, &stage)?;
        row.print();
        rows.push(row.to_json());
        keep(options, &rows)?;
    }
    if wanted(cold::NAME) {
        rows.push(cold::run(&stage, options.pairs, options.seconds)?);
        keep(options, &rows)?;
    }
    Ok(())
}

/// Writes the file after each case, so that a stop in the middle loses one case.
fn keep(options: &Options, rows: &[Value]) -> Result<(), Trouble> {
    if let Some(parent) = options.result.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let before = std::fs::read_to_string(&options.result).unwrap_or_default();
    let before: Value = serde_json::from_str(&before).unwrap_or_default();
    let name = |row: &Value| row["case"].as_str().unwrap_or_default().to_owned();
    // Cases of the table in its order, the cold one last; what neither knows is from another day.
    let place = |row: &Value| {
        let found = CASES.iter().position(|case| case.name == name(row));
        found.unwrap_or(if name(row) == cold::NAME { CASES.len() } else { usize::MAX })
    };
    let mut all: Vec<Value> = rows.to_vec();
    for row in before["rows"].as_array().into_iter().flatten() {
        let listed = place(row) <= CASES.len();
        if listed && !rows.iter().any(|new| name(new) == name(row)) {
            all.push(row.clone());
        }
    }
    all.sort_by_key(place);
    let result = json!({ "machine": machine::facts(), "rows": all });
    std::fs::write(&options.result, format!("{result:#}\n"))?;
    Ok(())
}

fn measure(case: &Case, options: &Options, stage: &Stage) -> Result<Row, Trouble> {
    let files = stage.folder.join(format!("{}x{}", case.objects, case.object_bytes));
    write_objects(&files, case)?;
    let mut servers = vec![stage.oca(&files, case.cover)?];
    for peer in case.peers {
        servers.push(match peer {
            Peer::Nginx => stage.nginx(&files, case.cover, case.pace_bps)?,
            Peer::SendfileLoop => stage.sendfile_loop(&files)?,
        });
    }
    let mut row = Row::new(case, options.pairs, options.seconds, servers[0].said("engine"));
    // The first round warms caches and counts system calls, which slows a server: it is not timed.
    for pair in 0..=options.pairs {
        let done = servers
            .iter()
            .map(|server: &Server| load::run(case, server, options.seconds, pair == 0))
            .collect::<Result<Vec<_>, _>>()?;
        if pair == 0 { row.counted(&done) } else { row.add(&done) }
    }
    Ok(row)
}

fn write_objects(files: &Path, case: &Case) -> Result<(), Trouble> {
    if files.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(files)?;
    let mut random = fastrand::Rng::with_seed(7);
    let mut block = vec![0; 1 << 20];
    for index in 0..case.objects {
        let mut file = File::create(files.join(format!("{index}.mp4")))?;
        let mut left = case.object_bytes;
        while left > 0 {
            let some = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            random.fill(&mut block[..some]);
            file.write_all(&block[..some])?;
            left -= some as u64;
        }
        // A file that has just changed gets no date in its answers, and heads must not differ.
        file.set_modified(SystemTime::now() - Duration::from_secs(3600))?;
    }
    Ok(())
}
