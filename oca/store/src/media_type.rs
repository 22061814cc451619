//! What an object's bytes are. Not a sniffer: whoever seals an object says what it is.

/// What an object's bytes are, for the `Content-Type` of answers. A closed set: one byte on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// Anything else.
    Octets,
    /// A CMAF video track.
    VideoMp4,
    /// A CMAF audio track.
    AudioMp4,
    /// An HLS media playlist.
    HlsPlaylist,
}

impl MediaType {
    /// As HTTP writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Octets => "application/octet-stream",
            Self::VideoMp4 => "video/mp4",
            Self::AudioMp4 => "audio/mp4",
            Self::HlsPlaylist => "application/vnd.apple.mpegurl",
        }
    }

    pub(crate) fn as_byte(self) -> u8 {
        match self {
            Self::Octets => 0,
            Self::VideoMp4 => 1,
            Self::AudioMp4 => 2,
            Self::HlsPlaylist => 3,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Octets),
            1 => Some(Self::VideoMp4),
            2 => Some(Self::AudioMp4),
            3 => Some(Self::HlsPlaylist),
            _ => None,
        }
    }
}
