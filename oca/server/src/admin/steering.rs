//! Steering on the admin thread: fetches bundles, looks at neighbours, keeps the desk fresh, shows
//! all of it. Woken by reports and by a timer; never on a worker, and no worker waits for it.

mod load;
mod names;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use control_client::{ClientError, ControlClient};
use control_types::UnixMillis;
use control_types::bundle::{OfferedBundle, SignedBundle};
use control_types::fleet::ReportAnswer;
use serde_json::{Value, json};
use tokio::task::JoinSet;

pub(super) use self::load::Meter;
use self::names::Names;
use super::Admin;
use super::report::jittered;
use crate::limits::{PROBE_EVERY_MS, PROBE_MS_MAX};
use crate::metrics::SteeringStanding;
use crate::sovereign::{Hint, LOAD_HEADER, LOOK_PATH, Look, Office, Own, Refused, Shown, Sighting};

/// Of a worker's places for connections, per cent; more of them taken, and the box is full.
const FULL_PERCENT: u64 = 95;

/// Looks at neighbours and lays the outlook out, again and again.
pub(super) async fn run(admin: Arc<Admin>) {
    let Some(office) = admin.office.clone() else { return };
    let names = Arc::<Names>::default();
    tokio::spawn(names::keep(Arc::clone(&names)));
    // Whether a neighbour's certificate is good is a question for who gets media from it.
    let looker = reqwest::Client::builder()
        .no_proxy()
        .http1_only()
        .tls_certs_only([])
        .tls_danger_accept_invalid_certs(true)
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(1)
        .timeout(Duration::from_millis(PROBE_MS_MAX))
        .dns_resolver(Arc::clone(&names))
        .build();
    let looker = match looker {
        Ok(looker) => looker,
        Err(error) => return tracing::error!(%error, "neighbours cannot be looked at"),
    };
    loop {
        let began = Instant::now();
        let mut looks = JoinSet::new();
        let due = office.due();
        names.want(&due);
        for url in due {
            let looker = looker.clone();
            looks.spawn(async move {
                let look = look(&looker, &url).await;
                (url, look)
            });
        }
        while let Some(looked) = looks.join_next().await {
            if let Ok((url, look)) = looked {
                office.seen(&url, look);
            }
        }
        admin.lay_outlook();
        let pause = jittered(Duration::from_millis(PROBE_EVERY_MS));
        tokio::time::sleep(pause.saturating_sub(began.elapsed())).await;
    }
}

/// Whether somebody speaks HTTP there, and what he says of his load. A browser's question before
/// the question: no ticket, no object, no disk, and every version of `oca` answers it.
async fn look(looker: &reqwest::Client, url: &str) -> Look {
    let asked = looker.request(reqwest::Method::OPTIONS, format!("{url}{LOOK_PATH}"));
    let Ok(answer) = asked.send().await else { return Look::MISS };
    if answer.status().as_u16() >= 500 {
        return Look::MISS;
    }
    let said = answer.headers().get(LOAD_HEADER).and_then(|value| value.to_str().ok());
    Look { has_answered: true, hint: said.and_then(Hint::of) }
}

impl Admin {
    /// Lays out what is known now; at once when this box begins to drain.
    pub(super) fn lay_outlook(&self) {
        let Some(office) = &self.office else { return };
        let was_asked = self.asked_to_drain.load(Ordering::Relaxed);
        // Before control's first answer the bundle is all that says so.
        let is_unheard = self.reports.load(Ordering::Relaxed) == 0;
        let counters = || self.workers.iter().map(|worker| &worker.counters);
        let connections: u64 = counters().map(|one| one.connections.get()).sum();
        let sent = counters().map(|one| one.media_bytes.get()).sum();
        let bps = self.meter.bps(sent, Instant::now());
        let places = (connections, self.connections_max);
        let asked = was_asked || (is_unheard && office.was_draining());
        let only_asked = asked && !self.is_leaving();
        office.lay(Own {
            draining: self.is_leaving() || asked,
            asked_at: only_asked.then(|| office.asked_at(wall())),
            sick: (0..self.volumes()).any(|volume| self.is_volume_sick(volume)),
            full: connections * 100 >= self.connections_max * FULL_PERCENT,
            load_per_mille: load::per_mille(bps, office.capacity_mbps(), places),
        });
    }

    /// Serial of the bundle that players are answered from, if they may be sent here for that.
    pub(super) fn steering_serial(&self) -> Option<u64> {
        self.office.as_ref()?.confirmed_serial()
    }

    /// Control answered a report.
    pub(super) fn control_was_heard(&self, answer: &ReportAnswer, client: &ControlClient) {
        let now = wall();
        self.gate.hear(now, true);
        let Some(office) = &self.office else { return };
        if office.heard(now, Instant::now()) {
            self.note_heard();
        }
        let Some(newest) = answer.steering_serial else { return };
        if office.wants(newest, Instant::now()) {
            let (office, client) = (Arc::clone(office), client.clone());
            tokio::spawn(async move {
                match fetched(&office, &client).await {
                    Ok(Some(signed)) => take(office, signed).await,
                    Ok(None) => office.failed(false, Instant::now()),
                    Err(error) => {
                        tracing::warn!(%error, "control gives no steering bundle");
                        office.failed(true, Instant::now());
                    }
                }
            });
        }
    }

