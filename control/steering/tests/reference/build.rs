//! Random worlds, and the real fleet that a world describes. Seeded; decides nothing.

use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use control_routes::{
    Feed, IspNetworks, Origin, PrefixPath, RibSettings, RouteTable, Routes, Source,
};
use control_steering::ear::{Ear, Moment};
use control_steering::fleet::{Fleet, Parts, Registry, Seen};
use control_steering::health::{Folded, Yardstick, fold};
use control_steering::library::{Library, LibraryObject, LibraryTitle};
use control_steering::{Question, Settings};
use control_store::ledger::ApplianceRow;
use control_types::fleet::{
    ApplianceDetail, ApplianceRecord, ApplianceReport, DiskClass, Health, HeldObject, Link,
    ReportDetail, Role, Site,
};
use control_types::{ObjectId, TitleId, UnixMillis};
use ipnet::IpNet;

use super::{PlainBox, PlainQuestion, PlainRoute, PlainSite, World};

pub const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
pub const TITLES: u32 = 6;
pub const OBJECTS: u32 = 5;

/// The objects of a title.
pub fn objects_of(title: u32) -> Vec<u32> {
    (title * OBJECTS..(title + 1) * OBJECTS).collect()
}

/// The name of an object.
pub fn object(number: u32) -> ObjectId {
    let mut bytes = [7; 32];
    let mixed = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bytes[..8].copy_from_slice(&mixed.to_le_bytes());
    bytes[8..12].copy_from_slice(&number.to_le_bytes());
    ObjectId(bytes)
}

/// A fleet of up to 6 sites and 30 boxes, in every state.
pub fn random_world(random: &mut fastrand::Rng) -> World {
    let mut world = World::default();
    for number in 0..random.usize(1..7) {
        world.sites.push(PlainSite {
            id: format!("s{number}"),
            place: (random.i32(-60..60).into(), random.i32(-170..170).into()),
            fails_as_one: random.usize(0..5) == 0,
        });
    }
    let busy = random.bool();
    for number in 0..random.usize(0..31) {
        let one = random_box(random, number, world.sites.len(), busy);
        world.boxes.push(one);
    }
    // Numbers are by id, as the registry's are.
    world.boxes.sort_by(|a, b| a.id.cmp(&b.id));
    let mut said: HashSet<(IpNet, usize, Option<usize>)> = HashSet::new();
    for _ in 0..random.usize(0..40) {
        let route = random_route(random, &world);
        let is_static = route.as_path_len == 0;
        if said.insert((route.prefix, route.site, route.only)) || is_static {
            world.routes.push(route);
        }
    }
    world
}

fn random_box(random: &mut fastrand::Rng, number: usize, sites: usize, busy: bool) -> PlainBox {
    let holds_all = random.usize(0..3) > 0;
    let held = |_: &u32| holds_all || random.usize(0..3) > 0;
    let holds: HashSet<u32> = (0..TITLES * OBJECTS).filter(held).collect();
    let health = match random.usize(0..16) {
        0 => Health::Silent,
        1 => Health::Sick,
        2 | 3 => Health::Draining,
        4 => Health::Unheard,
        _ => Health::Healthy,
    };
    let load = if busy { random.u64(0..1_100) } else { random.u64(0..60) };
    PlainBox {
        id: format!("x{number}"),
        site: random.usize(0..sites),
        role: [Role::Edge, Role::Edge, Role::Edge, Role::Edge, Role::Tier, Role::Origin]
            [random.usize(0..6)],
        link: [Link::Embedded, Link::Embedded, Link::PrivatePeering, Link::Transit]
            [random.usize(0..4)],
        domain: (random.usize(0..3) == 0).then(|| format!("rack{}", random.usize(0..2))),
        capacity_mbps: [1_000, 10_000, 40_000][random.usize(0..3)],
        load_per_mille: load,
        health,
        is_late: random.usize(0..12) == 0,
        is_shunned: random.usize(0..12) == 0,
        drained_for_ms: (random.usize(0..2) == 0).then(|| random.u64(0..40_000)),
        holds: if random.usize(0..8) == 0 { HashSet::new() } else { holds },
    }
}

