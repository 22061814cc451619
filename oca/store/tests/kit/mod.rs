//! What the tests of this crate share: payloads that are never alike, seals and volumes for them.
//! Holds no assertions.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::Path;

use control_types::fleet::DiskClass;
use control_types::limits::CHUNK_BYTES;
use oca_store::{Incoming, MediaType, Seal, StoreError, Volume, Writer, seal_reader};

pub const CHUNK: usize = CHUNK_BYTES as usize;

/// `bytes` bytes that depend on `seed` and on nothing else.
pub fn payload(seed: u64, bytes: usize) -> Vec<u8> {
    let mut out = vec![0u8; bytes];
    let mut stream = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
    stream.fill(&mut out);
    out
}

pub fn seal(payload: &[u8]) -> Seal {
    let title = "river-of-light".parse().unwrap();
    seal_reader(payload, title, MediaType::VideoMp4).unwrap()
}

pub fn volume(path: &Path) -> Volume {
    Volume::open(path, DiskClass::Ssd).unwrap()
}

/// Opens a writer in a program whose other tests start processes: until one of these has become
/// what it is to be, it has every open file of ours, locks too.
pub fn open(volume: &Volume) -> Writer {
    let began = std::time::Instant::now();
    loop {
        match Writer::open(volume, "test") {
            Err(StoreError::Locked { .. }) if began.elapsed().as_secs() < 20 => {
                std::thread::yield_now();
            }
            opened => return opened.unwrap(),
        }
    }
}

pub fn chunk_of(payload: &[u8], index: u32) -> &[u8] {
    let start = index as usize * CHUNK;
    &payload[start..(start + CHUNK).min(payload.len())]
}

pub fn write_missing(incoming: &mut Incoming, payload: &[u8]) {
    for index in incoming.missing().into_iter().flatten() {
        incoming.write_chunk(index, chunk_of(payload, index)).unwrap();
    }
}

pub fn publish(writer: &Writer, payload: &[u8]) -> Result<Seal, StoreError> {
    let seal = seal(payload);
    let mut incoming = writer.begin(seal.clone())?;
    write_missing(&mut incoming, payload);
    incoming.publish()?;
    Ok(seal)
}
