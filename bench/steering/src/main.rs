//! Measures steering as `cargo xtask bench steering` prints it.
//! Never a test: a figure here fails nothing.

#![forbid(unsafe_code)]

fn main() {}
