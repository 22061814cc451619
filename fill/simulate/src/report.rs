//! What came of one policy, in bytes and shares. Counts; judges nothing.

use serde::Serialize;

/// One policy over the days after the warm-up.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PolicyReport {
    /// Its name.
    pub policy: String,
    /// Days the figures are of; the last one ends at midnight, a few hours short of a fill day.
    pub days: usize,
    /// Bytes members asked.
    pub asked_bytes: u64,
    /// Share of them served from inside the ISP, 0 to 1.
    pub offload: f64,
    /// Bytes brought to the boxes across the ISPs' borders.
    pub fill_border_bytes: u64,
    /// Of these, bytes that had crossed before and were had twice (a box died, a pull was dropped).
    pub fill_wasted_bytes: u64,
    /// Border bytes of fill over those that had to cross: 1 is perfect.
    pub fill_border_per_unique: f64,
    /// Bytes copied between boxes of an ISP.
    pub fill_local_bytes: u64,
    /// Fill across the border over bytes served.
    pub fill_of_served: f64,
    /// Fill across the border of a night, over the disks of all boxes: how much of what is stored
    /// changes.
    pub fill_of_storage_a_night: f64,
    /// All bytes across the borders: misses and fill.
    pub border_bytes: u64,
    /// Where served bytes came from.
    pub tiers: TierShares,
    /// Share of its storage that a site would need as flash for nine tenths of what it served to
    /// come from there, were flash filled by what was expected of the day, memory apart: the mean
    /// of sites and days, weighed by bytes served. Of a policy that plans nights.
    pub flash_for_nine_tenths: f64,
    /// Why the others were not there; of a policy that plans nights.
    pub misses: MissShares,
    /// Reads of 1 MiB a second of one rotating disk: the 99th percentile of 5-minute slots of the
    /// busiest box, and the worst slot.
    pub hdd_reads_p99: f64,
    /// See `hdd_reads_p99`.
    pub hdd_reads_max: f64,
    /// Bits per second billed, all ISPs together, fill included.
    pub billed_bps: u64,
    /// The same with the same misses and no fill.
    pub billed_without_fill_bps: u64,
    /// The same with no boxes at all.
    pub billed_without_boxes_bps: u64,
    /// `billed_bps` over `billed_without_fill_bps`, the worst ISP.
    pub billed_ratio_max: f64,
    /// By site.
    pub sites: Vec<SiteReport>,
}

/// Shares of served bytes, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TierShares {
    /// From memory.
    pub ram: f64,
    /// From flash.
    pub ssd: f64,
    /// From rotating disks.
    pub hdd: f64,
    /// From another site of the ISP.
    pub isp: f64,
}

/// Missed bytes by cause, shares of the bytes asked; together what offload lacks to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MissShares {
    /// Planned, and not come yet: the window was too short or too narrow.
    pub awaited: f64,
    /// There in the week before, and gone for another.
    pub dropped: f64,
    /// Another rung of the title was there.
    pub rung: f64,
    /// Expected to bring less than a fetch must.
    pub unforeseen: f64,
    /// Expected to pay, and others more.
    pub crowded: f64,
}

/// One site.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SiteReport {
    /// Its name.
    pub site: String,
    /// Bytes its members asked.
    pub asked_bytes: u64,
    /// Share served from inside the ISP.
    pub offload: f64,
    /// Bits per second asked in its busiest 5 minutes.
    pub peak_bps: u64,
}
