//! Whether an appliance may be offered, judged from its reports with hysteresis. Pure.
//!
//! Mechanics: each report is compared with the one before it. Thresholds are in `limits.rs`.
//! Policy:
//! - *Silent* after `silent_ms` without a report; back after `REPORTS_TO_RETURN` punctual ones, so
//!   that one packet through a failing link does not bring members back to it.
//! - *Sick* at once when every volume is bad; after `BAD_REPORTS_TO_SICK` reports in a row with 5xx
//!   above `ERRORS_PER_MILLE_BAD`; well after `GOOD_REPORTS_TO_WELL` good ones in a row.
//! - Requests too few to judge are counted on into the next report, or a box that fails every one
//!   of
//!   a few requests a second would never be sick; a report without any is a good one.
//! - Each fall soon after another doubles what it takes to come back: a sick box gets no members,
//!   so it looks well until it gets them again, and would go round for ever.
//! - *Draining* when the appliance says so or was asked to.
//! - Ages are counted by [`Ear`](crate::ear::Ear), not by the wall clock, so that a clock that
//!   jumps ages nobody.
//!
//! ```text
//!            report                    gap > silent_ms
//! Unheard ───────────▶ Healthy ◀─────────────────────────▶ Silent
//!                      ▲     │      punctual reports
//!           good reports     │ bad reports, all volumes bad
//!                      └── Sick
//! ```

use std::sync::Arc;

use control_types::fleet::{ApplianceRecord, ApplianceReport, Health};

use crate::ear::{Moment, silent_ms_of};
use crate::fleet::Seen;
use crate::held::Held;
use crate::library::Library;
use crate::limits::{
    BAD_REPORTS_TO_SICK, CPU_REPORTS, ERRORS_PER_MILLE_BAD, FALLS_DOUBLING_MAX,
    GOOD_REPORTS_TO_WELL, LOAD_BACK_PERCENT, QUARANTINED_KEPT_MAX, REPORTS_TO_FORGIVE,
    REPORTS_TO_RETURN, REQUESTS_JUDGED_MIN, RUNS_REMEMBERED_MAX,
};
use crate::policy::Policy;
use crate::service::Settings;
use crate::unproven::Unproven;

/// Counters over an appliance's last reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conduct {
    /// Reports in a row that came in time, saturating.
    pub punctual: u32,
    /// As many of them bring it back from silence.
    pub return_at: u32,
    /// Bad reports in a row.
    pub bad: u32,
    /// Good reports in a row.
    pub good: u32,
    /// Judged sick and not yet well.
    pub sick: bool,
    /// Requests not judged yet, because they were too few.
    pub requests: u64,
    /// Of these, failed.
    pub errors: u64,
    /// Times it fell sick or silent since it was last steady for `REPORTS_TO_FORGIVE` reports.
    pub falls: u32,
}

impl Conduct {
    /// Of an appliance heard for the first time: trusted, or a restart of control would leave
    /// members without appliances for as long as returning takes.
    const FIRST: Self = Self {
        punctual: REPORTS_TO_RETURN,
        return_at: REPORTS_TO_RETURN,
        bad: 0,
        good: 0,
        sick: false,
        requests: 0,
        errors: 0,
        falls: 0,
    };

    /// `reports` after a first fall, twice as many after each further one, up to a bound.
    fn doubled(&self, reports: u32) -> u32 {
        reports << self.falls.saturating_sub(1).min(FALLS_DOUBLING_MAX)
    }

    /// Whether too many requests failed; `None` while there are errors among too few to tell. A new
    /// run counts from its own zero.
    fn judge_errors(&mut self, before: Option<&Seen>, report: &ApplianceReport) -> Option<bool> {
        // Totals of a run that began long before control did say nothing about now.
        let before = before.filter(|before| before.report.run == report.run);
        let (requests, errors) = before.map_or((0, 0), |before| {
            let before = &before.report;
            let requests = report.requests_total.saturating_sub(before.requests_total);
            (requests, report.errors_total.saturating_sub(before.errors_total))
        });
        if requests == 0 {
            (self.requests, self.errors) = (0, 0);
            return Some(false);
        }
        self.requests = self.requests.saturating_add(requests);
        self.errors = self.errors.saturating_add(errors);
        if self.requests < REQUESTS_JUDGED_MIN {
            return if self.errors == 0 { Some(false) } else { None };
        }
        let failed = self.errors.saturating_mul(1000);
        let is_bad = failed >= self.requests.saturating_mul(ERRORS_PER_MILLE_BAD);
        (self.requests, self.errors) = (0, 0);
        Some(is_bad)
    }
}

