//! What a box says of itself to whoever looks at it: how loaded it is, or that nobody should come.
//! One word in a header, unsigned; believed only of addresses that the bundle names.
//!
//! What a liar gains. The word is used to pass over its sender and for nothing else: who says that
//! it is loaded loses sessions, who says that it is idle is treated as boxes are that say nothing,
//! and gets what its equals cannot keep. Whether it is there at all, what it holds and where it
//! stands come from elsewhere. Somebody on the way between two boxes who changes the word sends
//! members to whom he did not change, which he could as well by letting no look through.

use std::fmt;

/// Header of the answer to a look.
pub const HEADER: &str = "nightfill-load";

/// Most that is believed, thousandths of capacity.
pub const LOAD_PER_MILLE_MAX: u32 = 4_000;

/// Loads are told in steps of this: fine enough for every threshold, and no clock of one member's
/// segments for whoever looks.
const STEP_PER_MILLE: u32 = 10;

/// One box's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Load of its capacity, thousandths, at most `LOAD_PER_MILLE_MAX`.
    Load(u32),
    /// It drains or is sick: nobody should be sent there.
    Leave,
}

impl Hint {
    /// A load, within its bound and in steps.
    #[must_use]
    pub fn load(per_mille: u32) -> Self {
        Self::Load(per_mille.min(LOAD_PER_MILLE_MAX) / STEP_PER_MILLE * STEP_PER_MILLE)
    }

    /// From the header's value; anything else says nothing.
    #[must_use]
    pub fn of(value: &str) -> Option<Self> {
        if value == "leave" {
            return Some(Self::Leave);
        }
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let load: u32 = value.parse().ok().filter(|_| is_number && value.len() <= 4)?;
        (load <= LOAD_PER_MILLE_MAX).then_some(Self::Load(load))
    }

    /// As in `HEADER`.
    #[must_use]
    pub fn number(self) -> Option<u32> {
        match self {
            Self::Load(load) => Some(load),
            Self::Leave => None,
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(load) => write!(f, "{load}"),
            Self::Leave => f.write_str("leave"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_reads_as_it_was_written_and_nothing_else_reads() {
        for hint in [Hint::load(0), Hint::load(957), Hint::load(u32::MAX), Hint::Leave] {
            assert_eq!(Hint::of(&hint.to_string()), Some(hint));
        }
        assert_eq!(Hint::load(957), Hint::Load(950));
        for bad in ["", "-1", "+1", "4001", "99999", "1e3", " 5", "5 ", "LEAVE", "leave,5", "5.0"] {
            assert_eq!(Hint::of(bad), None, "{bad}");
        }
    }
}
