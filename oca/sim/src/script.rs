//! Requests, and what a right server answers to each: written from the standards and the contract,
//! not from the server's code.

use std::fmt::Write;
use std::ops::Range;

use fastrand::Rng;

use crate::shelf::Shelf;

/// Which bytes an answer carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The payload.
    Payload,
    /// The seal region.
    Seal,
}

/// Media in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Place of the sample on the shelf.
    pub sample: usize,
    /// Payload or seal.
    pub part: Part,
    /// Which bytes of that; several come as `multipart/byteranges`, in this order.
    pub ranges: Vec<Range<usize>>,
}

/// What must come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Status code.
    pub status: u16,
    /// The word in the body of a refusal.
    pub word: Option<&'static str>,
    /// The media, for 200 and 206.
    pub body: Option<Body>,
    /// Only the head comes.
    pub head_only: bool,
    /// The sample that the answer depends on, whatever it is.
    pub sample: Option<usize>,
}

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Ask {
    /// As sent.
    pub request: Vec<u8>,
    /// As it must be answered.
    pub expected: Expected,
    /// The server closes after the answer.
    pub last: bool,
}

impl Expected {
    fn refusal(status: u16, word: &'static str) -> Self {
        Self { status, word: Some(word), body: None, head_only: false, sample: None }
    }

    fn media(status: u16, sample: usize, part: Part, range: Range<usize>) -> Self {
        Self::parts(status, sample, part, vec![range])
    }

    fn parts(status: u16, sample: usize, part: Part, ranges: Vec<Range<usize>>) -> Self {
        let body = Some(Body { sample, part, ranges });
        Self { status, word: None, body, head_only: false, sample: Some(sample) }
    }
}

/// A member's request in the making.
struct Draft {
    method: &'static str,
    path: String,
    query: Option<String>,
    lines: String,
}

impl Draft {
    fn get(path: String) -> Self {
        Self { method: "GET", path, query: None, lines: String::new() }
    }

    fn line(mut self, name: &str, value: &str) -> Self {
        let _ = write!(self.lines, "{name}: {value}\r\n");
        self
    }

    /// The ticket, in a carrier by chance.
    fn ticket(mut self, ticket: &str, random: &mut Rng) -> Self {
        match random.u8(..4) {
            0 => self.path = format!("/t/{ticket}{}", self.path),
            1 => self.query = Some(format!("CMCD=br%3D3200&CAT={ticket}")),
            2 => return self.line("CTA-Common-Access-Token", ticket),
            _ => return self.line("Cookie", &format!("a=b; CTA-Common-Access-Token={ticket}")),
        }
        self
    }

    fn ask(self, expected: Expected) -> Ask {
        let Self { method, path, query, lines } = self;
        let query = query.map_or(String::new(), |query| format!("?{query}"));
        let request =
            format!("{method} {path}{query} HTTP/1.1\r\nHost: edge.example\r\n{lines}\r\n");
        Ask { request: request.into_bytes(), expected, last: false }
    }
}

/// Any request, by chance; most are for media and good.
#[must_use]
pub fn draw(shelf: &Shelf, random: &mut Rng) -> Ask {
    match random.u8(..20) {
        0..11 => draw_member(shelf, random),
        11..14 => draw_fill(shelf, random),
        14..17 => draw_refused(shelf, random),
        17 => {
            let mut draft = draw_draft(shelf, random).0;
            draft.method = "OPTIONS";
            let expected =
                Expected { status: 204, word: None, body: None, head_only: false, sample: None };
            draft.ask(expected)
        }
        18 => {
            let mut draft = draw_draft(shelf, random).0.line("Content-Length", "0");
            draft.method = "POST";
            draft.ask(Expected::refusal(405, "method_not_allowed"))
        }
        _ => draw_last(shelf, random),
    }
}

/// The same, but none after which the connection would have to end: that is not a thing to ask for
/// on one stream of many.
#[must_use]
pub fn draw_kept(shelf: &Shelf, random: &mut Rng) -> Ask {
    loop {
        let ask = draw(shelf, random);
        if !ask.last {
            return ask;
        }
    }
}

