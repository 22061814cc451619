//! `ocactl steer`: who would serve a member, and why; who did, and who would have under another
//! policy.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use control_client::ControlClient;
use control_types::bundle::{BundleCut, BundleListed};
use control_types::fleet::SteerExplanation;
use control_types::steering::{PolicyFile, ReplayAnswer, ReplayRequest, ReplayTally, SteerRecord};
use control_types::{IspId, TitleId, UnixMillis};
use serde_json::json;

use crate::connect;
use crate::failure::Failure;
use crate::quantities::{moment, show_bytes, show_duration, show_moment};
use crate::shown::Shown;

/// Text of one request to control, about; its bodies end at 8 MiB.
const REPLAY_BYTES: usize = 2 << 20;

#[derive(Subcommand)]
pub enum Steer {
    /// Every candidate with the rule that placed or excluded it.
    Explain {
        /// The member's address.
        #[arg(long)]
        ip: IpAddr,
        /// What they want to watch.
        #[arg(long)]
        title: TitleId,
        /// Explain the last recorded question like this at or before this time (RFC 3339) instead
        /// of one asked now.
        #[arg(long, value_parser = moment, value_name = "TIME")]
        at: Option<UnixMillis>,
    },
    /// Write recorded questions to a file, one record a line, for `replay`.
    Log {
        /// From this time on (RFC 3339).
        #[arg(long, value_parser = moment, value_name = "TIME")]
        from: UnixMillis,
        /// To before this time.
        #[arg(long, value_parser = moment, value_name = "TIME")]
        until: UnixMillis,
        /// Where to; replaced if it is there.
        #[arg(long)]
        out: PathBuf,
    },
    /// What appliances steer by when control is away: each ISP's newest bundle, its age and size.
    Bundle {
        /// Only this ISP's.
        #[arg(long)]
        isp: Option<IspId>,
    },
    /// Decide recorded questions again under another policy: load, distance and misses, before and
    /// after.
    Replay {
        /// What `ocactl steer log` wrote.
        #[arg(long)]
        log: PathBuf,
        /// TOML: order, busy_percent, high_percent, full_percent, spill_percent, spill_power,
        /// distance_step_km, [weights].
        #[arg(long)]
        policy: PathBuf,
    },
}

/// Runs one verb.
///
/// # Errors
/// What control said, or a file that cannot be used.
pub async fn run(verb: &Steer, control: &ControlClient) -> Result<Shown, Failure> {
    match verb {
        Steer::Explain { ip, title, at: None } => {
            Ok(explained(*ip, &control.explain_steering(*ip, title).await?))
        }
        Steer::Explain { ip, title, at: Some(at) } => {
            Ok(explained(*ip, &control.explain_recorded(*ip, title, *at).await?))
        }
        Steer::Log { from, until, out } => log(*from, *until, out, control).await,
        Steer::Bundle { isp } => {
            let mut bundles = control.steering_bundles().await?;
            bundles.retain(|one| isp.as_ref().is_none_or(|isp| one.isp == *isp));
            Ok(listed_bundles(&bundles, isp.as_ref(), now()))
        }
        Steer::Replay { log, policy } => replay(log, policy, control).await,
    }
}

fn explained(ip: IpAddr, answer: &SteerExplanation) -> Shown {
    let rows = answer.candidates.iter().map(|candidate| {
        vec![
            candidate.rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string()),
            candidate.appliance.to_string(),
            candidate.site.to_string(),
            candidate.reason.clone(),
            candidate.because.clone(),
        ]
    });
    let head = ["rank", "appliance", "site", "code", "because"];
    let mut shown = Shown::table(answer, &head, rows.collect(), "the fleet has no appliances");
    let prefix = answer.matched_prefix.as_deref().unwrap_or("no registered prefix");
    let outcome = match answer.outcome.as_str() {
        "hit" => "the first is the nearest",
        "content" => "the first is not the nearest, which lacks the title or a part of it",
        "health" => "the first is not the nearest, which is not well",
        "route" => "no edge was announced to this address",
        "policy" => "the first is not the nearest, which has no room or stands back by policy",
        _ => "",
    };
    let when = answer.decided_at.map(|at| format!("decided at {}; ", show_moment(at)));
    let when = when.unwrap_or_default();
    shown.text = format!("{when}{ip} is in {prefix}; {outcome}\n{}", shown.text);
    shown
}

