//! Goal: whatever reports say of content, in whatever order, control holds what the box holds or
//! asks for all of it. Method: a box with random changes, lost answers and a catalog that changes
//! meanwhile, against the plain set.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod lab;

use std::collections::BTreeSet;

use control_steering::held::Held;
use control_steering::library::{Library, Wanted};
use control_steering::{LibraryObject, LibraryTitle, Question, Settings, Steering};
use control_store::open_embedded;
use control_types::content::{HeldDigest, HeldKeys, fingerprint};
use control_types::fleet::{ApplianceReport, DiskClass, HeldObject, HeldUpdate, Role};
use control_types::play::{PlayEvent, PlayEventKind, PlayTrouble, TroubleKind};
use control_types::{ObjectId, UnixMillis};
use lab::{NOW, SILENT_MS, object, record, report, site, title, wanted};

async fn steering(state_dir: &std::path::Path) -> Steering {
    let ports = open_embedded(state_dir).await.unwrap();
    let settings = Settings { silent_ms: SILENT_MS, ..Settings::default() };
    let steering = Steering::open(ports.ledger, settings).await.unwrap();
    steering.put_site(&site("a", "isp", &["10.0.0.0/8"])).await.unwrap();
    steering.put_appliance(&record("e1", "a", Role::Edge), NOW).await.unwrap();
    steering.put_appliance(&record("e2", "a", Role::Edge), NOW).await.unwrap();
    steering
}

fn held(number: u8) -> HeldObject {
    let class = if number.is_multiple_of(3) { DiskClass::Hdd } else { DiskClass::Ssd };
    HeldObject { object: object(number), bytes: 100, class }
}

fn keys(set: &BTreeSet<u8>) -> HeldKeys {
    let all: Vec<HeldObject> = set.iter().map(|number| held(*number)).collect();
    HeldKeys::of(&all)
}

fn learn(steering: &Steering, titles: &[std::ops::Range<u8>]) {
    let title = |(at, range): (usize, &std::ops::Range<u8>)| LibraryTitle {
        title: format!("t{at}").parse().unwrap(),
        optional: 0,
        objects: range
            .clone()
            .map(|number| LibraryObject { object: object(number), bytes: 100 })
            .collect(),
    };
    let titles: Vec<LibraryTitle> = titles.iter().enumerate().map(title).collect();
    steering.learn(&titles).unwrap();
}

fn told(sequence: u64, digest: String, held: Option<HeldUpdate>) -> ApplianceReport {
    let mut report = report("e1", sequence);
    (report.content, report.content_digest, report.more.held) = (None, digest, held);
    report
}

#[tokio::test]
async fn changes_of_a_set_are_followed_through_lost_answers_and_a_changing_catalog() {
    let directory = tempfile::tempdir().unwrap();
    let steering = steering(directory.path()).await;
    let mut random = fastrand::Rng::with_seed(11);
    let (mut set, mut confirmed): (BTreeSet<u8>, Option<BTreeSet<u8>>) = Default::default();
    let (mut want_all, mut asked_for_all) = (false, 0);
    for sequence in 1..=400u64 {
        for _ in 0..random.usize(0..6) {
            let number = random.u8(..120);
            if !set.remove(&number) {
                set.insert(number);
            }
        }
        if random.usize(0..10) == 0 {
            let (a, b) = (random.u8(0..60), random.u8(60..120));
            learn(&steering, &[0..a, a..60, 60..b]);
        }
        let (now, all) = (keys(&set), |added: HeldKeys, base: String, removed: HeldKeys| {
            let (objects, bytes) = (set.len() as u64, set.len() as u64 * 100);
            HeldUpdate { base, added, removed, objects, bytes }
        });
        let digest = HeldDigest::of(&now).to_string();
        let held = match &confirmed {
            _ if want_all => Some(all(now.clone(), String::new(), HeldKeys::default())),
            None => None,
            Some(before) => {
                let before = keys(before);
                let base = HeldDigest::of(&before).to_string();
                Some(all(now.without(&before), base, before.without(&now)))
            }
        };
        let at = UnixMillis(NOW.0 + sequence * 1_000);
        let heard = steering.report(told(sequence, digest, held), at).unwrap();
        asked_for_all += u32::from(heard.want_content);
        if !heard.want_content {
            check_holds(&steering, &set, at);
        }
        // One answer in eight is lost: the box goes on from what it last knew to be known.
        if random.usize(0..8) > 0 {
            confirmed = (!heard.want_content).then(|| set.clone());
            want_all = heard.want_content;
        }
    }
    assert!((2..150).contains(&asked_for_all), "{asked_for_all} of 400");
}

