//! Where a trace is replayed: sites, their boxes, the window, the knobs. Checked whole, every
//! mistake told at once; holds no logic of the night.

use fill_plan::Knobs;
use fill_plan::forecast::Tuning;
use serde::{Deserialize, Serialize};

use crate::error::SimulateError;

/// Most boxes of one site: where an object is, is kept as one bit a box.
pub(crate) const BOXES_MAX: usize = 32;
/// Most sites: as many as a trace may name.
const SITES_MAX: usize = crate::trace::SITES_MAX;
/// Most bytes of one kind of a box's storage, 16 PiB: what a site's boxes have together is then a
/// number of 64 bits.
const BOX_BYTES_MAX: u64 = 1 << 54;
const _: () = assert!((BOX_BYTES_MAX as u128) * 2 * (BOXES_MAX as u128) < u64::MAX as u128);

/// A sites file: one JSON object, unknown keys refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// At least one; every site that a trace names must be here.
    pub sites: Vec<SiteSetting>,
    /// When boxes fill, the same local time everywhere.
    pub window: WindowSetting,
    /// Days that only warm up forecast and disks; figures are of the days after. Default 28.
    #[serde(default = "a_month")]
    pub warm_up_days: usize,
    /// The percentile the ISPs are billed by. Default 0.95.
    #[serde(default = "usual_percentile")]
    pub percentile: f64,
    /// Whether fill keeps to the rate that leaves the billed percentile alone, on top of the
    /// window's cap. Default true.
    #[serde(default = "yes")]
    pub spare_percentile: bool,
    /// Chance that a box is away for a whole night and day, 0 to 1. Default 0.
    #[serde(default)]
    pub outage: f64,
    /// Seed of the outages. Default 1.
    #[serde(default = "one")]
    pub seed: u64,
    /// What a box's memory keeps. Default `everything`.
    #[serde(default)]
    pub memory: MemoryKeeps,
    /// What the planner takes or leaves as one. Default `files`.
    #[serde(default)]
    pub unit: Unit,
    /// The planner's.
    #[serde(default)]
    pub knobs: Knobs,
    /// How strongly the forecast leans on what.
    #[serde(default)]
    pub forecast: Tuning,
}

/// What of the bytes it sends a box keeps in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryKeeps {
    /// From either kind of disk, as `oca` does.
    #[default]
    Everything,
    /// What lies on rotating disks only: memory and flash then never hold the same bytes.
    Rotating,
}

/// What the planner takes or leaves as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A title's core, and each of its other rungs: as `fill-plan` does.
    #[default]
    Files,
    /// Whole titles, to see what that costs.
    Titles,
}

/// One site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteSetting {
    /// As plays name it.
    pub site: String,
    /// Whose border its misses cross; sites of one ISP fill each other.
    pub isp: String,
    /// At least one, at most 32.
    pub boxes: Vec<BoxSetting>,
}

/// One box.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxSetting {
    /// Its name, for rendezvous.
    pub name: String,
    /// Memory that keeps what was read last, bytes.
    pub ram_bytes: u64,
    /// Flash, bytes.
    pub ssd_bytes: u64,
    /// Rotating disks together, bytes.
    pub hdd_bytes: u64,
    /// How many rotating disks that is.
    #[serde(default = "one_disk")]
    pub hdds: u32,
}

/// The fill window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowSetting {
    /// Minutes after local midnight, 5 to 1435, a multiple of 5.
    pub start_minute: u32,
    /// Length, minutes, 5 to 1440, a multiple of 5.
    pub length_minutes: u32,
    /// Cap for each box, bits per second.
    pub rate_bps_max: u64,
}

fn a_month() -> usize {
    28
}

fn usual_percentile() -> f64 {
    0.95
}

fn yes() -> bool {
    true
}

fn one() -> u64 {
    1
}

fn one_disk() -> u32 {
    1
}

impl Setting {
    /// Reads a sites file.
    ///
    /// # Errors
    /// [`SimulateError::Setting`] with every mistake in it.
    pub fn read(text: &str) -> Result<Self, SimulateError> {
        let setting: Self = serde_json::from_str(text)
            .map_err(|error| SimulateError::Setting { mistakes: vec![error.to_string()] })?;
        setting.check()?;
        Ok(setting)
    }

    /// # Errors
    /// [`SimulateError::Setting`] with every mistake in it.
    pub fn check(&self) -> Result<(), SimulateError> {
        let mut mistakes = self.knobs.mistakes();
        mistakes.extend(self.forecast.mistakes());
        if self.sites.len() > SITES_MAX {
            // Nothing more is looked for: names are compared each with each.
            mistakes.push(format!("there are {} sites: use 1 to {SITES_MAX}", self.sites.len()));
            return Err(SimulateError::Setting { mistakes });
        }
        let WindowSetting { start_minute, length_minutes, rate_bps_max } = self.window;
        let mut must = |holds: bool, otherwise: String| {
            if !holds {
                mistakes.push(otherwise);
            }
        };
        must(!self.sites.is_empty(), "there are no sites".to_owned());
        must(
            (5..=1435).contains(&start_minute) && start_minute.is_multiple_of(5),
            format!("window.start_minute is {start_minute}: use 5 to 1435 in steps of 5"),
        );
        must(
            (5..=1440).contains(&length_minutes) && length_minutes.is_multiple_of(5),
            format!("window.length_minutes is {length_minutes}: use 5 to 1440 in steps of 5"),
        );
        must(rate_bps_max > 0, "window.rate_bps_max is 0: nothing could be filled".to_owned());
        must(
            (0.5..=1.0).contains(&self.percentile),
            format!("percentile is {}: use 0.5 to 1", self.percentile),
        );
        must((0.0..=1.0).contains(&self.outage), format!("outage is {}: use 0 to 1", self.outage));
        for (at, site) in self.sites.iter().enumerate() {
            let name = &site.site;
            let twice = self.sites[..at].iter().any(|other| other.site == *name);
            must(!twice, format!("site {name:?} is there twice"));
            let count = site.boxes.len();
            must(
                (1..=BOXES_MAX).contains(&count),
                format!("site {name:?} has {count} boxes: use 1 to {BOXES_MAX}"),
            );
            for (at, one) in site.boxes.iter().take(BOXES_MAX).enumerate() {
                let twice = site.boxes[..at].iter().any(|other| other.name == one.name);
                must(!twice, format!("box {:?} of {name:?} is there twice", one.name));
                must(
                    one.ssd_bytes > 0 || one.hdd_bytes > 0,
                    format!("box {:?} of {name:?} has no disk", one.name),
                );
                let most = one.ram_bytes.max(one.ssd_bytes).max(one.hdd_bytes);
                must(
                    most <= BOX_BYTES_MAX,
                    format!("box {:?} of {name:?} has {most} bytes: use 0 to 16 PiB", one.name),
                );
                must(
                    one.hdds > 0 || one.hdd_bytes == 0,
                    format!("box {:?} of {name:?} has hdd_bytes and no hdds", one.name),
                );
            }
        }
        if mistakes.is_empty() { Ok(()) } else { Err(SimulateError::Setting { mistakes }) }
    }
}