/// A good request for one sample, without range or conditions.
fn draw_draft(shelf: &Shelf, random: &mut Rng) -> (Draft, usize) {
    let sample = random.usize(..shelf.samples.len());
    let (held, title) = (&shelf.samples[sample], shelf.title_of(sample));
    let extension = if random.bool() { ".m4s" } else { "" };
    let path = format!("/v/{}/{}{extension}", held.title, held.object);
    let tickets = if random.u8(..4) == 0 { &shelf.tickets.paced } else { &shelf.tickets.good };
    let draft = Draft::get(path).ticket(&tickets[title], random);
    // What a player says of its buffer moves how fast the answer goes, and nothing else of it.
    let draft = match random.u8(..4) {
        0 => draft.line("CMCD-Object", "br=3200,tb=3200").line("CMCD-Request", "bl=60000"),
        1 => draft.line("CMCD-Status", "rtp=4000"),
        _ => draft,
    };
    (draft, sample)
}

fn draw_member(shelf: &Shelf, random: &mut Rng) -> Ask {
    let (draft, sample) = draw_draft(shelf, random);
    let held = &shelf.samples[sample];
    let (len, tag) = (held.payload().len(), format!("\"{}\"", held.object));
    let whole = Expected::media(200, sample, Part::Payload, 0..len);
    match random.u8(..8) {
        0 => draft.ask(whole),
        1 => {
            let expected = Expected { head_only: true, ..whole };
            // A range means nothing to HEAD.
            Draft { method: "HEAD", ..draft.line("Range", "bytes=0-0") }.ask(expected)
        }
        2 => {
            let expected = Expected {
                status: 304,
                word: None,
                body: None,
                head_only: false,
                sample: Some(sample),
            };
            draft.line("If-None-Match", &format!("\"other\", W/{tag}")).ask(expected)
        }
        3 => {
            let stale = random.bool();
            let mark = if stale { "\"other\"" } else { tag.as_str() };
            let expected =
                if stale { whole } else { Expected::media(206, sample, Part::Payload, 0..1) };
            draft.line("Range", "bytes=0-0").line("If-Range", mark).ask(expected)
        }
        _ => draw_range(draft, sample, len, Part::Payload, random),
    }
}

/// Adds a range and works out what it selects.
fn draw_range(draft: Draft, sample: usize, len: usize, part: Part, random: &mut Rng) -> Ask {
    let media = |status, range| Expected::media(status, sample, part, range);
    let first = random.usize(..len);
    let last = random.usize(first..len);
    let (value, expected) = match random.u8(..11) {
        8.. if len >= 16 => return draw_ranges(draft, sample, len, part, random),
        0 => (format!("bytes={first}-"), media(206, first..len)),
        1 => (format!("bytes=-{}", len - first), media(206, first..len)),
        2 => (format!("bytes=-{}", len + 5), media(206, 0..len)),
        3 => (format!("bytes={first}-{}", len + 99), media(206, first..len)),
        4 => (format!("frames={first}-{last}"), media(200, 0..len)),
        5 => {
            let refusal = Expected::refusal(416, "unsatisfiable");
            (format!("bytes={len}-"), Expected { sample: Some(sample), ..refusal })
        }
        _ => (format!("bytes={first}-{last}"), media(206, first..last + 1)),
    };
    draft.line("Range", &value).ask(expected)
}

/// Several ranges, and what RFC 9110 makes of them: those of no byte are left out, two that overlap
/// become one, too many are answered with the whole, and what is left of several may be one.
fn draw_ranges(draft: Draft, sample: usize, len: usize, part: Part, random: &mut Rng) -> Ask {
    let count = random.usize(2..6);
    let room = len / count;
    // Each in a room of its own, whose last byte nobody asks for: no two touch.
    let mut ranges: Vec<Range<usize>> = (0..count)
        .map(|at| {
            let start = random.usize(at * room..(at + 1) * room - 1);
            start..random.usize(start + 1..(at + 1) * room)
        })
        .collect();
    random.shuffle(&mut ranges);
    let mut asked: Vec<String> = ranges.iter().map(|range| text_of(range, len, random)).collect();
    match random.u8(..8) {
        0 => {
            // Beyond the end there is nothing.
            let at = random.usize(..=asked.len());
            asked.insert(at, format!("{}-", len + random.usize(..100)));
        }
        1 => {
            // One that reaches from the first byte of another to its last is lost in it.
            let inside = ranges[0].clone();
            asked.insert(1, format!("{}-{}", inside.start, inside.end - 1));
        }
        2 => {
            asked.truncate(1);
            asked.push(format!("{}-{}", len + 7, len + 9));
            ranges.truncate(1);
        }
        3 => {
            asked.extend((0..16).map(|_| "0-0".to_owned()));
            let expected = Expected::media(200, sample, part, 0..len);
            return draft.line("Range", &format!("bytes={}", asked.join(","))).ask(expected);
        }
        _ => {}
    }
    let expected = Expected::parts(206, sample, part, ranges);
    let between = if random.bool() { ", " } else { "," };
    draft.line("Range", &format!("bytes={}", asked.join(between))).ask(expected)
}

