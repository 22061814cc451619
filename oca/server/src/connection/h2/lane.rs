//! The pace of one stream among those of its connection: its own by pauses, the sum by the kernel.
//! Reads no clock, and holds no byte.
//!
//! ```text
//! stream:      pace = min(what its player wants, its share of the ticket's cap)     (`pacing`)
//! connection:  the kernel paces the sum of its streams' paces; nothing, while one has none
//! stream:      a bucket of `STREAM_BURST_MS`, filled at its pace; empty: a pause to half full
//! ```
//! The kernel knows one rate for a socket. Were that all, a stream whose window is shut would leave
//! its part to the others, and a slow stream would take from a fast one what it does not need. And
//! what the kernel may queue for a paced socket is seconds' worth, which another stream's first
//! byte would wait behind: so no stream is handed over faster than it may go. An answer as short as
//! `SMALL_BODY_BYTES_MAX` has no lane: it is gone before a pace could matter.

use oca_sys::{Kernel, Nanos};

use super::member::Member;
use crate::connection::Connection;
use crate::connection::admit::Turn;
use crate::connection::tempo::{self, Share, Told};
use crate::limits::{SMALL_BODY_BYTES_MAX, STREAM_BURST_MS};
use crate::rules::Rules;
use crate::worker::Station;
use oca_http::h2::FRAME_BYTES_MAX;

/// One stream's pace.
pub struct Lane {
    wanted_bps: Option<u64>,
    share: Option<Share>,
    /// In force; absent: as fast as it goes.
    bps: Option<u64>,
    /// Bytes that may go now; below zero after a frame that was longer.
    credit: i64,
    /// When the credit was counted.
    counted_at: Nanos,
    paused_until: Option<Nanos>,
}

impl Lane {
    /// Takes the pace of an answer out of `turn`; `None` where it does not matter.
    pub fn take(turn: &mut Turn, head: &[u8], rules: &Rules, now: Nanos) -> Option<Box<Self>> {
        let bytes = turn.extent.end.saturating_sub(turn.extent.start);
        let counts = turn.has_body() && bytes > SMALL_BODY_BYTES_MAX;
        let lane = counts.then(|| Self {
            wanted_bps: rules.wanted_bps(&tempo::player(&turn.extent.note, head)),
            share: Share::of(turn),
            bps: None,
            // As much as a bucket holds, whatever that will be.
            credit: i64::MAX,
            counted_at: now,
            paused_until: None,
        });
        // It is kept here, and not by `send`.
        turn.rate_bps_max = None;
        lane.map(Box::new)
    }

    /// What it may go at, shared as it is now, bits a second.
    fn pace_bps(&self) -> Option<u64> {
        Share::pace_bps(self.share.as_ref(), self.wanted_bps)
    }

    /// In force, bits a second.
    pub fn bps(&self) -> Option<u64> {
        self.bps
    }

    fn set(&mut self, bps: Option<u64>) {
        if self.bps != bps {
            self.bps = bps;
            // A pause was as long as the old pace wanted it.
            self.paused_until = None;
        }
    }

    /// Whether a frame may go at `now`; if not, there is a pause from here on.
    pub fn may_go(&mut self, now: Nanos) -> bool {
        let Some(bps) = self.bps else { return true };
        let burst = burst_bytes(bps);
        let gained = u128::from(now.since(self.counted_at)) * u128::from(bps) / 8_000_000_000;
        let gained = i64::try_from(gained).unwrap_or(i64::MAX);
        if gained > 0 {
            self.counted_at = now;
        }
        self.credit = self.credit.saturating_add(gained).min(burst);
        if self.credit > 0 {
            return true;
        }
        let wanted = u128::from((burst / 2 - self.credit).unsigned_abs());
        let nanos = wanted * 8_000_000_000 / u128::from(bps.max(1));
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX).max(1);
        self.paused_until = Some(Nanos(self.counted_at.0.saturating_add(nanos).max(now.0 + 1)));
        false
    }

    /// A frame with so much media was written.
    pub fn went(&mut self, bytes: u64) {
        if self.bps.is_some() {
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            self.credit = self.credit.saturating_sub(bytes);
        }
    }

    /// When to go on, if the pace says to wait.
    pub fn paused_until(&self) -> Option<Nanos> {
        self.paused_until
    }

    /// Ends a pause.
    pub fn resume(&mut self) {
        self.paused_until = None;
    }
}

