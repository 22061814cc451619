//! Builds fleets for tests from a few words. Not a fixture: every test says what its fleet is.

#![allow(dead_code)] // Each test file uses the part it needs.

use std::sync::Arc;

use control_routes::RouteTable;
use control_steering::decide::{Decision, decide};
use control_steering::ear::{Ear, Moment};
use control_steering::fleet::{Fleet, Parts, Registry, Seen};
use control_steering::health::{Folded, Yardstick, fold};
use control_steering::library::Library;
use control_steering::{Policy, Question, Settings};
use control_store::ledger::ApplianceRow;
use control_types::fleet::{
    ApplianceRecord, ApplianceReport, DiskClass, HeldObject, Link, Role, Site, VolumeReport,
};
use control_types::{ApplianceId, ObjectId, TitleId, UnixMillis};

pub const SILENT_MS: u64 = 3_000;
pub const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
pub const CAPACITY_BPS: u64 = 1_000_000_000;

pub fn object(number: u8) -> ObjectId {
    ObjectId([number; 32])
}

/// The objects of the title that tests ask for.
pub fn wanted() -> Vec<ObjectId> {
    (1..=4).map(object).collect()
}

pub fn site(id: &str, isp: &str, prefixes: &[&str]) -> Site {
    Site {
        id: id.parse().unwrap(),
        isp: isp.parse().unwrap(),
        name: id.to_owned(),
        latitude: 0.0,
        longitude: 0.0,
        prefixes: prefixes.iter().map(|text| (*text).to_owned()).collect(),
        fails_as_one: false,
    }
}

pub fn record(id: &str, site: &str, role: Role) -> ApplianceRecord {
    ApplianceRecord {
        id: id.parse().unwrap(),
        site: site.parse().unwrap(),
        role,
        link: Link::Embedded,
        capacity_bps: CAPACITY_BPS,
        detail: control_types::fleet::ApplianceDetail::default(),
    }
}

pub fn held(objects: &[ObjectId]) -> Vec<HeldObject> {
    let held =
        |object: &ObjectId| HeldObject { object: *object, bytes: 100, class: DiskClass::Ssd };
    objects.iter().map(held).collect()
}

pub fn volume(healthy: bool) -> VolumeReport {
    VolumeReport {
        path: "/srv/0".into(),
        class: DiskClass::Ssd,
        capacity_bytes: 1_000,
        used_bytes: 400,
        healthy,
    }
}

/// A report of a box that is well, idle and holds the title.
pub fn report(id: &str, sequence: u64) -> ApplianceReport {
    ApplianceReport {
        appliance: id.parse().unwrap(),
        media_url: format!("https://{id}.example"),
        sequence,
        run: uuid::Uuid::from_u128(1),
        draining: false,
        connections: 0,
        sent_bytes_total: 0,
        sending_bps: 0,
        requests_total: 100 * sequence,
        errors_total: 0,
        volumes: vec![volume(true)],
        content_digest: "all".into(),
        content: Some(held(&wanted())),
        quarantined: Vec::new(),
        more: control_types::fleet::ReportDetail::default(),
    }
}

/// A fleet in the making.
pub struct Lab {
    sites: Vec<Site>,
    rows: Vec<ApplianceRow>,
    seen: Vec<(ApplianceId, Seen)>,
    ear: Ear,
    /// Thresholds of the fleet.
    pub settings: Settings,
}

impl Default for Lab {
    fn default() -> Self {
        let ear = Ear { heard_at: NOW, steady_ms: NOW.0, interval_ms: 0 };
        // Most tests are of silence, and a late box would be told apart by that first.
        let settings = Settings { silent_ms: SILENT_MS, late_ms: SILENT_MS, ..Settings::default() };
        Self { sites: Vec::new(), rows: Vec::new(), seen: Vec::new(), ear, settings }
    }
}

impl Lab {
    pub fn site(mut self, id: &str, isp: &str, prefixes: &[&str]) -> Self {
        self.sites.push(site(id, isp, prefixes));
        self
    }

    /// A site all of whose boxes fail together.
    pub fn site_as_one(mut self, id: &str, isp: &str, prefixes: &[&str]) -> Self {
        self.sites.push(Site { fails_as_one: true, ..site(id, isp, prefixes) });
        self
    }

    pub fn site_at(mut self, id: &str, prefixes: &[&str], place: (f64, f64)) -> Self {
        let (latitude, longitude) = place;
        self.sites.push(Site { latitude, longitude, ..site(id, "isp", prefixes) });
        self
    }

