//! Parts of a border's rate, lent with the orders. Divides nothing: the plan says what each box's
//! part and floor are, and its sums rest on two promises kept here: orders lend a part for at most
//! `RATE_LEASE_MS`, and a plan is lent from for at most `PLAN_READ_MS` after another replaced it.

use std::sync::atomic::Ordering;

use control_types::UnixMillis;
use control_types::border::lease_end;
use control_types::fill::{AppliancePlan, NightPlan};
use control_types::limits::{PLAN_READ_MS, SHARED_PLAN_MS};

use super::FillDesk;
use crate::error::SteeringError;

impl FillDesk {
    /// A part of the plan as its appliance's orders say it at `now`: what is lent, and the floor
    /// for after that.
    pub(super) fn lend(&self, mut part: AppliancePlan, now: UnixMillis) -> AppliancePlan {
        let Some(border) = part.border.take() else { return part };
        let read_at = UnixMillis(self.plan_read_at.load(Ordering::Acquire));
        let is_fresh = now.millis_since(read_at) <= PLAN_READ_MS;
        let until = if is_fresh { lease_end(now) } else { now };
        part.rate = part.rate.map(|rate| rate.until(until, &border.floor));
        part
    }
}

/// Refuses a plan that divides a border's rate and was made so long ago that its sums are void.
pub(super) fn check_age(plan: &NightPlan, now: UnixMillis) -> Result<(), SteeringError> {
    let age_ms = now.millis_since(plan.made_at);
    let divides = plan.appliances.iter().any(|part| part.border.is_some());
    if divides && age_ms > SHARED_PLAN_MS {
        return Err(SteeringError::LatePlan { age_ms, max: SHARED_PLAN_MS });
    }
    Ok(())
}
