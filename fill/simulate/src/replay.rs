//! One policy over the whole trace, slot by slot, and what came of it. Owns the accounts; the
//! policies are elsewhere.

use fill_plan::billing::billed_bps;

use crate::bound::bound;
use crate::cache::{Frequent, Recent, piece_key};
use crate::demand::{Read, Reads, SLOT_SECONDS, SLOTS_PER_DAY};
use crate::error::SimulateError;
use crate::generate::Known;
use crate::night::{Foresight, Night};
use crate::report::{PolicyReport, SiteReport, TierShares};
use crate::setting::{Setting, SiteSetting};
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

fn disk_bytes(site: &SiteSetting) -> u64 {
    site.boxes.iter().map(|one| one.ssd_bytes + one.hdd_bytes).sum()
}

/// A trace with the sites it names.
pub(crate) struct Stage<'a> {
    pub(crate) trace: &'a Trace,
    pub(crate) setting: &'a Setting,
    /// By index of the trace's sites.
    pub(crate) sites: Vec<&'a SiteSetting>,
    /// ISP of each site, and how many there are.
    pub(crate) isp_of: Vec<usize>,
    pub(crate) isps: usize,
    /// First slot of the window, from midnight.
    pub(crate) start_slot: usize,
    slots: usize,
}

/// What one slot carried, by ISP.
#[derive(Clone, Debug, Default)]
pub(crate) struct Border {
    /// Bits per second of misses, by slot.
    pub(crate) misses: Vec<u64>,
    /// Bits per second of fill, by slot.
    pub(crate) fill: Vec<u64>,
    /// Bits per second asked, by slot.
    asked: Vec<u64>,
}

/// Sums over the measured slots.
#[derive(Default)]
struct Sums {
    asked: Vec<u64>,
    inside: Vec<u64>,
    peak: Vec<u64>,
    ram: u64,
    ssd: u64,
    hdd: u64,
    isp: u64,
    reads: Vec<f64>,
}