fn check_holds(steering: &Steering, set: &BTreeSet<u8>, at: UnixMillis) {
    let fleet = steering.fleet_at(at);
    let seen = fleet.seen(&"e1".parse().unwrap()).unwrap();
    for number in 0..120 {
        let mut wanted = Vec::new();
        fleet.library.want(&[object(number)], &mut wanted);
        assert_eq!(seen.held.has(wanted[0]), set.contains(&number), "object {number}");
        if let Wanted::Loose(key) = wanted[0] {
            assert_eq!(key, fingerprint(&object(number)));
        }
    }
    assert_eq!(seen.held.objects, set.len() as u64);
}

#[tokio::test]
async fn the_planner_sees_names_whether_the_catalog_or_the_box_has_them() {
    let directory = tempfile::tempdir().unwrap();
    let steering = steering(directory.path()).await;
    learn(&steering, &[0..10, 10..20]);
    let set: BTreeSet<u8> = (5..25).collect();
    let now = keys(&set);
    let digest = HeldDigest::of(&now).to_string();
    let (removed, objects, bytes) = (HeldKeys::default(), 20, 2_000);
    let whole = HeldUpdate { base: String::new(), added: now, removed, objects, bytes };
    let heard = steering.report(told(1, digest.clone(), Some(whole)), NOW).unwrap();
    assert!(!heard.want_content);
    assert_eq!(heard.unnamed.len(), 5, "20 to 24 are in no title");
    let listed = || steering.fill_appliances(NOW.plus_millis(1))[0].holds.clone();
    assert_eq!(listed().len(), 15);
    let mut named = told(2, digest, None);
    named.more.named = (20..25).map(held).collect();
    let heard = steering.report(named, NOW).unwrap();
    assert!(heard.unnamed.is_empty() && !heard.want_content);
    let wanted: Vec<HeldObject> = set.iter().map(|number| held(*number)).collect();
    let mut wanted = wanted;
    wanted.sort_by_key(|one| one.object);
    assert_eq!(listed(), wanted);
    // A title that is taken down leaves objects that the planner still has to name.
    learn(&steering, std::slice::from_ref(&(0..10)));
    assert_eq!(listed(), wanted);
}

