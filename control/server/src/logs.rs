//! The log: JSON lines on stderr, so that stdout holds the ready line and nothing else.
//! Never holds a token, a key or a password; handlers log ids.

use tracing_subscriber::EnvFilter;

/// Starts logging; `filter` is a tracing directive that was checked with the config.
pub fn start_logs(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // A second start, as in a test that serves twice, keeps the first log.
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .try_init();
}
