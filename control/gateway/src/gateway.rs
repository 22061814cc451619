//! What every handler is given: the services, the settings, the limits' counters and the clock.
//! Builds no service; `control`'s wiring does, and tests do.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use control_accounts::Accounts;
use control_billing::Billing;
use control_catalog::Catalog;
use control_history::History;
use control_recommend::Recommender;
use control_search::Search;
use control_steering::{BundleDesk, FillDesk, Steering};
use control_telemetry::Telemetry;
use control_types::{PlayId, UnixMillis};
use ipnet::IpNet;
use tokio::sync::{Notify, Semaphore};

use crate::authority_desk::AuthorityDesk;
use crate::edge::{RateSettings, Rates};
use crate::generations::Generations;
use crate::guards::Guards;
use crate::home::Shelves;
use crate::limits::{PLAYS_RENEWING_MAX, RUNNING_MAX};
use crate::metrics::Metrics;
use crate::plays::Plays;
use crate::remembered::Remembered;
use crate::route_desk::RouteDesk;
use crate::ticket_desk::TicketDesk;

/// The services a gateway speaks for.
#[derive(Clone)]
pub struct Services {
    /// Who.
    pub accounts: Arc<Accounts>,
    /// May they.
    pub billing: Arc<Billing>,
    /// What.
    pub catalog: Arc<Catalog>,
    /// Where they left off.
    pub history: Arc<History>,
    /// Titles by text.
    pub search: Arc<Search>,
    /// Rows and neighbours.
    pub recommend: Arc<Recommender>,
    /// Where from.
    pub steering: Arc<Steering>,
    /// Where from, without control.
    pub bundles: Arc<BundleDesk>,
    /// Windows, plan, fill progress.
    pub fill_desk: Arc<FillDesk>,
    /// What the internet announces.
    pub routes: Arc<RouteDesk>,
    /// What players say.
    pub telemetry: Arc<Telemetry>,
    /// Signs tickets, and knows which were taken back.
    pub tickets: Arc<TicketDesk>,
    /// Signs appliances' certificates.
    pub authority: Arc<AuthorityDesk>,
    /// Rung when something derived from titles is behind the catalog.
    pub titles_changed: Arc<Notify>,
}

/// Who answers players' questions for steering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServedBy {
    /// Control: it knows best, and a player keeps its last answer while control is away.
    #[default]
    Control,
    /// The appliance ranked first: it goes on without control.
    Appliances,
}

/// What an operator may choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `scheme://host[:port]` that members reach control at; absent: what each request came to.
    pub public_url: Option<String>,
    /// Control itself speaks TLS.
    pub tls: bool,
    /// Bearer key of the operator.
    pub operator_key: String,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Budgets of one address.
    pub rates: RateSettings,
    /// Directory of the built pages; absent: no pages.
    pub web_dir: Option<PathBuf>,
    /// Life of an appliance's certificate, milliseconds.
    pub certificate_ms: u64,
    /// An appliance's bearer key is not enough.
    pub require_certificate: bool,
    /// Life of a play ticket, milliseconds.
    pub ticket_ms: u64,
    /// How often players ask for steering again, seconds.
    pub steering_ttl_s: u32,
    /// Whom manifests and play answers send players to for steering.
    pub steering_served_by: ServedBy,
    /// How often players report, milliseconds.
    pub report_ms: u64,
    /// ISO 3166-1 alpha-2 region of members, which the catalog's licences are held against;
    /// absent: only titles licensed everywhere are playable.
    pub region: Option<String>,
}

impl Settings {
    /// Whether members reach control over TLS, here or at a proxy in front: cookies are `Secure`.
    pub(crate) fn is_secure(&self) -> bool {
        self.tls || self.public_url.as_ref().is_some_and(|url| url.starts_with("https://"))
    }
}

/// A gateway that cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Our own mistake: two metrics of one name.
    #[error("the metrics could not be registered: {0}")]
    Metrics(String),
}

/// Shared by all handlers; cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Parts>);

struct Parts {
    services: Services,
    settings: Settings,
    rates: Rates,
    seats: Arc<Semaphore>,
    metrics: Metrics,
    plays: Plays,
    /// Plays whose player fetches fresh tickets by itself.
    renewing: Generations<PlayId, ()>,
    guards: Guards,
    remembered: Remembered,
    shelves: Shelves,
}

impl Gateway {
    /// A gateway over these services.
    ///
    /// # Errors
    /// [`GatewayError`], which only a mistake of ours can cause.
    pub fn new(services: Services, settings: Settings) -> Result<Self, GatewayError> {
        let metrics = Metrics::new().map_err(|error| GatewayError::Metrics(error.to_string()))?;
        Ok(Self(Arc::new(Parts {
            rates: Rates::new(&settings.rates),
            seats: Arc::new(Semaphore::new(RUNNING_MAX)),
            metrics,
            plays: Plays::default(),
            renewing: Generations::new(PLAYS_RENEWING_MAX / 2),
            guards: Guards::default(),
            remembered: Remembered::default(),
            shelves: Shelves::default(),
            services,
            settings,
        })))
    }

    /// Forgets what can be forgotten: addresses that have been quiet. For a background timer.
    pub fn sweep(&self) {
        self.0.rates.sweep();
    }

    pub(crate) fn services(&self) -> &Services {
        &self.0.services
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn rates(&self) -> &Rates {
        &self.0.rates
    }

    pub(crate) fn seats(&self) -> Arc<Semaphore> {
        self.0.seats.clone()
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn plays(&self) -> &Plays {
        &self.0.plays
    }

    pub(crate) fn renewing(&self) -> &Generations<PlayId, ()> {
        &self.0.renewing
    }

    pub(crate) fn guards(&self) -> &Guards {
        &self.0.guards
    }

    pub(crate) fn remembered(&self) -> &Remembered {
        &self.0.remembered
    }

    pub(crate) fn shelves(&self) -> &Shelves {
        &self.0.shelves
    }

    /// The one place where the HTTP surface reads the clock.
    pub(crate) fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
