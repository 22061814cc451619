//! Random requests, and the answer that the rules give each: the model of `differential`.
//! It shares no code with the program: paths, ranges and conditions are decided here once more.

use std::fmt::Write;

use control_token::{Claims, TicketSigner};
use control_types::UnixMillis;
use oca_store::{MediaType, Seal, seal_reader};

use crate::differential_ways::WAYS;
use crate::kit::{Setup, hour_after, payload, wall};

const CHUNK: usize = 262_144;
const TITLES: [&str; 2] = ["night", "night-harbour"];
const SIZES: [usize; 9] = [0, 1, 777, 4096, 16_384, 16_385, CHUNK, CHUNK + 1, 2 * CHUNK + 777];

/// Numbers that are the same for the same seed.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// Something that can be asked for: a payload or its seal.
#[derive(Clone)]
pub struct Thing {
    pub bytes: Vec<u8>,
    pub media_type: &'static str,
    title: &'static str,
    hex: String,
    is_seal: bool,
}

impl Thing {
    /// As a header has it.
    pub fn tag(&self) -> String {
        if self.is_seal { format!("\"se{}\"", &self.hex[2..]) } else { format!("\"{}\"", self.hex) }
    }
}

impl std::fmt::Debug for Thing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} bytes of {} in {}", self.bytes.len(), self.tag(), self.title)
    }
}

/// What the answer must be.
#[derive(Debug)]
pub enum Want {
    Media {
        thing: Thing,
        range: Option<std::ops::Range<usize>>,
    },
    NotModified {
        thing: Thing,
    },
    Preflight,
    Word {
        status: u16,
        word: &'static str,
    },
    Unsatisfiable {
        total: usize,
    },
    /// Only what holds for every answer.
    Anything,
}

/// One request and its answer.
pub struct Ask {
    pub text: Vec<u8>,
    pub want: Want,
    pub is_head: bool,
    pub closes: bool,
}

impl Ask {
    pub fn is_last(&self) -> bool {
        self.closes || matches!(self.want, Want::Anything)
    }
}

/// A ticket and what it is good for.
struct Ticket {
    text: String,
    /// The one word of its refusal, wherever it is used.
    bad: Option<&'static str>,
    prefix: String,
}

/// What is published and who may have it.
pub struct World {
    pub things: Vec<Thing>,
    tickets: Vec<Ticket>,
}

/// Places in `World::tickets`: one for each title, then these.
const FILL: usize = TITLES.len();

impl World {
    pub fn publish(setup: &Setup) -> Self {
        let mut things = Vec::new();
        for (number, bytes) in SIZES.iter().copied().enumerate() {
            let title = TITLES[number % TITLES.len()];
            let bytes = payload(bytes, 100 + number as u64);
            let hex = setup.publish(0, title, &bytes).to_string();
            let seal = seal_reader(&*bytes, title.parse().unwrap(), MediaType::VideoMp4).unwrap();
            let seal: Seal = seal;
            let sealed = seal.encode();
            let media_type = "video/mp4";
            things.push(Thing { bytes, media_type, title, hex: hex.clone(), is_seal: false });
            let media_type = "application/octet-stream";
            things.push(Thing { bytes: sealed, media_type, title, hex, is_seal: true });
        }
        Self { things, tickets: tickets(setup) }
    }

    pub fn ask(&self, rng: &mut Rng) -> Ask {
        match rng.below(20) {
            0 | 1 => self.broken(rng),
            2 => self.mutated(rng),
            _ => self.sound(rng),
        }
    }

    /// A head that can be read, with whatever path, ticket and conditions.
    fn sound(&self, rng: &mut Rng) -> Ask {
        // Large ones are rare: what is compared here is rules, not throughput.
        let few = if rng.one_in(8) { self.things.len() } else { 12 };
        let thing = &self.things[rng.below(few as u64) as usize];
        let path = some_path(rng, thing);
        let place = match rng.below(12) {
            0 => None,
            1 => Some(rng.below(self.tickets.len() as u64) as usize),
            _ if path.starts_with("/o/") => Some(FILL),
            _ => TITLES.iter().position(|title| path.starts_with(&format!("/v/{title}/"))),
        };
        let ticket = place.map(|place| &self.tickets[place]);
        let mut line = Line::new(rng, &path, ticket.map(|ticket| ticket.text.as_str()));
        let conditions = Conditions::draw(rng, thing);
        conditions.write(rng, &mut line.headers);
        let want = self.want(line.method, &path, ticket, &conditions);
        line.finish(want)
    }