/// What may go at once, bytes: a frame at least.
fn burst_bytes(bps: u64) -> i64 {
    let bytes = (bps / 8).saturating_mul(STREAM_BURST_MS) / 1000;
    i64::try_from(bytes).unwrap_or(i64::MAX / 4).clamp(FRAME_BYTES_MAX as i64, i64::MAX / 4)
}

/// Tells the kernel the sum of what the streams may go at, and each stream its part of what the
/// kernel was told. Without a stream that counts, all stays as it is.
pub fn settle<K: Kernel>(
    members: &mut [Member],
    connection: &mut Connection,
    station: &mut Station<K>,
) {
    let mut lanes = members.iter().filter_map(|member| member.lane()).peekable();
    if lanes.peek().is_none() {
        return;
    }
    let sum = lanes.try_fold(0u64, |sum, lane| Some(sum.saturating_add(lane.pace_bps()?)));
    let told = tempo::tell(connection, station, sum);
    // It takes steps, always downwards: what is handed over faster would queue up.
    let scale = match (told, sum, connection.tempo.told_media_bps()) {
        (Told::Kernel, Some(sum), Some(told)) => Some((told, sum.max(1))),
        _ => None,
    };
    for lane in members.iter_mut().filter_map(Member::lane_mut) {
        let pace = lane.pace_bps().map(|pace| scaled(pace, scale));
        lane.set(pace);
    }
}

fn scaled(pace: u64, scale: Option<(u64, u64)>) -> u64 {
    let Some((told, sum)) = scale else { return pace };
    let part = u128::from(pace) * u128::from(told) / u128::from(sum);
    u64::try_from(part).unwrap_or(u64::MAX).clamp(1, pace.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(bps: u64) -> Lane {
        Lane {
            wanted_bps: None,
            share: None,
            bps: Some(bps),
            credit: i64::MAX,
            counted_at: Nanos(0),
            paused_until: None,
        }
    }

    /// Bytes that go in `seconds`, in frames of 16 KiB, looked at every time a pause ends.
    fn sent(lane: &mut Lane, seconds: u64) -> u64 {
        let (mut now, mut bytes) = (Nanos(0), 0);
        while now.0 < seconds * 1_000_000_000 {
            while lane.may_go(now) {
                lane.went(FRAME_BYTES_MAX as u64);
                bytes += FRAME_BYTES_MAX as u64;
            }
            let until = lane.paused_until().expect("a pause has an end");
            assert!(until > now, "time goes on");
            lane.resume();
            now = until;
        }
        bytes
    }

    #[test]
    fn a_lane_lets_through_its_pace_and_one_burst() {
        for bps in [100_000, 1_000_000, 8_000_000, 50_000_000, 900_000_000] {
            let bytes = sent(&mut lane(bps), 20);
            let wanted = bps / 8 * 20;
            let beyond = burst_bytes(bps) as u64 * 3 / 2 + 2 * FRAME_BYTES_MAX as u64;
            assert!((wanted..=wanted + beyond).contains(&bytes), "{bps}: {bytes} of {wanted}");
        }
    }

    #[test]
    fn nothing_is_saved_up_beyond_a_burst_and_a_faster_pace_ends_a_pause() {
        let mut lane = lane(8_000_000);
        while lane.may_go(Nanos(0)) {
            lane.went(10_000);
        }
        assert!(lane.paused_until().is_some());
        lane.set(Some(80_000_000));
        assert_eq!(lane.paused_until(), None);
        let mut bytes = 0;
        while lane.may_go(Nanos(3_600_000_000_000)) {
            lane.went(10_000);
            bytes += 10_000;
        }
        assert!(bytes <= burst_bytes(80_000_000) + 10_000, "{bytes} after an idle hour");
    }

    #[test]
    fn any_pace_and_any_clock_are_survived() {
        for bps in [1, 7, 1 << 40, u64::MAX] {
            let mut lane = lane(bps);
            for now in [0, 1, 1 << 62, u64::MAX - 1, 5] {
                let mut frames = 0;
                while frames < 10 && lane.may_go(Nanos(now)) {
                    lane.went(1 << 40);
                    frames += 1;
                }
                lane.resume();
            }
        }
        assert_eq!(scaled(10, Some((90, 100))), 9);
        assert_eq!(scaled(10, Some((200, 100))), 10, "never more than it may");
        assert_eq!(scaled(u64::MAX, Some((u64::MAX, u64::MAX))), u64::MAX);
    }
}
