//! Goal: what a router says in BMP is what the table holds, and bytes that are no BMP change
//! nothing. Method: messages made here byte by byte, whole sessions, every truncation, random bits.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod decode;
mod hostile;
mod session;
mod wire;