/// What a report made of what was known.
#[derive(Clone, Debug)]
pub enum Folded {
    /// A report that was heard before, or came after a later one: nothing changed.
    Stale,
    /// The new state.
    Heard {
        /// To be kept.
        seen: Box<Seen>,
        /// The content set is not known: ask for it.
        want_content: bool,
    },
}

/// How loaded an appliance is, and the step of that with hysteresis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadStep {
    /// Of its capacity: the greatest of bits, members, port and processor.
    pub per_mille: u32,
    /// 0 idle, 1 busy, 2 high, 3 full: up as soon as a threshold is reached, down when the load is
    /// `LOAD_BACK_PERCENT` below it.
    pub step: u8,
}

impl LoadStep {
    /// The load that comes after `self`.
    #[must_use]
    pub fn next(self, per_mille: u32, policy: &Policy) -> Self {
        let reached = policy.step_of(per_mille);
        let left = policy.step_of(per_mille.saturating_add(LOAD_BACK_PERCENT as u32 * 10));
        Self { per_mille, step: self.step.clamp(reached, left.max(reached)) }
    }
}

/// What a report is held against.
#[derive(Clone, Copy, Debug)]
pub struct Yardstick<'a> {
    /// Objects by name and slot.
    pub library: &'a Library,
    /// As registered.
    pub record: &'a ApplianceRecord,
    /// Thresholds.
    pub settings: &'a Settings,
    /// By both clocks.
    pub now: Moment,
}

/// Whether a report may be what it says: of a run that is not over, and not heard before.
/// `is_silent` says that the run heard last has fallen silent, so that an earlier one may go on: a
/// new program that turned out unfit reports once or twice and ends.
///
/// # Errors
/// `ReportStale`, `Duplicate`.
pub fn believe(
    before: Option<&Seen>,
    report: &ApplianceReport,
    is_silent: bool,
) -> Result<(), Unproven> {
    let Some(before) = before else { return Ok(()) };
    let past = before.past_runs.iter().find(|(run, _)| *run == report.run);
    let last = match past {
        _ if before.report.run == report.run => before.report.sequence,
        Some(_) if !is_silent => return Err(Unproven::Duplicate),
        Some((_, last)) => *last,
        None => return Ok(()),
    };
    if report.sequence <= last { Err(Unproven::ReportStale) } else { Ok(()) }
}

/// Folds one report into what was known of the appliance; the caller [`believe`]s it.
#[must_use]
pub fn fold(before: Option<&Seen>, mut report: ApplianceReport, by: &Yardstick<'_>) -> Folded {
    if let Some(before) = before {
        let same_run = before.report.run == report.run;
        if same_run && report.sequence <= before.report.sequence {
            return Folded::Stale;
        }
    }
    let held = fold_content(before, &mut report, by.library);
    // Folded in by now; a copy of the report is kept, and made again for whoever looks.
    report.quarantined.truncate(QUARANTINED_KEPT_MAX);
    report.quarantined.shrink_to_fit();
    let want_content = held.digest != report.content_digest;
    let silent_ms = before.map_or(0, |before| silent_ms_of(before, by.settings.silent_ms));
    let conduct = fold_conduct(before, &report, silent_ms, by.now);
    let load = before.map_or(LoadStep::default(), |before| before.load);
    let cpu_per_mille = cpu_per_mille(before, &report);
    let cpu_counted = if by.settings.cpu_in_load { cpu_per_mille } else { 0 };
    let per_mille = load_per_mille(by.record, &report).max(cpu_counted).min(10_000);
    let load = load.next(per_mille, &by.settings.policy);
    let past_runs = past_runs(before, &report);
    let Moment { wall, steady_ms } = by.now;
    let seen = Seen {
        report: Arc::new(report),
        heard_at: wall,
        steady_ms,
        conduct,
        load,
        cpu_per_mille,
        past_runs,
        held,
    };
    Folded::Heard { seen: Box::new(seen), want_content }
}

fn load_per_mille(record: &ApplianceRecord, report: &ApplianceReport) -> u32 {
    let share = |part: u64, whole: u64| {
        u32::try_from(u128::from(part) * 1_000 / u128::from(whole.max(1))).unwrap_or(u32::MAX)
    };
    let bits = share(report.sending_bps, record.capacity_bps);
    let members = record.detail.connections_max;
    let members = members.map_or(0, |most| share(report.connections, most));
    let machine = report.more.machine.unwrap_or_default();
    bits.max(members).max(machine.nic_per_mille)
}

