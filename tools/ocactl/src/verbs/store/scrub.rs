//! `ocactl store scrub`: reads every byte of local volumes at a bounded rate, and marks what is bad
//! for the fill agent to quarantine and fetch again. Changes no object.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use oca_store::{Depth, Scrub, Verdict, report_bad};
use serde_json::json;

use crate::failure::Failure;
use crate::quantities::{show_bytes, size_bytes};
use crate::shown::Shown;

#[derive(Args)]
pub struct ScrubVolumes {
    /// Volume folders.
    #[arg(required = true)]
    volume: Vec<PathBuf>,
    /// Read no more than this in a second: 50MB; as fast as the disk if not given.
    #[arg(long, value_parser = size_bytes, value_name = "SIZE")]
    rate: Option<u64>,
    /// Leave a marker for each bad object: its fill agent quarantines it and fetches it again.
    #[arg(long)]
    mark: bool,
}

/// Scrubs.
///
/// # Errors
/// When a volume cannot be listed. Bad objects are in the answer, and make the exit code 1.
pub fn run(asked: &ScrubVolumes) -> Result<Shown, Failure> {
    let began = Instant::now();
    let (mut read, mut objects) = (0u64, 0u64);
    let mut rows = Vec::new();
    let mut values = Vec::new();
    let mut is_refused = false;
    for folder in super::once(&asked.volume)? {
        let volume = super::open_one(folder)?;
        for finding in Scrub::new(&volume, Depth::Payload)? {
            read += finding.bytes;
            let is_listed = finding.object.is_some() && finding.verdict != Verdict::Orphan;
            objects += u64::from(is_listed);
            if let Some(rate) = asked.rate {
                let due = Duration::from_secs_f64(read as f64 / rate.max(1) as f64);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
            if finding.verdict == Verdict::Sound {
                continue;
            }
            let to_mark = finding.object.filter(|_| asked.mark && is_listed);
            // A disk that takes no mark has more to tell.
            let mark = to_mark.map(|object| report_bad(&volume, &object));
            let marked = matches!(mark, Some(Ok(())));
            if let Some(Err(error)) = &mark {
                is_refused = true;
                eprintln!("ocactl: {}", error.in_full());
            }
            let path = finding.path.display().to_string();
            let verdict = finding.verdict.to_string();
            values.push(json!({ "path": path, "verdict": verdict, "marked": marked }));
            let marked = match mark {
                Some(Ok(())) => "marked",
                Some(Err(_)) => "cannot be marked",
                None => "",
            };
            rows.push(vec![path, verdict, marked.to_owned()]);
        }
    }
    if is_refused {
        eprintln!(
            "ocactl: what is not marked is fetched again by nobody: mend that and scrub again"
        );
    }
    let bad = rows.len();
    let value = json!({ "objects": objects, "bytes": read, "bad": values });
    let nothing = format!("{objects} objects, {}: all is well", show_bytes(read));
    let mut shown = Shown::table(&value, &["file", "finding", ""], rows, &nothing);
    shown.exit = u8::from(bad > 0);
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use control_types::fleet::DiskClass;
    use oca_store::{MediaType, Volume, Writer, seal_reader};

    #[test]
    fn a_mark_that_cannot_be_left_is_told_and_the_scrub_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let volume = Volume::open(dir.path(), DiskClass::Hdd).unwrap();
        let writer = Writer::open(&volume, "test").unwrap();
        for tag in [1, 2] {
            let payload = vec![tag; 5_000];
            let title = "t".parse().unwrap();
            let seal = seal_reader(&payload[..], title, MediaType::Octets).unwrap();
            let path = volume.object_path(&seal.object());
            let mut incoming = writer.begin(seal).unwrap();
            incoming.write_chunk(0, &payload).unwrap();
            incoming.publish().unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
        let suspects = dir.path().join("suspect");
        std::fs::remove_dir(&suspects).unwrap();
        std::fs::write(&suspects, "").unwrap();
        let asked = || ScrubVolumes { volume: vec![dir.path().into()], rate: None, mark: true };
        let told = run(&asked()).unwrap();
        assert_eq!((told.exit, told.value["bad"].as_array().map(Vec::len)), (1, Some(2)));
        assert!(told.text.contains("cannot be marked"), "{}", told.text);
        std::fs::remove_file(&suspects).unwrap();
        assert!(!run(&asked()).unwrap().text.contains("cannot be marked"));
        assert_eq!(writer.suspects().unwrap().len(), 2);
        // What nobody lists is told of and is no object.
        let stray = volume.object_path(&control_types::ObjectId([9; 32]));
        std::fs::create_dir_all(stray.parent().unwrap()).unwrap();
        std::fs::write(stray, "").unwrap();
        let told = run(&asked()).unwrap();
        let count = told.value["bad"].as_array().map(Vec::len);
        assert_eq!((told.value["objects"].as_u64(), count), (Some(2), Some(3)));
    }
}
