//! The seal: the head of every object file, which proves each chunk of the payload against the
//! name. Knows bytes only: it opens no file and writes none.
//!
//! Why chaining values: an object is named by the plain BLAKE3 hash of its payload. The table holds
//! the BLAKE3 chaining value of each 256 KiB subtree, so a seal from an untrusted source is checked
//! by merging the table up to the name, and from then on every chunk is checked on its own, in any
//! order, without a second hash and without trusting whoever sent the table.
//!
//! The seal region, in order (little endian); fixed fields first so that a reader can size the
//! rest:
//!
//! ```text
//!   0..6    magic  6..8 version   8..12 CRC-32C of the region with these four bytes zero
//!  12..16   chunks               16..24 payload bytes      24..56 object id
//!  56       media type           57     title length       58..64 zero
//!  64..128  title, zero padded
//! 128..     chunks x 32 bytes of chaining values, zero padded to 4096: the payload starts there
//! ```

use std::io::{self, Read};

use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root,
};
use control_types::limits::{CHUNK_BYTES, OBJECT_BYTES_MAX, SLUG_BYTES_MAX};
use control_types::{ObjectId, TitleId};

use crate::media_type::MediaType;

/// Payload offsets are multiples of this, so that a direct read of chunk n needs no shifting.
pub const SEAL_ALIGN_BYTES: u64 = 4096;

/// Bytes before the table of chaining values.
pub const SEAL_HEAD_BYTES: usize = 128;

const MAGIC: &[u8; 6] = b"NFSEAL";
const VERSION: u16 = 1;
const CV_BYTES: usize = 32;
const TITLE_AT: usize = 64;

const _: () = assert!(TITLE_AT + SLUG_BYTES_MAX == SEAL_HEAD_BYTES);
const _: () = assert!(OBJECT_BYTES_MAX / CHUNK_BYTES <= u32::MAX as u64);

/// Why bytes are not a seal. Whoever sent them is to blame; another source may do better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not the length that its own payload size demands.
    #[error("the seal region is {got} bytes and must be {wanted}")]
    Length {
        /// Bytes given.
        got: u64,
        /// Bytes demanded.
        wanted: u64,
    },
    /// Not a seal at all.
    #[error("no seal magic: this is not an object file")]
    Magic,
    /// Written by a later release.
    #[error("seal version {0} is not known; upgrade this program")]
    Version(u16),
    /// Damaged.
    #[error("the seal's checksum does not match: the region is damaged")]
    Checksum,
    /// Larger than an object may be.
    #[error("{0} payload bytes are more than an object may have")]
    TooLarge(u64),
    /// A field is outside its range.
    #[error("the seal's {0} is not valid")]
    Field(&'static str),
    /// The table is not that of the named object.
    #[error("the chunk table does not hash to the object's name")]
    Table,
}

/// A checked seal: the table is known to merge to the object's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    object: ObjectId,
    bytes: u64,
    title: TitleId,
    media_type: MediaType,
    chunk_cvs: Vec<ChainingValue>,
}

impl Seal {
    /// Name of the object: the BLAKE3 hash of its payload.
    #[must_use]
    pub fn object(&self) -> ObjectId {
        self.object
    }

    /// Payload length, bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The title it belongs to.
    #[must_use]
    pub fn title(&self) -> &TitleId {
        &self.title
    }

    /// What the payload is.
    #[must_use]
    pub fn media_type(&self) -> MediaType {
        self.media_type
    }

    /// One chaining value per chunk. An object of one chunk has its own name here, because a tree
    /// with a single leaf has no inner node to take a chaining value from.
    #[must_use]
    pub fn chunk_cvs(&self) -> &[ChainingValue] {
        &self.chunk_cvs
    }

