//! How a TLS record looks around its content, and what its seal vouches for besides. Holds no key.

use crate::limits::RECORD_CONTENT_BYTES_MAX;

/// Header of a record: type, version, length.
pub(super) const HEADER_BYTES: usize = 5;
/// Bytes of the nonce that a TLS 1.2 GCM record carries.
pub(super) const EXPLICIT_BYTES: usize = 8;

/// Types of content (RFC 8446 section 5.1).
pub const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION: u8 = 23;
/// The one handshake message that is followed here.
pub(super) const KEY_UPDATE: u8 = 24;

/// Alerts (RFC 8446 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Alert {
    /// The end of what this side says.
    CloseNotify = 0,
    /// A record that has no place here.
    UnexpectedMessage = 10,
    /// Not sealed with our key.
    BadRecordMac = 20,
    /// Longer than a record may be.
    RecordOverflow = 22,
    /// A message that cannot be read.
    DecodeError = 50,
    /// Of ours: there is no next key.
    InternalError = 80,
}

impl Alert {
    /// What its record holds: how bad, and what.
    pub fn content(self) -> [u8; 2] {
        [if self == Self::CloseNotify { 1 } else { 2 }, self as u8]
    }
}

/// How a record looks around its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Tls13,
    /// TLS 1.2 with part of the nonce in the record.
    Tls12Gcm,
    Tls12ChaCha,
}

impl Shape {
    /// Bytes between header and content.
    pub(super) fn explicit_bytes(self) -> usize {
        if self == Self::Tls12Gcm { EXPLICIT_BYTES } else { 0 }
    }

    /// Longest record that may come in, without its header (RFC 8446 5.2, RFC 5246 6.2.3).
    pub(super) fn sealed_bytes_max(self) -> usize {
        match self {
            Self::Tls13 => RECORD_CONTENT_BYTES_MAX + 256,
            Self::Tls12Gcm | Self::Tls12ChaCha => RECORD_CONTENT_BYTES_MAX + 2048,
        }
    }
}

/// What the seal of record `number` vouches for.
pub(super) fn beside(
    shape: Shape,
    header: [u8; HEADER_BYTES],
    number: u64,
    content_bytes: usize,
) -> Beside {
    let mut bytes = [0; 13];
    if shape == Shape::Tls13 {
        bytes[..HEADER_BYTES].copy_from_slice(&header);
        return Beside { bytes, count: HEADER_BYTES };
    }
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes[8..11].copy_from_slice(&header[..3]);
    // A record's content is at most 2^14 + 2048 bytes.
    bytes[11..].copy_from_slice(&(content_bytes as u16).to_be_bytes());
    Beside { bytes, count: 13 }
}

/// What a record's seal vouches for besides its content.
pub(super) struct Beside {
    bytes: [u8; 13],
    count: usize,
}

impl Beside {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.count]
    }
}
