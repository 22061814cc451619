//! `control.toml`: one file, read whole, every mistake said at once, unknown keys named.
//! Opens nothing beyond that file; whether a port or directory can be used shows at start.

mod appliances;
mod bgp;
mod section;
mod steering;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use control_gateway::RateSettings;
use control_gateway::limits::TICKET_LIFE_MS_MAX;
use control_types::config_file;
use control_types::config_lines::with_lines;
use ipnet::IpNet;

pub use self::appliances::AppliancesConfig;
use self::appliances::parse_appliances;
use self::bgp::parse_bgp;
pub use self::bgp::{BgpConfig, RouterConfig};
use self::section::Section;
pub use self::steering::SteeringConfig;
use self::steering::parse_steering;
use crate::rotation::Rotation;
use crate::trouble::Trouble;

/// A config without mistakes.
#[derive(Clone, Debug)]
pub struct Config {
    /// SQLite files, search index, event log, artwork, keys. Private to control.
    pub state_dir: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub addr: SocketAddr,
    /// `scheme://host[:port]` members reach control at; absent: what each request came to.
    pub public_url: Option<String>,
    /// Networks of proxies whose `X-Forwarded-For` is believed. Danger: whoever is inside can
    /// choose its address.
    pub trusted_proxies: Vec<IpNet>,
    /// Certificate chain and key, PEM; absent: plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The operator's bearer key, made with mode 0600 when the file does not exist.
    pub operator_key_file: PathBuf,
    /// Built pages; absent: none are served.
    pub web_dir: Option<PathBuf>,
    /// Life of a play ticket, milliseconds, 1 min to 24 h. Default 6 h. A longer one survives a
    /// longer absence of control, and a stolen one too.
    pub ticket_ms: u64,
    /// Age at which a ticket key gets a successor, days, 2 to 365. Default 30. The old one verifies
    /// for a day after the new one began to sign.
    pub key_days: u64,
    /// How often players ask for steering, seconds, 1 to 300. Default 10.
    pub steering_ttl_s: u32,
    /// How often players report, milliseconds, 1 s to 5 min. Default 10 s.
    pub report_ms: u64,
    /// ISO 3166-1 alpha-2 code of the region this control serves; absent: only titles licensed
    /// everywhere can be played.
    pub region: Option<String>,
    /// An appliance that did not report for this long is not offered, milliseconds, 100 ms to
    /// 10 min. Default 3 s.
    pub silent_ms: u64,
    /// One whose report is overdue this long stands behind all others, milliseconds, 100 ms to
    /// 10 min. Default 1.5 s; half as much again as the interval that it announces, if that is
    /// more.
    pub late_ms: u64,
    /// Most of the fleet that may be left out at once for silence, per cent, 0 to 100. Default 50.
    /// Danger: at 100 a control that is cut off sends everybody to the few it still hears.
    pub silent_percent_max: u64,
    /// A drain that was asked for moves sessions over this time, milliseconds, 0 to 5 min. Default
    /// 30 s; 0: all at their next question.
    pub drain_spread_ms: u64,
    /// Steering questions recorded in a second for `ocactl steer replay`, 0 to 1,000. Default 200;
    /// 0 records none.
    pub asks_per_second_max: u64,
    /// Whether a box's busy processor counts as load. Default true; not for boxes that share one
    /// machine.
    pub cpu_in_load: bool,
    /// The appliances' port and their certificates.
    pub appliances: AppliancesConfig,
    /// Who answers players' questions for steering, and bundles for appliances that do.
    pub steering: SteeringConfig,
    /// Routes: BMP, GeoIP.
    pub bgp: BgpConfig,
    /// Budgets of one address.
    pub rates: RateSettings,
    /// Tracing directive, for example `info` or `info,control_gateway=debug`. Default `info`.
    pub log_filter: String,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`Trouble::Unreadable`], or [`Trouble::Config`] with every mistake.
    pub fn read(path: &Path) -> Result<Self, Trouble> {
        let text = config_file::read_text(path)
            .map_err(|source| Trouble::Unreadable { path: path.to_owned(), source })?;
        let refused = |mistakes| Trouble::Config {
            path: path.to_owned(),
            mistakes: with_lines(&text, mistakes),
        };
        let config = Self::parse(&text).map_err(refused)?;
        let absent = config.absent_files();
        if absent.is_empty() { Ok(config) } else { Err(refused(absent)) }
    }

    /// Checks a text; the error is every mistake, one line each.
    ///
    /// # Errors
    /// The mistakes.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let table: toml::Table =
            text.parse().map_err(|error: toml::de::Error| vec![error.to_string()])?;
        let mut top = Section::new(table);
        let state_dir = top.path("state_dir");
        let (addr, public_url, trusted_proxies) = parse_listen(&mut top);
        let tls = parse_tls(&mut top);
        let operator_key_file = parse_operator(&mut top);
        let web_dir = parse_web(&mut top);
        let Plays { ticket_ms, key_days, steering_ttl_s, report_ms, region } =
            parse_plays(&mut top);
        let fleet = parse_fleet(&mut top);
        let appliances = parse_appliances(&mut top);
        let steering = parse_steering(&mut top);
        let bgp = parse_bgp(&mut top);
        let rates = parse_limits(&mut top);
        let log_filter = parse_log(&mut top);
        let mistakes = top.finish();
        // Each of these is present unless a mistake was noted for it.
        match (state_dir, addr, operator_key_file) {
            (Some(state_dir), Some(addr), Some(operator_key_file)) if mistakes.is_empty() => {
                Ok(Self {
                    state_dir,
                    addr,
                    public_url,
                    trusted_proxies,
                    tls,
                    operator_key_file,
                    web_dir,
                    ticket_ms,
                    key_days,
                    steering_ttl_s,
                    report_ms,
                    region,
                    silent_ms: fleet.silent_ms,
                    late_ms: fleet.late_ms,
                    silent_percent_max: fleet.silent_percent_max,
                    drain_spread_ms: fleet.drain_spread_ms,
                    asks_per_second_max: fleet.asks_per_second_max,
                    cpu_in_load: fleet.cpu_in_load,
                    appliances,
                    steering,
                    bgp,
                    rates,
                    log_filter,
                })
            }
            _ => Err(mistakes),
        }
    }

    /// Files that others bring and that are not there; those that control makes are not among them.
    fn absent_files(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let (cert, key) = self.tls.as_ref().map(|(cert, key)| (cert, key)).unzip();
        for (name, path) in [("tls.cert", cert), ("tls.key", key)] {
            if let Some(Err(error)) = path.map(|path| config_file::open(path)) {
                let shown = path.map(|path| path.display().to_string()).unwrap_or_default();
                mistakes.push(format!("{name}: give a file this user may read: {shown} ({error})"));
            }
        }
        if let Some(dir) = self.web_dir.as_ref().filter(|dir| !dir.is_dir()) {
            let shown = dir.display();
            mistakes.push(format!(
                "web.dir: {shown} is no directory; copy control/web/dist there, or leave [web] out"
            ));
        }
        mistakes
    }

    /// How long ticket keys live: tickets of fill outlive those of plays.
    pub(crate) fn rotation(&self) -> Rotation {
        let ticket_ms = self.ticket_ms.max(TICKET_LIFE_MS_MAX);
        Rotation { every_ms: self.key_days * 86_400_000, ticket_ms }
    }
}

