//! `ocactl fill simulate` and `ocactl fill trace`: nights on paper, without a control plane.
//! Reads and writes files; the replay is `fill-simulate`'s.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use control_types::config_file::read_text_at_most;
use fill_simulate::{
    BoxSetting, Generator, MemoryKeeps, Policy, PolicyReport, Progress, Region, Setting,
    SiteSetting, Trace, Unit, WindowSetting, generate, simulate,
};
use serde_json::json;

use crate::failure::{Failure, tell};
use crate::quantities::{rate_bps, show_bytes, show_rate};
use crate::shown::Shown;

/// Lines of a trace between two words of progress.
const LINES_TOLD: usize = 1_000_000;

/// Longest line of a trace, bytes: a file that is none must not be read into memory.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// Largest file of sites, bytes: a thousand of thirty-two boxes each are five million.
const SITES_BYTES_MAX: u64 = 32 << 20;

/// What the two files hold; `fill-simulate` reads them and is the judge.
const FILES: &str = r#"The trace, one JSON object a line; unknown keys are refused:

  {"trace":1}                                                   the version, first line
  {"title":"t17","genre":"drama","published_day":-30}           day 0 is the first, a Monday
  {"object":"t17-1080","title":"t17","height":1080,"bytes":2100000000}
  {"play":71234,"site":"lisbon","object":"t17-1080","seconds":2400,"bytes":1500000000}

A play begins that many seconds after the trace, in the site's local time, and takes its bytes from
the object's start, evenly over its seconds. Titles come before their objects, objects before their
plays, plays in order of time.

The sites, one JSON object; from warm_up_days on, what is left out has the default shown:

  {"sites":[{"site":"lisbon","isp":"one","boxes":[{"name":"b1","ram_bytes":68719476736,
     "ssd_bytes":400000000000,"hdd_bytes":3600000000000,"hdds":12}]}],
   "window":{"start_minute":120,"length_minutes":360,"rate_bps_max":1200000000},
   "warm_up_days":28, "percentile":0.95, "spare_percentile":true, "outage":0, "seed":1,
   "memory":"everything", "knobs":{}, "forecast":{}}

"memory" may be "rotating": it then keeps what lies on rotating disks only. "knobs" is the
director's [plan] table. Figures are of the days after warm_up_days.

  ocactl fill trace --seed 1 --out t --sites s && ocactl fill simulate --trace t --sites s"#;

#[derive(Args)]
#[command(after_long_help = FILES)]
pub struct Simulate {
    /// The trace, one JSON object a line; `ocactl fill trace` makes one.
    #[arg(long, value_name = "FILE")]
    trace: PathBuf,
    /// Sites, boxes, window and knobs, one JSON object; `ocactl fill trace --sites` makes one.
    #[arg(long, value_name = "FILE")]
    sites: PathBuf,
    /// Whose decisions.
    #[arg(long, default_value = "all")]
    policy: PolicyWord,
}

#[derive(Clone, Copy, ValueEnum)]
enum PolicyWord {
    /// Forecast, plan, window.
    Nightfill,
    /// The same with tomorrow known.
    Foresight,
    /// 5-minute pieces on demand, least recently used leave.
    Lru,
    /// Whole files on demand, least recently used leave.
    LruFiles,
    /// 5-minute pieces on demand, least frequently used leave.
    Lfu,
    /// What no policy that changes whole files at night can exceed.
    Optimum,
    /// One after the other.
    All,
}

impl PolicyWord {
    fn policies(self) -> Vec<Policy> {
        match self {
            Self::Nightfill => vec![Policy::Nightfill],
            Self::Foresight => vec![Policy::Foresight],
            Self::Lru => vec![Policy::Lru],
            Self::LruFiles => vec![Policy::LruFiles],
            Self::Lfu => vec![Policy::Lfu],
            Self::Optimum => vec![Policy::Optimum],
            Self::All => Policy::ALL.to_vec(),
        }
    }
}

