//! The reconciler: look at what is, plan what should be, post the difference, sleep, again.
//! Takes no input; what it remembers of a look spares work at the next and changes no plan but by
//! the hour that a forecast is old.
//!
//! Woken by a timer, at the latest every `every_ms`; and within two seconds by a nudge: it asks
//! control for the list of windows and the fleet, which is cheap, and looks at everything only when
//! windows or what boxes hold changed. Where a look is not cheap it rests four times as long, so
//! that a night of a large fleet is not one look after the other.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use control_client::{ClientError, ControlClient, Credential};
use control_types::fill::{FillState, NightPlan, Window};
use control_types::fleet::{ApplianceStatus, Health};
use control_types::{ApplianceId, ErrorWord, PlanId, SiteId, UnixMillis};
use fill_plan::{Knobs, Outlook, Planner, is_settled};
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use crate::config::Config;
use crate::error::DirectorError;
use crate::ingress::{self, InForce, Ingress};

/// How often the cheap look happens, milliseconds, unless `every_ms` is shorter.
const GLANCE_MS: u64 = 2_000;
/// A look or a glance is followed by a rest of this many times as long, `every_ms` at most.
const REST_TIMES: u32 = 4;
/// A fill state of a large fleet takes a while to write down, milliseconds.
const CALL_MS_MAX: u64 = 60_000;

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// The plan in force still holds.
    Settled {
        /// Its serial; 0 when there is none and none is needed.
        serial: u64,
    },
    /// A new plan was posted.
    Posted {
        /// Its serial.
        serial: u64,
        /// Objects to pull, over all boxes.
        pulls: usize,
        /// Boxes that have something to do.
        appliances: usize,
    },
}

/// What one look leaves for the next: only to spare work, never to plan differently.
#[derive(Default)]
pub struct Memory {
    outlook: Outlook,
    planner: Planner,
    /// The last plan posted, to notice when it was not ours that replaced it.
    posted: Option<PlanId>,
}

impl Memory {
    /// The plan for `state` at `now`: forecast from its history, then placed, at the sites where
    /// something changed.
    #[must_use]
    pub fn plan(
        &mut self,
        state: &mut FillState,
        knobs: &Knobs,
        current: Option<&NightPlan>,
        now: UnixMillis,
    ) -> NightPlan {
        self.outlook.forecast_demand(state, now);
        let id = PlanId(Uuid::new_v4());
        let serial = serial_after(current, state.now);
        self.planner.plan(state, knobs, current, now, id, serial)
    }

    /// Sites placed anew by the last plan; the others were left as they were.
    #[must_use]
    pub fn placed(&self) -> &[SiteId] {
        self.planner.placed()
    }
}

