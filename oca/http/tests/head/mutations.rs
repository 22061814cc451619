//! Corpus files, damaged and joined at random: hostile heads nobody thought of.
//! `NIGHTFILL_FUZZ_SEED` replays a failure, `NIGHTFILL_FUZZ_ROUNDS` makes it run longer.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{corpus, rules};

const ROUNDS: u64 = 20_000;

/// Pieces that mean something to a parser; random bytes hardly ever hit on them.
const PIECES: [&[u8]; 20] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"%2e",
    b"..",
    b"//",
    b"?",
    b"#",
    b"&CAT=a",
    b"Host: b\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"HTTP/1.1",
    b"*",
    b"\xff",
];

fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn damaged_heads_keep_every_rule() {
    let lessons: Vec<Vec<u8>> = corpus::lessons().into_iter().map(|(_, bytes)| bytes).collect();
    let replay = number_from("NIGHTFILL_FUZZ_SEED");
    let first = replay.unwrap_or_else(|| fastrand::u64(..u64::MAX / 2));
    let rounds =
        if replay.is_some() { 1 } else { number_from("NIGHTFILL_FUZZ_ROUNDS").unwrap_or(ROUNDS) };
    for seed in first..first + rounds {
        let bytes = damaged(&lessons, &mut fastrand::Rng::with_seed(seed));
        if let Err(reason) = catch_unwind(AssertUnwindSafe(|| rules::check(&bytes))) {
            eprintln!("{:?}", String::from_utf8_lossy(&bytes));
            eprintln!(
                "replay: NIGHTFILL_FUZZ_SEED={seed} cargo test -p oca-http --test head damaged"
            );
            std::panic::resume_unwind(reason);
        }
    }
}

fn damaged(lessons: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut pick = || random.choice(lessons).cloned().unwrap_or_default();
    let (mut bytes, other) = (pick(), pick());
    for _ in 0..random.usize(1..5) {
        let at = random.usize(..=bytes.len());
        match random.u8(..7) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.u8(..)),
            2 if at < bytes.len() => bytes[at] = random.u8(..),
            3 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
            4 => {
                let end = random.usize(at..=bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                let from = random.usize(..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                let piece = PIECES[random.usize(..PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}
