//! `ocactl store`: objects in local volumes. Needs no control plane. What writes takes the volume's
//! lock, as the fill agent does.

mod evict;
mod import;
mod scrub;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use control_types::ObjectId;
use control_types::fleet::DiskClass;
use oca_store::{Depth, Index, Volume, check};
use serde_json::json;

use crate::failure::{Failure, tell};
use crate::quantities::show_bytes;
use crate::shown::Shown;

#[derive(Subcommand)]
pub enum Store {
    /// Check that seals (and with --deep every byte) are what they should be. Exit code 1 if not.
    Check {
        /// Volume folders.
        #[arg(required = true)]
        volume: Vec<PathBuf>,
        /// Read and hash every byte.
        #[arg(long)]
        deep: bool,
    },
    /// Read every byte at a bounded rate; can mark what is bad for repair. Exit code 1 if any is.
    Scrub(scrub::ScrubVolumes),
    /// Adopt files that are on this machine, without copying where the file system can share.
    Import(import::Import),
    /// Take objects away by hand.
    Evict(evict::Evict),
    /// All objects.
    Ls {
        /// Volume folders.
        #[arg(required = true)]
        volume: Vec<PathBuf>,
    },
    /// The file of one object.
    Where {
        /// Which.
        object: ObjectId,
        /// Volume folders.
        #[arg(required = true)]
        volume: Vec<PathBuf>,
    },
}

/// Runs one verb.
///
/// # Errors
/// When a volume cannot be read, or does not hold what was asked for.
pub fn run(verb: &Store) -> Result<Shown, Failure> {
    match verb {
        Store::Check { volume, deep } => run_check(volume, *deep),
        Store::Scrub(asked) => scrub::run(asked),
        Store::Import(asked) => import::run(asked),
        Store::Evict(asked) => evict::run(asked),
        Store::Ls { volume } => {
            let index = load(volume)?;
            let mut rows: Vec<Vec<String>> = index
                .entries()
                .map(|entry| {
                    vec![
                        entry.object.to_string(),
                        entry.title.to_string(),
                        show_bytes(entry.bytes),
                        index.volumes()[entry.volume].path().display().to_string(),
                    ]
                })
                .collect();
            rows.sort();
            let head = ["object", "title", "bytes", "volume"];
            Ok(Shown::table(&index.held(), &head, rows, "no objects here"))
        }
        Store::Where { object, volume } => {
            let index = load(volume)?;
            let entry = index.find(object);
            let entry = entry.ok_or_else(|| {
                Failure(format!(
                    "none of these volumes holds {object}; `store ls` says what they hold"
                ))
            })?;
            let path = entry.path().display().to_string();
            let value = json!({
                "object": object,
                "path": path,
                "title": entry.title,
                "bytes": entry.bytes,
                "payload_at": entry.payload_offset(),
            });
            Ok(Shown::new(&value, path))
        }
    }
}

fn open(folders: &[PathBuf]) -> Result<Vec<Volume>, Failure> {
    // Reading does not depend on the class; only its owner knows it.
    folders.iter().map(|folder| open_one(folder)).collect()
}

/// A folder that somebody wrote as a volume: a wrong path must not pass for an empty store.
fn open_one(folder: &Path) -> Result<Volume, Failure> {
    let volume = Volume::open(folder, DiskClass::Hdd)?;
    let (has_journal, has_objects) =
        (folder.join("journal").exists(), folder.join("objects").is_dir());
    if !has_journal && !has_objects {
        return Err(Failure(format!(
            "{}: no volume, nothing was ever written here; give the folder that is `path` of a \
             [[volume]], the one with `objects` in it",
            folder.display()
        )));
    }
    if !has_journal {
        tell(format_args!(
            "ocactl: {}: no journal, so this is by the seals of the files; fill-agent writes one \
             when it starts",
            folder.display()
        ));
    }
    Ok(volume)
}

fn load(folders: &[PathBuf]) -> Result<Index, Failure> {
    let loaded = Index::load(&open(folders)?);
    for problem in &loaded.problems {
        tell(format_args!("ocactl: {}", problem.in_full()));
    }
    Ok(loaded.index)
}

fn run_check(folders: &[PathBuf], deep: bool) -> Result<Shown, Failure> {
    let depth = if deep { Depth::Payload } else { Depth::Seals };
    let mut rows = Vec::new();
    let mut values = Vec::new();
    let mut bad = 0;
    for volume in open(folders)? {
        let report = check(&volume, depth)?;
        bad += report.bad.len() + usize::from(report.journal_fault.is_some());
        let findings: Vec<String> = report
            .bad
            .iter()
            .map(|finding| format!("{}: {}", finding.path.display(), finding.verdict))
            .chain(report.journal_fault.iter().map(|fault| format!("journal: {fault}")))
            .collect();
        let path = volume.path().display().to_string();
        let said = if findings.is_empty() { "all is well".to_owned() } else { findings.join("\n") };
        rows.push(vec![path.clone(), report.objects.to_string(), show_bytes(report.bytes), said]);
        let (objects, bytes) = (report.objects, report.bytes);
        values.push(json!({ "volume": path, "objects": objects, "bytes": bytes, "bad": findings }));
    }
    let head = ["volume", "objects", "bytes", "findings"];
    let mut shown = Shown::table(&values, &head, rows, "nothing to check");
    shown.exit = u8::from(bad > 0);
    Ok(shown)
}
