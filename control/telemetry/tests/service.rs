//! Goal: the service records without waiting for the disk, learns demand again after a restart, and
//! refuses only what it must. Method: the real embedded log in a private directory.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use control_store::{EventRow, Events, Offset, StoreError, open_embedded};
use control_telemetry::{
    ObjectShape, Press, SiteDirectory, Telemetry, TelemetryError, TitleObjects,
};
use control_types::play::{PlayEvent, PlayEventKind, PlayEvents};
use control_types::{
    AccountId, ApplianceId, ErrorWord, ObjectId, PlayId, ProfileId, SiteId, UnixMillis,
};
use uuid::Uuid;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

/// `edge-x` stands in site `x`.
struct Directory;

impl SiteDirectory for Directory {
    fn site_of(&self, appliance: &ApplianceId) -> Option<SiteId> {
        appliance.as_str().strip_prefix("edge-").and_then(|site| site.parse().ok())
    }
}

async fn telemetry(state_dir: &Path) -> Telemetry {
    let ports = open_embedded(state_dir).await.unwrap();
    Telemetry::open(ports.events, Arc::new(Directory)).await.unwrap()
}

fn press(number: u128, home_sites: &[&str]) -> Press {
    Press {
        play: PlayId(Uuid::from_u128(number)),
        account: AccountId(Uuid::from_u128(1)),
        profile: ProfileId(Uuid::from_u128(1)),
        title: "night".parse().unwrap(),
        home_sites: home_sites.iter().map(|site| site.parse().unwrap()).collect(),
        began_at: NOW,
    }
}

fn report(count: usize, bytes: u64) -> PlayEvents {
    let event = PlayEvent {
        kind: PlayEventKind::Heartbeat,
        position_ms: 1_000,
        since_press_ms: 1_500,
        appliance: Some("edge-far".parse().unwrap()),
        height: 720,
        buffer_ms: 4_000,
        bytes,
        stall_ms: 0,
        detail: "é".repeat(600),
        trouble: None,
        first_byte_ms: None,
    };
    PlayEvents { events: vec![event; count] }
}

/// Tomorrow's bytes of the one object, by site.
fn demand(telemetry: &Telemetry) -> Vec<(String, u64)> {
    let shape = ObjectShape { object: ObjectId([1; 32]), bytes: 1_000, height: Some(720) };
    let title = TitleObjects {
        title: "night".parse().unwrap(),
        published_at: UnixMillis(0),
        objects: vec![shape],
    };
    let sites: Vec<SiteId> = ["far", "home", "twin"].map(|site| site.parse().unwrap()).to_vec();
    let objects = telemetry.placeable(&[title], &sites, NOW);
    let bytes = objects[0].demand_bytes.iter();
    bytes.map(|demand| (demand.site.to_string(), demand.bytes.round() as u64)).collect()
}

/// Days of the one title: day, site, height and bytes.
fn days(telemetry: &Telemetry) -> Vec<(u32, String, u32, u64)> {
    let title = "night".parse().unwrap();
    let title = TitleObjects { title, published_at: UnixMillis(0), objects: Vec::new() };
    let history = telemetry.history(&[title], NOW);
    let mut days: Vec<_> = history[0]
        .watched
        .iter()
        .map(|one| (one.day, one.site.to_string(), one.height, one.bytes))
        .collect();
    days.sort();
    days
}

#[tokio::test]
async fn demand_belongs_to_the_members_sites_and_outlives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let before = telemetry(directory.path()).await;
    before.begin(press(1, &["home", "twin"]));
    before.begin(press(2, &[]));
    for play in [1, 2] {
        before.record(&PlayId(Uuid::from_u128(play)), &report(2, 1_000_000), NOW).unwrap();
    }
    let learned = demand(&before);
    let sites: Vec<&str> = learned.iter().map(|(site, _)| site.as_str()).collect();
    assert_eq!(sites, ["far", "home", "twin"]);
    assert!(learned[0].1 > learned[1].1 && learned[1].1 == learned[2].1, "{learned:?}");
    let days_learned = days(&before);
    let day = u32::try_from(NOW.0 / 86_400_000).unwrap();
    let home: Vec<_> =
        ["far", "home", "twin"].iter().zip([2_000_000, 1_000_000, 1_000_000]).collect();
    let expected: Vec<_> = home.iter().map(|(s, b)| (day, (*s).to_string(), 720, *b)).collect();
    assert_eq!(days_learned, expected);
    before.flush().await;
    assert_eq!(before.dropped_total(), 0);
    drop(before);
    let after = telemetry(directory.path()).await;
    assert_eq!(demand(&after), learned);
    assert_eq!(days(&after), days_learned);
    assert_eq!(after.live(NOW).plays_total, 0, "sessions begin empty");
    let unknown = after.record(&PlayId(Uuid::from_u128(1)), &report(1, 1), NOW).unwrap_err();
    assert_eq!(unknown.word(), ErrorWord::NotFound);
    after.adopt(press(1, &["home"]));
    assert!(after.record(&PlayId(Uuid::from_u128(1)), &report(1, 1), NOW).is_ok());
    assert_eq!(after.streams(&AccountId(Uuid::from_u128(1)), NOW), 1);
}