fn random_route(random: &mut fastrand::Rng, world: &World) -> PlainRoute {
    let site = random.usize(0..world.sites.len());
    let v6 = random.usize(0..5) == 0;
    let text = if v6 {
        format!("2001:db8:{:x}::/{}", random.u8(0..4), [32, 40, 48][random.usize(0..3)])
    } else {
        let bits = [8, 12, 16, 20, 24, 28, 32][random.usize(0..7)];
        format!("10.{}.{}.{}/{bits}", random.u8(0..3), random.u8(0..2) * 16, random.u8(0..2))
    };
    let prefix: IpNet = text.parse::<IpNet>().unwrap().trunc();
    let members: Vec<usize> =
        (0..world.boxes.len()).filter(|at| world.boxes[*at].site == site).collect();
    let is_static = random.bool();
    PlainRoute {
        prefix,
        site,
        only: if is_static || members.is_empty() || random.bool() {
            None
        } else {
            Some(members[random.usize(0..members.len())])
        },
        as_path_len: if is_static { 0 } else { random.u16(1..4) },
        origin: if is_static { 0 } else { random.u8(0..3) },
        med: if is_static { 0 } else { random.u32(0..3) },
    }
}

/// A question that a world may be asked.
pub fn random_question(random: &mut fastrand::Rng, world: &World) -> PlainQuestion {
    let title = random.u32(0..TITLES);
    let mut objects = objects_of(title);
    objects.truncate(random.usize(1..=objects.len()));
    let ip: IpAddr = match random.usize(0..6) {
        0 => format!("2001:db8:{:x}::{:x}", random.u8(0..4), random.u8(..)).parse().unwrap(),
        1 => Ipv4Addr::new(192, 0, 2, random.u8(..)).into(),
        _ => Ipv4Addr::new(10, random.u8(0..3), random.u8(0..2) * 16, random.u8(0..2)).into(),
    };
    PlainQuestion {
        ip,
        title: format!("title-{title}"),
        objects,
        session: random.u64(..),
        current: (random.bool() && !world.boxes.is_empty())
            .then(|| random.usize(0..world.boxes.len())),
    }
}