    /// The rules, in their order.
    fn want(&self, method: &str, path: &str, ticket: Option<&Ticket>, on: &Conditions) -> Want {
        let word = |status, word| Want::Word { status, word };
        match method {
            "OPTIONS" => return Want::Preflight,
            "GET" | "HEAD" => {}
            _ => return word(405, "method_not_allowed"),
        }
        let Some((title, hex, is_seal)) = route(path) else { return word(404, "no_route") };
        match ticket {
            None => return word(403, "ticket_absent"),
            Some(Ticket { bad: Some(bad), .. }) if *bad != "ticket_network" => {
                return word(403, bad);
            }
            Some(ticket) if !path.starts_with(&ticket.prefix) => {
                return word(403, "ticket_elsewhere");
            }
            Some(Ticket { bad: Some(bad), .. }) => return word(403, bad),
            Some(_) => {}
        }
        let found = self.things.iter().find(|thing| thing.hex == hex && thing.is_seal == is_seal);
        let Some(thing) = found else { return word(404, "unknown_object") };
        if title.is_some_and(|title| title != thing.title) {
            return word(404, "other_title");
        }
        if on.none_match.as_ref().is_some_and(|list| {
            list.split(", ").any(|tag| tag == "*" || tag.trim_start_matches("W/") == thing.tag())
        }) {
            return Want::NotModified { thing: thing.clone() };
        }
        let ranges = method == "GET" && on.if_range.as_ref().is_none_or(|tag| *tag == thing.tag());
        let range = on.range.as_ref().filter(|_| ranges);
        match range.map_or(Some(None), |range| range.resolve(thing.bytes.len())) {
            Some(range) => Want::Media { thing: thing.clone(), range },
            None => Want::Unsatisfiable { total: thing.bytes.len() },
        }
    }

    /// A sound head with one thing wrong that has a word.
    fn broken(&self, rng: &mut Rng) -> Ask {
        let thing = &self.things[4];
        let path = format!("/v/{}/{}", thing.title, thing.hex);
        let ticket = &self.tickets[TITLES.iter().position(|t| *t == thing.title).unwrap()].text;
        let way = rng.pick(&WAYS);
        let target = way.target.replace("{path}", &path).replace("{ticket}", ticket);
        let headers = way.headers.replace("{9000}", &"x".repeat(9_000));
        let headers = headers.replace("{70}", &"X-A: b\r\n".repeat(70));
        let target = target.replace("{5000}", &"x".repeat(5_000));
        let text = format!("{}{target}{}{headers}\r\n{}", way.before, way.after, way.body);
        let want = Want::Word { status: way.status, word: way.word };
        Ask { text: text.into_bytes(), want, is_head: false, closes: true }
    }

    /// A sound GET with some bytes changed. What follows ends it, whatever it has become.
    fn mutated(&self, rng: &mut Rng) -> Ask {
        let mut ask = loop {
            let ask = self.sound(rng);
            if ask.text.starts_with(b"GET ") {
                break ask;
            }
        };
        for _ in 0..=rng.below(3) {
            let at = 4 + rng.below(ask.text.len() as u64 - 4) as usize;
            match rng.below(4) {
                0 => ask.text[at] ^= 1 << rng.below(8),
                1 => ask.text[at] = rng.below(256) as u8,
                2 => ask.text.insert(at, *rng.pick(b"\r\n\0 %/.:,;\t\"")),
                _ => drop(ask.text.remove(at)),
            }
        }
        ask.text.extend_from_slice(b"\r\n\r\n\r\n");
        Ask { want: Want::Anything, ..ask }
    }
}

fn tickets(setup: &Setup) -> Vec<Ticket> {
    let now = wall();
    let [night, ..] = TITLES;
    let claims = Claims::play("p".into(), &night.parse().unwrap(), now, hour_after(now));
    let stranger = TicketSigner::generate().unwrap();
    let mut all: Vec<Ticket> = TITLES
        .iter()
        .map(|title| {
            let prefix = format!("/v/{title}/");
            Ticket { text: setup.play(title), bad: None, prefix }
        })
        .collect();
    all.push(Ticket { text: setup.fill(), bad: None, prefix: "/o/".to_owned() });
    let stale =
        Claims { not_before: UnixMillis(0), expires_at: UnixMillis(9_000), ..claims.clone() };
    let early = Claims { not_before: hour_after(now), ..claims.clone() };
    let early = Claims { expires_at: hour_after(hour_after(now)), ..early };
    let abroad = Claims { network: Some("203.0.113.0/24".parse().unwrap()), ..claims.clone() };
    let sign = |signer: &TicketSigner, claims: &Claims| signer.sign(claims).unwrap();
    for (text, bad) in [
        ("garbage".to_owned(), "ticket_malformed"),
        (sign(&stranger, &claims), "ticket_forged"),
        (sign(&setup.signer, &stale), "ticket_stale"),
        (sign(&setup.signer, &early), "ticket_early"),
        (sign(&setup.signer, &abroad), "ticket_network"),
    ] {
        all.push(Ticket { text, bad: Some(bad), prefix: format!("/v/{night}/") });
    }
    all
}

