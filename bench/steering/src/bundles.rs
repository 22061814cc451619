//! Steering bundles of a network of full size: what one costs to make, how long it is, packed and
//! as what changed, and what a fleet fetches of it in a day. One thread.

use std::io::Write as _;
use std::time::Instant;

use control_steering::Policy;
use control_steering::bundle::{Loads, Survey, Terms};
use control_token::{BundleSigner, bundle_change, changed_bundle};
use control_types::UnixMillis;
use control_types::bundle::{BundleCut, SignedBundle, SteeringBundle};
use control_types::fleet::TicketKeys;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::machine;
use crate::network::{NOW, Network, Size, isp};

/// What one bundle came to.
struct Made {
    nanos: u64,
    bytes: usize,
    body_bytes: usize,
    packed_bytes: usize,
    change_bytes: [usize; CHANGES.len()],
    pack_nanos: u64,
    prefixes: usize,
    titles: usize,
    cut: BundleCut,
}

/// What happens to a bundle: a load, twenty titles at one box, the first network.
const CHANGES: [&str; 3] = ["load", "content", "route"];

/// Boxes of the fleet whose day is told, and how often their bundles change in it at most: content
/// and loads once a minute, health and routes once an hour.
const FLEET: u64 = 3_000;
const CONTENT_A_DAY: u64 = 24 * 60;
const OTHER_A_DAY: u64 = 24;

fn packed(body: &impl serde::Serialize) -> Result<usize, String> {
    let json = serde_json::to_vec(body).map_err(|error| error.to_string())?;
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(&json).map_err(|error| error.to_string())?;
    Ok(packer.finish().map_err(|error| error.to_string())?.len())
}

/// Packed bytes of each of `CHANGES` after `before`, put together again to be sure of it.
fn changes(
    signer: &BundleSigner,
    before: &SignedBundle,
    bundle: &SteeringBundle,
) -> Result<[usize; CHANGES.len()], String> {
    let mut all = [0; CHANGES.len()];
    for (bytes, what) in all.iter_mut().zip(CHANGES) {
        let mut next = SteeringBundle { serial: NOW.0 + 1, ..bundle.clone() };
        match what {
            "load" => {
                if let Some(one) = next.appliances.first_mut() {
                    one.load_per_mille += 100;
                }
            }
            "content" => {
                let some = next.titles.values_mut().step_by(700).take(20);
                some.for_each(|held| std::mem::swap(&mut held.full, &mut held.part));
            }
            _ => drop(next.prefixes.pop()),
        }
        let text = serde_json::to_string(&next).map_err(|error| error.to_string())?;
        let after = signer.seal(text);
        let change = bundle_change(NOW.0, &before.bundle, &after).ok_or("no change is made")?;
        if changed_bundle(before, &change).as_ref() != Some(&after) {
            return Err(format!("a change of {what} does not lead to the bundle"));
        }
        *bytes = packed(&change)?;
    }
    Ok(all)
}

/// All ISPs' bundles, one after the other, as after a start of control.
pub fn bundles(size: &Size, seed: u64) -> Result<Value, String> {
    let network = Network::build(size, seed);
    let fleet = &network.fleet;
    let before = machine::resident_bytes();
    let on_cpu = machine::on_cpu_nanos();
    let survey = Survey::of(fleet);
    let survey_ms = machine::on_cpu_nanos().saturating_sub(on_cpu) as f64 / 1e6;
    let survey_bytes = machine::resident_bytes().saturating_sub(before);
    let signer = BundleSigner::generate().map_err(|error| error.to_string())?;
    let (keys, policy, loads) = (TicketKeys::default(), Policy::default(), Loads::default());
    let began = Instant::now();
    let mut made: Vec<Made> = Vec::with_capacity(size.isps);
    for number in 0..size.isps {
        let isp = isp(number, size.isps);
        let terms = Terms {
            control_url: None,
            isp: &isp,
            ttl_s: 10,
            keys: &keys,
            policy: &policy,
            loads: &loads,
        };
        let on_cpu = machine::on_cpu_nanos();
        let draft = survey.draft(fleet, &terms);
        // Twice, as the desk does: once to compare it with the last.
        let compared = serde_json::to_string(&draft.bundle).map_err(|error| error.to_string())?;
        let bundle = SteeringBundle { serial: NOW.0, made_at: UnixMillis(NOW.0), ..draft.bundle };
        let text = serde_json::to_string(&bundle).map_err(|error| error.to_string())?;
        let bytes = text.len();
        let signed = signer.seal(text);
        let body = serde_json::to_vec(&signed).map_err(|error| error.to_string())?;
        std::hint::black_box((compared, &body));
        let nanos = machine::on_cpu_nanos().saturating_sub(on_cpu);
        let on_cpu = machine::on_cpu_nanos();
        let packed_bytes = packed(&signed)?;
        let pack_nanos = machine::on_cpu_nanos().saturating_sub(on_cpu);
        made.push(Made {
            nanos,
            bytes,
            body_bytes: body.len(),
            packed_bytes,
            change_bytes: changes(&signer, &signed, &bundle)?,
            pack_nanos,
            prefixes: bundle.prefixes.len(),
            titles: bundle.titles.len(),
            cut: draft.cut,
        });
    }
    let all_s = began.elapsed().as_secs_f64();
    let mut millis: Vec<f64> = made.iter().map(|one| one.nanos as f64 / 1e6).collect();
    millis.sort_by(f64::total_cmp);
    let at = |share: f64| millis[((millis.len() - 1) as f64 * share) as usize];
    let mean = |of: fn(&Made) -> usize| {
        made.iter().map(|one| of(one) as f64).sum::<f64>() / made.len().max(1) as f64
    };
    let change = |at: usize| {
        made.iter().map(|one| one.change_bytes[at] as f64).sum::<f64>() / made.len().max(1) as f64
    };
    let (body, whole) = (mean(|one| one.body_bytes), mean(|one| one.packed_bytes));
    let day = |content: f64, other: f64| {
        FLEET as f64 * (CONTENT_A_DAY as f64 * content + OTHER_A_DAY as f64 * other) / 1e9
    };
    Ok(json!({
        "packed_bytes_mean": whole,
        "pack_cpu_ms_mean": mean(|one| one.pack_nanos as usize) / 1e6,
        "change_bytes_mean": { "load": change(0), "content": change(1), "route": change(2) },
        "day_of_3000_boxes_gb": {
            "whole": day(body, body), "packed": day(whole, whole),
            "changes": day(change(1), change(2)),
        },
        "isps": size.isps, "appliances": fleet.states.len(), "prefixes": fleet.routes.len(),
        "titles": size.titles,
        "survey_cpu_ms": survey_ms, "survey_bytes": survey_bytes,
        "build_cpu_ms": { "p50": at(0.5), "p99": at(0.99), "max": at(1.0),
            "all": millis.iter().sum::<f64>() },
        "all_by_the_clock_s": all_s,
        "bytes": { "mean": mean(|one| one.bytes),
            "max": made.iter().map(|one| one.bytes).max().unwrap_or(0),
            "on_the_wire_mean": mean(|one| one.body_bytes) },
        "prefixes_mean": mean(|one| one.prefixes), "titles_mean": mean(|one| one.titles),
        "cut": made.iter().filter(|one| one.cut.is_some()).count(),
        "resident_bytes": machine::resident_bytes(),
    }))
}
