//! One title from a file to the catalog: the steps in order, each with a line of progress.
//! Makes nothing visible before the last step, so that stopping anywhere leaves no half a title.
//!
//! ```text
//! probe -> encode -> package -> artwork -> import -> register
//! ```
//!
//! Everything before `import` touches the work directory only. Running again does what is missing:
//! encodes are kept by the hash of their source, objects by their own, and the title's record is
//! the same bytes again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use control_types::catalog::{Rendition, TitleRecord, Track};
use control_types::{ObjectId, TitleId};
use oca_store::{MediaType, Volume};
use serde::Serialize;

use crate::artwork::artwork;
use crate::encode::{Encoded, encode};
use crate::error::IngestError;
use crate::package::{Packaged, package};
use crate::playlist::media_playlist;
use crate::probe::{Probe, probe};
use crate::publish::{Sealed, import, seal, seal_bytes};
use crate::register::{Control, artwork_of, check_control, register};
use crate::track::Shape;

/// What to ingest, as what, from where to where.
#[derive(Clone, Debug)]
pub struct Order {
    /// The source.
    pub video: PathBuf,
    /// The title's words; `duration_ms`, `artwork` and `renditions` are filled in here.
    pub words: Words,
    /// Directory for encodes; each title gets a directory in it, which may be deleted afterwards.
    pub work: PathBuf,
    /// The origin's volumes.
    pub volumes: Vec<Volume>,
    /// Where to register; without it the record is only written to `WORK/TITLE/title.json`.
    pub control: Option<Control>,
}

/// What people say about a title.
#[derive(Clone, Debug)]
pub struct Words {
    /// Its id.
    pub title: TitleId,
    /// What members read.
    pub name: String,
    /// One or two sentences.
    pub synopsis: String,
    /// Year of release.
    pub year: u16,
    /// Most fitting first.
    pub genres: Vec<String>,
    /// Cast and crew.
    pub people: Vec<String>,
    /// Licence credit, empty when none is due.
    pub credit: String,
    /// Where it may be played; empty means everywhere.
    pub regions: Vec<String>,
}

/// What was done; one line of JSON with `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The record as registered.
    pub record: TitleRecord,
    /// Where the record was written.
    pub record_file: PathBuf,
    /// False when an earlier run's encodes were used.
    pub encoded: bool,
    /// Objects copied into the volumes by this run.
    pub objects_new: u64,
    /// Objects that were there.
    pub objects_held: u64,
    /// Whether control has the title now.
    pub registered: bool,
    /// Things a person should know.
    pub warnings: Vec<String>,
}

/// One rendition between packaging and import.
struct Packed {
    rendition: Rendition,
    media: Sealed,
    playlist: Sealed,
    duration_ms: u64,
}

/// Does all of it. `say` gets one line a step.
///
/// # Errors
/// Any [`IngestError`]; the title is then as it was before.
pub fn ingest(order: &Order, say: &mut dyn FnMut(&str)) -> Result<Outcome, IngestError> {
    if order.volumes.is_empty() {
        let why = "give at least one --volume DIR[:ssd|hdd]: the origin's".to_owned();
        return Err(IngestError::Arguments(why));
    }
    order.control.as_ref().map_or(Ok(()), check_control)?;
    let title = &order.words.title;
    let work = order.work.join(title.as_str());
    fs::create_dir_all(&work).map_err(IngestError::io(&work, "create the work directory"))?;
    let mut steps = Steps { number: 0, began: Instant::now(), say };

    let probe = probe(&order.video)?;
    let source_hash = hash_file(&order.video)?;
    steps.done("probe", &probe_line(&probe));

    let encoded = encode(&probe, &source_hash, title.as_str(), &work)?;
    steps.done("encode", &encode_line(&encoded));

    let packed = pack(&probe, &encoded, title, &work)?;
    steps.done("package", &format!("{} track files checked", packed.len()));

    let thumbnails = artwork(&probe)?;
    let images = artwork_of(&thumbnails);
    steps.done("artwork", &format!("{} thumbnails", images.len()));

    let files: Vec<Sealed> =
        packed.iter().flat_map(|one| [one.media.clone(), one.playlist.clone()]).collect();
    let imported = import(&files, &order.volumes)?;
    steps.done("import", &format!("{} objects new, {} held", imported.new, imported.held));

    let mut record = order.words.clone().record();
    // Every rung lasts the same, and sound is fitted to them: see `check_aligned` and `encode`.
    record.duration_ms = packed[0].duration_ms;
    record.artwork = images;
    record.artwork.iter_mut().for_each(|a| a.at_ms = a.at_ms.min(record.duration_ms));
    record.renditions = packed.into_iter().map(|one| one.rendition).collect();
    let record_file = work.join("title.json");
    let text = serde_json::to_vec_pretty(&record).expect("a record holds only text and numbers");
    fs::write(&record_file, text).map_err(IngestError::io(&record_file, "write the record"))?;
    match &order.control {
        Some(control) => {
            register(&record, &thumbnails, control)?;
            steps.done("register", &format!("{title} is in the catalog at {}", control.url));
        }
        None => steps.done("register", &format!("left out: see {}", record_file.display())),
    }
    Ok(Outcome {
        record,
        record_file,
        encoded: encoded.fresh,
        objects_new: imported.new,
        objects_held: imported.held,
        registered: order.control.is_some(),
        warnings: probe.warnings,
    })
}

