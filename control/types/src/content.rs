//! What an appliance holds, small enough to send: sorted 40-bit fingerprints as differences in a
//! Golomb-Rice code, and a digest that both ends keep up to date. Never the names themselves, and
//! never who is right: control asks for the whole set when digests differ.
//!
//! A *key* is `fingerprint << 1 | class`, 41 bits: the first 40 bits of the object's BLAKE3 name,
//! and whether it is on a rotating disk. One million keys take 22.6 bits each, 2.8 MB. Among `n`
//! objects held, an object not held is taken for one of them with a chance of `n / 2^40`: one in a
//! million for a million.
//!
//! ```text
//! varint count | u8 rice | for each key: unary quotient, 1 bits then 0 | rice bits of remainder
//! ```
//! The difference of the first key is to zero, of each other one to the key before it, less one.
//! Bits are filled from the lowest; what is left of the last byte is zero.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::fleet::{DiskClass, HeldObject};
use crate::ids::ObjectId;

/// Bits of a fingerprint.
pub const FINGERPRINT_BITS: u32 = 40;
/// Most keys in one set: 5.6 MB, which still fits a report's body as text.
pub const HELD_KEYS_MAX: usize = 1_600_000;

const KEY_BITS: u32 = FINGERPRINT_BITS + 1;

/// The first 40 bits of an object's name.
#[must_use]
pub fn fingerprint(object: &ObjectId) -> u64 {
    let [a, b, c, d, e, ..] = object.0;
    u64::from_le_bytes([a, b, c, d, e, 0, 0, 0])
}

/// The key of an object on a kind of disk.
#[must_use]
pub fn held_key(object: &ObjectId, class: DiskClass) -> u64 {
    fingerprint(object) << 1 | u64::from(class == DiskClass::Hdd)
}

/// Which kind of disk a key says.
#[must_use]
pub fn key_class(key: u64) -> DiskClass {
    if key & 1 == 1 { DiskClass::Hdd } else { DiskClass::Ssd }
}

/// A sorted set of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldKeys(Vec<u64>);

/// Why bytes are not a set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldKeysError {
    /// It ends before its last key.
    Short,
    /// It says it has more keys than [`HELD_KEYS_MAX`].
    Many,
    /// A key has more than 41 bits, or the parameter is none.
    Wide,
    /// Something follows the last key.
    Long,
    /// It is not base64url text.
    NotText,
}

impl fmt::Display for HeldKeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "a set of held keys ends before its last key",
            Self::Many => "a set of held keys has more than 1,600,000 of them",
            Self::Wide => "a held key has more than 41 bits",
            Self::Long => "something follows the last of a set of held keys",
            Self::NotText => "a set of held keys is not base64url without padding",
        })
    }
}

impl std::error::Error for HeldKeysError {}

impl HeldKeys {
    /// The set of these objects; copies of one object on one kind of disk are one key.
    #[must_use]
    pub fn of<'a>(held: impl IntoIterator<Item = &'a HeldObject>) -> Self {
        held.into_iter().map(|held| held_key(&held.object, held.class)).collect()
    }

    /// Sorted, each once.
    #[must_use]
    pub fn as_slice(&self) -> &[u64] {
        &self.0
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What `self` has and `other` has not.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut others = other.0.iter().copied().peekable();
        let left = self.0.iter().copied().filter(|key| {
            while others.next_if(|other| other < key).is_some() {}
            others.peek() != Some(key)
        });
        Self(left.collect())
    }

    /// As the head of this file draws it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let rice = rice_for(self.0.len());
        let mut out = Vec::with_capacity(8 + self.0.len() * 3);
        let mut count = self.0.len() as u64;
        while count >= 0x80 {
            out.push((count & 0x7f) as u8 | 0x80);
            count >>= 7;
        }
        out.push(count as u8);
        out.push(rice as u8);
        let mut bits = BitWriter { out, pending: 0, filled: 0 };
        let mut next = 0;
        for key in &self.0 {
            let gap = key - next;
            for _ in 0..gap >> rice {
                bits.put(1, 1);
            }
            bits.put(0, 1);
            bits.put(gap & ((1 << rice) - 1), rice);
            next = key + 1;
        }
        bits.finish()
    }

    /// Reads what `encode` wrote, and nothing else.
    ///
    /// # Errors
    /// [`HeldKeysError`]; memory is taken only as bytes bear it out.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeldKeysError> {
        let (count, rest) = decode_count(bytes)?;
        let (&rice, rest) = rest.split_first().ok_or(HeldKeysError::Short)?;
        if u32::from(rice) > KEY_BITS {
            return Err(HeldKeysError::Wide);
        }
        // Every key takes a bit at least.
        let mut keys = Vec::with_capacity(count.min(rest.len() * 8));
        let mut bits = BitReader { bytes: rest, at: 0 };
        let mut next = 0u64;
        for _ in 0..count {
            let mut quotient = 0u64;
            while bits.take(1)? == 1 {
                quotient += 1;
                if quotient << rice >> KEY_BITS != 0 {
                    return Err(HeldKeysError::Wide);
                }
            }
            let key = next + (quotient << rice | bits.take(u32::from(rice))?);
            if key >> KEY_BITS != 0 {
                return Err(HeldKeysError::Wide);
            }
            keys.push(key);
            next = key + 1;
        }
        bits.ends()?;
        Ok(Self(keys))
    }
}

impl FromIterator<u64> for HeldKeys {
    fn from_iter<T: IntoIterator<Item = u64>>(keys: T) -> Self {
        let mut keys: Vec<u64> = keys.into_iter().map(|key| key & ((1 << KEY_BITS) - 1)).collect();
        keys.sort_unstable();
        keys.dedup();
        Self(keys)
    }
}

