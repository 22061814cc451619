//! Single faults, one story each, on the real server in virtual time; and proof that the judge can
//! find fault. None of them takes a real second, whatever they wait for.

mod kit;

use std::sync::Arc;

use kit::{BRISK, ROTATING, THREE_CHUNKS, add, add_polite, fair, finish, refused, shelf, whole};
use oca::worker::Trouble;
use oca_sim::weather::{MILLISECOND, SECOND};
use oca_sim::{Flaw, Manners, Pace, Shelf, Story, Viewer, Weather};
use oca_sys::Kernel;

/// An object on the other device.
const ELSEWHERE: usize = ROTATING;

fn flip(story: &Story, sample: usize, at: usize) {
    let path = story.shelf.samples[sample].path.clone();
    story.kernel.world().disk().spoil(&path, Flaw::Flipped { at: at as u64 });
}

#[test]
fn a_bad_first_chunk_is_a_status_and_then_the_object_is_gone() {
    let story = fair();
    let shelf = Arc::clone(&story.shelf);
    flip(&story, THREE_CHUNKS, shelf.samples[THREE_CHUNKS].payload_at + 1000);
    let asks = vec![
        refused(&shelf, THREE_CHUNKS, 500, "chunk_bad"),
        refused(&shelf, THREE_CHUNKS, 404, "quarantined"),
        whole(&shelf, 0),
    ];
    add_polite(&story, 1, asks);
    let mut story = story;
    story.rest().expect("it comes to rest");
    let told: Vec<Trouble> = story.troubles.try_iter().collect();
    let object = shelf.samples[THREE_CHUNKS].object;
    assert_eq!(told, vec![Trouble::BadObject { volume: 0, object }]);
    assert_eq!(story.counters.chunks_bad.get(), 1);
    assert_eq!(finish(story).answers, 3);
}

#[test]
fn a_bad_later_chunk_cuts_the_answer_before_one_bad_byte() {
    let story = fair();
    let shelf = Arc::clone(&story.shelf);
    flip(&story, THREE_CHUNKS, shelf.samples[THREE_CHUNKS].payload_at + 600_000);
    add_polite(&story, 1, vec![whole(&shelf, THREE_CHUNKS)]);
    let mut story = story;
    story.rest().expect("it comes to rest");
    let counted: Vec<&str> = story.counters.answers().map(|(_, ending, _)| ending.word()).collect();
    assert_eq!(counted, ["cut"]);
    // The client got a right prefix and then the end: a complaint that the disk excuses.
    let summary = finish(story);
    assert_eq!((summary.answers, summary.excused), (0, 1));
}

#[test]
fn a_bad_seal_lets_nothing_out() {
    let story = fair();
    let shelf = Arc::clone(&story.shelf);
    flip(&story, THREE_CHUNKS, 140);
    add_polite(&story, 1, vec![refused(&shelf, THREE_CHUNKS, 500, "chunk_bad")]);
    assert_eq!(finish(story).answers, 1);
}

/// One volume answers nothing for half a minute; members of the other must not notice.
#[test]
fn a_stuck_disk_moves_nobody_elses_answer() {
    let measure = |stuck: bool| {
        let mut story = fair();
        let shelf = Arc::clone(&story.shelf);
        if stuck {
            let path = shelf.samples[ELSEWHERE].path.clone();
            let slow = Flaw::Slow { nanos: 30 * SECOND };
            story.kernel.world().disk().spoil(&path, slow);
            for client in 0..20 {
                add_polite(&story, client + 1, vec![whole(&shelf, ELSEWHERE)]);
            }
        }
        let begin = story.kernel.world().now();
        add_polite(&story, MILLISECOND, (0..5).map(|_| whole(&shelf, THREE_CHUNKS)).collect());
        story.turn_until(begin + 5 * SECOND).expect("few turns");
        let good = story.counters.answers().find(|(outcome, ..)| outcome.status() == 200);
        assert_eq!(good.map(|(_, _, count)| count), Some(5), "stuck: {stuck}");
        finish(story);
    };
    measure(false);
    measure(true);
}

/// Goal: news of a chunk that was given up must not find another request on the same connection.
/// Method: the next request of the connection is for another disk, and it is answered.
#[test]
fn a_chunk_that_never_comes_is_a_status_and_the_connection_goes_on() {
    let story = fair();
    let shelf = Arc::clone(&story.shelf);
    let path = shelf.samples[ELSEWHERE].path.clone();
    story.kernel.world().disk().spoil(&path, Flaw::Slow { nanos: 60 * SECOND });
    let asks = vec![refused(&shelf, ELSEWHERE, 503, "disk_failed"), whole(&shelf, THREE_CHUNKS)];
    add_polite(&story, 1, asks);
    assert_eq!(finish(story).answers, 2);
}

