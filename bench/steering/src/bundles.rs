//! Steering bundles of a network of full size: what one costs to make, and how long it is. One
//! thread.

use std::time::Instant;

use control_steering::Policy;
use control_steering::bundle::{Loads, Survey, Terms};
use control_token::BundleSigner;
use control_types::UnixMillis;
use control_types::bundle::{BundleCut, SteeringBundle};
use control_types::fleet::TicketKeys;
use serde_json::{Value, json};

use crate::machine;
use crate::network::{NOW, Network, Size, isp};

/// What one bundle came to.
struct Made {
    nanos: u64,
    bytes: usize,
    body_bytes: usize,
    prefixes: usize,
    titles: usize,
    cut: BundleCut,
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
        let terms = Terms { isp: &isp, ttl_s: 10, keys: &keys, policy: &policy, loads: &loads };
        let on_cpu = machine::on_cpu_nanos();
        let draft = survey.draft(fleet, &terms);
        // Twice, as the desk does: once to compare it with the last.
        let compared = serde_json::to_string(&draft.bundle).map_err(|error| error.to_string())?;
        let bundle = SteeringBundle { serial: NOW.0, made_at: UnixMillis(NOW.0), ..draft.bundle };
        let text = serde_json::to_string(&bundle).map_err(|error| error.to_string())?;
        let bytes = text.len();
        let body = serde_json::to_vec(&signer.seal(text)).map_err(|error| error.to_string())?;
        std::hint::black_box((compared, &body));
        made.push(Made {
            nanos: machine::on_cpu_nanos().saturating_sub(on_cpu),
            bytes,
            body_bytes: body.len(),
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
    Ok(json!({
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