/// Bad news when the ISP asked about has none: its appliances could not steer by themselves.
fn listed_bundles(bundles: &[BundleListed], isp: Option<&IspId>, now: UnixMillis) -> Shown {
    let rows = bundles.iter().map(|one| {
        let BundleCut { appliances, prefixes, places, titles } = one.cut;
        vec![
            one.isp.to_string(),
            one.serial.to_string(),
            show_duration(now.millis_since(one.made_at) / 1_000 * 1_000),
            one.appliances.to_string(),
            one.prefixes.to_string(),
            one.areas.to_string(),
            one.titles.to_string(),
            show_bytes(one.bytes),
            if one.cut.is_some() {
                format!(
                    "{appliances} appliances, {prefixes} networks, {places} places, {titles} titles"
                )
            } else {
                "-".to_owned()
            },
        ]
    });
    let head =
        ["isp", "serial", "age", "appliances", "networks", "areas", "titles", "size", "left out"];
    let nothing = match isp {
        Some(isp) => format!(
            "control has no bundle of ISP {isp}: are its appliances reporting? \
             after its start control waits up to half a minute for them to say what they hold"
        ),
        None => "control has no bundle: none was asked for since it started".to_owned(),
    };
    let mut shown = Shown::table(&bundles, &head, rows.collect(), &nothing);
    shown.exit = u8::from(isp.is_some() && bundles.is_empty());
    shown
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Writes beside `out` and takes its place at the end: what was there stays if control has no
/// answer.
async fn log(
    from: UnixMillis,
    until: UnixMillis,
    out: &Path,
    control: &ControlClient,
) -> Result<Shown, Failure> {
    if from >= until {
        let (from, until) = (show_moment(from), show_moment(until));
        return Err(Failure(format!(
            "no time lies between {from} and {until}: give a later --until"
        )));
    }
    let failed =
        |error: std::io::Error| Failure(format!("cannot write {}: {error}", out.display()));
    let mut name =
        out.file_name().ok_or_else(|| failed(ErrorKind::IsADirectory.into()))?.to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let beside = out.with_file_name(name);
    let written = write_log(from, until, &beside, control, &failed).await;
    let (records, asks, skipped) = match written {
        Ok(counts) => counts,
        Err(failure) => {
            // Nothing worth keeping; what made it fail is the news.
            let _ = std::fs::remove_file(&beside);
            return Err(failure);
        }
    };
    std::fs::rename(&beside, out).map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        failed(error)
    })?;
    let shown = out.display().to_string();
    let value = json!({ "records": records, "asks": asks, "skipped": skipped, "out": shown });
    let text = format!(
        "{asks} questions in {records} records are in {}; {skipped} were too many to be recorded",
        out.display()
    );
    Ok(Shown::new(&value, text))
}

/// How many records and questions were written, and how many control could not record.
async fn write_log(
    from: UnixMillis,
    until: UnixMillis,
    to: &Path,
    control: &ControlClient,
    failed: &impl Fn(std::io::Error) -> Failure,
) -> Result<(u64, u64, u64), Failure> {
    let mut file = BufWriter::new(File::create(to).map_err(failed)?);
    let (mut next, mut records, mut asks, mut skipped) = (from, 0u64, 0u64, 0u64);
    loop {
        let part = control.steer_log(next, until).await?;
        let Some(last) = part.last() else { break };
        // Records of one millisecond come together or not at all only if the answer was not cut
        // between them; a question more than once is worse than one too few.
        next = UnixMillis(last.at.0 + 1);
        for record in &part {
            records += 1;
            asks += record.asks.len() as u64;
            skipped += record.skipped;
            let line = serde_json::to_string(record).map_err(|error| Failure(error.to_string()))?;
            writeln!(file, "{line}").map_err(failed)?;
        }
    }
    file.flush().map_err(failed)?;
    Ok((records, asks, skipped))
}

