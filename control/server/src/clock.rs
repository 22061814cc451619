//! The process's clock, handed to whoever needs "now".
//! Never read by a service itself.

use std::time::{SystemTime, UNIX_EPOCH};

use control_types::UnixMillis;

/// Now, by the machine's clock.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
