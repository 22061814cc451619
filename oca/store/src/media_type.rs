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
    /// A DASH manifest.
    DashManifest,
    /// Subtitles.
    WebVtt,
    /// A still, such as a thumbnail or a piece of artwork.
    Jpeg,
    /// JSON of any kind.
    Json,
    /// Words for people.
    Text,
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
            Self::DashManifest => "application/dash+xml",
            Self::WebVtt => "text/vtt; charset=utf-8",
            Self::Jpeg => "image/jpeg",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    pub(crate) fn as_byte(self) -> u8 {
        match self {
            Self::Octets => 0,
            Self::VideoMp4 => 1,
            Self::AudioMp4 => 2,
            Self::HlsPlaylist => 3,
            Self::DashManifest => 4,
            Self::WebVtt => 5,
            Self::Jpeg => 6,
            Self::Json => 7,
            Self::Text => 8,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Octets),
            1 => Some(Self::VideoMp4),
            2 => Some(Self::AudioMp4),
            3 => Some(Self::HlsPlaylist),
            4 => Some(Self::DashManifest),
            5 => Some(Self::WebVtt),
            6 => Some(Self::Jpeg),
            7 => Some(Self::Json),
            8 => Some(Self::Text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_on_disk_means_one_type_or_none() {
        let known: Vec<u8> = (0..=u8::MAX).filter(|b| MediaType::from_byte(*b).is_some()).collect();
        assert_eq!(known, (0..=8).collect::<Vec<u8>>());
        for byte in known {
            assert_eq!(MediaType::from_byte(byte).map(MediaType::as_byte), Some(byte));
        }
    }
}
