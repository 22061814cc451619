//! Billing: what an account's plan entitles it to. Takes no money and calls no payment provider.
//!
//! *Owns* the list of plans and each account's subscription. *Needs* the ledger and the event log.
//! *Never* counts live streams itself: whoever watches plays tells it how many there are.

#![forbid(unsafe_code)]

mod error;
mod model;
mod service;

pub use error::BillingError;
pub use model::{Entitled, FIRST_PLAN, Verdict, plans};
pub use service::{Billing, TOPIC};
