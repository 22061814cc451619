//! The hashes that spread titles over equal appliances: one order for control and for appliances
//! that steer by themselves, so that a title stays on the box that has it warm when control goes
//! away. The same in every process and version; knows no fleet.

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
