//! The fill desk: windows, the night's plan, each appliance's orders, and how far the night is.
//! Plans nothing itself; the director does, from `fill_state`.
//!
//! Windows, schedules and the plan are in the ledger and mirrored in memory, so that an agent's
//! poll reads no disk. A schedule's nights are windows like any other to all who ask. Fill reports
//! are in memory only: an agent reports again.

mod keyring;
mod lending;
mod schedules;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use control_store::StoreError;
use control_store::ledger::{FillLedger, PlanPut};
use control_token::BundleKeys;
use control_types::fill::{
    FillProgress, FillReport, FillState, NewWindow, NightPlan, Orders, PlaceableObject,
    SignedOrders, Window, WindowScope,
};
use control_types::{ApplianceId, UnixMillis, WindowId};

use crate::error::SteeringError;
use crate::fleet::Fleet;
use crate::isp::Reach;
use crate::limits::{
    FILL_FAILURES_MAX, FILL_WHY_BYTES_MAX, WINDOW_AHEAD_MS, WINDOW_KEPT_MS, WINDOW_MS_MAX,
    WINDOW_MS_MIN, WINDOWS_OPEN_MAX, WINDOWS_PER_ISP_MAX,
};
use crate::service::Steering;
use keyring::Keyring;
use schedules::Rules;

/// Windows, plan and fill progress.
pub struct FillDesk {
    ledger: Arc<dyn FillLedger>,
    keys: ArcSwap<Keyring>,
    /// Those in the ledger, with every night that was closed early.
    windows: ArcSwap<Vec<Window>>,
    rules: ArcSwap<Rules>,
    plan: ArcSwapOption<NightPlan>,
    /// When the plan was last read or written, Unix milliseconds.
    plan_read_at: AtomicU64,
    progress: Mutex<BTreeMap<ApplianceId, FillProgress>>,
    /// Held over "ask the ledger, change memory", so that what was read before a change is not
    /// stored after it.
    change: tokio::sync::Mutex<()>,
}

impl FillDesk {
    /// Reads windows and plan, and the key that signs orders; at first start it makes one.
    ///
    /// # Errors
    /// When the ledger cannot be read, or holds a key that is none.
    pub async fn open(ledger: Arc<dyn FillLedger>, now: UnixMillis) -> Result<Self, SteeringError> {
        let keys = Keyring::read(&*ledger, now).await?;
        let desk = Self {
            ledger,
            keys: ArcSwap::from_pointee(keys),
            windows: ArcSwap::default(),
            rules: ArcSwap::default(),
            plan: ArcSwapOption::empty(),
            plan_read_at: AtomicU64::new(0),
            progress: Mutex::default(),
            change: tokio::sync::Mutex::new(()),
        };
        desk.refresh(now).await?;
        Ok(desk)
    }

    /// Reads windows, plan and keys again, as a reconciler does, and makes the next key when it is
    /// time; takes no other input.
    ///
    /// # Errors
    /// When the ledger cannot be read; what was known stays.
    pub async fn refresh(&self, now: UnixMillis) -> Result<(), SteeringError> {
        let _changing = self.change.lock().await;
        let plan = self.ledger.plan().await.map_err(SteeringError::store("read the plan"))?;
        self.plan.store(plan.map(Arc::new));
        self.plan_read_at.store(now.0, Ordering::Release);
        self.keys.store(Arc::new(Keyring::read(&*self.ledger, now).await?));
        self.refresh_rules().await?;
        self.refresh_windows(now).await
    }

    async fn refresh_windows(&self, now: UnixMillis) -> Result<(), SteeringError> {
        let after = UnixMillis(now.0.saturating_sub(WINDOW_KEPT_MS));
        let reading = SteeringError::store("read the windows");
        let windows = self.ledger.windows(after).await.map_err(reading)?;
        self.windows.store(Arc::new(windows));
        Ok(())
    }

    /// Opens a window, now or later.
    ///
    /// # Errors
    /// `NotYours`, `BadWindow` for fields out of range or a scope that names nobody,
    /// `WindowTaken`.
    pub async fn open_window(
        &self,
        new: NewWindow,
        by: &Reach,
        steering: &Steering,
        now: UnixMillis,
    ) -> Result<Window, SteeringError> {
        let fleet = steering.fleet();
        by.check_scope(&new.scope, &fleet, || format!("the scope of window {}", new.id))?;
        let window = open_window_check(new, &fleet, now)?;
        let _changing = self.change.lock().await;
        if self.rules.load().claim(&window.id) {
            return Err(SteeringError::WindowTaken(window.id));
        }
        let written = self.windows.load();
        let pending = || written.iter().filter(|other| !is_over(other, now));
        if pending().count() >= WINDOWS_OPEN_MAX {
            let why = format!("{WINDOWS_OPEN_MAX} windows are not over yet: close some first");
            return Err(SteeringError::BadWindow { window: window.id, why });
        }
        let own = || pending().filter(|other| by.has_scope(&other.scope, &fleet)).count();
        if *by != Reach::Everything && own() >= WINDOWS_PER_ISP_MAX {
            let why = format!("{WINDOWS_PER_ISP_MAX} of your windows are not over: close some");
            return Err(SteeringError::BadWindow { window: window.id, why });
        }
        match self.ledger.add_window(&window).await {
            Ok(()) => {}
            Err(StoreError::Taken(_)) => return Err(SteeringError::WindowTaken(window.id)),
            Err(error) => return Err(SteeringError::store("write the window")(error)),
        }
        self.refresh_windows(now).await?;
        Ok(window)
    }