#[derive(Args)]
pub struct MakeTrace {
    /// Same seed, same trace.
    #[arg(long)]
    seed: u64,
    /// Where to write it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Also write a sites file for it: one box a site with a tenth of the catalog.
    #[arg(long, value_name = "FILE")]
    sites: Option<PathBuf>,
    /// Length, days.
    #[arg(long, default_value = "56")]
    days: u32,
    /// Titles there are on the first day.
    #[arg(long, default_value = "4000")]
    titles: u32,
    /// Titles that appear each week.
    #[arg(long, default_value = "20")]
    launches: u32,
    /// Zipf exponent of the titles' popularity.
    #[arg(long, default_value = "1.4")]
    zipf: f64,
    /// Ranks by which the head of that law is flattened; 0 for a straight one.
    #[arg(long, default_value = "105")]
    flat_ranks: f64,
    /// Deviation of a title's step from one day to the next, in the logarithm.
    #[arg(long, default_value = "0.03")]
    drift: f64,
    /// How many times what it settles to a launch has on top of it on its first day.
    #[arg(long, default_value = "20")]
    launch_boost: f64,
    /// A site and its busiest rate, for example metro=40Gbit; may be given several times.
    #[arg(long, value_name = "NAME=RATE", value_parser = region, default_value = "metro=10Gbit")]
    site: Vec<(String, u64)>,
}

fn region(text: &str) -> Result<(String, u64), String> {
    let refuse = || format!("{text:?} is not a site: write metro=40Gbit");
    let (name, rate) = text.split_once('=').ok_or_else(refuse)?;
    if name.is_empty() {
        return Err(refuse());
    }
    Ok((name.to_owned(), rate_bps(rate)?))
}

fn at(path: &Path) -> impl Fn(&dyn std::fmt::Display) -> Failure + '_ {
    move |error| Failure(format!("{}: {error}", path.display()))
}

/// Replays.
///
/// # Errors
/// A file that cannot be read, with the line that is wrong.
pub fn run(line: &Simulate) -> Result<Shown, Failure> {
    let sites_wrong = at(&line.sites);
    let text = read_text_at_most(&line.sites, SITES_BYTES_MAX).map_err(|error| {
        sites_wrong(&format_args!("{error}: `ocactl fill trace --sites FILE` makes one"))
    })?;
    let setting = Setting::read(&text).map_err(|error| sites_wrong(&error))?;
    let trace_wrong = at(&line.trace);
    let file = std::fs::File::open(&line.trace).map_err(|error| {
        trace_wrong(&format_args!("{error}: `ocactl fill trace --out FILE` makes one"))
    })?;
    let trace = Trace::read(lines(BufReader::new(file)), |read| {
        if read % LINES_TOLD == 0 {
            tell(format_args!("{read} lines read"));
        }
    })
    .map_err(|error| trace_wrong(&error))?;
    let told = |progress: Progress| {
        if (progress.day + 1).is_multiple_of(7) {
            let (word, day, days) = (progress.policy.word(), progress.day + 1, progress.days);
            tell(format_args!("{word}: day {day} of {days}"));
        }
    };
    let mut reports = Vec::new();
    for policy in line.policy.policies() {
        reports
            .push(simulate(&trace, &setting, policy, told).map_err(|error| sites_wrong(&error))?);
    }
    let head = [
        "policy",
        "offload",
        "border",
        "fill",
        "of served",
        "RAM",
        "SSD",
        "HDD",
        "reads/s",
        "billed",
        "without fill",
    ];
    let rows = reports.iter().map(row).collect();
    Ok(Shown::table(&json!({ "reports": reports }), &head, rows, "no policy was replayed"))
}

