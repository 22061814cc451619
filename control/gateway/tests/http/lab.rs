//! A control plane for one test: stores in a temporary directory, a free port, a small fleet.
//! Knows no assertion.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use control_accounts::Accounts;
use control_billing::Billing;
use control_catalog::Catalog;
use control_client::{ControlClient, Credential};
use control_gateway::{
    AuthorityDesk, FleetCa, Gateway, RateSettings, RouteDesk, ServedBy, Services, Settings,
    TicketDesk, router,
};
use control_history::History;
use control_recommend::Recommender;
use control_search::Search;
use control_steering::bundle::Step;
use control_steering::{BundleDesk, BundleSettings, FillDesk, Steering};
use control_store::embedded::SqliteLedger;
use control_store::{Ports, open_embedded};
use control_telemetry::{SiteDirectory, Telemetry};
use control_token::TicketSigner;
use control_types::accounts::{Session, SignUp};
use control_types::catalog::{Rendition, Segment, TitleRecord, Track};
use control_types::fleet::{
    ApplianceRecord, ApplianceReport, DiskClass, HeldObject, Link, Role, Site, TicketKeys,
    VolumeReport,
};
use control_types::play::{PlayEvent, PlayEventKind};
use control_types::{ApplianceId, ObjectId, ProfileId, SiteId, UnixMillis};
use tokio::sync::Notify;

pub const OPERATOR_KEY: &str = "nfo_operator_of_the_lab";
pub const PASSWORD: &str = "correct horse battery";
/// Reports never age within a test.
const SILENT_MS: u64 = 600_000;

struct SitesOf(Arc<Steering>);

impl SiteDirectory for SitesOf {
    fn site_of(&self, appliance: &ApplianceId) -> Option<SiteId> {
        self.0.site_of(appliance)
    }
}

/// What a test may choose.
#[derive(Default)]
pub struct Plan {
    pub rates: RateSettings,
    pub web_dir: Option<PathBuf>,
    pub refresh_grace_ms: u64,
    pub region: Option<String>,
    pub trusted_proxies: Vec<ipnet::IpNet>,
    pub require_certificate: bool,
    /// 0: an hour.
    pub certificate_ms: u64,
    pub steering_served_by: ServedBy,
    /// Set by the lab.
    pub routes_dir: PathBuf,
}

pub struct Lab {
    pub url: String,
    pub addr: SocketAddr,
    pub services: Services,
    pub ports: Ports,
    plan: Plan,
    // Dropped last: the stores are in it.
    _folder: tempfile::TempDir,
}

pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMillis(u64::try_from(since.as_millis()).unwrap())
}

impl Lab {
    pub async fn start() -> Self {
        Self::start_with(Plan::default()).await
    }

    pub async fn start_with(plan: Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan { routes_dir: folder.path().join("routes"), ..plan };
        let ports = open_embedded(folder.path()).await.unwrap();
        let signer = Arc::new(TicketSigner::generate().unwrap());
        let services = wire(&ports, &plan, signer).await;
        let addr = serve(&services, &plan).await;
        Self { url: format!("http://{addr}"), addr, services, ports, plan, _folder: folder }
    }

    /// Routes of another control process on the same ledger file; nothing is in force yet.
    pub async fn other_route_desk(&self) -> RouteDesk {
        let path = self.plan.routes_dir.with_file_name("ledger.sqlite");
        let ledger = SqliteLedger::open(&path).await.unwrap();
        RouteDesk::new(Arc::default(), Arc::new(ledger))
    }

    /// A directory that may hold files of routes.
    pub fn routes_dir(&self) -> &std::path::Path {
        &self.plan.routes_dir
    }

    /// A second control over the same stores, as after a restart: nothing is left in memory.
    pub async fn restart(&mut self) {
        let signer = self.services.tickets.signer();
        self.services = wire(&self.ports, &self.plan, signer).await;
        self.addr = serve(&self.services, &self.plan).await;
        self.url = format!("http://{}", self.addr);
    }

    /// Serves the services as a test has changed them.
    pub async fn serve_again(&mut self) {
        self.addr = serve(&self.services, &self.plan).await;
        self.url = format!("http://{}", self.addr);
    }

    pub fn nobody(&self) -> ControlClient {
        ControlClient::new(&self.url, Credential::Nobody, None).unwrap()
    }

    pub fn operator(&self) -> ControlClient {
        self.nobody().with_credential(Credential::Operator(OPERATOR_KEY.to_owned()))
    }

    /// Opens an account and speaks as its owner.
    pub async fn member(&self, email: &str) -> (ControlClient, Session, ProfileId) {
        let body = sign_up(email);
        let session = self.nobody().sign_up(&body).await.unwrap();
        let profile = session.account.profiles[0].id;
        let credential = Credential::Member(session.access_token.clone());
        (self.nobody().with_credential(credential), session, profile)
    }

