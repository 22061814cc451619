//! Goal: a schedule's nights reach the right appliances as windows, on the right moments of the
//! year, and end when somebody says so. Method: the real embedded ledger, time as numbers.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod lab;

use std::path::Path;

use control_steering::{FillDesk, Reach, Settings, Steering, SteeringError};
use control_store::open_embedded;
use control_types::fill::{NewWindow, Orders, Window, WindowScope};
use control_types::fleet::Role;
use control_types::schedule::{Weekday, WindowSchedule};
use control_types::{ErrorWord, UnixMillis, WindowId};
use lab::{SILENT_MS, record, site};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
/// 2026-11-23T12:00:00Z, a Monday.
const NOON: UnixMillis = UnixMillis(1_795_435_200_000);

/// Site a with box a1, site b with box b1.
async fn desk(state_dir: &Path) -> (Steering, FillDesk) {
    let ports = open_embedded(state_dir).await.unwrap();
    let settings = Settings { silent_ms: SILENT_MS, ..Settings::default() };
    let steering = Steering::open(ports.ledger.clone(), settings).await.unwrap();
    for (id, box_id) in [("a", "a1"), ("b", "b1")] {
        steering.put_site(&site(id, "one", &[])).await.unwrap();
        steering.put_appliance(&record(box_id, id, Role::Edge), NOON).await.unwrap();
    }
    (steering, FillDesk::open(ports.ledger, NOON).await.unwrap())
}

fn nightly(zone: &str, start: &str) -> WindowSchedule {
    use Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
    WindowSchedule {
        id: name("nightly"),
        scope: WindowScope::Everyone,
        start: start.to_owned(),
        length_ms: 5 * HOUR_MS,
        days: vec![Mon, Tue, Wed, Thu, Fri, Sat, Sun],
        time_zone: zone.to_owned(),
        except: Vec::new(),
        rate_bps_max: Some(8_000_000),
        bytes_max: Some(9),
    }
}

fn name(text: &str) -> WindowId {
    text.parse().unwrap()
}

fn orders(desk: &FillDesk, steering: &Steering, id: &str, now: UnixMillis) -> Vec<Window> {
    let signed = desk.orders_for(steering, &id.parse().unwrap(), String::new(), now).unwrap();
    serde_json::from_str::<Orders>(&signed.orders).unwrap().windows
}

#[tokio::test]
async fn nights_are_windows_to_agents_and_director() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, desk) = desk(directory.path()).await;
    let mut rule = nightly("Europe/Lisbon", "02:00");
    rule.scope = WindowScope::Site("a".parse().unwrap());
    rule.except = vec!["2026-11-25".to_owned()];
    let status =
        desk.put_schedule(rule.clone(), &Reach::Everything, &steering, NOON).await.unwrap();
    assert_eq!(status.next.unwrap().id, name("nightly-2026-11-24"));

    let nights = orders(&desk, &steering, "a1", NOON);
    let names: Vec<&str> = nights.iter().map(|night| &night.id.as_str()[8..]).collect();
    let expected = ["2026-11-24", "2026-11-26", "2026-11-27", "2026-11-28", "2026-11-29"];
    assert_eq!(names[..5], expected);
    assert_eq!(names.len(), 7, "eight days ahead, one of them excepted");
    let first = &nights[0];
    assert_eq!(first.opens_at, NOON.plus_millis(14 * HOUR_MS));
    assert_eq!(first.closes_at, NOON.plus_millis(19 * HOUR_MS));
    assert_eq!((first.rate_bps_max, first.bytes_max), (Some(8_000_000), Some(9)));
    assert!(first.is_open(NOON.plus_millis(15 * HOUR_MS)));
    assert!(orders(&desk, &steering, "b1", NOON).is_empty(), "site b is not in its scope");
    assert_eq!(desk.fill_state(&steering, Vec::new(), NOON).windows, nights);
    assert_eq!(desk.windows(NOON), nights);
    // A one-off beside it stays what it was.
    let one_off = NewWindow {
        id: name("extra"),
        scope: WindowScope::Everyone,
        opens_at: None,
        length_ms: HOUR_MS,
        rate_bps_max: None,
        bytes_max: None,
    };
    desk.open_window(one_off, &Reach::Everything, &steering, NOON).await.unwrap();
    assert_eq!(orders(&desk, &steering, "a1", NOON)[0].id, name("extra"));
}

