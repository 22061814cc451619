//! Goal: a reconciler's reading that began before a change never undoes it in memory. Method: a
//! ledger that hands over what it read only when told. Not a stress test: one interleaving, forced.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod lab;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use control_steering::{FillDesk, Reach, Settings, Steering};
use control_store::ledger::{
    ApplianceMade, ApplianceRow, CertificateRow, DrainBy, FillLedger, Fingerprint, FleetLedger,
    IdentityLedger, IspKeyRow, KeyHash, KeyPurpose, KeysLedger, MaintenanceRow, PlanPut,
    Registered, RegistrationKeyRow, RevocationRow, SigningKeyRow,
};
use control_store::{Ledger, StoreError, open_embedded};
use control_types::fill::{NewWindow, NightPlan, Window, WindowScope};
use control_types::fleet::{ApplianceRecord, Role, Site};
use control_types::schedule::WindowSchedule;
use control_types::{ApplianceId, IspKeyId, RegistrationKeyId, SiteId, UnixMillis, WindowId};
use lab::{NOW, SILENT_MS, record, site};
use tokio::sync::Notify;

/// The embedded ledger; once armed, its next reading waits between disk and caller.
struct Slow {
    ledger: Arc<dyn Ledger>,
    armed: AtomicBool,
    has_read: Notify,
    go_on: Notify,
}

impl Slow {
    async fn hand_over(&self) {
        if self.armed.swap(false, Ordering::SeqCst) {
            self.has_read.notify_one();
            self.go_on.notified().await;
        }
    }
}

#[async_trait]
impl FleetLedger for Slow {
    async fn put_site(&self, site: &Site) -> Result<(), StoreError> {
        self.ledger.put_site(site).await
    }

    async fn remove_site(&self, site: &SiteId) -> Result<bool, StoreError> {
        self.ledger.remove_site(site).await
    }

    async fn sites(&self) -> Result<Vec<Site>, StoreError> {
        self.ledger.sites().await
    }

    async fn put_appliance(
        &self,
        record: &ApplianceRecord,
        key_hash: &KeyHash,
        now: UnixMillis,
    ) -> Result<ApplianceMade, StoreError> {
        self.ledger.put_appliance(record, key_hash, now).await
    }

    async fn set_appliance_key(
        &self,
        appliance: &ApplianceId,
        key_hash: &KeyHash,
    ) -> Result<bool, StoreError> {
        self.ledger.set_appliance_key(appliance, key_hash).await
    }

    async fn remove_appliance(&self, appliance: &ApplianceId) -> Result<bool, StoreError> {
        self.ledger.remove_appliance(appliance).await
    }

    async fn appliances(&self) -> Result<Vec<ApplianceRow>, StoreError> {
        let rows = self.ledger.appliances().await;
        self.hand_over().await;
        rows
    }

    async fn set_drain(
        &self,
        appliance: &ApplianceId,
        by: DrainBy,
        drain: bool,
    ) -> Result<bool, StoreError> {
        self.ledger.set_drain(appliance, by, drain).await
    }

    async fn put_maintenance(&self, row: &MaintenanceRow) -> Result<(), StoreError> {
        self.ledger.put_maintenance(row).await
    }

    async fn remove_maintenance(&self, id: &WindowId) -> Result<bool, StoreError> {
        self.ledger.remove_maintenance(id).await
    }

    async fn maintenance(&self) -> Result<Vec<MaintenanceRow>, StoreError> {
        self.ledger.maintenance().await
    }

    async fn add_isp_key(&self, key: &IspKeyRow) -> Result<(), StoreError> {
        self.ledger.add_isp_key(key).await
    }

    async fn remove_isp_key(&self, key: &IspKeyId) -> Result<bool, StoreError> {
        self.ledger.remove_isp_key(key).await
    }

    async fn isp_keys(&self) -> Result<Vec<IspKeyRow>, StoreError> {
        self.ledger.isp_keys().await
    }
}

#[async_trait]
impl IdentityLedger for Slow {
    async fn add_registration_key(&self, key: &RegistrationKeyRow) -> Result<(), StoreError> {
        self.ledger.add_registration_key(key).await
    }

    async fn remove_registration_key(&self, key: &RegistrationKeyId) -> Result<bool, StoreError> {
        self.ledger.remove_registration_key(key).await
    }

    async fn registration_keys(&self) -> Result<Vec<RegistrationKeyRow>, StoreError> {
        self.ledger.registration_keys().await
    }

    async fn registration_key(
        &self,
        key_hash: &KeyHash,
    ) -> Result<Option<RegistrationKeyRow>, StoreError> {
        self.ledger.registration_key(key_hash).await
    }

    async fn register_certificate(
        &self,
        key: &RegistrationKeyId,
        certificate: &CertificateRow,
        only_first: bool,
    ) -> Result<Registered, StoreError> {
        self.ledger.register_certificate(key, certificate, only_first).await
    }

    async fn renew_certificate(
        &self,
        presented: &Fingerprint,
        certificate: &CertificateRow,
    ) -> Result<bool, StoreError> {
        self.ledger.renew_certificate(presented, certificate).await
    }

    async fn void_certificates(&self, appliance: &ApplianceId) -> Result<u64, StoreError> {
        self.ledger.void_certificates(appliance).await
    }

    async fn claim_certificates(&self, authority: &Fingerprint) -> Result<u64, StoreError> {
        self.ledger.claim_certificates(authority).await
    }

    async fn certificates(&self) -> Result<Vec<CertificateRow>, StoreError> {
        self.ledger.certificates().await
    }
}

