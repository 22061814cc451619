//! Goal: no request gets an answer that a small model of the rules would not give. Method: a
//! hundred thousand seeded requests, sound and broken, pipelined and cut anywhere, over plain HTTP,
//! TLS and HTTP/2, on the real program; each answer is compared with the model's, byte by byte, and
//! the program's own counts with ours. `NIGHTFILL_SEED` replays a run.

mod ask;
mod check;
mod conditions;
mod multiplexed;
mod ranges;
mod ways;
mod world;

use std::time::{Duration, SystemTime};

use rustls::version::{TLS12, TLS13};

use crate::encrypted::certificate;
use crate::kit::{Appliance, Setup, payload, program, start};
use crate::wire::Connection;
use ask::Ask;
use check::{Tally, check, check_anything};
use world::{Rng, Thing, Want, World};

const REQUESTS: usize = 90_000;
/// Of a lab, whose files have dates.
const REQUESTS_LAB: usize = 30_000;
/// Of each version: sealing in a debug build takes its time.
const REQUESTS_TLS: usize = 3_000;
const PIPELINED_MAX: u64 = 8;
/// Connections at once, each with a thread and a seed of its own.
const CLIENTS: u64 = 4;

/// What is wanted of each answer, whatever it is about.
fn seed() -> u64 {
    std::env::var("NIGHTFILL_SEED").map_or(2026, |text| text.parse().unwrap())
}

#[test]
fn every_answer_is_the_one_the_model_gives() {
    check_sealed(Setup::new(), REQUESTS, |appliance| appliance.connect());
}

#[test]
fn every_answer_under_tls_is_the_one_the_model_gives() {
    for version in [&TLS13, &TLS12] {
        let setup = Setup::new().section("tls", "cert = \"edge.pem\"\nkey = \"edge.key\"\n");
        let client = certificate(setup.dir.path(), version);
        check_sealed(setup, REQUESTS_TLS, move |appliance| {
            Connection::tls(appliance.media, &client)
        });
    }
}

#[test]
fn every_answer_of_a_lab_is_the_one_the_model_gives() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    std::fs::write(&outside, "nobody's").unwrap();
    let root = dir.path().join("root");
    let things = publish_lab(&root);
    std::os::unix::fs::symlink(&outside, root.join("outside")).unwrap();
    let mut command = program();
    let setup = Setup::new();
    let log = std::fs::File::create(setup.path("oca.log")).unwrap();
    command.args(["lab", "--json", "--listen", "127.0.0.1:0"]).arg(&root).stderr(log);
    let (child, ready) = start(&mut command);
    let address = |key: &str| ready[key].as_str().unwrap().parse().unwrap();
    let (media, admin) = (address("listening"), address("admin"));
    let appliance = Appliance { setup, media, admin, child };
    let mut world = World { things, tickets: Vec::new(), is_lab: true };
    let count = world.things.len();
    for thing in &mut world.things {
        // What a file's tag is made of is nobody's business, but it stays the same.
        let reply = appliance.connect().ask("HEAD", &format!("/{}", thing.hex), "");
        thing.tag = reply.header("etag").unwrap().to_owned();
    }
    let mut tally = ask_all(&world, &appliance, REQUESTS_LAB, &|appliance| appliance.connect());
    tally.answers += count;
    check_tally(&appliance, &tally, REQUESTS_LAB);
}

