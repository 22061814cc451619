//! The engine: pick, damage, try, keep what is new. It knows no format but "bytes".

use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Rounds of each target where no time is given.
const ROUNDS: u64 = 30_000;
/// Files of one target's corpus; beyond, nothing is written.
const FILES_MAX: usize = 300;
/// Longest input, bytes.
const BYTES_MAX: usize = 24 * 1024;
/// Longest input that is written into the corpus, bytes: a lesson should be short.
const KEPT_BYTES_MAX: usize = 4 * 1024;

/// Numbers that are the same for the same seed.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % below.max(1) as u64) as usize
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// One parser under attack.
pub struct Target {
    /// Folder of its corpus, and part of its test's name.
    pub name: &'static str,
    /// What to begin with besides the corpus.
    pub seeds: Vec<Vec<u8>>,
    /// Pieces that mean something to it.
    pub pieces: &'static [&'static [u8]],
    /// A change that knows the format; false: none was made.
    pub reshape: fn(&mut Vec<u8>, &mut Rng) -> bool,
    /// Tries one input, panics where a rule is broken, and says in a few words how it was taken.
    pub check: fn(&[u8], &mut Rng) -> String,
}

/// Runs a target.
pub fn run(target: &Target) {
    let seconds = number("NIGHTFILL_FUZZ_SECONDS");
    let first = number("NIGHTFILL_FUZZ_SEED").unwrap_or_else(|| match seconds {
        Some(_) => Instant::now().elapsed().as_nanos() as u64 ^ u64::from(std::process::id()) << 20,
        None => 1,
    });
    let mut pool = corpus(target.name);
    pool.extend(target.seeds.iter().cloned());
    let mut known = HashSet::new();
    for bytes in &pool {
        known.insert(tried(target, bytes, 0));
    }
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let (mut kept, mut round) = (0, 0);
    while until.map_or(round < ROUNDS, |until| Instant::now() < until) {
        let seed = first.wrapping_add(round);
        round += 1;
        let bytes = damaged(target, &pool, &mut Rng::new(seed));
        let how = tried(target, &bytes, seed);
        if known.insert(how) {
            kept += 1;
            if seconds.is_some() {
                keep(target.name, &bytes);
            }
            pool.push(bytes);
        }
    }
    println!("{}: {round} rounds, {kept} new ways, {} known", target.name, known.len());
}

fn tried(target: &Target, bytes: &[u8], seed: u64) -> String {
    let tried = catch_unwind(AssertUnwindSafe(|| (target.check)(bytes, &mut Rng::new(seed))));
    tried.unwrap_or_else(|reason| {
        let name = target.name;
        eprintln!("{}", bytes.escape_ascii());
        let package = env!("CARGO_PKG_NAME");
        eprintln!("replay: NIGHTFILL_FUZZ_SEED={seed} cargo test -p {package} {name}");
        std::panic::resume_unwind(reason)
    })
}

fn damaged(target: &Target, pool: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let (mut bytes, other) = (rng.pick(pool).clone(), rng.pick(pool));
    for _ in 0..=rng.below(4) {
        if rng.below(2) == 0 && (target.reshape)(&mut bytes, rng) {
            continue;
        }
        let at = rng.below(bytes.len() + 1);
        match rng.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.below(256) as u8),
            2 if at < bytes.len() => bytes[at] = rng.below(256) as u8,
            3 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            4 => {
                let end = at + rng.below(bytes.len() - at + 1);
                bytes.drain(at..end);
            }
            5 => {
                bytes.truncate(at);
                bytes.extend_from_slice(&other[rng.below(other.len() + 1)..]);
            }
            6 => {
                let end = at + rng.below(bytes.len() - at + 1).min(64);
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            _ => {
                let piece = rng.pick(target.pieces);
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn folder(name: &str) -> PathBuf {
    // Tests of the server use this file as well.
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../http/corpus").join(name)
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder(name))
        .expect("the corpus is part of the source")
        .map(|entry| entry.expect("readable").path())
        .collect();
    // The same order everywhere, or a seed would mean something else on another machine.
    files.sort();
    files.iter().map(|file| fs::read(file).expect("readable")).collect()
}

fn keep(name: &str, bytes: &[u8]) {
    let folder = folder(name);
    let is_short = bytes.len() <= KEPT_BYTES_MAX;
    if is_short && fs::read_dir(&folder).expect("readable").count() < FILES_MAX {
        let mark = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |mark, byte| {
            (mark ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        fs::write(folder.join(format!("{mark:016x}")), bytes).expect("the corpus can be written");
    }
}
