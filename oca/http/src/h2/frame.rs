//! Frames of HTTP/2 (RFC 9113 section 4): nine bytes that say what follows. It judges only form.

/// Bytes before each payload.
pub const FRAME_HEAD_BYTES: usize = 9;

/// Longest payload that either side sends here, bytes: the default, which we never raise.
pub const FRAME_BYTES_MAX: usize = 16_384;

/// What a client says first.
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// Of SETTINGS and PING.
pub(super) const ACK: u8 = 1;
/// Of DATA and HEADERS.
pub(super) const END_STREAM: u8 = 1;
/// Of HEADERS and CONTINUATION.
pub(super) const END_HEADERS: u8 = 4;
/// Of DATA and HEADERS.
pub(super) const PADDED: u8 = 8;
/// Of HEADERS.
pub(super) const HAS_PRIORITY: u8 = 0x20;

/// Why a stream or a connection ends (RFC 9113 section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Code {
    /// Nothing is wrong.
    NoError = 0,
    /// The peer broke a rule.
    Protocol = 1,
    /// We cannot go on with it.
    Internal = 2,
    /// More was sent than the window allowed, or the window grew past its bound.
    FlowControl = 3,
    /// A frame for a stream that has ended.
    StreamClosed = 5,
    /// A frame of a wrong length.
    FrameSize = 6,
    /// Nothing was done for it: it may be asked again.
    Refused = 7,
    /// It is not wanted any more.
    Cancel = 8,
    /// A header block that cannot be read.
    Compression = 9,
    /// The peer makes more work than it takes answers.
    EnhanceYourCalm = 11,
}

impl Code {
    /// As the standard calls it, in small letters: for metrics and logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoError => "no_error",
            Self::Protocol => "protocol_error",
            Self::Internal => "internal_error",
            Self::FlowControl => "flow_control_error",
            Self::StreamClosed => "stream_closed",
            Self::FrameSize => "frame_size_error",
            Self::Refused => "refused_stream",
            Self::Cancel => "cancel",
            Self::Compression => "compression_error",
            Self::EnhanceYourCalm => "enhance_your_calm",
        }
    }
}

/// The nine bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Length of what follows.
    pub bytes: usize,
    /// One of the ten kinds, or one we do not know.
    pub kind: u8,
    /// What they mean depends on the kind.
    pub flags: u8,
    /// 0 for the connection.
    pub stream: u32,
}

impl FrameHead {
    /// Reads the head at the start of `bytes`; `None` when there are too few.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, d, e, f, g] = *bytes.first_chunk::<FRAME_HEAD_BYTES>()?;
        let bytes = u32::from_be_bytes([0, a, b, c]) as usize;
        // The first bit means nothing and is ignored.
        let stream = u32::from_be_bytes([d, e, f, g]) & 0x7fff_ffff;
        Some(Self { bytes, kind, flags, stream })
    }

    /// The nine bytes of it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; FRAME_HEAD_BYTES] {
        debug_assert!(self.bytes <= FRAME_BYTES_MAX);
        let [_, a, b, c] = (self.bytes as u32).to_be_bytes();
        let [d, e, f, g] = self.stream.to_be_bytes();
        [a, b, c, self.kind, self.flags, d, e, f, g]
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Adds a whole frame to `into`.
pub(super) fn put(into: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let head = FrameHead { bytes: payload.len(), kind, flags, stream };
    into.extend_from_slice(&head.to_bytes());
    into.extend_from_slice(payload);
}

/// The payload of DATA or HEADERS without its padding.
pub(super) fn unpad(flags: u8, payload: &[u8]) -> Option<&[u8]> {
    if flags & PADDED == 0 {
        return Some(payload);
    }
    let (padding, padded) = payload.split_first()?;
    let bytes = padded.len().checked_sub(usize::from(*padding))?;
    padded.get(..bytes)
}

/// The number in the first four bytes.
pub(super) fn number(payload: &[u8]) -> Option<u32> {
    payload.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_back_as_they_went() {
        let head = FrameHead { bytes: 16_384, kind: DATA, flags: 9, stream: 0x7fff_fffe };
        assert_eq!(FrameHead::read(&head.to_bytes()), Some(head));
        assert_eq!(FrameHead::read(&head.to_bytes()[..8]), None);
    }

    #[test]
    fn padding_is_inside_the_frame() {
        assert_eq!(unpad(PADDED, &[1, 7, 0]), Some(&[7][..]));
        assert_eq!(unpad(PADDED, &[2, 0, 0]), Some(&[][..]));
        assert_eq!(unpad(PADDED, &[3, 0, 0]), None);
        assert_eq!(unpad(PADDED, &[]), None);
        assert_eq!(unpad(0, &[3, 0, 0]), Some(&[3, 0, 0][..]));
    }
}
