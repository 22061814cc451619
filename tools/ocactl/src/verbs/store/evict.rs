//! `ocactl store evict`: takes objects off local volumes by hand: one, a title's, or as many as
//! free some room. Never beside a fill agent: the lock says who is there.

use std::path::PathBuf;

use clap::Args;
use control_types::{ObjectId, TitleId};
use oca_store::{StoreError, Writer};
use serde_json::json;

use crate::failure::Failure;
use crate::quantities::{show_bytes, size_bytes};
use crate::shown::Shown;

#[derive(Args)]
pub struct Evict {
    /// Volume folders. Their fill agent must be stopped.
    #[arg(required = true)]
    volume: Vec<PathBuf>,
    #[command(flatten)]
    what: What,
    /// Say what would go and take nothing away.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct What {
    /// This object; may be given several times.
    #[arg(long)]
    object: Vec<ObjectId>,
    /// Everything of this title.
    #[arg(long)]
    title: Option<TitleId>,
    /// As many of the oldest objects of each volume as free this many bytes there.
    #[arg(long, value_parser = size_bytes, value_name = "SIZE")]
    free: Option<u64>,
}

/// Evicts.
///
/// # Errors
/// When a volume is not there or is being written (the text names by whom), or holds nothing of
/// what was asked for.
pub fn run(evict: &Evict) -> Result<Shown, Failure> {
    let mut rows = Vec::new();
    let mut values = Vec::new();
    // All locks before the first deed: a volume that is held stops it before anything is gone.
    let writers: Result<Vec<Writer>, Failure> = super::once(&evict.volume)?
        .into_iter()
        .map(|folder| {
            let volume = super::open_one(folder)?;
            Ok(Writer::open(&volume, "ocactl store evict")?)
        })
        .collect();
    let writers = writers?;
    // All of them or none: a name that is wrong in one digit must not pass for a deed.
    let missing = |object: &&ObjectId| !writers.iter().any(|writer| writer.holds(object));
    let missing: Vec<String> =
        evict.what.object.iter().filter(missing).map(ToString::to_string).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let why = format!("none of these volumes holds {missing}: nothing is gone");
        return Err(Failure(format!("{why}; `store ls` says what they hold")));
    }
    for writer in writers {
        for (object, title, bytes) in chosen(&writer, &evict.what) {
            let path = writer.volume().path().display().to_string();
            if !evict.dry_run
                && let Err(error) = writer.remove(&object)
            {
                return Err(stopped(&object, &error, &rows));
            }
            values.push(json!({ "object": object, "bytes": bytes, "volume": path }));
            rows.push(vec![object.to_string(), title, show_bytes(bytes), path]);
        }
    }
    if rows.is_empty() {
        return Err(Failure("none of these volumes holds any of that: nothing is gone".to_owned()));
    }
    let value = json!({ "evicted": values, "dry_run": evict.dry_run });
    Ok(Shown::table(&value, &["object", "title", "bytes", "volume"], rows, ""))
}

/// A disk refused in the middle: what went before is gone all the same, and is told.
fn stopped(object: &ObjectId, error: &StoreError, gone: &[Vec<String>]) -> Failure {
    let gone = match gone {
        [] => "nothing is gone before it".to_owned(),
        gone => {
            let names: Vec<&str> = gone.iter().map(|row| row[0].as_str()).collect();
            format!("gone before it: {}", names.join(", "))
        }
    };
    let error = error.in_full();
    Failure(format!("{object} was not taken away: {error}; {gone}; mend that and ask again"))
}

