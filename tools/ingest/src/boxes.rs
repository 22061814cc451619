//! ISO base media boxes, as far as a packager needs them: walk, find, read fields, write a few.
//! Decides nothing about content; every length is checked against what holds it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// Largest `moov` or `moof` held in memory, bytes.
const HELD_BYTES_MAX: u64 = 16 << 20;

/// Four letters.
pub type Kind = [u8; 4];

/// One box of a file's top level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopBox {
    /// What it is.
    pub kind: Kind,
    /// Where it is in the file, header and all.
    pub range: Range<u64>,
}

/// The boxes of a file's top level, in order.
///
/// # Errors
/// `InvalidData` when a length runs over the end, else the file's own.
pub fn top_boxes(file: &mut File) -> io::Result<Vec<TopBox>> {
    let end = file.metadata()?.len();
    let (mut at, mut found) = (0u64, Vec::new());
    while at < end {
        let mut head = [0u8; 16];
        let given = usize::try_from((end - at).min(16)).expect("at most 16");
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut head[..given])?;
        let (kind, bytes, _) = head_of(&head[..given], end - at)
            .ok_or_else(|| invalid(format!("the box at byte {at} runs over the end")))?;
        found.push(TopBox { kind, range: at..at + bytes });
        at += bytes;
    }
    Ok(found)
}

/// Reads a whole box, header and all.
///
/// # Errors
/// `InvalidData` when it is larger than any index of ours, else the file's own.
pub fn read_box(file: &mut File, range: &Range<u64>) -> io::Result<Vec<u8>> {
    let bytes = range.end - range.start;
    if bytes > HELD_BYTES_MAX {
        return Err(invalid(format!("a box of {bytes} bytes is no index")));
    }
    let mut held = vec![0u8; bytes as usize];
    file.seek(SeekFrom::Start(range.start))?;
    file.read_exact(&mut held)?;
    Ok(held)
}

/// The bodies of the boxes directly in `body`, with their kinds. Stops at the first that does not
/// fit.
pub fn children(body: &[u8]) -> impl Iterator<Item = (Kind, &[u8])> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let (kind, bytes, head) = head_of(rest, rest.len() as u64)?;
        let (whole, after) = rest.split_at(bytes as usize);
        rest = after;
        Some((kind, &whole[head..]))
    })
}

/// The body of the first box reached by going down `path` from `body`.
pub fn find<'a>(body: &'a [u8], path: &[&Kind]) -> Option<&'a [u8]> {
    let Some((first, rest)) = path.split_first() else { return Some(body) };
    children(body).filter(|(kind, _)| kind == *first).find_map(|(_, child)| find(child, rest))
}

/// The body of a box that was read whole.
pub fn body(whole: &[u8]) -> Option<&[u8]> {
    children(whole).next().map(|(_, body)| body)
}

/// `body` with its header in front.
pub fn write_box(kind: &Kind, body: &[u8]) -> Vec<u8> {
    let bytes = u32::try_from(body.len() + 8).expect("boxes written here are indexes, under 4 GiB");
    let mut whole = bytes.to_be_bytes().to_vec();
    whole.extend_from_slice(kind);
    whole.extend_from_slice(body);
    whole
}

pub fn be_u16(from: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(from.get(at..at + 2)?.try_into().ok()?))
}

pub fn be_u32(from: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(from.get(at..at + 4)?.try_into().ok()?))
}

pub fn be_u64(from: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(from.get(at..at + 8)?.try_into().ok()?))
}

/// Kind, length and header length of the box that `from` starts with, of which `room` bytes exist.
fn head_of(from: &[u8], room: u64) -> Option<(Kind, u64, usize)> {
    let kind: Kind = from.get(4..8)?.try_into().ok()?;
    let (bytes, head) = match be_u32(from, 0)? {
        // To the end of whatever holds it.
        0 => (room, 8),
        1 => (be_u64(from, 8)?, 16),
        bytes => (u64::from(bytes), 8),
    };
    (bytes >= head as u64 && bytes <= room).then_some((kind, bytes, head))
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_found_by_their_path() {
        let inside = write_box(b"mdia", &write_box(b"mdhd", &[1, 2, 3]));
        let moov =
            write_box(b"moov", &[write_box(b"trak", b""), write_box(b"trak", &inside)].concat());
        assert_eq!(find(&moov, &[b"moov", b"trak", b"mdia", b"mdhd"]), Some(&[1, 2, 3][..]));
        assert_eq!(find(&moov, &[b"moov", b"udta"]), None);
        assert_eq!(children(body(&moov).unwrap()).count(), 2);
    }

    #[test]
    fn lengths_that_do_not_fit_end_the_walk() {
        for bad in [&[0, 0, 0, 9, b'm', b'd', b'a', b't'][..], &[0, 0, 0, 7, 1, 1, 1, 1], &[0, 0]] {
            assert_eq!(children(bad).count(), 0, "{bad:?}");
        }
        let mut long = vec![0, 0, 0, 1, b'm', b'd', b'a', b't'];
        long.extend_from_slice(&u64::MAX.to_be_bytes());
        assert_eq!(children(&long).count(), 0);
    }
}
