//! What stands between the stretches of a `multipart/byteranges` body (RFC 9110 §14.6).
//! It writes heads and the end, never a byte of the object.
//!
//! ```text
//! --B CRLF  Content-Type, Content-Range CRLF CRLF  bytes  CRLF --B CRLF ... bytes  CRLF --B-- CRLF
//! ```
//!
//! The boundary is made of the object's name, which is a digest of its bytes: bytes that contain
//! their own digest are as hard to find as two objects of one name.

use crate::answer::{Media, write_content_range, write_media_type};
use crate::out::{HeadRoom, Out};
use crate::range::{Span, Spans};

/// Room that is enough for every part's head, and for the end.
pub const PART_BYTES_MAX: usize = 384;

const BOUNDARY_BYTES: usize = 35;

/// `nf-` and the first 32 characters of the entity tag, `0` where it is shorter or unusable.
pub(crate) fn boundary(media: &Media<'_>) -> [u8; BOUNDARY_BYTES] {
    let mut boundary = *b"nf-00000000000000000000000000000000";
    for (to, from) in boundary.iter_mut().skip(3).zip(media.etag.bytes()) {
        *to = if from.is_ascii_alphanumeric() { from } else { b'0' };
    }
    boundary
}

/// Writes what comes before stretch `at` of `spans`, or the end of the body when there is no such
/// stretch; answers its length.
///
/// # Errors
/// `into` is shorter than [`PART_BYTES_MAX`], and that was too short.
pub fn write_part_head(
    into: &mut [u8],
    media: &Media<'_>,
    spans: &Spans,
    at: usize,
) -> Result<usize, HeadRoom> {
    let mut out = Out::new(into);
    if at > 0 {
        out.put("\r\n")?;
    }
    out.put("--")?;
    out.put_bytes(&boundary(media))?;
    match spans.as_slice().get(at) {
        Some(Span { start, end }) => {
            out.put("\r\n")?;
            write_media_type(&mut out, media)?;
            write_content_range(&mut out, *start, *end, media.total)?;
            out.put("\r\n")?;
        }
        None => out.put("--\r\n")?,
    }
    Ok(out.len())
}

/// Length of the whole body: heads, stretches, end.
pub(crate) fn parts_bytes(media: &Media<'_>, spans: &Spans) -> u64 {
    let mut scratch = [0u8; PART_BYTES_MAX];
    let between: usize = (0..=spans.as_slice().len())
        .map(|at| write_part_head(&mut scratch, media, spans, at).unwrap_or_default())
        .sum();
    between as u64 + spans.bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::{Selection, resolve_value};
    use crate::{ANSWER_BYTES_MAX, Answer, Frame, HttpDate, MEDIA_TYPE_BYTES_MAX, Method};

    #[test]
    fn the_body_is_as_long_as_it_says_and_reads_as_the_standard_shows() {
        let media = Media { etag: "abc", media_type: "video/mp4", total: 100, modified: None };
        let Selection::Parts(spans) = resolve_value("bytes=90-, 0-4", 100) else { panic!("two") };
        let mut into = [0u8; ANSWER_BYTES_MAX];
        let date = HttpDate::from_unix_seconds(0);
        let frame = Frame { method: Method::Get, keep_alive: true, date: &date };
        let answer = Answer::Parts { media, spans: &spans };
        let head = crate::write_head(&mut into, &answer, &frame).expect("fits");
        let head = String::from_utf8_lossy(&into[..head]).into_owned();
        let boundary = "nf-abc00000000000000000000000000000";
        assert!(head.starts_with("HTTP/1.1 206 "), "{head}");
        let line = format!("Content-Type: multipart/byteranges; boundary={boundary}\r\n");
        assert!(head.contains(&line), "{head}");
        assert!(!head.contains("Content-Range:"), "{head}");
        let mut body = String::new();
        for (at, stretch) in ["0123456789", "01234", ""].iter().enumerate() {
            let mut part = [0u8; PART_BYTES_MAX];
            let bytes = write_part_head(&mut part, &media, &spans, at).expect("fits");
            body += &String::from_utf8_lossy(&part[..bytes]);
            body += stretch;
        }
        let wanted = format!(
            "--{boundary}\r\nContent-Type: video/mp4\r\nContent-Range: bytes 90-99/100\r\n\r\n\
             0123456789\r\n--{boundary}\r\nContent-Type: video/mp4\r\n\
             Content-Range: bytes 0-4/100\r\n\r\n01234\r\n--{boundary}--\r\n"
        );
        assert_eq!(body, wanted);
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    }

    #[test]
    fn the_longest_head_of_a_part_keeps_the_promise() {
        let long = "v".repeat(MEDIA_TYPE_BYTES_MAX);
        let tag = "f".repeat(64);
        let media = Media { etag: &tag, media_type: &long, total: u64::MAX, modified: None };
        let range = format!("bytes={0}-{0},{1}-{1}", u64::MAX - 3, u64::MAX - 1);
        let Selection::Parts(spans) = resolve_value(&range, u64::MAX) else { panic!("two") };
        let mut into = [0u8; PART_BYTES_MAX];
        for at in 0..3 {
            assert!(write_part_head(&mut into, &media, &spans, at).is_ok());
        }
    }
}
