//! What is wrong with a trace or a setting, with the line and the cure. Never a fault of the
//! simulator.

/// The caller's to mend.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A line of a trace.
    #[error("line {line}: {why}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// The sites, with every mistake in them.
    #[error("{} to mend in the sites: {}", mistakes.len(), mistakes.join("; "))]
    Setting {
        /// One sentence each.
        mistakes: Vec<String>,
    },
    /// The generator's parameters.
    #[error("the trace cannot be made: {0}")]
    Generator(String),
}
