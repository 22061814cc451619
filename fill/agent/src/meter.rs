//! A rate cap that holds in every second wherever it begins, not on average: what arrived in the
//! last second, what was asked for and has not arrived, and what is asked for next are together
//! never more than a second's worth. Does not wait by itself and reads no clock.
//!
//! Why that is exact: take any second, and the last request granted before its end. When that was
//! granted, whatever of the second had arrived by then counted as arrived, and whatever was to
//! arrive counted as asked for; so all of it is within the cap. It holds on the wire too, because
//! bytes come over the wire after they are asked for and before they are read.
//!
//! A bucket that fills up while idle would let two seconds' worth through in one; an ISP bills the
//! peak, so there is no saving up here. What counts is what the wire carries: heads, TLS and TCP/IP
//! headers at the segment size in use are part of it.

use std::collections::VecDeque;

use crate::limits::{
    CAP_SPAN_MS, GRANT_WAIT_MS_MAX, HEAD_BYTES, HEADER_BYTES, PIECE_BYTES_LEAST, PIECE_BYTES_MIN,
    TLS_ONE_IN,
};

/// A cap that no wire reaches, bits per second.
const OPEN_BPS: u64 = u64::MAX / 16;

/// What bytes of payload cost on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire {
    /// Payload of a TCP segment, bytes.
    pub(crate) segment_bytes: u64,
}

impl Wire {
    /// Bytes on the wire for one answer of `bytes`.
    pub(crate) fn cost(self, bytes: u64) -> u64 {
        let sent = bytes + bytes / TLS_ONE_IN + HEAD_BYTES;
        sent + sent.div_ceil(self.segment_bytes.max(1)) * HEADER_BYTES
    }
}

impl Wire {
    /// What `bytes` of an answer under way cost; its head is settled at its end.
    pub(crate) fn share(self, bytes: u64) -> u64 {
        let sent = bytes + bytes / TLS_ONE_IN;
        sent + sent / self.segment_bytes.max(1) * HEADER_BYTES
    }
}

/// One cap, what arrived under it lately and what is still to arrive.
#[derive(Debug)]
pub(crate) struct Meter {
    bps_max: u64,
    /// When each arrival stops counting, and its bytes; in order of arrival.
    arrived: VecDeque<(u64, u64)>,
    arrived_bytes: u64,
    asked_bytes: u64,
}

/// Bytes that were granted and are to be settled: each `arrived` takes from it, `settle` ends it.
#[derive(Debug)]
#[must_use = "what is granted counts until it is settled"]
pub(crate) struct Grant {
    left: u64,
}

impl Meter {
    pub(crate) fn new(bps_max: u64) -> Self {
        Self { bps_max: bps_max.max(1), arrived: VecDeque::new(), arrived_bytes: 0, asked_bytes: 0 }
    }

    /// No cap; what comes is counted all the same, for the cap that may follow.
    pub(crate) fn open() -> Self {
        Self::new(OPEN_BPS)
    }

    /// Another cap from now on; what came and was asked for lately counts under it too.
    pub(crate) fn retune(&mut self, bps_max: Option<u64>) {
        self.bps_max = bps_max.unwrap_or(OPEN_BPS).max(1);
    }

    /// Largest piece to ask for at once over `wire`, bytes: a thirty-second part of a second, so
    /// that what does not divide evenly costs little of the rate; never more than one second of a
    /// small cap carries.
    pub(crate) fn piece_bytes(&self, wire: Wire) -> u64 {
        let second = self.bps_max / 8;
        let piece = (second / 32).max(PIECE_BYTES_MIN);
        let excess = wire.cost(piece).saturating_sub(second);
        // What is left out saves at least its own size on the wire.
        piece.saturating_sub(excess).max(PIECE_BYTES_LEAST)
    }

    /// Grants `cost` bytes of wire now, or answers how many milliseconds to wait before asking
    /// again.
    pub(crate) fn grant(&mut self, cost: u64, now_ms: u64) -> Result<Grant, u64> {
        self.forget(now_ms);
        let busy = self.arrived_bytes.saturating_add(self.asked_bytes);
        // Under the smallest of caps a head or a handshake alone is more than a second's worth: it
        // goes alone and counts for longer.
        if busy.saturating_add(cost) <= self.bps_max / 8 || busy == 0 {
            self.asked_bytes += cost;
            return Ok(Grant { left: cost });
        }
        let next = self
            .arrived
            .front()
            .map_or(GRANT_WAIT_MS_MAX, |(until, _)| until.saturating_sub(now_ms).max(1));
        Err(next.min(GRANT_WAIT_MS_MAX))
    }

    /// Part of a grant came.
    pub(crate) fn arrived(&mut self, grant: &mut Grant, bytes: u64, now_ms: u64) {
        let bytes = bytes.min(grant.left);
        grant.left -= bytes;
        self.count(bytes, now_ms);
    }

