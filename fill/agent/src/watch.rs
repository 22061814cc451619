//! Two watchmen: one asks `oca` how members fare, one looks whether disks are still there. They
//! act on nothing but the values that others look at.

use std::rc::Rc;

use crate::fetch::Wires;
use crate::foreground::Sample;
use crate::limits::{DISKS_MS, FOREGROUND_MS, METRICS_BYTES_MAX, QUARANTINE_MS};
use crate::night::Night;

/// Asks for `/metrics` twice a second, until the night is stopped.
pub(crate) async fn watch_members(night: Rc<Night>) {
    let Some(url) = night.config.foreground_metrics.clone() else { return };
    let host_at = url.find("://").map_or(0, |at| at + 3);
    let path_at = url[host_at..].find('/').map_or(url.len(), |at| host_at + at);
    let (base, path) = url.split_at(path_at);
    let path = if path.is_empty() { "/metrics" } else { path };
    let mut wires = Wires::new(Rc::clone(&night.dialer));
    let mut lanes = night.foreground.borrow().lanes();
    while !night.stopping() {
        let text = wires.whole(base, path, METRICS_BYTES_MAX).await.ok();
        let slow_read_ms = night.config.foreground_slow_read_ms;
        let sample = text.map(|text| Sample::of(&String::from_utf8_lossy(&text), slow_read_ms));
        night.foreground.borrow_mut().look(sample, night.clock.ticks());
        let now = night.foreground.borrow().lanes();
        if now != lanes {
            tracing::info!(lanes = now, "lanes that members leave to fill");
            lanes = now;
            night.changed.notify_waiters();
        }
        night.pause(FOREGROUND_MS).await;
    }
}

/// Looks for lost and returned disks, and empties quarantines, until the night is stopped.
pub(crate) async fn watch_disks(night: Rc<Night>) {
    let mut quarantine_at = 0;
    while !night.stopping() {
        let now = night.clock.ticks();
        let changed = night.vault.borrow_mut().look_after(now);
        if changed {
            night.lay_out();
        }
        if now >= quarantine_at {
            quarantine_at = now + QUARANTINE_MS;
            night.vault.borrow().empty_quarantines(&night.config.quarantine);
        }
        night.pause(DISKS_MS).await;
    }
}
