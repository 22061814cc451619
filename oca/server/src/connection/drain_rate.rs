//! How fast a client takes what waits for it, over a window. Reads no clock and closes nothing.
//!
//! A client that takes a byte now and then would never be found stalled, and holds a chunk or a
//! send buffer all the while. So while a send waits for room in the socket, what goes is counted;
//! when a window is over and less went than `slow_reader_bps` allows, the client is too slow.
//! Nothing is held against it while the server itself makes it wait: for a disk, or by pacing.

use oca_sys::Nanos;

use crate::limits::Bounds;

/// The window of one connection.
#[derive(Debug, Default)]
pub struct DrainRate {
    /// Absent while nothing waits for the client.
    began: Option<Nanos>,
    /// Taken since, bytes: by the socket.
    bytes: u64,
    /// The same, by the peer, as far as that was looked at. What it took of what the socket had
    /// before counts as well, so the two are not added.
    late_bytes: u64,
}

impl DrainRate {
    /// Bytes wait for the client from `now` on, if they did not before.
    pub fn begin(&mut self, now: Nanos) {
        if self.began.is_none() {
            *self = Self { began: Some(now), ..Self::default() };
        }
    }

    /// Nothing waits for the client, or it is not the client that is slow.
    pub fn rest(&mut self) {
        self.began = None;
    }

    /// The client took `bytes`.
    pub fn take(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// The client was found to have taken `bytes` that its socket took before.
    pub fn take_late(&mut self, bytes: u64) {
        self.late_bytes += bytes;
    }

    /// When to look at it, if nothing happens before.
    pub fn due(&self, bounds: &Bounds) -> Option<Nanos> {
        let began = self.began.filter(|_| bounds.slow_reader_bps > 0)?;
        Some(began.plus_millis(bounds.slow_reader_ms))
    }

    /// Whether a window is over in which too little went. A window in which enough went begins
    /// anew.
    pub fn is_too_slow(&mut self, now: Nanos, bounds: &Bounds) -> bool {
        let Some(began) = self.began.filter(|_| self.due(bounds).is_some_and(|due| due <= now))
        else {
            return false;
        };
        let elapsed_ms = u128::from(now.since(began) / 1_000_000);
        let wanted_bits = elapsed_ms * u128::from(bounds.slow_reader_bps) / 1000;
        if u128::from(self.bytes.max(self.late_bytes)) * 8 < wanted_bits {
            return true;
        }
        *self = Self { began: Some(now), ..Self::default() };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        handshake_ms: 1,
        head_ms: 1,
        first_byte_ms: 1,
        idle_ms: 1,
        send_progress_ms: 1,
        slow_reader_bps: 8_000,
        slow_reader_ms: 10_000,
        client_connections: 0,
        client_prefix_v4: 32,
        client_prefix_v6: 64,
    };

    fn at(ms: u64) -> Nanos {
        Nanos(0).plus_millis(ms)
    }

    #[test]
    fn a_client_is_too_slow_only_when_a_whole_window_says_so() {
        let mut rate = DrainRate::default();
        rate.begin(at(0));
        rate.begin(at(5_000));
        rate.take(9_999);
        assert!(!rate.is_too_slow(at(9_999), &BOUNDS), "the window is not over");
        assert!(rate.is_too_slow(at(10_000), &BOUNDS));
        rate.take(1);
        assert!(!rate.is_too_slow(at(10_000), &BOUNDS), "a byte more is enough");
        assert_eq!(rate.due(&BOUNDS), Some(at(20_000)), "the next window");
        assert!(rate.is_too_slow(at(20_000), &BOUNDS), "what went before does not count");
    }

    #[test]
    fn what_was_taken_late_counts_and_not_twice() {
        let mut rate = DrainRate::default();
        rate.begin(at(0));
        rate.take_late(6_000);
        rate.take_late(4_000);
        assert!(!rate.is_too_slow(at(10_000), &BOUNDS), "by the peer");
        rate.take(9_000);
        rate.take_late(9_000);
        assert!(rate.is_too_slow(at(20_000), &BOUNDS), "the same bytes, twice");
    }

    #[test]
    fn nothing_is_held_against_a_client_that_has_nothing_to_take() {
        let mut rate = DrainRate::default();
        rate.begin(at(0));
        rate.rest();
        assert_eq!(rate.due(&BOUNDS), None);
        assert!(!rate.is_too_slow(at(60_000), &BOUNDS));
        let off = Bounds { slow_reader_bps: 0, ..BOUNDS };
        rate.begin(at(0));
        assert!(!rate.is_too_slow(at(60_000), &off));
    }
}
