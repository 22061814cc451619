//! Calm members share the worker's looks at them; who has said nothing of the kind waits for none
//! of them longer than is promised. In virtual time.

mod kit;

use kit::{BRISK, THREE_CHUNKS, add, add_polite, fair, finish, waits_ms, whole};
use oca::limits::{CALM_GATHER_MS, IDLE_GATHER_MS};
use oca_sim::weather::{MILLISECOND, SECOND};
use oca_sim::{Ask, Manners, Pace, Shelf};

const MEMBERS: usize = 12;
/// What a fair day's disk and wires take for a first byte, at most, milliseconds.
const FAIR_MS: u64 = 4;

/// All of a sample, for a player that has said how much it needs.
fn calm(shelf: &Shelf) -> Ask {
    let mut ask = whole(shelf, THREE_CHUNKS);
    let end = ask.request.len() - 2;
    ask.request.splice(end..end, *b"CMCD-Status: rtp=4000\r\n");
    ask
}

#[test]
fn calm_members_share_looks_and_get_every_byte() {
    let story = fair();
    for member in 0..MEMBERS {
        let asks = (0..3).map(|_| calm(&story.shelf)).collect();
        add_polite(&story, 1 + member as u64 * 7 * MILLISECOND, asks);
    }
    let mut story = story;
    story.rest().expect("it comes to rest");
    assert!(story.kernel.world().patient_waits() > 0, "nobody was patient");
    // Two looks: one that finds the request, one that finds its chunk.
    let bound = 2 * CALM_GATHER_MS + FAIR_MS;
    assert!(waits_ms(&story).iter().all(|ms| *ms <= bound), "{:?}", waits_ms(&story));
    assert_eq!(finish(story).answers, 3 * MEMBERS);
}

#[test]
fn a_newcomer_among_calm_members_waits_no_longer_than_is_promised() {
    let story = fair();
    for member in 0..MEMBERS {
        let asks = (0..3).map(|_| calm(&story.shelf)).collect();
        add_polite(&story, 1 + member as u64 * 7 * MILLISECOND, asks);
    }
    let asks = (0..6).map(|_| whole(&story.shelf, 0)).collect();
    let thinks = Pace { think: 150 * MILLISECOND, ..BRISK };
    add(&story, SECOND / 2, asks, Manners::Polite, thinks);
    let mut story = story;
    story.rest().expect("it comes to rest");
    assert!(story.kernel.world().patient_waits() > 0, "nobody was patient");
    let newcomer = waits_ms(&story)[MEMBERS];
    assert!(newcomer <= IDLE_GATHER_MS + FAIR_MS, "{newcomer} ms");
    assert_eq!(finish(story).answers, 3 * MEMBERS + 6);
}
