//! Routes: a million prefixes loaded, looked up, changed at 10,000 a second, and held in memory.
//! The session is bytes of BMP, decoded and applied as control does; only the socket is missing.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use control_routes::{BmpStream, IspNetworks, RibSettings, RouterPlace, RouterSession, Routes};
use control_types::UnixMillis;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::{Value, json};

/// Sites that the prefixes are announced to, one router each.
const SITES: u32 = 500;
/// How often control publishes, milliseconds: `ROUTES_PUBLISH_EVERY_MS`.
const PUBLISH_EVERY: Duration = Duration::from_millis(200);
const UPDATES_PER_SECOND: u32 = 10_000;
const LOOKUPS: u32 = 2_000_000;

/// One site's router.
struct Router {
    session: RouterSession,
    stream: BmpStream,
}

pub fn routes(prefixes: u32, seed: u64) -> Result<Value, String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let routes = Routes::new(RibSettings::default());
    register(&routes)?;
    let mut routers: Vec<Router> = (0..SITES).map(router).collect::<Result<_, _>>()?;
    let nets: Vec<IpNet> = (0..prefixes).map(|at| net(at, &mut random)).collect();

    let resident_before = resident();
    let begun = Instant::now();
    for (at, net) in nets.iter().enumerate() {
        let router = &mut routers[at % SITES as usize];
        say(&routes, router, &update(net, &mut random))?;
    }
    routes.publish();
    let load = begun.elapsed();
    let held = resident().saturating_sub(resident_before);

    let lookups = lookups(&routes, &nets, &mut random);
    let visible = visible(&routes, &mut routers, &nets, &mut random)?;
    let changes = changes(&routes, &mut routers, &nets, &mut random)?;
    let counts = routes.with(|rib| rib.counts());
    Ok(json!({
        "prefixes": routes.table().len(),
        "refused": counts.refused,
        "load_s": seconds(load),
        "load_per_s": (f64::from(prefixes) / load.as_secs_f64()).round(),
        "memory_bytes": held,
        "memory_bytes_per_prefix": held / u64::from(prefixes.max(1)),
        "lookup": lookups,
        "updates_per_s_unpaced": changes,
        "visible": visible,
    }))
}

fn register(routes: &Routes) -> Result<(), String> {
    // All of unicast that is no special range, for one ISP.
    let v4 = (1..=223u8).filter(|octet| ![10, 127].contains(octet));
    let mut networks: Vec<IpNet> =
        v4.map(|octet| IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(octet, 0, 0, 0), 8))).collect();
    networks.push("2a00::/16".parse().map_err(|error| format!("{error}"))?);
    let isp = "tejo".parse().map_err(|error| format!("{error}"))?;
    let registration = IspNetworks { isp, asns: vec![65_001], networks };
    routes.put_isp(&registration).map_err(|error| error.to_string())
}

fn router(at: u32) -> Result<Router, String> {
    let place = RouterPlace {
        name: format!("router {at}"),
        site: format!("site-{at}").parse().map_err(|error| format!("{error}"))?,
        isp: "tejo".parse().map_err(|error| format!("{error}"))?,
        appliance: None,
        appliances: Vec::new(),
        view: None,
    };
    Ok(Router { session: RouterSession::new(place), stream: BmpStream::new() })
}

/// As the Internet's table in shape: three quarters IPv4, most of them /24, none twice.
fn net(at: u32, random: &mut fastrand::Rng) -> IpNet {
    if at % 4 == 3 {
        let bits = (0x2a00_u128 << 112) | (u128::from(at) << 80);
        let len = [48, 48, 48, 44, 40][random.usize(..5)];
        return IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(bits), len)).trunc();
    }
    // An odd factor spreads the blocks and maps no two onto one.
    let block = (at.wrapping_mul(0x9e37) + 0x0b_0000) % 0xdf_0000;
    let len = if random.u8(..10) < 6 { 24 } else { random.u8(17..24) };
    let address = Ipv4Addr::from(block << 8);
    let [octet, ..] = address.octets();
    let address = match octet {
        0 | 10 | 127 => Ipv4Addr::from(block << 8 & 0x00ff_ffff | 0x0b00_0000),
        _ => address,
    };
    IpNet::V4(Ipv4Net::new_assert(address, len)).trunc()
}

/// A BMP message that announces one prefix.
fn update(net: &IpNet, random: &mut fastrand::Rng) -> Vec<u8> {
    let octets = match net.network() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let mut nlri = vec![net.prefix_len()];
    nlri.extend_from_slice(&octets[..usize::from(net.prefix_len().div_ceil(8))]);
    let hops = random.u8(1..6);
    let mut attributes = vec![0x40, 1, 1, 0, 0x40, 2, 2 + 4 * hops, 2, hops];
    for hop in 0..u32::from(hops) {
        attributes.extend_from_slice(&(65_001 + hop).to_be_bytes());
    }
    attributes.extend_from_slice(&[0x80, 4, 4, 0, 0, 0, random.u8(..) & 3]);
    if matches!(net, IpNet::V4(_)) {
        attributes.extend_from_slice(&[0x40, 3, 4, 192, 0, 2, 1]);
    } else {
        // The length of these is far below 256.
        let length = (5 + 16 + nlri.len()) as u8;
        attributes.extend_from_slice(&[0x80, 14, length, 0, 2, 1, 16]);
        attributes.extend_from_slice(&[0x2a; 16]);
        attributes.push(0);
        attributes.append(&mut nlri);
    }
    // All of these are far below 65,536.
    let bgp_bytes = (19 + 4 + attributes.len() + nlri.len()) as u16;
    let mut message = vec![3];
    message.extend_from_slice(&(6 + 42 + u32::from(bgp_bytes)).to_be_bytes());
    message.extend_from_slice(&[0, 0, 0]);
    message.extend_from_slice(&[0; 20]);
    message.extend_from_slice(&[192, 0, 2, 1]);
    message.extend_from_slice(&65_001u32.to_be_bytes());
    message.extend_from_slice(&[0; 12]);
    message.extend_from_slice(&[0xff; 16]);
    message.extend_from_slice(&bgp_bytes.to_be_bytes());
    message.extend_from_slice(&[2, 0, 0]);
    message.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    message.append(&mut attributes);
    message.append(&mut nlri);
    message
}

