//! Tickets while control is away, on the real server in virtual time: a day passes, clocks are set,
//! and no test takes a second for it.

mod kit;

use control_types::UnixMillis;
use kit::{add_polite, fair, finish, refused, whole};
use oca_sim::weather::{MILLISECOND, SECOND};
use oca_sim::world::WALL_START_MS;
use oca_sim::{Ask, Shelf, Story};

const HOUR: u64 = 3_600 * SECOND;
const HOUR_MS: i64 = 3_600_000;

/// The first sample with the ticket that ends after an hour.
fn brief(shelf: &Shelf, mut ask: Ask) -> Ask {
    let (usual, brief) = (&shelf.tickets.good[shelf.title_of(0)], &shelf.tickets.brief);
    let text = String::from_utf8(ask.request).expect("a head is text");
    ask.request = text.replace(usual.as_str(), brief).into_bytes();
    ask
}

fn good(story: &Story, at: u64) {
    add_polite(story, at, vec![brief(&story.shelf, whole(&story.shelf, 0))]);
}

fn stale(story: &Story, at: u64) {
    let ask = refused(&story.shelf, 0, 403, "ticket_stale");
    add_polite(story, at, vec![brief(&story.shelf, ask)]);
}

fn hear(story: &Story) {
    story.gate.hear(UnixMillis(WALL_START_MS), true);
}

#[test]
fn who_watches_goes_on_for_a_day_without_control() {
    let story = fair();
    hear(&story);
    for hours in [0, 2, 8, 16] {
        good(&story, hours * HOUR + MILLISECOND);
    }
    good(&story, 24 * HOUR - SECOND);
    stale(&story, 24 * HOUR + 10 * SECOND);
    stale(&story, 40 * HOUR);
    let mut story = story;
    story.rest().expect("it comes to rest");
    assert_eq!(story.counters.tickets_excused.get(), 4);
    assert_eq!(finish(story).answers, 7);
}

#[test]
fn without_a_word_from_control_ever_a_ticket_ends_when_it_ends() {
    let story = fair();
    good(&story, MILLISECOND);
    stale(&story, 2 * HOUR);
    assert_eq!(finish(story).answers, 2);
}

#[test]
fn a_word_from_control_ends_the_grace() {
    let mut story = fair();
    hear(&story);
    good(&story, 2 * HOUR);
    story.turn_until(3 * HOUR).expect("few turns");
    let wall = story.kernel.world().wall_ms();
    story.gate.hear(UnixMillis(wall), true);
    stale(&story, SECOND);
    assert_eq!(finish(story).answers, 2);
}

#[test]
fn a_clock_that_is_set_changes_neither_end_of_the_day() {
    for (set, what) in [(1_000 * HOUR_MS, "forward"), (-1_000 * HOUR_MS, "back")] {
        let mut story = fair();
        hear(&story);
        good(&story, MILLISECOND);
        // The worker has looked at both clocks once.
        let now = |story: &Story| story.kernel.world().now();
        while story.counters.answers().next().is_none() {
            let later = now(&story) + SECOND;
            story.turn_until(later).expect("few turns");
        }
        story.kernel.world().set_wall(set);
        good(&story, 2 * HOUR);
        good(&story, 23 * HOUR);
        stale(&story, 25 * HOUR);
        story.rest().expect("it comes to rest");
        assert_eq!(story.counters.tickets_excused.get(), 2, "{what}");
        assert_eq!(finish(story).answers, 4, "{what}");
    }
}
