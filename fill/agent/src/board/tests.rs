//! What the board hands out and takes in, without a lane. Fetches nothing.

use super::*;
use crate::limits::TRY_AGAIN_MS;
use control_types::fill::SourceKind;
use control_types::fleet::DiskClass;

fn pull(tag: u8, names: &[&str]) -> Pull {
    let sources = names.iter().map(|name| Source {
        kind: SourceKind::Origin,
        appliance: name.parse().unwrap(),
        media_url: String::new(),
        pending: false,
    });
    Pull {
        object: ObjectId([tag; 32]),
        bytes: 1 << 20,
        title: "t".parse().unwrap(),
        class: DiskClass::Ssd,
        sources: sources.collect(),
        why: String::new(),
    }
}

fn board(pulls: &[Pull]) -> Board {
    let mut board = Board::default();
    board.set(&[], pulls, |_| false);
    board
}

#[test]
fn lanes_share_the_first_object_before_they_begin_the_second() {
    let pulls = [pull(1, &["a"]), pull(2, &["a"])];
    let mut board = board(&pulls);
    let first = board.next(0, true, 2, 4).unwrap();
    assert!(matches!(&first, Job::Start { .. }) && first.object() == pulls[0].object);
    // While its seal is on the way another lane begins the second.
    assert_eq!(board.next(0, true, 2, 4).unwrap().object(), pulls[1].object);
    assert_eq!(board.began(&pulls[0].object, vec![0..1, 2..4], 3 << 18), After::Go);
    let runs: Vec<Range<u32>> = std::iter::from_fn(|| match board.next(0, true, 2, 4)? {
        Job::Chunks { chunks, .. } => Some(chunks),
        Job::Start { .. } => None,
    })
    .collect();
    assert_eq!(runs, [0..1, 2..3, 3..4]);
    assert_eq!(board.run_ended(&pulls[0].object, 0..0, 0), After::Go);
    assert_eq!(board.run_ended(&pulls[0].object, 2..3, 0), After::Go);
    assert_eq!(board.run_ended(&pulls[0].object, 0..0, 0), After::Go);
    let again = board.next(0, true, 2, 4);
    assert!(matches!(again, Some(Job::Chunks { chunks, .. }) if chunks == (2..3)));
    assert_eq!(board.run_ended(&pulls[0].object, 0..0, 0), After::Publish);
    board.published(&pulls[0].object);
    assert_eq!(board.tally().done, 1);
}

#[test]
fn an_object_without_sources_left_fails_with_every_reason_and_comes_back() {
    let pulls = [pull(1, &["a", "b"])];
    let mut board = board(&pulls);
    let object = pulls[0].object;
    for name in ["a", "b"] {
        let job = board.next(0, true, 1, 2).unwrap();
        assert_eq!(job.source().appliance.as_str(), name);
        board.fault(&object, &job.source().appliance.clone(), Fault::NotThere, 0, 0);
    }
    let tally = board.tally();
    assert_eq!(tally.failed, 1);
    assert!(tally.failures[0].why.contains("a does not have it, b does not"), "{tally:?}");
    assert!(board.next(TRY_AGAIN_MS.0 - 1, true, 1, 2).is_none());
    assert!(board.next(TRY_AGAIN_MS.0, true, 1, 2).is_some());
}

#[test]
fn outside_windows_only_repairs_run_and_new_orders_keep_what_is_under_way() {
    let (repair, plan) = (pull(1, &["a"]), pull(2, &["a"]));
    let mut board = Board::default();
    board.set(std::slice::from_ref(&repair), std::slice::from_ref(&plan), |_| false);
    assert_eq!(board.next(0, false, 1, 2).unwrap().object(), repair.object);
    assert!(board.next(0, false, 1, 2).is_none());
    assert_eq!(board.next(0, true, 1, 2).unwrap().object(), plan.object);
    board.began(&plan.object, vec![0..2, 2..4], 1 << 20);
    let Some(Job::Chunks { .. }) = board.next(0, true, 4, 2) else { panic!() };
    board.set(&[], &[plan.clone(), pull(3, &["a"])], |_| false);
    assert_eq!(board.run_ended(&plan.object, 0..0, 0), After::Go);
    assert!(matches!(board.next(0, true, 4, 2), Some(Job::Chunks { .. })));
    // Orders that no longer want it: the lane at work ends it, and nothing of it is handed out.
    board.set(&[], &[], |_| false);
    assert_eq!(board.run_ended(&plan.object, 1..2, 0), After::LetGo);
    assert!(board.next(1 << 40, true, 4, 2).is_none() && !board.wants(&plan.object));
}

