//! The whole control plane in one place: which adapter holds what, which service is given what, and
//! who answers the questions that services may not ask each other.
//! Runs nothing; `background` and `listen` do.

use std::path::Path;
use std::sync::Arc;

use control_accounts::Accounts;
use control_billing::Billing;
use control_catalog::Catalog;
use control_gateway::{AuthorityDesk, Gateway, RouteDesk, Services, Settings, TicketDesk};
use control_history::History;
use control_recommend::Recommender;
use control_routes::{Geo, RibSettings, RouteTable, Routes};
use control_search::Search;
use control_steering::{BundleDesk, BundleSettings, FillDesk, Steering};
use control_store::ledger::RoutesLedger;
use control_store::{Ports, open_embedded};
use control_telemetry::{SiteDirectory, Telemetry};
use control_types::config_file;
use control_types::{ApplianceId, SiteId};
use tokio::sync::Notify;

use crate::clock::now;
use crate::config::Config;
use crate::keys;
use crate::limits::GEO_BYTES_MAX;
use crate::rotation::{self, Rotation};
use crate::trouble::Trouble;

/// Everything that runs.
pub(crate) struct Wired {
    pub ports: Ports,
    pub services: Services,
    pub gateway: Gateway,
    pub rotation: Rotation,
}

/// Opens the stores and builds every service over what `wrap` makes of them.
pub(crate) async fn wire(
    config: &Config,
    wrap: impl FnOnce(Ports) -> Ports,
) -> Result<Wired, Trouble> {
    let ports = open_embedded(&config.state_dir).await.map_err(|error| Trouble::StateDir {
        path: config.state_dir.clone(),
        why: match Trouble::service("store")(&error) {
            Trouble::Service { why, .. } => why,
            other => other.to_string(),
        },
    })?;
    let ports = wrap(ports);
    let authority = Arc::new(keys::authority_desk(&config.state_dir)?);
    if let Some(oldest) = authority.current().hashes().last() {
        // Certificates of a version that knew one authority only are the oldest one's.
        let claimed = ports.ledger.claim_certificates(&oldest).await;
        claimed.map_err(|error| Trouble::service("certificates of appliances")(&error))?;
    }
    let services = wire_services(config, &ports, authority).await?;
    let operator_key = keys::operator_key(&config.operator_key_file)?;
    let settings = Settings {
        public_url: config.public_url.clone(),
        tls: config.tls.is_some(),
        operator_key,
        trusted_proxies: config.trusted_proxies.clone(),
        rates: config.rates,
        web_dir: config.web_dir.clone(),
        certificate_ms: config.appliances.certificate_minutes * 60_000,
        require_certificate: config.appliances.require_certificate,
        ticket_ms: config.ticket_ms,
        steering_ttl_s: config.steering_ttl_s,
        steering_served_by: config.steering.served_by,
        report_ms: config.report_ms,
        region: config.region.clone(),
    };
    let gateway = Gateway::new(services.clone(), settings)
        .map_err(|error| Trouble::service("the gateway")(&error))?;
    Ok(Wired { ports, services, gateway, rotation: config.rotation() })
}