/// The same question as the crate asks it.
pub fn asked<T>(world: &World, plain: &PlainQuestion, ask: impl FnOnce(&Question<'_>) -> T) -> T {
    let title: TitleId = plain.title.parse().unwrap();
    let objects: Vec<ObjectId> = plain.objects.iter().map(|number| object(*number)).collect();
    let current = plain.current.map(|at| world.boxes[at].id.parse().unwrap());
    ask(&Question::new(plain.ip, &title, &objects).of_session(plain.session, current.as_ref()))
}

/// The fleet that a world describes.
pub fn fleet(world: &World) -> Fleet {
    let sites = world.sites.iter().enumerate().map(|(number, site)| {
        let own = world.routes.iter().filter(|one| one.site == number && one.as_path_len == 0);
        let prefixes: BTreeSet<String> = own.map(|route| route.prefix.to_string()).collect();
        Site {
            id: site.id.parse().unwrap(),
            isp: "isp".parse().unwrap(),
            name: site.id.clone(),
            latitude: site.place.0,
            longitude: site.place.1,
            prefixes: prefixes.into_iter().collect(),
            fails_as_one: site.fails_as_one,
        }
    });
    let rows = world.boxes.iter().enumerate().map(|(number, one)| row(world, number, one));
    let registry = Arc::new(Registry::of(sites.collect(), rows.collect(), Vec::new()));
    let titles: Vec<LibraryTitle> = (0..TITLES - 1)
        .map(|title| LibraryTitle {
            title: format!("title-{title}").parse().unwrap(),
            optional: 0,
            objects: objects_of(title)
                .into_iter()
                .map(|number| LibraryObject { object: object(number), bytes: 100 })
                .collect(),
        })
        .collect();
    // The last title is one that nobody told steering of.
    let library = Arc::new(Library::default().learned(&titles).0);
    let settings = Settings::default();
    for one in &world.boxes {
        let number = registry.index.number_of(&one.id.parse().unwrap()).unwrap();
        let record = &registry.appliances[&one.id.parse().unwrap()].record;
        let seen = seen(one, record, &library, &settings);
        registry.index.boxes[number as usize].cell.seen.store(Some(Arc::new(seen)));
    }
    let routes = table(world);
    let ear = Ear { heard_at: NOW, steady_ms: NOW.0, interval_ms: 0 };
    let parts =
        Parts { registry: &registry, library: &library, routes: &routes, ear, settings: &settings };
    let mut fleet = Fleet::compose(&parts, None, NOW);
    for one in &world.boxes {
        let number = registry.index.number_of(&one.id.parse().unwrap()).unwrap();
        let state = &mut fleet.states[number as usize];
        (state.health, state.is_late, state.is_shunned) = (one.health, one.is_late, one.is_shunned);
        let since = one.drained_for_ms.map_or(0, |ms| NOW.0 - ms);
        state.drains_since = UnixMillis(since);
    }
    fleet.warm();
    fleet
}

fn row(world: &World, number: usize, one: &PlainBox) -> ApplianceRow {
    let mut key_hash = [0; 32];
    key_hash[..8].copy_from_slice(&number.to_le_bytes());
    ApplianceRow {
        record: ApplianceRecord {
            id: one.id.parse().unwrap(),
            site: world.sites[one.site].id.parse().unwrap(),
            role: one.role,
            link: one.link,
            capacity_bps: one.capacity_mbps * 1_000_000,
            detail: ApplianceDetail { failure_domain: one.domain.clone(), ..Default::default() },
        },
        key_hash,
        drains: control_types::fleet::Drains::default(),
        made_at: NOW,
    }
}

fn seen(one: &PlainBox, record: &ApplianceRecord, library: &Library, settings: &Settings) -> Seen {
    let held = |number: &u32| {
        let class = if number.is_multiple_of(3) { DiskClass::Hdd } else { DiskClass::Ssd };
        HeldObject { object: object(*number), bytes: 100, class }
    };
    let report = ApplianceReport {
        appliance: record.id.clone(),
        media_url: format!("https://{}.example", record.id),
        sequence: 1,
        run: uuid::Uuid::from_u128(1),
        draining: false,
        connections: 0,
        sent_bytes_total: 0,
        // Rounded up, so that the share comes out as it went in.
        sending_bps: one.load_per_mille * one.capacity_mbps * 1_000,
        requests_total: 0,
        errors_total: 0,
        volumes: Vec::new(),
        content_digest: "all".to_owned(),
        content: Some(one.holds.iter().map(held).collect()),
        quarantined: Vec::new(),
        more: ReportDetail::default(),
    };
    let now = Moment { wall: NOW, steady_ms: NOW.0 };
    let Folded::Heard { seen, .. } =
        fold(None, report, &Yardstick { library, record, settings, now })
    else {
        panic!("a first report is never stale")
    };
    *seen
}

/// The announcements that are not of sites' own records.
pub fn table(world: &World) -> RouteTable {
    let routes = Routes::new(RibSettings { stale_ms: 1_000 });
    let isp: control_types::IspId = "isp".parse().unwrap();
    let networks = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().unwrap()).to_vec();
    routes.put_isp(&IspNetworks { isp: isp.clone(), asns: Vec::new(), networks }).unwrap();
    for (number, route) in world.routes.iter().enumerate() {
        if route.as_path_len == 0 {
            continue;
        }
        let feed = Feed {
            name: format!("router-{number}"),
            peer: "192.0.2.1".to_owned(),
            peer_as: 65_001,
            site: world.sites[route.site].id.parse().unwrap(),
            appliance: route.only.map(|only| world.boxes[only].id.parse().unwrap()),
            isp: isp.clone(),
            source: Source::Bmp,
        };
        let origin = [Origin::Igp, Origin::Egp, Origin::Incomplete][usize::from(route.origin)];
        let path = PrefixPath {
            as_path_len: route.as_path_len,
            first_as: 65_001,
            origin,
            med: route.med,
            ..PrefixPath::own(route.prefix)
        };
        routes.with(|rib| {
            let peer = rib.up(&feed, NOW).unwrap();
            rib.announce(peer, &path);
        });
    }
    routes.publish();
    RouteTable::clone(&routes.table())
}
