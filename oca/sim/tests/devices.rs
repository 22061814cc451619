//! Devices that hang, fail and come back, one story each, on the real server in virtual time: who
//! must not notice, who is served from another copy, and who is told where else to go.

mod kit;

use kit::{
    BRISK, DISK_AND_FLASH, FLASH_AND_FLASH, ROTATING, THREE_CHUNKS, add, add_polite, fair, finish,
    outage, refused, shelf, waits_ms, whole,
};
use oca::worker::Trouble;
use oca_sim::weather::{MILLISECOND, SECOND};
use oca_sim::{Flaw, Manners, Outage, OutageKind, Pace, Story, Weather};
use oca_sys::Kernel;

const EVER: u64 = u64::MAX;
/// A device that stops answering is out of rotation within this, milliseconds.
const OUT_WITHIN_MS: u64 = 500;
const SSD0: usize = 0;
const HDD0: usize = 1;
const SSD1: usize = 2;

fn in_rotation(story: &Story, device: usize) -> bool {
    story.library.devices().is_in(device)
}

#[test]
fn a_device_that_hangs_is_out_in_half_a_second_and_then_nobody_waits_for_it() {
    let mut story = outage(HDD0, OutageKind::Hangs, 0, EVER);
    let shelf = shelf();
    add_polite(&story, 1, vec![refused(&shelf, ROTATING, 503, "disk_failed")]);
    story.rest().unwrap();
    assert!(!in_rotation(&story, HDD0) && in_rotation(&story, SSD0));
    assert!(waits_ms(&story)[0] <= OUT_WITHIN_MS, "{:?} ms", waits_ms(&story));
    for _ in 0..20 {
        add_polite(&story, 1, vec![refused(&shelf, ROTATING, 503, "disk_failed")]);
    }
    story.rest().unwrap();
    assert!(waits_ms(&story)[1..].iter().all(|wait| *wait < 20), "{:?}", waits_ms(&story));
    let told: Vec<Trouble> = story.troubles.try_iter().collect();
    assert_eq!(told, vec![Trouble::DeviceOut { device: HDD0 }], "said once");
    assert_eq!(finish(story).answers, 21);
}

#[test]
fn an_object_with_another_copy_is_served_whatever_hangs() {
    for (sample, hung) in [(FLASH_AND_FLASH, SSD0), (FLASH_AND_FLASH, SSD1), (DISK_AND_FLASH, SSD1)]
    {
        let mut story = outage(hung, OutageKind::Hangs, 0, EVER);
        let shelf = shelf();
        add_polite(&story, 1, vec![whole(&shelf, sample)]);
        story.rest().unwrap();
        let waits = waits_ms(&story);
        assert!(waits[0] <= OUT_WITHIN_MS + 20, "{sample} with {hung} hung: {waits:?}");
        let summary = finish(story);
        assert_eq!((summary.answers, summary.excused), (1, 0), "{sample} with {hung} hung");
    }
}

/// Goal: a body under way goes on from the other copy, unseen. Method: the disk hangs, or fails, or
/// its bytes turn bad, when the first chunk is out and the client has not taken it all yet.
#[test]
fn a_body_under_way_goes_on_from_another_copy() {
    let shelf = shelf();
    let slow = Pace { read_bytes: 8192, read_every: 10 * MILLISECOND, ..BRISK };
    for kind in [Some(OutageKind::Hangs), Some(OutageKind::Fails), None] {
        let mut story = match kind {
            Some(kind) => outage(SSD1, kind, SECOND + 100 * MILLISECOND, EVER),
            None => fair(),
        };
        if kind.is_none() {
            let copies = &shelf.samples[DISK_AND_FLASH].copies;
            let (_, path) = copies.iter().find(|(volume, _)| *volume == SSD1).unwrap();
            let at = (shelf.samples[DISK_AND_FLASH].payload_at + 400_000) as u64;
            story.kernel.world().disk().spoil(path, Flaw::Flipped { at });
        }
        add(&story, 1, vec![whole(&shelf, DISK_AND_FLASH)], Manners::Polite, slow);
        story.rest().unwrap();
        assert_eq!(story.counters.answers().count(), 1, "{kind:?}: one answer, in full");
        let summary = finish(story);
        assert_eq!((summary.answers, summary.excused), (1, 0), "{kind:?}");
    }
}

