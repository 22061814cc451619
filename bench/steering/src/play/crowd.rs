//! Everybody the press of play needs: a fleet that reports, titles, members who signed in. All come
//! in through the API, as in life.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use control_types::ObjectId;
use control_types::catalog::{Rendition, Segment, TitleRecord, Track};
use control_types::content::{HeldDigest, HeldKeys, held_key};
use control_types::fleet::{
    ApplianceDetail, ApplianceRecord, DiskClass, HeldUpdate, Link, ReportDetail, Role, Site,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::Control;
use super::wire::{Caller, Wire};
use crate::network::{object, report};

const SITES: usize = 16;
/// Four edges a site, two tiers and two origins at the last.
pub const APPLIANCES: usize = SITES * 4 + 4;
const TITLES: u32 = 300;
const ACCOUNTS: usize = 300;
/// Rungs of video and tracks of sound; two objects each.
const RENDITIONS: u32 = 8;
const REPORT_MS: u64 = 2_000;
/// Where a machine stands that is no member.
const NOBODYS_ADDRESS: &str = "127.0.0.1";

/// A signed-in member.
pub struct Member {
    pub token: String,
    pub profile: String,
}

impl Member {
    /// Some address inside one of the sites' networks, another one with each press.
    pub fn address(&self, number: u64) -> String {
        let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let site = 16 + (number % SITES as u64) as u8;
        let rest = (number >> 8) as u16;
        let [high, low] = rest.to_be_bytes();
        Ipv4Addr::new(site, 0, high, low).to_string()
    }
}

/// What the tasks of a load share.
pub struct Shared {
    pub wire: Wire,
    members: Arc<Vec<Member>>,
    /// Bodies of presses, by member and title.
    bodies: Vec<Vec<u8>>,
}

impl Shared {
    pub fn member(&self, number: u64) -> &Member {
        &self.members[number as usize % self.members.len()]
    }

    pub fn body(&self, number: u64) -> &[u8] {
        &self.bodies[number as usize % self.bodies.len()]
    }
}

pub struct Crowd {
    pub runtime: Runtime,
    pub pid: u32,
    pub members: Arc<Vec<Member>>,
    pub titles: Vec<TitleRecord>,
    shared: Arc<Shared>,
    fleet: tokio::task::JoinHandle<()>,
}

impl Crowd {
    /// Comes in through the API of `control`.
    pub fn of(control: &Control, seed: u64) -> Result<Self, String> {
        // One thread: what the load itself takes of the machine stays below one core.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let wire = Arc::new(Wire::to(control.addr));
        let titles: Vec<TitleRecord> = (0..TITLES).map(title).collect();
        let operator = control.operator_key.clone();
        let keys = runtime.block_on(register(&wire, &operator, &titles))?;
        let fleet = runtime.spawn(report_on(Arc::clone(&wire), keys, held(&titles)));
        let members = Arc::new(runtime.block_on(sign_up(&wire))?);
        let mut random = fastrand::Rng::with_seed(seed);
        // A multiple of the members, so that the body's profile is the member's.
        let bodies = (0..ACCOUNTS * 16).map(|number| {
            let profile = &members[number % members.len()].profile;
            let title = random.u32(0..TITLES);
            json!({"profile": profile, "title": format!("title-{title}")}).to_string().into_bytes()
        });
        let wire = Wire::to(control.addr);
        let shared =
            Arc::new(Shared { wire, members: Arc::clone(&members), bodies: bodies.collect() });
        Ok(Self { runtime, pid: control.pid(), members, titles, shared, fleet })
    }

    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Stops the fleet's reports.
    pub fn leave(&self) {
        self.fleet.abort();
    }
}

async fn order(
    wire: &Wire,
    method: &str,
    path: &str,
    key: &str,
    body: Value,
) -> Result<Value, String> {
    let caller = Caller { bearer: key, from: NOBODYS_ADDRESS };
    let answer = wire.call(method, path, caller, body.to_string().as_bytes()).await?;
    if answer.status >= 300 {
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        return Err(format!("{method} {path}: {} {text}", answer.status));
    }
    Ok(answer.json())
}

/// Sites, appliances, titles; answers every appliance with its key.
async fn register(
    wire: &Wire,
    operator: &str,
    titles: &[TitleRecord],
) -> Result<Vec<(ApplianceRecord, String)>, String> {
    let as_json = |error: serde_json::Error| error.to_string();
    for number in 0..SITES {
        let site = Site {
            id: format!("site-{number}").parse().map_err(|_| "a slug")?,
            isp: "isp".parse().map_err(|_| "a slug")?,
            name: format!("Site {number}"),
            latitude: number as f64,
            longitude: number as f64 * 2.0,
            prefixes: vec![format!("{}.0.0.0/8", 16 + number)],
            fails_as_one: false,
        };
        let body = serde_json::to_value(&site).map_err(as_json)?;
        order(wire, "PUT", &format!("/v1/operator/sites/{}", site.id), operator, body).await?;
    }
    let mut keys = Vec::new();
    for number in 0..APPLIANCES {
        let role = match number.checked_sub(SITES * 4) {
            None => Role::Edge,
            Some(0 | 1) => Role::Tier,
            Some(_) => Role::Origin,
        };
        let record = ApplianceRecord {
            id: format!("box-{number}").parse().map_err(|_| "a slug")?,
            site: format!("site-{}", number % SITES).parse().map_err(|_| "a slug")?,
            role,
            link: Link::Embedded,
            capacity_bps: 40_000_000_000,
            detail: ApplianceDetail::default(),
        };
        let body = serde_json::to_value(&record).map_err(as_json)?;
        let path = format!("/v1/operator/appliances/{}", record.id);
        let made = order(wire, "PUT", &path, operator, body).await?;
        keys.push((record, made["key"].as_str().unwrap_or_default().to_owned()));
    }
    for title in titles {
        let body = serde_json::to_value(title).map_err(as_json)?;
        order(wire, "PUT", &format!("/v1/operator/titles/{}", title.id), operator, body).await?;
    }
    Ok(keys)
}

/// Every appliance reports every two seconds, spread over them; the first report tells all it
/// holds.
async fn report_on(wire: Arc<Wire>, keys: Vec<(ApplianceRecord, String)>, held: HeldUpdate) {
    let digest = HeldDigest::of(&held.added).to_string();
    let mut tasks = JoinSet::new();
    for (number, (record, key)) in keys.into_iter().enumerate() {
        let (wire, held, digest) = (Arc::clone(&wire), held.clone(), digest.clone());
        tasks.spawn(async move {
            let every = Duration::from_millis(REPORT_MS);
            let mut due = tokio::time::Instant::now();
            let mut held = Some(held);
            for sequence in 1.. {
                let mut body = report(&record, sequence, 4_000_000_000 + number as u64);
                body.content_digest.clone_from(&digest);
                body.more = ReportDetail {
                    held: held.take(),
                    next_report_ms: REPORT_MS * 11 / 10,
                    ..ReportDetail::default()
                };
                let body = serde_json::to_value(&body).unwrap_or_default();
                let said = order(&wire, "POST", "/v1/appliance/report", &key, body).await;
                if let Err(why) = said
                    && sequence == 1
                {
                    eprintln!("play: {}: {why}", record.id);
                }
                due += every;
                tokio::time::sleep_until(due).await;
            }
        });
        tokio::time::sleep(Duration::from_millis(REPORT_MS / APPLIANCES as u64)).await;
    }
    while tasks.join_next().await.is_some() {}
}

fn held(titles: &[TitleRecord]) -> HeldUpdate {
    let objects = titles.iter().flat_map(|title| &title.renditions);
    let objects = objects.flat_map(|rendition| [rendition.media, rendition.playlist]);
    let added: HeldKeys = objects.map(|object| held_key(&object, DiskClass::Ssd)).collect();
    let count = added.len() as u64;
    let removed = HeldKeys::default();
    HeldUpdate { base: String::new(), added, removed, objects: count, bytes: count << 30 }
}

/// Accounts on the largest plan, so that four presses of one account may overlap.
async fn sign_up(wire: &Arc<Wire>) -> Result<Vec<Member>, String> {
    let mut members = Vec::new();
    for number in 0..ACCOUNTS {
        let from = Ipv4Addr::new(16, 200, (number / 250) as u8, (number % 250) as u8).to_string();
        let caller = Caller { bearer: "none", from: &from };
        let body = json!({"email": format!("member-{number}@example.net"),
            "password": "a long enough pass phrase", "profile_name": "Ada"});
        let made = wire.call("POST", "/v1/accounts", caller, body.to_string().as_bytes()).await?;
        let session = made.json();
        let token = session["access_token"].as_str();
        let profile = session["account"]["profiles"][0]["id"].as_str();
        let (Some(token), Some(profile)) = (token, profile) else {
            return Err(format!("sign-up: {} {session}", made.status));
        };
        order(wire, "PUT", "/v1/account/plan", token, json!({"plan": "premium"})).await?;
        members.push(Member { token: token.to_owned(), profile: profile.to_owned() });
    }
    Ok(members)
}

fn title(number: u32) -> TitleRecord {
    let name = |at: u32| -> ObjectId { object(number * RENDITIONS * 2 + at) };
    let rendition = |at: u32| {
        let height = 2160 / (at + 1);
        let track = match at {
            0..6 => Track::Video { width: height * 16 / 9, height, frames_per_kilosecond: 24_000 },
            _ => Track::Audio {
                language: if at == 6 { "en" } else { "de" }.to_owned(),
                channels: 2,
                sample_rate: 48_000,
            },
        };
        Rendition {
            media: name(at * 2),
            media_bytes: 1_000_000,
            playlist: name(at * 2 + 1),
            playlist_bytes: 500,
            codecs: if at < 6 { "avc1.4d401f" } else { "mp4a.40.2" }.to_owned(),
            track,
            peak_bps: 4_000_000,
            average_bps: 2_000_000,
            init_bytes: 800,
            index_start: 800,
            index_end: 932,
            segments: vec![Segment { start: 932, bytes: 999_068, duration_ms: 4_000 }],
        }
    };
    TitleRecord {
        id: format!("title-{number}").parse().expect("digits and letters are a slug"),
        name: format!("Title {number}"),
        synopsis: String::new(),
        year: 2026,
        genres: Vec::new(),
        people: Vec::new(),
        credit: String::new(),
        regions: Vec::new(),
        duration_ms: 4_000,
        artwork: Vec::new(),
        renditions: (0..RENDITIONS).map(rendition).collect(),
    }
}
