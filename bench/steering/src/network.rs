//! A network of full size: sites of eight boxes, a prefix table as long as the Internet's, and a
//! catalog of which every box holds its own part. Seeded.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use control_routes::{Feed, IspNetworks, PrefixPath, RibSettings, RouteTable, Routes, Source};
use control_steering::Settings;
use control_steering::ear::Ear;
use control_steering::fleet::{Fleet, Parts, Registry, Seen};
use control_steering::health::{Folded, Yardstick, fold};
use control_steering::held::Held;
use control_steering::library::{Library, LibraryObject, LibraryTitle};
use control_store::ledger::ApplianceRow;
use control_types::content::{HeldKeys, held_key};
use control_types::fleet::{
    ApplianceDetail, ApplianceRecord, ApplianceReport, DiskClass, HeldUpdate, Link, ReportDetail,
    Role, Site,
};
use control_types::{IspId, ObjectId, TitleId, UnixMillis};
use ipnet::{IpNet, Ipv4Net};

use crate::Line;

pub const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
/// Boxes of one site.
const BOXES_PER_SITE: usize = 8;
/// Renditions' media and playlists of one title.
const OBJECTS_PER_TITLE: u32 = 16;
/// Different content sets; boxes share them in turn, each with memory of its own.
const SETS: usize = 100;
/// Networks of one ISP side by side: a /16.
const BLOCK: u32 = 256;
/// Share of titles on an edge, per cent.
const HELD_PERCENT: u32 = 30;

/// How much of everything.
pub struct Size {
    pub appliances: usize,
    pub prefixes: u32,
    pub titles: u32,
    /// Sites are dealt out to as many, and blocks of 256 networks.
    pub isps: usize,
}

impl Size {
    pub fn of(line: &Line) -> Self {
        let Line { appliances, prefixes, titles, .. } = *line;
        Self { appliances, prefixes, titles, isps: 1 }
    }
}

/// A fleet of that size, and what may be asked of it.
pub struct Network {
    pub fleet: Fleet,
    titles: Vec<(TitleId, Vec<ObjectId>)>,
    prefixes: u32,
    /// Cumulated weights of titles, Zipf with exponent 1.
    zipf: Vec<f64>,
}

impl Network {
    /// Takes about a minute at full size.
    pub fn build(size: &Size, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let titles: Vec<(TitleId, Vec<ObjectId>)> = (0..size.titles).map(title).collect();
        let library = library(&titles);
        let registry = Arc::new(registry(size, &mut random));
        let sets: Vec<Held> =
            (0..SETS).map(|_| held(&titles, HELD_PERCENT, &library, &mut random)).collect();
        let whole = held(&titles, 100, &library, &mut random);
        let settings = Settings::default();
        for (number, one) in registry.index.boxes.iter().enumerate() {
            let record = &registry.appliances[&one.id].record;
            let set = if one.role == Role::Edge { &sets[number % SETS] } else { &whole };
            let load = random.u64(0..record.capacity_bps * 6 / 10);
            let seen = seen(record, load, set.clone(), &library, &settings);
            one.cell.seen.store(Some(Arc::new(seen)));
        }
        let routes = table(size, &mut random);
        let ear = Ear { heard_at: NOW, steady_ms: NOW.0, interval_ms: 10_000 };
        let parts = Parts {
            registry: &registry,
            library: &library,
            routes: &routes,
            ear,
            settings: &settings,
        };
        let fleet = Fleet::compose(&parts, None, NOW);
        let mut sum = 0.0;
        let zipf = (1..=size.titles)
            .map(|rank| {
                sum += 1.0 / f64::from(rank);
                sum
            })
            .collect();
        Self { fleet, titles, prefixes: size.prefixes, zipf }
    }

    /// A member somewhere, a title by its popularity, a session.
    pub fn question(&self, random: &mut fastrand::Rng) -> (IpAddr, usize, u64) {
        let address = network_of(random.u32(0..self.prefixes)) | random.u32(0..256);
        let ip = IpAddr::V4(Ipv4Addr::from(address));
        let most = self.zipf.last().copied().unwrap_or(1.0);
        let place = random.f64() * most;
        let title = self.zipf.partition_point(|sum| *sum < place).min(self.titles.len() - 1);
        (ip, title, random.u64(..))
    }

