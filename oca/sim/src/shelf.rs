//! What the simulated appliance holds: real objects, written once by the real store, and tickets.
//! It changes nothing after it is made; runs copy from it and spoil their copies.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use control_token::{Claims, TicketSigner};
use control_types::fleet::{DiskClass, TicketKeys};
use control_types::{ObjectId, TitleId, UnixMillis};
use oca_store::{Index, MediaType, Volume, Writer, seal_reader};

use crate::tls::Keys;
use crate::world::WALL_START_MS;

const DAY_MS: u64 = 86_400_000;
/// Volumes, each on a device of its own.
pub const VOLUMES: [(&str, DiskClass); 3] =
    [("ssd0", DiskClass::Ssd), ("hdd0", DiskClass::Hdd), ("ssd1", DiskClass::Ssd)];
/// Title (and volume of the same number), second copy's volume, size. The sizes sit on and beside
/// every boundary: one byte, a page, a chunk.
const SIZES: [(usize, Option<usize>, usize); 11] = [
    (0, None, 1),
    (0, None, 4096),
    (0, None, 70_000),
    (0, None, 262_144),
    (0, None, 262_145),
    (0, None, 700_001),
    (1, None, 5000),
    (1, None, 524_288),
    (1, None, 1_300_000),
    (0, Some(2), 300_000),
    (1, Some(2), 600_000),
];
const TITLES: [&str; 2] = ["night-train", "harbor-lights"];

/// One object on the shelf.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its name.
    pub object: ObjectId,
    /// The title it belongs to.
    pub title: &'static str,
    /// Its file on the first volume that has it.
    pub path: PathBuf,
    /// Volumes that have it, and its file there.
    pub copies: Vec<(usize, PathBuf)>,
    /// Everything in the file.
    pub file: Arc<[u8]>,
    /// Where the payload starts.
    pub payload_at: usize,
}

impl Sample {
    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.file[self.payload_at..]
    }

    /// The seal region.
    #[must_use]
    pub fn seal(&self) -> &[u8] {
        &self.file[..self.payload_at]
    }
}

/// Tickets of every kind, signed once.
#[derive(Clone, Debug)]
pub struct Tickets {
    /// Good ones, one for each title.
    pub good: Vec<String>,
    /// Good ones that allow 8 Mb/s.
    pub paced: Vec<String>,
    /// For filling.
    pub fill: String,
    /// Ends an hour after the start.
    pub brief: String,
    /// Past its time.
    pub stale: String,
    /// Before its time.
    pub early: String,
    /// Signed by a stranger.
    pub forged: String,
    /// For another network than any client's.
    pub elsewhere: String,
}

/// Objects, their index, tickets and the keys that open them.
#[derive(Debug)]
pub struct Shelf {
    /// All objects.
    pub samples: Vec<Sample>,
    /// What the server looks things up in.
    pub index: Index,
    /// All tickets.
    pub tickets: Tickets,
    /// Keys the server trusts.
    pub keys: TicketKeys,
    /// A certificate, for runs over TLS.
    pub tls: Keys,
}

impl Shelf {
    /// Writes three volumes below `dir` with the store's own writer, and reads them back.
    ///
    /// # Errors
    /// The directory cannot be written, or the store refuses an object.
    pub fn build(dir: &Path) -> io::Result<Self> {
        let mut volumes = Vec::new();
        for (name, class) in VOLUMES {
            fs::create_dir_all(dir.join(name))?;
            volumes.push(Volume::open(dir.join(name), class).map_err(io::Error::other)?);
        }
        let mut samples = Vec::new();
        for (number, (title, second, bytes)) in SIZES.into_iter().enumerate() {
            let mut sample = import(dir, &volumes[title], TITLES[title], bytes, number)?;
            sample.copies.push((title, sample.path.clone()));
            if let Some(second) = second {
                let copy = import(dir, &volumes[second], TITLES[title], bytes, number)?;
                sample.copies.push((second, copy.path));
            }
            samples.push(sample);
        }
        let index = Index::load(&volumes).index;
        let signer = TicketSigner::generate().map_err(io::Error::other)?;
        let keys = TicketKeys { keys: vec![signer.verification_key()] };
        Ok(Self { samples, index, tickets: Tickets::sign(&signer)?, keys, tls: Keys::make(dir)? })
    }

    /// Places of the samples that belong to title number `title`.
    pub fn of_title(&self, title: usize) -> impl Iterator<Item = usize> {
        let name = TITLES[title % TITLES.len()];
        let belongs = move |(_, sample): &(usize, &Sample)| sample.title == name;
        self.samples.iter().enumerate().filter(belongs).map(|(at, _)| at)
    }

    /// Number of the title that sample `at` belongs to.
    #[must_use]
    pub fn title_of(&self, at: usize) -> usize {
        TITLES.iter().position(|title| *title == self.samples[at].title).unwrap_or(0)
    }
}

fn import(
    dir: &Path,
    volume: &Volume,
    title: &'static str,
    bytes: usize,
    number: usize,
) -> io::Result<Sample> {
    let mut random = fastrand::Rng::with_seed(number as u64);
    let payload: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(bytes).collect();
    let title_id: TitleId = title.parse().map_err(io::Error::other)?;
    let seal = seal_reader(payload.as_slice(), title_id, MediaType::VideoMp4)?;
    let (object, payload_at) = (seal.object(), seal.payload_offset() as usize);
    let plain = dir.join("plain");
    fs::write(&plain, &payload)?;
    let writer = Writer::open(volume, "shelf").map_err(io::Error::other)?;
    writer.import_file(&plain, seal).map_err(io::Error::other)?;
    let path = volume.object_path(&object);
    let file: Arc<[u8]> = fs::read(&path)?.into();
    if file.get(payload_at..) != Some(payload.as_slice()) {
        return Err(io::Error::other("the store wrote other bytes than it was given"));
    }
    Ok(Sample { object, title, path, copies: Vec::new(), file, payload_at })
}

impl Tickets {
    fn sign(signer: &TicketSigner) -> io::Result<Self> {
        let at = |days: i64| UnixMillis(WALL_START_MS.saturating_add_signed(days * DAY_MS as i64));
        let title = |number: usize| -> TitleId { TITLES[number].parse().expect("slugs by sight") };
        let play = |number, from, until| Claims::play("play".into(), &title(number), from, until);
        let sign = |claims: &Claims| signer.sign(claims).map_err(io::Error::other);
        let stranger = TicketSigner::generate().map_err(io::Error::other)?;
        let good = play(0, at(-1), at(30));
        let paced =
            |number| Claims { rate_bps_max: Some(8_000_000), ..play(number, at(-1), at(30)) };
        let network = "198.51.100.0/24".parse().ok();
        Ok(Self {
            good: vec![sign(&good)?, sign(&play(1, at(-1), at(30)))?],
            paced: vec![sign(&paced(0))?, sign(&paced(1))?],
            fill: sign(&Claims::fill(at(-1), at(30)))?,
            brief: sign(&play(0, at(-1), UnixMillis(WALL_START_MS + DAY_MS / 24)))?,
            stale: sign(&play(0, at(-9), at(-8)))?,
            early: sign(&play(0, at(8), at(9)))?,
            forged: stranger.sign(&good).map_err(io::Error::other)?,
            elsewhere: sign(&Claims { network, ..good })?,
        })
    }
}