fn parse_listen(top: &mut Section) -> (Option<SocketAddr>, Option<String>, Vec<IpNet>) {
    let mut listen = top.section("listen");
    let addr = listen.text("addr").and_then(|text| {
        let parsed = text.parse::<SocketAddr>();
        if parsed.is_err() {
            listen.mistake("addr", format!("{text:?} is not an address; write 127.0.0.1:9000"));
        }
        parsed.ok()
    });
    let public_url = listen.optional_text("public_url").map(|url| {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let host = rest.map(|rest| rest.trim_end_matches('/'));
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
        if !host.is_some_and(|host| !host.is_empty() && host.bytes().all(plain)) {
            listen.mistake("public_url", format!("{url:?} is not http[s]://host[:port]"));
        }
        url.trim_end_matches('/').to_owned()
    });
    let mut proxies = Vec::new();
    for proxy in listen.texts("trusted_proxies") {
        match proxy.parse::<IpNet>() {
            Ok(network) => proxies.push(network),
            Err(_) => {
                let why = format!("{proxy:?} is not a network; write 10.0.0.0/8");
                listen.mistake("trusted_proxies", why);
            }
        }
    }
    top.close(listen);
    (addr, public_url, proxies)
}

fn parse_tls(top: &mut Section) -> Option<(PathBuf, PathBuf)> {
    let mut tls = top.optional_section("tls")?;
    let files = (tls.path("cert"), tls.path("key"));
    top.close(tls);
    match files {
        (Some(cert), Some(key)) => Some((cert, key)),
        _ => None,
    }
}