    /// Makes what the background of a real control would make now; answers how many bundles.
    pub fn make_bundles(&self) -> usize {
        let (services, keys) = (&self.services, self.services.tickets.keys());
        let due = services.bundles.due(&services.steering, &keys, now());
        let made = due.iter().filter(|isp| {
            let step = services.bundles.make(&services.steering, isp, &keys, now()).unwrap();
            matches!(step, Step::Made(_))
        });
        made.count()
    }

    /// A site for loopback members with two edges, and an origin elsewhere; all hold `titles`.
    pub async fn fleet(&self, titles: &[&TitleRecord]) {
        self.site("here", "isp-a", &["127.0.0.0/8"]).await;
        self.site("far", "isp-b", &["198.51.100.0/24"]).await;
        for (id, site, role) in [
            ("edge-a1", "here", Role::Edge),
            ("edge-a2", "here", Role::Edge),
            ("origin", "far", Role::Origin),
        ] {
            self.appliance(id, site, role, titles).await;
        }
    }

    pub async fn site(&self, id: &str, isp: &str, prefixes: &[&str]) {
        let site = Site {
            id: id.parse().unwrap(),
            isp: isp.parse().unwrap(),
            name: id.to_owned(),
            latitude: 48.0,
            longitude: 11.0,
            prefixes: prefixes.iter().map(|text| (*text).to_owned()).collect(),
            fails_as_one: false,
        };
        self.operator().put_site(&site).await.unwrap();
    }

    /// Registers an appliance and reports for it; answers its own client.
    pub async fn appliance(
        &self,
        id: &str,
        site: &str,
        role: Role,
        titles: &[&TitleRecord],
    ) -> ControlClient {
        let record = ApplianceRecord {
            id: id.parse().unwrap(),
            site: site.parse().unwrap(),
            role,
            link: Link::Embedded,
            capacity_bps: 1_000_000_000,
            detail: control_types::fleet::ApplianceDetail::default(),
        };
        let key = self.operator().put_appliance(&record).await.unwrap().key.unwrap();
        let client = self.nobody().with_credential(Credential::Appliance(key));
        client.report(&report(id, titles)).await.unwrap();
        client
    }
}

pub fn sign_up(email: &str) -> SignUp {
    SignUp { email: email.into(), password: PASSWORD.into(), profile_name: "Ann".into() }
}

/// What a player tells, with nothing wrong.
pub fn event(kind: PlayEventKind, position_ms: u64, since_press_ms: u64) -> PlayEvent {
    PlayEvent {
        kind,
        position_ms,
        since_press_ms,
        appliance: None,
        height: 0,
        buffer_ms: 0,
        bytes: 0,
        stall_ms: 0,
        detail: String::new(),
        trouble: None,
        first_byte_ms: None,
    }
}

pub fn report(id: &str, titles: &[&TitleRecord]) -> ApplianceReport {
    let objects = titles.iter().flat_map(|title| &title.renditions);
    let held =
        objects.flat_map(|one| [(one.media, one.media_bytes), (one.playlist, one.playlist_bytes)]);
    let held = held.map(|(object, bytes)| HeldObject { object, bytes, class: DiskClass::Ssd });
    ApplianceReport {
        appliance: id.parse().unwrap(),
        media_url: format!("https://{id}.example:8443"),
        sequence: 1,
        run: uuid::Uuid::new_v4(),
        draining: false,
        connections: 0,
        sent_bytes_total: 0,
        sending_bps: 0,
        requests_total: 0,
        errors_total: 0,
        volumes: vec![VolumeReport {
            path: "/srv/ssd0".to_owned(),
            class: DiskClass::Ssd,
            capacity_bytes: 1 << 30,
            used_bytes: 0,
            healthy: true,
        }],
        content_digest: "all".to_owned(),
        content: Some(held.collect()),
        quarantined: vec![],
        more: control_types::fleet::ReportDetail::default(),
    }
}

/// A title of two rungs and one language; `seed` keeps its objects apart from other titles'.
pub fn title(id: &str, name: &str, seed: u8) -> TitleRecord {
    let video = |number: u8, height: u32| {
        rendition(
            seed,
            number,
            Track::Video { width: height * 16 / 9, height, frames_per_kilosecond: 24_000 },
            "avc1.4d401f",
        )
    };
    let language = Track::Audio { language: "en".to_owned(), channels: 2, sample_rate: 48_000 };
    TitleRecord {
        id: id.parse().unwrap(),
        name: name.to_owned(),
        synopsis: "A night.".to_owned(),
        year: 2026,
        genres: vec!["Drama".to_owned()],
        people: vec!["Ada Lovelace".to_owned()],
        credit: "CC BY".to_owned(),
        regions: vec![],
        duration_ms: 8_000,
        artwork: vec![],
        renditions: vec![video(1, 720), video(2, 1080), rendition(seed, 3, language, "mp4a.40.2")],
    }
}

