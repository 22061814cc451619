//! Recommendations: the rows of a home page and what goes with a title, from who watched what.
//!
//! *Owns* the co-watching model, a versioned snapshot that is rebuilt in the background, and what
//! is trending. *Needs* the activity port to learn from. *Never* fails: a member nothing is known
//! of gets what is trending and what is new, and a model that cannot be rebuilt stays as it was.

#![forbid(unsafe_code)]

pub mod limits;
pub mod model;
mod rows;
mod service;
pub mod shelf;

pub use model::{Model, Watch};
pub use rows::RowPlan;
pub use service::Recommender;
pub use shelf::{CatalogEntry, Shelf};