/// The lines of a file, each within its bound.
fn lines(mut file: impl BufRead) -> impl Iterator<Item = io::Result<Cow<'static, str>>> {
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        match (&mut file).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(bytes) if bytes as u64 > LINE_BYTES_MAX => {
                let cure = "a trace is one JSON object a line";
                Some(Err(wrong(format!("it is longer than {LINE_BYTES_MAX} bytes: {cure}"))))
            }
            Ok(_) => Some(
                String::from_utf8(line)
                    .map(Cow::Owned)
                    .map_err(|_| wrong("it is not UTF-8: write JSON".to_owned())),
            ),
            Err(error) => Some(Err(error)),
        }
    })
}

fn row(report: &PolicyReport) -> Vec<String> {
    let share = |share: f64| format!("{:.1} %", 100.0 * share);
    vec![
        report.policy.clone(),
        share(report.offload),
        show_bytes(report.border_bytes),
        show_bytes(report.fill_border_bytes),
        share(report.fill_of_served),
        share(report.tiers.ram),
        share(report.tiers.ssd),
        share(report.tiers.hdd),
        format!("{:.0}", report.hdd_reads_p99),
        show_rate(report.billed_bps),
        show_rate(report.billed_without_fill_bps),
    ]
}

/// Makes a trace.
///
/// # Errors
/// Parameters out of range, a file that cannot be written.
pub fn make(line: &MakeTrace) -> Result<Shown, Failure> {
    let regions = line.site.iter();
    let generator = Generator {
        seed: line.seed,
        days: line.days,
        titles: line.titles,
        launches_a_week: line.launches,
        zipf: line.zipf,
        flat_ranks: line.flat_ranks,
        drift: line.drift,
        launch_boost: line.launch_boost,
        regions: regions
            .map(|(site, bps)| Region { site: site.clone(), peak_bps: *bps as f64 })
            .collect(),
    };
    let trace = generate(&generator, |_| {}).map_err(|error| Failure(error.to_string()))?;
    let wrong = at(&line.out);
    let file = std::fs::File::create(&line.out).map_err(|error| {
        wrong(&format_args!("{error}: name a file in a folder that can be written"))
    })?;
    let mut file = BufWriter::new(file);
    trace.write(|text| file.write_all(text.as_bytes())).map_err(|error| wrong(&error))?;
    file.flush().map_err(|error| wrong(&error))?;
    if let Some(path) = &line.sites {
        let text = serde_json::to_string_pretty(&sites_for(&trace))
            .map_err(|error| Failure(error.to_string()))?;
        std::fs::write(path, text).map_err(|error| at(path)(&error))?;
    }
    let (plays, catalog) = (trace.plays.len(), trace.catalog_bytes());
    let value = json!({
        "seed": line.seed,
        "titles": trace.titles.len(),
        "objects": trace.objects.len(),
        "plays": plays,
        "catalog_bytes": catalog,
    });
    let (days, size) = (trace.days(), show_bytes(catalog));
    Ok(Shown::new(&value, format!("{plays} plays over {days} days of a catalog of {size}")))
}

/// One box a site with a tenth of the catalog, a tenth of it flash.
fn sites_for(trace: &Trace) -> Setting {
    let bytes = trace.catalog_bytes() / 10;
    let site = |name: &String| SiteSetting {
        site: name.clone(),
        isp: format!("isp-of-{name}"),
        boxes: vec![BoxSetting {
            name: format!("{name}-1"),
            ram_bytes: 64 << 30,
            ssd_bytes: bytes / 10,
            hdd_bytes: bytes - bytes / 10,
            hdds: 12,
        }],
    };
    Setting {
        sites: trace.sites.iter().map(site).collect(),
        window: WindowSetting {
            start_minute: 120,
            length_minutes: 360,
            rate_bps_max: 1_200_000_000,
        },
        warm_up_days: trace.days() / 2,
        percentile: 0.95,
        spare_percentile: true,
        outage: 0.0,
        seed: 1,
        memory: MemoryKeeps::default(),
        unit: Unit::default(),
        knobs: fill_plan::Knobs::default(),
        forecast: fill_plan::forecast::Tuning::default(),
    }
}
