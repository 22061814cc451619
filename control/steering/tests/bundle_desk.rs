//! Goal: a bundle is made when there is something to tell, and at no other time. Method: a desk
//! over a real ledger in a private directory, time as numbers; every look is asked for.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod lab;

use std::path::Path;

use control_steering::bundle::limits::{ASKED_MS, CHANGES_MAX, LOAD_STEP_PER_MILLE, WARM_MS};
use control_steering::bundle::{Made, Step};
use control_steering::{BundleDesk, BundleSettings, FillDesk, Reach, Settings, Steering};
use control_store::open_embedded;
use control_token::BundleKeys;
use control_types::UnixMillis;
use control_types::bundle::{BundleChange, SignedBundle, SteeringBundle};
use control_types::fleet::{ApplianceReport, Role, TicketKeys};
use lab::{CAPACITY_BPS, NOW, held, object, record, report, site};

const EVERY_MS: u64 = 5_000;
const CONTENT_MS: u64 = 60_000;
/// Longer than any test's time, so that nobody ages; silence has tests of its own.
const SILENT_MS: u64 = 3_600_000;

struct Bench {
    steering: Steering,
    desk: BundleDesk,
    keys: TicketKeys,
    sequence: u64,
    at: UnixMillis,
}

impl Bench {
    /// ISP `isp` with one edge, and an origin; nobody has reported.
    async fn open(state_dir: &Path, at: UnixMillis) -> Self {
        let ledger = open_embedded(state_dir).await.unwrap().ledger;
        let settings = Settings { silent_ms: SILENT_MS, late_ms: SILENT_MS, ..Settings::default() };
        let steering = Steering::open(ledger.clone(), settings).await.unwrap();
        steering.put_site(&site("s", "isp", &["10.0.0.0/8"])).await.unwrap();
        steering.put_appliance(&record("e1", "s", Role::Edge), at).await.unwrap();
        steering.put_appliance(&record("origin", "s", Role::Origin), at).await.unwrap();
        let signer = FillDesk::open(ledger, at).await.unwrap().bundle_keys(at);
        let settings =
            BundleSettings { every_ms: EVERY_MS, content_every_ms: CONTENT_MS, ttl_s: 10 };
        let desk = BundleDesk::open(signer, state_dir.join("serial"), settings).unwrap();
        Self { steering, desk, keys: TicketKeys::default(), sequence: 0, at }
    }

    fn says(&mut self, id: &str, change: impl FnOnce(&mut ApplianceReport)) {
        self.sequence += 1;
        let mut report = report(id, self.sequence);
        change(&mut report);
        self.steering.report(report, self.at).unwrap();
    }

    fn say_all(&mut self) {
        self.says("e1", |_| {});
        self.says("origin", |_| {});
    }

    /// As the background does once; the ISP's appliances ask all the time.
    fn look(&self) -> Option<SteeringBundle> {
        let isp = "isp".parse().unwrap();
        self.desk.ask(&isp, self.at);
        let due = self.desk.due(&self.steering, &self.keys, self.at);
        let [isp] = &due[..] else {
            assert!(due.is_empty());
            return None;
        };
        match self.desk.make(&self.steering, isp, &self.keys, self.at).unwrap() {
            Step::Made(made) => Some(read(&made)),
            Step::Unchanged | Step::Nobody => None,
        }
    }

    fn after(&mut self, ms: u64) -> &mut Self {
        self.at = self.at.plus_millis(ms);
        self
    }
}

fn read(made: &Made) -> SteeringBundle {
    let signed: SignedBundle = serde_json::from_slice(&made.body()).unwrap();
    assert!(control_token::is_bundle_signed(&signed, &signed.key));
    let bundle: SteeringBundle = serde_json::from_str(&signed.bundle).unwrap();
    assert_eq!(bundle.serial, made.serial);
    bundle
}

async fn warm(state_dir: &Path) -> (Bench, SteeringBundle) {
    let mut bench = Bench::open(state_dir, NOW).await;
    bench.say_all();
    let first = bench.look().expect("both said what they hold");
    (bench, first)
}

