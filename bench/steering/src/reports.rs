//! What reports cost: their text read, folded in, and the snapshot made again as often as control
//! does. HTTP and TLS are not in it.

use std::time::Instant;

use control_steering::{Settings, Steering};
use control_store::open_embedded;
use control_types::UnixMillis;
use control_types::content::{HeldDigest, HeldKeys, held_key};
use control_types::fleet::{ApplianceReport, DiskClass, HeldUpdate, Site};
use serde_json::{Value, json};

use crate::machine;
use crate::network::{NOW, object, record, report};

/// Rounds of all appliances.
const ROUNDS: u64 = 5;
/// Interval of a round in the promise, milliseconds.
const ROUND_MS: u64 = 10_000;
/// Objects in the largest set that is sent.
const OBJECTS: u32 = 1_000_000;

/// Reports of `appliances` boxes, five rounds.
pub fn ingest(appliances: usize, seed: u64) -> Result<Value, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(ingest_in(appliances, seed))
}

async fn ingest_in(appliances: usize, seed: u64) -> Result<Value, String> {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.map_err(|error| error.to_string())?;
    let ports = open_embedded(folder.path()).await.map_err(|error| error.to_string())?;
    let mut site_before = String::new();
    for number in 0..appliances {
        let record = record(number);
        if record.site.as_str() != site_before {
            site_before = record.site.to_string();
            let site = Site {
                id: record.site.clone(),
                isp: "isp".parse().map_err(|_| "a slug")?,
                name: site_before.clone(),
                latitude: 0.0,
                longitude: 0.0,
                prefixes: Vec::new(),
                fails_as_one: false,
            };
            ports.ledger.put_site(&site).await.map_err(|error| error.to_string())?;
        }
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        let put = ports.ledger.put_appliance(&record, &key, NOW).await;
        put.map_err(|error| error.to_string())?;
    }
    let settings = Settings::default();
    let began = Instant::now();
    let opened = Steering::open(ports.ledger.clone(), settings).await;
    let steering = opened.map_err(|error| error.to_string())?;
    let opened_ms = began.elapsed().as_millis() as u64;
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut taken_s, mut bytes, mut composed_s, mut composed) = (0.0, 0usize, 0.0, 0u64);
    for round in 1..=ROUNDS {
        let texts: Vec<Vec<u8>> = (0..appliances)
            .map(|number| {
                let report = report(&record(number), round, random.u64(0..20_000_000_000));
                serde_json::to_vec(&report).unwrap_or_default()
            })
            .collect();
        bytes += texts.iter().map(Vec::len).sum::<usize>();
        let began = Instant::now();
        for (number, text) in texts.iter().enumerate() {
            let at = number as u64 * ROUND_MS / appliances as u64;
            let now = UnixMillis(NOW.0 + round * ROUND_MS + at);
            let report: ApplianceReport =
                serde_json::from_slice(text).map_err(|error| error.to_string())?;
            steering.report(report, now).map_err(|error| error.to_string())?;
        }
        taken_s += began.elapsed().as_secs_f64();
        // Five times a second is what a fleet of this size is looked at, when anybody asks.
        let began = Instant::now();
        for step in 0..ROUND_MS / 200 {
            let now = UnixMillis(NOW.0 + (round + 1) * ROUND_MS + step * 1_000);
            std::hint::black_box(steering.fleet_at(now));
            composed += 1;
        }
        composed_s += began.elapsed().as_secs_f64();
    }
    let reports = (appliances as u64 * ROUNDS) as f64;
    let per_report_us = taken_s / reports * 1e6;
    let per_snapshot_us = composed_s / composed as f64 * 1e6;
    let second = appliances as f64 / (ROUND_MS as f64 / 1_000.0) * per_report_us / 1e6;
    let cores = second + 5.0 * per_snapshot_us / 1e6;
    Ok(json!({
        "appliances": appliances,
        "report_bytes_mean": bytes as f64 / reports,
        "per_report_us": per_report_us,
        "per_snapshot_us": per_snapshot_us,
        "cores_at_one_report_in_10_s": cores,
        "without": "HTTP and TLS",
        "opened_ms": opened_ms,
        "content": content(&mut random),
        "peak_bytes": machine::peak_bytes(),
    }))
}

/// What the largest content set and a change of it cost on the wire.
fn content(random: &mut fastrand::Rng) -> Value {
    let keys: HeldKeys =
        (0..OBJECTS).map(|number| held_key(&object(number), DiskClass::Ssd)).collect();
    let began = Instant::now();
    let bytes = keys.encode();
    let encode_ms = began.elapsed().as_secs_f64() * 1e3;
    let began = Instant::now();
    let same = HeldKeys::decode(&bytes).is_ok_and(|read| read == keys);
    let decode_ms = began.elapsed().as_secs_f64() * 1e3;
    // Names that are not held, and are taken for held because a fingerprint is.
    let asked = 20_000_000u32;
    let held = |number: u32| {
        let key = held_key(&object(OBJECTS + number), DiskClass::Ssd);
        keys.as_slice().binary_search(&key).is_ok()
    };
    let wrong = (0..asked / 10).filter(|number| held(*number)).count();
    let added: HeldKeys = (0..1_200)
        .map(|_| held_key(&object(random.u32(OBJECTS..u32::MAX)), DiskClass::Ssd))
        .collect();
    let update = HeldUpdate {
        base: HeldDigest::of(&keys).to_string(),
        added,
        removed: HeldKeys::default(),
        objects: u64::from(OBJECTS),
        bytes: 0,
    };
    json!({
        "objects": OBJECTS,
        "bytes": bytes.len(),
        "bits_an_object": bytes.len() as f64 * 8.0 / f64::from(OBJECTS),
        "text_bytes": bytes.len().div_ceil(3) * 4,
        "encode_ms": encode_ms, "decode_ms": decode_ms, "read_back": same,
        "not_held_asked": asked / 10, "taken_for_held": wrong,
        "change_of_1200_bytes": serde_json::to_vec(&update).map_or(0, |text| text.len()),
    })
}