    pub fn title(&self, number: usize) -> (&TitleId, &[ObjectId]) {
        let (id, objects) = &self.titles[number];
        (id, objects)
    }
}

/// The ISP that has the `number`th site, or the `number`th block.
pub fn isp(number: usize, isps: usize) -> IspId {
    format!("isp-{}", number % isps).parse().expect("digits and letters are a slug")
}

/// Any site of the ISP that has the `number`th network.
fn site_for(number: u32, sites: usize, isps: usize, random: &mut fastrand::Rng) -> usize {
    let isp = (number / BLOCK) as usize % isps;
    isp + isps * random.usize(0..(sites - isp).div_ceil(isps))
}

/// The `number`th /24, from 16.0.0.0 on, in an order that leaves no two of one site side by side.
fn network_of(number: u32) -> u32 {
    (16 << 24) + (number << 8)
}

fn title(number: u32) -> (TitleId, Vec<ObjectId>) {
    let id = format!("title-{number}").parse().expect("digits and letters are a slug");
    let objects = (0..OBJECTS_PER_TITLE).map(|at| object(number * OBJECTS_PER_TITLE + at));
    (id, objects.collect())
}

/// A name as even as a hash is.
pub fn object(number: u32) -> ObjectId {
    let mut random = fastrand::Rng::with_seed(u64::from(number) ^ 0x5eed);
    let mut bytes = [0; 32];
    random.fill(&mut bytes);
    ObjectId(bytes)
}

fn library(titles: &[(TitleId, Vec<ObjectId>)]) -> Arc<Library> {
    let titles: Vec<LibraryTitle> = titles
        .iter()
        .map(|(title, objects)| LibraryTitle {
            title: title.clone(),
            objects: objects
                .iter()
                .map(|object| LibraryObject { object: *object, bytes: 1 << 30 })
                .collect(),
            optional: 0,
        })
        .collect();
    Arc::new(Library::default().learned(&titles).0)
}

fn registry(size: &Size, random: &mut fastrand::Rng) -> Registry {
    let sites = size.appliances.div_ceil(BOXES_PER_SITE);
    let site = |number: usize| Site {
        id: format!("site-{number}").parse().expect("digits and letters are a slug"),
        isp: isp(number, size.isps),
        name: format!("Site {number}"),
        latitude: 0.0,
        longitude: 0.0,
        prefixes: Vec::new(),
        fails_as_one: false,
    };
    let rows = (0..size.appliances).map(|number| {
        let mut key_hash = [0; 32];
        key_hash[..8].copy_from_slice(&number.to_le_bytes());
        ApplianceRow { record: record(number), key_hash, drains: Default::default(), made_at: NOW }
    });
    let mut all: Vec<Site> = (0..sites).map(site).collect();
    for site in &mut all {
        site.latitude = f64::from(random.i32(-60..60));
        site.longitude = f64::from(random.i32(-170..170));
    }
    Registry::of(all, rows.collect(), Vec::new())
}

/// One in a hundred is a tier, one in a thousand an origin.
pub fn record(number: usize) -> ApplianceRecord {
    let role = match number {
        number if number % 1_000 == 999 => Role::Origin,
        number if number % 100 == 50 => Role::Tier,
        _ => Role::Edge,
    };
    ApplianceRecord {
        id: format!("box-{number}").parse().expect("digits and letters are a slug"),
        site: format!("site-{}", number / BOXES_PER_SITE).parse().expect("a slug"),
        role,
        link: Link::Embedded,
        capacity_bps: 40_000_000_000,
        detail: ApplianceDetail::default(),
    }
}

