//! The one error of the harness: a sentence for the person who reads a failed story.
//! Not for programs: nothing matches on it.

use std::fmt;

/// What went wrong, naming the thing and, where there is one, the cure.
#[derive(Debug)]
pub struct Trouble(pub String);

impl Trouble {
    /// Puts what was being done in front of what happened.
    #[must_use]
    pub fn while_doing(self, what: &str) -> Self {
        Self(format!("{what}: {}", self.0))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}

macro_rules! from_error {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for Trouble {
            fn from(error: $error) -> Self {
                Self(error.to_string())
            }
        })+
    };
}

from_error!(
    std::io::Error,
    serde_json::Error,
    rcgen::Error,
    control_client::ClientError,
    control_types::IdError,
    reqwest::Error,
);
