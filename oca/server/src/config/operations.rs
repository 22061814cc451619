//! The sections of a config about running a server: TLS, limits, pacing, log, life cycle.
//! Never opens anything; it looks whether what is named exists.

use std::path::PathBuf;

use super::section::Section;
use crate::limits::{Bounds, CERTIFICATES_MAX, LOG_FILE_BYTES, UPGRADE_DRAIN_MS};
use crate::tls::EPOCH_S;

/// `[tls]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// For clients that ask for no name, or for one that no other certificate is for.
    pub files: TlsFiles,
    /// `[[tls.certificate]]`: others, by name.
    pub certificates: Vec<NamedFiles>,
    /// Secrets that all boxes of a site share, one a line; absent: one of our own in `state_dir`.
    pub ticket_secret_file: Option<PathBuf>,
    /// Life of a session key, seconds; equal on all boxes of a site.
    pub ticket_epoch_s: u64,
    /// Protocols offered, the one we like most first. `http/1.1` goes first unless told otherwise:
    /// its bytes are copied once less; who speaks only `h2` gets that.
    pub alpn: Vec<String>,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM chain, leaf first.
    pub cert: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
}

/// A certificate and the names it is shown for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFiles {
    /// Host names; `*.example` stands for one label.
    pub names: Vec<String>,
    /// Where it is.
    pub files: TlsFiles,
}

/// `[pacing]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacingConfig {
    /// Whether what players say (CMCD) slows their answers down; a ticket's cap always does.
    pub cmcd: bool,
    /// A player with less than this in its buffer gets its bytes as fast as they go, milliseconds.
    pub buffer_low_ms: u64,
    /// A player with more than this gets `factor_percent` of its bitrate, milliseconds.
    pub buffer_full_ms: u64,
    /// Lowest pace, in percent of the encoded bitrate.
    pub factor_percent: u64,
}

impl Default for PacingConfig {
    fn default() -> Self {
        Self { cmcd: true, buffer_low_ms: 8_000, buffer_full_ms: 30_000, factor_percent: 150 }
    }
}

/// `[log]`
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// A file, or `-`; absent: no access log.
    pub access: Option<String>,
    /// Share of good answers that are logged, from 0 to 1; what went wrong is always logged.
    pub sample: f64,
    /// At this length the file is renamed to `.1` and a new one begun, bytes; 0: never.
    pub bytes_max: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { access: None, sample: 1.0, bytes_max: LOG_FILE_BYTES }
    }
}

pub(super) fn check_tls(mut tls: Section<'_>) -> Option<TlsConfig> {
    let files = check_pair(&mut tls);
    let mut certificates = Vec::new();
    let sections = tls.list("certificate");
    if sections.len() > CERTIFICATES_MAX {
        let given = sections.len().to_string();
        tls.mistake("certificate", &given, &format!("at most {CERTIFICATES_MAX}"));
    }
    for mut section in sections {
        let names = section.texts("names", &[]);
        if names.is_empty() {
            section.mistake("names", "[]", "host names such as [\"edge.example\"]");
        }
        certificates.extend(check_pair(&mut section).map(|files| NamedFiles { names, files }));
        section.end();
    }
    let ticket_secret_file = tls.optional_file("ticket_secret_file");
    let ticket_epoch_s = tls.number("ticket_epoch_s", 600..=7 * 24 * 3600, EPOCH_S);
    let alpn = tls.texts("alpn", &["http/1.1", "h2"]);
    for name in &alpn {
        if !["h2", "http/1.1"].contains(&name.as_str()) {
            tls.mistake("alpn", name, "\"h2\" or \"http/1.1\"");
        }
    }
    tls.end();
    Some(TlsConfig { files: files?, certificates, ticket_secret_file, ticket_epoch_s, alpn })
}

fn check_pair(section: &mut Section<'_>) -> Option<TlsFiles> {
    let (cert, key) = (section.file("cert"), section.file("key"));
    Some(TlsFiles { cert: cert?, key: key? })
}

pub(super) fn check_limits(mut section: Section<'_>) -> Bounds {
    let usual = Bounds::default();
    let bounds = Bounds {
        handshake_ms: section.number("handshake_ms", 100..=60_000, usual.handshake_ms),
        head_ms: section.number("head_ms", 100..=60_000, usual.head_ms),
        first_byte_ms: section.number("first_byte_ms", 100..=60_000, usual.first_byte_ms),
        idle_ms: section.number("idle_ms", 1_000..=3_600_000, usual.idle_ms),
        send_progress_ms: section.number(
            "send_progress_ms",
            1_000..=600_000,
            usual.send_progress_ms,
        ),
        slow_reader_bps: section.number("slow_reader_bps", 0..=1 << 40, usual.slow_reader_bps),
        slow_reader_ms: section.number("slow_reader_ms", 1_000..=600_000, usual.slow_reader_ms),
        client_connections: section.number("client_connections", 0..=1 << 20, 1024),
        client_prefix_v4: section.number("client_prefix_v4", 8..=32, usual.client_prefix_v4),
        client_prefix_v6: section.number("client_prefix_v6", 16..=128, usual.client_prefix_v6),
    };
    section.end();
    bounds
}

pub(super) fn check_pacing(mut section: Section<'_>) -> PacingConfig {
    let usual = PacingConfig::default();
    let low = section.number("buffer_low_ms", 0..=600_000, usual.buffer_low_ms);
    let full = section.number("buffer_full_ms", 1..=600_000, usual.buffer_full_ms.max(low + 1));
    if full <= low {
        let wanted = format!("more than buffer_low_ms ({low})");
        section.mistake("buffer_full_ms", &full.to_string(), &wanted);
    }
    let pacing = PacingConfig {
        cmcd: section.boolean("cmcd", usual.cmcd),
        buffer_low_ms: low,
        buffer_full_ms: full,
        factor_percent: section.number("factor_percent", 110..=1_000, usual.factor_percent),
    };
    section.end();
    pacing
}

pub(super) fn check_log(mut section: Section<'_>) -> LogConfig {
    let log = LogConfig {
        access: section.optional_text("access").filter(|target| !target.is_empty()),
        sample: section.share("sample", 1.0),
        bytes_max: section.number("bytes_max", 0..=1 << 44, LOG_FILE_BYTES),
    };
    section.end();
    log
}

/// From the moment that a new program took over to the end of the old one, milliseconds.
pub(super) fn check_upgrade(mut section: Section<'_>) -> u64 {
    let drain_ms = section.number("drain_ms", 0..=24 * 3_600_000, UPGRADE_DRAIN_MS);
    section.end();
    drain_ms
}
