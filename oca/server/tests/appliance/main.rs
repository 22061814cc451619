//! The real program over real sockets, volumes and keys: what a member, a peer and an operator see.
//! One test binary, so that it links once.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a panic is a test's report")]

mod access_log;
mod bounds;
mod control;
mod crowd;
mod differential;
mod elsewhere;
mod encrypted;
mod fuzz_bundles;
mod fuzz_tickets;
mod h2_bounds;
mod h2_paced;
mod h2_wire;
mod idle_memory;
mod integrity;
mod kit;
mod lending;
mod life;
mod listings;
mod multiplexed;
mod paced;
mod resumed;
mod serving;
mod sessions;
mod sovereign;
mod sovereign_next;
mod storage;
mod tickets;
mod upgrade;
mod wire;
