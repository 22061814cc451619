//! How fast an answer goes: what a ticket allows, what a player says it needs. Pure.
//! Never slower than the media plays, and never faster than the ticket's cap.
//!
//! A player whose buffer is full gains nothing from a burst, and bursts are what fills queues in
//! the network between it and us. So, in bits a second:
//!
//! ```text
//! base   = the higher of br and tb; without tb twice br (the next rung)   encoded bitrate
//! floor  = base * factor_percent / 100                                    (1.5 times unless set)
//! wanted = no limit                        while bl < buffer_low_ms, or bs, or su, or not media
//!        = rtp                             if the player says it
//!        = floor * (8 .. 1)                falling in a line from buffer_low_ms to buffer_full_ms
//!        = no limit                        if it says too little
//! pace   = the higher of wanted and floor, but never above the ticket's cap / sending connections
//! ```
//! The base is not the bitrate alone: a player that measures 1.5 times of what it plays would never
//! climb to a rung of twice that. The cap is a promise to the operator and beats the floor.
//!
//! What the kernel is told is in bytes a second of what goes over the wire, [`WIRE_PERCENT`] more
//! than the media, rounded down to four significant bits: a pace that moves by less than six in a
//! hundred costs no system call.

use crate::cmcd::Player;
use crate::config::PacingConfig;

/// At the lower end of the buffer's range an answer goes so many times as fast as at the upper.
const LOW_BUFFER_TIMES: u64 = 8;
/// Bytes on the wire for 100 bytes of media: heads, TLS records, TCP and IP.
const WIRE_PERCENT: u64 = 105;
/// Bits that are kept of a pace.
const BITS_KEPT: u32 = 4;

/// How fast a player wants its answer, bits a second; `None`: as fast as it goes.
#[must_use]
pub fn wanted_bps(player: &Player, pacing: &PacingConfig) -> Option<u64> {
    if !pacing.cmcd || player.is_urgent || player.is_small {
        return None;
    }
    if player.buffer_ms.is_some_and(|buffer_ms| buffer_ms < pacing.buffer_low_ms) {
        return None;
    }
    let floor_bps = floor_bps(player, pacing);
    if let Some(kbps) = player.requested_kbps.filter(|kbps| *kbps > 0) {
        return Some(kbps.saturating_mul(1000).max(floor_bps.unwrap_or(0)));
    }
    let (floor_bps, buffer_ms) = floor_bps.zip(player.buffer_ms)?;
    let range_ms = pacing.buffer_full_ms.saturating_sub(pacing.buffer_low_ms).max(1);
    let left_ms = pacing.buffer_full_ms.saturating_sub(buffer_ms).min(range_ms);
    let beyond = u128::from(floor_bps) * u128::from(LOW_BUFFER_TIMES - 1) * u128::from(left_ms)
        / u128::from(range_ms);
    Some(floor_bps.saturating_add(u64::try_from(beyond).unwrap_or(u64::MAX)))
}

fn floor_bps(player: &Player, pacing: &PacingConfig) -> Option<u64> {
    let encoded = player.bitrate_kbps.filter(|kbps| *kbps > 0)?;
    let base = match player.top_kbps {
        Some(top) => encoded.max(top),
        None => encoded.saturating_mul(2),
    };
    Some(base.saturating_mul(1000).saturating_mul(pacing.factor_percent) / 100)
}

/// The pace of one of `sending` connections of a ticket with `cap_bps`, bits a second.
#[must_use]
pub fn pace_bps(wanted_bps: Option<u64>, cap_bps: Option<u64>, sending: u32) -> Option<u64> {
    let share = cap_bps.map(|cap| (cap / u64::from(sending.max(1))).max(1));
    match (wanted_bps, share) {
        (Some(wanted), Some(share)) => Some(wanted.min(share)),
        (one, other) => one.or(other),
    }
}

/// What the kernel is told for a pace, bytes a second.
#[must_use]
pub fn wire_bytes_per_second(pace_bps: u64) -> u64 {
    let bytes = pace_bps.saturating_mul(WIRE_PERCENT) / 800;
    let dropped = bytes.checked_ilog2().unwrap_or(0).saturating_sub(BITS_KEPT - 1);
    (bytes >> dropped << dropped).max(1)
}

