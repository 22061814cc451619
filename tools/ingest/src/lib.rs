//! From a video file to a title that members can play: probe, encode, package, seal, publish,
//! register. Not a media server and not a transcoder farm: one source at a time, on the machine it
//! runs on.

#![forbid(unsafe_code)]

pub mod artwork;
pub mod boxes;
mod child;
pub mod cli;
pub mod encode;
pub mod error;
pub mod ingest;
pub mod ladder;
pub mod package;
pub mod playlist;
pub mod probe;
pub mod publish;
pub mod register;
mod scenes;
pub mod sources;
pub mod track;

pub use error::IngestError;
pub use ingest::{Order, Outcome, Words, ingest};
