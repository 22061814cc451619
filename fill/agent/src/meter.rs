//! A rate cap that holds in every second, not on average: bytes are granted before they are asked
//! for, and a grant counts until a second after it. Does not wait by itself and reads no clock.
//!
//! A bucket that fills up while idle would let two seconds' worth through in one; an ISP bills the
//! peak, so there is no saving up here.

use std::collections::VecDeque;

use crate::limits::{CAP_SPAN_MS, OVERHEAD_BYTES, PIECE_BYTES_MIN};

/// One cap and what was granted under it lately.
#[derive(Debug)]
pub(crate) struct Meter {
    bps_max: u64,
    /// When each grant stops counting, and its bytes; in order of granting.
    grants: VecDeque<(u64, u64)>,
    granted: u64,
}

impl Meter {
    pub(crate) fn new(bps_max: u64) -> Self {
        Self { bps_max: bps_max.max(1), grants: VecDeque::new(), granted: 0 }
    }

    /// Another cap from now on; what was granted lately counts under it too.
    pub(crate) fn retune(&mut self, bps_max: u64) {
        self.bps_max = bps_max.max(1);
    }

    /// Largest piece to ask for at once, bytes: a sixteenth of a second, so that what does not
    /// divide evenly costs little of the rate.
    pub(crate) fn piece_bytes(&self) -> u64 {
        (self.bps_max / 8 / 16).max(PIECE_BYTES_MIN)
    }

    /// Grants `bytes` now and answers 0, or answers how many milliseconds to wait before asking
    /// again.
    pub(crate) fn grant(&mut self, bytes: u64, now_ms: u64) -> u64 {
        while self.grants.front().is_some_and(|(until, _)| *until <= now_ms) {
            let (_, bytes) = self.grants.pop_front().unwrap_or_default();
            self.granted -= bytes;
        }
        let bytes = bytes.saturating_add(OVERHEAD_BYTES);
        let allowance = self.bps_max / 8;
        // Under a very small cap one piece is more than a second's worth: it then counts for
        // longer.
        let counts_ms = (bytes.saturating_mul(8_000) / self.bps_max).max(CAP_SPAN_MS);
        if self.granted.saturating_add(bytes) <= allowance || self.grants.is_empty() {
            self.grants.push_back((now_ms.saturating_add(counts_ms), bytes));
            self.granted += bytes;
            return 0;
        }
        let front = self.grants.front().map_or(now_ms, |(until, _)| *until);
        front.saturating_sub(now_ms).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks without pause for `seconds` and returns bytes granted at each millisecond.
    fn greedy(bps_max: u64, seconds: u64) -> Vec<u64> {
        let mut meter = Meter::new(bps_max);
        let mut granted = vec![0; (seconds * 1000) as usize];
        let mut now = 0;
        while now < seconds * 1000 {
            let piece = meter.piece_bytes();
            match meter.grant(piece, now) {
                0 => granted[now as usize] += piece + OVERHEAD_BYTES,
                wait => now += wait,
            }
        }
        granted
    }

    #[test]
    fn no_second_wherever_it_begins_exceeds_the_cap_and_most_of_it_is_used() {
        for bps_max in [1_000_000, 8_000_000, 1_000_000_000] {
            let granted = greedy(bps_max, 20);
            let most = granted.windows(1000).map(|second| second.iter().sum::<u64>()).max();
            assert!(most.unwrap() <= bps_max / 8, "{most:?} under {bps_max}");
            let total: u64 = granted.iter().sum();
            assert!(total * 8 >= bps_max * 20 * 85 / 100, "{total} under {bps_max}");
        }
    }

    #[test]
    fn a_tiny_cap_spreads_one_piece_over_seconds() {
        let total: u64 = greedy(8_000, 100).iter().sum();
        assert!(total <= 100 * 1000 + 2 * (PIECE_BYTES_MIN + OVERHEAD_BYTES), "{total}");
        assert!(total >= 80 * 1000, "{total}");
    }
}
