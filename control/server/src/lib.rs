//! The control plane as one process: configuration, wiring, background work, listening.
//! Holds no rule of any service; it decides only what is plugged into what.

#![forbid(unsafe_code)]

mod background;
mod bmp;
mod clock;
mod config;
mod keys;
pub mod limits;
mod listen;
mod logs;
mod rotation;
mod seats;
mod serve;
mod tls;
mod trouble;
mod wiring;

pub use config::{AppliancesConfig, BgpConfig, Config, RouterConfig};
pub use logs::start_logs;
pub use serve::{serve, serve_over};
pub use trouble::Trouble;