/// Goal: two hung devices of three hold none of the third's buffers, places and turns. Method:
/// forty members ask the hung ones, and then one member asks the healthy one.
#[test]
fn two_devices_that_hang_are_not_noticed_on_the_third() {
    let waits = |hung: bool| {
        let hang = |volume| Outage { volume, kind: OutageKind::Hangs, from: 0, until: EVER };
        let outages = if hung { vec![hang(HDD0), hang(SSD1)] } else { Vec::new() };
        let weather = Weather { outages, buffers: [64, 24, 64], ..Weather::fair() };
        let mut story = Story::new(&shelf(), &weather, None, 1);
        let shelf = shelf();
        let begin = story.kernel.world().now();
        for client in 0..40 {
            let sample = if client % 2 == 0 { ROTATING } else { DISK_AND_FLASH };
            let ask = match hung {
                true => refused(&shelf, sample, 503, "disk_failed"),
                false => whole(&shelf, sample),
            };
            add_polite(&story, 1 + client, vec![ask]);
        }
        add_polite(&story, MILLISECOND, (0..5).map(|_| whole(&shelf, THREE_CHUNKS)).collect());
        story.turn_until(begin + 300 * MILLISECOND).unwrap();
        let free = story.kernel.buffers().chunk;
        assert!(free.free + story.counters.hot_chunks.get() as usize >= free.total / 2, "{free:?}");
        story.rest().unwrap();
        let waits = waits_ms(&story);
        finish(story);
        waits
    };
    let (fair, hung) = (waits(false), waits(true));
    assert!(hung[40] <= fair[40] + 5, "{} ms instead of {}", hung[40], fair[40]);
    assert!(hung[..40].iter().all(|wait| *wait <= 2 * OUT_WITHIN_MS), "{hung:?}");
}

#[test]
fn a_device_that_fails_is_out_at_once_and_comes_back_when_it_is_well() {
    let mut story = outage(SSD0, OutageKind::Fails, 0, 5 * SECOND);
    let shelf = shelf();
    add_polite(&story, 1, vec![refused(&shelf, THREE_CHUNKS, 503, "disk_failed")]);
    story.rest().unwrap();
    assert!(!in_rotation(&story, SSD0) && waits_ms(&story)[0] < 20);
    story.turn_until(5 * SECOND).unwrap();
    assert!(!in_rotation(&story, SSD0), "it fails every probe");
    story.turn_until(12 * SECOND).unwrap();
    assert!(in_rotation(&story, SSD0), "{:?}", story.library.devices().standings());
    let standing = &story.library.devices().standings()[SSD0];
    assert!(standing.probes_failed >= 2 && standing.probes >= 5, "{standing:?}");
    // What failed to be read is avoided a while longer than the device; the rest is served.
    add_polite(&story, 1, vec![whole(&shelf, THREE_CHUNKS - 1)]);
    let told: Vec<Trouble> = story.troubles.try_iter().collect();
    assert!(told.contains(&Trouble::DeviceBack { device: SSD0 }), "{told:?}");
    assert_eq!(finish(story).answers, 2);
}

#[test]
fn a_device_that_hangs_a_while_comes_back_by_itself() {
    let mut story = outage(SSD0, OutageKind::Hangs, 0, 4 * SECOND);
    let shelf = shelf();
    add_polite(&story, 1, vec![refused(&shelf, THREE_CHUNKS, 503, "disk_failed")]);
    story.turn_until(3 * SECOND).unwrap();
    assert!(!in_rotation(&story, SSD0));
    // As soon as one of the hanging operations is answered it is asked again, without a pause.
    story.turn_until(5 * SECOND).unwrap();
    assert!(in_rotation(&story, SSD0), "{:?}", story.library.devices().standings());
    add_polite(&story, 1, vec![whole(&shelf, THREE_CHUNKS)]);
    assert_eq!(finish(story).answers, 2);
}

