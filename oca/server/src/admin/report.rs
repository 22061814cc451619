//! Tells control how this appliance is, and takes keys and the wish to drain from its answer.
//! Woken by a timer; control may be away for as long as it likes.

mod content;
mod machine;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use control_client::{ClientError, ControlClient, Credential};
use control_types::ApplianceId;
use control_types::fleet::{ApplianceReport, ReportAnswer, ReportDetail, VolumeReport};

use self::content::{Content, ContentTeller};
use self::machine::{Counted, MachineWatch};
use super::Admin;
use crate::config::{Config, ControlProof};
use crate::library::Library;
use crate::outcome::is_ours;
use crate::state;

/// Longest a report may take while we serve.
const REPORT_MS_MAX: u64 = 10_000;
/// Longest the last report may take: control being away must not hold up the end.
const GOODBYE_MS_MAX: u64 = 1_500;

/// What a fleet's member knows.
pub struct FleetParts {
    appliance: ApplianceId,
    client: ControlClient,
    /// The file of our certificate; absent when control knows us by a key.
    identity: Option<PathBuf>,
    every: Duration,
    state_dir: PathBuf,
    /// The operator gave a file of keys: control's are not taken.
    keys_pinned: bool,
}

/// Why control cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum ControlSetUpError {
    /// A file that control is called with.
    #[error("cannot read {path} ({key})")]
    File {
        /// Which.
        path: PathBuf,
        /// Its key in the config.
        key: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The URL, the key or the root is not usable.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl FleetParts {
    /// A client for the control plane of `config`; `None` when the appliance stands alone.
    ///
    /// # Errors
    /// A file that cannot be read, or a URL that is not one. Control being away is no error.
    pub fn new(config: &Config) -> Result<Option<Self>, ControlSetUpError> {
        let Some(control) = &config.control else { return Ok(None) };
        let file = |path: &PathBuf, key| {
            std::fs::read(path).map_err(|source| ControlSetUpError::File {
                path: path.clone(),
                key,
                source,
            })
        };
        let (client, identity) = match &control.proof {
            ControlProof::Identity(path) => {
                (ControlClient::with_identity(&control.url, path)?, Some(path.clone()))
            }
            ControlProof::Key { file: path, ca } => {
                let key = file(path, "control.key_file")?;
                let key = Credential::Appliance(String::from_utf8_lossy(&key).trim().to_owned());
                let ca = ca.as_ref().map(|path| file(path, "control.ca")).transpose()?;
                (ControlClient::new(&control.url, key, ca.as_deref())?, None)
            }
        };
        Ok(Some(Self {
            identity,
            appliance: config.appliance.clone(),
            client: client.with_call_ms_max(REPORT_MS_MAX),
            every: Duration::from_millis(control.report_ms),
            state_dir: config.state_dir.clone(),
            keys_pinned: config.tickets.keys_file.is_some(),
        }))
    }
}

impl FleetParts {
    /// What renews our certificate for as long as it runs; absent when we have none to renew.
    pub(super) fn renewal(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let identity = self.identity.clone()?;
        Some(crate::identity::renew_for_ever(self.client.clone(), identity))
    }
}

/// Sends reports.
pub(super) struct Reporter {
    admin: Arc<Admin>,
    fleet: FleetParts,
    run: uuid::Uuid,
    sequence: u64,
    want_content: bool,
    content: ContentTeller,
    machine: MachineWatch,
    /// Bytes sent and when, at the last report.
    last: (u64, Instant),
    /// What was last said about control, so that it is said once.
    said: String,
}

impl Reporter {
    pub(super) fn new(admin: Arc<Admin>, fleet: FleetParts) -> Self {
        Self {
            admin,
            fleet,
            run: uuid::Uuid::new_v4(),
            sequence: 0,
            want_content: false,
            content: ContentTeller::default(),
            machine: MachineWatch::new(),
            last: (0, Instant::now()),
            said: String::new(),
        }
    }

    /// Reports again and again.
    pub(super) async fn run(&mut self) {
        loop {
            let began = Instant::now();
            let client = self.fleet.client.clone();
            self.report(&client).await;
            if self.want_content {
                // Control waits for the set: no reason to make it wait for the timer too.
                self.report(&client).await;
            }
            if self.content.has_nameless() {
                self.report(&client).await;
            }
            let pause = jittered(self.fleet.every);
            tokio::time::sleep(pause.saturating_sub(began.elapsed())).await;
        }
    }

    /// One last report, which says that we drain.
    pub(super) async fn say_goodbye(&mut self) {
        let client = self.fleet.client.with_call_ms_max(GOODBYE_MS_MAX);
        self.report(&client).await;
    }

    async fn report(&mut self, client: &ControlClient) {
        let report = self.compose();
        let told: Vec<_> = report.quarantined.clone();
        match self.send(client, report).await {
            Ok(answer) => {
                self.admin.reports.fetch_add(1, Ordering::Relaxed);
                self.say(String::new());
                self.admin.control_was_heard(&answer, client);
                let mut found_bad =
                    self.admin.found_bad.lock().expect("no holder of this lock panics");
                found_bad.retain(|object| !told.contains(object));
                drop(found_bad);
                self.content.answered(answer.want_content, answer.unnamed.clone());
                self.take(answer);
            }
            Err(error) => {
                self.admin.reports_failed.fetch_add(1, Ordering::Relaxed);
                self.want_content = false;
                self.say(error.to_string());
            }
        }
    }

    /// Once more when the connection broke before any answer: control closes one that rested, or
    /// that it never got to, at the very moment we use it, and must not miss a report for it. It
    /// may have heard the first, so the second is one further; what the first changed of the
    /// content it then has already, and says so.
    async fn send(
        &mut self,
        client: &ControlClient,
        mut report: ApplianceReport,
    ) -> Result<ReportAnswer, ClientError> {
        let first = client.report(&report).await;
        if !first.as_ref().is_err_and(ClientError::is_broken) {
            return first;
        }
        self.sequence += 1;
        report.sequence = self.sequence;
        client.report(&report).await
    }

    fn say(&mut self, said: String) {
        if said == self.said {
            return;
        }
        if said.is_empty() {
            tracing::info!("control takes our reports");
        } else {
            tracing::warn!(error = said, "control does not take our reports; serving goes on");
        }
        self.said = said;
    }

    fn take(&mut self, answer: ReportAnswer) {
        self.want_content = answer.want_content;
        self.admin.asked_to_drain.store(answer.drain, Ordering::Relaxed);
        if let Some(revoked) = answer.revoked {
            tracing::info!(tickets = revoked.subjects.len(), "new list of tickets taken back");
            if let Err(error) = state::store_revocations(&self.fleet.state_dir, &revoked) {
                tracing::error!(%error, "tickets taken back are not stored for the next start");
            }
            self.admin.gate.revoke(revoked);
        }
        // An answer without keys would lock everybody out; it can only be a mistake.
        if self.fleet.keys_pinned || answer.ticket_keys.keys.is_empty() {
            return;
        }
        match self.admin.gate.swap(answer.ticket_keys.clone()) {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!(keys = answer.ticket_keys.keys.len(), "new ticket keys");
                if let Err(error) = state::store_keys(&self.fleet.state_dir, &answer.ticket_keys) {
                    tracing::error!(%error, "ticket keys are not stored for the next start");
                }
            }
            Err(error) => tracing::error!(%error, "control's ticket keys are not usable"),
        }
    }

    fn compose(&mut self) -> ApplianceReport {
        let admin = &self.admin;
        let counters = || admin.workers.iter().map(|worker| &worker.counters);
        let sent: u64 = counters().map(|c| c.media_bytes.get()).sum();
        let (before, at) = std::mem::replace(&mut self.last, (sent, Instant::now()));
        let millis = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let mut requests_total = 0;
        let mut errors_total = 0;
        for (outcome, ending, count) in counters().flat_map(|c| c.answers()) {
            requests_total += count;
            errors_total += if is_ours(outcome, ending) { count } else { 0 };
        }
        self.sequence += 1;
        let Content { digest: content_digest, held, named } = match &*admin.library {
            Library::Sealed(sealed) if self.want_content => self.content.tell_all(&sealed.index()),
            Library::Sealed(sealed) => self.content.tell(&sealed.index()),
            Library::Lab(_) => Content { digest: String::new(), held: None, named: Vec::new() },
        };
        let hits = counters().map(|c| c.hot_hits.get()).sum();
        let misses = counters().map(|c| c.hot_misses.get()).sum();
        let answers = counters().map(|c| c.first_byte.count()).sum();
        let micros = counters().map(|c| c.first_byte.sum_us.get()).sum();
        let machine = self.machine.look(&Counted { hits, misses, answers, micros });
        ApplianceReport {
            appliance: self.fleet.appliance.clone(),
            media_url: admin.media_url.clone(),
            sequence: self.sequence,
            run: self.run,
            draining: admin.is_leaving() || admin.asked_to_drain.load(Ordering::Relaxed),
            connections: counters().map(|c| c.connections.get()).sum(),
            sent_bytes_total: sent,
            sending_bps: sent.saturating_sub(before).saturating_mul(8_000) / millis,
            requests_total,
            errors_total,
            volumes: volumes(admin),
            content_digest,
            content: None,
            quarantined: admin.found_bad.lock().expect("no holder of this lock panics").clone(),
            more: ReportDetail {
                held,
                named,
                leaving: admin.is_leaving(),
                next_report_ms: next_report_ms(self.fleet.every),
                machine: Some(machine),
                revoked_digest: Some(admin.gate.revoked_digest()),
                steering_serial: admin.steering_serial(),
            },
        }
    }
}

/// Within a tenth of `every` to both sides, so that a fleet that lost control together does not
/// come back to it together for ever.
pub(super) fn jittered(every: Duration) -> Duration {
    let random = (uuid::Uuid::new_v4().as_u128() >> 64) as u32 % 201;
    every * (900 + random) / 1_000
}

/// Longest pause that [`jittered`] makes.
fn next_report_ms(every: Duration) -> u64 {
    u64::try_from(every.as_millis()).unwrap_or(u64::MAX).saturating_mul(11) / 10
}

fn volumes(admin: &Admin) -> Vec<VolumeReport> {
    let Library::Sealed(sealed) = &*admin.library else { return Vec::new() };
    let used = admin.used_bytes.lock().expect("no holder of this lock panics").clone();
    let report = |(number, volume): (usize, &oca_store::Volume)| {
        let used_bytes = used.get(number).copied().unwrap_or(0);
        let room = volume.room();
        VolumeReport {
            path: volume.path().display().to_string(),
            class: volume.class(),
            capacity_bytes: room.as_ref().map_or(0, |room| room.free_bytes + used_bytes),
            used_bytes,
            healthy: room.is_ok() && !admin.is_volume_sick(number),
        }
    };
    sealed.volumes().iter().enumerate().map(report).collect()
}
