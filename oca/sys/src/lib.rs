//! The kernel as safe types.
pub mod buffer;
pub mod kernel;