/// Looks until SIGTERM or SIGINT, or once. Says what came of each look to `told`.
///
/// # Errors
/// With `once`, whatever kept it from looking; otherwise only what keeps it from starting.
pub async fn run(
    config: &Config,
    once: bool,
    mut told: impl FnMut(Looked),
) -> Result<(), DirectorError> {
    let credential = Credential::Operator(config.control_key.clone());
    let control =
        ControlClient::new(&config.control_url, credential, config.control_ca.as_deref())?
            .with_call_ms_max(CALL_MS_MAX);
    if once {
        let mut memory = Memory::default();
        told(look(&control, &config.knobs, &config.ingress, &mut memory, now()).await?);
        return Ok(());
    }
    let mut terminate = signal(SignalKind::terminate()).map_err(DirectorError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DirectorError::Signals)?;
    println!("{{\"ready\":true}}");
    // Without a service manager there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let mut memory = Memory::default();
    let every = Duration::from_millis(config.every_ms);
    let watch = async {
        loop {
            // Before the look, so that what changes during it is seen after it.
            let (begun, before) = (Instant::now(), glance(&control).await.ok());
            match look(&control, &config.knobs, &config.ingress, &mut memory, now()).await {
                Ok(looked) => told(looked),
                Err(error) => tracing::warn!(%error, "could not look; trying again"),
            }
            pause(&control, before, every, begun.elapsed()).await;
        }
    };
    tokio::select! {
        () = watch => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// One look at `now`: fetches the state and the plan in force, and posts a fresh plan if that one
/// is no good. Doing it twice is doing it once.
///
/// # Errors
/// Control is away or refused.
pub async fn look(
    control: &ControlClient,
    knobs: &Knobs,
    borders: &[Ingress],
    memory: &mut Memory,
    now: UnixMillis,
) -> Result<Looked, DirectorError> {
    let asked_at = Instant::now();
    let mut state = control.fill_state().await?;
    let current = in_force(control).await?;
    let serial = current.as_ref().map_or(0, |plan| plan.serial);
    if let Some(current) = &current
        && memory.posted.replace(current.id).is_some_and(|posted| posted != current.id)
    {
        tracing::warn!(serial, "somebody else posted this plan: let one director run");
    }
    let told = match &current {
        Some(current) if !borders.is_empty() => told(control, current.id).await,
        _ => BTreeSet::new(),
    };
    let mut fresh = memory.plan(&mut state, knobs, current.as_ref(), now);
    // Control's clock, or a little later: it was read after it was asked.
    let elapsed_ms = u64::try_from(asked_at.elapsed().as_millis()).unwrap_or(u64::MAX);
    fresh.made_at = state.now.plus_millis(elapsed_ms);
    let in_force = InForce { plan: current.as_ref(), told };
    ingress::cap(&mut fresh, &in_force, &state, borders, now);
    let settled = |current: &NightPlan| {
        is_settled(current, &fresh, &state) && ingress::is_current(current, &fresh, now)
    };
    if current.as_ref().is_some_and(settled) {
        return Ok(Looked::Settled { serial });
    }
    match control.put_plan(&fresh).await {
        // Another director was quicker, and its plan is as good as ours; or this one took too long,
        // and the next look makes another. Either should be rare enough to be worth a line.
        Err(error) if error.word() == Some(ErrorWord::Conflict) => {
            tracing::warn!(%error, "control took no plan; is there another director?");
            Ok(Looked::Settled { serial })
        }
        Err(error) => Err(error.into()),
        Ok(()) => {
            memory.posted = Some(fresh.id);
            let pulls = fresh.appliances.iter().map(|entry| entry.pulls.len()).sum();
            let appliances = fresh.appliances.len();
            Ok(Looked::Posted { serial: fresh.serial, pulls, appliances })
        }
    }
}

/// Above the plan in force, and above every plan made a second ago or earlier: agents refuse
/// serials below the highest they saw, and control's ledger may be one that was saved days ago.
fn serial_after(current: Option<&NightPlan>, now: UnixMillis) -> u64 {
    current.map_or(1, |plan| plan.serial.saturating_add(1)).max(now.0 / 1_000)
}

async fn in_force(control: &ControlClient) -> Result<Option<NightPlan>, ClientError> {
    match control.plan().await {
        Err(error) if error.word() == Some(ErrorWord::NotFound) => Ok(None),
        plan => plan.map(Some),
    }
}

/// Who reported to go by a plan. Nobody when control does not say: they may go by any then.
async fn told(control: &ControlClient, plan: PlanId) -> BTreeSet<ApplianceId> {
    let fills = control.fills().await.unwrap_or_else(|error| {
        tracing::warn!(%error, "who goes by the plan is not known");
        Vec::new()
    });
    let reports = fills.into_iter().map(|progress| progress.report);
    reports.filter(|report| report.plan == Some(plan)).map(|report| report.appliance).collect()
}

/// What a glance sees: enough to tell that a full look is due.
#[derive(PartialEq)]
struct Glance {
    windows: Vec<Window>,
    boxes: Vec<(String, Health, u64, u64)>,
    titles: usize,
}

/// Sleeps for `every`, or until a glance differs from the one `before` the look, which took
/// `looked`.
async fn pause(control: &ControlClient, before: Option<Glance>, every: Duration, looked: Duration) {
    let end = tokio::time::Instant::now() + every;
    let mut took = looked;
    while tokio::time::Instant::now() < end {
        let step = tokio::time::Instant::now() + rest_after(took);
        tokio::time::sleep_until(step.min(end)).await;
        let begun = Instant::now();
        match (&before, glance(control).await) {
            (Some(before), Ok(now)) if *before != now => return,
            (None, Ok(_)) => return,
            _ => {}
        }
        took = begun.elapsed();
    }
}

/// How long to leave control alone after something that took `took`: while boxes fill, every glance
/// differs, and a large fleet's look would follow upon the last one all night.
fn rest_after(took: Duration) -> Duration {
    took.saturating_mul(REST_TIMES).max(Duration::from_millis(GLANCE_MS))
}

async fn glance(control: &ControlClient) -> Result<Glance, ClientError> {
    let windows = control.windows().await?;
    let fleet = control.appliances().await?;
    let titles = control.titles().await?.len();
    let boxes = fleet.iter().map(seen).collect();
    Ok(Glance { windows, boxes, titles })
}

fn seen(status: &ApplianceStatus) -> (String, Health, u64, u64) {
    (status.record.id.to_string(), status.health, status.objects, status.held_bytes)
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