fn parse_operator(top: &mut Section) -> Option<PathBuf> {
    let mut operator = top.section("operator");
    let key_file = operator.path("key_file");
    top.close(operator);
    key_file
}

fn parse_web(top: &mut Section) -> Option<PathBuf> {
    let mut web = top.optional_section("web")?;
    let dir = web.path("dir");
    top.close(web);
    dir
}

/// `[plays]`.
struct Plays {
    ticket_ms: u64,
    key_days: u64,
    steering_ttl_s: u32,
    report_ms: u64,
    region: Option<String>,
}

fn parse_plays(top: &mut Section) -> Plays {
    let mut plays = top.optional_section("plays").unwrap_or_else(|| Section::absent("plays"));
    let ticket_ms = plays.number("ticket_ms", 60_000..=86_400_000, 21_600_000);
    let key_days = plays.number("key_days", 2..=365, 30);
    let ttl_s = plays.number("steering_ttl_s", 1..=300, 10);
    let report_ms = plays.number("report_ms", 1_000..=300_000, 10_000);
    let region = plays.optional_text("region");
    if let Some(code) = &region
        && !(code.len() == 2 && code.bytes().all(|b| b.is_ascii_alphabetic()))
    {
        plays.mistake("region", format!("{code:?} is not an ISO 3166-1 code such as DE"));
    }
    top.close(plays);
    let steering_ttl_s = u32::try_from(ttl_s).unwrap_or(u32::MAX);
    Plays { ticket_ms, key_days, steering_ttl_s, report_ms, region }
}

struct FleetKeys {
    silent_ms: u64,
    late_ms: u64,
    silent_percent_max: u64,
    drain_spread_ms: u64,
    asks_per_second_max: u64,
    cpu_in_load: bool,
}

fn parse_fleet(top: &mut Section) -> FleetKeys {
    let mut fleet = top.optional_section("fleet").unwrap_or_else(|| Section::absent("fleet"));
    let keys = FleetKeys {
        silent_ms: fleet.number("silent_ms", 100..=600_000, 3_000),
        late_ms: fleet.number("late_ms", 100..=600_000, 1_500),
        silent_percent_max: fleet.number("silent_percent_max", 0..=100, 50),
        drain_spread_ms: fleet.number("drain_spread_ms", 0..=300_000, 30_000),
        asks_per_second_max: fleet.number("asks_per_second_max", 0..=1_000, 200),
        cpu_in_load: fleet.boolean("cpu_in_load", true),
    };
    top.close(fleet);
    keys
}

