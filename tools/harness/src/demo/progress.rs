//! One line a step, with the time it took.
//! Goes to stderr: stdout belongs to results.

use std::time::Instant;

use nightfill_harness::Trouble;

/// Counts time from the demo's start.
pub struct Progress {
    began: Instant,
}

impl Progress {
    /// Starts the clock.
    #[must_use]
    pub fn begin() -> Self {
        Self { began: Instant::now() }
    }

    /// Says that `what` is done, or puts it in front of what went wrong.
    ///
    /// # Errors
    /// The outcome's own.
    pub fn step<T>(&self, what: &str, outcome: Result<T, Trouble>) -> Result<T, Trouble> {
        let seconds = self.began.elapsed().as_secs_f32();
        match outcome {
            Ok(value) => {
                eprintln!("[{seconds:6.1} s] {what}");
                Ok(value)
            }
            Err(trouble) => Err(trouble.while_doing(what)),
        }
    }
}
