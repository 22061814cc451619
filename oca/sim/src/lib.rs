//! A whole machine in virtual time, drawn from one seed: clock, disks, network, clients, faults.
//! The real server runs on it unchanged; nothing here is in a release, and a seed is a bug report.

#![forbid(unsafe_code)]

pub mod agenda;
pub mod answer;
pub mod client;
pub mod disk;
pub mod kernel;
mod loan;
pub mod multiplexed;
mod network;
mod parts;
pub mod script;
pub mod shelf;
pub mod story;
pub mod tls;
pub mod viewer;
pub mod weather;
pub mod world;

pub use answer::Complaint;
pub use client::{Client, ClientSide, ServerEnd};
pub use disk::{Disk, Flaw, Outage, OutageKind};
pub use kernel::SimKernel;
pub use multiplexed::{Conduct, Streamer, Windows};
pub use script::{Ask, Expected};
pub use shelf::Shelf;
pub use story::{Story, Summary, run};
pub use tls::Keys;
pub use viewer::{Manners, Pace, Viewer};
pub use weather::Weather;
pub use world::World;