    /// Writes down when control was heard last.
    pub(super) fn note_heard(&self) {
        let noted = self.office.as_ref().map(|office| office.note_heard());
        if let Some(Err(error)) = noted {
            tracing::warn!(%error, "the last word from control is not written down");
        }
    }

    /// What metrics say.
    pub(super) fn steering_standing(&self) -> SteeringStanding {
        let Some(office) = &self.office else { return SteeringStanding::default() };
        let shown = office.shown();
        let table = shown.table.as_deref();
        let count = |wanted| shown.watch.all().filter(|(_, one)| one.sighting == wanted).count();
        SteeringStanding {
            serial: table.map_or(0, |table| table.serial),
            age_s: table.map_or(0, |table| wall().millis_since(table.made_at) / 1000),
            prefixes: table.map_or(0, |table| table.prefixes() as u64),
            neighbours: [Sighting::Alive, Sighting::Doubted, Sighting::Out, Sighting::Unknown]
                .map(|sighting| (sighting.word(), count(sighting) as u64)),
            is_alone: shown.is_alone,
            taken: shown.tally.taken,
            failed: shown.tally.failed,
            refused: Refused::ALL.map(Refused::word).into_iter().zip(shown.tally.refused).collect(),
        }
    }

    /// `/debug/steering`
    pub(super) fn steering_shown(&self) -> Value {
        let Some(office) = &self.office else {
            return json!({ "bundle": null, "why": "this appliance has no [control]" });
        };
        let Shown { table, pin, watch, own, is_alone, heard_at, tally } = office.shown();
        let bundle = table.as_deref().map(|table| {
            let own = table.own.and_then(|at| table.candidates.get(at as usize));
            json!({
                "serial": table.serial,
                "isp": table.isp,
                "made_at": table.made_at,
                "age_s": wall().millis_since(table.made_at) / 1000,
                "ttl_s": table.ttl_s,
                "appliances": table.candidates.len(),
                "areas": table.areas(),
                "prefixes": table.prefixes(),
                "titles": table.titles(),
                "names_us_at": own.map(|own| own.media_url.as_str()),
            })
        });
        let neighbours: Vec<Value> = watch
            .all()
            .map(|(url, one)| {
                json!({
                    "url": url,
                    "same_site": one.is_near,
                    "witness": one.is_witness,
                    "state": one.sighting.word(),
                    "load": one.hint.map(|hint| hint.to_string()),
                })
            })
            .collect();
        let refused: Vec<(&str, u64)> =
            Refused::ALL.map(Refused::word).into_iter().zip(tally.refused).collect();
        json!({
            "bundle": bundle,
            "believed": pin,
            "bundles_taken": tally.taken,
            "bundles_failed": tally.failed,
            "bundles_refused": refused.into_iter().filter(|(_, count)| *count > 0)
                .collect::<std::collections::BTreeMap<_, _>>(),
            "last_refusal": tally.last.map(|refused| refused.to_string()),
            "control_is_away": is_alone,
            "control_heard_at": heard_at,
            "cut_off": is_alone && watch.is_cut_off(),
            "own": {
                "draining": own.draining, "sick": own.sick, "full": own.full,
                "load_per_mille": own.load_per_mille,
            },
            "neighbours": neighbours,
        })
    }
}

/// The newest bundle, put together from the one that is held and what changed since, or whole.
async fn fetched(
    office: &Arc<Office>,
    client: &ControlClient,
) -> Result<Option<SignedBundle>, ClientError> {
    let Some(held) = office.serial() else { return client.steering_bundle(None).await };
    let change = match client.steering_change(held).await? {
        None => return Ok(None),
        Some(OfferedBundle::Whole(signed)) => return Ok(Some(signed)),
        Some(OfferedBundle::Change(change)) => change,
    };
    let holder = Arc::clone(office);
    let signed = tokio::task::spawn_blocking(move || holder.changed(&change)).await;
    match signed.ok().flatten() {
        Some(signed) => Ok(Some(signed)),
        // The file is gone, or older than what is in use.
        None => client.steering_bundle(Some(held)).await,
    }
}

/// Reading and checking megabytes, and waiting for a disk, are for a thread of their own.
async fn take(office: Arc<Office>, signed: SignedBundle) {
    let own = Arc::clone(&office);
    let taken = tokio::task::spawn_blocking(move || {
        if own.take(&signed, Instant::now()).is_ok()
            && let Err(error) = own.keep(&signed)
        {
            tracing::error!(%error, "the steering bundle is not kept for the next start");
        }
    });
    if let Err(error) = taken.await {
        tracing::error!(%error, "a steering bundle was not taken in");
        office.failed(true, Instant::now());
    }
}

fn wall() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
