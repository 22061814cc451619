//! Memory that the server lends to the network: many seeds, and single stories. The simulated
//! network reads it as late as it can, gives it back when it likes, and in any order; what a client
//! reads is held against the shelf as ever, so a buffer that was used again too early is a wrong
//! byte. `NIGHTFILL_SIM_SEEDS` says how many seeds ([`SHARE`] of them: these stories are long),
//! `NIGHTFILL_SIM_FIRST` from which on.

mod kit;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use fastrand::Rng;
use kit::{BRISK, THREE_CHUNKS, add, finish, shelf, whole};
use oca::engine::{Engine, Preference, Why};
use oca::limits::{COPY_DOUBTS, DOUBTS_BY_WAY_MAX, LENT_SHARE, ZERO_COPY_AGAIN_MS};
use oca_sim::weather::{MILLISECOND, SECOND};
use oca_sim::{Manners, Pace, Story, Viewer, Weather, script};

/// Seeds of a run that nobody asked more of.
const SEEDS: u64 = 100;
/// One in so many of the seeds that are asked for, at least one.
const SHARE: u64 = 20;
/// What every chance is out of.
const ALWAYS: u32 = 10_000;
const CHUNK_BYTES: u64 = 256 * 1024;

fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Any weather, any clients, on clear sockets whose engine lends.
fn run(seed: u64) -> Result<Story, String> {
    let random = &mut Rng::with_seed(seed);
    let preference = if random.bool() { Preference::Auto } else { Preference::OwnedZeroCopy };
    let coarse_room = random.bool();
    let weather = Weather { preference, coarse_room, ..Weather::draw(random) };
    let mut story = Story::new(&shelf(), &weather, None, seed);
    for _ in 0..random.u32(1..16) {
        let manners = match random.u8(..10) {
            0..2 => Manners::draw_rude(random),
            2 => Manners::HalfClosed,
            _ => Manners::Polite,
        };
        let mut asks = vec![whole(&story.shelf, random.usize(..story.shelf.samples.len()))];
        while random.u8(..4) > 0 && !asks[asks.len() - 1].last {
            asks.push(script::draw(&story.shelf, random));
        }
        let client = Viewer::new(Arc::clone(&story.shelf), asks, manners, Pace::draw(random));
        let (begins, room) = (random.u64(1..5 * SECOND), 1 << random.u32(10..21));
        story.kernel.world().add_client(begins, room, Box::new(client));
    }
    if random.u8(..5) == 0 {
        story.turn_until(random.u64(..20 * SECOND))?;
        story.drain(random.u64(..20_000));
    }
    story.rest()?;
    Ok(story)
}

#[test]
fn lent_memory_is_what_the_clients_asked_for_in_any_weather() {
    let asked = number_from("NIGHTFILL_SIM_SEEDS");
    let seeds = asked.map_or(SEEDS, |seeds| seeds.div_ceil(SHARE));
    let first = number_from("NIGHTFILL_SIM_FIRST").unwrap_or(0);
    let (mut sends, mut used, mut copied) = (0, 0, 0);
    for seed in first..first + seeds {
        let ran = catch_unwind(AssertUnwindSafe(|| {
            let story = run(seed)?;
            let counters = Arc::clone(&story.counters);
            story.finish().map(|_| counters)
        }));
        let replay = format!("seed {seed}: NIGHTFILL_SIM_SEEDS=1 NIGHTFILL_SIM_FIRST={seed}");
        let Ok(ended) = ran else { panic!("it panicked, with {replay}") };
        let counters = ended.unwrap_or_else(|broken| panic!("{broken}, with {replay}"));
        sends += counters.zero_copy.sends.get();
        used += counters.zero_copy.used.get();
        copied += counters.zero_copy.copied.get();
    }
    println!("{seeds} seeds: {sends} sends lent, {used} used where they lay, {copied} copied");
    assert!(used > seeds && copied > seeds / 4, "hardly anything was lent");
}

fn story(weather: Weather) -> Story {
    Story::new(&shelf(), &Weather { preference: Preference::Auto, ..weather }, None, 1)
}

fn choices(story: &Story) -> Vec<(Engine, Why, u64)> {
    story.counters.choices().collect()
}

/// The chunks of `crowd`, fewer than all objects have.
const CHUNKS: u32 = 16;

/// Few chunks for many readers, and a network that holds much of what they have not read.
fn crowd(weather: Weather) -> Story {
    let story = story(Weather { buffers: [64, CHUNKS, 64], ..weather });
    let slow = Pace { read_bytes: 30_000, read_every: 20 * MILLISECOND, ..BRISK };
    for (number, sample) in (0..story.shelf.samples.len()).cycle().take(24).enumerate() {
        let asks = (0..3).map(|at| whole(&story.shelf, (sample + at) % story.shelf.samples.len()));
        let client = Viewer::new(Arc::clone(&story.shelf), asks.collect(), Manners::Polite, slow);
        let begins = 1 + number as u64 * 10 * MILLISECOND;
        story.kernel.world().add_client(begins, 1 << 20, Box::new(client));
    }
    story
}

#[test]
fn a_kernel_that_forgets_what_it_was_lent_is_noticed() {
    let sound = crowd(Weather { scarce: true, ..Weather::fair() });
    assert_eq!(finish(sound).answers, 72, "the same crowd on a sound machine");
    let mut broken = crowd(Weather { scarce: true, forgets_loans: true, ..Weather::fair() });
    broken.rest().expect("it comes to rest");
    assert!(broken.counters.hot_evictions.get() > 0, "nothing was used again");
    let world = broken.kernel.world();
    let wrong = world.clients().filter_map(|client| client.complaint()).count();
    assert!(wrong > 0, "memory was used again while it was on its way, and nobody saw it");
}