#[async_trait]
impl KeysLedger for Slow {
    async fn signing_keys(&self, purpose: KeyPurpose) -> Result<Vec<SigningKeyRow>, StoreError> {
        self.ledger.signing_keys(purpose).await
    }

    async fn first_signing_key(&self, key: &SigningKeyRow) -> Result<SigningKeyRow, StoreError> {
        self.ledger.first_signing_key(key).await
    }

    async fn add_signing_key(&self, key: &SigningKeyRow) -> Result<(), StoreError> {
        self.ledger.add_signing_key(key).await
    }

    async fn remove_signing_key(&self, purpose: KeyPurpose, kid: &str) -> Result<bool, StoreError> {
        self.ledger.remove_signing_key(purpose, kid).await
    }

    async fn revoke(&self, row: &RevocationRow) -> Result<(), StoreError> {
        self.ledger.revoke(row).await
    }

    async fn revocations(
        &self,
        now: UnixMillis,
        count_max: usize,
    ) -> Result<Vec<RevocationRow>, StoreError> {
        self.ledger.revocations(now, count_max).await
    }

    async fn sweep_revocations(&self, before: UnixMillis) -> Result<u64, StoreError> {
        self.ledger.sweep_revocations(before).await
    }
}

#[async_trait]
impl FillLedger for Slow {
    async fn add_window(&self, window: &Window) -> Result<(), StoreError> {
        self.ledger.add_window(window).await
    }

    async fn windows(&self, after: UnixMillis) -> Result<Vec<Window>, StoreError> {
        let windows = self.ledger.windows(after).await;
        self.hand_over().await;
        windows
    }

    async fn close_window(&self, window: &WindowId) -> Result<Option<Window>, StoreError> {
        self.ledger.close_window(window).await
    }

    async fn put_schedule(&self, schedule: &WindowSchedule) -> Result<(), StoreError> {
        self.ledger.put_schedule(schedule).await
    }

    async fn remove_schedule(&self, schedule: &WindowId) -> Result<bool, StoreError> {
        self.ledger.remove_schedule(schedule).await
    }

    async fn schedules(&self) -> Result<Vec<WindowSchedule>, StoreError> {
        self.ledger.schedules().await
    }

    async fn put_plan(&self, plan: &NightPlan) -> Result<PlanPut, StoreError> {
        self.ledger.put_plan(plan).await
    }

    async fn plan(&self) -> Result<Option<NightPlan>, StoreError> {
        self.ledger.plan().await
    }
}

async fn slow(state_dir: &std::path::Path) -> Arc<Slow> {
    let ledger = open_embedded(state_dir).await.unwrap().ledger;
    let (has_read, go_on) = (Notify::new(), Notify::new());
    Arc::new(Slow { ledger, armed: AtomicBool::new(false), has_read, go_on })
}

/// Runs `change` while `reading` holds what it read, then lets the reading finish.
async fn interleave<T: Send + 'static>(
    ledger: &Slow,
    reading: impl Future<Output = ()> + Send + 'static,
    change: impl Future<Output = T> + Send + 'static,
) -> T {
    ledger.armed.store(true, Ordering::SeqCst);
    let reading = tokio::spawn(reading);
    ledger.has_read.notified().await;
    let mut change = tokio::spawn(change);
    // Either it is over by then, or it rightly waits for the reading: both are let through below.
    let early = tokio::time::timeout(Duration::from_millis(300), &mut change).await;
    ledger.go_on.notify_one();
    reading.await.unwrap();
    match early {
        Ok(done) => done.unwrap(),
        Err(_) => change.await.unwrap(),
    }
}

#[tokio::test]
async fn an_appliance_made_or_removed_during_a_refresh_stays_so() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = slow(directory.path()).await;
    let settings = Settings { silent_ms: SILENT_MS, ..Settings::default() };
    let steering = Arc::new(Steering::open(ledger.clone(), settings).await.unwrap());
    steering.put_site(&site("a", "isp", &["10.0.0.0/8"])).await.unwrap();
    let refresh = |steering: &Arc<Steering>| {
        let steering = Arc::clone(steering);
        async move { steering.refresh().await.unwrap() }
    };

    let own = Arc::clone(&steering);
    let put = async move { own.put_appliance(&record("e1", "a", Role::Edge), NOW).await.unwrap() };
    let key = interleave(&ledger, refresh(&steering), put).await.key.unwrap();
    let id: ApplianceId = "e1".parse().unwrap();
    assert_eq!(steering.authenticate(&key), Some(id.clone()), "its key is known");

    let own = Arc::clone(&steering);
    let remove = async move { own.remove_appliance(&id).await.unwrap() };
    interleave(&ledger, refresh(&steering), remove).await;
    assert_eq!(steering.authenticate(&key), None, "its key is gone");
}

#[tokio::test]
async fn a_window_opened_during_a_refresh_stays_open() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = slow(directory.path()).await;
    let settings = Settings { silent_ms: SILENT_MS, ..Settings::default() };
    let steering = Arc::new(Steering::open(ledger.clone(), settings).await.unwrap());
    let desk = Arc::new(FillDesk::open(ledger.clone(), NOW).await.unwrap());
    let window = NewWindow {
        id: "tonight".parse().unwrap(),
        scope: WindowScope::Everyone,
        opens_at: None,
        length_ms: 60_000,
        rate_bps_max: None,
        bytes_max: None,
    };
    let (own, again) = (Arc::clone(&desk), Arc::clone(&desk));
    let refresh = async move { again.refresh(NOW).await.unwrap() };
    let open =
        async move { own.open_window(window, &Reach::Everything, &steering, NOW).await.unwrap() };
    interleave(&ledger, refresh, open).await;
    assert_eq!(desk.windows(NOW).len(), 1);
}
