//! Which HTTP a connection speaks, and the words for how HTTP/2 ends streams and connections.
//! Closed sets with one word for each member, as in `outcome`; they decide nothing.
//!
//! Which of the two ends a slow reader meets follows RFC 9113. A window belongs to a stream or to
//! the connection (section 5.2.1), and an error ends what it belongs to (5.4):
//!
//! | what is too slow | what it hears |
//! |---|---|
//! | one stream's window | RST_STREAM with CANCEL (7: "no longer needed"); the others go on |
//! | the connection's window | GOAWAY with ENHANCE_YOUR_CALM (10.5: tiny windows make work) |
//! | the socket itself | the same, if what is under way goes in `LINGER_MS_MAX`; then a close |

use oca_http::h2::{Breach, Code, Resets};

use crate::outcome::words;

words! {
    /// What is spoken on a connection.
    Protocol {
        /// HTTP/1.1, and until it is known.
        H1 = "h1",
        /// HTTP/2.
        H2 = "h2",
    }
}

words! {
    /// Why we sent a GOAWAY.
    GoAway {
        /// We leave: drained, or it was idle for too long. No error.
        Leaving = "leaving",
        /// It broke a rule of frames or streams.
        Protocol = "protocol_error",
        /// It sent more than our window, or let one of its own grow past its bound.
        FlowControl = "flow_control_error",
        /// It went on with a stream that it had ended.
        StreamClosed = "stream_closed",
        /// A frame of a wrong length.
        FrameSize = "frame_size_error",
        /// A header block that cannot be read.
        Compression = "compression_error",
        /// `RESETS_MAX`
        RapidReset = "rapid_reset",
        /// `HEADER_BLOCK_BYTES_MAX` or `CONTINUATIONS_MAX`
        HeaderBlock = "header_block",
        /// `LIST_BYTES_MAX`
        FieldList = "field_list",
        /// `CONTROL_BYTES_MAX`
        Unread = "unread",
        /// `PINGS_MAX`
        Pings = "pings",
        /// `SETTINGS_MAX`
        Settings = "settings",
        /// `IDLE_FRAMES_MAX`
        IdleFrames = "idle_frames",
        /// The connection's window let less through than `slow_reader_bps`.
        SlowReader = "slow_reader",
        /// The connection's window stayed shut for `send_progress_ms`.
        Stalled = "stalled",
    }
}

words! {
    /// Why a stream was reset.
    StreamReset {
        /// The peer did not want it any more.
        ByPeer = "by_peer",
        /// More streams than it may have, or one after our GOAWAY.
        Refused = "refused_stream",
        /// A window that grew past its bound, or more body than we take.
        FlowControl = "flow_control_error",
        /// Frames for a stream that only we had something to say on.
        StreamClosed = "stream_closed",
        /// A malformed request, or any other rule.
        Protocol = "protocol_error",
        /// The disk failed or a chunk was bad after the head was sent.
        Cut = "cut",
        /// Its window stayed shut for `send_progress_ms`.
        Stalled = "stalled",
        /// Its window let less through than its part of `slow_reader_bps`.
        SlowReader = "slow_reader",
    }
}

words! {
    /// Which window held an answer up.
    Window {
        /// Of its stream.
        Stream = "stream",
        /// Of the connection.
        Connection = "connection",
    }
}

impl GoAway {
    /// Why a session of HTTP/2 failed with `code`.
    #[must_use]
    pub fn of(code: Code, breach: Option<Breach>) -> Self {
        match (breach, code) {
            (Some(Breach::RapidReset), _) => Self::RapidReset,
            (Some(Breach::HeaderBlock), _) => Self::HeaderBlock,
            (Some(Breach::FieldList), _) => Self::FieldList,
            (Some(Breach::Unread), _) => Self::Unread,
            (Some(Breach::Pings), _) => Self::Pings,
            (Some(Breach::Settings), _) => Self::Settings,
            (Some(Breach::IdleFrames), _) => Self::IdleFrames,
            (None, Code::FlowControl) => Self::FlowControl,
            (None, Code::StreamClosed) => Self::StreamClosed,
            (None, Code::FrameSize) => Self::FrameSize,
            (None, Code::Compression) => Self::Compression,
            (None, Code::NoError) => Self::Leaving,
            (None, _) => Self::Protocol,
        }
    }
}

impl StreamReset {
    /// How often each happened.
    pub fn each(resets: Resets) -> impl Iterator<Item = (Self, u32)> {
        let Resets { by_peer, refused, flow_control, stream_closed, protocol } = resets;
        [
            (Self::ByPeer, by_peer),
            (Self::Refused, refused),
            (Self::FlowControl, flow_control),
            (Self::StreamClosed, stream_closed),
            (Self::Protocol, protocol),
        ]
        .into_iter()
    }
}
