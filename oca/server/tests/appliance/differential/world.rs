//! What is published, who may have it, and which answer each request gets: the model. It shares no
//! code with the program.

use control_token::{Claims, TicketSigner};
use control_types::UnixMillis;
use oca_store::{MediaType, seal_reader};

use super::conditions::{Conditions, Verdict};
use super::ranges::Sent;
use crate::kit::{Setup, hour_after, payload, wall};

pub const CHUNK: usize = 262_144;
pub const TITLES: [&str; 2] = ["night", "night-harbour"];
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

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// Something that can be asked for: a payload, its seal, or a lab's file.
#[derive(Clone)]
pub struct Thing {
    pub bytes: Vec<u8>,
    pub media_type: &'static str,
    pub title: &'static str,
    /// Its name; a lab's path, without the slash.
    pub hex: String,
    pub is_seal: bool,
    /// As a header has it.
    pub tag: String,
    pub has_date: bool,
}

impl std::fmt::Debug for Thing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} bytes of {} in {}", self.bytes.len(), self.tag, self.title)
    }
}

/// What the answer must be.
#[derive(Debug)]
pub enum Want {
    Media {
        thing: usize,
        sent: Sent,
    },
    NotModified {
        thing: usize,
    },
    Unsatisfiable {
        thing: usize,
    },
    Preflight,
    Word {
        status: u16,
        word: &'static str,
    },
    /// Only what holds for every answer.
    Anything,
}

/// A ticket and what it is good for.
pub struct Ticket {
    pub text: String,
    /// The one word of its refusal, wherever it is used.
    pub bad: Option<&'static str>,
    pub prefix: String,
}

/// What is published and who may have it.
pub struct World {
    pub things: Vec<Thing>,
    pub tickets: Vec<Ticket>,
    pub is_lab: bool,
}

/// Places in `World::tickets`: one for each title, then these.
pub const FILL: usize = TITLES.len();

impl World {
    pub fn publish(setup: &Setup) -> Self {
        let mut things = Vec::new();
        for (number, bytes) in SIZES.iter().copied().enumerate() {
            let title = TITLES[number % TITLES.len()];
            let bytes = payload(bytes, 100 + number as u64);
            let hex = setup.publish(0, title, &bytes).to_string();
            let seal = seal_reader(&*bytes, title.parse().unwrap(), MediaType::VideoMp4).unwrap();
            let thing = Thing {
                bytes,
                media_type: "video/mp4",
                title,
                tag: format!("\"{hex}\""),
                hex,
                is_seal: false,
                has_date: false,
            };
            let seal = Thing {
                bytes: seal.encode(),
                media_type: "application/octet-stream",
                tag: format!("\"se{}\"", &thing.hex[2..]),
                is_seal: true,
                ..thing.clone()
            };
            things.extend([thing, seal]);
        }
        Self { things, tickets: tickets(setup), is_lab: false }
    }

    /// The rules, in their order.
    pub fn want(&self, method: &str, path: &str, ticket: Option<&Ticket>, on: &Conditions) -> Want {
        let word = |status, word| Want::Word { status, word };
        match method {
            "OPTIONS" => return Want::Preflight,
            "GET" | "HEAD" if on.expects_more() => return word(417, "expectation_failed"),
            "GET" | "HEAD" => {}
            _ => return word(405, "method_not_allowed"),
        }
        let found = if self.is_lab {
            self.things.iter().position(|thing| path.strip_prefix('/') == Some(&thing.hex))
        } else {
            match self.authorized(path, ticket) {
                Ok(found) => found,
                Err((status, text)) => return word(status, text),
            }
        };
        let Some(thing) = found else { return word(404, "unknown_object") };
        match on.judge(method, &self.things[thing]) {
            Verdict::Failed => word(412, "precondition_failed"),
            Verdict::NotModified => Want::NotModified { thing },
            Verdict::Send(Sent::Nothing) => Want::Unsatisfiable { thing },
            Verdict::Send(sent) => Want::Media { thing, sent },
        }
    }

    fn authorized(
        &self,
        path: &str,
        ticket: Option<&Ticket>,
    ) -> Result<Option<usize>, (u16, &'static str)> {
        let Some((title, hex, is_seal)) = route(path) else { return Err((404, "no_route")) };
        match ticket {
            None => return Err((403, "ticket_absent")),
            Some(Ticket { bad: Some(bad), .. }) if *bad != "ticket_network" => {
                return Err((403, bad));
            }
            Some(ticket) if !path.starts_with(&ticket.prefix) => {
                return Err((403, "ticket_elsewhere"));
            }
            Some(Ticket { bad: Some(bad), .. }) => return Err((403, bad)),
            Some(_) => {}
        }
        let found =
            self.things.iter().position(|thing| thing.hex == hex && thing.is_seal == is_seal);
        let Some(at) = found else { return Ok(None) };
        if title.is_some_and(|title| title != self.things[at].title) {
            return Err((404, "other_title"));
        }
        Ok(Some(at))
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
