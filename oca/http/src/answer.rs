//! Answer heads, written into the caller's bytes; a refusal's one-word body comes along.
//! It never allocates, and never decides: which answer it is, is settled before.

use std::str;

use crate::date::HttpDate;
use crate::head::Method;
use crate::out::{HeadRoom, Out};
use crate::outcome::Outcome;
use crate::parts::{boundary, parts_bytes};
use crate::range::Spans;

/// Room that is enough for every answer whose media type is at most [`MEDIA_TYPE_BYTES_MAX`] and
/// whose entity tag is at most 64 bytes: a promise that a test keeps.
pub const ANSWER_BYTES_MAX: usize = 2048;

/// Longest media type we write; a longer one is answered as `application/octet-stream`.
pub const MEDIA_TYPE_BYTES_MAX: usize = 128;

/// Longest URL that a redirect names. Whoever makes one keeps to it: a longer one is left out, and
/// what is left is no redirect.
pub const LOCATION_BYTES_MAX: usize = 1600;

/// Longest list of appliances that a refusal names; a longer one is left out.
pub const NEXT_BYTES_MAX: usize = 256;

/// The object behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media<'a> {
    /// Entity tag without quotes: the object's hex name.
    pub etag: &'a str,
    /// Media type. Anything but a plain visible one is answered as `application/octet-stream`: it
    /// came from a disk, and a line end in it would be a header of somebody else's choosing.
    pub media_type: &'a str,
    /// Length of the whole object, bytes.
    pub total: u64,
    /// When it was made, Unix seconds, if known.
    pub modified: Option<u64>,
}

/// What to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// 200 and the object.
    Whole(Media<'a>),
    /// 206 and bytes `start..end` of the object.
    Part {
        /// The object.
        media: Media<'a>,
        /// First byte.
        start: u64,
        /// One past the last byte; more than `start`.
        end: u64,
    },
    /// 206 and several stretches of the object, each behind a head of its own; see
    /// [`crate::write_part_head`].
    Parts {
        /// The object.
        media: Media<'a>,
        /// Two stretches or more.
        spans: &'a Spans,
    },
    /// 304.
    NotModified(Media<'a>),
    /// 200 and JSON that is good for this moment and this client only: where to stream from.
    Steering {
        /// Length of the JSON.
        bytes: u64,
    },
    /// 307: the same object, from another appliance, for this moment only.
    Elsewhere {
        /// Absolute URL, at most [`LOCATION_BYTES_MAX`] visible bytes.
        location: &'a str,
    },
    /// 204 to a browser's permission question.
    Preflight {
        /// How loaded we are, in a word, to another appliance that looks at us.
        load: Option<&'a str>,
    },
    /// Everything else: a status and its word as the body.
    Refusal {
        /// What went wrong.
        outcome: Outcome,
        /// Length of the object that the range missed; for 416.
        total: Option<u64>,
        /// When to come back; for 503.
        retry_after_s: Option<u32>,
        /// Appliances to ask instead, as `https://host[:port]`, comma-separated, nearest first; at
        /// most [`NEXT_BYTES_MAX`] visible bytes, or they are left out.
        next: Option<&'a str>,
    },
}

impl<'a> Answer<'a> {
    /// A refusal with nothing to add.
    #[must_use]
    pub const fn refusal(outcome: Outcome) -> Self {
        Self::Refusal { outcome, total: None, retry_after_s: None, next: None }
    }

    /// How this request ends, if its bytes go out.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Whole(_) => Outcome::Whole,
            Self::Part { .. } => Outcome::Part,
            Self::Parts { .. } => Outcome::Parts,
            Self::NotModified(_) => Outcome::NotModified,
            Self::Steering { .. } => Outcome::Steered,
            Self::Elsewhere { .. } => Outcome::Elsewhere,
            Self::Preflight { .. } => Outcome::Preflight,
            Self::Refusal { outcome, .. } => *outcome,
        }
    }
}

