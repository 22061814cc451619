//! Catalog: the titles there are, where they may be played and what files they are made of.
//!
//! *Owns* title records and artwork. *Needs* the ledger, the blobs and the event log. *Never*
//! reads media (that lives on appliances), ranks for a member, or touches SQL on a press of play:
//! all reads come from a snapshot in memory.

#![forbid(unsafe_code)]

mod check;
mod error;
mod model;
mod service;

pub use check::mistakes;
pub use error::CatalogError;
pub use model::{GenreShelf, Listed, Snapshot, image_type};
pub use service::{Catalog, TOPIC};