impl<'a> Stage<'a> {
    fn new(trace: &'a Trace, setting: &'a Setting) -> Result<Self, SimulateError> {
        let mut mistakes = Vec::new();
        let mut sites = Vec::new();
        for name in &trace.sites {
            match setting.sites.iter().find(|site| site.site == *name) {
                Some(site) => sites.push(site),
                None => mistakes.push(format!("the trace has plays at {name:?}: add that site")),
            }
        }
        if trace.days() <= setting.warm_up_days + 1 {
            let (days, warm_up) = (trace.days(), setting.warm_up_days);
            mistakes.push(format!(
                "the trace has {days} days and warm_up_days is {warm_up}: \
                 leave at least two days to measure"
            ));
        }
        if !mistakes.is_empty() {
            return Err(SimulateError::Setting { mistakes });
        }
        let mut names: Vec<&str> = sites.iter().map(|site| site.isp.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let isp_of = sites
            .iter()
            .map(|site| names.binary_search(&site.isp.as_str()).unwrap_or_default())
            .collect();
        Ok(Self {
            trace,
            setting,
            isp_of,
            isps: names.len(),
            sites,
            start_slot: setting.window.start_minute as usize / 5,
            slots: trace.days() * SLOTS_PER_DAY,
        })
    }

    /// Fill days begin with the window; the first one has no window before it.
    pub(crate) fn fill_day(&self, slot: usize) -> usize {
        (slot + SLOTS_PER_DAY - self.start_slot) / SLOTS_PER_DAY
    }

    fn is_measured(&self, slot: usize) -> bool {
        self.fill_day(slot) > self.setting.warm_up_days
    }

    /// Bytes asked by fill day, site and object.
    pub(crate) fn daily(&self) -> Vec<Vec<Vec<f32>>> {
        let days = self.fill_day(self.slots - 1) + 1;
        let none = vec![vec![0.0; self.trace.objects.len()]; self.sites.len()];
        let mut daily = vec![none; days];
        let mut reads = Reads::new(self.trace);
        for slot in 0..self.slots {
            let day = &mut daily[self.fill_day(slot)];
            reads.slot(slot, |read| day[read.site][read.object as usize] += read.bytes as f32);
        }
        daily
    }

    fn sums(&self) -> Sums {
        let none = vec![0; self.sites.len()];
        Sums { asked: none.clone(), inside: none.clone(), peak: none, ..Sums::default() }
    }

    /// A cache that fills on demand; `hit` answers how many bytes of a read it had, and how many
    /// beyond the read it had to fetch.
    fn on_demand(
        &self,
        mut hit: impl FnMut(&Read, f64) -> (u64, u64),
        policy: Policy,
        told: &mut impl FnMut(usize),
    ) -> PolicyReport {
        let (mut sums, mut borders) = (self.sums(), vec![Border::default(); self.isps]);
        let mut reads = Reads::new(self.trace);
        for slot in 0..self.slots {
            let mut account = Account::new(self, slot);
            let day = slot as f64 / SLOTS_PER_DAY as f64;
            let mut ahead = vec![0; self.isps];
            reads.slot(slot, |read| {
                let (had, more) = hit(&read, day);
                ahead[self.isp_of[read.site]] += more;
                account.asked(&read, had, &mut sums);
            });
            account.close(&mut sums, &mut borders, &ahead);
            if (slot + 1) % SLOTS_PER_DAY == 0 {
                told(slot / SLOTS_PER_DAY);
            }
        }
        self.report(policy, &sums, &borders)
    }

    fn night(
        &self,
        foresight: Option<Foresight>,
        policy: Policy,
        told: &mut impl FnMut(usize),
    ) -> PolicyReport {
        let (mut sums, mut borders) = (self.sums(), vec![Border::default(); self.isps]);
        let mut night = Night::new(self, foresight);
        let mut reads = Reads::new(self.trace);
        for slot in 0..self.slots {
            let fill = night.begin_slot(slot, &borders, self.is_measured(slot));
            let mut account = Account::new(self, slot);
            reads.slot(slot, |read| {
                let served = night.read(&read);
                let here = served.here.ram + served.here.ssd + served.here.hdd;
                if account.measured {
                    sums.ram += served.here.ram;
                    sums.ssd += served.here.ssd;
                    sums.hdd += served.here.hdd;
                    sums.isp += served.isp;
                }
                account.asked(&read, here + served.isp, &mut sums);
            });
            account.close(&mut sums, &mut borders, &fill);
            let reads_a_second = night.end_slot();
            if account.measured {
                sums.reads.push(reads_a_second);
            }
            if (slot + 1) % SLOTS_PER_DAY == 0 {
                told(slot / SLOTS_PER_DAY);
            }
        }
        let mut report = self.report(policy, &sums, &borders);
        let filled = night.filled();
        report.fill_wasted_bytes = filled.wasted;
        report.fill_local_bytes = filled.local;
        report.flash_for_nine_tenths = night.flash_for_nine_tenths();
        report.misses = night.misses(report.asked_bytes);
        let unique = report.fill_border_bytes.saturating_sub(filled.wasted).max(1);
        report.fill_border_per_unique = report.fill_border_bytes as f64 / unique as f64;
        report
    }

    fn optimum(&self, policy: Policy) -> PolicyReport {
        let daily = self.daily();
        let sizes: Vec<u64> = self.trace.objects.iter().map(|object| object.bytes).collect();
        let mut report = PolicyReport { policy: policy.word().to_owned(), ..Default::default() };
        let from = self.setting.warm_up_days + 1;
        report.days = daily.len().saturating_sub(from);
        let (mut served, mut fetched) = (0.0, 0.0);
        for (at, site) in self.sites.iter().enumerate() {
            let days: Vec<Vec<f32>> = daily.iter().map(|day| day[at].clone()).collect();
            let asked: f64 = days[from..].iter().flatten().map(|bytes| f64::from(*bytes)).sum();
            let own = bound(site, &sizes, &days, from);
            served += own.served;
            fetched += own.fetched;
            report.asked_bytes += asked as u64;
            report.sites.push(SiteReport {
                site: site.site.clone(),
                asked_bytes: asked as u64,
                offload: own.served / asked.max(1.0),
                peak_bps: 0,
            });
        }
        report.offload = served / (report.asked_bytes as f64).max(1.0);
        report.fill_border_bytes = fetched as u64;
        report.fill_of_served = fetched / served.max(1.0);
        report.fill_of_storage_a_night = self.of_storage_a_night(fetched, report.days);
        report.border_bytes = (report.asked_bytes as f64 - served + fetched) as u64;
        report
    }

    fn of_storage_a_night(&self, fill_bytes: f64, nights: usize) -> f64 {
        let storage: u64 = self.sites.iter().map(|site| disk_bytes(site)).sum();
        fill_bytes / (nights.max(1) as f64 * storage.max(1) as f64)
    }

    fn report(&self, policy: Policy, sums: &Sums, borders: &[Border]) -> PolicyReport {
        let (asked, inside): (u64, u64) = (sums.asked.iter().sum(), sums.inside.iter().sum());
        let first = (0..self.slots).find(|slot| self.is_measured(*slot)).unwrap_or(self.slots);
        let bytes = |bps: &u64| bps / 8 * u64::from(SLOT_SECONDS);
        let mut report = PolicyReport {
            policy: policy.word().to_owned(),
            days: (self.slots - first).div_ceil(SLOTS_PER_DAY),
            asked_bytes: asked,
            offload: inside as f64 / asked.max(1) as f64,
            ..PolicyReport::default()
        };
        let percentile = self.setting.percentile;
        for border in borders {
            let both: Vec<u64> =
                border.misses.iter().zip(&border.fill).map(|(miss, fill)| miss + fill).collect();
            let with = billed_bps(&both[first..], percentile);
            let without = billed_bps(&border.misses[first..], percentile);
            report.billed_bps += with;
            report.billed_without_fill_bps += without;
            report.billed_without_boxes_bps += billed_bps(&border.asked[first..], percentile);
            let ratio = if with == without { 1.0 } else { with as f64 / without.max(1) as f64 };
            report.billed_ratio_max = report.billed_ratio_max.max(ratio);
            report.fill_border_bytes += border.fill[first..].iter().map(bytes).sum::<u64>();
        }
        report.border_bytes = asked - inside + report.fill_border_bytes;
        report.fill_of_served = report.fill_border_bytes as f64 / inside.max(1) as f64;
        let filled = report.fill_border_bytes as f64;
        report.fill_of_storage_a_night = self.of_storage_a_night(filled, report.days);
        let share = |bytes: u64| bytes as f64 / inside.max(1) as f64;
        report.tiers = TierShares {
            ram: share(sums.ram),
            ssd: share(sums.ssd),
            hdd: share(sums.hdd),
            isp: share(sums.isp),
        };
        let mut reads = sums.reads.clone();
        reads.sort_by(f64::total_cmp);
        report.hdd_reads_max = reads.last().copied().unwrap_or(0.0);
        report.hdd_reads_p99 = reads.get(reads.len() * 99 / 100).copied().unwrap_or(0.0);
        for (at, site) in self.sites.iter().enumerate() {
            report.sites.push(SiteReport {
                site: site.site.clone(),
                asked_bytes: sums.asked[at],
                offload: sums.inside[at] as f64 / sums.asked[at].max(1) as f64,
                peak_bps: sums.peak[at] * 8 / u64::from(SLOT_SECONDS),
            });
        }
        report
    }
}

/// The account of one slot.
struct Account<'a> {
    stage: &'a Stage<'a>,
    measured: bool,
    asked: Vec<u64>,
    missed: Vec<u64>,
}

