//! Two watchmen: one asks `oca` how members fare, one looks whether disks are still there. They
//! act on nothing but the values that others look at.

use std::rc::Rc;
use std::time::Duration;

use crate::fetch::{Missed, Wires};
use crate::foreground::{Look, Sample};
use crate::ladder::Fault;
use crate::limits::{DISKS_MS, FOREGROUND_MS, METRICS_BYTES_MAX, METRICS_MS_MAX, QUARANTINE_MS};
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
    let mut was_silent = false;
    while !night.stopping() {
        let within = Duration::from_millis(METRICS_MS_MAX);
        let asked = tokio::time::timeout(within, ask(&mut wires, base, path)).await;
        let slow_read_ms = night.config.foreground_slow_read_ms;
        let look = match asked {
            Ok(Ok(text)) => {
                Look::Answered(Sample::of(&String::from_utf8_lossy(&text), slow_read_ms))
            }
            Ok(Err(Fault::Slow)) | Err(_) => Look::Silent,
            Ok(Err(_)) => Look::Gone,
        };
        let ticks = night.clock.ticks();
        night.foreground.borrow_mut().look(look, ticks);
        let is_silent = night.foreground.borrow().silent_ms(ticks).is_some();
        if is_silent != was_silent {
            was_silent = is_silent;
            if is_silent {
                tracing::warn!(url, "oca is there and answers nothing: it counts as busy");
            } else {
                tracing::info!(url, "oca answers again, or is gone");
            }
        }
        let now = night.foreground.borrow().lanes();
        if now != lanes {
            tracing::info!(lanes = now, "lanes that members leave to fill");
            lanes = now;
            night.changed.notify_waiters();
        }
        night.pause(FOREGROUND_MS).await;
    }
}

/// The counters' text; a kept connection that was closed meanwhile is made again.
async fn ask(wires: &mut Wires, base: &str, path: &str) -> Result<Vec<u8>, Fault> {
    loop {
        let is_new = !wires.is_connected(base);
        if is_new {
            // Nobody there is the usual thing where nobody is served.
            wires.connect(base).await.map_err(|_| Fault::Away)?;
        }
        match wires.whole(base, path, METRICS_BYTES_MAX).await {
            Err(Missed::Stale) if !is_new => {}
            Err(Missed::Stale) => return Err(Fault::Away),
            Err(Missed::Fault(fault)) => return Err(fault),
            Ok(text) => return Ok(text),
        }
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
