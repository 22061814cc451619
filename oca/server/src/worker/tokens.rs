//! What a completion's token says: kind of operation, place, and how often the place was reused.
//! Never an address: a stale token misses, it cannot hit somebody else.

use oca_sys::Token;

/// A connection's place in its worker's table. A seat of an earlier generation is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seat {
    /// Place in the table.
    pub slot: u32,
    /// How often the place was taken when this seat was given out.
    pub generation: u32,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)+) => {
        /// What kind of operation a token belongs to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum TokenKind { $($(#[$doc])* $name = $number,)+ }

        impl TokenKind {
            fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

kinds! {
    /// A listener's; the place is the listener.
    Accept = 1,
    /// The end of it.
    StopAccepting = 2,
    /// A connection's.
    Receive = 3,
    /// A connection's.
    Send = 4,
    /// A connection's.
    Shutdown = 5,
    /// A connection's; generation 0 for a socket that never had a seat.
    CloseSocket = 6,
    /// A file's; the place is in `Files`.
    Open = 7,
    /// A file's.
    ReadSeal = 8,
    /// That of one or more chunks; place and generation are a running number.
    ReadChunk = 9,
    /// Nobody's: the file left its place before.
    CloseFile = 10,
    /// A device's on trial; place and generation are a running number.
    ProbeOpen = 11,
    /// A device's on trial.
    ProbeRead = 12,
    /// A connection's, that lends: its end, and the return of what was lent.
    Lend = 13,
}

const PLACE_BITS: u32 = 24;

impl TokenKind {
    /// Packs kind, place (24 bits) and generation.
    #[must_use]
    pub fn token(self, place: u32, generation: u32) -> Token {
        debug_assert!(place < 1 << PLACE_BITS);
        let high = u64::from(self as u8) << PLACE_BITS | u64::from(place);
        Token(high << 32 | u64::from(generation))
    }

    /// Unpacks; `None` for the kernel's own token of a wake-up.
    #[must_use]
    pub fn split(token: Token) -> Option<(Self, u32, u32)> {
        let high = (token.0 >> 32) as u32;
        let kind = Self::from_number((high >> PLACE_BITS) as u8)?;
        Some((kind, high & ((1 << PLACE_BITS) - 1), token.0 as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_they_went() {
        let token = TokenKind::ReadChunk.token((1 << PLACE_BITS) - 1, u32::MAX);
        assert_eq!(
            TokenKind::split(token),
            Some((TokenKind::ReadChunk, (1 << PLACE_BITS) - 1, u32::MAX))
        );
        assert_eq!(TokenKind::split(Token(u64::MAX)), None, "a wake-up is nobody's");
    }
}
