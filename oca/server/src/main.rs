//! The program: parse, check, start, say so, wait. Never more than that.

#![forbid(unsafe_code)]

mod cli;

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use control_types::fleet::DiskClass;
use control_types::limits::CHUNK_BYTES;
use oca::config::{Config, ControlProof, TlsFiles};
use oca::handover::{Origin, Predecessor};
use oca::identity;
use oca::limits::{CHUNK_BUFFERS_MIN, MemorySum};
use oca::notify::Notifier;
use oca::server::{self, LabPlan, Running};
use oca::state::RunNote;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use cli::{Cli, LabArgs, Verb};

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    logs.with_ansi(std::io::stderr().is_terminal()).init();
    let done = match Cli::parse().verb {
        Verb::Serve { config } => serve(&config),
        Verb::Lab(arguments) => lab(&arguments),
        Verb::CheckConfig { file } => check_config(&file),
        Verb::Upgrade { config } => upgrade(&config),
        Verb::Register { config, key } => register(&config, &key),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oca: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

fn serve(path: &std::path::Path) -> Result<(), Box<dyn Error>> {
    run(Form::Json, |origin| Ok(server::serve(&Config::load(path)?, origin)?))
}

fn register(path: &std::path::Path, key: &str) -> Result<(), Box<dyn Error>> {
    let config = Config::load(path)?;
    let mut given = key.to_owned();
    if key == "-" {
        given.clear();
        std::io::stdin().read_line(&mut given)?;
    }
    let registered = identity::register(path, &config, &given)?;
    let (who, kept) = (&config.appliance, registered.path.display());
    let ends = json!({ "appliance": who, "identity": kept.to_string(),
        "expires_at": registered.expires_at });
    println!("{ends}");
    Ok(())
}

/// Starts, says so, waits. A program that waits for us to take over hears why if we cannot.
fn run(
    form: Form,
    start: impl FnOnce(Origin) -> Result<Running, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let origin = Origin::find()?;
    let predecessor = origin.predecessor.as_ref().map(Predecessor::try_clone).transpose()?;
    let started = start(origin);
    if let (Err(error), Some(predecessor)) = (&started, &predecessor) {
        predecessor.say_failed(&with_causes(&**error));
    }
    let running = started?;
    // Whoever started the first program need not listen any more.
    if predecessor.is_none() {
        say_ready(&running, form)?;
    }
    drop(predecessor);
    Notifier::from_environment().ready();
    Ok(running.wait()?)
}

/// Asks the program that runs with this config's state directory to start itself anew.
fn upgrade(path: &std::path::Path) -> Result<(), Box<dyn Error>> {
    let config = Config::load(path)?;
    let find = || {
        RunNote::admin_of(&config.state_dir).map_err(|error| {
            let dir = config.state_dir.display();
            std::io::Error::other(format!("no oca runs with state_dir {dir}: {error}"))
        })
    };
    println!("{}", oca::admin::ask_to_upgrade(find)?);
    Ok(())
}

fn lab(arguments: &LabArgs) -> Result<(), Box<dyn Error>> {
    let workers = arguments.workers;
    let chunks = usize::try_from(arguments.hot_set_bytes / CHUNK_BYTES)? / workers;
    let tls = match arguments.tls.as_deref() {
        Some([cert, key]) => Some(TlsFiles { cert: cert.clone(), key: key.clone() }),
        _ => None,
    };
    let plan = LabPlan {
        roots: lab_roots(arguments),
        media: arguments.listen,
        admin: arguments.admin,
        tls,
        alpn: arguments.alpn.clone(),
        workers,
        engine: arguments.engine,
        chunk_buffers: chunks.max(CHUNK_BUFFERS_MIN),
        connections: arguments.connections,
    };
    let form = if arguments.json { Form::Json } else { Form::Words };
    run(form, |origin| Ok(server::lab(&plan, origin)?))
}

/// The directory, then those that stand for other disks.
fn lab_roots(arguments: &LabArgs) -> Vec<(PathBuf, DiskClass)> {
    let flash = arguments.ssd.iter().map(|path| (path.clone(), DiskClass::Ssd));
    let rotating = arguments.hdd.iter().map(|path| (path.clone(), DiskClass::Hdd));
    std::iter::once((arguments.dir.clone(), DiskClass::Ssd)).chain(flash).chain(rotating).collect()
}

fn check_config(path: &std::path::Path) -> Result<(), Box<dyn Error>> {
    let config = Config::load(path)?;
    let memory = MemorySum::of(config.workers, config.connections, config.chunk_buffers);
    println!(
        "{} is good: {} volume(s), {} worker(s)",
        path.display(),
        config.volumes.len(),
        config.workers
    );
    println!("memory, at most  {} bytes: {memory}", memory.total());
    print!("{}", oca_sys::probe());
    for remark in remarks(path, &config).into_iter().chain(too_much(&memory)) {
        println!("mind: {remark}");
    }
    Ok(())
}

/// More than this machine has: chunks are locked at boot, so the kernel would refuse them then.
fn too_much(memory: &MemorySum) -> Option<String> {
    let here = nix::sys::sysinfo::sysinfo().ok()?.ram_total();
    (memory.total() > here).then(|| {
        format!(
            "this machine has {here} bytes of memory: set memory.hot_set_bytes (now {} with what \
             is under read) lower by {} or more",
            memory.chunks,
            memory.total() - here
        )
    })
}

/// What is no mistake and wants a hand: a box that is not registered yet, keys that are open.
fn remarks(path: &std::path::Path, config: &Config) -> Vec<String> {
    let mut remarks = Vec::new();
    let tls_key = config.tls.as_ref().map(|tls| ("tls.key", &tls.files.key));
    let mut keys: Vec<_> = tls_key.into_iter().collect();
    match config.control.as_ref().map(|control| &control.proof) {
        Some(ControlProof::Identity(file)) if !file.exists() => remarks.push(format!(
            "this box is not registered: {} is not there. `ocactl appliance key-for {}` prints \
             a key, `oca register --config {}` takes it",
            file.display(),
            config.appliance,
            path.display()
        )),
        Some(ControlProof::Identity(file)) => keys.push(("control.identity", file)),
        Some(ControlProof::Key { file, .. }) => keys.push(("control.key_file", file)),
        None => {}
    }
    for (name, file) in keys {
        let mode = std::fs::metadata(file).map(|file| file.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o007 != 0) {
            let shown = file.display();
            remarks.push(format!("{name} {shown} is open to everybody: `chmod o= {shown}`"));
        }
    }
    remarks
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Words,
}

/// One line on standard output: whoever started us may now connect.
fn say_ready(running: &Running, form: Form) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match form {
        Form::Json => {
            let line = json!({
                "listening": running.listening.to_string(),
                "admin": running.admin.to_string(),
                "tls": running.tls,
                "engine": running.choice.engine.word(),
                "why": running.choice.why,
                "ring": running.ring,
            });
            writeln!(out, "{line}")?;
        }
        Form::Words => {
            let scheme = if running.tls { "https" } else { "http" };
            writeln!(out, "{scheme}://{} (metrics on {})", running.listening, running.admin)?;
        }
    }
    out.flush()
}

/// The message and those of its causes, on one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
