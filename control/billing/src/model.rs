//! The plans and the rule that decides whether an account may start one more stream. Pure: reads no
//! clock and no store.

use control_store::ledger::Standing;
use control_types::accounts::Plan;

/// The plan of a new account.
pub const FIRST_PLAN: &str = "standard";

/// What is sold: name, concurrent plays, tallest rendition (pixels), price (cents a month).
const PLANS: [(&str, u32, u32, u32); 3] =
    [("basic", 1, 720, 599), ("standard", 2, 1080, 999), ("premium", 4, 2160, 1499)];

const CURRENCY: &str = "EUR";

/// All plans, cheapest first.
#[must_use]
pub fn plans() -> Vec<Plan> {
    let plan = |(name, streams_max, height_max, price_cents): (&str, u32, u32, u32)| Plan {
        name: name.to_owned(),
        streams_max,
        height_max,
        price_cents,
        currency: CURRENCY.to_owned(),
    };
    PLANS.map(plan).to_vec()
}

/// The plan of this name.
#[must_use]
pub fn plan(name: &str) -> Option<Plan> {
    plans().into_iter().find(|plan| plan.name == name)
}

/// What an account that may play gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entitled {
    /// Name of its plan.
    pub plan: String,
    /// Tallest rendition to offer, pixels.
    pub height_max: u32,
    /// Concurrent plays it may have, the new one included.
    pub streams_max: u32,
}

/// The answer to "may this account start one more stream".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes, with these bounds.
    Entitled(Entitled),
    /// Not until it is paid.
    PaymentRequired,
    /// Not until another stream ends.
    TooManyStreams {
        /// What the plan allows.
        streams_max: u32,
    },
}

/// Decides. `live_streams` are the plays under way now, the new one not counted.
#[must_use]
pub fn judge(plan: &Plan, standing: Standing, live_streams: u32) -> Verdict {
    if standing == Standing::Lapsed {
        return Verdict::PaymentRequired;
    }
    if live_streams >= plan.streams_max {
        return Verdict::TooManyStreams { streams_max: plan.streams_max };
    }
    Verdict::Entitled(Entitled {
        plan: plan.name.clone(),
        height_max: plan.height_max,
        streams_max: plan.streams_max,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_plan_is_sold() {
        assert!(plan(FIRST_PLAN).is_some());
    }

    #[test]
    fn a_stream_more_than_the_plan_allows_is_refused_and_not_one_less() {
        for plan in plans() {
            let last = judge(&plan, Standing::Paid, plan.streams_max - 1);
            assert!(matches!(last, Verdict::Entitled(e) if e.height_max == plan.height_max));
            let over = judge(&plan, Standing::Paid, plan.streams_max);
            assert_eq!(over, Verdict::TooManyStreams { streams_max: plan.streams_max });
        }
    }

    #[test]
    fn an_unpaid_account_hears_of_payment_before_it_hears_of_streams() {
        let plan = plan("basic").unwrap();
        assert_eq!(judge(&plan, Standing::Lapsed, 0), Verdict::PaymentRequired);
        assert_eq!(judge(&plan, Standing::Lapsed, 9), Verdict::PaymentRequired);
    }
}