    /// A grant is over. What did not come may still be under way, so it counts as come now.
    pub(crate) fn settle(&mut self, grant: Grant, now_ms: u64) {
        self.count(grant.left, now_ms);
    }

    /// A grant that nothing was asked under.
    pub(crate) fn give_back(&mut self, grant: Grant) {
        self.asked_bytes = self.asked_bytes.saturating_sub(grant.left);
    }

    fn count(&mut self, bytes: u64, now_ms: u64) {
        if bytes == 0 {
            return;
        }
        self.asked_bytes = self.asked_bytes.saturating_sub(bytes);
        self.arrived_bytes += bytes;
        let counts_ms = (bytes.saturating_mul(8_000) / self.bps_max).max(CAP_SPAN_MS);
        let until = now_ms.saturating_add(counts_ms);
        match self.arrived.back_mut() {
            // Many frames come within a millisecond.
            Some((last, sum)) if *last == until => *sum += bytes,
            _ => self.arrived.push_back((until, bytes)),
        }
    }

    fn forget(&mut self, now_ms: u64) {
        while self.arrived.front().is_some_and(|(until, _)| *until <= now_ms) {
            let (_, bytes) = self.arrived.pop_front().unwrap_or_default();
            self.arrived_bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks without pause for `seconds`, through a network that delivers each piece after a delay
    /// between 0 and `jitter_ms` by the dice of `seed`; bytes of wire that arrive in each
    /// millisecond. Reading lags arrival by up to 3 ms.
    fn greedy(bps_max: u64, seconds: u64, jitter_ms: u64, seed: u64) -> Vec<u64> {
        let mut meter = Meter::new(bps_max);
        let end = seconds * 1000;
        let mut wire = vec![0; (end + jitter_ms + 1) as usize];
        let mut dice = seed;
        let mut roll = |bound: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 33) % (bound + 1)
        };
        let mut under_way: Vec<(u64, Grant, u64)> = Vec::new();
        for now in 0..end {
            let read = |(at, _, _): &(u64, Grant, u64)| *at <= now;
            while let Some(at) = under_way.iter().position(read) {
                let (_, mut grant, cost) = under_way.swap_remove(at);
                meter.arrived(&mut grant, cost, now);
                meter.settle(grant, now);
            }
            let wire_of = Wire { segment_bytes: 1448 };
            let cost = wire_of.cost(meter.piece_bytes(wire_of));
            while let Ok(grant) = meter.grant(cost, now) {
                let at = now + roll(jitter_ms);
                wire[at as usize] += cost;
                under_way.push((at + roll(3), grant, cost));
            }
        }
        wire
    }

    #[test]
    fn no_second_wherever_it_begins_exceeds_the_cap_and_nearly_all_of_it_is_used() {
        for (bps_max, jitter_ms, used) in
            [(1_000_000, 0, 96), (8_000_000, 5, 97), (1_000_000_000, 2, 98), (50_000_000, 20, 96)]
        {
            for seed in 1..4 {
                let wire = greedy(bps_max, 20, jitter_ms, seed);
                let most = wire.windows(1000).map(|second| second.iter().sum::<u64>()).max();
                assert!(most.unwrap() <= bps_max / 8, "{most:?} under {bps_max}, seed {seed}");
                let total: u64 = wire.iter().sum();
                let share = total * 8 * 100 / (bps_max * 20);
                assert!(share >= used, "{share} % of {bps_max} used, seed {seed}");
            }
        }
    }

    #[test]
    fn a_tiny_cap_holds_in_every_second_too() {
        for bps_max in [8_000, 20_000, 38_000, 64_000] {
            let wire = greedy(bps_max, 100, 0, 1);
            let most = wire.windows(1000).map(|second| second.iter().sum::<u64>()).max();
            assert!(most.unwrap() <= bps_max / 8, "{most:?} under {bps_max}");
            let total: u64 = wire.iter().sum();
            assert!(total * 8 * 100 / (bps_max * 100) >= 45, "{total} under {bps_max}");
        }
        // Below what a head takes, one goes in as many seconds as it is worth.
        let total: u64 = greedy(2_000, 100, 0, 1).iter().sum();
        assert!((15_000..27_000).contains(&total), "{total}");
    }

    #[test]
    fn what_never_came_counts_as_come_and_a_lower_cap_holds_at_once() {
        let mut meter = Meter::new(8_000_000);
        let grant = meter.grant(1_000_000, 0).unwrap();
        assert!(meter.grant(1, 500).is_err(), "asked for and not arrived");
        meter.settle(grant, 500);
        assert!(meter.grant(1, 1_500).is_err(), "it may have arrived at 500");
        let grant = meter.grant(500_000, 1_501).unwrap();
        meter.retune(Some(800_000));
        assert!(meter.grant(1, 1_501).is_err());
        meter.settle(grant, 1_501);
        assert!(meter.grant(1, 2_400).is_err());
    }
}
