//! Second step: one decode of the source feeds every rung and the sound track.
//! Writes fragmented MP4 that only `package` reads; a directory appears whole or not at all.
//!
//! Groups of pictures are closed, of one fixed length, and begin at the same frames in every rung:
//! a player may change rungs at any segment. The encoder's own scene-cut frames would break that.
//!
//! Sound: an AAC encoder puts one frame (1024 samples) of silence before the first sample. Without
//! an edit list, which players treat differently, everything would be heard that much late. So the
//! first 1024 samples are cut off before encoding: the padding takes their place and the rest is on
//! time.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::child::{Arguments, Tool, run};
use crate::error::IngestError;
use crate::ladder::{Rung, SEGMENT_SECONDS, ladder};
use crate::probe::{Probe, file_url};

/// Hz of every sound rendition.
pub const SAMPLE_RATE: u32 = 48_000;
/// Bits per second of every sound rendition.
pub const SOUND_BPS: u32 = 128_000;
/// Changes when the same source would be encoded otherwise, so that old work is not taken for new.
const RECIPE: u32 = 2;
/// Threads of each encoder. One, because an object is named by its bytes and the same source must
/// give the same objects: x264's rate cap (VBV) with more threads writes other bytes on a busy
/// machine, where a frame's neighbours are further behind when its bits are planned.
const ENCODER_THREADS: u32 = 1;

/// What `encode` left in its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// One file a rung, smallest first.
    pub videos: Vec<(Rung, PathBuf)>,
    /// The sound track, when the source has one.
    pub sound: Option<PathBuf>,
    /// False when an earlier run's files were found and used.
    pub fresh: bool,
}

/// What the files in a directory were made from and how.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    recipe: u32,
    source: String,
    title: String,
    rungs: Vec<Rung>,
    sound: bool,
}

/// Encodes into `work/encode`, unless an earlier run did with the same source, title and recipe.
/// `source_hash` is the BLAKE3 hash of the source. `title` is written into every file, so that no
/// two titles ever share an object, however alike their sources: an object belongs to one title.
///
/// # Errors
/// [`IngestError::Tool`] with ffmpeg's words, or [`IngestError::Io`].
pub fn encode(
    probe: &Probe,
    source_hash: &str,
    title: &str,
    work: &Path,
) -> Result<Encoded, IngestError> {
    let rungs = ladder(&probe.picture);
    let stamp = Stamp {
        recipe: RECIPE,
        source: source_hash.to_owned(),
        title: title.to_owned(),
        rungs,
        sound: probe.sound.is_some(),
    };
    let dir = work.join("encode");
    let found = fs::read(dir.join("stamp.json")).ok();
    let found = found.and_then(|bytes| serde_json::from_slice::<Stamp>(&bytes).ok());
    let fresh = found.as_ref() != Some(&stamp);
    if fresh {
        encode_fresh(probe, &stamp, work, &dir)?;
    }
    let videos = stamp.rungs.into_iter().map(|rung| (rung, video_path(&dir, &rung))).collect();
    let sound = stamp.sound.then(|| sound_path(&dir));
    Ok(Encoded { videos, sound, fresh })
}

/// Encodes beside `dir` and gives the result its name when all of it is there, so that a killed
/// encode is never taken for a finished one.
fn encode_fresh(probe: &Probe, stamp: &Stamp, work: &Path, dir: &Path) -> Result<(), IngestError> {
    let part = work.join("encode.part");
    for old in [&part, dir] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(IngestError::io(old, "clear old work"))?;
        }
    }
    fs::create_dir_all(&part).map_err(IngestError::io(&part, "create the work directory"))?;
    let ended = run(Tool::Ffmpeg, arguments(probe, stamp, &part), "encode the renditions")?;
    if !ended.success {
        let (tool, doing) = (Tool::Ffmpeg.name(), "encode the renditions");
        return Err(IngestError::Tool { tool, doing, said: ended.said() });
    }
    let path = part.join("stamp.json");
    let text = serde_json::to_vec(stamp).expect("a stamp holds only numbers and text");
    fs::write(&path, text).map_err(IngestError::io(&path, "write"))?;
    fs::rename(&part, dir).map_err(IngestError::io(dir, "put the encodes in place"))
}

fn arguments(probe: &Probe, stamp: &Stamp, dir: &Path) -> Arguments {
    let rate = probe.picture.rate;
    let per_second = format!("{}/{}", rate.frames, rate.seconds);
    let mut graph = String::from("[0:V:0]");
    if probe.picture.interlaced {
        graph.push_str("yadif=deint=interlaced,");
    }
    graph.push_str(&format!("fps={per_second}:start_time=0,format=yuv420p"));
    graph.push_str(&format!(",split={}", stamp.rungs.len()));
    (0..stamp.rungs.len()).for_each(|n| graph.push_str(&format!("[s{n}]")));
    for (n, rung) in stamp.rungs.iter().enumerate() {
        graph.push_str(&format!(";[s{n}]scale={}:{},setsar=1[v{n}]", rung.width, rung.height));
    }
    if stamp.sound {
        graph.push_str(";[0:a:0]aresample=48000:async=1:first_pts=0");
        graph.push_str(",aformat=channel_layouts=stereo:sample_fmts=fltp");
        graph.push_str(",atrim=start_sample=1024,asetpts=PTS-STARTPTS,apad[a]");
    }
    let mut all = Arguments::default()
        .words("-nostdin -hide_banner -v error -y -protocol_whitelist file,pipe -i")
        .arg(file_url(&probe.path))
        .arg("-filter_complex")
        .arg(graph);
    let group = (f64::from(rate.frames * SEGMENT_SECONDS) / f64::from(rate.seconds)).round();
    for (n, rung) in stamp.rungs.iter().enumerate() {
        let (most, buffer) = (rung.rate_bps_max, rung.rate_bps_max * 3 / 2);
        all = all
            .words(&format!("-map [v{n}] -c:v libx264 -preset veryfast -profile:v high -crf 23"))
            .words(&format!("-maxrate {most} -bufsize {buffer} -threads {ENCODER_THREADS}"))
            .words(&format!("-g {group} -keyint_min {group} -sc_threshold 0 -flags:v +cgop"))
            .words("-flags:v +bitexact -movflags +cmaf+frag_keyframe+empty_moov+default_base_moof");
        all = output(all, &stamp.title, &video_path(dir, rung));
    }
    if stamp.sound {
        // The picture decides how long the title is: short sound is padded, long sound is cut.
        all = all
            .words(&format!("-map [a] -c:a aac -b:a {SOUND_BPS} -t {}ms", probe.duration_ms))
            .words(&format!("-frag_duration {}", SEGMENT_SECONDS * 1_000_000))
            .words("-flags:a +bitexact -movflags +cmaf+empty_moov+default_base_moof");
        all = output(all, &stamp.title, &sound_path(dir));
    }
    all
}

/// The part of the arguments that every output shares. Nothing of the source's own words is kept,
/// and no time or version is written: the same source gives the same bytes.
fn output(arguments: Arguments, title: &str, path: &Path) -> Arguments {
    arguments
        .words("-map_metadata -1 -map_chapters -1 -fflags +bitexact -metadata")
        .arg(format!("title={title}"))
        .words("-f mp4")
        .arg(file_url(path))
}

fn video_path(dir: &Path, rung: &Rung) -> PathBuf {
    dir.join(format!("video-{}.mp4", rung.height))
}

fn sound_path(dir: &Path) -> PathBuf {
    dir.join("sound.mp4")
}
