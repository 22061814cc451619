//! A file of routes, whatever it is: MRT or text, plain or packed. Takes bytes, gives routes.
//! Opens no file and asks no name: what the bytes are shows in the bytes.

use std::io::{BufRead, BufReader, Read};

use crate::choice::Source;
use crate::limits::IMPORT_BYTES_MAX;
use crate::rib::{Feed, PrefixPath};
use crate::wire_error::WireError;
use crate::{lines, mrt};

/// What a file held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Routes, by who announced them.
    pub peers: Vec<LoadedPeer>,
    /// Records of an MRT file, or lines of a text.
    pub records: u64,
    /// Records of kinds that say nothing about routes.
    pub passed: u64,
    /// Updates whose announcements were taken as withdrawals (RFC 7606).
    pub mended: u64,
    /// It was text, not a dump.
    pub is_text: bool,
}

/// Routes of one peer in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedPeer {
    /// Its address; empty for a text file.
    pub peer: String,
    /// Its ASN; 0 for a text file.
    pub peer_as: u32,
    /// By prefix.
    pub paths: Vec<PrefixPath>,
}

impl Loaded {
    /// Routes held.
    #[must_use]
    pub fn routes(&self) -> usize {
        self.peers.iter().map(|peer| peer.paths.len()).sum()
    }

    /// The feed of one of its peers, for the site and ISP of `base`.
    #[must_use]
    pub fn feed(&self, peer: &LoadedPeer, base: &Feed) -> Feed {
        Feed {
            peer: peer.peer.clone(),
            peer_as: peer.peer_as,
            source: if self.is_text { Source::Static } else { Source::Mrt },
            ..base.clone()
        }
    }
}

/// Reads a file: MRT (RFC 6396), CSV or JSON lines; plain, gzip or bzip2.
///
/// # Errors
/// The first malformed record of MRT; up to twenty lines of a text; nothing of it is used then.
pub fn load(file: impl Read) -> Result<Loaded, WireError> {
    let mut file = BufReader::new(file);
    let start = file.fill_buf().map_err(|error| WireError::Packed(error.to_string()))?;
    match start {
        [0x1f, 0x8b, ..] => plain(flate2::bufread::MultiGzDecoder::new(file)),
        [b'B', b'Z', b'h', ..] => plain(bzip2::bufread::MultiBzDecoder::new(file)),
        _ => plain(file),
    }
}

fn plain(file: impl Read) -> Result<Loaded, WireError> {
    // One more than allowed, so that a file at the bound is told from one beyond it.
    let mut file = BufReader::with_capacity(1 << 18, file.take(IMPORT_BYTES_MAX + 1));
    let start = file.fill_buf().map_err(|error| WireError::Packed(error.to_string()))?;
    // An MRT type is two bytes and far below 256; text has no zero byte.
    let is_mrt = start.get(4).is_some_and(|byte| *byte == 0);
    let loaded = if is_mrt { mrt::read(&mut file)? } else { lines::read(&mut file)? };
    if file.into_inner().limit() == 0 {
        return Err(WireError::TooLong { bytes: usize::MAX, max: IMPORT_BYTES_MAX as usize });
    }
    Ok(loaded)
}
