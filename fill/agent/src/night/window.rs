//! The night's window: opened and closed by control's time, its bytes taken off its budget. Fetches
//! nothing.

use control_types::ids::WindowId;

use super::Night;
use crate::gate::Gate;
use crate::limits::SPEND_AGAIN_MS;

impl Night {
    /// Sets gate and meters by the windows and control's time.
    pub(crate) fn keep_gate(&self) {
        self.rest_over();
        let standing = self.standing.borrow();
        let windows = standing.orders().map_or(&[][..], |orders| &orders.windows);
        let work = standing.orders().and_then(|orders| orders.work.as_ref());
        let now = self.clock.now();
        let mut gate = match self.clock.doubt() {
            None => Gate::at(windows, now).under(work.and_then(|work| work.rate.as_ref()), now),
            // Whatever is open now may not be open at all.
            Some(_) => Gate::default(),
        };
        if !gate.is_open() {
            self.note_again_at.set(None);
        }
        if *self.gate.borrow() == gate {
            return;
        }
        if let Some(window) = &gate.window
            && !self.note(window)
        {
            // The one before may be over, or wider: without a note of this one, fill rests.
            gate = Gate::default();
            if *self.gate.borrow() == gate {
                return;
            }
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

    /// Notes that `window` counts from now on; false while that cannot be done. A disk that refuses
    /// is asked again a while later, as each refusal may take it seconds in which nothing else
    /// runs.
    fn note(&self, window: &WindowId) -> bool {
        let ticks = self.clock.ticks();
        if self.note_again_at.get().is_some_and(|at| ticks < at) {
            return false;
        }
        let noted = self.ledger.borrow_mut().enter(window);
        let again_at = noted.is_err().then_some(ticks + SPEND_AGAIN_MS);
        let was_noted = self.note_again_at.replace(again_at).is_none();
        let Err(error) = noted else { return true };
        if was_noted {
            // Said when it begins; the report says it for as long as it lasts.
            tracing::error!(error = error.in_full(), "cannot note the window: fill rests");
        }
        false
    }

    /// Lets lanes ask of a budget again that could not be kept a while ago.
    fn rest_over(&self) {
        let ticks = self.clock.ticks();
        if self.spend_again_at.get().is_some_and(|at| at <= ticks) {
            self.spend_again_at.set(None);
            self.spent.set(false);
            self.changed.notify_waiters();
        }
    }

    /// Takes `bytes` off the window's budget; false when it is spent.
    pub(crate) fn spend(&self, bytes: u64) -> bool {
        let bytes_max = self.gate.borrow().bytes_max;
        if bytes_max.is_none() && self.spend_again_at.get().is_some() {
            // The disk refused a moment ago, and is not asked for every piece.
            self.ledger.borrow_mut().spend_unnoted(bytes);
            return true;
        }
        let spent = self.ledger.borrow_mut().spend(bytes, bytes_max);
        match spent {
            Ok(true) => true,
            Ok(false) => {
                self.spent.set(true);
                false
            }
            Err(error) => {
                // Lanes would ask again at once, for ever, and nothing else would run. A disk that
                // is full for a minute must not cost the night, so they may ask again later.
                self.spend_again_at.set(Some(self.clock.ticks() + SPEND_AGAIN_MS));
                let is_bounded = bytes_max.is_some();
                self.spent.set(is_bounded);
                let told = if is_bounded {
                    // A budget that cannot be kept is not spent from.
                    "cannot keep the window's budget: fill rests"
                } else {
                    // Nobody bounds this window, so its fill does not wait for the disk.
                    self.ledger.borrow_mut().spend_unnoted(bytes);
                    "bytes are not noted: a kill would forget them"
                };
                let told = format!("{told}: {}", error.in_full());
                // Every lane meets it, every few seconds, for as long as the disk is full.
                if self.unspendable.is_due(&told, self.clock.ticks()) {
                    tracing::error!("{told}");
                }
                !is_bounded
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use control_token::OrdersSigner;
    use control_types::UnixMillis;
    use control_types::fill::{Orders, SignedOrders, Window, WindowScope};

    /// Goal: a window that cannot be noted is not filled in, the disk is not asked at every tick,
    /// and once it is well the window opens. Method: as below.
    #[test]
    fn a_window_that_cannot_be_noted_is_tried_again_a_while_later() {
        let folder = tempfile::tempdir().unwrap();
        tokio_uring::start(async {
            let night = crate::night::on_folder(folder.path());
            let window = Window {
                id: "night".parse().unwrap(),
                scope: WindowScope::Everyone,
                opens_at: UnixMillis(0),
                closes_at: UnixMillis(u64::MAX),
                rate_bps_max: None,
                bytes_max: None,
                closed: false,
            };
            let orders = Orders {
                appliance: night.config.appliance.clone(),
                now: night.clock.now(),
                serial: 1,
                plan: None,
                windows: vec![window],
                work: None,
                fill_ticket: String::new(),
                next_key: None,
            };
            let signer = OrdersSigner::generate().unwrap();
            let orders = serde_json::to_string(&orders).unwrap();
            let signature = signer.sign(&orders);
            let signed = SignedOrders { orders, signature, key: signer.public_key() };
            night.standing.borrow_mut().take(signed, |_| 0, 0).unwrap();
            let (state, aside) = (folder.path().join("state"), folder.path().join("aside"));
            std::fs::rename(&state, &aside).unwrap();
            let is_told = || {
                let troubles = night.report().troubles;
                troubles.iter().any(|told| told.contains("the open window cannot be noted"))
            };
            night.keep_gate();
            assert!(!night.gate.borrow().is_open() && is_told());
            std::fs::rename(&aside, &state).unwrap();
            night.keep_gate();
            assert!(!night.gate.borrow().is_open() && is_told(), "asked at every tick");
            night.note_again_at.set(Some(0));
            night.keep_gate();
            assert!(night.gate.borrow().is_open() && !is_told());
            assert!(night.note_again_at.get().is_none());
        });
    }

    /// Goal: a window without a budget is filled in though the state disk is full, the bytes count
    /// as soon as it is not, and the disk is not asked for every piece. Method: as below.
    #[test]
    fn bytes_that_cannot_be_noted_are_noted_once_the_disk_is_well() {
        let folder = tempfile::tempdir().unwrap();
        tokio_uring::start(async {
            let night = crate::night::on_folder(folder.path());
            let (state, aside) = (folder.path().join("state"), folder.path().join("aside"));
            std::fs::rename(&state, &aside).unwrap();
            assert!(night.spend(10 << 20) && night.spend_again_at.get().is_some());
            assert!(night.spend(10 << 20) && !night.must_halt(true));
            assert!(night.report().troubles.iter().any(|told| told.contains("ledger.json")));
            std::fs::rename(&aside, &state).unwrap();
            night.spend_again_at.set(Some(0));
            night.rest_over();
            assert!(night.spend(1) && night.report().troubles.is_empty());
            // The window is given a budget: all of them count.
            night.gate.send_modify(|gate| gate.bytes_max = Some((20 << 20) + 1));
            assert!(!night.spend(1), "bytes before the budget are forgotten");
        });
    }

    /// Goal: a state disk that is full for a moment costs that moment, not the night. Method: the
    /// folder goes, as a full disk would refuse, and comes back.
    #[test]
    fn a_budget_that_cannot_be_kept_is_not_spent_and_asked_of_again() {
        let folder = tempfile::tempdir().unwrap();
        tokio_uring::start(async {
            let night = crate::night::on_folder(folder.path());
            let bytes_max = Some(100 << 20);
            night.gate.send_modify(|gate| gate.bytes_max = bytes_max);
            let (state, aside) = (folder.path().join("state"), folder.path().join("aside"));
            std::fs::rename(&state, &aside).unwrap();
            assert!(!night.spend(1) && night.must_halt(false));
            assert!(night.report().troubles.iter().any(|told| told.contains("ledger.json")));
            std::fs::rename(&aside, &state).unwrap();
            // As when its time has come.
            assert!(night.spend_again_at.get().is_some());
            night.spend_again_at.set(Some(0));
            night.rest_over();
            assert!(night.spend(1) && !night.spent.get());
            assert!(night.report().troubles.is_empty());
        });
    }

    /// Goal: a state disk that is full all night does not fill the log, whatever the window.
    /// Method: the folder goes, and the budget is asked of as in some minutes of several lanes.
    #[test]
    fn a_budget_that_cannot_be_kept_is_not_told_of_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        tokio_uring::start(async {
            let night = crate::night::on_folder(folder.path());
            std::fs::remove_dir_all(folder.path().join("state")).unwrap();
            let lines = crate::said::lines_of(|| {
                for bytes_max in [None, Some(100 << 20)] {
                    night.gate.send_modify(|gate| gate.bytes_max = bytes_max);
                    for _ in 0..50 {
                        night.spend_again_at.set(Some(0));
                        night.rest_over();
                        let _ = night.spend(1);
                    }
                }
            });
            assert_eq!(lines.len(), 2, "{lines:#?}");
            assert!(lines[0].contains("not noted") && lines[1].contains("budget"), "{lines:#?}");
        });
    }
}
