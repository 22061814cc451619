//! What an ISP's border carried, from a file of its own, and the rate that leaves the bill alone.
//! Reads files; measures nothing.
//!
//! One line a 5-minute sample, oldest first: `unix_seconds,bits_per_second[,fill_bits_per_second]`.
//! The second figure is all that came in; the third, what of it was fill (0 when it is left out,
//! and then the samples of filled nights leave less room than there is, never more). Lines that
//! begin with `#` are passed over. Months are calendar months in UTC. A file whose last sample is
//! older than a day tells nothing about tonight: nothing is filled across that border until it is
//! fresh. A last line without an end is still being written, and passed over: half of a figure is a
//! smaller figure, and would leave room that is not there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use control_types::UnixMillis;
use control_types::config_file::read_text_at_most;
use control_types::fill::{FillState, NightPlan, RateProfile, RateStep};
use control_types::ids::{ApplianceId, IspId};
use fill_plan::billing::{SLOT_MS, profile_ahead};
use serde::Deserialize;

use crate::error::DirectorError;
use crate::shares::Border;

/// Oldest last sample that still says something, milliseconds.
const STALE_MS: u64 = 86_400_000;
/// Most samples kept of a file: two months and a week.
const SAMPLES_MAX: usize = 20_000;
/// Largest file of samples, bytes: ten years of them.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// A profile that ends sooner than this is made again, milliseconds.
const RENEW_MS: u64 = 12 * 3_600_000;
/// Slots from now on in which a profile must say what the last samples say.
const FRESH_SLOTS: u64 = 3;
/// How much two rates may differ and still be the same, of the higher.
const CHANGED_SHARE: f64 = 0.1;

/// One border whose bill is to be spared; an `[[ingress]]` table of the configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingress {
    /// Whose border.
    pub isp: IspId,
    /// The samples.
    pub file: PathBuf,
    /// The percentile billed, 0.5 to 1. Default 0.95.
    #[serde(default = "usual")]
    pub percentile: f64,
}

fn usual() -> f64 {
    0.95
}

/// The plan in force, and who reported to go by it.
pub(crate) struct InForce<'a> {
    pub(crate) plan: Option<&'a NightPlan>,
    pub(crate) told: BTreeSet<ApplianceId>,
}

/// Divides what each border's bill leaves room for at `now` among the boxes of `plan` that pull
/// over it; `plan` was made at control's time or later. A border whose file cannot be read is shut:
/// a bill is not risked on a guess.
pub(crate) fn cap(
    plan: &mut NightPlan,
    current: &InForce<'_>,
    state: &FillState,
    borders: &[Ingress],
    now: UnixMillis,
) {
    for border in borders {
        let whole = samples(&border.file).map_err(|error| error.to_string()).and_then(|samples| {
            let shown = border.file.display();
            let profile = profile_of(&samples, border.percentile, now);
            profile.map_err(|why| format!("{shown}: {why}"))
        });
        let whole = whole.unwrap_or_else(|why| {
            tracing::warn!(isp = %border.isp, why, "no fill across this border");
            shut(now)
        });
        let (isp, told) = (&border.isp, &current.told);
        let border = Border { isp, whole: &whole, now: plan.made_at, told };
        border.divide(plan, current.plan, state);
    }
}

/// Whether a plan in force has rates where `fresh` has them, for long enough, and nearly the same
/// as long as they come from the last samples.
pub(crate) fn is_current(current: &NightPlan, fresh: &NightPlan, now: UnixMillis) -> bool {
    fresh.appliances.iter().filter(|part| part.rate.is_some()).all(|part| {
        let known = current.appliances.iter().find(|known| known.appliance == part.appliance);
        let rate = known.and_then(|known| known.rate.as_ref());
        let last_at = |rate: Option<&RateProfile>| {
            rate.and_then(|rate| rate.steps.last()).map(|step| step.starts_at)
        };
        // Where a fresh one says no more, as of a border that is shut, another would say the same.
        let renew_at = Some(now.plus_millis(RENEW_MS));
        let lasts = last_at(rate) > renew_at || last_at(part.rate.as_ref()) <= renew_at;
        let bps_at = |rate: Option<&RateProfile>, at: UnixMillis| {
            rate.and_then(|rate| rate.rate_bps_max(at)).unwrap_or(u64::MAX) as f64
        };
        let is_near = |slot: u64| {
            let at = now.plus_millis(slot * SLOT_MS);
            let (known, fresh) = (bps_at(rate, at), bps_at(part.rate.as_ref(), at));
            (known - fresh).abs() <= CHANGED_SHARE * known.max(fresh)
        };
        lasts && (0..FRESH_SLOTS).all(is_near)
    })
}

fn shut(now: UnixMillis) -> RateProfile {
    RateProfile { steps: vec![RateStep { starts_at: now, rate_bps_max: 0 }] }
}

/// Slot number, bits per second, of these fill.
type Sample = (u64, u64, u64);