/// The night that an agent sees at `now`: minutes from `now` to its two ends.
async fn check_night(zone: &str, start: &str, now: u64, expected: (i64, i64)) {
    let directory = tempfile::tempdir().unwrap();
    let (steering, desk) = desk(directory.path()).await;
    desk.put_schedule(nightly(zone, start), &Reach::Everything, &steering, NOON).await.unwrap();
    let night = orders(&desk, &steering, "a1", UnixMillis(now)).remove(0);
    let minutes = |at: UnixMillis| (at.0 as i64 - now as i64) / MINUTE_MS as i64;
    assert_eq!((minutes(night.opens_at), minutes(night.closes_at)), expected, "{zone} {start}");
}

#[tokio::test]
async fn nights_keep_to_the_wall_clock_when_it_changes() {
    // Midnight UTC of the day before; all lengths are 300 minutes of elapsed time.
    let (spring_eu, autumn_eu) = (1_774_656_000_000, 1_792_800_000_000);
    check_night("Europe/Lisbon", "01:30", spring_eu + DAY_MS, (60, 360)).await;
    check_night("Europe/Lisbon", "01:30", autumn_eu + DAY_MS, (30, 330)).await;
    let (spring_us, autumn_us) = (1_772_928_000_000, 1_793_491_200_000);
    check_night("America/New_York", "02:30", spring_us, (420, 720)).await;
    check_night("America/New_York", "01:30", autumn_us, (330, 630)).await;
    // Noon UTC is late evening on Lord Howe, whose clock changes by half an hour.
    let (spring_lh, autumn_lh) = (1_790_985_600_000 + 12 * HOUR_MS, 1_775_304_000_000);
    check_night("Australia/Lord_Howe", "02:15", spring_lh, (210, 510)).await;
    check_night("Australia/Lord_Howe", "01:45", autumn_lh, (165, 465)).await;
}

#[tokio::test]
async fn closing_by_the_schedule_s_name_closes_tonight_only() {
    let directory = tempfile::tempdir().unwrap();
    let at_three = NOON.plus_millis(15 * HOUR_MS);
    {
        let (steering, desk) = desk(directory.path()).await;
        desk.put_schedule(nightly("UTC", "02:00"), &Reach::Everything, &steering, NOON)
            .await
            .unwrap();
        assert!(orders(&desk, &steering, "a1", at_three)[0].is_open(at_three));
        // Twice: the second call must not take tomorrow's night.
        for _ in 0..2 {
            let closed = desk
                .close_window(&name("nightly"), &Reach::Everything, &steering, at_three)
                .await
                .unwrap();
            assert_eq!((closed.id, closed.closed), (name("nightly-2026-11-24"), true));
        }
        let left = orders(&desk, &steering, "a1", at_three);
        assert_eq!(left[0].id, name("nightly-2026-11-25"));
        assert_eq!(desk.schedules(at_three)[0].next.as_ref(), Some(&left[0]));
        let listed = desk.windows(at_three);
        assert_eq!(listed.iter().filter(|window| window.closed).count(), 1);
        // A night to come, by its own name.
        desk.close_window(&name("nightly-2026-12-24"), &Reach::Everything, &steering, at_three)
            .await
            .unwrap();
        let past = desk
            .close_window(&name("nightly-2026-11-01"), &Reach::Everything, &steering, at_three)
            .await
            .unwrap_err();
        assert_eq!(past.word(), ErrorWord::NotFound);
    }
    // Control starts again: rule and closed nights are as they were.
    let (steering, desk) = desk(directory.path()).await;
    assert_eq!(desk.schedules(at_three)[0].schedule, nightly("UTC", "02:00"));
    let left = orders(&desk, &steering, "a1", at_three);
    assert_eq!(left[0].id, name("nightly-2026-11-25"));
    let christmas = NOON.plus_millis(30 * DAY_MS);
    let left = orders(&desk, &steering, "a1", christmas);
    let ids: Vec<&str> = left.iter().map(|window| &window.id.as_str()[8..]).take(3).collect();
    assert_eq!(ids, ["2026-12-25", "2026-12-26", "2026-12-27"]);
}