/// Mostly right; else a path that is nobody's, or somebody else's.
fn some_path(rng: &mut Rng, thing: &Thing) -> String {
    let hex = match rng.below(24) {
        0 => thing.hex.to_uppercase(),
        1 => format!("00{}", &thing.hex[2..]),
        2 => thing.hex[1..].to_owned(),
        _ => thing.hex.clone(),
    };
    let title = if rng.one_in(12) { *rng.pick(&TITLES) } else { thing.title };
    let odd = [
        "/",
        "/v/night",
        "/v/night/",
        "/o/",
        "/metrics",
        "/healthz",
        "/debug/connections",
        "/drain",
    ];
    match (rng.below(24), thing.is_seal) {
        (0, _) => (*rng.pick(&odd)).to_owned(),
        (1, _) => format!("/v/{title}/{hex}/seal"),
        (2, _) => format!("/V/{title}/{hex}"),
        (3, _) => format!("/o/{hex}/seal/"),
        (4, _) => format!("/v/{title}/{hex}{}", rng.pick(&[".", ".a-b", ".mp4.", "/", ".m/x"])),
        (5, _) => format!("/o/{hex}.mp4"),
        (6, _) => format!("/v/{title}x/{hex}"),
        (_, true) => format!("/o/{hex}/seal"),
        (7..=9, false) => format!("/o/{hex}"),
        _ => format!("/v/{title}/{hex}{}", rng.pick(&["", "", ".mp4", ".m4s"])),
    }
}

/// Title, object and whether its seal is meant.
fn route(path: &str) -> Option<(Option<&str>, &str, bool)> {
    let is_hex = |hex: &str| {
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let segments: Vec<&str> = path.split('/').collect();
    let (title, name, is_seal) = match segments[..] {
        ["", "v", title, name] => (Some(title), name, false),
        ["", "o", name] => (None, name, false),
        ["", "o", name, "seal"] => (None, name, true),
        _ => return None,
    };
    let hex = match name.split_once('.') {
        Some((_, "")) => return None,
        Some((hex, kind)) if title.is_some() && kind.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            hex
        }
        Some(_) => return None,
        None => name,
    };
    is_hex(hex).then_some((title, hex, is_seal))
}

/// A head in the making.
struct Line {
    method: &'static str,
    target: String,
    version: &'static str,
    headers: String,
    closes: bool,
}

impl Line {
    fn new(rng: &mut Rng, path: &str, ticket: Option<&str>) -> Self {
        let method = match rng.below(20) {
            0 | 1 => "HEAD",
            2 => "OPTIONS",
            3 => rng.pick(&["POST", "PUT", "DELETE", "get", "TRACE"]),
            _ => "GET",
        };
        let (version, mut closes) =
            if rng.one_in(40) { ("HTTP/1.0", true) } else { ("HTTP/1.1", false) };
        let mut headers = "Host: edge.example\r\n".to_owned();
        if rng.one_in(50) {
            headers += *rng.pick(&["Connection: close\r\n", "connection: x, Close\r\n"]);
            closes = true;
        }
        let (mut target, mut query) = (path.to_owned(), Vec::new());
        if rng.one_in(6) {
            query.push("CMCD=br%3D3200%2Cot%3Dv".to_owned());
        }
        match (ticket, rng.below(4)) {
            (None, _) => {}
            (Some(ticket), 0) => target = format!("/t/{ticket}{path}"),
            (Some(ticket), 1) => query.push(format!("CAT={ticket}")),
            (Some(ticket), 2) => {
                let _ = write!(headers, "cta-common-ACCESS-token:  {ticket} \r\n");
            }
            (Some(ticket), _) => {
                let _ = write!(headers, "Cookie: a=b; CTA-Common-Access-Token={ticket}\r\n");
            }
        }
        if !query.is_empty() {
            target = format!("{target}?{}", query.join("&"));
        }
        if rng.one_in(20) {
            target = format!("http://EDGE.example{target}");
        }
        Self { method, target, version, headers, closes }
    }

