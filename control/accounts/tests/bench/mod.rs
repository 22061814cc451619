//! What every test of this folder stands on: the service over real stores in a directory of its
//! own, with cheap password hashes and a clock the test moves.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.
#![allow(dead_code)] // Each test file is a crate of its own and uses its share.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use control_accounts::{Accounts, AccountsError, Settings, TOPIC};
use control_store::embedded::MemoryCache;
use control_store::{Offset, Ports, open_embedded};
use control_types::UnixMillis;
use control_types::accounts::{Session, SignIn, SignUp};
use tempfile::TempDir;

pub const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
pub const PASSWORD: &str = "correct horse battery";

pub struct Bench {
    pub accounts: Arc<Accounts>,
    pub ports: Ports,
    pub state: TempDir,
    pub settings: Settings,
    cache_ms: Arc<AtomicU64>,
}

/// Defaults, but hashes that cost microseconds.
pub fn cheap() -> Settings {
    Settings { hash_memory_kib: 64, hash_passes: 1, ..Settings::default() }
}

pub fn home() -> IpAddr {
    "198.51.100.7".parse().unwrap()
}

impl Bench {
    pub async fn with(settings: Settings) -> Self {
        let state = tempfile::tempdir().unwrap();
        let mut ports = open_embedded(state.path()).await.unwrap();
        let cache_ms = Arc::new(AtomicU64::new(1));
        let seen = Arc::clone(&cache_ms);
        let clock = Arc::new(move || seen.load(Ordering::SeqCst));
        ports.cache = Arc::new(MemoryCache::with_clock(clock));
        let accounts = Arc::new(open(&ports, &settings).await);
        Self { accounts, ports, state, settings, cache_ms }
    }

    pub async fn new() -> Self {
        Self::with(cheap()).await
    }

    /// A second service over the same stores, as after a restart or on another machine.
    pub async fn another(&self) -> Accounts {
        open(&self.ports, &self.settings).await
    }

    /// Lets the attempt counters grow older.
    pub fn wait(&self, millis: u64) {
        self.cache_ms.fetch_add(millis, Ordering::SeqCst);
    }

    pub async fn sign_up(&self, email: &str) -> Session {
        self.accounts.sign_up(&new_member(email), home(), NOW).await.unwrap()
    }

    pub async fn sign_in(&self, email: &str, password: &str) -> Result<Session, AccountsError> {
        let given = SignIn { email: email.to_owned(), password: password.to_owned() };
        self.accounts.sign_in(&given, home(), NOW).await
    }

    /// The words of all events so far.
    pub async fn told(&self) -> Vec<String> {
        let rows = self.ports.events.read(TOPIC, Offset(0), 1_000).await.unwrap();
        rows.iter().map(|row| row.body["event"].as_str().unwrap().to_owned()).collect()
    }
}

async fn open(ports: &Ports, settings: &Settings) -> Accounts {
    let (ledger, cache) = (ports.ledger.clone(), ports.cache.clone());
    Accounts::open(ledger, cache, ports.events.clone(), settings.clone(), NOW).await.unwrap()
}

pub fn new_member(email: &str) -> SignUp {
    SignUp {
        email: email.to_owned(),
        password: PASSWORD.to_owned(),
        profile_name: "Ann".to_owned(),
    }
}