/// Packages every encode into `work`, makes its playlist, and seals both. Video comes first, and
/// there is some: `check_aligned` refuses a ladder without.
fn pack(
    probe: &Probe,
    encoded: &Encoded,
    title: &TitleId,
    work: &Path,
) -> Result<Vec<Packed>, IngestError> {
    let dir = work.join("package");
    fs::create_dir_all(&dir).map_err(IngestError::io(&dir, "create the directory"))?;
    let mut packed = Vec::new();
    for (_, path) in &encoded.videos {
        packed.push(pack_one(probe, path, MediaType::VideoMp4, title, &dir)?);
    }
    if let Some(path) = &encoded.sound {
        packed.push(pack_one(probe, path, MediaType::AudioMp4, title, &dir)?);
    }
    check_aligned(&packed, &dir)?;
    Ok(packed)
}

fn pack_one(
    probe: &Probe,
    from: &Path,
    media_type: MediaType,
    title: &TitleId,
    dir: &Path,
) -> Result<Packed, IngestError> {
    let name = from.file_name().expect("an encode is a file in the work directory");
    let to = dir.join(name);
    let packaged = package(from, &to)?;
    let media = seal(&to, title, media_type)?;
    let text = media_playlist(&media.seal.object(), &packaged);
    let playlist = seal_bytes(text.as_bytes(), dir, title, MediaType::HlsPlaylist)?;
    let rendition = rendition(probe, &packaged, media.seal.object(), &playlist);
    Ok(Packed { rendition, media, playlist, duration_ms: packaged.duration_ms() })
}

fn rendition(probe: &Probe, packaged: &Packaged, media: ObjectId, playlist: &Sealed) -> Rendition {
    let track = match packaged.facts.shape {
        Shape::Picture { width, height } => Track::Video {
            width,
            height,
            frames_per_kilosecond: probe.picture.rate.frames_per_kilosecond(),
        },
        Shape::Sound { channels, sample_rate } => Track::Audio {
            language: probe.sound.as_ref().map_or("und", |sound| &sound.language).to_owned(),
            channels,
            sample_rate,
        },
    };
    let (peak_bps, average_bps) = packaged.rates_bps();
    Rendition {
        media,
        media_bytes: packaged.bytes,
        playlist: playlist.seal.object(),
        playlist_bytes: playlist.seal.bytes(),
        track,
        codecs: packaged.facts.codecs.clone(),
        peak_bps,
        average_bps,
        init_bytes: packaged.init_bytes,
        index_start: packaged.index.start,
        index_end: packaged.index.end,
        segments: packaged.segments(),
    }
}

/// A player changes rungs between segments, so every rung must be cut at the same times.
fn check_aligned(packed: &[Packed], dir: &Path) -> Result<(), IngestError> {
    let cuts = |one: &Packed| -> Vec<u32> {
        one.rendition.segments.iter().map(|segment| segment.duration_ms).collect()
    };
    let mut videos = packed.iter().filter(|one| matches!(one.rendition.track, Track::Video { .. }));
    let Some(first) = videos.next() else {
        return Err(IngestError::encode(dir, "there is no video in it"));
    };
    match videos.find(|other| cuts(other) != cuts(first)) {
        None => Ok(()),
        Some(other) => Err(IngestError::encode(
            &other.media.path,
            format!("it is not cut at the same times as {}", first.media.path.display()),
        )),
    }
}

fn hash_file(path: &Path) -> Result<String, IngestError> {
    let mut hasher = blake3::Hasher::new();
    File::open(path)
        .and_then(|file| hasher.update_reader(file).map(|_| ()))
        .map_err(IngestError::io(path, "hash the source"))?;
    Ok(hasher.finalize().to_hex().to_string())
}

impl Words {
    fn record(self) -> TitleRecord {
        let Self { title, name, synopsis, year, genres, people, credit, regions } = self;
        TitleRecord {
            id: title,
            name,
            synopsis,
            year,
            genres,
            people,
            credit,
            regions,
            duration_ms: 0,
            artwork: Vec::new(),
            renditions: Vec::new(),
        }
    }
}

struct Steps<'a> {
    number: u32,
    began: Instant,
    say: &'a mut dyn FnMut(&str),
}

impl Steps<'_> {
    /// One line for a step that just ended.
    fn done(&mut self, step: &str, what: &str) {
        self.number += 1;
        let seconds = self.began.elapsed().as_secs_f64();
        self.began = Instant::now();
        (self.say)(&format!("[{}/6] {step}: {what} ({seconds:.1} s)", self.number));
    }
}

fn probe_line(probe: &Probe) -> String {
    let picture = &probe.picture;
    let sound = probe.sound.as_ref().map_or("no sound".to_owned(), |sound| {
        format!("{} with {} channels", sound.codec, sound.channels)
    });
    let seconds = probe.duration_ms as f64 / 1000.0;
    let (codec, width, height) = (&picture.codec, picture.width, picture.height);
    let fps = f64::from(picture.rate.frames_per_kilosecond()) / 1000.0;
    format!("{seconds:.1} s of {codec} {width}x{height} at {fps} frames/s, {sound}")
}

fn encode_line(encoded: &Encoded) -> String {
    let heights: Vec<String> =
        encoded.videos.iter().map(|(rung, _)| format!("{}p", rung.height)).collect();
    let sound = if encoded.sound.is_some() { " and sound" } else { "" };
    let kept = if encoded.fresh { "" } else { ", kept from an earlier run" };
    format!("{}{sound}{kept}", heights.join(" "))
}
