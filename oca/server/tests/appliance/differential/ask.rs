//! Random requests: sound ones with whatever path, ticket and conditions, ones with one thing
//! wrong, and ones that nobody could have meant. Which answer each gets, `world` knows.

use std::fmt::Write;

use super::conditions::Conditions;
use super::ways::WAYS;
use super::world::{FILL, Rng, TITLES, Thing, Want, World};

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

impl World {
    pub fn ask(&self, rng: &mut Rng) -> Ask {
        match rng.below(20) {
            0 if !self.is_lab => self.broken(rng),
            1 => self.mutated(rng),
            _ => self.sound(rng),
        }
    }

    /// A head that can be read, with whatever path, ticket and conditions.
    pub fn sound(&self, rng: &mut Rng) -> Ask {
        // Large ones are rare: what is compared here is rules, not throughput.
        let few = if rng.one_in(16) { self.things.len() } else { self.things.len() * 2 / 3 };
        let thing = &self.things[rng.below(few as u64) as usize];
        let path = if self.is_lab { lab_path(rng, thing) } else { some_path(rng, thing) };
        let place = match rng.below(12) {
            _ if self.is_lab => None,
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

fn lab_path(rng: &mut Rng, thing: &Thing) -> String {
    match rng.below(16) {
        0 => (*rng.pick(&["/", "/a", "/a/", "/a/b.mp4/", "/outside", "/A/one.mp4"])).to_owned(),
        _ => format!("/{}", thing.hex),
    }
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