fn parse_limits(top: &mut Section) -> RateSettings {
    let mut limits = top.optional_section("limits").unwrap_or_else(|| Section::absent("limits"));
    let defaults = RateSettings::default();
    let mut count = |key: &str, default: NonZeroU32| {
        let given = limits.number(key, 1..=1_000_000, u64::from(default.get()));
        u32::try_from(given).ok().and_then(NonZeroU32::new).unwrap_or(default)
    };
    let rates = RateSettings {
        requests_per_second: count("requests_per_second", defaults.requests_per_second),
        requests_burst: count("requests_burst", defaults.requests_burst),
        sign_ins_per_second: count("sign_ins_per_second", defaults.sign_ins_per_second),
        sign_ins_burst: count("sign_ins_burst", defaults.sign_ins_burst),
    };
    top.close(limits);
    rates
}

fn parse_log(top: &mut Section) -> String {
    let mut log = top.optional_section("log").unwrap_or_else(|| Section::absent("log"));
    let filter = log.optional_text("filter").unwrap_or_else(|| "info".to_owned());
    if tracing_subscriber::EnvFilter::try_new(&filter).is_err() {
        log.mistake("filter", format!("{filter:?} is not a tracing filter; write info or debug"));
    }
    top.close(log);
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "state_dir = \"/s\"\n[listen]\naddr = \"127.0.0.1:0\"\n\
                         [operator]\nkey_file = \"/k\"\n";

    #[test]
    fn the_least_config_has_defaults() {
        let config = Config::parse(LEAST).unwrap();
        assert_eq!((config.ticket_ms, config.steering_ttl_s), (21_600_000, 10));
        assert_eq!(config.silent_ms, 3_000);
        // A key that verifies for a day only would end the 36 hours of an agent's orders early.
        assert!(config.rotation().ticket_ms >= control_gateway::limits::FILL_TICKET_MS);
        assert!(config.tls.is_none() && config.web_dir.is_none() && config.public_url.is_none());
    }

    #[test]
    fn every_mistake_is_said_at_once() {
        let text = "colour = \"blue\"\n[listen]\naddr = \"nowhere\"\nfrobnicate = 1\n\
                    trusted_proxies = [\"10.0.0.0/40\"]\n[plays]\nticket_ms = 5\nregion = \"XYZ\"\n\
                    [tls]\ncert = 7\n[fleet]\nsilent_ms = \"long\"\n";
        let mistakes = Config::parse(text).unwrap_err();
        let all = mistakes.join("\n");
        for part in [
            "colour",
            "listen.frobnicate",
            "nowhere",
            "10.0.0.0/40",
            "plays.ticket_ms",
            "XYZ",
            "tls.cert",
            "tls.key",
            "fleet.silent_ms",
            "state_dir",
            "operator",
        ] {
            assert!(all.contains(part), "{part} is missing in:\n{all}");
        }
    }

    #[test]
    fn files_that_are_not_there_and_misspelt_keys_are_told_with_their_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.toml");
        let said = |more: &str| {
            std::fs::write(&path, format!("{LEAST}{more}")).unwrap();
            Config::read(&path).map(drop).map_err(|trouble| trouble.to_string())
        };
        let absent = said("[tls]\ncert = \"/no/c\"\nkey = \"/no/k\"\n[web]\ndir = \"/no/w\"\n");
        let absent = absent.unwrap_err();
        for part in ["line 7: tls.cert", "/no/c", "line 8: tls.key", "line 10: web.dir", "/no/w"] {
            assert!(absent.contains(part), "{part} is missing in:\n{absent}");
        }
        let misspelt = said("[fleet]\nsilent_sm = 5\n").unwrap_err();
        assert!(misspelt.contains("line 7: fleet.silent_sm"), "{misspelt}");
        assert_eq!(said(""), Ok(()));
    }

    #[test]
    fn a_file_that_is_no_toml_says_where() {
        let mistakes = Config::parse("state_dir = \n").unwrap_err();
        assert!(mistakes[0].contains("line 1"), "{mistakes:?}");
    }
}