    fn finish(self, want: Want) -> Ask {
        let Self { method, target, version, headers, closes } = self;
        let text = format!("{method} {target} {version}\r\n{headers}\r\n").into_bytes();
        Ask { text, want, is_head: method == "HEAD", closes }
    }
}

/// Headers that choose between 200, 206, 304 and 416.
struct Conditions {
    range: Option<Range>,
    if_range: Option<String>,
    none_match: Option<String>,
}

impl Conditions {
    fn draw(rng: &mut Rng, thing: &Thing) -> Self {
        let mut maybe = |one_in: u64, tags: &[String]| {
            if rng.one_in(one_in) { Some(rng.pick(tags).clone()) } else { None }
        };
        let tag = thing.tag();
        let weak = format!("W/{tag}");
        let list = format!("\"x\", {tag}");
        let bare = tag.trim_matches('"').to_owned();
        let other = "\"x\"".to_owned();
        let date = "Sun, 06 Nov 1994 08:49:37 GMT".to_owned();
        let none_match = [tag.clone(), weak.clone(), list, bare, other.clone(), "*".to_owned()];
        let none_match = maybe(8, &none_match);
        let if_range = maybe(6, &[tag, weak, other, date]);
        let range = if rng.one_in(3) { None } else { Some(Range::draw(rng, thing.bytes.len())) };
        Self { range, if_range, none_match }
    }

    fn write(&self, rng: &mut Rng, headers: &mut String) {
        let mut put = |name: &str, value: &str| {
            let _ = write!(headers, "{name}: {value}\r\n");
        };
        if let Some(range) = &self.range {
            put("Range", &range.text);
        }
        if let Some(tag) = &self.if_range {
            put("If-Range", tag);
        }
        if let Some(tags) = &self.none_match {
            put("if-none-match", tags);
        }
        match rng.below(12) {
            0 => put("Content-Length", "0"),
            1 => put("Expect", "100-continue"),
            2 => put("X-Odd", "\u{e9}\t\"%00"),
            3 => put("If-Modified-Since", "Sun, 06 Nov 2094 08:49:37 GMT"),
            4 => put("Upgrade", "h2c"),
            _ => {}
        }
    }
}

/// One `Range` header and what it means for any length.
pub struct Range {
    text: String,
    means: Means,
}

enum Means {
    Nothing,
    Between(usize, usize),
    From(usize),
    Last(usize),
}

impl Range {
    fn draw(rng: &mut Rng, length: usize) -> Self {
        let edges =
            [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, length / 2, length.saturating_sub(1), length];
        let mut edge = || *rng.pick(&edges) + rng.below(3) as usize;
        let (a, b) = (edge(), edge());
        let (text, means) = match rng.below(12) {
            0 => (format!("bytes={a}-"), Means::From(a)),
            1 => (format!("BYTES=-{a}"), Means::Last(a)),
            2 => (format!("bytes={a}-99999999999999999999999"), Means::Between(a, usize::MAX - 1)),
            3 => ("bytes=99999999999999999999999-".to_owned(), Means::From(usize::MAX)),
            4 => {
                let odd = [
                    "bytes=0-0,2-3",
                    "items=0-1",
                    "bytes=-",
                    "bytes=x-1",
                    "bytes",
                    "bytes=1-x",
                    "bytes=+1-2",
                    "bytes=0x1-2",
                    "bytes=--1",
                    "bytes=1-2-3",
                    "bytes=0-0, -1",
                ];
                ((*rng.pick(&odd)).to_owned(), Means::Nothing)
            }
            _ => (format!("bytes={a}-{b}"), Means::Between(a, b)),
        };
        Self { text, means }
    }

    /// `Some(None)`: the whole. `None`: nothing of it is there.
    fn resolve(&self, length: usize) -> Option<Option<std::ops::Range<usize>>> {
        match self.means {
            Means::Nothing => Some(None),
            Means::Between(first, last) if last < first => Some(None),
            Means::Between(first, last) if first < length => {
                Some(Some(first..length.min(last + 1)))
            }
            Means::From(first) if first < length => Some(Some(first..length)),
            Means::Last(0) | Means::Between(..) | Means::From(_) => None,
            Means::Last(_) if length == 0 => Some(None),
            Means::Last(count) => Some(Some(length.saturating_sub(count)..length)),
        }
    }

    /// What an answer's `Content-Range` says.
    pub fn said(text: &str) -> std::ops::Range<usize> {
        let (range, _) = text.strip_prefix("bytes ").unwrap().split_once('/').unwrap();
        let (first, last) = range.split_once('-').unwrap();
        first.parse().unwrap()..last.parse::<usize>().unwrap() + 1
    }
}
