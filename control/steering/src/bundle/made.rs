//! One signed bundle, packed as it is sent, and what changed since those before it. Signs nothing.
//!
//! Of a bundle of megabytes a change is a few lines, and appliances hold one of the last few: what
//! leads from each of these to the newest is kept, put together step by step, until it is no longer
//! much shorter than the whole. Texts are kept packed only: a thousand ISPs have one each.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use control_token::{bundle_change, bundle_changes};
use control_types::bundle::{BundleChange, BundleListed, SignedBundle};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::limits::CHANGES_MAX;

/// One signed bundle.
#[derive(Debug)]
pub struct Made {
    /// Its serial.
    pub serial: u64,
    /// What is in it.
    pub listed: BundleListed,
    packed: Arc<[u8]>,
    changes: BTreeMap<u64, Told>,
}

/// What leads here from an earlier bundle.
#[derive(Debug)]
struct Told {
    change: BundleChange,
    packed: Arc<[u8]>,
}

impl Made {
    /// The newest of an ISP, after `last`.
    pub(super) fn after(last: Option<&Self>, signed: &SignedBundle, listed: BundleListed) -> Self {
        let packed = packed(signed);
        let changes = last.map(|last| last.changes_to(signed, packed.len())).unwrap_or_default();
        Self { serial: listed.serial, listed, packed, changes }
    }

    /// JSON of `SignedBundle`.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let read = GzDecoder::new(&*self.packed).read_to_end(&mut body);
        read.expect("what was packed here unpacks");
        body
    }

    /// The same as gzip, shared by all who fetch it.
    #[must_use]
    pub fn packed(&self) -> Arc<[u8]> {
        Arc::clone(&self.packed)
    }

    /// Gzip of the JSON of a `BundleChange`; `None` where `serial` is not remembered.
    #[must_use]
    pub fn packed_since(&self, serial: u64) -> Option<Arc<[u8]>> {
        self.changes.get(&serial).map(|told| Arc::clone(&told.packed))
    }

    fn changes_to(&self, next: &SignedBundle, whole_bytes: usize) -> BTreeMap<u64, Told> {
        let before = serde_json::from_slice::<SignedBundle>(&self.body()).ok();
        let step = before.and_then(|one| bundle_change(self.serial, &one.bundle, next));
        let Some(step) = step else { return BTreeMap::new() };
        let earlier = self.changes.values().rev().take(CHANGES_MAX - 1);
        let mut all: Vec<BundleChange> =
            earlier.filter_map(|told| bundle_changes(&told.change, &step)).collect();
        all.push(step);
        let told = all.into_iter().map(|change| Told { packed: packed(&change), change });
        let told = told.filter(|told| told.packed.len() <= whole_bytes / 2);
        told.map(|told| (told.change.since, told)).collect()
    }
}

fn packed(body: &impl Serialize) -> Arc<[u8]> {
    let json = serde_json::to_vec(body).expect("what is sent is strings");
    let mut packer = GzEncoder::new(Vec::with_capacity(json.len() / 3), Compression::default());
    packer.write_all(&json).expect("a vector takes all");
    packer.finish().expect("a vector takes all").into()
}