    /// Number of chunks: 0 for an empty payload.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        chunks_for(self.bytes)
    }

    /// Where the payload starts in the object's file: a multiple of [`SEAL_ALIGN_BYTES`].
    #[must_use]
    pub fn payload_offset(&self) -> u64 {
        Self::region_bytes_for(self.bytes)
    }

    /// Length of the object's file: seal region and payload.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.payload_offset() + self.bytes
    }

    /// Length of the seal region of an object with this payload, so that a reader knows how much to
    /// read before it has seen the seal.
    #[must_use]
    pub fn region_bytes_for(payload_bytes: u64) -> u64 {
        let table = payload_bytes.div_ceil(CHUNK_BYTES) * CV_BYTES as u64;
        (SEAL_HEAD_BYTES as u64 + table).next_multiple_of(SEAL_ALIGN_BYTES)
    }

    /// Payload bytes covered by chunk `index`, as an offset range in the payload; `None` past the
    /// end.
    #[must_use]
    pub fn chunk_range(&self, index: u32) -> Option<std::ops::Range<u64>> {
        if index >= self.chunks() {
            return None;
        }
        let start = u64::from(index) * CHUNK_BYTES;
        Some(start..(start + CHUNK_BYTES).min(self.bytes))
    }

    /// Whether `chunk` is exactly chunk `index` of the object. False for a wrong length or index.
    #[must_use]
    pub fn verify_chunk(&self, index: u32, chunk: &[u8]) -> bool {
        let Some(range) = self.chunk_range(index) else { return false };
        if chunk.len() as u64 != range.end - range.start {
            return false;
        }
        self.chunk_cvs
            .get(index as usize)
            .is_some_and(|cv| *cv == chunk_cv(self, range.start, chunk))
    }

    /// The seal region: `payload_offset()` bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut region = vec![0u8; Self::region_bytes_for(self.bytes) as usize];
        region[0..6].copy_from_slice(MAGIC);
        region[6..8].copy_from_slice(&VERSION.to_le_bytes());
        region[12..16].copy_from_slice(&self.chunks().to_le_bytes());
        region[16..24].copy_from_slice(&self.bytes.to_le_bytes());
        region[24..56].copy_from_slice(&self.object.0);
        region[56] = self.media_type.as_byte();
        let title = self.title.as_str().as_bytes();
        // A slug is at most SLUG_BYTES_MAX = 64 bytes, so its length fits a byte.
        region[57] = title.len() as u8;
        region[TITLE_AT..TITLE_AT + title.len()].copy_from_slice(title);
        let table = region[SEAL_HEAD_BYTES..].chunks_exact_mut(CV_BYTES);
        for (slot, cv) in table.zip(&self.chunk_cvs) {
            slot.copy_from_slice(cv);
        }
        let crc = crc32c::crc32c(&region);
        region[8..12].copy_from_slice(&crc.to_le_bytes());
        region
    }

    /// Checks a whole seal region: length, checksum, fields, and that the table is the object's.
    /// Title, media type, and the length within the last chunk, are what the sender says: compare
    /// them with what was ordered before trusting a seal from the network.
    ///
    /// # Errors
    /// Any damage or lie, as [`SealError`].
    pub fn decode(region: &[u8]) -> Result<Self, SealError> {
        let wanted = region_bytes_from_head(region)?;
        if region.len() as u64 != wanted {
            return Err(SealError::Length { got: region.len() as u64, wanted });
        }
        let crc = crc32c::crc32c_append(crc32c::crc32c(&region[..8]), &[0; 4]);
        if crc32c::crc32c_append(crc, &region[12..]).to_le_bytes() != region[8..12] {
            return Err(SealError::Checksum);
        }
        let bytes = le_u64(region, 16);
        let chunks = chunks_for(bytes) as usize;
        if region[12..16] != chunks_for(bytes).to_le_bytes() {
            return Err(SealError::Field("chunk count"));
        }
        let mut object = [0u8; 32];
        object.copy_from_slice(&region[24..56]);
        let media_type = MediaType::from_byte(region[56]).ok_or(SealError::Field("media type"))?;
        let title = decode_title(region[57], &region[TITLE_AT..SEAL_HEAD_BYTES])
            .ok_or(SealError::Field("title"))?;
        let table_end = SEAL_HEAD_BYTES + chunks * CV_BYTES;
        let chunk_cvs: Vec<ChainingValue> = region[SEAL_HEAD_BYTES..table_end]
            .chunks_exact(CV_BYTES)
            .map(|cv| cv.try_into().expect("chunks_exact yields 32 bytes"))
            .collect();
        if region[58..64].iter().chain(&region[table_end..]).any(|b| *b != 0) {
            return Err(SealError::Field("padding"));
        }
        let object = ObjectId(object);
        if merge(&chunk_cvs, bytes) != object {
            return Err(SealError::Table);
        }
        Ok(Self { object, bytes, title, media_type, chunk_cvs })
    }

    /// The same object under another title, for a pull that was begun with stale words.
    #[must_use]
    pub fn with_title(mut self, title: TitleId, media_type: MediaType) -> Self {
        self.title = title;
        self.media_type = media_type;
        self
    }
}

