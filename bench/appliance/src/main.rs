//! `bench-appliance`: `oca lab` against its peers on loopback, one worker on one core, in turns.
//! Prints ratios and writes them with the machine's facts; asserts nothing.

#![forbid(unsafe_code)]

mod answer;
mod cases;
mod cold;
mod idle;
mod keep;
mod keys;
mod line;
mod load;
mod machine;
mod peers;
mod records;
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
use serde_json::Value;

use cases::{CASES, Case, Peer};
use idle::{IDLE, Idle};
use load::Crowd;
use peers::{ROOM, Stage};
use report::Row;

/// Measure the segment server against its peers.
#[derive(Parser)]
#[command(after_help = goals())]
struct Options {
    /// Where the built programs are.
    #[arg(long, default_value = "target/release")]
    bin_dir: PathBuf,
    /// Runs of each server; the median of the pairs is reported.
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Seconds of each run that are timed; paced cases take half more, growth half.
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// One short pair of each case: shows that all of them run, not what they cost.
    #[arg(long)]
    quick: bool,
    /// Only cases whose name has this in it; any number of times.
    #[arg(long = "case")]
    cases: Vec<String>,
    /// The engine `oca` is told to use; its own choice when absent.
    #[arg(long)]
    engine: Option<String>,
    /// `oca`'s memory for hot chunks, bytes; a quarter more than the working set when absent.
    #[arg(long)]
    hot_set_bytes: Option<u64>,
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
    let open_files = machine::raise_open_files()?;
    let folder = tempfile::tempdir()?;
    let stage =
        Stage::set(&options.bin_dir, folder.path(), options.engine.clone(), options.hot_set_bytes)?;
    let (pairs, seconds) = if options.quick { (1, 0.5) } else { (options.pairs, options.seconds) };
    let wanted = |name: &str| {
        options.cases.is_empty() || options.cases.iter().any(|part| name.contains(part))
    };
    let order: Vec<&str> = names().collect();
    let mut failed = Vec::new();
    let mut kept = |name: &str, row: Result<Value, Trouble>| match row {
        Ok(row) => keep::keep(&options.result, &row, &order),
        Err(trouble) => {
            println!("{name:<40} failed: {trouble}");
            failed.push(name.to_owned());
            Ok(())
        }
    };
    report::print_head();
    for case in CASES.iter().filter(|case| wanted(case.name)) {
        kept(case.name, measure(case, pairs, seconds, &stage))?;
    }
    for idle in IDLE.iter().filter(|idle| wanted(idle.name)) {
        kept(idle.name, stand_idle(idle, &stage, open_files))?;
    }
    if wanted(cold::NAME) {
        kept(cold::NAME, cold::run(&stage, pairs, seconds))?;
    }
    if failed.is_empty() {
        return Ok(());
    }
    // Their rows in the file are those of an earlier day, which says so.
    Err(Trouble(format!("not measured: {}", failed.join("; "))))
}

/// Every case in the order of the file.
fn names() -> impl Iterator<Item = &'static str> {
    let cases = CASES.iter().map(|case| case.name);
    cases.chain(IDLE.iter().map(|idle| idle.name)).chain([cold::NAME])
}

/// What `--help` ends with.
fn goals() -> String {
    let mut text = "Cases and their goals:\n".to_owned();
    for case in CASES {
        text.push_str(&report::goal_line(case.name, &case.goal_text()));
    }
    for idle in IDLE {
        let goal = format!("<= {} bytes of the server for each, at 50,000", idle.goal_bytes);
        text.push_str(&report::goal_line(idle.name, &goal));
    }
    let goal = format!("p99 to first byte of hot objects <= {} of alone", cold::GOAL);
    text.push_str(&report::goal_line(cold::NAME, &goal));
    text
}

fn measure(case: &Case, pairs: usize, seconds: f64, stage: &Stage) -> Result<Value, Trouble> {
    let files = objects_of(case, stage)?;
    let seconds = seconds * case.share;
    let mut servers = vec![stage.oca(&files, case.cover, ROOM, case.set_bytes())?];
    for peer in case.peers {
        servers.push(match peer {
            Peer::Nginx => stage.nginx(&files, case.cover, case.pace_bps)?,
            Peer::SendfileLoop => stage.sendfile_loop(&files)?,
        });
    }
    let mut row = Row::new(case, pairs, seconds, servers[0].said("engine"));
    // Paced answers are left in the middle, so their connections cannot be used again.
    let paced = case.pace_bps.is_some();
    let gather = |server| Crowd::gather(case, server, &files);
    let mut crowds = servers.iter().map(gather).collect::<Result<Vec<_>, _>>()?;
    // The first round warms caches and counts system calls, which slows a server: it is not timed.
    for pair in 0..=pairs {
        let mut done = Vec::new();
        for (server, crowd) in servers.iter().zip(&mut crowds) {
            if paced && pair > 0 {
                *crowd = Crowd::gather(case, server, &files)?;
            }
            done.push(crowd.run(seconds, pair == 0)?);
            if paced {
                crowd.part();
            }
        }
        if pair == 0 { row.counted(&done) } else { row.add(&done) }
    }
    row.print();
    Ok(row.to_json())
}

fn stand_idle(idle: &Idle, stage: &Stage, open_files: u64) -> Result<Value, Trouble> {
    let small = Case { objects: 64, object_bytes: 16 << 10, ..CASES[0] };
    let files = objects_of(&small, stage)?;
    idle::run(idle, stage, &files, &small, open_files)
}

/// A folder with the objects of a case, made when they are asked for the first time.
fn objects_of(case: &Case, stage: &Stage) -> Result<PathBuf, Trouble> {
    let files = stage.folder.join(format!("{}x{}", case.objects, case.object_bytes));
    write_objects(&files, case)?;
    Ok(files)
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
