//! The right to take bytes off the wire now, under the window's cap and, for a repair, under the
//! repairs' own. Counts what arrives; what is left when it is dropped counts as arrived.

use std::cell::RefCell;

use crate::clock::Clock;
use crate::meter::{Grant, Meter, Wire};

/// The meters a pass is from.
pub(crate) struct Meters {
    pub(crate) window: RefCell<Meter>,
    pub(crate) repair: RefCell<Meter>,
}

/// See the head of the file.
pub(crate) struct Pass<'a> {
    meters: &'a Meters,
    clock: &'a Clock,
    wire: Wire,
    window: Option<Grant>,
    repair: Option<Grant>,
}

impl Meters {
    /// A pass for `bytes` of payload, or how many milliseconds to wait before asking again.
    pub(crate) fn pass<'a>(
        &'a self,
        clock: &'a Clock,
        wire: Wire,
        repair: bool,
        bytes: u64,
    ) -> Result<Pass<'a>, u64> {
        let (cost, now) = (wire.cost(bytes), clock.ticks());
        // Made first, so that what one meter granted is given back when the other refuses.
        let mut pass = Pass { meters: self, clock, wire, window: None, repair: None };
        if repair {
            pass.repair = Some(self.repair.borrow_mut().grant(cost, now)?);
        }
        match self.window.borrow_mut().grant(cost, now) {
            Ok(grant) => pass.window = Some(grant),
            Err(wait_ms) => {
                if let Some(grant) = pass.repair.take() {
                    self.repair.borrow_mut().give_back(grant);
                }
                return Err(wait_ms);
            }
        }
        Ok(pass)
    }
}

impl Pass<'_> {
    /// `bytes` of payload were read.
    pub(crate) fn arrived(&mut self, bytes: u64) {
        let (cost, now) = (self.wire.share(bytes), self.clock.ticks());
        if let Some(grant) = &mut self.window {
            self.meters.window.borrow_mut().arrived(grant, cost, now);
        }
        if let Some(grant) = &mut self.repair {
            self.meters.repair.borrow_mut().arrived(grant, cost, now);
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let now = self.clock.ticks();
        if let Some(grant) = self.window.take() {
            self.meters.window.borrow_mut().settle(grant, now);
        }
        if let Some(grant) = self.repair.take() {
            self.meters.repair.borrow_mut().settle(grant, now);
        }
    }
}
