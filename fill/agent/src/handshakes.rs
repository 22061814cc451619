//! What handshakes with sources cost and how they fail, for metrics. Makes none.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Why there is no connection with keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// No answer in time.
    TimedOut,
    /// The source's certificate is not believed.
    Untrusted,
    /// The line broke, or the two did not agree.
    Failed,
    /// The window closed under it, or the agent stopped.
    PutDown,
}

impl Broken {
    const ALL: [Self; 4] = [Self::TimedOut, Self::Untrusted, Self::Failed, Self::PutDown];

    fn word(self) -> &'static str {
        match self {
            Self::TimedOut => "timed-out",
            Self::Untrusted => "untrusted",
            Self::Failed => "failed",
            Self::PutDown => "put-down",
        }
    }

    /// What a TLS client's error comes to.
    pub(crate) fn of(error: &std::io::Error) -> Self {
        let tls = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        if matches!(tls, Some(rustls::Error::InvalidCertificate(_))) {
            Self::Untrusted
        } else {
            Self::Failed
        }
    }
}

/// All TLS handshakes since the agent began.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    done: Cell<u64>,
    took: Cell<Duration>,
    broken: [Cell<u64>; Broken::ALL.len()],
}

/// One under way; dropped before its end it was put down.
#[derive(Debug)]
pub(crate) struct Shaking<'a> {
    of: &'a Handshakes,
    since: Instant,
    ended: Broken,
    is_done: bool,
}

impl Handshakes {
    pub(crate) fn begin(&self) -> Shaking<'_> {
        Shaking { of: self, since: Instant::now(), ended: Broken::PutDown, is_done: false }
    }

    /// How many succeeded.
    pub(crate) fn done(&self) -> u64 {
        self.done.get()
    }

    /// Seconds of all, those that failed too.
    pub(crate) fn seconds(&self) -> f64 {
        self.took.get().as_secs_f64()
    }

    /// Failures by word.
    pub(crate) fn broken(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Broken::ALL.into_iter().zip(&self.broken).map(|(why, count)| (why.word(), count.get()))
    }
}

impl Shaking<'_> {
    pub(crate) fn done(mut self) {
        self.is_done = true;
    }

    pub(crate) fn broke(mut self, why: Broken) {
        self.ended = why;
    }
}

impl Drop for Shaking<'_> {
    fn drop(&mut self) {
        self.of.took.set(self.of.took.get() + self.since.elapsed());
        let count = if self.is_done {
            &self.of.done
        } else {
            let at = Broken::ALL.iter().position(|why| *why == self.ended);
            &self.of.broken[at.unwrap_or(0)]
        };
        count.set(count.get() + 1);
    }
}