    /// A box that is well, idle and holds the title.
    pub fn on(self, site: &str, role: Role, id: &str) -> Self {
        self.with(site, role, id, |_, _| {})
    }

    /// A box with something about it.
    pub fn with(
        mut self,
        site: &str,
        role: Role,
        id: &str,
        change: impl FnOnce(&mut ApplianceRow, &mut ApplianceReport),
    ) -> Self {
        self.add(site, role, id, NOW, change);
        self
    }

    /// A box last heard of `ago_ms` ago.
    pub fn heard(mut self, site: &str, role: Role, id: &str, ago_ms: u64) -> Self {
        self.add(site, role, id, UnixMillis(NOW.0 - ago_ms), |_, _| {});
        self
    }

    /// Nobody at all was heard since `ago_ms`.
    pub fn deaf_for(mut self, ago_ms: u64) -> Self {
        let heard_at = UnixMillis(NOW.0 - ago_ms);
        self.ear = Ear { heard_at, steady_ms: heard_at.0, interval_ms: 0 };
        self
    }

    /// A box that never reported.
    pub fn unheard(mut self, site: &str, role: Role, id: &str) -> Self {
        self.add(site, role, id, NOW, |_, _| {});
        self.seen.pop();
        self
    }

    fn add(
        &mut self,
        site: &str,
        role: Role,
        id: &str,
        heard_at: UnixMillis,
        change: impl FnOnce(&mut ApplianceRow, &mut ApplianceReport),
    ) {
        let mut row = ApplianceRow {
            record: record(id, site, role),
            key_hash: *blake(id),
            drains: control_types::fleet::Drains::default(),
            made_at: NOW,
        };
        let mut report = report(id, 1);
        change(&mut row, &mut report);
        // In the lab control has listened since 1970.
        let now = Moment { wall: heard_at, steady_ms: heard_at.0 };
        let library = Library::default();
        let (record, settings) = (&row.record, &self.settings);
        let yardstick = Yardstick { library: &library, record, settings, now };
        let Folded::Heard { seen, .. } = fold(None, report, &yardstick) else {
            panic!("a first report is never stale")
        };
        self.seen.push((row.record.id.clone(), *seen));
        self.rows.push(row);
    }

    pub fn fleet(self) -> Fleet {
        self.fleet_at(NOW)
    }

    pub fn fleet_at(self, now: UnixMillis) -> Fleet {
        let registry = Arc::new(Registry::of(self.sites, self.rows, Vec::new()));
        for (id, seen) in self.seen {
            let number = registry.index.number_of(&id).unwrap();
            registry.index.boxes[number as usize].cell.seen.store(Some(Arc::new(seen)));
        }
        let parts = Parts {
            registry: &registry,
            library: &Arc::default(),
            routes: &RouteTable::default(),
            ear: self.ear,
            settings: &self.settings,
        };
        Fleet::compose(&parts, None, now)
    }
}

/// 32 bytes that differ from name to name.
fn blake(id: &str) -> Box<[u8; 32]> {
    let mut bytes = Box::new([0; 32]);
    for (at, byte) in id.bytes().enumerate() {
        bytes[at % 32] ^= byte;
    }
    bytes
}

pub fn title() -> TitleId {
    "night".parse().unwrap()
}

/// Asks for the title from `ip` and hands the decision over.
pub fn asked<T>(
    fleet: &Fleet,
    ip: &str,
    look: impl FnOnce(&Decision<'_>, &Question<'_>) -> T,
) -> T {
    let (title, objects) = (title(), wanted());
    let question = Question::new(ip.parse().unwrap(), &title, &objects);
    look(&decide(fleet, &question, &Policy::default()), &question)
}

/// The ranked list from `ip` as `id:reason` words.
pub fn list(fleet: &Fleet, ip: &str) -> Vec<String> {
    asked(fleet, ip, |decision, _| {
        let places = decision.ranked().into_iter();
        places.map(|place| format!("{}:{}", place.appliance, place.reason)).collect()
    })
}

/// The verdict on one appliance: reason, and the rule in words.
pub fn verdict(fleet: &Fleet, ip: &str, id: &str) -> (String, String) {
    asked(fleet, ip, |decision, question| {
        let explained = decision.explanation(question);
        let found = explained.candidates.into_iter().find(|one| one.appliance.as_str() == id);
        let found = found.expect("every appliance has a verdict");
        (found.reason, found.because)
    })
}
