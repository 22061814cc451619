//! The hashes that spread titles over equal appliances: one order for control and for appliances
//! that steer by themselves, so that a title stays on the box that has it warm when control goes
//! away; and what loads change about it. The same in every process and version; knows no fleet.

use serde::{Deserialize, Serialize};

/// So far a load must fall below a step before the step is left, thousandths of capacity.
pub const LOAD_BACK_PER_MILLE: u32 = 50;

/// How loads are judged, thousandths of capacity: one rule for control and for appliances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoadRule {
    /// From here on a box is no longer equal to an idle one.
    pub busy_per_mille: u32,
    /// The next step.
    pub high_per_mille: u32,
    /// From here on it stands behind all that have room, whatever else speaks for it.
    pub full_per_mille: u32,
    /// Equals share titles by hash alone until one carries this much.
    pub spill_per_mille: u32,
    /// How steeply more than its share moves on: the share to the power of this.
    pub spill_power: u32,
}

impl Default for LoadRule {
    fn default() -> Self {
        Self {
            busy_per_mille: 700,
            high_per_mille: 850,
            full_per_mille: 950,
            spill_per_mille: 50,
            spill_power: 12,
        }
    }
}

impl LoadRule {
    /// Whether it is the one that nobody changed.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// 0 idle, 1 busy, 2 high, 3 full.
    #[must_use]
    pub fn step(&self, load_per_mille: u32) -> u8 {
        let steps = [self.busy_per_mille, self.high_per_mille, self.full_per_mille];
        steps.into_iter().map(|from| u8::from(load_per_mille >= from)).sum()
    }

    /// The step of a load that comes after step `was`: up as soon as a threshold is reached, down
    /// when the load is `LOAD_BACK_PER_MILLE` below it. Who hovers around one does not flip.
    #[must_use]
    pub fn step_after(&self, was: u8, load_per_mille: u32) -> u8 {
        let reached = self.step(load_per_mille);
        let left = self.step(load_per_mille.saturating_add(LOAD_BACK_PER_MILLE));
        was.clamp(reached, left.max(reached))
    }

    /// Whether a box that is first by hash keeps a session that `drawn` ([`draw`]) stands for,
    /// when its equals carry `mean` of what they may: one that carries more than its share keeps
    /// the fewer the more it carries.
    #[must_use]
    pub fn keeps(&self, load_per_mille: u32, mean: f64, drawn: u64) -> bool {
        let own = f64::from(load_per_mille);
        if own <= mean || load_per_mille < self.spill_per_mille {
            return true;
        }
        unit(drawn) < (mean / own).powi(self.spill_power.min(64) as i32)
    }
}

/// What one session draws at one appliance for one title: the same sessions move on for as long as
/// loads are what they are. `session` is mixed already; the others are [`hash_name`] of the ids.
#[must_use]
pub fn draw(session: u64, title: u64, appliance: u64) -> u64 {
    mix(session ^ mix(title ^ appliance))
}

/// The finalizer of splitmix64.
#[must_use]
pub fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Of a name: FNV-1a (64 bits), then mixed.
#[must_use]
pub fn hash_name(name: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mix(hash)
}

/// A hash as a number above 0 and below 1.
#[must_use]
pub fn unit(hash: u64) -> f64 {
    ((hash >> 12) as f64 + 0.5) / (1u64 << 52) as f64
}

/// Weighted rendezvous: of equals, the one with the greatest stands first for a title; the part of
/// titles at which one wins is its `share` of all shares. Hashes are [`hash_name`] of the ids.
#[must_use]
pub fn rendezvous(title: u64, appliance: u64, share: f64) -> f64 {
    let drawn = unit(mix(title ^ appliance.rotate_left(17)));
    // Strictly between 0 and 1, so the logarithm is below zero and finite.
    share / -drawn.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_hash_for_ever() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf, "the first number of splitmix64 from seed 0");
        assert_eq!(hash_name(""), mix(0xcbf2_9ce4_8422_2325));
        assert_eq!(hash_name("a"), mix(0xaf63_dc4c_8601_ec8c), "FNV-1a of \"a\", mixed");
        assert!(unit(0) > 0.0 && unit(u64::MAX) < 1.0);
    }

    #[test]
    fn a_box_with_its_share_or_less_keeps_all_and_one_with_twice_as_much_next_to_none() {
        let rule = LoadRule::default();
        let kept = |load, mean| (0..10_000).filter(|at| rule.keeps(load, mean, mix(*at))).count();
        assert_eq!((kept(500, 500.0), kept(49, 1.0)), (10_000, 10_000));
        assert!((4_800..5_200).contains(&kept(530, 500.0)), "a twelfth root of a half more");
        assert!(kept(1_000, 500.0) < 20);
        assert_eq!(kept(u32::MAX, 0.0), 0);
        let steps = [0, 699, 700, 850, 949, 950, 5_000].map(|load| rule.step(load));
        assert_eq!(steps, [0, 0, 1, 2, 2, 3, 3]);
        let mut step = 0;
        let loads = [690, 700, 690, 651, 650, 649, 960, 901, 899, 700, 100];
        let steps = loads.map(|load| {
            step = rule.step_after(step, load);
            step
        });
        assert_eq!(steps, [0, 1, 1, 1, 1, 0, 3, 3, 2, 1, 0], "up at once, down with a distance");
    }

    #[test]
    fn a_share_twice_as_large_wins_twice_as_many_titles() {
        let (one, two) = (hash_name("edge-1"), hash_name("edge-2"));
        let wins = (0..30_000u64).filter(|title| {
            let title = mix(*title);
            rendezvous(title, two, 20.0) > rendezvous(title, one, 10.0)
        });
        let wins = wins.count();
        assert!((19_500..20_500).contains(&wins), "{wins} of 30000");
    }
}