    /// Closes a window before its time. Closing a closed one is no error. A schedule's name stands
    /// for its night under way, or else its next one; the nights after that stay.
    ///
    /// # Errors
    /// `UnknownWindow`, `NotYours`.
    pub async fn close_window(
        &self,
        id: &WindowId,
        by: &Reach,
        steering: &Steering,
        now: UnixMillis,
    ) -> Result<Window, SteeringError> {
        let _changing = self.change.lock().await;
        self.check_named(id, by, &steering.fleet())?;
        let closed = self.close_written(id, now).await?;
        self.refresh_windows(now).await?;
        closed.ok_or_else(|| SteeringError::UnknownWindow(id.clone()))
    }

    /// Windows of the last 30 days and all to come, by opening time; of schedules, the nights that
    /// are not over and open within eight days, and those closed early.
    #[must_use]
    pub fn windows(&self, now: UnixMillis) -> Vec<Window> {
        let written = self.windows.load();
        let mut windows = Vec::clone(&written);
        self.rules.load().add_nights(&mut windows, &written, now, |_| true);
        windows
    }

    /// Refuses to touch a window, night or schedule of this name that is not `by`'s; a name that
    /// nobody has passes. The caller holds `change`.
    fn check_named(&self, id: &WindowId, by: &Reach, fleet: &Fleet) -> Result<(), SteeringError> {
        let written = self.windows.load();
        let window = written.iter().find(|window| window.id == *id).map(|window| &window.scope);
        let rules = self.rules.load();
        for scope in window.into_iter().chain(rules.scopes(id)) {
            by.check_scope(scope, fleet, || format!("window {id}"))?;
        }
        Ok(())
    }

    /// Those not over whose scope is `wanted`, by opening time.
    fn windows_ahead(&self, now: UnixMillis, wanted: impl Fn(&WindowScope) -> bool) -> Vec<Window> {
        let written = self.windows.load();
        let mine = written.iter().filter(|window| !is_over(window, now) && wanted(&window.scope));
        let mut windows = mine.cloned().collect();
        self.rules.load().add_nights(&mut windows, &written, now, wanted);
        windows
    }

    /// Replaces the plan.
    ///
    /// # Errors
    /// `StalePlan` unless its serial is above the present one's and it was made on that one;
    /// `LatePlan` when it divides a
    /// border's rate and was made too long ago.
    pub async fn put_plan(&self, plan: NightPlan, now: UnixMillis) -> Result<(), SteeringError> {
        let _changing = self.change.lock().await;
        lending::check_age(&plan, now)?;
        let writing = SteeringError::store("write the plan");
        match self.ledger.put_plan(&plan).await.map_err(writing)? {
            PlanPut::Stored => {}
            PlanPut::Stale { serial } => {
                return Err(SteeringError::StalePlan { present: serial, offered: plan.serial });
            }
        }
        self.plan.store(Some(Arc::new(plan)));
        self.plan_read_at.store(now.0, Ordering::Release);
        Ok(())
    }

    /// The plan in force.
    #[must_use]
    pub fn plan(&self) -> Option<Arc<NightPlan>> {
        self.plan.load_full()
    }

    /// What one appliance works from, signed: its windows that are not over and its part of the
    /// plan.
    ///
    /// # Errors
    /// `UnknownAppliance`.
    pub fn orders_for(
        &self,
        steering: &Steering,
        appliance: &ApplianceId,
        fill_ticket: String,
        now: UnixMillis,
    ) -> Result<SignedOrders, SteeringError> {
        let fleet = steering.fleet();
        if !fleet.registry.appliances.contains_key(appliance) {
            return Err(SteeringError::UnknownAppliance(appliance.clone()));
        }
        let windows = self.windows_ahead(now, |scope| covers(scope, appliance, &fleet));
        let (plan, keys) = (self.plan.load(), self.keys.load());
        let plan = plan.as_deref();
        let work = plan.and_then(|plan| {
            let part = plan.appliances.iter().find(|part| part.appliance == *appliance)?;
            Some(self.lend(part.clone(), now))
        });
        let orders = Orders {
            appliance: appliance.clone(),
            now,
            serial: plan.map_or(0, |plan| plan.serial),
            plan: plan.map(|plan| plan.id),
            windows,
            work,
            fill_ticket,
            next_key: keys.next(now),
        };
        let orders = serde_json::to_string(&orders).expect("orders are strings and numbers");
        let signer = keys.signer(now);
        let signature = signer.sign(&orders);
        Ok(SignedOrders { orders, signature, key: signer.public_key() })
    }

