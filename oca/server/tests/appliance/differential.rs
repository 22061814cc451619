//! Goal: no request gets an answer that a small model of the rules would not give. Method:
//! thousands of seeded requests, sound and broken, pipelined and cut anywhere, on the real program;
//! each answer is compared with the model's, byte by byte, and the program's own counts with ours.

use rustls::version::{TLS12, TLS13};

use crate::differential_ask::{Ask, Range, Rng, Want, World};
use crate::encrypted::certificate;
use crate::kit::{Appliance, Setup};
use crate::wire::{Connection, Reply};

const REQUESTS: usize = 22_000;
/// Of each version: sealing in a debug build takes its time.
const REQUESTS_TLS: usize = 1_500;
const PIPELINED_MAX: u64 = 6;

/// What we counted, to be compared with what the program counted.
#[derive(Default)]
struct Tally {
    answers: usize,
    media: usize,
    /// Answers by first digit of the status: a model that refuses everything would prove nothing.
    by_class: [usize; 6],
}

#[test]
fn every_answer_is_the_one_the_model_gives() {
    check_many(Setup::new(), REQUESTS, |appliance| appliance.connect());
}

#[test]
fn every_answer_under_tls_is_the_one_the_model_gives() {
    for version in [&TLS13, &TLS12] {
        let setup = Setup::new().section("tls", "cert = \"edge.pem\"\nkey = \"edge.key\"\n");
        let client = certificate(setup.dir.path(), version);
        check_many(setup, REQUESTS_TLS, |appliance| Connection::tls(appliance.media, &client));
    }
}

fn check_many(setup: Setup, requests: usize, connect: impl Fn(&Appliance) -> Connection) {
    let seed = std::env::var("NIGHTFILL_SEED").map_or(2026, |text| text.parse().unwrap());
    let world = World::publish(&setup);
    let appliance = setup.start();
    let mut rng = Rng::new(seed);
    let mut tally = Tally::default();
    let mut connection = connect(&appliance);
    let mut asked = 0;
    while asked < requests {
        let mut batch = Vec::new();
        for _ in 0..=rng.below(PIPELINED_MAX) {
            batch.push(world.ask(&mut rng));
            if batch.last().is_some_and(Ask::is_last) {
                break;
            }
        }
        asked += batch.len();
        if !converse(&mut connection, &mut rng, &world, &batch, &mut tally, seed) {
            connection = connect(&appliance);
        }
    }
    check_tally(&appliance, &tally, requests);
}

/// Sends a batch and checks its answers; false when the connection has ended, as it should have.
fn converse(
    connection: &mut Connection,
    rng: &mut Rng,
    world: &World,
    batch: &[Ask],
    tally: &mut Tally,
    seed: u64,
) -> bool {
    let bytes: Vec<u8> = batch.iter().flat_map(|ask| ask.text.iter().copied()).collect();
    let cuts = 1 + rng.below(3);
    bytes.chunks(bytes.len().div_ceil(cuts as usize)).for_each(|piece| connection.send(piece));
    for ask in batch {
        if matches!(ask.want, Want::Anything) {
            while let Some(reply) = connection.reply_unless_ended("GET") {
                check_anything(world, &reply, tally, || context(seed, ask));
            }
            return false;
        }
        let method = if ask.is_head { "HEAD" } else { "GET" };
        let Some(reply) = connection.reply_unless_ended(method) else {
            panic!("no answer; {}", context(seed, ask));
        };
        check(ask, &reply, tally, || context(seed, ask));
        if ask.closes {
            assert!(connection.is_ended(), "still open; {}", context(seed, ask));
            return false;
        }
    }
    true
}

fn context(seed: u64, ask: &Ask) -> String {
    let text = String::from_utf8_lossy(&ask.text);
    format!("NIGHTFILL_SEED={seed}, wanted {:?}, asked {text:?}", ask.want)
}

fn check(ask: &Ask, reply: &Reply, tally: &mut Tally, context: impl Fn() -> String) {
    tally.add(reply);
    let length = reply.header("content-length").map(|text| text.parse::<usize>().unwrap());
    let says_close = reply.header("connection") == Some("close");
    assert_eq!(says_close, ask.closes, "connection header; {}", context());
    assert!(reply.is_whole, "cut; {}", context());
    match &ask.want {
        Want::Media { thing, range } => {
            let (status, start, end) = match range {
                Some(range) => (206, range.start, range.end),
                None => (200, 0, thing.bytes.len()),
            };
            assert_eq!(reply.status, status, "{}", context());
            assert_eq!(length, Some(end - start), "length; {}", context());
            let content_range =
                range.as_ref().map(|_| format!("bytes {start}-{}/{}", end - 1, thing.bytes.len()));
            assert_eq!(reply.header("content-range"), content_range.as_deref(), "{}", context());
            assert_eq!(reply.header("etag"), Some(thing.tag()).as_deref(), "{}", context());
            assert_eq!(reply.header("content-type"), Some(thing.media_type), "{}", context());
            let body = if ask.is_head { &[][..] } else { &thing.bytes[start..end] };
            assert!(reply.body == body, "other bytes; {}", context());
            tally.media += body.len();
        }
        Want::NotModified { thing } => {
            assert_eq!((reply.status, length), (304, None), "{}", context());
            assert_eq!(reply.header("etag"), Some(thing.tag()).as_deref(), "{}", context());
        }
        Want::Preflight => assert_eq!((reply.status, length), (204, None), "{}", context()),
        Want::Word { status, word } => {
            assert_eq!(reply.status, *status, "said {:?}; {}", reply.text(), context());
            let body = if ask.is_head { "" } else { word };
            assert_eq!(reply.text(), body, "{}", context());
            assert_eq!(length, Some(word.len() + 1), "{}", context());
        }
        Want::Unsatisfiable { total } => {
            let wanted = format!("bytes */{total}");
            assert_eq!(reply.status, 416, "{}", context());
            assert_eq!(reply.header("content-range"), Some(wanted.as_str()), "{}", context());
        }
        Want::Anything => unreachable!("handled by the caller"),
    }
}

/// Nobody knows what a mutated head means; but media is only ever the right bytes of an object that
/// its ETag names.
fn check_anything(world: &World, reply: &Reply, tally: &mut Tally, context: impl Fn() -> String) {
    tally.add(reply);
    assert!(reply.is_whole, "cut; {}", context());
    if !matches!(reply.status, 200 | 206) {
        assert!(matches!(reply.status, 304 | 400..=499 | 505), "{}; {}", reply.status, context());
        return;
    }
    let tag = reply.header("etag").unwrap();
    let thing = world.things.iter().find(|thing| thing.tag() == tag);
    let thing = thing.unwrap_or_else(|| panic!("an object never published; {}", context()));
    let range = match reply.header("content-range") {
        None => 0..thing.bytes.len(),
        Some(text) => Range::said(text),
    };
    assert!(reply.body == thing.bytes[range], "other bytes; {}", context());
    tally.media += reply.body.len();
}

impl Tally {
    fn add(&mut self, reply: &Reply) {
        self.answers += 1;
        self.by_class[usize::from(reply.status / 100)] += 1;
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    }
}

fn check_tally(appliance: &Appliance, tally: &Tally, requests: usize) {
    let [.., good, moved, refused, _] = tally.by_class;
    let is_varied = good > requests / 4 && moved > requests / 100 && refused > requests / 8;
    assert!(is_varied, "{:?}", tally.by_class);
    appliance.counts("answers_total", "ending=\"complete\"", tally.answers as f64);
    appliance.counts("answers_total", "", tally.answers as f64);
    appliance.counts("media_bytes_total", "", tally.media as f64);
}
