//! Starts the real programs on free ports in a private folder, and plays as a member would.
//! For stories across processes and for the demo; holds no fakes and nothing that ships.

#![forbid(unsafe_code)]

pub mod binaries;
pub mod crowd;
pub mod inspect;
pub mod nodes;
pub mod pki;
pub mod player;
pub mod process;
pub mod sources;
pub mod trouble;
pub mod world;

pub use binaries::Binaries;
pub use crowd::{Crowd, Seen, Watching};
pub use player::{Player, Track, Viewing};
pub use trouble::Trouble;
pub use world::{World, WorldPlan};
