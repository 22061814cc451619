//! The real agent against small real servers: a control plane that answers orders, and HTTPS
//! sources that lie, stall, truncate and count what they send. Never on a fixed port; nothing is
//! left behind.

// A panic is the report.
#![allow(clippy::unwrap_used)]

mod bench;
mod chaos;
mod clocks;
mod disk;
mod faults;
mod foreground;
mod metrics;
mod once;
mod orders;
mod source;
mod tiers;
mod windows;
