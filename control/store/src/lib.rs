//! The ports of the control plane — ledger, activity, cache, events, search, blobs — and their
//! embedded adapters. Holds state, never decides: rules live in the services above.
//!
//! *Owns* every byte the control plane keeps on disk. *Needs* one private directory.
//! *Never* speaks HTTP, reads the environment or knows what a member may do.
//!
//! | port | holds | embedded adapter |
//! |---|---|---|
//! | [`Ledger`] | accounts, plans, titles, fleet, windows, keys (strong) | SQLite, synced |
//! | [`Activity`] | plays and positions (available) | SQLite, its own file |
//! | [`Cache`] | counters, leases, short-lived answers | in-process |
//! | [`Events`] | everything observed, in order | segmented log |
//! | [`SearchIndex`] | titles, people, genres | tantivy |
//! | [`Blobs`] | artwork | local directory |

#![forbid(unsafe_code)]

mod activity;
mod blobs;
mod cache;
pub mod embedded;
mod error;
mod events;
pub mod ledger;
pub mod limits;
mod open;
mod search;

pub use activity::{Activity, BookmarkRow, PlayRow, WatchCursor};
pub use blobs::Blobs;
pub use cache::Cache;
pub use error::StoreError;
pub use events::{EventRow, Events, Offset};
pub use ledger::Ledger;
pub use open::{Ports, open_embedded};
pub use search::{SearchEntry, SearchHit, SearchIndex};
