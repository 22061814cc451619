//! Measures fill as `cargo xtask bench fill` prints it.
//! Never a test: a figure here fails nothing.

#![forbid(unsafe_code)]

fn main() {}