#[test]
fn orders_that_change_their_mind_leave_nothing_done_that_is_not_and_nothing_open() {
    let plan = pull(2, &["a"]);
    let mut board = board(std::slice::from_ref(&plan));
    assert!(board.next(0, true, 1, 2).is_some());
    board.began(&plan.object, std::iter::once(0..20).collect(), 20 << 18);
    let Some(Job::Chunks { chunks, .. }) = board.next(0, true, 1, 2) else { panic!() };
    board.set(&[], &[], |_| false);
    assert!(board.is_begun(&plan.object), "a lane is at work on it");
    board.set(&[], std::slice::from_ref(&plan), |_| false);
    assert_eq!(board.run_ended(&plan.object, chunks.end..chunks.end, 0), After::LetGo);
    assert_eq!(board.tally().done, 0, "twelve chunks are missing");
    assert!(matches!(board.next(1, true, 1, 2), Some(Job::Start { .. })));
    // No lane is at work on it when it is no longer wanted: its files must be let go.
    board.began(&plan.object, std::iter::once(8..20).collect(), 12 << 18);
    board.set(&[], &[], |_| false);
    assert!(!board.is_begun(&plan.object));
}

#[test]
fn what_a_disk_failed_begins_anew_when_another_disk_may_take_it_and_not_half_a_minute_later() {
    let pulls = [pull(1, &["a"])];
    let mut board = board(&pulls);
    let object = pulls[0].object;
    assert!(matches!(board.next(0, true, 2, 4), Some(Job::Start { .. })));
    assert_eq!(board.began(&object, vec![0..1, 1..2], 2 << 18), After::Go);
    assert!(board.next(0, true, 2, 4).is_some() && board.next(0, true, 2, 4).is_some());
    // Both of its lanes meet the disk's error.
    board.disk_failed(&object, "EIO".to_owned(), 200);
    assert_eq!(board.run_ended(&object, 0..1, 10), After::Go);
    board.disk_failed(&object, "EIO".to_owned(), 210);
    assert_eq!(board.run_ended(&object, 1..2, 20), After::LetGo);
    assert_eq!(board.tally().failures[0].why, "EIO");
    assert!(board.next(199, true, 2, 4).is_none());
    assert!(matches!(board.next(200, true, 2, 4), Some(Job::Start { .. })));
}

#[test]
fn a_repair_that_nobody_can_make_now_does_not_keep_a_run_from_its_end() {
    let mut board = Board::default();
    board.set(&[pull(1, &[])], &[], |_| false);
    assert!(board.is_mending());
    assert!(board.next(0, false, 1, 2).is_none(), "no source is known");
    assert!(!board.is_mending());
}

/// Goal: a peer that never comes is left for the next source though a new plan comes every five
/// minutes, as it does where a border's figures change. Method: the same pull in new work, sooner
/// than a peer is waited for.
#[test]
fn new_work_does_not_begin_a_wait_anew() {
    let mut planned = pull(1, &["peer", "origin"]);
    planned.sources[0].pending = true;
    let (object, peer_wait_ms) = (planned.object, 600_000);
    let mut board = board(std::slice::from_ref(&planned));
    for now in (0..12 * peer_wait_ms).step_by(1_000) {
        if now % 300_000 == 0 {
            let why = format!("plan of {now}");
            board.set(&[], &[Pull { why, ..planned.clone() }], |_| false);
        }
        let Some(job) = board.next(now, true, 1, 2) else { continue };
        let source = job.source().appliance.clone();
        if source.as_str() == "origin" {
            assert!(now >= peer_wait_ms, "left after {now} ms");
            return;
        }
        board.fault(&object, &source, Fault::NotThere, now, peer_wait_ms);
    }
    panic!("the origin was never asked");
}

