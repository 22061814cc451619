//! Goal: what players say demotes a box in time, never for one voice alone, and never makes it go
//! to and fro. Method: words in, standing out; then hours of noise around every threshold.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use control_steering::complaints::{Complaints, Word};
use control_types::UnixMillis;

const START: u64 = 1_790_000_000_000;

fn at(ms: u64) -> UnixMillis {
    UnixMillis(START + ms)
}

#[test]
fn two_members_refused_shun_it_and_one_does_only_when_its_report_is_overdue() {
    let mut alone = Complaints::default();
    for second in 0..20 {
        alone.hear(Word::Refused, 1, false, at(second * 1_000));
        alone.hear(Word::Good, 2, false, at(second * 1_000));
    }
    assert!(!alone.is_shunned(at(20_000)), "one member's network may be broken");
    let mut two = Complaints::default();
    two.hear(Word::Refused, 1, false, at(0));
    two.hear(Word::Refused, 2, false, at(400));
    assert!(two.is_shunned(at(401)));
    let mut overdue = Complaints::default();
    overdue.hear(Word::Refused, 1, true, at(0));
    assert!(overdue.is_shunned(at(1)));
}

#[test]
fn a_box_that_fails_a_third_of_its_answers_stands_back_and_returns_when_it_is_well() {
    let mut one = Complaints::default();
    for number in 0..30u64 {
        let word = if number % 3 == 0 { Word::Bad } else { Word::Good };
        one.hear(word, number, false, at(number * 200));
    }
    assert!(one.is_shunned(at(6_000)));
    assert!(one.is_shunned(at(12_000)), "for ten seconds at least");
    assert!(!one.is_shunned(at(60_000)), "nobody has complained since");
}

#[test]
fn an_object_is_denied_for_a_minute_on_one_word_and_longer_on_two() {
    let mut one = Complaints::default();
    one.deny(7, 1, at(0));
    one.deny(7, 1, at(10));
    assert_eq!(one.denied(at(59_000)), [7]);
    assert!(one.take_resync() && !one.take_resync(), "asked for the whole set, once");
    assert!(one.denied(at(61_000)).is_empty());
    one.deny(7, 1, at(70_000));
    one.deny(7, 2, at(71_000));
    assert_eq!(one.denied(at(600_000)), [7]);
    assert!(one.denied(at(680_000)).is_empty());
    for number in 0..10_000 {
        one.deny(number, 3, at(700_000));
    }
    assert!(one.denied(at(700_000)).len() <= 512, "a bound on what anybody may make us keep");
}

/// Goal: hysteresis holds on any noise. For every share of bad answers, for six hours of them, a
/// box changes its standing no more often than the doubling of its time allows.
#[test]
fn noise_around_the_threshold_does_not_make_it_go_to_and_fro() {
    for (seed, bad_percent) in (0..=100).step_by(4).enumerate() {
        let mut random = fastrand::Rng::with_seed(seed as u64);
        let mut one = Complaints::default();
        let (mut was, mut changes, mut shunned) = (false, 0u32, 0u64);
        for step in 0..6 * 3_600 {
            let now = at(step * 1_000);
            // Members leave a box that stands back, so hardly anybody speaks of it then.
            let voices = if was { 0 } else { 4 };
            for _ in 0..voices {
                let word = match random.u64(0..100) < bad_percent {
                    true => Word::Bad,
                    false => Word::Good,
                };
                one.hear(word, random.u64(0..1_000), false, now);
            }
            let is = one.is_shunned(now);
            changes += u32::from(is != was);
            shunned += u64::from(is);
            was = is;
        }
        // 10, 20, … 640 s, then 640 s each: six hours have room for forty falls.
        assert!(changes <= 80, "seed {seed}, {bad_percent} % bad: {changes} changes");
        if bad_percent >= 40 {
            assert!(shunned > 6 * 3_600 * 8 / 10, "{bad_percent} % bad: shunned {shunned} s");
        }
        if bad_percent <= 8 {
            assert_eq!(changes, 0, "{bad_percent} % bad");
        }
    }
}

/// Goal: a member who can wait for a late report demotes a box only until it comes, however often.
#[test]
fn one_voice_is_believed_only_until_the_overdue_report_comes() {
    let mut one = Complaints::default();
    for minute in 0..20 {
        let now = minute * 60_000;
        one.hear(Word::Refused, 1, true, at(now));
        assert!(one.is_shunned(at(now + 1)), "minute {minute}");
        one.reported();
        assert!(!one.is_shunned(at(now + 200)), "minute {minute}: its report came");
    }
    one.hear(Word::Refused, 1, true, at(2_000_000));
    one.hear(Word::Refused, 2, true, at(2_000_100));
    one.reported();
    assert!(one.is_shunned(at(2_000_200)), "two members say so: a report does not answer them");
    assert!(!one.is_shunned(at(2_010_200)), "and the lone words before did not double its time");
}

#[test]
fn three_members_who_lie_all_the_time_do_not_outvote_a_thousand() {
    let mut one = Complaints::default();
    for second in 0..120u64 {
        for honest in 0..100 {
            one.hear(Word::Good, 1_000 + honest, false, at(second * 1_000));
        }
        for lie in 0..300 {
            one.hear(Word::Bad, lie % 3, false, at(second * 1_000));
        }
        assert!(!one.is_shunned(at(second * 1_000)), "after {second} s");
    }
}

#[test]
fn one_member_keeps_no_object_denied_and_leaves_room_for_others() {
    let mut one = Complaints::default();
    let denied = (0..600).filter(|second| {
        let now = at(second * 1_000);
        one.deny(7, 1, now);
        !one.denied(now).is_empty()
    });
    assert!(denied.count() <= 60, "a minute in ten, not all of them");
    for number in 0..10_000 {
        one.deny(number, 1, at(600_000));
    }
    one.deny(20_000, 2, at(600_001));
    assert!(one.denied(at(600_001)).contains(&20_000), "the other member is heard");
}

#[test]
fn a_clock_set_back_prolongs_nothing() {
    const DAY_MS: u64 = 86_400_000;
    let mut one = Complaints::default();
    let later = |ms: u64| at(DAY_MS + ms);
    one.hear(Word::Refused, 1, false, later(0));
    one.hear(Word::Refused, 2, false, later(0));
    one.deny(7, 1, later(0));
    assert!(one.is_shunned(later(1)));
    assert!(one.is_shunned(at(0)), "the same moment by another clock");
    assert!(!one.is_shunned(at(11_000)), "ten seconds are ten seconds");
    assert!(one.denied(at(61_000)).is_empty(), "and a minute is a minute");
}
