//! Whether memory is lent to the network: asked of the kernel at boot, learned of each way out from
//! what it reports. Never sends anything, and knows no socket.
//!
//! ```text
//! a way out (our own address of a connection)
//! unknown -- DOUBTS_BY_WAY_MAX doubts in a row --> copies, for ZERO_COPY_AGAIN_MS
//!    ^ '--- a report of use ends the row                       |
//!    '---- one socket tries again: a report of use, or back <-'
//! ```
//! Our own address stands for a network card, as a rule: what leaves by it is taken from memory by
//! the card, or is copied on its way to somebody on this machine. Copying lent memory costs more
//! than a plain send, so what copies is left alone; but cards, drivers and routes change, so not
//! for ever. Each worker learns for itself.

use std::fmt;
use std::net::IpAddr;

use oca_sys::Nanos;

use super::Why;
use crate::limits::{DOUBTS_BY_WAY_MAX, DOUBTS_MAX, WAYS_OUT_MAX, ZERO_COPY_AGAIN_MS};

/// What one worker knows.
#[derive(Clone, Debug)]
pub struct ZeroCopy {
    /// Why nothing is lent; absent where it can be.
    refused: Option<String>,
    ways: Vec<WayOut>,
}

/// What one way out was found to do.
#[derive(Clone, Copy, Debug)]
struct WayOut {
    own: IpAddr,
    /// From reports of copies, since the last of use.
    doubts: u32,
    /// It is left alone until then.
    until: Option<Nanos>,
}

/// Nothing was asked.
impl Default for ZeroCopy {
    fn default() -> Self {
        Self { refused: Some("not asked".to_owned()), ways: Vec::new() }
    }
}

impl ZeroCopy {
    /// Asks this machine's kernel.
    #[must_use]
    pub fn probe() -> Self {
        Self { refused: oca_sys::lending_known().err(), ways: Vec::new() }
    }

    /// On a machine whose kernel can.
    #[must_use]
    pub fn able() -> Self {
        Self { refused: None, ways: Vec::new() }
    }

    /// Nothing is lent from here on.
    pub fn refuse(&mut self, why: String) {
        self.refused.get_or_insert(why);
    }

    /// Whether the kernel lends at all.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.refused.is_none()
    }

    /// Whether a new socket whose own address is `own` may lend.
    ///
    /// # Errors
    /// Why not.
    pub fn may_begin(&mut self, own: IpAddr, now: Nanos) -> Result<(), Why> {
        if !self.is_usable() {
            return Err(Why::NoZeroCopy);
        }
        let Some(way) = self.ways.iter_mut().find(|way| way.own == own) else { return Ok(()) };
        if way.until.is_some_and(|until| now < until) {
            return Err(Why::WayOutCopies);
        }
        if way.until.take().is_some() {
            // This one tries for all; what a socket takes to give it up closes the way again.
            way.doubts = DOUBTS_BY_WAY_MAX - DOUBTS_MAX;
            way.until = Some(now.plus_millis(ZERO_COPY_AGAIN_MS));
        }
        Ok(())
    }

    /// Memory lent by a socket of this way out was read where it lay.
    pub fn used(&mut self, own: IpAddr) {
        if let Some(way) = self.ways.iter_mut().find(|way| way.own == own) {
            (way.doubts, way.until) = (0, None);
        }
    }

    /// What was lent by a socket of this way out may have been copied, with so many doubts. Answers
    /// whether that is how it is: nobody should lend here for a while.
    pub fn doubted(&mut self, own: IpAddr, doubts: u32, now: Nanos) -> bool {
        let known = self.ways.iter().position(|way| way.own == own);
        let at = known.unwrap_or_else(|| {
            if self.ways.len() >= WAYS_OUT_MAX {
                self.ways.remove(0);
            }
            self.ways.push(WayOut { own, doubts: 0, until: None });
            self.ways.len() - 1
        });
        let way = &mut self.ways[at];
        way.doubts = way.doubts.saturating_add(doubts);
        if way.doubts < DOUBTS_BY_WAY_MAX {
            return false;
        }
        way.until = Some(now.plus_millis(ZERO_COPY_AGAIN_MS));
        true
    }
}

impl fmt::Display for ZeroCopy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.refused {
            None => out.write_str("usable"),
            Some(why) => write!(out, "not used: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_kernel_that_cannot_is_not_asked_to() {
        let mut never = ZeroCopy::default();
        assert_eq!(never.may_begin(address("192.0.2.1"), Nanos(0)), Err(Why::NoZeroCopy));
        assert_eq!(never.to_string(), "not used: not asked");
        let mut able = ZeroCopy::able();
        able.refuse("cannot lock memory".to_owned());
        able.refuse("another reason".to_owned());
        assert_eq!(able.may_begin(address("192.0.2.1"), Nanos(0)), Err(Why::NoZeroCopy));
        assert_eq!(able.to_string(), "not used: cannot lock memory");
    }

    #[test]
    fn a_way_that_copies_is_left_alone_for_a_while_and_tried_by_one() {
        let mut zero_copy = ZeroCopy::able();
        let (own, other, now) = (address("192.0.2.1"), address("198.51.100.1"), Nanos(5));
        for doubt in 1..=DOUBTS_BY_WAY_MAX {
            assert_eq!(zero_copy.may_begin(own, now), Ok(()));
            assert_eq!(zero_copy.doubted(own, 1, now), doubt == DOUBTS_BY_WAY_MAX);
        }
        assert_eq!(zero_copy.may_begin(own, now), Err(Why::WayOutCopies));
        assert_eq!(zero_copy.may_begin(other, now), Ok(()));
        let later = now.plus_millis(ZERO_COPY_AGAIN_MS);
        assert_eq!(zero_copy.may_begin(own, later), Ok(()), "one tries");
        assert_eq!(zero_copy.may_begin(own, later), Err(Why::WayOutCopies), "the others do not");
        assert!(!zero_copy.doubted(own, DOUBTS_MAX - 1, later));
        assert!(zero_copy.doubted(own, 1, later), "settled again");
        assert_eq!(zero_copy.may_begin(own, later.plus_millis(1)), Err(Why::WayOutCopies));
        let again = later.plus_millis(ZERO_COPY_AGAIN_MS);
        assert_eq!(zero_copy.may_begin(own, again), Ok(()));
        zero_copy.used(own);
        assert_eq!(zero_copy.may_begin(own, again), Ok(()), "open to all again");
    }

    #[test]
    fn a_report_of_use_begins_the_count_anew() {
        let mut zero_copy = ZeroCopy::able();
        let own = address("2001:db8::1");
        for _ in 0..9 {
            assert!(!zero_copy.doubted(own, DOUBTS_BY_WAY_MAX - 1, Nanos(0)));
            zero_copy.used(own);
        }
        assert_eq!(zero_copy.may_begin(own, Nanos(0)), Ok(()));
    }

    #[test]
    fn ways_out_are_bounded() {
        let mut zero_copy = ZeroCopy::able();
        for number in 0..2 * WAYS_OUT_MAX as u32 {
            zero_copy.doubted(IpAddr::from(number.to_be_bytes()), 1, Nanos(0));
        }
        assert_eq!(zero_copy.ways.len(), WAYS_OUT_MAX);
    }
}