fn samples(path: &Path) -> Result<Vec<Sample>, DirectorError> {
    let text = read_text_at_most(path, FILE_BYTES_MAX)
        .map_err(|source| DirectorError::Io { path: path.to_owned(), source })?;
    let mut samples: Vec<Sample> = Vec::new();
    let written = text.rfind('\n').map_or("", |end| &text[..end]);
    for (at, line) in written.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |why: &str| DirectorError::Sample {
            path: path.to_owned(),
            line: at + 1,
            why: why.to_owned(),
        };
        let fields: Result<Vec<u64>, _> =
            line.split(',').map(|field| field.trim().parse::<u64>()).collect();
        let fields = fields.map_err(|_| wrong("write unix_seconds,bits_per_second[,fill]"))?;
        let (seconds, bps, fill) = match fields[..] {
            [seconds, bps] => (seconds, bps, 0),
            [seconds, bps, fill] if fill <= bps => (seconds, bps, fill),
            [_, _, _] => return Err(wrong("more fill than there was traffic")),
            _ => return Err(wrong("write two or three numbers")),
        };
        let slot = seconds.saturating_mul(1_000) / SLOT_MS;
        if samples.last().is_some_and(|last| last.0 >= slot) {
            return Err(wrong("one sample for each 5 minutes, oldest first"));
        }
        samples.push((slot, bps, fill));
    }
    let old = samples.len().saturating_sub(SAMPLES_MAX);
    Ok(samples.split_off(old))
}

/// The rates that `samples` leave room for; or why they say nothing of tonight.
fn profile_of(samples: &[Sample], percentile: f64, now: UnixMillis) -> Result<RateProfile, String> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return Err("there is no sample in it".to_owned());
    };
    let ends_at = UnixMillis((last.0 + 1).saturating_mul(SLOT_MS));
    let count = (last.0 - first.0 + 1) as usize;
    if ends_at > now.plus_millis(SLOT_MS) {
        return Err("its last sample is not over yet: write Unix seconds, and compare the clocks \
                    of this machine and of the one that measures"
            .to_owned());
    }
    if now.millis_since(ends_at) > STALE_MS {
        let hours = now.millis_since(ends_at) / 3_600_000;
        return Err(format!("its last sample is {hours} hours old: is it still measured?"));
    }
    if count > 2 * SAMPLES_MAX {
        return Err("its samples are too far apart: write one for each 5 minutes".to_owned());
    }
    // A gap is read as nothing where that leaves less room, and as what came before it where that
    // does.
    let (mut carried, mut organic) = (vec![0; count], vec![0; count]);
    for pair in samples.windows(2) {
        for slot in pair[0].0..pair[1].0 {
            organic[(slot - first.0) as usize] = pair[0].1 - pair[0].2;
        }
    }
    for (slot, bps, fill) in samples {
        let at = (slot - first.0) as usize;
        (carried[at], organic[at]) = (*bps, bps - fill);
    }
    Ok(profile_ahead(&organic, &carried, ends_at, now, percentile))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: u64 = 86_400;

    fn rate_at(text: &str, now_s: u64, at_s: u64) -> Result<Option<u64>, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ingress.csv");
        std::fs::write(&file, text).unwrap();
        let samples = samples(&file).map_err(|error| error.to_string())?;
        let profile = profile_of(&samples, 0.95, UnixMillis(now_s * 1_000))?;
        Ok(profile.rate_bps_max(UnixMillis(at_s * 1_000)))
    }

    #[test]
    fn quiet_hours_have_room_evenings_have_none_and_old_files_are_shut() {
        // Twenty days of January 2026: 1 Gb/s, and 10 Gb/s from 16:00 to midnight.
        let begin = 1_767_225_600;
        let line = |slot: u64| {
            let busy = slot % 288 >= 192;
            format!(
                "{},{}\n",
                begin + slot * 300,
                if busy { 10_000_000_000_u64 } else { 1_000_000_000 }
            )
        };
        let text: String = (0..20 * 288).map(line).collect();
        let now = begin + 20 * DAY_S;
        let night = rate_at(&text, now, now + 3 * 3_600).unwrap().unwrap();
        assert!((3_000_000_000..=5_000_000_000).contains(&night), "half the level: {night}");
        let evening = rate_at(&text, now, now + 20 * 3_600).unwrap();
        assert_eq!(evening, Some(0));
        let shut = |text: &str, now| rate_at(text, now, now).unwrap_err();
        assert!(shut(&text, now + 3 * DAY_S).contains("72 hours old"));
        assert!(shut(&text, now - DAY_S).contains("not over yet"));
        assert!(shut("# nothing yet\n", now).contains("no sample"));
        assert!(shut(&format!("300,1\n{now},1\n"), now + 300).contains("too far apart"));
    }

    #[test]
    fn a_line_that_is_still_being_written_leaves_no_room() {
        let begin = 1_767_225_600;
        let line = |slot: u64| format!("{},9000000000\n", begin + slot * 300);
        let whole: String = (0..2_000).map(line).collect();
        let now = begin + 2_000 * 300;
        let read = |text: &str| {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("ingress.csv");
            std::fs::write(&file, text).unwrap();
            samples(&file)
        };
        let last = line(2_000);
        // As whoever appends may be met: after each byte of the next line.
        for cut in 1..last.len() {
            let torn = format!("{whole}{}", &last[..cut]);
            let samples = read(&torn).unwrap();
            assert_eq!(samples.len(), 2_000, "cut after {cut} bytes");
            assert!(samples.iter().all(|sample| sample.1 == 9_000_000_000));
        }
        assert_eq!(rate_at(&format!("{whole}{last}"), now + 300, now + 300), Ok(Some(0)));
        assert_eq!(read(&format!("{whole}{last}")).unwrap().len(), 2_001);
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, why) in [
            ("1,2\nx,3\n", "line 2: write unix_seconds"),
            ("300,2,3\n", "more fill"),
            ("300,2\n310,2\n", "line 2: one sample"),
            ("300\n", "two or three"),
        ] {
            let error = rate_at(text, 1_000, 1_000).unwrap_err();
            assert!(error.contains(why), "{why} is not in {error}");
        }
    }
}
