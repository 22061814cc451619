//! One answer against what the model wants, byte by byte, and what was seen so far.

use super::ranges::{Sent, said};
use super::world::{Thing, Want, World};
use crate::wire::Reply;

/// What we counted, to be compared with what the program counted.
#[derive(Default)]
pub struct Tally {
    pub answers: usize,
    pub media: usize,
    /// Answers of several stretches.
    pub parts: usize,
    /// Answers by first digit of the status: a model that refuses everything would prove nothing.
    pub by_class: [usize; 6],
}

impl Tally {
    pub fn add(&mut self, reply: &Reply) {
        self.answers += 1;
        self.by_class[usize::from(reply.status / 100)] += 1;
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    }

    pub fn join(&mut self, other: &Self) {
        self.answers += other.answers;
        self.media += other.media;
        self.parts += other.parts;
        for (own, others) in self.by_class.iter_mut().zip(other.by_class) {
            *own += others;
        }
    }
}

/// The answer is the one that is wanted.
pub fn check(
    world: &World,
    want: &Want,
    is_head: bool,
    reply: &Reply,
    tally: &mut Tally,
    context: impl Fn() -> String,
) {
    tally.add(reply);
    assert!(reply.is_whole, "cut; {}", context());
    let length = reply.header("content-length").map(|text| text.parse::<usize>().unwrap());
    match want {
        Want::Media { thing, sent } => {
            check_media(&world.things[*thing], sent, is_head, reply, tally, context);
        }
        Want::NotModified { thing } => {
            assert_eq!((reply.status, length), (304, None), "{}", context());
            let tag = world.things[*thing].tag.as_str();
            assert_eq!(reply.header("etag"), Some(tag), "{}", context());
        }
        Want::Preflight => {
            assert_eq!((reply.status, length), (204, None), "{}", context());
            let allowed = reply.header("access-control-allow-headers").unwrap();
            assert!(allowed.contains("Range") && allowed.contains("CMCD-Session"));
            assert!(reply.header("access-control-max-age").is_some());
        }
        Want::Word { status, word } => {
            assert_eq!(reply.status, *status, "said {:?}; {}", reply.text(), context());
            let body = if is_head { "" } else { word };
            assert_eq!(reply.text(), body, "{}", context());
            assert_eq!(length, Some(word.len() + 1), "{}", context());
            assert_eq!(reply.header("allow").is_some(), *status == 405, "{}", context());
        }
        Want::Unsatisfiable { thing } => {
            let wanted = format!("bytes */{}", world.things[*thing].bytes.len());
            assert_eq!(reply.status, 416, "{}", context());
            assert_eq!(reply.text(), "unsatisfiable", "{}", context());
            assert_eq!(reply.header("content-range"), Some(wanted.as_str()), "{}", context());
        }
        Want::Anything => unreachable!("handled by the caller"),
    }
}

fn check_media(
    thing: &Thing,
    sent: &Sent,
    is_head: bool,
    reply: &Reply,
    tally: &mut Tally,
    context: impl Fn() -> String,
) {
    let total = thing.bytes.len();
    let (status, content_range, media_type, body) = match sent {
        Sent::Whole => (200, None, Some(thing.media_type), thing.bytes.clone()),
        Sent::Stretches(stretches) => match &stretches[..] {
            [one] => {
                let range = format!("bytes {}-{}/{total}", one.start, one.end - 1);
                (206, Some(range), Some(thing.media_type), thing.bytes[one.clone()].to_vec())
            }
            several => {
                tally.parts += 1;
                let head = reply.header("content-type").unwrap();
                let boundary = head.strip_prefix("multipart/byteranges; boundary=").unwrap();
                let mut body = Vec::new();
                for (at, range) in several.iter().enumerate() {
                    let before = if at == 0 { "" } else { "\r\n" };
                    let head = format!(
                        "{before}--{boundary}\r\nContent-Type: {}\r\n\
                         Content-Range: bytes {}-{}/{total}\r\n\r\n",
                        thing.media_type,
                        range.start,
                        range.end - 1
                    );
                    body.extend_from_slice(head.as_bytes());
                    body.extend_from_slice(&thing.bytes[range.clone()]);
                }
                body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
                (206, None, None, body)
            }
        },
        Sent::Nothing => unreachable!("the model says 416"),
    };
    assert_eq!(reply.status, status, "{}", context());
    let length = body.len().to_string();
    assert_eq!(reply.header("content-length"), Some(length.as_str()), "{}", context());
    assert_eq!(reply.header("content-range"), content_range.as_deref(), "{}", context());
    assert_eq!(reply.header("etag"), Some(thing.tag.as_str()), "{}", context());
    assert_eq!(reply.header("accept-ranges"), Some("bytes"), "{}", context());
    assert_eq!(reply.header("last-modified").is_some(), thing.has_date, "{}", context());
    if media_type.is_some() {
        assert_eq!(reply.header("content-type"), media_type, "{}", context());
    }
    if is_head {
        assert!(reply.body.is_empty(), "a body for HEAD; {}", context());
        return;
    }
    assert!(reply.body == body, "other bytes; {}", context());
    tally.media += match sent {
        Sent::Stretches(stretches) => stretches.iter().map(std::iter::ExactSizeIterator::len).sum(),
        _ => body.len(),
    };
}

/// Nobody knows what a mutated head means; but media is only ever the right bytes of an object that
/// its ETag names.
pub fn check_anything(
    world: &World,
    reply: &Reply,
    tally: &mut Tally,
    context: impl Fn() -> String,
) {
    tally.add(reply);
    assert!(reply.is_whole, "cut; {}", context());
    if !matches!(reply.status, 200 | 206) {
        let known = matches!(reply.status, 204 | 304 | 400..=499 | 505);
        assert!(known, "{}; {}", reply.status, context());
        return;
    }
    let tag = reply.header("etag").unwrap();
    let thing = world.things.iter().find(|thing| thing.tag == tag);
    let thing = thing.unwrap_or_else(|| panic!("an object never published; {}", context()));
    let media_type = reply.header("content-type").unwrap();
    if let Some(boundary) = media_type.strip_prefix("multipart/byteranges; boundary=") {
        tally.parts += 1;
        tally.media += check_any_parts(thing, boundary, &reply.body);
        return;
    }
    let range = match reply.header("content-range") {
        None => 0..thing.bytes.len(),
        Some(text) => said(text),
    };
    assert!(reply.body == thing.bytes[range], "other bytes; {}", context());
    tally.media += reply.body.len();
}

/// Each part is what it says it is; answers their bytes.
fn check_any_parts(thing: &Thing, boundary: &str, body: &[u8]) -> usize {
    let (mut left, mut media) = (body, 0);
    loop {
        let end = left.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end.filter(|_| left.len() > boundary.len() + 8) else { break };
        let head = std::str::from_utf8(&left[..end]).unwrap();
        let range = said(head.rsplit("Content-Range: ").next().unwrap());
        let bytes = &left[end + 4..end + 4 + range.len()];
        assert!(bytes == &thing.bytes[range.clone()], "other bytes in a part");
        media += bytes.len();
        left = &left[end + 4 + range.len()..];
    }
    assert_eq!(left, format!("\r\n--{boundary}--\r\n").as_bytes());
    media
}