fn say(routes: &Routes, router: &mut Router, bytes: &[u8]) -> Result<(), String> {
    router.stream.push(bytes);
    while let Some(message) = router.stream.next_message().map_err(|error| error.to_string())? {
        routes
            .with(|rib| router.session.apply(rib, &message, UnixMillis(0)))
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Random members, each inside some announced prefix; the whole list of covers is walked.
fn lookups(routes: &Routes, nets: &[IpNet], random: &mut fastrand::Rng) -> Value {
    let addresses: Vec<IpAddr> =
        (0..LOOKUPS).map(|_| nets[random.usize(..nets.len())].network()).collect();
    let table = routes.table();
    let mut choices = 0usize;
    let walked = chunks(&addresses, |address| {
        let covers = table.lookup(address);
        choices += black_box(&covers).iter().map(|cover| cover.choices.len()).sum::<usize>();
    });
    let mut each: Vec<u64> = addresses
        .iter()
        .take(200_000)
        .map(|address| {
            let begun = Instant::now();
            black_box(table.lookup(*address).longest());
            u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
        })
        .collect();
    each.sort_unstable();
    let found = chunks(&addresses, |address| {
        black_box(table.lookup(address));
    });
    let choices = choices as f64 / f64::from(LOOKUPS);
    json!({
        "median_ns": percentile(&found, 50),
        "best_ns": percentile(&found, 0),
        "with_all_choices_median_ns": percentile(&walked, 50),
        "one_with_clock_p99_ns": percentile(&each, 99),
        "choices_mean": choices,
    })
}

/// Nanoseconds of one lookup, as means of 10,000 in a row, sorted: a moment in which the machine
/// did something else is one bad mean, not a bad figure.
fn chunks(addresses: &[IpAddr], mut each: impl FnMut(IpAddr)) -> Vec<u64> {
    let mut means: Vec<u64> = addresses
        .chunks(10_000)
        .map(|chunk| {
            let begun = Instant::now();
            chunk.iter().for_each(|address| each(*address));
            let taken = begun.elapsed().as_nanos() as u64;
            taken / chunk.len() as u64
        })
        .collect();
    means.sort_unstable();
    means
}

/// Changes as they come at 10,000 a second, published every 200 ms as control does: how long from
/// a message's arrival until a snapshot has it.
fn visible(
    routes: &Routes,
    routers: &mut [Router],
    nets: &[IpNet],
    random: &mut fastrand::Rng,
) -> Result<Value, String> {
    let seconds_run = 5;
    let total = UPDATES_PER_SECOND * seconds_run;
    let begun = Instant::now();
    let (mut waiting, mut lags) = (Vec::new(), Vec::new());
    let (mut published, mut busy) = (Instant::now(), Duration::ZERO);
    for at in 0..total {
        let due = begun + Duration::from_secs(1) * at / UPDATES_PER_SECOND;
        while Instant::now() < due {
            std::thread::yield_now();
        }
        let arrived = Instant::now();
        let which = random.usize(..nets.len());
        let router = &mut routers[which % SITES as usize];
        say(routes, router, &update(&nets[which], random))?;
        waiting.push(arrived);
        busy += arrived.elapsed();
        if published.elapsed() >= PUBLISH_EVERY {
            let publishing = Instant::now();
            routes.publish();
            busy += publishing.elapsed();
            published = Instant::now();
            let lag = |arrived: Instant| arrived.elapsed().as_micros() as u64;
            lags.extend(waiting.drain(..).map(lag));
        }
    }
    lags.sort_unstable();
    Ok(json!({
        "updates_per_s": UPDATES_PER_SECOND,
        "p50_ms": percentile(&lags, 50) / 1_000,
        "p99_ms": percentile(&lags, 99) / 1_000,
        "max_ms": lags.last().copied().unwrap_or(0) / 1_000,
        "core_share": busy.as_secs_f64() / f64::from(seconds_run),
    }))
}

/// The same without a pace: what one core can take, publishing included.
fn changes(
    routes: &Routes,
    routers: &mut [Router],
    nets: &[IpNet],
    random: &mut fastrand::Rng,
) -> Result<f64, String> {
    let total = 500_000u32;
    let begun = Instant::now();
    let mut published = Instant::now();
    for _ in 0..total {
        let which = random.usize(..nets.len());
        let router = &mut routers[which % SITES as usize];
        say(routes, router, &update(&nets[which], random))?;
        if published.elapsed() >= PUBLISH_EVERY {
            routes.publish();
            published = Instant::now();
        }
    }
    routes.publish();
    Ok((f64::from(total) / begun.elapsed().as_secs_f64()).round())
}

fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(0)
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000.0).round() / 1_000.0
}

/// Resident memory of this process, bytes; 0 where /proc does not say.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}