#[test]
fn any_number_of_members_cost_one_read_even_when_the_first_goes_away() {
    let shelf = shelf();
    let path = shelf.samples[0].path.clone();
    for manners in [Manners::Polite, Manners::ResetsAfterSending(10_000)] {
        let mut story = fair();
        story.kernel.world().disk().spoil(&path, Flaw::Slow { nanos: 100 * MILLISECOND });
        let head = whole(&shelf, 0).request.len();
        let first = match manners {
            // It is gone as soon as its request is out.
            Manners::ResetsAfterSending(_) => Manners::ResetsAfterSending(head),
            polite => polite,
        };
        add(&story, 1, vec![whole(&shelf, 0)], first, BRISK);
        for client in 0..30 {
            add_polite(&story, 5 * MILLISECOND + client, vec![whole(&shelf, 0)]);
        }
        story.rest().unwrap();
        assert_eq!(story.kernel.world().disk().reads_of(&path), 2, "one seal, one chunk");
        assert_eq!(story.counters.hot_misses.get(), 1);
        assert!(finish(story).answers >= 30, "{manners:?}");
    }
}

#[test]
fn a_rotating_disk_is_read_by_the_megabyte_and_flash_by_the_chunk() {
    let mut story = fair();
    let shelf = shelf();
    add_polite(&story, 1, vec![whole(&shelf, ROTATING), whole(&shelf, THREE_CHUNKS)]);
    story.rest().unwrap();
    let reads = |device: usize| story.counters.device(device).unwrap().reads.count();
    assert_eq!(reads(HDD0), 2, "five chunks: four, and one");
    assert_eq!(reads(SSD0), 3, "three chunks");
    let bytes = story.counters.device(HDD0).unwrap().bytes.get();
    assert_eq!(bytes, shelf.samples[ROTATING].payload().len() as u64);
    assert_eq!(story.counters.hot_misses.get(), 8);
    assert_eq!(story.counters.hot_hits.get(), 0, "what was read ahead is no hit");
    finish(story);
}

#[test]
fn what_is_in_memory_is_served_while_its_disk_is_out() {
    let mut story = outage(SSD0, OutageKind::Hangs, 2 * SECOND, EVER);
    let shelf = shelf();
    add_polite(&story, 1, vec![whole(&shelf, 0)]);
    story.turn_until(2 * SECOND).unwrap();
    add_polite(&story, 1, vec![refused(&shelf, THREE_CHUNKS, 503, "disk_failed")]);
    story.rest().unwrap();
    assert!(!in_rotation(&story, SSD0));
    add_polite(&story, 1, vec![whole(&shelf, 0)]);
    assert_eq!(finish(story).answers, 3);
}

/// Goal: a client may vanish at any byte of its requests and answers without leaving anything held.
/// Method: for every byte of two requests and of their answers, a client that resets right there;
/// `finish` counts what is out.
#[test]
fn resets_at_every_byte_leave_nothing_behind() {
    let shelf = shelf();
    let asks = || vec![whole(&shelf, 0), whole(&shelf, 1)];
    let sent: usize = asks().iter().map(|ask| ask.request.len()).sum();
    let taken = 2 * 700 + shelf.samples[0].payload().len() + shelf.samples[1].payload().len();
    let story = fair();
    let one_by_one = Pace { read_bytes: 1, read_every: 1, ..BRISK };
    let mut begins = 1;
    let mut add_one = |manners, pace| {
        begins += MILLISECOND;
        add(&story, begins, asks(), manners, pace);
    };
    (1..=sent).for_each(|bytes| add_one(Manners::ResetsAfterSending(bytes), BRISK));
    (1..1500).for_each(|bytes| add_one(Manners::ResetsAfter(bytes), one_by_one));
    (1500..taken).step_by(97).for_each(|bytes| add_one(Manners::ResetsAfter(bytes), one_by_one));
    add_polite(&story, 1, asks());
    finish(story);
}
