//! A trace with the sites it names, replayed slot by slot: on demand, by ours at night, or bounded.
//! Decides what a slot is; never what a site holds.

use crate::account::{Account, Border, Sums};
use crate::bound::bound;
use crate::demand::{Read, Reads, SLOTS_PER_DAY};
use crate::error::SimulateError;
use crate::night::{Foresight, Night};
use crate::replay::Policy;
use crate::report::{PolicyReport, SiteReport};
use crate::setting::{Setting, SiteSetting};
use crate::trace::Trace;

/// Most memory that a replay may take for what it keeps by site and object, 8 GiB.
const MEMORY_BYTES_MAX: u64 = 8 << 30;
/// Bytes of a site's object that ours keeps: what was asked and is expected, where it is, and since
/// when.
const NIGHT_CELL_BYTES: u64 = 64;
/// Bytes of a site's object on one day, where all days are known.
const DAY_CELL_BYTES: u64 = 4;

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
    /// Slots there are.
    pub(crate) slots: usize,
}
impl<'a> Stage<'a> {
    pub(crate) fn new(trace: &'a Trace, setting: &'a Setting) -> Result<Self, SimulateError> {
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

    /// Refuses a replay that would take more than [`MEMORY_BYTES_MAX`]: a program that is ended for
    /// its memory cannot say why.
    pub(crate) fn check(&self, policy: Policy) -> Result<(), SimulateError> {
        let days = self.trace.days() as u64 + 1;
        let cell_bytes = match policy {
            Policy::Nightfill => NIGHT_CELL_BYTES,
            Policy::Foresight | Policy::KnownRates => NIGHT_CELL_BYTES + days * DAY_CELL_BYTES,
            Policy::Optimum => days * DAY_CELL_BYTES,
            // What they hold is a matter of what was asked.
            Policy::Lru | Policy::LruFiles | Policy::Lfu => return Ok(()),
        };
        let (sites, objects) = (self.sites.len() as u64, self.trace.objects.len() as u64);
        let bytes = sites.saturating_mul(objects).saturating_mul(cell_bytes);
        if bytes <= MEMORY_BYTES_MAX {
            return Ok(());
        }
        let (word, most) = (policy.word(), MEMORY_BYTES_MAX >> 30);
        let mistakes = vec![format!(
            "{word} of {sites} sites and {objects} objects over {days} days would take {} GiB of \
             memory, and may take {most}: replay fewer sites or days at a time",
            bytes >> 30
        )];
        Err(SimulateError::Setting { mistakes })
    }

    /// Fill days begin with the window; the first one has no window before it.
    pub(crate) fn fill_day(&self, slot: usize) -> usize {
        (slot + SLOTS_PER_DAY - self.start_slot) / SLOTS_PER_DAY
    }

    pub(crate) fn is_measured(&self, slot: usize) -> bool {
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
    pub(crate) fn on_demand(
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

    pub(crate) fn night(
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

    pub(crate) fn optimum(&self, policy: Policy) -> PolicyReport {
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

    pub(crate) fn of_storage_a_night(&self, fill_bytes: f64, nights: usize) -> f64 {
        let storage: f64 = self.sites.iter().map(|site| disk_bytes(site) as f64).sum();
        fill_bytes / (nights.max(1) as f64 * storage.max(1.0))
    }
}

/// Disk of a site, bytes.
pub(crate) fn disk_bytes(site: &SiteSetting) -> u64 {
    site.boxes.iter().map(|one| one.ssd_bytes + one.hdd_bytes).sum()
}