/// Goal: an object whose waited-for source was used up by another lane says so, and not that no
/// source is known. Method: the first of two lanes waits for the peer, the second gives it up.
#[test]
fn a_source_that_was_used_up_while_it_was_waited_for_is_named() {
    let mut pulls = [pull(1, &["peer"])];
    pulls[0].sources[0].pending = true;
    let (mut board, object) = (board(&pulls), pulls[0].object);
    let peer = pulls[0].sources[0].appliance.clone();
    assert!(board.next(0, true, 2, 2).is_some());
    assert_eq!(board.began(&object, vec![0..2, 3..4], 3 << 18), After::Go);
    assert!(board.next(0, true, 2, 2).is_some() && board.next(0, true, 2, 2).is_some());
    board.fault(&object, &peer, Fault::Away, 0, 20_000);
    board.fault(&object, &peer, Fault::NotThere, 1, 0);
    board.run_ended(&object, 0..2, 1);
    assert_eq!(board.run_ended(&object, 3..4, 1), After::LetGo);
    assert!(board.next(60_000, true, 2, 2).is_none());
    let failures = board.tally().failures;
    assert!(failures[0].why.contains("peer does not have it"), "{failures:?}");
}

/// Goal: an object that orders drop and name again while its seal is under way is begun once: a
/// second lane would be refused by the disk, and its refusal would put down what the first began.
#[test]
fn what_is_wanted_again_while_its_seal_is_under_way_is_not_begun_twice() {
    let pulls = [pull(1, &["a"])];
    let mut board = board(&pulls);
    let object = pulls[0].object;
    assert!(board.next(0, true, 2, 4).is_some());
    board.set(&[], &[], |_| false);
    board.set(&[], &pulls, |_| false);
    assert!(board.next(0, true, 2, 4).is_none(), "begun twice");
    assert_eq!(board.began(&object, vec![0..1, 2..3], 1 << 19), After::Go);
    assert!(matches!(board.next(0, true, 2, 4), Some(Job::Chunks { .. })));
}

/// Goal: what orders drop while its seal is under way is let go, however that ends, and never
/// begins anew.
#[test]
fn what_is_dropped_while_its_seal_is_under_way_is_let_go() {
    for end in 0..4 {
        let pulls = [pull(1, &["a"])];
        let mut board = board(&pulls);
        let object = pulls[0].object;
        let job = board.next(0, true, 2, 4).unwrap();
        board.set(&[], &[], |_| false);
        match end {
            0 => assert_eq!(board.began(&object, vec![0..1, 2..3], 1 << 19), After::LetGo),
            1 => board.fault(&object, &job.source().appliance.clone(), Fault::Away, 0, 0),
            2 => board.disk_failed(&object, "full".to_owned(), 0),
            _ => assert_eq!(board.give_back(&job, 0), After::Go),
        }
        assert!(!board.wants(&object) && !board.is_mending(), "end {end}");
        assert!(board.next(1 << 40, true, 2, 4).is_none(), "end {end}");
        assert_eq!(board.tally(), Tally::default(), "end {end}");
    }
}

/// Goal: a peer that died costs the objects that were to come from it their wait, and no other
/// anything: thousands that ask it in turn would keep every lane and spend the window on that.
/// Method: four lanes for five minutes of waits; each meeting with the dead one takes three
/// seconds.
#[test]
fn a_dead_peer_is_met_now_and_then_whatever_is_to_come_from_it() {
    let mut pulls: Vec<Pull> = (0..200).map(|tag| pull(tag, &["peer", "origin"])).collect();
    pulls.iter_mut().for_each(|pull| pull.sources[0].pending = true);
    pulls.push(pull(250, &["other"]));
    let wait_ms = 300_000;
    let mut board = Board::new(wait_ms);
    board.set(&[], &pulls, |_| false);
    let mut met = Vec::new();
    let mut others = Vec::new();
    let mut lanes = [0; 4];
    for now in (0..2 * wait_ms).step_by(500) {
        for free_at in lanes.iter_mut().filter(|at| **at <= now) {
            let Some(job) = board.next(now, true, 4, 8) else { continue };
            if job.source().appliance.as_str() == "peer" {
                met.push(now);
                let (id, source) = (job.object(), job.source().appliance.clone());
                *free_at = now + 3_000;
                board.fault(&id, &source, Fault::Away, now + 3_000, wait_ms);
            } else {
                others.push((now, job.object()));
                board.published(&job.object());
            }
        }
    }
    assert!(met.len() < 40, "met {} times", met.len());
    assert!(others[0].0 < 10_000 && others[0].1 == pulls[200].object, "{:?}", others[0]);
    let left = &others[1..];
    assert_eq!(left.len(), 200, "all of them came from elsewhere in the end");
    assert!(left[0].0 >= wait_ms, "left too soon: {} ms", left[0].0);
}
