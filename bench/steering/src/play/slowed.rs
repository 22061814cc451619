//! Control over ports that answer late: the adapters of `control_store`, each behind a wait that
//! whoever started the process sets on standard input (`PORT MILLISECONDS`, a line each).
//! Part of this bench; nothing that ships holds it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use control::{Config, serve_over, start_logs};
use control_store::ledger::{
    AccountRow, AccountsLedger, KeyPurpose, KeysLedger, MembersLedger, NewAccountRow,
    NewRefreshRow, ProfileRemoval, ProfileRow, RevocationRow, Rotation, SessionRow, SigningKeyRow,
    SubscriptionRow, TokenHash,
};
use control_store::{
    Activity, BookmarkRow, EventRow, Events, Offset, PlayRow, Ports, StoreError, WatchCursor,
};
use control_types::{AccountId, PlayId, ProfileId, TitleId, UnixMillis};
use uuid::Uuid;

/// Serves as `control serve --config` does, until it is killed.
pub fn serve_slowed(config: &Path) -> Result<(), String> {
    let config = Config::read(config).map_err(|error| error.to_string())?;
    start_logs(&config.log_filter);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let waits = Waits::default();
    let told = waits.clone();
    std::thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).for_each(|line| told.set(&line));
    });
    let wrap = move |ports: Ports| Ports {
        members: Arc::new(Slow { port: ports.members, wait_ms: waits.members }),
        activity: Arc::new(Slow { port: ports.activity, wait_ms: waits.activity }),
        events: Arc::new(Slow { port: ports.events, wait_ms: waits.events }),
        ..ports
    };
    runtime.block_on(serve_over(config, wrap)).map_err(|error| error.to_string())
}

/// Milliseconds before each port's answers.
#[derive(Clone, Default)]
struct Waits {
    members: Arc<AtomicU64>,
    activity: Arc<AtomicU64>,
    events: Arc<AtomicU64>,
}

impl Waits {
    fn set(&self, line: &str) {
        let (port, ms) = line.split_once(' ').unwrap_or((line, "0"));
        let wait = match port {
            "members" => &self.members,
            "activity" => &self.activity,
            "events" => &self.events,
            _ => return eprintln!("there is no port {port:?}"),
        };
        wait.store(ms.parse().unwrap_or(0), Ordering::Relaxed);
    }
}

/// A port whose every answer is late.
struct Slow<P: ?Sized> {
    port: Arc<P>,
    wait_ms: Arc<AtomicU64>,
}

impl<P: ?Sized> Slow<P> {
    async fn wait(&self) {
        let ms = self.wait_ms.load(Ordering::Relaxed);
        if ms > 0 {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }
}

/// One port: each method waits, then asks the adapter.
macro_rules! late {
    ($port:ident over $adapter:ty: $($name:ident($($given:ident: $of:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl $port for Slow<$adapter> {
            $(async fn $name(&self, $($given: $of),*) -> Result<$answer, StoreError> {
                self.wait().await;
                self.port.$name($($given),*).await
            })*
        }
    };
}

late! { Activity over dyn Activity:
    put_play(play: &PlayRow) -> ();
    play(play: &PlayId) -> Option<PlayRow>;
    forget_plays(before: UnixMillis) -> u64;
    put_bookmark(bookmark: &BookmarkRow) -> bool;
    bookmark(profile: &ProfileId, title: &TitleId) -> Option<BookmarkRow>;
    bookmarks(profile: &ProfileId, count_max: usize) -> Vec<BookmarkRow>;
    watched_since(cursor: &WatchCursor, count_max: usize) -> Vec<BookmarkRow>;
    forget_profile(profile: &ProfileId) -> u64;
}

late! { Events over dyn Events:
    append(topic: &str, at: UnixMillis, body: &serde_json::Value) -> Offset;
    read(topic: &str, from: Offset, count_max: usize) -> Vec<EventRow>;
    end(topic: &str) -> Offset;
}

late! { AccountsLedger over dyn MembersLedger:
    open_account(new: &NewAccountRow) -> ();
    account(id: &AccountId) -> Option<AccountRow>;
    account_by_email(email: &str) -> Option<AccountRow>;
    profiles(account: &AccountId) -> Vec<ProfileRow>;
    add_profile(profile: &ProfileRow, count_max: usize) -> ();
    remove_profile(account: &AccountId, profile: &ProfileId) -> ProfileRemoval;
    subscription(account: &AccountId) -> Option<SubscriptionRow>;
    put_subscription(subscription: &SubscriptionRow) -> ();
    begin_session(session: &SessionRow, refresh: &NewRefreshRow) -> ();
    rotate_refresh(old: &TokenHash, new: &NewRefreshRow, grace_ms: u64) -> Rotation;
    end_session(session: &Uuid, now: UnixMillis) -> ();
    end_sessions(account: &AccountId, now: UnixMillis) -> u64;
    sweep_refresh(before: UnixMillis) -> u64;
}

late! { KeysLedger over dyn MembersLedger:
    signing_keys(purpose: KeyPurpose) -> Vec<SigningKeyRow>;
    first_signing_key(key: &SigningKeyRow) -> SigningKeyRow;
    add_signing_key(key: &SigningKeyRow) -> ();
    remove_signing_key(purpose: KeyPurpose, kid: &str) -> bool;
    revoke(revoked: &RevocationRow) -> ();
    revocations(now: UnixMillis, limit: usize) -> Vec<RevocationRow>;
    sweep_revocations(now: UnixMillis) -> u64;
}