/// Goal: a content set that lies costs a member one request: the box is out of the lists of that
/// title at once, and asked for the truth.
#[tokio::test]
async fn a_404_takes_a_box_off_the_lists_of_that_title() {
    let directory = tempfile::tempdir().unwrap();
    let steering = steering(directory.path()).await;
    let all = wanted();
    for id in ["e1", "e2"] {
        steering.report(report(id, 1), NOW).unwrap();
    }
    let (title, ip) = (title(), "10.0.0.1".parse().unwrap());
    let first = |at: UnixMillis| {
        let question = Question::new(ip, &title, &all);
        let ranked = steering.rank(&question, at);
        (ranked[0].appliance.to_string(), ranked.len())
    };
    let (liar, _) = first(NOW);
    let complain = |object: ObjectId, from: &str, at: UnixMillis| {
        let trouble = PlayTrouble { kind: TroubleKind::NotFound, object: Some(object) };
        let event = PlayEvent {
            kind: PlayEventKind::Error,
            position_ms: 0,
            since_press_ms: 0,
            appliance: Some(liar.parse().unwrap()),
            height: 0,
            buffer_ms: 0,
            bytes: 0,
            stall_ms: 0,
            detail: String::new(),
            trouble: Some(trouble),
            first_byte_ms: None,
        };
        steering.hear_player(from.parse().unwrap(), &event, &all, at);
    };
    complain(object(200), "10.9.9.9", NOW);
    assert_eq!(first(NOW.plus_millis(1)).0, liar, "an object that nobody offered changes nothing");
    complain(all[0], "192.0.2.9", NOW);
    assert_eq!(first(NOW.plus_millis(1)).0, liar, "nobody there could have been sent to it");
    complain(all[0], "10.9.9.9", NOW);
    let (other, len) = first(NOW.plus_millis(2));
    assert_ne!(other, liar, "it holds a part of the title now");
    assert_eq!(len, 2);
    let heard = steering.report(report(&liar, 2), NOW.plus_millis(3)).unwrap();
    assert!(heard.want_content, "asked for the whole set");
    assert_eq!(first(NOW.plus_millis(61_000)).0, liar, "one voice is believed for a minute");
}

/// Goal: a box with a title's core is an equal of one with all of it; with less it is not, nor
/// when a player missed something there. Method: twenty titles of the same objects, so that the
/// draw among equals falls to each box.
#[tokio::test]
async fn a_box_with_the_core_of_a_title_has_the_title() {
    let directory = tempfile::tempdir().unwrap();
    let steering = steering(directory.path()).await;
    let all = wanted();
    let mut thin = report("e1", 1);
    thin.content.as_mut().unwrap().truncate(2);
    steering.report(thin, NOW).unwrap();
    steering.report(report("e2", 1), NOW).unwrap();
    let ip = "10.0.0.1".parse().unwrap();
    let first = |optional: usize| -> usize {
        let is_first = |number: &u32| {
            let title = format!("film-{number}").parse().unwrap();
            let question = Question::new(ip, &title, &all).lacking(optional);
            steering.rank(&question, NOW)[0].appliance.as_str() == "e1"
        };
        (0..20).filter(is_first).count()
    };
    assert_eq!((first(0), first(1)), (0, 0), "it lacks two of four");
    assert!((1..20).contains(&first(2)), "{}", first(2));
}

/// Goal: a box that changes everything at once, of objects nobody has a title for, costs a pass
/// over both sets: key by key this takes minutes, with every other report waiting.
#[test]
fn a_change_of_everything_unknown_is_one_pass() {
    const COUNT: u64 = 800_000;
    let library = Library::default();
    let keys = |from: u64| -> HeldKeys { (from..from + COUNT).map(|n| n * 2).collect() };
    let update = |base: &str, added: HeldKeys, removed: HeldKeys| HeldUpdate {
        base: base.to_owned(),
        added,
        removed,
        objects: COUNT,
        bytes: COUNT,
    };
    let digest = |keys: &HeldKeys| HeldDigest::of(keys).to_string();
    let (high, low) = (keys(COUNT), keys(0));
    let none = HeldKeys::default;
    let whole = Held::whole(&update("", high.clone(), none()), digest(&high), &library);
    let all: HeldKeys = low.as_slice().iter().chain(high.as_slice()).copied().collect();
    let base = digest(&high);
    let grown = whole.changed(&update(&base, low.clone(), none()), digest(&all), &library);
    let grown = grown.unwrap();
    let shrunk = grown.changed(&update(&digest(&all), none(), high), digest(&low), &library);
    assert_eq!(shrunk.unwrap().digest, digest(&low));
    let twice = update(&digest(&all), low.clone(), none());
    assert!(grown.changed(&twice, digest(&all), &library).is_err(), "they are there already");
    let absent: HeldKeys = [1].into_iter().collect();
    let absent = update(&digest(&all), none(), absent);
    assert!(grown.changed(&absent, digest(&all), &library).is_err(), "it never was there");
}
