//! The sections of a config about what may fail: how long disks may be silent, and where clients
//! are sent then. Never asks a disk or a peer.
//!
//! ```toml
//! [devices]
//! ssd_silent_ms = 400      # a flash device that answers nothing for so long is not read any more
//! hdd_silent_ms = 450      # the same for a rotating one
//! [peers]
//! next = ["https://edge-a2.example"]   # nearest first; 404 and 503 name them in X-Nightfill-Next
//! ```

use super::section::Section;
use crate::devices::Patience;

pub(super) fn check_devices(mut section: Section<'_>) -> Patience {
    let usual = Patience::default();
    let patience = Patience {
        ssd_ms: section.number("ssd_silent_ms", 20..=60_000, usual.ssd_ms),
        hdd_ms: section.number("hdd_silent_ms", 20..=60_000, usual.hdd_ms),
    };
    section.end();
    patience
}

pub(super) fn check_peers(mut section: Section<'_>) -> Vec<String> {
    let mut peers = Vec::new();
    for url in section.texts("next", &[]) {
        let trimmed = url.trim_end_matches('/');
        let rest = trimmed.strip_prefix("https://").or_else(|| trimmed.strip_prefix("http://"));
        let is_host = |host: &str| {
            !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && !b"/,;\"".contains(&b))
        };
        if rest.is_some_and(is_host) {
            peers.push(trimmed.to_owned());
        } else {
            section.mistake(
                "next",
                &url,
                "scheme://host[:port], as in \"https://edge-a2.example\"",
            );
        }
    }
    section.end();
    peers
}
