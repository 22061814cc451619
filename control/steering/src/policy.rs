//! The order of the rules and their thresholds, as one value: control decides by one, a replay of
//! the log by another. Decides nothing.

use std::collections::BTreeMap;

use control_types::ApplianceId;
use control_types::spread::LoadRule;
use control_types::steering::{PolicyFile, RuleName};

use crate::error::SteeringError;
use crate::limits::DRAIN_SPREAD_MS;

/// One rule; the smaller value stands first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Holds something of the title.
    Absent,
    /// Its reports come in time.
    Late,
    /// Players do not complain of it.
    Shunned,
    /// Is not the origin, everyone's spare.
    Fallback,
    /// Holds all of the title.
    Partial,
    /// Has room.
    Full,
    /// Edge, tier, origin.
    Role,
    /// Longer announced prefix.
    Prefix,
    /// Fewer networks on the way.
    AsPath,
    /// How the route came into BGP.
    Origin,
    /// Multi-exit discriminator.
    Med,
    /// Embedded, private peering, public peering, transit.
    Link,
    /// Idle, busy, high.
    Headroom,
    /// Nearer, in steps.
    Distance,
    /// Weighted rendezvous hash of title and appliance.
    Spread,
    /// Moved up: the first choice among equals carries more than its share.
    Spill,
    /// Moved up: the session streams from it already.
    Current,
    /// Moved up, or made room: no failure domain takes both first places.
    Domain,
    /// Nothing to compare it with.
    Only,
}

/// Rules that compare, in their usual order; `Spread` always comes last.
pub const ORDER: [Rule; 14] = [
    Rule::Absent,
    Rule::Late,
    Rule::Shunned,
    Rule::Fallback,
    Rule::Partial,
    Rule::Full,
    Rule::Role,
    Rule::Prefix,
    Rule::AsPath,
    Rule::Origin,
    Rule::Med,
    Rule::Link,
    Rule::Headroom,
    Rule::Distance,
];

/// How decisions are made.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Rules in their order, each at most once.
    pub order: Vec<Rule>,
    /// Load at which an appliance is no longer equal to an idle one, per cent of its capacity.
    pub busy_percent: u64,
    /// The next step.
    pub high_percent: u64,
    /// Load at which an appliance stands behind all that have room, whatever else speaks for it.
    pub full_percent: u64,
    /// Equals share titles by hash alone until one carries this much, per cent of its capacity.
    pub spill_percent: u64,
    /// How steeply more than its share moves on: the share to the power of this.
    pub spill_power: u32,
    /// Distances in one step of this many kilometres count as equal.
    pub distance_step_km: u16,
    /// A drain that was asked for moves sessions over this time, milliseconds; 0: all at their next
    /// question.
    pub drain_spread_ms: u64,
    /// What a box's share is multiplied by; 1 for those not named.
    pub weights: BTreeMap<ApplianceId, f64>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            order: ORDER.to_vec(),
            busy_percent: 70,
            high_percent: 85,
            full_percent: 95,
            spill_percent: 5,
            spill_power: 12,
            distance_step_km: 50,
            drain_spread_ms: DRAIN_SPREAD_MS,
            weights: BTreeMap::new(),
        }
    }
}

impl Policy {
    /// The default with what a file changes.
    ///
    /// # Errors
    /// `BadPolicy` with every mistake.
    pub fn of(file: &PolicyFile) -> Result<Self, SteeringError> {
        let mut policy = Self::default();
        let mut mistakes = Vec::new();
        if let Some(order) = &file.order {
            policy.order = order.iter().map(|name| rule_of(*name)).collect();
            let mut seen = std::collections::HashSet::new();
            for (rule, name) in policy.order.iter().zip(order) {
                if !seen.insert(*rule) {
                    mistakes.push(format!("order: {name:?} stands twice"));
                }
            }
        }
        let mut percent = |key: &str, given: Option<u64>, default: &mut u64| {
            let Some(value) = given else { return };
            if !(1..=1_000).contains(&value) {
                mistakes.push(format!("{key} is {value}: give 1 to 1000 per cent"));
            }
            *default = value;
        };
        percent("busy_percent", file.busy_percent, &mut policy.busy_percent);
        percent("high_percent", file.high_percent, &mut policy.high_percent);
        percent("full_percent", file.full_percent, &mut policy.full_percent);
        percent("spill_percent", file.spill_percent, &mut policy.spill_percent);
        let steps = [policy.busy_percent, policy.high_percent, policy.full_percent];
        if !steps.is_sorted_by(|a, b| a < b) {
            mistakes.push(format!("busy, high and full are {steps:?} per cent: let them rise"));
        }
        if let Some(power) = file.spill_power {
            policy.spill_power = power;
            if power > 64 {
                mistakes.push(format!("spill_power is {power}: give at most 64"));
            }
        }
        if let Some(step) = file.distance_step_km {
            policy.distance_step_km = step;
            if step == 0 {
                mistakes.push("distance_step_km is 0: give at least 1".to_owned());
            }
        }
        for (id, weight) in &file.weights {
            if !(weight.is_finite() && *weight >= 0.0 && *weight <= 1_000.0) {
                mistakes.push(format!("weights.{id} is {weight}: give 0 to 1000"));
            }
            policy.weights.insert(id.clone(), *weight);
        }
        if mistakes.is_empty() { Ok(policy) } else { Err(SteeringError::BadPolicy { mistakes }) }
    }

    /// What appliances judge loads by when control is away.
    #[must_use]
    pub fn load_rule(&self) -> LoadRule {
        let per_mille = |percent: u64| u32::try_from(percent * 10).unwrap_or(u32::MAX);
        LoadRule {
            busy_per_mille: per_mille(self.busy_percent),
            high_per_mille: per_mille(self.high_percent),
            full_per_mille: per_mille(self.full_percent),
            spill_per_mille: per_mille(self.spill_percent),
            spill_power: self.spill_power,
        }
    }

    /// The step of a load, without hysteresis: 0 idle, 1 busy, 2 high, 3 full.
    #[must_use]
    pub fn step_of(&self, load_per_mille: u32) -> u8 {
        let at = |percent: u64| u8::from(u64::from(load_per_mille) >= percent * 10);
        at(self.busy_percent) + at(self.high_percent) + at(self.full_percent)
    }
}

fn rule_of(name: RuleName) -> Rule {
    match name {
        RuleName::Absent => Rule::Absent,
        RuleName::Late => Rule::Late,
        RuleName::Shunned => Rule::Shunned,
        RuleName::Fallback => Rule::Fallback,
        RuleName::Partial => Rule::Partial,
        RuleName::Full => Rule::Full,
        RuleName::Role => Rule::Role,
        RuleName::Prefix => Rule::Prefix,
        RuleName::AsPath => Rule::AsPath,
        RuleName::Origin => Rule::Origin,
        RuleName::Med => Rule::Med,
        RuleName::Link => Rule::Link,
        RuleName::Headroom => Rule::Headroom,
        RuleName::Distance => Rule::Distance,
    }
}
