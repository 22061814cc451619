//! What a hostile client sends too much of: each a known way to make a server work for nothing, one
//! beyond the bound that the server has for it.

use fastrand::Rng;
use oca_http::h2::{CONTINUATIONS_MAX, IDLE_FRAMES_MAX, PINGS_MAX, RESETS_MAX, SETTINGS_MAX};

use super::frames::{
    CANCEL, CONTINUATION, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame,
};

/// A request for nothing that is there.
const BLOCK: &[u8] = b"\x82\x87\x84\x41\x01a";

/// A kind of flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// Requests that are taken back at once.
    Resets,
    /// Pings.
    Pings,
    /// Settings.
    Settings,
    /// A header block without end.
    Continuations,
    /// Windows opened by a byte.
    Crumbs,
}

impl Flood {
    /// Any.
    pub fn draw(random: &mut Rng) -> Self {
        match random.u8(..16) {
            // It takes ten thousand frames.
            0 => Self::Crumbs,
            1..=4 => Self::Resets,
            5..=8 => Self::Pings,
            9..=12 => Self::Settings,
            _ => Self::Continuations,
        }
    }

    /// All of it; streams from `next_id` on are free.
    pub(super) fn bytes(self, next_id: u32, random: &mut Rng) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Resets => {
                // Every answer makes up for one: none of these can be answered.
                for round in 0..=RESETS_MAX {
                    let id = next_id + 2 * round;
                    bytes.extend(frame(HEADERS, 4, id, BLOCK));
                    bytes.extend(frame(RST_STREAM, 0, id, &CANCEL.to_be_bytes()));
                }
            }
            Self::Pings => {
                let ping = frame(PING, 0, 0, &random.u64(..).to_be_bytes());
                bytes.extend(ping.repeat(2 * PINGS_MAX as usize + 1));
            }
            Self::Settings => {
                bytes.extend(frame(SETTINGS, 0, 0, &[]).repeat(2 * SETTINGS_MAX as usize + 1));
            }
            Self::Continuations => {
                bytes.extend(frame(HEADERS, 1, next_id, BLOCK));
                for _ in 0..=CONTINUATIONS_MAX {
                    bytes.extend(frame(CONTINUATION, 0, next_id, b""));
                }
            }
            Self::Crumbs => {
                let crumb = frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes());
                bytes.extend(crumb.repeat(IDLE_FRAMES_MAX as usize + 1));
            }
        }
        bytes
    }
}