#[tokio::test]
async fn what_players_report_is_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let ports = open_embedded(directory.path()).await.unwrap();
    let events = Arc::clone(&ports.events);
    let telemetry = Telemetry::open(ports.events, Arc::new(Directory)).await.unwrap();
    telemetry.begin(press(1, &["home"]));
    telemetry.record(&PlayId(Uuid::from_u128(1)), &report(3, 10), NOW).unwrap();
    telemetry.flush().await;
    let rows = events.read("plays", Offset(0), 10).await.unwrap();
    let what: Vec<_> = rows.iter().map(|row| row.body["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["pressed", "report"]);
    assert_eq!(rows[1].body["events"].as_array().unwrap().len(), 3);
    let detail = rows[1].body["events"][0]["detail"].as_str().unwrap();
    assert_eq!(detail.len(), 512, "error texts are cut");
    assert_eq!(rows[1].at, NOW);
}

#[tokio::test]
async fn too_many_events_are_refused_whole() {
    let directory = tempfile::tempdir().unwrap();
    let telemetry = telemetry(directory.path()).await;
    telemetry.begin(press(1, &["home"]));
    let play = PlayId(Uuid::from_u128(1));
    assert!(telemetry.record(&play, &report(64, 1), NOW).is_ok());
    let refused = telemetry.record(&play, &report(65, 1), NOW).unwrap_err();
    assert_eq!(refused, TelemetryError::TooManyEvents { count: 65, max: 64 });
    assert_eq!(refused.word(), ErrorWord::BadRequest);
}

/// A log that has a damaged page before all that was written.
struct Damaged(Arc<dyn Events>);

const PAGE: u64 = 5_000;

#[async_trait]
impl Events for Damaged {
    async fn append(
        &self,
        topic: &str,
        at: UnixMillis,
        body: &serde_json::Value,
    ) -> Result<Offset, StoreError> {
        self.0.append(topic, at, body).await
    }

    async fn read(
        &self,
        topic: &str,
        from: Offset,
        count_max: usize,
    ) -> Result<Vec<EventRow>, StoreError> {
        let Some(from) = from.0.checked_sub(PAGE) else {
            let (what, why) = (format!("event {}", from.0), "a record does not match".to_owned());
            return Err(StoreError::Damaged { what, why });
        };
        let rows = self.0.read(topic, Offset(from), count_max).await?;
        let moved = |row: EventRow| EventRow { offset: Offset(row.offset.0 + PAGE), ..row };
        Ok(rows.into_iter().map(moved).collect())
    }

    async fn end(&self, topic: &str) -> Result<Offset, StoreError> {
        self.0.end(topic).await.map(|end| Offset(end.0 + PAGE))
    }
}

#[tokio::test]
async fn a_damaged_log_does_not_keep_control_from_starting() {
    let directory = tempfile::tempdir().unwrap();
    let ports = open_embedded(directory.path()).await.unwrap();
    let telemetry = Telemetry::open(ports.events.clone(), Arc::new(Directory)).await.unwrap();
    telemetry.begin(press(1, &["x"]));
    telemetry.record(&press(1, &[]).play, &report(1, 1_000), NOW).unwrap();
    telemetry.flush().await;
    drop(telemetry);
    let damaged = Arc::new(Damaged(ports.events));
    let telemetry = Telemetry::open(damaged, Arc::new(Directory)).await.unwrap();
    let shape = ObjectShape { object: ObjectId([1; 32]), bytes: 1_000, height: Some(720) };
    let title = "night".parse().unwrap();
    let titles = [TitleObjects { title, published_at: UnixMillis(0), objects: vec![shape] }];
    let forecast = telemetry.placeable(&titles, &["x".parse().unwrap()], NOW);
    assert_eq!(forecast[0].demand_bytes.len(), 1, "the rows after the damage were learned");
}

#[tokio::test]
async fn bytes_that_no_line_could_carry_are_not_believed() {
    let directory = tempfile::tempdir().unwrap();
    let forecast = |telemetry: &Telemetry| {
        let shape = ObjectShape { object: ObjectId([1; 32]), bytes: 1_000, height: Some(720) };
        let title = "night".parse().unwrap();
        let titles = [TitleObjects { title, published_at: UnixMillis(0), objects: vec![shape] }];
        let placeable = telemetry.placeable(&titles, &["x".parse().unwrap()], NOW);
        placeable[0].demand_bytes[0].bytes
    };
    let lied = telemetry(directory.path()).await;
    lied.begin(press(1, &["x"]));
    for second in 1..=10 {
        let at = NOW.plus_millis(second * 1_000);
        lied.record(&press(1, &[]).play, &report(8, u64::MAX), at).unwrap();
    }
    // Ten seconds at 400 Mbit/s and 256 MiB, read as a rate over two days of half-life.
    let most = (10.0 * 50e6 + 268_435_456.0) * std::f64::consts::LN_2 / 2.0 + 1_000.0;
    let said = forecast(&lied);
    assert!(said <= most * 1.001, "{said} is over {most}");
    lied.flush().await;
    drop(lied);
    let again = forecast(&telemetry(directory.path()).await);
    assert!((again / said - 1.0).abs() < 0.01, "a restart learns {again} instead of {said}");
}