#[tokio::test]
async fn a_changed_or_removed_schedule_counts_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, desk) = desk(directory.path()).await;
    let first = desk
        .put_schedule(nightly("UTC", "02:00"), &Reach::Everything, &steering, NOON)
        .await
        .unwrap();
    let second = desk
        .put_schedule(nightly("UTC", "03:00"), &Reach::Everything, &steering, NOON)
        .await
        .unwrap();
    let (first, second) = (first.next.unwrap(), second.next.unwrap());
    assert_eq!(second.opens_at, first.opens_at.plus_millis(HOUR_MS));
    assert_eq!(orders(&desk, &steering, "a1", NOON)[0], second);
    desk.remove_schedule(&name("nightly"), &Reach::Everything, &steering).await.unwrap();
    assert!(orders(&desk, &steering, "a1", NOON).is_empty());
    let gone =
        desk.remove_schedule(&name("nightly"), &Reach::Everything, &steering).await.unwrap_err();
    assert_eq!(gone.word(), ErrorWord::NotFound);
}

#[tokio::test]
async fn schedules_that_are_none_or_share_a_name_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, desk) = desk(directory.path()).await;
    let put = |rule: WindowSchedule| desk.put_schedule(rule, &Reach::Everything, &steering, NOON);
    let mut lost = nightly("UTC", "02:00");
    lost.scope = WindowScope::Site("nowhere".parse().unwrap());
    assert_eq!(put(lost).await.unwrap_err().word(), ErrorWord::BadRequest);
    let zone = put(nightly("Europe/Lisboa", "02:00")).await.unwrap_err();
    assert_eq!(zone.word(), ErrorWord::BadRequest);
    assert!(zone.to_string().contains("Europe/Lisbon"), "{zone}");

    put(nightly("UTC", "02:00")).await.unwrap();
    let one_off = |id: &str| {
        let new = NewWindow {
            id: name(id),
            scope: WindowScope::Everyone,
            opens_at: None,
            length_ms: HOUR_MS,
            rate_bps_max: None,
            bytes_max: None,
        };
        desk.open_window(new, &Reach::Everything, &steering, NOON)
    };
    for id in ["nightly", "nightly-2026-11-24"] {
        let taken = one_off(id).await.unwrap_err();
        assert!(matches!(taken, SteeringError::WindowTaken(_)), "{taken}");
    }
    one_off("extra").await.unwrap();
    one_off("other-2026-11-24").await.unwrap();
    for id in ["extra", "other", "nightly-2026-11-24"] {
        let rule = WindowSchedule { id: name(id), ..nightly("UTC", "02:00") };
        let taken = put(rule).await.unwrap_err();
        assert!(matches!(taken, SteeringError::WindowTaken(_)), "{id}: {taken}");
    }
    desk.close_window(&name("extra"), &Reach::Everything, &steering, NOON).await.unwrap();
    put(WindowSchedule { id: name("extra"), ..nightly("UTC", "02:00") }).await.unwrap();
    assert_eq!(desk.schedules(NOON).len(), 2);
}

/// A window and a night are there, so "there is none" would be a lie; they end in another way.
#[tokio::test]
async fn what_is_no_schedule_is_not_removed_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let (steering, desk) = desk(directory.path()).await;
    let rule = nightly("Europe/Lisbon", "02:00");
    desk.put_schedule(rule, &Reach::Everything, &steering, NOON).await.unwrap();
    let once = NewWindow {
        id: name("once"),
        scope: WindowScope::Everyone,
        opens_at: None,
        length_ms: HOUR_MS,
        rate_bps_max: None,
        bytes_max: None,
    };
    desk.open_window(once, &Reach::Everything, &steering, NOON).await.unwrap();
    for id in ["once", "nightly-2026-11-25"] {
        let error = desk.remove_schedule(&name(id), &Reach::Everything, &steering).await;
        let error = error.unwrap_err();
        assert_eq!(error.word(), ErrorWord::Conflict);
        assert!(error.to_string().contains(&format!("window close {id}")), "{error}");
    }
    let error = desk.remove_schedule(&name("nope"), &Reach::Everything, &steering).await;
    assert_eq!(error.unwrap_err().word(), ErrorWord::NotFound);
    assert_eq!(desk.schedules(NOON).len(), 1);
}
