//! The segment server of an appliance: sealed objects to players, one thread and one ring a core.
//! Never writes an object, never asks another process on the path of a segment.

#![forbid(unsafe_code)]

pub mod access_log;
pub mod admin;
pub mod clients;
pub mod cmcd;
pub mod config;
pub mod connection;
pub mod counters;
pub mod devices;
pub mod engine;
pub mod files;
pub mod handover;
pub mod heat;
pub mod hot_set;
pub mod identity;
pub mod library;
pub mod limits;
pub mod listen;
pub mod metrics;
pub mod notify;
pub mod outcome;
pub mod pacing;
pub mod peers;
pub mod protocol;
pub mod rules;
pub mod server;
pub mod sovereign;
pub mod state;
pub mod tickets;
pub mod tls;
pub mod worker;

pub use worker::{Command, Seat, Shared, Turned, Worker, WorkerParts};
