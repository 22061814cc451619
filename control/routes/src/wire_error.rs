//! What is wrong with bytes from a router or a dump. One error ends its session or file, and
//! nothing else.

/// Why bytes are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field reaches past the end of what holds it.
    #[error("{what} is cut short: {wanted} bytes wanted, {left} left")]
    Short {
        /// The part being read.
        what: &'static str,
        /// Bytes it needs.
        wanted: usize,
        /// Bytes there are.
        left: usize,
    },
    /// A field holds what it must not.
    #[error("{what} is {found}, which it must not be")]
    Bad {
        /// The field.
        what: &'static str,
        /// Its value.
        found: u64,
    },
    /// A message is longer than we hold.
    #[error("a message of {bytes} bytes is longer than {max}: is this BMP?")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// Our bound.
        max: usize,
    },
    /// A bound of ours is reached.
    #[error("{what}: {max} are the most there may be")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// A compressed file does not unpack.
    #[error("the file does not unpack: {0}")]
    Packed(String),
    /// Lines of a text file, each with its number and the cure.
    #[error("{}", .0.join("; "))]
    Lines(Vec<String>),
}

impl WireError {
    /// One word for the metric's label.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Short { .. } => "short",
            Self::Bad { .. } => "bad",
            Self::TooLong { .. } => "too_long",
            Self::TooMany { .. } => "too_many",
            Self::Packed(_) => "packed",
            Self::Lines(_) => "lines",
        }
    }
}
