//! `ocactl store`: objects in local volumes. Needs no control plane. What writes takes the volume's
//! lock, as the fill agent does.

mod evict;
mod import;
mod scrub;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use control_types::ObjectId;
use control_types::fleet::DiskClass;
use oca_store::{Depth, Index, StoreError, Volume, check};
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
    /// The files of one object.
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
        Store::Ls { volume } => Ok(run_ls(&load(volume)?)),
        Store::Where { object, volume } => run_where(&load(volume)?, object),
    }
}

fn run_ls(loaded: &Known) -> Shown {
    let index = &loaded.index;
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
    let mut shown = Shown::table(&index.held(), &head, rows, "no objects here");
    shown.exit = u8::from(loaded.lacks_some);
    shown
}

fn run_where(loaded: &Known, object: &ObjectId) -> Result<Shown, Failure> {
    let copies: Vec<_> = loaded.index.entries().filter(|entry| entry.object == *object).collect();
    let Some(first) = copies.first() else {
        return Err(Failure(format!(
            "none of these volumes holds {object}; `store ls` says what they hold"
        )));
    };
    let paths: Vec<PathBuf> = copies.iter().map(|entry| entry.path()).collect();
    let gone: Vec<&PathBuf> = paths.iter().filter(|path| !path.is_file()).collect();
    for path in &gone {
        eprintln!(
            "ocactl: {}: listed and not there; `store check` says more, and fill-agent fetches it \
             again once a reader, a scrub or `store scrub --mark` has met it",
            path.display()
        );
    }
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let value = json!({
        "object": object,
        "path": paths[0],
        "copies": paths,
        "title": first.title,
        "bytes": first.bytes,
        "payload_at": first.payload_offset(),
    });
    let mut shown = Shown::new(&value, paths.join("\n"));
    shown.exit = u8::from(!gone.is_empty());
    Ok(shown)
}

fn open(folders: &[PathBuf]) -> Result<Vec<Volume>, Failure> {
    // Reading does not depend on the class; only its owner knows it.
    once(folders)?.into_iter().map(open_one).collect()
}

/// The folders, none of them twice by whatever name: each would be counted and locked again.
fn once(folders: &[PathBuf]) -> Result<Vec<&Path>, Failure> {
    let mut seen = Vec::new();
    for folder in folders {
        let real = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        if seen.contains(&real) {
            let shown = folder.display();
            return Err(Failure(format!("{shown} is given twice; name each volume once")));
        }
        seen.push(real);
    }
    Ok(folders.iter().map(PathBuf::as_path).collect())
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

/// What the volumes hold.
struct Known {
    index: Index,
    /// A volume or a file could not be read: the index lacks what is there.
    lacks_some: bool,
}

fn load(folders: &[PathBuf]) -> Result<Known, Failure> {
    let loaded = Index::load(&open(folders)?);
    for problem in &loaded.problems {
        eprintln!("ocactl: {}", problem.in_full());
    }
    let is_unread = |problem: &StoreError| matches!(problem, StoreError::Io { .. });
    let lacks_some = loaded.problems.iter().any(is_unread);
    Ok(Known { index: loaded.index, lacks_some })
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

#[cfg(test)]
mod tests {
    use super::*;
    use oca_store::{MediaType, Writer, seal_reader};

    fn publish(folder: &Path, payload: &[u8]) -> ObjectId {
        std::fs::create_dir_all(folder).unwrap();
        let volume = Volume::open(folder, DiskClass::Hdd).unwrap();
        let writer = Writer::open(&volume, "test").unwrap();
        let seal = seal_reader(payload, "t".parse().unwrap(), MediaType::Octets).unwrap();
        let object = seal.object();
        let mut incoming = writer.begin(seal).unwrap();
        incoming.write_chunk(0, payload).unwrap();
        incoming.publish().unwrap();
        object
    }

    #[test]
    fn where_names_every_copy_and_says_which_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let folders = ["a", "b"].map(|name| dir.path().join(name));
        let object = publish(&folders[0], b"one");
        assert_eq!(publish(&folders[1], b"one"), object);
        let ask = || run(&Store::Where { object, volume: folders.to_vec() }).unwrap();
        let both = ask();
        assert_eq!((both.exit, both.text.lines().count()), (0, 2), "{}", both.text);
        std::fs::remove_file(both.text.lines().next().unwrap()).unwrap();
        assert_eq!(ask().exit, 1);
    }

    #[test]
    fn a_volume_given_twice_or_not_readable_is_no_list_of_everything() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a");
        publish(&folder, b"one");
        let ls = |volume: Vec<PathBuf>| run(&Store::Ls { volume });
        let twice = ls(vec![folder.clone(), dir.path().join("./a/.")]).err().unwrap();
        assert!(twice.0.contains("given twice"), "{}", twice.0);
        assert_eq!(ls(vec![folder.clone()]).unwrap().exit, 0);
        std::fs::remove_file(folder.join("journal")).unwrap();
        std::fs::create_dir(folder.join("journal")).unwrap();
        assert_eq!(ls(vec![folder]).unwrap().exit, 1);
    }
}