async fn replay(log: &Path, policy: &Path, control: &ControlClient) -> Result<Shown, Failure> {
    let policy = read_policy(policy)?;
    let shown = log.display();
    let unreadable = |error| Failure(format!("cannot read {shown}: {error}"));
    let file = BufReader::new(File::open(log).map_err(unreadable)?);
    let mut answer = ReplayAnswer::default();
    let (mut records, mut bytes): (Vec<SteerRecord>, usize) = (Vec::new(), 0);
    for (number, line) in file.lines().enumerate() {
        let line = line.map_err(unreadable)?;
        let record = serde_json::from_str(&line).map_err(|error| {
            let number = number + 1;
            Failure(format!(
                "{shown}, line {number} is no record ({error}): give what `ocactl steer log` wrote"
            ))
        })?;
        records.push(record);
        bytes += line.len();
        if bytes >= REPLAY_BYTES {
            let part =
                ReplayRequest { policy: policy.clone(), records: std::mem::take(&mut records) };
            answer.add(&control.replay(&part).await?);
            bytes = 0;
        }
    }
    // An empty log is replayed too: control then says what it thinks of the policy.
    answer.add(&control.replay(&ReplayRequest { policy, records }).await?);
    Ok(replayed(&answer))
}

fn read_policy(path: &Path) -> Result<PolicyFile, Failure> {
    let shown = path.display();
    let bytes = connect::read(path)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|error| Failure(format!("the policy {shown} is no text: {error}")))?;
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Failure(format!("the policy {shown}, line {line}: {}", error.message()))
    })
}

fn replayed(answer: &ReplayAnswer) -> Shown {
    let (before, after) = (&answer.before, &answer.after);
    let share = |count: u64| {
        let tenths = count * 1_000 / answer.asks.max(1);
        format!("{count} ({}.{} %)", tenths / 10, tenths % 10)
    };
    let mut rows = Vec::new();
    let ids: BTreeSet<_> = before.firsts.keys().chain(after.firsts.keys()).collect();
    for id in ids {
        let of = |tally: &ReplayTally| share(tally.firsts.get(id).copied().unwrap_or(0));
        rows.push(vec![format!("first: {id}"), of(before), of(after)]);
    }
    for word in ["hit", "content", "health", "route", "policy"] {
        let of = |tally: &ReplayTally| share(tally.outcomes.get(word).copied().unwrap_or(0));
        let name = if word == "hit" { "nearest".to_owned() } else { format!("miss: {word}") };
        rows.push(vec![name, of(before), of(after)]);
    }
    let far = |tally: &ReplayTally| match tally.distances {
        0 => "unknown".to_owned(),
        known => format!("{} km", tally.distance_km / known),
    };
    rows.push(vec!["mean distance".to_owned(), far(before), far(after)]);
    rows.push(vec!["nobody".to_owned(), share(before.nobody), share(after.nobody)]);
    let mut shown = Shown::table(answer, &["", "before", "after"], rows, "");
    let (asks, moved) = (answer.asks, answer.moved);
    shown.text = format!("{asks} questions, {moved} of them with another first\n{}", shown.text);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    fn bundle() -> BundleListed {
        BundleListed {
            isp: "isp-a".parse().unwrap(),
            serial: 17,
            made_at: UnixMillis(NOW.0 - 65_250),
            appliances: 4,
            areas: 2,
            prefixes: 3,
            titles: 5,
            bytes: 2_048,
            build_us: 900,
            cut: BundleCut::default(),
        }
    }

    #[test]
    fn a_bundle_is_shown_with_its_age_and_what_it_leaves_out() {
        let whole = listed_bundles(&[bundle()], None, NOW);
        assert_eq!(whole.exit, 0);
        for part in ["isp-a", "17", &show_duration(65_000), &show_bytes(2_048)] {
            assert!(whole.text.contains(part), "{part} in {}", whole.text);
        }
        assert_eq!(whole.value[0]["serial"], 17);
        let cut = BundleCut { prefixes: 12, ..BundleCut::default() };
        let cut = listed_bundles(&[BundleListed { cut, ..bundle() }], None, NOW);
        assert!(cut.value[0]["cut"]["prefixes"] == 12 && cut.text.contains("12"), "{}", cut.text);
    }

    #[test]
    fn an_isp_without_a_bundle_is_bad_news() {
        assert_eq!(listed_bundles(&[], None, NOW).exit, 0);
        let asked = listed_bundles(&[], Some(&"isp-a".parse().unwrap()), NOW);
        assert_eq!(asked.exit, 1);
        assert!(asked.text.contains("isp-a"), "{}", asked.text);
    }
}