/// Length of the seal region that starts with `head`, at least [`SEAL_HEAD_BYTES`] of it.
///
/// # Errors
/// Not a seal, an unknown version, or a payload size over the bound. The checksum is not looked at.
pub fn region_bytes_from_head(head: &[u8]) -> Result<u64, SealError> {
    if head.len() < SEAL_HEAD_BYTES {
        let wanted = SEAL_HEAD_BYTES as u64;
        return Err(SealError::Length { got: head.len() as u64, wanted });
    }
    if head[0..6] != *MAGIC {
        return Err(SealError::Magic);
    }
    let version = u16::from_le_bytes([head[6], head[7]]);
    if version != VERSION {
        return Err(SealError::Version(version));
    }
    let bytes = le_u64(head, 16);
    if bytes > OBJECT_BYTES_MAX {
        return Err(SealError::TooLarge(bytes));
    }
    Ok(Seal::region_bytes_for(bytes))
}

/// Reads `payload` to its end and makes its seal. Holds one chunk in memory.
///
/// # Errors
/// The reader's own, or `InvalidInput` for a payload over `OBJECT_BYTES_MAX`.
pub fn seal_reader(
    mut payload: impl Read,
    title: TitleId,
    media_type: MediaType,
) -> io::Result<Seal> {
    let mut whole = blake3::Hasher::new();
    let mut chunk_cvs = Vec::new();
    let mut chunk = vec![0u8; CHUNK_BYTES as usize];
    let mut bytes = 0u64;
    loop {
        let filled = fill(&mut payload, &mut chunk)?;
        if filled == 0 {
            break;
        }
        if bytes + filled as u64 > OBJECT_BYTES_MAX {
            let why = format!("an object holds at most {OBJECT_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        whole.update(&chunk[..filled]);
        chunk_cvs.push(subtree_cv(bytes, &chunk[..filled]));
        bytes += filled as u64;
        if filled < chunk.len() {
            break;
        }
    }
    let object = ObjectId(*whole.finalize().as_bytes());
    if let [only] = chunk_cvs.as_mut_slice() {
        *only = object.0;
    }
    Ok(Seal { object, bytes, title, media_type, chunk_cvs })
}

/// Number of chunks of a payload. Callers hold `bytes <= OBJECT_BYTES_MAX`, so it fits.
pub(crate) fn chunks_for(bytes: u64) -> u32 {
    debug_assert!(bytes <= OBJECT_BYTES_MAX);
    bytes.div_ceil(CHUNK_BYTES) as u32
}

/// The title stored as a length and a zero-padded field; `None` unless it is exactly a slug.
pub(crate) fn decode_title(length: u8, field: &[u8]) -> Option<TitleId> {
    let (title, padding) = field.split_at_checked(usize::from(length))?;
    if padding.iter().any(|b| *b != 0) {
        return None;
    }
    std::str::from_utf8(title).ok()?.parse().ok()
}

pub(crate) fn le_u64(from: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(from[at..at + 8].try_into().expect("the slice is 8 bytes long"))
}

/// Reads until `into` is full or the end; a short count means the end.
pub(crate) fn fill(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match from.read(&mut into[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

fn chunk_cv(seal: &Seal, start: u64, chunk: &[u8]) -> ChainingValue {
    if seal.chunks() == 1 { *blake3::hash(chunk).as_bytes() } else { subtree_cv(start, chunk) }
}

fn subtree_cv(start: u64, chunk: &[u8]) -> ChainingValue {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(start);
    hasher.update(chunk);
    hasher.finalize_non_root()
}

/// The name that a table stands for. The tree's shape follows from the chunk count alone: the left
/// side of a node is the largest power of two of chunks that leaves something for the right.
fn merge(cvs: &[ChainingValue], bytes: u64) -> ObjectId {
    match cvs {
        [] => {
            debug_assert_eq!(bytes, 0);
            ObjectId(*blake3::hash(&[]).as_bytes())
        }
        [only] => ObjectId(*only),
        _ => {
            let (left, right) = cvs.split_at(left_chunks(cvs.len()));
            let root =
                merge_subtrees_root(&merge_below_root(left), &merge_below_root(right), Mode::Hash);
            ObjectId(*root.as_bytes())
        }
    }
}

// Depth is at most log2(OBJECT_BYTES_MAX / CHUNK_BYTES) = 18.
fn merge_below_root(cvs: &[ChainingValue]) -> ChainingValue {
    if let [only] = cvs {
        return *only;
    }
    let (left, right) = cvs.split_at(left_chunks(cvs.len()));
    merge_subtrees_non_root(&merge_below_root(left), &merge_below_root(right), Mode::Hash)
}

fn left_chunks(chunks: usize) -> usize {
    debug_assert!(chunks > 1);
    chunks.div_ceil(2).next_power_of_two()
}
