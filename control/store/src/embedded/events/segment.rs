//! Bytes of one segment of the event log. Does no file work: gives and takes buffers.
//!
//! ```text
//! segment  = magic (8 bytes) record*            file name: first offset, 20 digits, ".log"
//! record   = crc32c u32 | body length u32 | at u64 | body
//! ```
//!
//! All numbers little-endian; the crc covers all that follows it in the record. Offsets are not
//! written: they are the file's first offset plus the record's place. The crc comes first and a
//! zero-filled tail (what a power cut leaves on some file systems) has a wrong one.

use control_types::UnixMillis;

use crate::limits::EVENT_BODY_BYTES_MAX;

/// First bytes of every segment; the last one is the version.
pub const MAGIC: [u8; 8] = *b"NFEVENT\x01";

const HEAD_BYTES: usize = 16;

/// Appends one record to `out`. The body is at most `EVENT_BODY_BYTES_MAX`: the port checked.
pub fn encode(out: &mut Vec<u8>, at: UnixMillis, body: &[u8]) {
    let length = u32::try_from(body.len()).expect("the port bounds a body far below 4 GiB");
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&at.0.to_le_bytes());
    out.extend_from_slice(body);
    let crc = crc32c::crc32c(&out[begin + 4..]);
    out[begin..begin + 4].copy_from_slice(&crc.to_le_bytes());
}

/// What stands at the front of `bytes`.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A whole record.
    Record {
        /// When it happened.
        at: UnixMillis,
        /// JSON.
        body: &'a [u8],
        /// Where the next record begins.
        next: usize,
    },
    /// Not one whole record: more bytes are needed, or nothing is left (`bytes` is empty).
    Short,
    /// Not a record.
    Bad(&'static str),
}

/// Reads the record at the front of `bytes`.
pub fn decode(bytes: &[u8]) -> Decoded<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
        return Decoded::Short;
    };
    let [c0, c1, c2, c3, l0, l1, l2, l3, at @ ..] = *head;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if length > EVENT_BODY_BYTES_MAX {
        return Decoded::Bad("a record is longer than any can be");
    }
    let Some(body) = rest.get(..length) else {
        return Decoded::Short;
    };
    let next = HEAD_BYTES + length;
    if crc32c::crc32c(&bytes[4..next]) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Decoded::Bad("a record does not match its checksum");
    }
    Decoded::Record { at: UnixMillis(u64::from_le_bytes(at)), body, next }
}

/// Name of the segment that begins with `first`.
pub fn file_name(first: u64) -> String {
    format!("{first:020}.log")
}

/// First offset of a segment by its file name; `None` for other files.
pub fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_every_cut_of_it_is_short() {
        let mut bytes = Vec::new();
        encode(&mut bytes, UnixMillis(7), b"{\"a\":1}");
        let whole = bytes.len();
        assert_eq!(
            decode(&bytes),
            Decoded::Record { at: UnixMillis(7), body: b"{\"a\":1}", next: whole }
        );
        for cut in 0..whole {
            assert_eq!(decode(&bytes[..cut]), Decoded::Short, "cut at {cut}");
        }
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let mut bytes = Vec::new();
        encode(&mut bytes, UnixMillis(u64::MAX), b"{}");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(decode(&flipped), Decoded::Record { .. }), "bit {bit}");
        }
    }

    #[test]
    fn zeros_are_no_record() {
        assert!(matches!(decode(&[0; 64]), Decoded::Bad(_)));
    }

    #[test]
    fn file_names_give_their_offset_back() {
        assert_eq!(first_of(&file_name(42)), Some(42));
        assert_eq!(first_of("42.log"), None);
        assert_eq!(first_of("00000000000000000042.torn"), None);
    }
}