#[tokio::test]
async fn what_matters_is_told_soon_and_content_and_load_in_their_time() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bench, first) = warm(folder.path()).await;
    assert_eq!(first.made_at, NOW);
    bench.after(CONTENT_MS).say_all();
    assert!(bench.look().is_none(), "the same content, told as a whole again, is no news");
    bench.after(CONTENT_MS).says("e1", |report| report.content = None);
    assert!(bench.look().is_none(), "a report alone is not even looked at");

    // A drain long after a bundle is told at once; soon after one it waits for the pace.
    bench.steering.drain(&"e1".parse().unwrap(), &Reach::Everything).await.unwrap();
    let second = bench.look().expect("the last look is long ago");
    assert!(second.serial > first.serial && second.appliances[0].draining);
    bench.steering.undrain(&"e1".parse().unwrap(), &Reach::Everything).await.unwrap();
    bench.after(EVERY_MS - 1);
    assert!(bench.look().is_none());
    bench.after(1);
    assert!(!bench.look().unwrap().appliances[0].draining);

    // A load just below a step is none; a step, and content, wait for their own pace.
    let below = u64::from(LOAD_STEP_PER_MILLE) * CAPACITY_BPS / 1_000 - CAPACITY_BPS / 1_000;
    bench.after(CONTENT_MS).says("e1", |report| {
        (report.sending_bps, report.content) = (below, None);
    });
    assert!(bench.look().is_none());
    bench.says("e1", |report| {
        (report.sending_bps, report.content) = (CAPACITY_BPS / 2, None);
    });
    assert!((400..=500).contains(&bench.look().unwrap().appliances[0].load_per_mille));
    bench.after(EVERY_MS).says("e1", |report| {
        report.sending_bps = CAPACITY_BPS / 2;
        report.content_digest = "more".to_owned();
        report.content = Some(held(&[object(1), object(2), object(3), object(4), object(9)]));
    });
    assert!(bench.look().is_none(), "content waits");
    // What the objects of no title are is not told at all.
    bench.after(CONTENT_MS);
    assert!(bench.look().is_none(), "no title has object 9");
}

#[tokio::test]
async fn keys_are_told_and_the_same_keys_are_no_news() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bench, first) = warm(folder.path()).await;
    let key = control_types::fleet::TicketKey { kid: "k".to_owned(), public: "p".to_owned() };
    bench.keys = TicketKeys { keys: vec![key] };
    bench.after(EVERY_MS);
    let second = bench.look().unwrap();
    assert_eq!(second.ticket_keys, bench.keys);
    assert!(second.serial > first.serial);
    bench.after(EVERY_MS);
    assert!(bench.look().is_none());
}

#[tokio::test]
async fn after_a_start_it_waits_for_boxes_to_say_what_they_hold_but_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::open(folder.path(), NOW).await;
    assert!(bench.look().is_none(), "nobody was heard at all");
    bench.says("e1", |_| {});
    assert!(bench.look().is_none(), "the origin was not heard");
    bench.after(1_000).says("origin", |report| report.content = None);
    assert!(bench.look().is_none(), "the origin did not say what it holds");
    bench.after(WARM_MS);
    bench.says("e1", |_| {});
    let bundle = bench.look().expect("the origin had its time");
    assert_eq!(bundle.appliances.len(), 2);
    bench.after(CONTENT_MS).says("origin", |_| {});
    assert!(bench.look().is_none(), "no title is known, so what it holds is no news");
}

#[tokio::test]
async fn while_nobody_is_heard_and_while_nobody_asks_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bench, _) = warm(folder.path()).await;
    bench.steering.drain(&"e1".parse().unwrap(), &Reach::Everything).await.unwrap();
    bench.after(SILENT_MS + 1);
    assert!(bench.look().is_none(), "control hears nobody: what appliances have is better");
    bench.say_all();
    bench.after(ASKED_MS + 1);
    bench.say_all();
    // Reports come to the desk by the gateway; here nobody asked for a minute.
    assert!(bench.desk.due(&bench.steering, &bench.keys, bench.at).is_empty());
    assert!(bench.look().is_some());
}

