//! What the log was told last, so that what lasts for hours does not fill it: the same again is
//! said once a minute, something else at once. Writes nothing itself.

use std::cell::RefCell;

use crate::limits::SAY_AGAIN_MS;

/// The last thing said of one subject.
#[derive(Debug, Default)]
pub(crate) struct Said(RefCell<Option<(u64, String)>>);

impl Said {
    /// Whether `what` is to be said at `now`, ticks; if so it counts as said.
    pub(crate) fn is_due(&self, what: &str, now: u64) -> bool {
        let mut last = self.0.borrow_mut();
        let is_due = last
            .as_ref()
            .is_none_or(|(at, said)| said != what || at.saturating_add(SAY_AGAIN_MS) <= now);
        if is_due {
            *last = Some((now, what.to_owned()));
        }
        is_due
    }
}

/// What `work` writes to the log, line by line, for tests of how much that is.
#[cfg(test)]
pub(crate) fn lines_of(work: impl FnOnce()) -> Vec<String> {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<u8>>>);

    impl Write for Heard {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let heard = Heard::default();
    let writer = heard.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::WARN)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let text = String::from_utf8(heard.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_a_minute_and_something_else_at_once() {
        let said = Said::default();
        let due = |what, now| said.is_due(what, now);
        assert!(due("full", 5) && !due("full", 6) && !due("full", 4 + SAY_AGAIN_MS));
        assert!(due("full", 5 + SAY_AGAIN_MS) && due("gone", 6 + SAY_AGAIN_MS));
        assert!(due("full", 7 + SAY_AGAIN_MS) && !due("full", 8 + SAY_AGAIN_MS));
    }
}