#[test]
fn a_share_of_the_chunks_is_lent_and_the_rest_is_copied() {
    let mut story = crowd(Weather { scarce: true, notice_max: 2 * SECOND, ..Weather::fair() });
    let mut most = 0;
    while story.kernel.world().clients_busy() > 0 {
        let next = story.kernel.world().now() + MILLISECOND;
        story.turn_until(next).expect("turns");
        most = most.max(story.counters.zero_copy.lent_bytes.get());
    }
    let share = u64::from(CHUNKS) / LENT_SHARE as u64;
    assert_eq!(most, share * CHUNK_BYTES, "the whole share, and no more");
    assert!(story.counters.zero_copy.fallbacks.get() > 0);
    assert_eq!(finish(story).answers, 72);
}

fn sockets(story: &Story, engine: Engine, why: Why) -> u64 {
    let all = choices(story);
    all.iter().find(|row| (row.0, row.1) == (engine, why)).map_or(0, |row| row.2)
}

#[test]
fn what_copies_is_left_alone_for_a_while_by_socket_and_by_way_out() {
    let mut story = story(Weather { copies_loans: ALWAYS, ..Weather::fair() });
    // One after the other, over two ways out in turn: one of eight answers, some of two, and later,
    // when it is time to try again, four more.
    let (early, late) = (28, ZERO_COPY_AGAIN_MS * MILLISECOND + 60 * SECOND);
    for number in 0..early + 4 {
        let begins = if number < early { number * SECOND } else { late + number * SECOND };
        let answers = if number == 0 { 8 } else { 2 };
        let asks = vec![whole(&story.shelf, THREE_CHUNKS); answers];
        add(&story, begins + 1, asks, Manners::Polite, BRISK);
    }
    story.turn_until(late).expect("turns");
    let tried = sockets(&story, Engine::OwnedZeroCopy, Why::RemotePeer);
    assert!((2..early / 2).contains(&tried), "{:?}", choices(&story));
    let found = sockets(&story, Engine::Owned, Why::CopiedByKernel);
    assert!((1..=tried).contains(&found), "some by themselves: {:?}", choices(&story));
    // All others, and the two that were under way when it was settled.
    let left = sockets(&story, Engine::Owned, Why::WayOutCopies);
    assert!((early - tried..=early - tried + 2).contains(&left), "{:?}", choices(&story));
    let copied = story.counters.zero_copy.copied.get();
    assert!(copied >= u64::from(2 * DOUBTS_BY_WAY_MAX / COPY_DOUBTS), "{copied} reports");
    story.rest().expect("it comes to rest");
    // After a while one socket of each way tries again, and the others are not let in meanwhile.
    assert_eq!(sockets(&story, Engine::OwnedZeroCopy, Why::RemotePeer), tried + 2);
    let left_late = sockets(&story, Engine::Owned, Why::WayOutCopies) - left;
    assert!((2..=4).contains(&left_late), "{:?}", choices(&story));
    assert_eq!(finish(story).answers as u64, 8 + 2 * (early + 3));
}

#[test]
fn what_was_asked_for_is_lent_whatever_is_reported() {
    let weather = Weather { copies_loans: ALWAYS, ..Weather::fair() };
    let weather = Weather { preference: Preference::OwnedZeroCopy, ..weather };
    let mut story = Story::new(&shelf(), &weather, None, 1);
    for number in 0..8 {
        let asks = vec![whole(&story.shelf, THREE_CHUNKS); 3];
        add(&story, number * SECOND + 1, asks, Manners::Polite, BRISK);
    }
    story.rest().expect("it comes to rest");
    assert_eq!(choices(&story), [(Engine::OwnedZeroCopy, Why::Configured, 8)]);
    assert!(story.counters.zero_copy.copied.get() >= 8 * 3 * 3);
    assert_eq!(finish(story).answers, 24);
}

#[test]
fn a_kernel_that_refuses_to_lend_is_sent_the_same_bytes_plainly() {
    let mut story = story(Weather { refuses_to_lend: ALWAYS, ..Weather::fair() });
    add(&story, 1, vec![whole(&story.shelf, THREE_CHUNKS); 2], Manners::Polite, BRISK);
    story.rest().expect("it comes to rest");
    let wanted =
        [(Engine::Owned, Why::LendingRefused, 1), (Engine::OwnedZeroCopy, Why::RemotePeer, 1)];
    assert_eq!(choices(&story), wanted);
    assert_eq!(story.counters.zero_copy.sends.get(), 1, "tried once");
    assert_eq!(finish(story).answers, 2);
}

/// Takes so much each second, of an answer that fills a socket of two megabytes.
fn slow_reader(bytes_a_second: usize) -> Story {
    let weather = Weather { coarse_room: true, ..Weather::fair() };
    let story = Story::new(&shelf(), &weather, None, 1);
    let largest = (0..story.shelf.samples.len())
        .max_by_key(|sample| story.shelf.samples[*sample].payload().len())
        .expect("a shelf is not empty");
    let pace = Pace { read_bytes: bytes_a_second, read_every: SECOND, ..BRISK };
    let asks = vec![whole(&story.shelf, largest)];
    let client = Viewer::new(Arc::clone(&story.shelf), asks, Manners::Polite, pace);
    story.kernel.world().add_client(1, 1 << 20, Box::new(client));
    story
}

#[test]
fn who_reads_slowly_and_steadily_is_not_taken_for_dead() {
    // A third of a megabyte takes 35 s at this pace, and a stalled client has 20.
    let story = slow_reader(10_000);
    let counters = Arc::clone(&story.counters);
    assert_eq!(finish(story).answers, 1, "in full");
    let stalled = |name: &str| counters.answers().any(|(_, ending, _)| ending.word() == name);
    assert!(stalled("complete") && !stalled("stalled"));
}
