//! Rendezvous weights: every box draws a number for every parcel and the highest draws hold it, so
//! a box that joins or leaves moves only its own share. Not for anything an attacker may choose.

/// A name as a number. The same on every machine and in every release: a plan must not change
/// because the director moved, which rules out hashers that depend on the CPU.
#[must_use]
pub fn name_key(name: &str) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // FNV leaves the last bytes in the low bits; names differ mostly in their last bytes.
    mixed(state)
}

/// The draw of `seat` for `key`, both from [`name_key`].
#[must_use]
pub fn draw(key: u64, seat: u64) -> u64 {
    mixed(key ^ seat.rotate_left(32).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn mixed(mut state: u64) -> u64 {
    state ^= state >> 30;
    state = state.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state ^= state >> 27;
    state = state.wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::{draw, name_key};

    #[test]
    fn seats_share_keys_about_evenly() {
        let seats = ["edge-a1", "edge-a2", "edge-a3"];
        let mut won = [0_u32; 3];
        for key in 0..3000 {
            let key = name_key(&format!("title-{key}"));
            let best = (0..3).max_by_key(|seat| draw(key, name_key(seats[*seat]))).unwrap();
            won[best] += 1;
        }
        assert!(won.iter().all(|wins| (850..1150).contains(wins)), "{won:?}");
    }
}
