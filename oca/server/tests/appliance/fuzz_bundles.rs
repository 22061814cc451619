//! Hostile bundles under a good signature, as a broken control could make them, and hostile
//! questions: none stops the program, and what is answered keeps its bounds. The engine is that of
//! `oca-http`.

use std::sync::{Arc, LazyLock};

use control_token::BundleSigner;
use control_types::limits::RANKED_MAX;
use control_types::play::SteeringManifest;
use control_types::{ApplianceId, UnixMillis};
use oca::limits::STEERING_BYTES_MAX;
use oca::sovereign::{Ask, Hint, Outlook, Own, Pin, Reply, Sighting, Table, answer, open};

use crate::fuzz_tickets::engine::{Rng, Target, run};

/// Pieces of a bundle's JSON.
const PIECES: &[&[u8]] = &[
    b"\"edge-a1\"",
    b"https://",
    b"\"::/0\"",
    b"[[0,1],[2]]",
    b"[]",
    b"{}",
    b"null",
    b"-1",
    b"1e999",
    b"4294967295",
    b"18446744073709551616",
    b"\"\\u0000\"",
    b"\"draining\":true",
    b"\"full\":\"____\"",
    b"\"areas\":",
    b",",
];

static SIGNER: LazyLock<BundleSigner> = LazyLock::new(|| BundleSigner::generate().unwrap());

fn usual() -> String {
    let bundle = crate::sovereign::bundle(9, "https://edge-a2.example:8443");
    serde_json::to_string(&bundle).unwrap()
}

fn own() -> ApplianceId {
    "edge-a1".parse().unwrap()
}

#[test]
fn bundles_are_survived_and_answers_keep_their_bounds() {
    let seeds = vec![usual().into_bytes()];
    run(&Target { name: "bundle", seeds, pieces: PIECES, reshape: |_, _| false, check: check_one });
}

fn check_one(bytes: &[u8], rng: &mut Rng) -> String {
    let signed = SIGNER.seal(String::from_utf8_lossy(bytes).into_owned());
    let table = match open(&signed, &Pin::default(), &own(), false) {
        Ok(believed) => Arc::new(believed.table),
        Err(refused) => return refused.word().to_owned(),
    };
    let sighting = [Sighting::Unknown, Sighting::Alive, Sighting::Doubted, Sighting::Out];
    let hints = [None, Some(Hint::Leave), Some(Hint::Load(990)), Some(Hint::Load(0))];
    let outlook = Outlook {
        sightings: (0..rng.below(6)).map(|_| *rng.pick(&sighting)).collect(),
        own: Own {
            draining: rng.below(4) == 0,
            asked_at: (rng.below(4) == 0).then_some(UnixMillis(rng.below(usize::MAX) as u64)),
            sick: rng.below(4) == 0,
            full: rng.below(4) == 0,
            load_per_mille: rng.below(3_000) as u32,
        },
        hints: (0..rng.below(6)).map(|_| *rng.pick(&hints)).collect(),
        loads_count: rng.below(2) == 0,
        control_is_there: false,
        steps: Vec::new(),
        table,
    };
    let query = *rng.pick(&["", "pathways=edge-a1&_DASH_pathway=edge-a2", "_HLS_pathway=origin-1"]);
    told(&outlook, query, rng)
}

/// What is said to a question, in a few words.
fn told(outlook: &Outlook, query: &str, rng: &mut Rng) -> String {
    let title = rng.pick(&["night", "dawn"]).parse().unwrap();
    let address = rng.pick(&["127.0.0.1", "::1", "203.0.113.9"]).parse().unwrap();
    let reply = Reply {
        address,
        title: &title,
        subject: "play",
        ticket: Some("TICKET"),
        issued_at: Some(UnixMillis(rng.below(usize::MAX) as u64)),
        is_ending: rng.below(2) == 0,
        now: UnixMillis(rng.below(usize::MAX) as u64),
    };
    let Some(text) = answer(outlook, &reply, &Ask::of(Some(query))) else {
        return "nobody".to_owned();
    };
    assert!(text.len() <= STEERING_BYTES_MAX);
    let manifest: SteeringManifest = serde_json::from_slice(&text).unwrap();
    let mut ids = manifest.pathway_priority.clone();
    ids.sort();
    ids.dedup();
    assert!(ids.len() == manifest.pathway_priority.len() && (1..=RANKED_MAX).contains(&ids.len()));
    assert!(manifest.ttl > 0 && manifest.reload_uri.contains("/t/TICKET/v/"), "{manifest:?}");
    for clone in &manifest.pathway_clones {
        assert!(ids.contains(&clone.id) && clone.base_id != clone.id, "{manifest:?}");
    }
    format!("{} {}", ids.len(), manifest.pathway_clones.len())
}

#[test]
fn questions_are_survived() {
    let seeds = vec![b"pathways=edge-a1%2Cedge-a2&_DASH_pathway=%22edge-a2%22".to_vec()];
    let pieces: &[&[u8]] =
        &[b"pathways=", b"_HLS_pathway=", b"%22", b"%2c", b",", b"&", b"origin-1"];
    run(&Target { name: "question", seeds, pieces, reshape: |_, _| false, check: check_question });
}

fn check_question(bytes: &[u8], rng: &mut Rng) -> String {
    static TABLE: LazyLock<Arc<Table>> = LazyLock::new(|| {
        let bundle = crate::sovereign::bundle(9, "https://edge-a2.example:8443");
        Arc::new(Table::new(bundle, &own()).unwrap())
    });
    let query = String::from_utf8_lossy(bytes);
    let ask = Ask::of(Some(&query));
    assert_eq!(Ask::of(ask.again().strip_prefix('?')).pathways, ask.pathways, "{query}");
    let outlook = Outlook {
        table: Arc::clone(&TABLE),
        sightings: Vec::new(),
        hints: Vec::new(),
        own: Own::default(),
        loads_count: true,
        control_is_there: false,
        steps: Vec::new(),
    };
    format!("{} {}", told(&outlook, &query, rng), ask.current.is_some())
}
