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
    for folder in &asked.volume {
        let volume = super::open_one(folder)?;
        for finding in Scrub::new(&volume, Depth::Payload)? {
            read += finding.bytes;
            objects += u64::from(finding.object.is_some());
            if let Some(rate) = asked.rate {
                let due = Duration::from_secs_f64(read as f64 / rate.max(1) as f64);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
            if finding.verdict == Verdict::Sound {
                continue;
            }
            let is_listed = finding.verdict != Verdict::Orphan;
            let marked = asked.mark && is_listed && finding.object.is_some();
            if let (true, Some(object)) = (marked, &finding.object) {
                report_bad(&volume, object)?;
            }
            let path = finding.path.display().to_string();
            let verdict = finding.verdict.to_string();
            values.push(json!({ "path": path, "verdict": verdict, "marked": marked }));
            let marked = if marked { "marked" } else { "" };
            rows.push(vec![path, verdict, marked.to_owned()]);
        }
    }
    let bad = rows.len();
    let value = json!({ "objects": objects, "bytes": read, "bad": values });
    let nothing = format!("{objects} objects, {}: all is well", show_bytes(read));
    let mut shown = Shown::table(&value, &["file", "finding", ""], rows, &nothing);
    shown.exit = u8::from(bad > 0);
    Ok(shown)
}
