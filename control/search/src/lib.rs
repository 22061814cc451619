//! Search: titles by name, people and genre, typing mistakes included.
//!
//! *Owns* what of a title is searched, and the rule that the index follows the catalog. *Needs* the
//! search port. *Never* knows a member: what a member may not see is filtered by the caller's rule,
//! before the answer is cut to length.

#![forbid(unsafe_code)]

mod error;
pub mod limits;
pub mod model;
mod service;

pub use error::SearchError;
pub use service::Search;
