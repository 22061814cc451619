//! Which policies there are, and one of them over a whole trace. Names who decides what a site
//! holds; the slots are gone through in `stage.rs`.

use crate::cache::{Frequent, Recent, piece_key};
use crate::demand::Read;
use crate::error::SimulateError;
use crate::generate::Known;
use crate::night::Foresight;
use crate::report::PolicyReport;
use crate::setting::Setting;
use crate::stage::{Stage, disk_bytes};
use crate::trace::Trace;

/// Who decides what a site holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Forecast, plan, window: ours.
    Nightfill,
    /// Ours with tomorrow known instead of forecast: what the forecast costs.
    Foresight,
    /// Ours with the rates that chance drew the trace by: the best forecast there can be. By
    /// [`simulate_known`] only.
    KnownRates,
    /// Pieces on demand, least recently used leave.
    Lru,
    /// Whole files on demand, as a proxy without slices stores them; least recently used leave. Its
    /// offload counts as served what a play's own first miss fetched ahead: compare border bytes.
    LruFiles,
    /// Pieces on demand, least frequently used leave.
    Lfu,
    /// The clairvoyant bound; see `bound.rs`.
    Optimum,
}

impl Policy {
    /// All that need nothing but a trace.
    pub const ALL: [Self; 6] =
        [Self::Nightfill, Self::Foresight, Self::Lru, Self::LruFiles, Self::Lfu, Self::Optimum];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Nightfill => "nightfill",
            Self::Foresight => "foresight",
            Self::KnownRates => "known_rates",
            Self::Lru => "lru",
            Self::LruFiles => "lru_files",
            Self::Lfu => "lfu",
            Self::Optimum => "optimum",
        }
    }
}

/// How far a replay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Whose.
    pub policy: Policy,
    /// Day that is over, from 0.
    pub day: usize,
    /// Days there are.
    pub days: usize,
}

/// Replays `trace` in `setting` under `policy`.
///
/// # Errors
/// A setting with mistakes, a site that is not in it, a trace shorter than the warm-up.
pub fn simulate(
    trace: &Trace,
    setting: &Setting,
    policy: Policy,
    mut progress: impl FnMut(Progress),
) -> Result<PolicyReport, SimulateError> {
    setting.check()?;
    let stage = Stage::new(trace, setting)?;
    stage.check(policy)?;
    let mut told = |day| progress(Progress { policy, day, days: trace.days() });
    Ok(match policy {
        Policy::Nightfill => stage.night(None, policy, &mut told),
        Policy::KnownRates => {
            let mistakes = vec!["rates are known to who made the trace only".to_owned()];
            return Err(SimulateError::Setting { mistakes });
        }
        Policy::Foresight => stage.night(Some(Foresight(stage.daily())), policy, &mut told),
        Policy::Lru => {
            let mut caches: Vec<Recent> =
                stage.sites.iter().map(|site| Recent::new(disk_bytes(site))).collect();
            let hit = |read: &Read, _| {
                (caches[read.site].read(piece_key(read.object, read.piece), read.bytes), 0)
            };
            stage.on_demand(hit, policy, &mut told)
        }
        Policy::LruFiles => {
            let mut caches: Vec<Recent> =
                stage.sites.iter().map(|site| Recent::new(disk_bytes(site))).collect();
            let hit = |read: &Read, _| {
                let whole = trace.objects[read.object as usize].bytes;
                match caches[read.site].read(u64::from(read.object), whole) {
                    0 => (0, whole.saturating_sub(read.bytes)),
                    _ => (read.bytes, 0),
                }
            };
            stage.on_demand(hit, policy, &mut told)
        }
        Policy::Lfu => {
            let mut caches: Vec<Frequent> =
                stage.sites.iter().map(|site| Frequent::new(disk_bytes(site))).collect();
            let hit = |read: &Read, day| {
                (caches[read.site].read(piece_key(read.object, read.piece), read.bytes, day), 0)
            };
            stage.on_demand(hit, policy, &mut told)
        }
        Policy::Optimum => stage.optimum(policy),
    })
}

/// Replays ours with what chance was told when it drew `trace`: no forecast can be better, and a
/// clairvoyant beats it by what is luck.
///
/// # Errors
/// As [`simulate`].
pub fn simulate_known(
    trace: &Trace,
    setting: &Setting,
    known: &Known,
    mut progress: impl FnMut(Progress),
) -> Result<PolicyReport, SimulateError> {
    setting.check()?;
    let stage = Stage::new(trace, setting)?;
    let policy = Policy::KnownRates;
    stage.check(policy)?;
    let mut told = |day| progress(Progress { policy, day, days: trace.days() });
    // The fill day of a window begins on the calendar day before it in number.
    let first = known.0.first().cloned().into_iter();
    let days: Vec<Vec<Vec<f32>>> = first.chain(known.0.iter().cloned()).collect();
    if days.len() <= stage.fill_day(stage.slots - 1) {
        let mistakes = vec!["the expectation is of another trace".to_owned()];
        return Err(SimulateError::Setting { mistakes });
    }
    Ok(stage.night(Some(Foresight(days)), policy, &mut told))
}
