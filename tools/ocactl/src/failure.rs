//! Why a verb failed: a sentence that names the thing and the cure.
//! Not for programs: they look at the exit code.

use std::fmt;
use std::io::Write;

/// What is printed before exiting with 1.
#[derive(Debug)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says something beside the answer: progress, or why there is none. Whoever reads it may be gone
/// (`ocactl … 2>&1 | head`), which stops no work.
pub fn tell(words: impl fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

macro_rules! from_error {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self(error.to_string())
            }
        })+
    };
}

from_error!(control_client::ClientError, control_types::IdError);

impl From<oca_store::StoreError> for Failure {
    fn from(error: oca_store::StoreError) -> Self {
        Self(error.in_full())
    }
}