/// The pace of media that is left of what the kernel was told, bits a second.
#[must_use]
pub fn media_bps(wire_bytes_per_second: u64) -> u64 {
    wire_bytes_per_second.saturating_mul(800) / WIRE_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACING: PacingConfig = PacingConfig {
        cmcd: true,
        buffer_low_ms: 8_000,
        buffer_full_ms: 30_000,
        factor_percent: 150,
    };

    fn player(bl: u64, br: u64) -> Player {
        Player {
            buffer_ms: Some(bl),
            bitrate_kbps: Some(br),
            top_kbps: Some(br),
            ..Player::default()
        }
    }

    #[test]
    fn an_empty_buffer_is_filled_fast_and_a_full_one_at_the_floor() {
        let check =
            |bl, wanted| assert_eq!(wanted_bps(&player(bl, 4_000), &PACING), wanted, "{bl}");
        check(0, None);
        check(7_999, None);
        check(8_000, Some(48_000_000));
        check(19_000, Some(27_000_000));
        check(30_000, Some(6_000_000));
        check(600_000, Some(6_000_000));
    }

    #[test]
    fn what_the_player_asks_for_counts_but_never_below_the_floor() {
        let asks = |rtp| Player { requested_kbps: Some(rtp), ..player(20_000, 4_000) };
        assert_eq!(wanted_bps(&asks(20_000), &PACING), Some(20_000_000));
        assert_eq!(wanted_bps(&asks(1_000), &PACING), Some(6_000_000), "1.5 times the bitrate");
        assert_eq!(wanted_bps(&asks(0), &PACING), wanted_bps(&player(20_000, 4_000), &PACING));
        let hungry = Player { buffer_ms: Some(100), ..asks(20_000) };
        assert_eq!(wanted_bps(&hungry, &PACING), None, "an empty buffer beats what it asks for");
        let only = Player { requested_kbps: Some(9_000), ..Player::default() };
        assert_eq!(wanted_bps(&only, &PACING), Some(9_000_000));
    }

    #[test]
    fn who_says_little_or_is_in_need_is_not_slowed_down() {
        assert_eq!(wanted_bps(&Player::default(), &PACING), None);
        assert_eq!(
            wanted_bps(&Player { buffer_ms: Some(60_000), ..Player::default() }, &PACING),
            None
        );
        let full = player(60_000, 4_000);
        assert_eq!(wanted_bps(&Player { is_urgent: true, ..full }, &PACING), None);
        assert_eq!(wanted_bps(&Player { is_small: true, ..full }, &PACING), None);
        assert_eq!(wanted_bps(&full, &PacingConfig { cmcd: false, ..PACING }), None);
    }

    #[test]
    fn pacing_leaves_room_to_climb() {
        let low_rung = Player { top_kbps: Some(8_000), ..player(60_000, 1_000) };
        assert_eq!(wanted_bps(&low_rung, &PACING), Some(12_000_000), "the top rung's");
        let unknown = Player { top_kbps: None, ..player(60_000, 1_000) };
        assert_eq!(wanted_bps(&unknown, &PACING), Some(3_000_000), "the next rung's");
    }

    #[test]
    fn a_cap_is_shared_and_beats_everything() {
        assert_eq!(pace_bps(None, None, 3), None);
        assert_eq!(pace_bps(Some(5), None, 3), Some(5));
        assert_eq!(pace_bps(None, Some(9_000), 3), Some(3_000));
        assert_eq!(pace_bps(Some(2_000), Some(9_000), 3), Some(2_000));
        assert_eq!(pace_bps(Some(8_000), Some(9_000), 0), Some(8_000));
        assert_eq!(pace_bps(None, Some(2), 5), Some(1), "never nothing");
    }

    #[test]
    fn the_kernel_hears_bytes_in_steps_and_never_more_than_a_sixteenth_too_few() {
        for pace in [1, 8_000, 999_999, 6_000_000, 123_456_789, 40_000_000_000, u64::MAX] {
            let exact = pace.saturating_mul(WIRE_PERCENT) / 800;
            let told = wire_bytes_per_second(pace);
            assert!(told <= exact.max(1) && told >= exact - exact / 8, "{pace}: {told} of {exact}");
            assert!(media_bps(told) <= pace.max(7), "no more media than asked for: {pace}");
        }
        assert_eq!(wire_bytes_per_second(6_000_000), wire_bytes_per_second(6_050_000));
    }
}
