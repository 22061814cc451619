//! Paced bodies from the page cache, whose pages the ring moves through pipes: what a pipe keeps is
//! sent where it belongs or not at all, whatever finds room, breaks or goes away half-way.

mod kit;

use std::sync::Arc;

use kit::{BRISK, THREE_CHUNKS, finish, shelf, whole};
use oca::engine::Preference;
use oca_sim::weather::MILLISECOND;
use oca_sim::{Ask, Manners, Pace, Shelf, Story, Viewer, Weather};

const MEMBERS: usize = 16;
/// Answers for each of them.
const ASKS: usize = 8;

/// All of a sample, for a player that has said how much it needs.
fn paced(shelf: &Shelf, sample: usize) -> Ask {
    let mut ask = whole(shelf, sample);
    let end = ask.request.len() - 2;
    ask.request.splice(end..end, *b"CMCD-Status: rtp=4000\r\n");
    ask
}

/// Members that take their time, on sockets of all sizes.
fn crowd(weather: Weather, seed: u64) -> Story {
    let weather = Weather { preference: Preference::PageCache, ..weather };
    let story = Story::new(&shelf(), &weather, None, seed);
    let slow = Pace { read_bytes: 60_000, read_every: 20 * MILLISECOND, ..BRISK };
    for member in 0..MEMBERS {
        let asks = (0..ASKS).map(|_| paced(&story.shelf, THREE_CHUNKS)).collect();
        let client = Viewer::new(Arc::clone(&story.shelf), asks, Manners::Polite, slow);
        let begins = 1 + member as u64 * 30 * MILLISECOND;
        story.kernel.world().add_client(begins, 1 << (13 + member % 8), Box::new(client));
    }
    story
}

/// Full sockets, a page cache that forgets, chains that break behind their pages.
fn trying() -> Weather {
    Weather {
        coarse_room: true,
        forgets: 500,
        short_fill: 3_000,
        short_send: 3_000,
        ..Weather::fair()
    }
}

#[test]
fn what_pipes_keep_is_sent_where_it_belongs() {
    for weather in [Weather::fair(), trying()] {
        let (mut chains, mut resumed) = (0, 0);
        for seed in 1..6 {
            let mut story = crowd(weather.clone(), seed);
            story.rest().expect("it comes to rest");
            let (all, of_kept) = story.kernel.world().chains();
            (chains, resumed) = (chains + all, resumed + of_kept);
            assert_eq!(finish(story).answers, ASKS * MEMBERS, "seed {seed}");
        }
        assert!(chains > 100 && resumed > 20, "{resumed} of {chains}: hardly anything was kept");
    }
}

/// The clients would notice a ring that goes on with whatever a pipe has kept.
#[test]
fn a_ring_that_mixes_its_pipes_up_is_noticed() {
    let complaints = |seed| {
        let mut broken = crowd(Weather { mixes_pipes: true, ..trying() }, seed);
        broken.rest().expect("it comes to rest");
        let world = broken.kernel.world();
        world.clients().filter_map(|client| client.complaint()).count()
    };
    let wrong: usize = (1..6).map(complaints).sum();
    assert!(wrong > 0, "{MEMBERS} members, five times over, and nobody saw it");
}