impl Serialize for HeldKeys {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&URL_SAFE_NO_PAD.encode(self.encode()))
    }
}

impl<'de> Deserialize<'de> for HeldKeys {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes());
        let keys = bytes.map_err(|_| HeldKeysError::NotText).and_then(|bytes| Self::decode(&bytes));
        keys.map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for HeldKeys {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("Golomb-Rice coded set of 41-bit keys, base64url without padding"))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for HeldKeys {}

/// Digest of a set of keys, kept up to date key by key: the exclusive or of their mixed values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldDigest(u128);

impl HeldDigest {
    /// Of a whole set.
    #[must_use]
    pub fn of(keys: &HeldKeys) -> Self {
        let mut digest = Self::default();
        keys.0.iter().for_each(|key| digest.toggle(*key));
        digest
    }

    /// With `key` put in, or taken out.
    pub fn toggle(&mut self, key: u64) {
        let high = mix(key ^ 0x9e37_79b9_7f4a_7c15);
        self.0 ^= u128::from(high) << 64 | u128::from(mix(key.wrapping_add(high)));
    }
}

impl fmt::Display for HeldDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k1-{:032x}", self.0)
    }
}

/// The finalizer of splitmix64.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The parameter under which keys that are spread evenly take the fewest bits.
fn rice_for(count: usize) -> u32 {
    let mean = (1u64 << KEY_BITS) / (count as u64).max(1);
    // Quotients then are 0 or 1 for most keys; a mean of ln 2 would be a little better still.
    mean.max(2).ilog2().saturating_sub(1).max(1)
}

fn decode_count(bytes: &[u8]) -> Result<(usize, &[u8]), HeldKeysError> {
    let mut count = 0usize;
    for (at, byte) in bytes.iter().enumerate().take(4) {
        count |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let rest = bytes.get(at + 1..).unwrap_or_default();
            return if count > HELD_KEYS_MAX {
                Err(HeldKeysError::Many)
            } else {
                Ok((count, rest))
            };
        }
    }
    Err(if bytes.len() < 4 { HeldKeysError::Short } else { HeldKeysError::Many })
}

struct BitWriter {
    out: Vec<u8>,
    pending: u64,
    filled: u32,
}

impl BitWriter {
    /// `count` is at most 41, and fewer than 8 bits are pending before.
    fn put(&mut self, value: u64, count: u32) {
        self.pending |= value << self.filled;
        self.filled += count;
        while self.filled >= 8 {
            self.out.push(self.pending as u8);
            self.pending >>= 8;
            self.filled -= 8;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.filled > 0 {
            self.out.push(self.pending as u8);
        }
        self.out
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl BitReader<'_> {
    fn take(&mut self, count: u32) -> Result<u64, HeldKeysError> {
        let mut value = 0u64;
        let mut have = 0;
        while have < count {
            let byte = *self.bytes.get(self.at / 8).ok_or(HeldKeysError::Short)?;
            let skip = (self.at % 8) as u32;
            let here = (8 - skip).min(count - have);
            let part = (u64::from(byte) >> skip) & ((1 << here) - 1);
            value |= part << have;
            have += here;
            self.at += here as usize;
        }
        Ok(value)
    }

    /// Nothing but the zero bits of a last byte may be left.
    fn ends(mut self) -> Result<(), HeldKeysError> {
        if self.at.div_ceil(8) != self.bytes.len() {
            return Err(HeldKeysError::Long);
        }
        let left = (self.bytes.len() * 8 - self.at) as u32;
        if self.take(left)? == 0 { Ok(()) } else { Err(HeldKeysError::Long) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys without a generator: splitmix64 of a counter.
    fn keys(count: u64, seed: u64) -> HeldKeys {
        (0..count).map(|at| mix(seed.wrapping_add(at))).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        for count in [0, 1, 2, 3, 100, 5_000] {
            let set = keys(count, 7);
            assert_eq!(HeldKeys::decode(&set.encode()), Ok(set));
        }
        let edges: HeldKeys = [0, 1, 2, (1 << KEY_BITS) - 1].into_iter().collect();
        assert_eq!(HeldKeys::decode(&edges.encode()), Ok(edges));
    }

    #[test]
    fn a_million_take_under_three_megabytes() {
        let set = keys(1_000_000, 3);
        let bytes = set.encode().len();
        assert!(bytes < 2_900_000, "{bytes}");
    }

    #[test]
    fn bytes_cut_or_changed_anywhere_are_refused_or_another_set() {
        let bytes = keys(40, 11).encode();
        for cut in 0..bytes.len() {
            assert!(HeldKeys::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bent = bytes.clone();
                bent[at] ^= 1 << bit;
                if let Ok(set) = HeldKeys::decode(&bent) {
                    assert!(set.as_slice().is_sorted(), "byte {at}, bit {bit}");
                    assert!(set.len() <= bent.len() * 8);
                }
            }
        }
        let more = [bytes.clone(), vec![0]].concat();
        assert_eq!(HeldKeys::decode(&more), Err(HeldKeysError::Long));
        assert_eq!(HeldKeys::decode(&[0xff, 0xff, 0xff, 0x7f, 1]), Err(HeldKeysError::Many));
    }

    #[test]
    fn a_digest_follows_what_changes() {
        let (before, after) = (keys(100, 1), keys(100, 51));
        let (added, removed) = (after.without(&before), before.without(&after));
        assert_eq!((added.len(), removed.len()), (50, 50));
        let mut digest = HeldDigest::of(&before);
        added.as_slice().iter().chain(removed.as_slice()).for_each(|key| digest.toggle(*key));
        assert_eq!(digest, HeldDigest::of(&after));
        assert_ne!(digest, HeldDigest::of(&before));
    }
}