    /// Public key under which orders are signed at `now`: what an agent that is set up now pins
    /// with `control.orders_key`. It follows the next one by itself.
    #[must_use]
    pub fn orders_key(&self, now: UnixMillis) -> String {
        self.keys.load().signer(now).public_key()
    }

    /// What signs steering bundles at `now`: the key of orders, in a domain of its own, with the
    /// way to it from every key before.
    #[must_use]
    pub fn bundle_keys(&self, now: UnixMillis) -> BundleKeys {
        self.keys.load().bundle_keys(now)
    }

    /// Takes in how far an agent is; the caller has matched its key.
    pub fn report(&self, mut report: FillReport, now: UnixMillis) {
        report.failures.truncate(FILL_FAILURES_MAX);
        for failure in &mut report.failures {
            failure.why.truncate(failure.why.floor_char_boundary(FILL_WHY_BYTES_MAX));
        }
        report.troubles.truncate(FILL_FAILURES_MAX);
        for trouble in &mut report.troubles {
            trouble.truncate(trouble.floor_char_boundary(FILL_WHY_BYTES_MAX));
        }
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.insert(report.appliance.clone(), FillProgress { report, heard_at: now });
    }

    /// The night so far, by appliance.
    #[must_use]
    pub fn fills(&self) -> Vec<FillProgress> {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.values().cloned().collect()
    }

    /// All that the director looks at; `objects` with their demand come from catalog and telemetry.
    #[must_use]
    pub fn fill_state(
        &self,
        steering: &Steering,
        objects: Vec<PlaceableObject>,
        now: UnixMillis,
    ) -> FillState {
        FillState {
            now,
            objects,
            appliances: steering.fill_appliances(now),
            windows: self.windows_ahead(now, |_| true),
            history: Vec::new(),
        }
    }
}

fn is_over(window: &Window, now: UnixMillis) -> bool {
    window.closed || window.closes_at <= now
}

/// Whether `scope` reaches an appliance.
fn covers(scope: &WindowScope, appliance: &ApplianceId, fleet: &Fleet) -> bool {
    let site = || {
        let registered = fleet.registry.appliances.get(appliance)?;
        fleet.registry.sites.get(&registered.record.site)
    };
    match scope {
        WindowScope::Appliance(id) => id == appliance,
        WindowScope::Site(id) => site().is_some_and(|site| site.id == *id),
        WindowScope::Isp(id) => site().is_some_and(|site| site.isp == *id),
        WindowScope::Everyone => true,
    }
}

fn open_window_check(
    new: NewWindow,
    fleet: &Fleet,
    now: UnixMillis,
) -> Result<Window, SteeringError> {
    let refused = |why: String| Err(SteeringError::BadWindow { window: new.id.clone(), why });
    if !(WINDOW_MS_MIN..=WINDOW_MS_MAX).contains(&new.length_ms) {
        return refused(format!("{} ms is not between 1 second and 24 hours", new.length_ms));
    }
    if new.rate_bps_max == Some(0) || new.bytes_max == Some(0) {
        return refused("a cap of 0 is no window: leave the cap out or do not open it".to_owned());
    }
    let opens_at = new.opens_at.unwrap_or(now);
    let closes_at = opens_at.plus_millis(new.length_ms);
    if closes_at <= now {
        return refused("it would be over already: opens_at is too long ago".to_owned());
    }
    if opens_at.millis_since(now) > WINDOW_AHEAD_MS {
        let days = WINDOW_AHEAD_MS / 86_400_000;
        return refused(format!("it would open in more than {days} days: is the year right?"));
    }
    if reaches_nobody(&new.scope, fleet) {
        return refused("its scope names nobody that is registered".to_owned());
    }
    let NewWindow { id, scope, rate_bps_max, bytes_max, .. } = new;
    Ok(Window { id, scope, opens_at, closes_at, rate_bps_max, bytes_max, closed: false })
}

/// Whether `scope` names something that is not registered.
fn reaches_nobody(scope: &WindowScope, fleet: &Fleet) -> bool {
    let registry = &fleet.registry;
    match scope {
        WindowScope::Appliance(id) => !registry.appliances.contains_key(id),
        WindowScope::Site(id) => !registry.sites.contains_key(id),
        WindowScope::Isp(id) => !registry.sites.values().any(|site| site.isp == *id),
        WindowScope::Everyone => false,
    }
}