/// What every answer carries besides.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The request's method; a refusal of HEAD has no body.
    pub method: Method,
    /// Whether the connection stays open. The caller closes it when this is false.
    pub keep_alive: bool,
    /// `Date`
    pub date: &'a HttpDate,
}

/// Writes the head of `answer` (and a refusal's body) to the start of `into`; answers its length.
///
/// # Errors
/// `into` is too small. What it holds then is not an answer.
pub fn write_head(
    into: &mut [u8],
    answer: &Answer<'_>,
    frame: &Frame<'_>,
) -> Result<usize, HeadRoom> {
    let mut out = Out::new(into);
    let outcome = answer.outcome();
    out.put("HTTP/1.1 ")?;
    out.put_number(u64::from(outcome.status()))?;
    out.put(" ")?;
    out.put(outcome.reason())?;
    out.put("\r\nDate: ")?;
    out.put_bytes(frame.date.as_bytes())?;
    out.put("\r\nAccess-Control-Allow-Origin: *\r\n")?;
    if !frame.keep_alive {
        out.put("Connection: close\r\n")?;
    }
    match answer {
        Answer::Whole(media) => {
            write_media(&mut out, media)?;
            write_length(&mut out, media.total)?;
        }
        Answer::Part { media, start, end } => {
            write_media(&mut out, media)?;
            write_content_range(&mut out, *start, *end, media.total)?;
            write_length(&mut out, end.saturating_sub(*start))?;
        }
        Answer::Parts { media, spans } => {
            out.put(MEDIA)?;
            write_validators(&mut out, media)?;
            out.put("Content-Type: multipart/byteranges; boundary=")?;
            out.put_bytes(&boundary(media))?;
            out.put("\r\n")?;
            write_length(&mut out, parts_bytes(media, spans))?;
        }
        Answer::NotModified(media) => write_validators(&mut out, media)?,
        Answer::Steering { bytes } => {
            out.put(STEERING)?;
            write_length(&mut out, *bytes)?;
        }
        Answer::Elsewhere { location } => {
            out.put(ELSEWHERE)?;
            write_length(&mut out, 0)?;
            let fits = location.len() <= LOCATION_BYTES_MAX && is_visible(location);
            if fits && !location.contains(' ') {
                out.put("Location: ")?;
                out.put(location)?;
                out.put("\r\n")?;
            }
        }
        Answer::Preflight { load } => {
            out.put(PREFLIGHT)?;
            if let Some(load) = load {
                out.put("Nightfill-Load: ")?;
                out.put(load)?;
                out.put("\r\n")?;
            }
        }
        Answer::Refusal { outcome, total, retry_after_s, next } => {
            write_directions(&mut out, *total, *retry_after_s, *next)?;
            return write_refusal(out, *outcome, frame.method);
        }
    }
    out.put("\r\n")?;
    Ok(out.len())
}

/// What a page of another origin may send: exactly the headers we read. `Allow` is for those that
/// ask what the server can do, and not for whom.
const PREFLIGHT: &str = "Allow: GET, HEAD, OPTIONS\r\n\
    Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n\
    Access-Control-Allow-Headers: Range, If-Range, If-Match, If-None-Match, \
    If-Modified-Since, If-Unmodified-Since, \
    CTA-Common-Access-Token, CMCD-Object, CMCD-Request, CMCD-Session, CMCD-Status\r\n\
    Access-Control-Max-Age: 86400\r\n";

/// `private`: a ticket in the path must not open a shared cache's copy to the next member.
const MEDIA: &str = "Access-Control-Expose-Headers: Content-Length, Content-Range, Accept-Ranges, \
    ETag, Last-Modified, Date\r\n\
    Timing-Allow-Origin: *\r\n\
    Cross-Origin-Resource-Policy: cross-origin\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Accept-Ranges: bytes\r\n";

/// `no-store`: a list of a minute ago sends its reader to a box of a minute ago.
const STEERING: &str = "Cache-Control: no-store\r\n\
    Timing-Allow-Origin: *\r\n\
    Cross-Origin-Resource-Policy: cross-origin\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Content-Type: application/json\r\n";

