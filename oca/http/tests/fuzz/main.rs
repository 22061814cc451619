//! Hostile bytes for every parser of this crate: a corpus, damaged at random, with what is new
//! about how it is taken kept for the next round. Needs no compiler of its own, so it runs in every
//! test.
//!
//! `NIGHTFILL_FUZZ_SECONDS=60 cargo test -p oca-http --test fuzz` runs each target for a minute and
//! writes what it finds into `oca/http/corpus`; without, a fixed number of rounds is run and
//! nothing is written. `NIGHTFILL_FUZZ_SEED` replays.

#![forbid(unsafe_code)]

mod engine;
mod frames;
mod heads;
mod ranges;
