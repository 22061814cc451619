//! Seals prove payloads: goal is that no damage to region or chunk passes, and that the table is
//! plain BLAKE3. Nothing here touches a disk.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod kit;

use control_types::ObjectId;
use control_types::limits::{CHUNK_BYTES, OBJECT_BYTES_MAX};
use kit::{CHUNK, chunk_of, payload, seal};
use oca_store::{SEAL_ALIGN_BYTES, Seal, SealError};
use proptest::prelude::*;

/// Around the boundaries of chunks and of the tree's shape.
const SIZES: [usize; 13] = [
    0,
    1,
    1024,
    1025,
    CHUNK - 1,
    CHUNK,
    CHUNK + 1,
    2 * CHUNK,
    2 * CHUNK + 1,
    3 * CHUNK - 7,
    4 * CHUNK,
    7 * CHUNK + 99,
    17 * CHUNK,
];

/// The region with its checksum made right again, as a liar would.
fn with_right_checksum(mut region: Vec<u8>) -> Vec<u8> {
    region[8..12].fill(0);
    let crc = crc32c::crc32c(&region);
    region[8..12].copy_from_slice(&crc.to_le_bytes());
    region
}

#[test]
fn the_table_merges_to_the_plain_hash_of_the_payload() {
    for size in SIZES {
        let payload = payload(size as u64, size);
        let seal = seal(&payload);
        assert_eq!(seal.object(), ObjectId(*blake3::hash(&payload).as_bytes()), "size {size}");
        assert_eq!(seal.bytes(), size as u64);
        assert_eq!(seal.chunks() as usize, size.div_ceil(CHUNK), "size {size}");
        // Decoding merges the table again, by another way than the hasher that made it.
        let region = seal.encode();
        assert_eq!(Seal::decode(&region), Ok(seal.clone()), "size {size}");
        assert_eq!(region.len() as u64, seal.payload_offset());
        assert_eq!(seal.payload_offset() % SEAL_ALIGN_BYTES, 0);
        assert_eq!(seal.payload_offset(), Seal::region_bytes_for(size as u64));
    }
}

#[test]
fn every_chunk_is_proved_alone_and_only_in_its_place() {
    for size in SIZES {
        let payload = payload(7, size);
        let seal = seal(&payload);
        for index in 0..seal.chunks() {
            let chunk = chunk_of(&payload, index);
            assert!(seal.verify_chunk(index, chunk), "size {size} chunk {index}");
            assert!(!seal.verify_chunk(index + 1, chunk), "size {size} chunk {index} misplaced");
            assert!(!seal.verify_chunk(index, &chunk[..chunk.len() - 1]));
            let mut bad = chunk.to_vec();
            bad[chunk.len() / 2] ^= 1;
            assert!(!seal.verify_chunk(index, &bad), "size {size} chunk {index} damaged");
        }
        assert!(!seal.verify_chunk(seal.chunks(), &[]));
        assert!(!seal.verify_chunk(u32::MAX, &[]));
    }
}

#[test]
fn a_flip_of_any_byte_of_the_region_is_refused() {
    let region = seal(&payload(1, 3 * CHUNK - 5)).encode();
    for at in 0..region.len() {
        let mut bad = region.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(Seal::decode(&bad).is_err(), "byte {at}");
    }
}

#[test]
fn a_region_of_another_length_is_refused() {
    let region = seal(&payload(2, 5 * CHUNK)).encode();
    for length in [0, 1, 127, 128, 4095] {
        let refused = Seal::decode(&region[..length]);
        assert!(matches!(refused, Err(SealError::Length { .. })), "{length}: {refused:?}");
    }
    let longer = [region.as_slice(), &[0]].concat();
    assert!(matches!(Seal::decode(&longer), Err(SealError::Length { .. })));
}

#[test]
fn the_region_of_the_largest_object_is_bounded() {
    assert_eq!(OBJECT_BYTES_MAX / CHUNK_BYTES * 32, 8 << 20);
    assert_eq!(Seal::region_bytes_for(OBJECT_BYTES_MAX), (8 << 20) + SEAL_ALIGN_BYTES);
    let mut region = seal(&payload(3, 10)).encode();
    region[16..24].copy_from_slice(&(OBJECT_BYTES_MAX + 1).to_le_bytes());
    let refused = Seal::decode(&with_right_checksum(region));
    assert_eq!(refused, Err(SealError::TooLarge(OBJECT_BYTES_MAX + 1)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_flip_in_a_region_of_any_size_is_refused(
        size in 0usize..4 * CHUNK, at in any::<prop::sample::Index>(), mask in 1u8..,
    ) {
        let mut region = seal(&payload(size as u64, size)).encode();
        let at = at.index(region.len());
        region[at] ^= mask;
        prop_assert!(Seal::decode(&region).is_err(), "byte {at} mask {mask}");
    }

    /// The checksum keeps accidents out; the tree keeps liars out, who can compute a checksum.
    #[test]
    fn a_lie_about_the_name_or_the_table_is_refused_even_with_a_right_checksum(
        size in 1usize..4 * CHUNK, at in any::<prop::sample::Index>(), mask in 1u8..,
    ) {
        let sealed = seal(&payload(size as u64, size));
        let proved: Vec<usize> =
            (24..56).chain(128..128 + 32 * sealed.chunks() as usize).collect();
        let mut region = sealed.encode();
        region[proved[at.index(proved.len())]] ^= mask;
        prop_assert_eq!(Seal::decode(&with_right_checksum(region)), Err(SealError::Table));
    }

    #[test]
    fn hostile_bytes_never_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..9000), dressed in any::<bool>(),
    ) {
        if dressed && bytes.len() >= 128 {
            bytes[0..8].copy_from_slice(b"NFSEAL\x01\x00");
            bytes[18..24].fill(0);
            bytes.truncate(bytes.len() / 4096 * 4096);
            if bytes.len() >= 128 {
                bytes = with_right_checksum(bytes);
            }
        }
        prop_assert!(Seal::decode(&bytes).is_err());
    }
}

/// A seal's length is a claim until its last chunk was seen: a liar may move the end inside the
/// last chunk, and then no bytes on earth match that chunk. Whoever pulls compares with the plan
/// first.
#[test]
fn a_lie_about_the_length_makes_the_last_chunk_unprovable() {
    let payload = payload(4, CHUNK + 1000);
    let mut region = seal(&payload).encode();
    region[16..24].copy_from_slice(&(CHUNK as u64 + 999).to_le_bytes());
    let lie = Seal::decode(&with_right_checksum(region)).unwrap();
    assert!(lie.verify_chunk(0, &payload[..CHUNK]));
    assert!(!lie.verify_chunk(1, &payload[CHUNK..CHUNK + 999]));
}
