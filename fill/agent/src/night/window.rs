//! The night's window: opened and closed by control's time, its bytes taken off its budget. Fetches
//! nothing.

use super::Night;
use crate::gate::Gate;
use crate::limits::SPEND_AGAIN_MS;

impl Night {
    /// Sets gate and meters by the windows and control's time.
    pub(crate) fn keep_gate(&self) {
        let ticks = self.clock.ticks();
        if self.spend_again_at.get().is_some_and(|at| at <= ticks) {
            self.spend_again_at.set(None);
            self.spent.set(false);
            self.changed.notify_waiters();
        }
        let standing = self.standing.borrow();
        let windows = standing.orders().map_or(&[][..], |orders| &orders.windows);
        let work = standing.orders().and_then(|orders| orders.work.as_ref());
        let now = self.clock.now();
        let mut gate = match self.clock.doubt() {
            None => Gate::at(windows, now).under(work.and_then(|work| work.rate.as_ref()), now),
            // Whatever is open now may not be open at all.
            Some(_) => Gate::default(),
        };
        if *self.gate.borrow() == gate {
            return;
        }
        if let Some(window) = &gate.window
            && let Err(error) = self.ledger.borrow_mut().enter(window)
        {
            // The one before may be over, or wider: without a note of this one, fill rests. Tried
            // at each tick, said when it begins.
            if !self.unnoted.replace(true) {
                tracing::error!(error = error.in_full(), "cannot note the window: fill rests");
            }
            gate = Gate::default();
            if *self.gate.borrow() == gate {
                return;
            }
        } else {
            self.unnoted.set(false);
        }
        if let Some(window) = &gate.window {
            tracing::info!(%window, bps_max = ?gate.bps_max, "window open");
        } else {
            let all = self.dialer.handshakes().done();
            let handshakes = all - self.handshakes.replace(all);
            tracing::info!(handshakes, "window closed");
        }
        self.spent.set(false);
        self.spend_again_at.set(None);
        self.meters.window.borrow_mut().retune(gate.bps_max);
        self.gate.send_replace(gate);
        self.changed.notify_waiters();
    }

    /// Takes `bytes` off the window's budget; false when it is spent.
    pub(crate) fn spend(&self, bytes: u64) -> bool {
        let bytes_max = self.gate.borrow().bytes_max;
        match self.ledger.borrow_mut().spend(bytes, bytes_max) {
            Ok(true) => true,
            Ok(false) => {
                self.spent.set(true);
                false
            }
            Err(error) => {
                // A budget that cannot be kept is not spent from.
                tracing::error!(error = error.in_full(), "cannot keep the window's budget");
                // Lanes would ask again at once, for ever, and nothing else would run. A disk that
                // is full for a minute must not cost the night, so they may ask again later.
                self.spent.set(bytes_max.is_some());
                self.spend_again_at.set(Some(self.clock.ticks() + SPEND_AGAIN_MS));
                bytes_max.is_none()
            }
        }
    }
}
