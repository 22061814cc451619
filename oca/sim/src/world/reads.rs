//! What the server asks of disks: opens and reads, settled when they begin and told when they have
//! taken their time. It decides nothing; the weather, flaws and outages do.

use std::io;
use std::path::PathBuf;

use oca_sys::{Access, Buffer, Piece, Token};

use super::{EIO, Happening, POISON, World};
use crate::agenda::Moment;
use crate::weather::{Weather, latency};

impl World {
    /// What the disk will answer is settled now, and told when it has taken its time.
    pub(crate) fn begin_read(
        &mut self,
        token: Token,
        file: u32,
        at: u64,
        mut into: Buffer,
        access: Access,
    ) {
        let Self { disk, weather, random, .. } = self;
        self.reads += 1;
        let answer = match access {
            Access::Direct => disk.read(file, at, &mut into, weather, random),
            Access::Cached => disk.read_cached(file, at, &mut into, weather, random),
        };
        let (answer, takes) = self.with_outage(file, answer);
        self.later(takes, Happening::Reads(token, answer, into));
    }

    /// An open begins: the device of the file may take its time over it.
    pub(crate) fn begin_open(&mut self, token: Token, path: PathBuf) {
        let takes = latency(&mut self.random, self.weather.latency_max);
        match self.disk.outage(&path, self.now, takes) {
            Some(takes) => self.later(takes, Happening::Opens(token, path)),
            None => self.later(takes, Happening::OpenFails(token)),
        }
    }

    /// What a device's outage makes of a read's answer.
    fn with_outage(
        &self,
        file: u32,
        (answer, takes): (io::Result<usize>, Moment),
    ) -> (io::Result<usize>, Moment) {
        match self.disk.outage(&self.disk.path_of(file), self.now, takes) {
            Some(takes) => (answer, takes),
            None => (Err(io::Error::from_raw_os_error(EIO)), takes),
        }
    }

    /// The same into several buffers.
    pub(crate) fn begin_read_many(
        &mut self,
        token: Token,
        file: u32,
        at: u64,
        mut into: Vec<Buffer>,
    ) {
        let Self { disk, weather, random, .. } = self;
        self.reads += into.len();
        let mut bytes = vec![POISON; into.iter().map(|buffer| buffer.len()).sum()];
        let answer = disk.read(file, at, &mut bytes, weather, random);
        let (answer, takes) = self.with_outage(file, answer);
        let mut left = bytes.as_slice();
        for buffer in &mut into {
            let (now, rest) = left.split_at(buffer.len());
            buffer.copy_from_slice(now);
            left = rest;
        }
        self.later(takes, Happening::ReadsMany(token, answer, into));
    }

    /// Bytes of the page cache, fewer than asked for where it ends, none where it has none.
    pub(crate) fn cached(&mut self, file: u32, piece: Piece) -> Vec<u8> {
        let Self { disk, weather, random, .. } = self;
        disk.cached(file, piece.at, piece.bytes, weather, random)
    }

    /// How many bytes the page cache has; it forgets nothing by being asked.
    pub(crate) fn resident(&mut self, file: u32, piece: Piece) -> usize {
        let never = Weather::fair();
        self.disk.cached(file, piece.at, piece.bytes, &never, &mut self.random).len()
    }
}