#[tokio::test]
async fn a_clock_that_is_set_back_delays_nothing_and_serials_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bench, first) = warm(folder.path()).await;
    bench.at = UnixMillis(NOW.0 - 7 * 86_400_000);
    bench.say_all();
    bench.steering.drain(&"e1".parse().unwrap(), &Reach::Everything).await.unwrap();
    let second = bench.look().unwrap();
    assert!(second.serial > first.serial && second.made_at < first.made_at);

    // After a restart nothing is remembered but how far serials have come.
    let path = folder.path().to_owned();
    let at = bench.at;
    drop(bench);
    let mut again = Bench::open(&path, at).await;
    again.say_all();
    assert!(again.look().unwrap().serial > second.serial);
}

#[tokio::test]
async fn a_bundle_that_cannot_be_numbered_is_not_made_and_comes_when_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::open(folder.path(), NOW).await;
    // A folder in the way of the file that would be written.
    std::fs::create_dir(folder.path().join("serial.new")).unwrap();
    bench.say_all();
    let isp = "isp".parse().unwrap();
    bench.desk.ask(&isp, bench.at);
    assert_eq!(bench.desk.due(&bench.steering, &bench.keys, bench.at), std::slice::from_ref(&isp));
    let error = bench.desk.make(&bench.steering, &isp, &bench.keys, bench.at).unwrap_err();
    assert!(error.to_string().contains("serial"), "{error}");
    assert!(bench.desk.newest().is_empty());
    std::fs::remove_dir(folder.path().join("serial.new")).unwrap();
    bench.after(EVERY_MS);
    assert!(bench.look().is_some());
}

#[tokio::test]
async fn a_key_that_is_announced_is_told_though_nothing_else_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bench, first) = warm(folder.path()).await;
    let made: Vec<_> = (0..3).map(|_| control_token::OrdersSigner::generate().unwrap()).collect();
    let made: Vec<_> = made.iter().collect();
    let keys = |count: usize, signing| BundleKeys::of(&made[..count], signing).unwrap();
    let signed = |bench: &Bench| -> SignedBundle {
        let newest = bench.desk.newest();
        serde_json::from_slice(&newest[&"isp".parse().unwrap()].body()).unwrap()
    };
    let mut last = first.serial;
    for (count, signing, handovers) in [(1, 0, 0), (2, 0, 1), (2, 1, 1), (3, 1, 2)] {
        bench.desk.sign_by(keys(count, signing));
        bench.after(EVERY_MS).say_all();
        let told = bench.look().expect("the keys are news");
        assert!(told.serial > last);
        last = told.serial;
        let signed = signed(&bench);
        assert_eq!(signed.key, made[signing].public_key());
        assert_eq!(signed.handovers.len(), handovers);
        bench.desk.sign_by(keys(count, signing));
        bench.after(EVERY_MS).say_all();
        assert!(bench.look().is_none(), "the same keys again are none");
    }
}

/// Goal: whoever holds one of the last few bundles is told what changed, and gets the newest of it;
/// who holds none of them gets it whole.
#[tokio::test]
async fn what_changed_since_each_of_the_last_few_leads_to_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bench, _) = warm(folder.path()).await;
    let id = "isp".parse().unwrap();
    let newest = |bench: &Bench| std::sync::Arc::clone(&bench.desk.newest()[&id]);
    let signed = |made: &Made| serde_json::from_slice::<SignedBundle>(&made.body()).unwrap();
    let mut held = vec![newest(&bench)];
    for number in 0..2 * CHANGES_MAX as u64 {
        bench.after(CONTENT_MS).say_all();
        bench.says("e1", |report| {
            (report.sending_bps, report.content) = (CAPACITY_BPS / 4 * (number % 3 + 1), None);
        });
        bench.look().expect("a load that moved is news");
        held.push(newest(&bench));
    }
    let last = held.pop().unwrap();
    assert!(last.packed_since(last.serial).is_none() && last.packed_since(1).is_none());
    let mut told = 0;
    for before in &held {
        let Some(packed) = last.packed_since(before.serial) else { continue };
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*packed), &mut text).unwrap();
        let change: BundleChange = serde_json::from_slice(&text).unwrap();
        let whole = control_token::changed_bundle(&signed(before), &change);
        assert_eq!(whole, Some(signed(&last)), "from {}", before.serial);
        told += 1;
    }
    assert!(told <= CHANGES_MAX, "{told}");
    // A bundle of two boxes is hardly longer than what changes of it: then it goes whole.
    assert!(told == CHANGES_MAX || last.packed().len() < 2_000, "{told}");
}