/// A drain that begins between a connection and its first request: the request is answered. Who
/// asks nothing is let go before long.
#[test]
fn a_drain_hears_whoever_has_just_connected() {
    let shelf = shelf();
    for keys in [None, Some(&shelf.tls)] {
        for manners in [Manners::Polite, Manners::Vanishes(0)] {
            let mut story = Story::new(&shelf, &Weather::fair(), keys, 1);
            let pace = Pace { think: 300 * MILLISECOND, ..BRISK };
            add(&story, 1, vec![whole(&shelf, 0)], manners, pace);
            while story.counters.connections.get() == 0 {
                let next = story.kernel.world().now() + 1;
                story.turn_until(next).expect("few turns");
            }
            let begin = story.kernel.world().now();
            story.drain(10_000);
            story.rest().expect("it comes to rest");
            let took = story.kernel.world().now() - begin;
            assert!(took < 6 * SECOND, "{took} ns until the last was gone");
            let answers = finish(story).answers;
            let is_encrypted = keys.is_some();
            assert_eq!(answers, usize::from(manners.is_polite()), "encrypted: {is_encrypted}");
        }
    }
}

#[test]
fn who_vanishes_or_drips_is_let_go_in_time() {
    // Who took something before it vanished is looked at twice: what it took is progress once.
    for (manners, asks, within_s) in
        [(Manners::Vanishes(1), THREE_CHUNKS, 45), (Manners::Drips, THREE_CHUNKS, 20)]
    {
        let story = fair();
        let asks = vec![whole(&story.shelf, asks)];
        add(&story, 1, asks, manners, BRISK);
        let mut story = story;
        let begin = story.kernel.world().now();
        story.turn_until(begin + within_s * SECOND).expect("few turns");
        assert_eq!(story.kernel.world().sockets(), 0, "{manners:?} is still there");
        finish(story);
    }
}

#[test]
fn a_ticket_dies_when_the_clock_is_set_past_its_end() {
    let mut story = fair();
    let shelf = Arc::clone(&story.shelf);
    add_polite(&story, 1, vec![whole(&shelf, 0)]);
    story.rest().expect("it comes to rest");
    story.kernel.world().set_wall(40 * 86_400_000);
    add_polite(&story, 1, vec![refused(&shelf, 0, 403, "ticket_stale")]);
    assert_eq!(finish(story).answers, 2);
}

#[test]
fn a_drain_lets_an_answer_under_way_end() {
    let mut story = fair();
    let shelf = Arc::clone(&story.shelf);
    let slow = Pace { read_bytes: 8192, read_every: 20 * MILLISECOND, ..BRISK };
    add(&story, 1, vec![whole(&shelf, THREE_CHUNKS)], Manners::Polite, slow);
    let begin = story.kernel.world().now();
    story.turn_until(begin + SECOND).expect("few turns");
    assert_eq!(story.counters.connections.get(), 1);
    story.drain(60_000);
    let summary = finish(story);
    assert_eq!((summary.answers, summary.excused), (1, 0));
}

#[test]
fn the_judge_sees_one_wrong_byte() {
    let shelf = shelf();
    let mut altered = Shelf { samples: shelf.samples.clone(), ..clone(&shelf) };
    let sample = &mut altered.samples[THREE_CHUNKS];
    let mut file = sample.file.to_vec();
    file[sample.payload_at + 300_000] ^= 1;
    // The disk keeps the right file; only the client's idea of it is another.
    sample.file = file.into();
    let story = fair();
    let asks = vec![whole(&altered, THREE_CHUNKS)];
    let client = Viewer::new(Arc::new(altered), asks, Manners::Polite, BRISK);
    story.kernel.world().add_client(1, 64 * 1024, Box::new(client));
    let mut story = story;
    story.rest().expect("it comes to rest");
    let found = story.finish().expect_err("a byte is not the object's");
    assert!(found.contains("byte 300000"), "{found}");
}

#[test]
fn the_judge_sees_an_unexpected_answer_and_a_lost_buffer() {
    let mut story = fair();
    let shelf = Arc::clone(&story.shelf);
    add_polite(&story, 1, vec![refused(&shelf, 0, 403, "ticket_stale")]);
    story.rest().expect("it comes to rest");
    let found = story.finish().expect_err("it is answered");
    assert!(found.contains("ticket_stale"), "{found}");

    let story = fair();
    let kept = story.kernel.clone().send_buffer();
    let found = story.finish().expect_err("a buffer is out");
    assert!(found.contains("free: 63"), "{found}");
    drop(kept);
}

fn clone(shelf: &Shelf) -> Shelf {
    Shelf {
        samples: Vec::new(),
        index: shelf.index.clone(),
        tickets: shelf.tickets.clone(),
        keys: shelf.keys.clone(),
        tls: shelf.tls.clone(),
    }
}
