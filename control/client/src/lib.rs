//! Speaks to the control plane over HTTP: one method per endpoint, typed bodies, typed refusals.
//! Never retries a change, never keeps state between calls, needs nothing but a running tokio.

#![forbid(unsafe_code)]

mod appliance;
mod client;
mod error;
mod identity;
mod member;
mod operator;
mod play;
mod registration;
mod routes;

pub use client::{ControlClient, Credential};
pub use error::ClientError;
pub use identity::{fleet_authority, store_identity};