fn text_of(range: &Range<usize>, len: usize, random: &mut Rng) -> String {
    match range.end == len && random.bool() {
        true => format!("{}-", range.start),
        false => format!("{}-{}", range.start, range.end - 1),
    }
}

fn draw_fill(shelf: &Shelf, random: &mut Rng) -> Ask {
    let sample = random.usize(..shelf.samples.len());
    let held = &shelf.samples[sample];
    let (tail, part, len) = match random.bool() {
        true => ("/seal", Part::Seal, held.seal().len()),
        false => ("", Part::Payload, held.payload().len()),
    };
    let draft = Draft::get(format!("/o/{}{tail}", held.object)).ticket(&shelf.tickets.fill, random);
    match random.bool() {
        true => draft.ask(Expected::media(200, sample, part, 0..len)),
        false => draw_range(draft, sample, len, part, random),
    }
}

fn draw_refused(shelf: &Shelf, random: &mut Rng) -> Ask {
    let tickets = &shelf.tickets;
    let mine = shelf.of_title(0).next().expect("each title has samples");
    let others = shelf.of_title(1).next().expect("each title has samples");
    let (mine, others) = (&shelf.samples[mine], &shelf.samples[others]);
    let path = format!("/v/{}/{}", mine.title, mine.object);
    let (path, ticket, status, word) = match random.u8(..11) {
        0 => (path, None, 403, "ticket_absent"),
        1 => (path, Some(tickets.stale.as_str()), 403, "ticket_stale"),
        2 => (path, Some(tickets.early.as_str()), 403, "ticket_early"),
        3 => (path, Some(tickets.forged.as_str()), 403, "ticket_forged"),
        4 => (path, Some("bm90LWEtdGlja2V0"), 403, "ticket_malformed"),
        5 => (path, Some(tickets.elsewhere.as_str()), 403, "ticket_network"),
        6 => (path, Some(tickets.fill.as_str()), 403, "ticket_elsewhere"),
        7 => {
            let path = format!("/v/{}/{}", mine.title, others.object);
            (path, Some(tickets.good[0].as_str()), 404, "other_title")
        }
        8 => {
            let path = format!("/o/{}", "0".repeat(64));
            (path, Some(tickets.fill.as_str()), 404, "unknown_object")
        }
        9 => {
            let path = format!("/o/{}", mine.object);
            (path, Some(tickets.good[0].as_str()), 403, "ticket_elsewhere")
        }
        _ => ("/index.html".to_owned(), None, 404, "no_route"),
    };
    let draft = Draft::get(path);
    let draft = match ticket {
        Some(ticket) => draft.ticket(ticket, random),
        None => draft,
    };
    let mut expected = Expected::refusal(status, word);
    if random.u8(..4) == 0 {
        expected.head_only = true;
        return Draft { method: "HEAD", ..draft }.ask(expected);
    }
    draft.ask(expected)
}

/// Requests after which the connection ends.
fn draw_last(shelf: &Shelf, random: &mut Rng) -> Ask {
    let (draft, sample) = draw_draft(shelf, random);
    let len = shelf.samples[sample].payload().len();
    let mut ask = match random.u8(..4) {
        0 => {
            let draft = draft.line("Content-Length", "5");
            let mut ask = draft.ask(Expected::refusal(400, "body_length"));
            ask.request.extend_from_slice(b"hello");
            ask
        }
        1 => {
            let mut ask = draft.ask(Expected::refusal(400, "bare_line_feed"));
            ask.request = b"GET / HTTP/1.1\nHost: edge.example\n\n".to_vec();
            ask
        }
        2 => {
            let mut ask = draft.ask(Expected::refusal(431, "head_too_long"));
            ask.request = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(9000)).into_bytes();
            ask
        }
        _ => {
            let whole = Expected::media(200, sample, Part::Payload, 0..len);
            draft.line("Connection", "close").ask(whole)
        }
    };
    ask.last = true;
    ask
}
