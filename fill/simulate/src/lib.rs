//! A demand trace replayed through forecast, plan, windows and tiers, beside the policies of others.
//! Pure: never reads a file or a clock.

#![forbid(unsafe_code)]
