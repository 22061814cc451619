//! What single stories share: one shelf, requests for whole objects, a brisk client.
//! It judges nothing; `Story::finish` does.

#![allow(dead_code, reason = "each test binary uses some of it")]

use std::sync::{Arc, OnceLock};

use oca_sim::script::{Body, Part};
use oca_sim::weather::MILLISECOND;
use oca_sim::{Ask, Expected, Manners, Outage, OutageKind, Pace, Shelf, Story, Viewer, Weather};

/// Places on the shelf: three chunks on flash; six on the rotating disk; and with a second copy on
/// the other flash device, one that begins on flash and one that begins on the rotating disk.
pub const THREE_CHUNKS: usize = 5;
pub const ROTATING: usize = 8;
pub const FLASH_AND_FLASH: usize = 9;
pub const DISK_AND_FLASH: usize = 10;

pub const BRISK: Pace = Pace {
    read_bytes: 1 << 20,
    read_every: MILLISECOND,
    send_pause: MILLISECOND,
    think: MILLISECOND,
    pipelines: false,
};

pub fn shelf() -> Arc<Shelf> {
    static SHELF: OnceLock<Arc<Shelf>> = OnceLock::new();
    let make = || {
        let dir = tempfile::tempdir().expect("a directory");
        Arc::new(Shelf::build(dir.path()).expect("a shelf"))
    };
    Arc::clone(SHELF.get_or_init(make))
}

pub fn fair() -> Story {
    Story::new(&shelf(), &Weather::fair(), None, 1)
}

/// A fair day but for one device, out of order from `from` to `until`.
pub fn outage(volume: usize, kind: OutageKind, from: u64, until: u64) -> Story {
    let outages = vec![Outage { volume, kind, from, until }];
    Story::new(&shelf(), &Weather { outages, ..Weather::fair() }, None, 1)
}

/// A member asks for all of a sample.
pub fn whole(shelf: &Shelf, sample: usize) -> Ask {
    let held = &shelf.samples[sample];
    let ticket = &shelf.tickets.good[shelf.title_of(sample)];
    let path = format!("/t/{ticket}/v/{}/{}", held.title, held.object);
    let request = format!("GET {path} HTTP/1.1\r\nHost: edge.example\r\n\r\n").into_bytes();
    let ranges = Vec::from([std::ops::Range { start: 0, end: held.payload().len() }]);
    let body = Some(Body { sample, part: Part::Payload, ranges });
    let expected =
        Expected { status: 200, word: None, body, head_only: false, sample: Some(sample) };
    Ask { request, expected, last: false }
}

/// The same, to be refused.
pub fn refused(shelf: &Shelf, sample: usize, status: u16, word: &'static str) -> Ask {
    let mut ask = whole(shelf, sample);
    ask.expected =
        Expected { status, word: Some(word), body: None, head_only: false, sample: None };
    ask
}

pub fn add(story: &Story, begins: u64, asks: Vec<Ask>, manners: Manners, pace: Pace) {
    let client = Viewer::new(Arc::clone(&story.shelf), asks, manners, pace);
    story.kernel.world().add_client(begins, 64 * 1024, Box::new(client));
}

pub fn add_polite(story: &Story, begins: u64, asks: Vec<Ask>) {
    add(story, begins, asks, Manners::Polite, BRISK);
}

pub fn finish(mut story: Story) -> oca_sim::Summary {
    story.rest().expect("it comes to rest");
    story.finish().expect("all promises kept")
}

/// Waits of all clients for the first byte of an answer, the longest of each, milliseconds.
pub fn waits_ms(story: &Story) -> Vec<u64> {
    story.kernel.world().clients().map(|client| client.longest_wait() / MILLISECOND).collect()
}