/// Object, title and bytes on disk of everything that is to go.
fn chosen(writer: &Writer, what: &What) -> Vec<(ObjectId, String, u64)> {
    let index = writer.index();
    let mut all: Vec<(ObjectId, String, u64)> = index
        .entries()
        .filter(|entry| match &what.title {
            Some(title) => entry.title == title,
            None => what.free.is_some() || what.object.contains(&entry.object),
        })
        .map(|entry| (entry.object, entry.title.to_string(), entry.file_bytes()))
        .collect();
    let Some(free) = what.free else { return all };
    // The time a file was written last is when it came; one that cannot be asked goes first.
    let age = |object: &ObjectId| {
        writer.volume().object_path(object).metadata().and_then(|meta| meta.modified()).ok()
    };
    all.sort_by_cached_key(|(object, _, _)| (age(object), *object));
    let mut freed = 0;
    all.into_iter()
        .take_while(|(_, _, bytes)| {
            let goes = freed < free;
            freed += bytes;
            goes
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use control_types::fleet::DiskClass;
    use oca_store::{MediaType, Volume, seal_reader};

    #[test]
    fn an_evict_takes_what_was_asked_for_and_stops_at_a_held_volume() {
        let dir = tempfile::tempdir().unwrap();
        let volume = Volume::open(dir.path(), DiskClass::Hdd).unwrap();
        let writer = Writer::open(&volume, "fill-agent").unwrap();
        let source = dir.path().join("source");
        for (title, tag) in [("harbour", 1), ("harbour", 2), ("night", 3)] {
            let bytes = vec![tag; 5000];
            std::fs::write(&source, &bytes).unwrap();
            let seal = seal_reader(&bytes[..], title.parse().unwrap(), MediaType::Octets).unwrap();
            writer.import_file(&source, seal).unwrap();
        }
        let evict = |what: What, dry_run| {
            run(&Evict { volume: vec![dir.path().to_owned()], what, dry_run })
        };
        let title = |name: &str| What {
            object: Vec::new(),
            title: Some(name.parse().unwrap()),
            free: None,
        };
        let refused = evict(title("harbour"), true).err().unwrap().0;
        let pid = std::process::id().to_string();
        assert!(refused.contains("fill-agent") && refused.contains(&pid), "{refused}");
        drop(writer);
        let count = |shown: &Shown| shown.value["evicted"].as_array().unwrap().len();
        assert_eq!(count(&evict(title("harbour"), true).unwrap()), 2);
        assert_eq!(count(&evict(title("harbour"), false).unwrap()), 2);
        assert!(evict(title("harbour"), false).is_err(), "nothing of it is left");
        let one = seal_reader(&[3; 5000][..], "t".parse().unwrap(), MediaType::Octets).unwrap();
        let named = |object| What { object, title: None, free: None };
        let told = evict(named(vec![one.object(), ObjectId([9; 32])]), false).err().unwrap().0;
        assert!(told.contains("0909") && !told.contains(&one.object().to_string()), "{told}");
        let free = What { object: Vec::new(), title: None, free: Some(1) };
        assert_eq!(count(&evict(free, false).unwrap()), 1);
        assert!(Writer::open(&volume, "test").unwrap().held().is_empty());
    }

    #[test]
    fn an_evict_that_stops_in_the_middle_says_what_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let volume = Volume::open(dir.path(), DiskClass::Hdd).unwrap();
        let writer = Writer::open(&volume, "test").unwrap();
        let source = dir.path().join("source");
        let mut objects = Vec::new();
        for tag in [1, 2] {
            let bytes = vec![tag; 5000];
            std::fs::write(&source, &bytes).unwrap();
            let seal = seal_reader(&bytes[..], "t".parse().unwrap(), MediaType::Octets).unwrap();
            objects.push(seal.object());
            writer.import_file(&source, seal).unwrap();
        }
        drop(writer);
        objects.sort();
        // A folder is not unlinked.
        let second = volume.object_path(&objects[1]);
        std::fs::remove_file(&second).unwrap();
        std::fs::create_dir(&second).unwrap();
        let what = What { object: Vec::new(), title: Some("t".parse().unwrap()), free: None };
        let evict = Evict { volume: vec![dir.path().to_owned()], what, dry_run: false };
        let told = run(&evict).err().unwrap().0;
        let refused = format!("{} was not taken away", objects[1]);
        let gone = format!("gone before it: {}", objects[0]);
        assert!(told.contains(&refused) && told.contains(&gone), "{told}");
    }
}