async fn wire_services(
    config: &Config,
    ports: &Ports,
    authority: Arc<AuthorityDesk>,
) -> Result<Services, Trouble> {
    let Ports { ledger, members, activity, cache, events, search, blobs } = ports.clone();
    let (signer, ticket_keys) = rotation::in_force(&*ledger, &config.rotation(), now()).await?;
    let tickets = Arc::new(TicketDesk::new(ledger.clone(), signer, ticket_keys));
    tickets.refresh(now()).await.map_err(|error| Trouble::service("revocations")(&error))?;

    let settings = control_accounts::Settings::default();
    let accounts = Accounts::open(members.clone(), cache, events.clone(), settings, now())
        .await
        .map_err(|error| Trouble::service("accounts")(&error))?;
    let catalog = Catalog::open(ledger.clone(), blobs, events.clone())
        .await
        .map_err(|error| Trouble::service("the catalog")(&error))?;
    let settings = control_steering::Settings {
        silent_ms: config.silent_ms,
        late_ms: config.late_ms,
        silent_percent_max: config.silent_percent_max as usize,
        asks_per_second_max: config.asks_per_second_max as usize,
        cpu_in_load: config.cpu_in_load,
        policy: control_steering::Policy {
            drain_spread_ms: config.drain_spread_ms,
            ..control_steering::Policy::default()
        },
    };
    let steering = Steering::open(ledger.clone(), settings)
        .await
        .map_err(|error| Trouble::service("steering")(&error))?;
    steering.keep_log(events.clone());
    let steering = Arc::new(steering);
    let fill_desk = FillDesk::open(ledger.clone(), now())
        .await
        .map_err(|error| Trouble::service("the fill desk")(&error))?;
    let bundles = bundle_desk(config, &fill_desk)?;
    let sites = Arc::new(SitesOf(steering.clone()));
    let telemetry = Telemetry::open(events.clone(), sites)
        .await
        .map_err(|error| Trouble::service("telemetry")(&error))?;

    let routes = route_desk(config, ledger.clone(), &steering).await?;
    Ok(Services {
        accounts: Arc::new(accounts),
        billing: Arc::new(Billing::new(members, events.clone())),
        catalog: Arc::new(catalog),
        history: Arc::new(History::new(activity.clone(), events)),
        search: Arc::new(Search::new(search)),
        recommend: Arc::new(Recommender::new(activity)),
        steering,
        bundles: Arc::new(bundles),
        fill_desk: Arc::new(fill_desk),
        routes,
        telemetry: Arc::new(telemetry),
        tickets,
        authority,
        titles_changed: Arc::new(Notify::new()),
    })
}

/// Steering bundles: none before appliances ask.
fn bundle_desk(config: &Config, fill_desk: &FillDesk) -> Result<BundleDesk, Trouble> {
    let settings = BundleSettings {
        every_ms: config.steering.bundle_ms,
        content_every_ms: config.steering.bundle_content_ms,
        ttl_s: config.steering_ttl_s,
    };
    let serials = config.state_dir.join("steering-serial");
    let desk = BundleDesk::open(fill_desk.bundle_keys(now()), serials, settings)
        .map_err(|error| Trouble::service("steering bundles")(&error))?;
    if let Some(url) = &config.public_url {
        desk.reach_control_at(url.clone());
    }
    Ok(desk)
}

/// Routes as the ledger has them, in force before the first question.
async fn route_desk(
    config: &Config,
    ledger: Arc<dyn RoutesLedger>,
    steering: &Steering,
) -> Result<Arc<RouteDesk>, Trouble> {
    let settings = RibSettings { stale_ms: config.bgp.stale_ms };
    let routes = Arc::new(Routes::new(settings));
    let mut desk = RouteDesk::new(routes, ledger);
    if let Some(path) = &config.bgp.geo_file {
        desk = desk.with_geo(geo(path)?);
    }
    let mut failed = desk.follow(|| steering.sites(), now()).await;
    let dir = config.state_dir.join("routes");
    failed.extend(desk.take_over(&dir, || steering.sites(), now()).await);
    for error in failed {
        tracing::warn!(%error, "some routes are not in force");
    }
    let desk = Arc::new(desk);
    steering.set_routes(RouteTable::clone(&desk.routes().table()));
    Ok(desk)
}

/// A database that was asked for and cannot be used stops the start: a ranking that silently lacks
/// it would be found out by members.
fn geo(path: &Path) -> Result<Geo, Trouble> {
    let bytes = config_file::read_at_most(path, GEO_BYTES_MAX)
        .map_err(|source| Trouble::Unreadable { path: path.to_owned(), source })?;
    Geo::from_bytes(bytes).map_err(|error| Trouble::service("bgp.geo_file")(&error))
}

/// Telemetry asks where an appliance stands; steering knows.
struct SitesOf(Arc<Steering>);

impl SiteDirectory for SitesOf {
    fn site_of(&self, appliance: &ApplianceId) -> Option<SiteId> {
        self.0.site_of(appliance)
    }
}