fn rendition(seed: u8, number: u8, track: Track, codecs: &str) -> Rendition {
    let object = |kind: u8| {
        let mut bytes = [seed; 32];
        (bytes[0], bytes[1]) = (kind, number);
        ObjectId(bytes)
    };
    let segment = |start| Segment { start, bytes: 100_000 * u64::from(number), duration_ms: 4_000 };
    let (one, bytes) = (segment(1_000), 100_000 * u64::from(number));
    Rendition {
        media: object(1),
        media_bytes: 1_000 + 2 * bytes,
        playlist: object(2),
        playlist_bytes: 400,
        track,
        codecs: codecs.to_owned(),
        peak_bps: bytes * 2,
        average_bps: bytes * 2,
        init_bytes: 900,
        index_start: 900,
        index_end: 1_000,
        segments: vec![one, segment(1_000 + bytes)],
    }
}

async fn wire(ports: &Ports, plan: &Plan, signer: Arc<TicketSigner>) -> Services {
    let Ports { ledger, activity, cache, events, search, blobs, .. } = ports.clone();
    let settings = control_accounts::Settings {
        refresh_grace_ms: plan.refresh_grace_ms,
        // The cost of a hash is accounts' own test; here it would only be slow.
        hash_memory_kib: 64,
        hash_passes: 1,
        ..control_accounts::Settings::default()
    };
    let accounts = Accounts::open(ledger.clone(), cache, events.clone(), settings, now());
    let settings = control_steering::Settings {
        silent_ms: SILENT_MS,
        ..control_steering::Settings::default()
    };
    let steering = Arc::new(Steering::open(ledger.clone(), settings).await.unwrap());
    steering.keep_log(events.clone());
    let sites = Arc::new(SitesOf(steering.clone()));
    let fill_desk = FillDesk::open(ledger.clone(), now()).await.unwrap();
    let serials = plan.routes_dir.with_file_name("steering-serial");
    let settings = BundleSettings { every_ms: 0, content_every_ms: 0, ttl_s: 10 };
    let bundles = BundleDesk::open(fill_desk.bundle_keys(now()), serials, settings).unwrap();
    Services {
        accounts: Arc::new(accounts.await.unwrap()),
        billing: Arc::new(Billing::new(ledger.clone(), events.clone())),
        catalog: Arc::new(Catalog::open(ledger.clone(), blobs, events.clone()).await.unwrap()),
        history: Arc::new(History::new(activity.clone(), events.clone())),
        search: Arc::new(Search::new(search)),
        recommend: Arc::new(Recommender::new(activity)),
        bundles: Arc::new(bundles),
        fill_desk: Arc::new(fill_desk),
        telemetry: Arc::new(Telemetry::open(events, sites).await.unwrap()),
        routes: Arc::new(RouteDesk::new(Arc::default(), ports.ledger.clone())),
        steering,
        tickets: tickets(ports, signer),
        authority: Arc::new(AuthorityDesk::new(
            FleetCa::generate().unwrap().0,
            Box::new(|_| Ok(())),
        )),
        titles_changed: Arc::new(Notify::new()),
    }
}

/// A gateway over the lab's services, for tests that bring routes of their own.
pub fn gateway(services: &Services, plan: &Plan) -> Gateway {
    let settings = Settings {
        public_url: None,
        tls: false,
        operator_key: OPERATOR_KEY.to_owned(),
        trusted_proxies: plan.trusted_proxies.clone(),
        rates: plan.rates,
        web_dir: plan.web_dir.clone(),
        certificate_ms: if plan.certificate_ms == 0 { 3_600_000 } else { plan.certificate_ms },
        require_certificate: plan.require_certificate,
        ticket_ms: 3_600_000,
        steering_ttl_s: 10,
        steering_served_by: plan.steering_served_by,
        report_ms: 5_000,
        region: plan.region.clone(),
    };
    Gateway::new(services.clone(), settings).unwrap()
}

async fn serve(services: &Services, plan: &Plan) -> SocketAddr {
    listen(router(gateway(services, plan))).await
}

/// Serves on a free port until the test's runtime ends.
pub async fn listen(router: axum::Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    addr
}

fn tickets(ports: &Ports, signer: Arc<TicketSigner>) -> Arc<TicketDesk> {
    let keys = TicketKeys { keys: vec![signer.verification_key()] };
    Arc::new(TicketDesk::new(ports.ledger.clone(), signer, keys))
}
