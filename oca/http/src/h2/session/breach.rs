//! What a peer did too much of, and what became of streams: words for whoever counts them.
//! It judges nothing; `session` does.

use super::super::frame::Code;

/// The bound that a peer passed. It hears ENHANCE_YOUR_CALM whichever it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// `RESETS_MAX`: streams that ended without an answer, by its reset or by ours.
    RapidReset,
    /// `HEADER_BLOCK_BYTES_MAX` or `CONTINUATIONS_MAX`.
    HeaderBlock,
    /// `LIST_BYTES_MAX`: few bytes that stand for many.
    FieldList,
    /// `CONTROL_BYTES_MAX`: it asks, and does not read what it asked for.
    Unread,
    /// `PINGS_MAX`
    Pings,
    /// `SETTINGS_MAX`
    Settings,
    /// `IDLE_FRAMES_MAX`
    IdleFrames,
}

impl Breach {
    /// One word, for metrics and logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::RapidReset => "rapid_reset",
            Self::HeaderBlock => "header_block",
            Self::FieldList => "field_list",
            Self::Unread => "unread",
            Self::Pings => "pings",
            Self::Settings => "settings",
            Self::IdleFrames => "idle_frames",
        }
    }
}

/// Streams that were reset, since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resets {
    /// By the peer.
    pub by_peer: u32,
    /// By us: more streams than it may have, or one too late.
    pub refused: u32,
    /// By us: a window that grew past its bound, or more body than we take.
    pub flow_control: u32,
    /// By us: frames for a stream that only we had something to say on.
    pub stream_closed: u32,
    /// By us: any other rule.
    pub protocol: u32,
}

impl Resets {
    pub(super) fn note(&mut self, code: Code) {
        let count = match code {
            Code::Refused => &mut self.refused,
            Code::FlowControl => &mut self.flow_control,
            Code::StreamClosed => &mut self.stream_closed,
            _ => &mut self.protocol,
        };
        *count += 1;
    }
}