/// The processor's share smoothed over `CPU_REPORTS`: a burst of a second (a scrub, a report of a
/// million objects) sends nobody away, a box that is out of breath does. A new run starts over.
fn cpu_per_mille(before: Option<&Seen>, report: &ApplianceReport) -> u32 {
    let Some(machine) = report.more.machine else { return 0 };
    let now = machine.cpu_per_mille.min(1_000);
    match before.filter(|before| before.report.run == report.run) {
        Some(before) => (before.cpu_per_mille * (CPU_REPORTS - 1) + now) / CPU_REPORTS,
        // Its first look has nothing to compare with and says 0; a first high one is no average.
        None => now / CPU_REPORTS,
    }
}

/// Earlier runs after this report, newest first.
fn past_runs(before: Option<&Seen>, report: &ApplianceReport) -> Vec<(uuid::Uuid, u64)> {
    let Some(before) = before else { return Vec::new() };
    if before.report.run == report.run {
        return before.past_runs.clone();
    }
    let last = (before.report.run, before.report.sequence);
    let older = before.past_runs.iter().filter(|(run, _)| *run != report.run).copied();
    std::iter::once(last).chain(older).take(RUNS_REMEMBERED_MAX).collect()
}

/// Until the set that was asked for comes, the last one stands: mostly right beats nothing.
fn fold_content(
    before: Option<&Seen>,
    report: &mut ApplianceReport,
    library: &Library,
) -> Arc<Held> {
    let known = before.map(|before| Arc::clone(&before.held)).unwrap_or_default();
    let digest = || report.content_digest.clone();
    let mut held = match (report.content.take(), report.more.held.take()) {
        (Some(listing), _) => Arc::new(Held::listed(digest(), &listing, library)),
        (None, Some(update)) if update.base.is_empty() => {
            Arc::new(Held::whole(&update, digest(), library))
        }
        // A change of another set than ours: the digests will differ, which asks for the whole.
        (None, Some(update)) => known.changed(&update, digest(), library).map_or(known, Arc::new),
        (None, None) => known,
    };
    let named = std::mem::take(&mut report.more.named);
    if !named.is_empty() {
        Arc::make_mut(&mut held).name(&named);
    }
    let holds_lost = !report.quarantined.is_empty() && held.has_any(&report.quarantined, library);
    if holds_lost { Arc::new(held.without(&report.quarantined, library)) } else { held }
}

fn fold_conduct(
    before: Option<&Seen>,
    report: &ApplianceReport,
    silent_ms: u64,
    now: Moment,
) -> Conduct {
    let mut conduct = before.map_or(Conduct::FIRST, |before| {
        let mut conduct = before.conduct;
        if now.steady_ms.saturating_sub(before.steady_ms) <= silent_ms {
            conduct.punctual = conduct.punctual.saturating_add(1);
        } else {
            conduct.punctual = 1;
            conduct.falls = conduct.falls.saturating_add(1);
            conduct.return_at = conduct.doubled(REPORTS_TO_RETURN);
        }
        conduct
    });
    let all_volumes_bad =
        !report.volumes.is_empty() && report.volumes.iter().all(|volume| !volume.healthy);
    match conduct.judge_errors(before, report) {
        Some(false) if !all_volumes_bad => {
            conduct.bad = 0;
            conduct.good = conduct.good.saturating_add(1);
        }
        None if !all_volumes_bad => {}
        Some(_) | None => {
            conduct.good = 0;
            conduct.bad = conduct.bad.saturating_add(1);
        }
    }
    if all_volumes_bad || conduct.bad >= BAD_REPORTS_TO_SICK {
        conduct.falls = conduct.falls.saturating_add(u32::from(!conduct.sick));
        conduct.sick = true;
    } else if conduct.good >= conduct.doubled(GOOD_REPORTS_TO_WELL) {
        conduct.sick = false;
    }
    if !conduct.sick && conduct.good.min(conduct.punctual) >= REPORTS_TO_FORGIVE {
        conduct.falls = 0;
    }
    conduct
}

/// Whether an appliance may be offered, `listened_ms` by the ear's count. `drain` is the operator's
/// or ISP's wish.
#[must_use]
pub fn health(seen: Option<&Seen>, drain: bool, silent_ms: u64, listened_ms: u64) -> Health {
    let Some(seen) = seen else { return Health::Unheard };
    let is_silent = listened_ms.saturating_sub(seen.steady_ms) > silent_ms;
    if is_silent || seen.conduct.punctual < seen.conduct.return_at {
        return Health::Silent;
    }
    if drain || seen.report.draining {
        return Health::Draining;
    }
    if seen.conduct.sick { Health::Sick } else { Health::Healthy }
}
