//! The Huffman code of HPACK (RFC 7541 appendix B), decoding only: what we send is not squeezed.
//! Never writes more than it is allowed to.
//!
//! The code is canonical: codes of one length follow one another in the order of their symbols, and
//! begin where those one bit shorter ended. So the lengths are the whole table, and a code is found
//! by comparing its first bits with where each length begins.

/// Code length of each byte, bits.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

const LENGTH_MIN: u32 = 5;
const LENGTH_MAX: u32 = 30;

/// For each length: its first code, how many it has, and where its symbols start.
struct Ranks {
    first: [u32; LENGTH_MAX as usize + 1],
    count: [u32; LENGTH_MAX as usize + 1],
    place: [u32; LENGTH_MAX as usize + 1],
    symbols: [u8; 256],
}

const RANKS: Ranks = ranks();

const fn ranks() -> Ranks {
    let mut ranks = Ranks {
        first: [0; LENGTH_MAX as usize + 1],
        count: [0; LENGTH_MAX as usize + 1],
        place: [0; LENGTH_MAX as usize + 1],
        symbols: [0; 256],
    };
    let (mut length, mut code, mut placed) = (1, 0, 0);
    while length <= LENGTH_MAX as usize {
        code <<= 1;
        ranks.first[length] = code;
        ranks.place[length] = placed as u32;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                ranks.symbols[placed] = symbol as u8;
                placed += 1;
                code += 1;
            }
            symbol += 1;
        }
        ranks.count[length] = placed as u32 - ranks.place[length];
        length += 1;
    }
    ranks
}

/// The text is not Huffman-coded, or longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCode;

/// Decodes `coded` to the end of `into`, at most `bytes_max` bytes.
///
/// # Errors
/// A code that is none, padding that is not the shortest run of ones, or too much of it all.
pub fn decode(coded: &[u8], into: &mut Vec<u8>, bytes_max: usize) -> Result<(), BadCode> {
    let (mut bits, mut held) = (0u64, 0u32);
    let mut coded = coded.iter();
    let mut left = bytes_max;
    loop {
        while held <= 56 {
            let Some(byte) = coded.next() else { break };
            bits = bits << 8 | u64::from(*byte);
            held += 8;
        }
        let Some((symbol, length)) = first_symbol(bits, held) else { break };
        left = left.checked_sub(1).ok_or(BadCode)?;
        into.push(symbol);
        held -= length;
        bits &= (1 << held) - 1;
    }
    // Less than a byte of ones may be left: the start of the code that ends all text.
    let is_padding = held < 8 && bits == (1 << held) - 1;
    if is_padding { Ok(()) } else { Err(BadCode) }
}

/// The symbol that `bits`, of which `held` count, begins with; `None` when there is none.
fn first_symbol(bits: u64, held: u32) -> Option<(u8, u32)> {
    let mut length = LENGTH_MIN;
    while length <= LENGTH_MAX && length <= held {
        let code = (bits >> (held - length)) as u32;
        let at = length as usize;
        let rank = code.wrapping_sub(*RANKS.first.get(at)?);
        if rank < *RANKS.count.get(at)? {
            let place = RANKS.place.get(at)?.checked_add(rank)?;
            return RANKS.symbols.get(place as usize).map(|symbol| (*symbol, length));
        }
        length += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(coded: &[u8], expected: Result<&str, BadCode>) {
        let mut text = Vec::new();
        let end = decode(coded, &mut text, 64);
        assert_eq!(
            end.map(|()| String::from_utf8(text).expect("ASCII")),
            expected.map(str::to_owned)
        );
    }

    #[test]
    fn the_examples_of_the_standard() {
        check(
            &[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff],
            Ok("www.example.com"),
        );
        check(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], Ok("no-cache"));
        check(&[0x64, 0x02], Ok("302"));
        check(&[], Ok(""));
    }

    #[test]
    fn padding_is_ones_and_short_and_the_end_is_no_symbol() {
        check(&[0x64, 0x02, 0xff], Err(BadCode));
        check(&[0x18], Err(BadCode));
        check(&[0xff, 0xff, 0xff, 0xff], Err(BadCode));
        check(&[0xff], Err(BadCode));
        check(&[0x1f], Ok("a"));
    }

    #[test]
    fn every_symbol_is_found_and_no_code_is_left_over() {
        let mut seen = [false; 256];
        for length in LENGTH_MIN..=LENGTH_MAX {
            for rank in 0..RANKS.count[length as usize] {
                let code = u64::from(RANKS.first[length as usize] + rank);
                let (symbol, taken) = first_symbol(code, length).expect("a code");
                assert_eq!((taken, LENGTHS[usize::from(symbol)]), (length, length as u8));
                assert!(!std::mem::replace(&mut seen[usize::from(symbol)], true));
            }
        }
        assert!(seen.iter().all(|seen| *seen));
        // Only thirty ones are left over: the code of the end.
        assert_eq!(RANKS.first[30] + RANKS.count[30], (1 << 30) - 1);
    }

    #[test]
    fn no_more_than_allowed() {
        let mut text = Vec::new();
        assert_eq!(decode(&[0x00, 0x00, 0x00, 0x00, 0x00], &mut text, 7), Err(BadCode));
        assert_eq!(text.len(), 7);
    }
}