/// `no-store`: who has it tomorrow is another question. A page's player follows it with the headers
/// it has, as the preflight of the next appliance lets it; a media element asks for `cross-origin`.
const ELSEWHERE: &str = "Cache-Control: no-store\r\n\
    Timing-Allow-Origin: *\r\n\
    Cross-Origin-Resource-Policy: cross-origin\r\n\
    X-Content-Type-Options: nosniff\r\n";

fn write_media(out: &mut Out<'_>, media: &Media<'_>) -> Result<(), HeadRoom> {
    out.put(MEDIA)?;
    write_validators(out, media)?;
    write_media_type(out, media)
}

pub(crate) fn write_media_type(out: &mut Out<'_>, media: &Media<'_>) -> Result<(), HeadRoom> {
    out.put("Content-Type: ")?;
    let media_type = media.media_type;
    let usable = !media_type.is_empty()
        && media_type.len() <= MEDIA_TYPE_BYTES_MAX
        && is_visible(media_type);
    out.put(if usable { media_type } else { "application/octet-stream" })?;
    out.put("\r\n")
}

fn write_validators(out: &mut Out<'_>, media: &Media<'_>) -> Result<(), HeadRoom> {
    out.put("Cache-Control: private, max-age=31536000, immutable\r\nETag: \"")?;
    out.put(media.etag)?;
    out.put("\"\r\n")?;
    if let Some(modified) = media.modified {
        out.put("Last-Modified: ")?;
        out.put_bytes(HttpDate::from_unix_seconds(modified).as_bytes())?;
        out.put("\r\n")?;
    }
    Ok(())
}

pub(crate) fn write_content_range(
    out: &mut Out<'_>,
    start: u64,
    end: u64,
    total: u64,
) -> Result<(), HeadRoom> {
    out.put("Content-Range: bytes ")?;
    out.put_number(start)?;
    out.put("-")?;
    out.put_number(end.saturating_sub(1))?;
    out.put("/")?;
    out.put_number(total)?;
    out.put("\r\n")
}

fn write_length(out: &mut Out<'_>, bytes: u64) -> Result<(), HeadRoom> {
    out.put("Content-Length: ")?;
    out.put_number(bytes)?;
    out.put("\r\n")
}

/// What a refused client can do instead: another range, later, elsewhere.
fn write_directions(
    out: &mut Out<'_>,
    total: Option<u64>,
    retry_after_s: Option<u32>,
    next: Option<&str>,
) -> Result<(), HeadRoom> {
    if let Some(total) = total {
        out.put("Content-Range: bytes */")?;
        out.put_number(total)?;
        out.put("\r\n")?;
    }
    if let Some(seconds) = retry_after_s {
        out.put("Retry-After: ")?;
        out.put_number(u64::from(seconds))?;
        out.put("\r\n")?;
    }
    let fits = |next: &&str| (1..=NEXT_BYTES_MAX).contains(&next.len()) && is_visible(next);
    let next = next.filter(fits);
    if total.is_some() || retry_after_s.is_some() || next.is_some() {
        // A player in a page may read only what is exposed.
        out.put("Access-Control-Expose-Headers: Content-Range, Retry-After, X-Nightfill-Next\r\n")?;
    }
    if let Some(next) = next {
        out.put("X-Nightfill-Next: ")?;
        out.put(next)?;
        out.put("\r\n")?;
    }
    Ok(())
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

fn write_refusal(mut out: Out<'_>, outcome: Outcome, method: Method) -> Result<usize, HeadRoom> {
    out.put("Cache-Control: no-store\r\n")?;
    if outcome.status() == 405 {
        out.put("Allow: GET, HEAD, OPTIONS\r\n")?;
    }
    let word = outcome.word();
    out.put("Content-Type: text/plain\r\n")?;
    write_length(&mut out, word.len() as u64 + 1)?;
    out.put("\r\n")?;
    if method != Method::Head {
        out.put(word)?;
        out.put("\n")?;
    }
    Ok(out.len())
}

#[cfg(test)]
mod tests;