/// Files of every kind of name, all of one date.
fn publish_lab(root: &std::path::Path) -> Vec<Thing> {
    let made = SystemTime::UNIX_EPOCH + Duration::from_secs(conditions::MADE);
    let files = [
        ("a/one.m4s", "video/mp4", 777),
        ("a/two.mp4", "video/mp4", 16_385),
        ("a/main.m3u8", "application/vnd.apple.mpegurl", 300),
        ("manifest.mpd", "application/dash+xml", 1),
        ("en.vtt", "text/vtt; charset=utf-8", 5_000),
        ("art.jpg", "image/jpeg", 4_096),
        ("a/b/c.json", "application/json", 2),
        ("read.txt", "text/plain; charset=utf-8", 100),
        ("empty.txt", "text/plain; charset=utf-8", 0),
        ("x.bin", "application/octet-stream", world::CHUNK + 1),
        ("noname", "application/octet-stream", 2 * world::CHUNK + 777),
    ];
    let publish = |(number, (name, media_type, bytes)): (usize, &(&str, &'static str, usize))| {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let bytes = payload(*bytes, 500 + number as u64);
        std::fs::write(&path, &bytes).unwrap();
        std::fs::File::options().append(true).open(&path).unwrap().set_modified(made).unwrap();
        let (hex, tag) = ((*name).to_owned(), String::new());
        Thing { bytes, media_type, title: "", hex, is_seal: false, tag, has_date: true }
    };
    files.iter().enumerate().map(publish).collect()
}

fn check_sealed(setup: Setup, requests: usize, connect: impl Fn(&Appliance) -> Connection + Sync) {
    let world = World::publish(&setup);
    let appliance = setup.start();
    let tally = ask_all(&world, &appliance, requests, &connect);
    check_tally(&appliance, &tally, requests);
}

/// Several clients at once, each with its share of the requests.
fn ask_all(
    world: &World,
    appliance: &Appliance,
    requests: usize,
    connect: &(impl Fn(&Appliance) -> Connection + Sync),
) -> Tally {
    let mut all = Tally::default();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || {
                    ask_many(world, appliance, requests / CLIENTS as usize, client, connect)
                })
            })
            .collect();
        for client in clients {
            all.join(&client.join().unwrap_or_else(|why| std::panic::resume_unwind(why)));
        }
    });
    all
}

fn ask_many(
    world: &World,
    appliance: &Appliance,
    requests: usize,
    client: u64,
    connect: &impl Fn(&Appliance) -> Connection,
) -> Tally {
    let mut rng = Rng::new(seed().wrapping_mul(31).wrapping_add(client));
    let mut tally = Tally::default();
    let mut connection = connect(appliance);
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
        if !converse(&mut connection, &mut rng, world, &batch, &mut tally) {
            connection = connect(appliance);
        }
    }
    tally
}

/// Sends a batch and checks its answers; false when the connection has ended, as it should have.
fn converse(
    connection: &mut Connection,
    rng: &mut Rng,
    world: &World,
    batch: &[Ask],
    tally: &mut Tally,
) -> bool {
    let bytes: Vec<u8> = batch.iter().flat_map(|ask| ask.text.iter().copied()).collect();
    let cuts = 1 + rng.below(3);
    bytes.chunks(bytes.len().div_ceil(cuts as usize)).for_each(|piece| connection.send(piece));
    for ask in batch {
        if matches!(ask.want, Want::Anything) {
            while let Some(reply) = connection.reply_unless_ended("GET") {
                check_anything(world, &reply, tally, || context(ask));
            }
            return false;
        }
        let method = if ask.is_head { "HEAD" } else { "GET" };
        let Some(reply) = connection.reply_unless_ended(method) else {
            panic!("no answer; {}", context(ask));
        };
        check(world, &ask.want, ask.is_head, &reply, tally, || context(ask));
        let says_close = reply.header("connection") == Some("close");
        assert_eq!(says_close, ask.closes, "connection header; {}", context(ask));
        if ask.closes {
            assert!(connection.is_ended(), "still open; {}", context(ask));
            return false;
        }
    }
    true
}

fn context(ask: &Ask) -> String {
    let text = String::from_utf8_lossy(&ask.text);
    let seed = seed();
    format!(
        "replay: NIGHTFILL_SEED={seed} cargo test -p oca --test appliance differential; \
         wanted {:?}, asked {text:?}",
        ask.want
    )
}

fn check_tally(appliance: &Appliance, tally: &Tally, requests: usize) {
    println!("NIGHTFILL_SEED={}: {} answers, {:?}", seed(), tally.answers, tally.by_class);
    let [.., good, moved, refused, _] = tally.by_class;
    let is_varied = good > requests / 4 && moved > requests / 100 && refused > requests / 12;
    assert!(is_varied && tally.parts > requests / 200, "{:?}, {}", tally.by_class, tally.parts);
    appliance.counts("answers_total", "ending=\"complete\"", tally.answers as f64);
    appliance.counts("answers_total", "", tally.answers as f64);
    appliance.counts("answers_total", "outcome=\"parts\"", tally.parts as f64);
    appliance.counts("media_bytes_total", "", tally.media as f64);
}
