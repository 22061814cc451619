//! Times that come again, as a command line says them: windows and maintenance alike.
//! Works none out; whoever takes them does.

use clap::Args;
use control_types::schedule::Weekday;

use crate::quantities::{Days, days, duration_ms, show_days, show_duration};

/// When, how long, where.
#[derive(Args)]
pub struct Times {
    /// Wall time at which it begins: 02:00, 23:30. Where the clock jumps over it, it begins at the
    /// jump; where the clock shows it twice, it begins the first time.
    #[arg(long, value_name = "HH:MM")]
    pub start: String,
    /// How long it takes, in elapsed time: 5h, 2h30m; at most 24h.
    #[arg(long, value_parser = duration_ms, value_name = "DURATION")]
    pub length: u64,
    /// On which days it begins: daily, mon-fri, sat,sun.
    #[arg(long, value_parser = days, value_name = "DAYS")]
    pub days: Days,
    /// Time zone of --start by its IANA name: Europe/Lisbon.
    #[arg(long, value_name = "ZONE")]
    pub tz: String,
    /// Dates without it: 2026-12-24 2026-12-31.
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "DATE")]
    pub except: Vec<String>,
}

/// The cells `when` and `length` of a listing.
pub fn cells(days: &[Weekday], start: &str, time_zone: &str, length_ms: u64) -> [String; 2] {
    [format!("{} {start} {time_zone}", show_days(days)), show_duration(length_ms)]
}