fn held(
    titles: &[(TitleId, Vec<ObjectId>)],
    percent: u32,
    library: &Library,
    random: &mut fastrand::Rng,
) -> Held {
    let keys: HeldKeys = titles
        .iter()
        .filter(|_| random.u32(0..100) < percent)
        .flat_map(|(_, objects)| objects.iter().map(|object| held_key(object, DiskClass::Ssd)))
        .collect();
    let (objects, bytes) = (keys.len() as u64, keys.len() as u64 * (1 << 30));
    let removed = HeldKeys::default();
    let update = HeldUpdate { base: String::new(), added: keys, removed, objects, bytes };
    Held::whole(&update, String::new(), library)
}

/// A report without its content.
pub fn report(record: &ApplianceRecord, sequence: u64, sending_bps: u64) -> ApplianceReport {
    let volume = |number: u32| control_types::fleet::VolumeReport {
        path: format!("/srv/ssd{number}"),
        class: DiskClass::Ssd,
        capacity_bytes: 8 << 40,
        used_bytes: 7 << 40,
        healthy: true,
    };
    ApplianceReport {
        appliance: record.id.clone(),
        media_url: format!("https://{}.example.net", record.id),
        sequence,
        run: uuid::Uuid::from_u128(1),
        draining: false,
        connections: 4_000,
        sent_bytes_total: sequence * 5_000_000_000,
        sending_bps,
        requests_total: sequence * 10_000,
        errors_total: 3,
        volumes: (0..6).map(volume).collect(),
        content_digest: String::new(),
        content: None,
        quarantined: Vec::new(),
        more: ReportDetail { next_report_ms: 11_000, ..ReportDetail::default() },
    }
}

fn seen(
    record: &ApplianceRecord,
    load: u64,
    held: Held,
    library: &Library,
    settings: &Settings,
) -> Seen {
    let now = control_steering::ear::Moment { wall: NOW, steady_ms: NOW.0 };
    let yardstick = Yardstick { library, record, settings, now };
    let Folded::Heard { seen, .. } = fold(None, report(record, 1, load), &yardstick) else {
        unreachable!("a first report is never stale")
    };
    Seen { held: Arc::new(held), ..*seen }
}

/// Each /24 announced to one site, and each eighth /20 around them to another.
fn table(size: &Size, random: &mut fastrand::Rng) -> RouteTable {
    let routes = Routes::new(RibSettings { stale_ms: 1_000 });
    for number in 0..size.isps {
        let block = |at: usize| {
            let net = Ipv4Net::new_assert(network_of(at as u32 * BLOCK).into(), 16);
            IpNet::V4(net)
        };
        let blocks = (number..size.prefixes.div_ceil(BLOCK) as usize).step_by(size.isps);
        let networks = blocks.map(block).collect();
        let known = IspNetworks { isp: isp(number, size.isps), asns: Vec::new(), networks };
        routes.put_isp(&known).expect("the networks are well-formed");
    }
    let sites = size.appliances.div_ceil(BOXES_PER_SITE);
    let wide = size.prefixes / 128;
    routes.with(|rib| {
        let peers: Vec<_> = (0..sites)
            .map(|site| {
                let feed = Feed {
                    name: format!("router-{site}"),
                    peer: "192.0.2.1".to_owned(),
                    peer_as: 65_001,
                    site: format!("site-{site}").parse().expect("a slug"),
                    appliance: None,
                    isp: isp(site, size.isps),
                    source: Source::Bmp,
                };
                rib.up(&feed, NOW).expect("there is room for these peers")
            })
            .collect();
        for number in 0..size.prefixes - wide {
            let net = Ipv4Net::new_assert(network_of(number).into(), 24);
            announce(rib, peers[site_for(number, sites, size.isps, random)], net);
        }
        for number in 0..wide {
            let number = number * 128;
            let net = Ipv4Net::new_assert(network_of(number).into(), 20).trunc();
            announce(rib, peers[site_for(number, sites, size.isps, random)], net);
        }
    });
    routes.publish();
    RouteTable::clone(&routes.table())
}

fn announce(rib: &mut control_routes::Rib, peer: control_routes::PeerKey, net: Ipv4Net) {
    let path =
        PrefixPath { as_path_len: 2, first_as: 65_001, med: 10, ..PrefixPath::own(IpNet::V4(net)) };
    rib.announce(peer, &path);
}