impl<'a> Account<'a> {
    fn new(stage: &'a Stage<'a>, slot: usize) -> Self {
        let none = vec![0; stage.sites.len()];
        Self { stage, measured: stage.is_measured(slot), asked: none.clone(), missed: none }
    }

    /// A read of which `inside` bytes came from inside the ISP.
    fn asked(&mut self, read: &Read, inside: u64, sums: &mut Sums) {
        self.asked[read.site] += read.bytes;
        self.missed[read.site] += read.bytes - inside;
        if self.measured {
            sums.asked[read.site] += read.bytes;
            sums.inside[read.site] += inside;
        }
    }

    fn close(&self, sums: &mut Sums, borders: &mut [Border], fill: &[u64]) {
        let bps = |bytes: u64| bytes * 8 / u64::from(SLOT_SECONDS);
        let mut slots = vec![(0, 0); borders.len()];
        for (site, isp) in self.stage.isp_of.iter().enumerate() {
            slots[*isp].0 += self.asked[site];
            slots[*isp].1 += self.missed[site];
            if self.measured {
                sums.peak[site] = sums.peak[site].max(self.asked[site]);
            }
        }
        for ((border, (asked, missed)), fill) in borders.iter_mut().zip(slots).zip(fill) {
            border.asked.push(bps(asked));
            border.misses.push(bps(missed));
            border.fill.push(bps(*fill));
        }
    }
}
