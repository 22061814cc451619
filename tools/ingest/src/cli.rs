//! What can be said on the command line, and what is printed for it. Decides nothing else.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use control_types::TitleId;
use control_types::fleet::DiskClass;
use oca_store::Volume;

use crate::error::IngestError;
use crate::ingest::{Order, Outcome, Words, ingest};
use crate::probe::{Probe, probe};
use crate::register::Control;
use crate::sources::{Film, sources};

/// Makes titles of video files: encodes, packages, seals, publishes and registers them.
#[derive(Debug, Parser)]
#[command(name = "ingest", version)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Ingest one title. Running it again does only what is missing.
    Run(Box<Run>),
    /// Look at a source: decodes all of it and says what it is, or what is wrong with it.
    Probe {
        /// The video file.
        file: PathBuf,
        /// Print one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Render the two demonstration films. Needs no network and no other file.
    Sources {
        /// Directory for the films.
        #[arg(long)]
        out: PathBuf,
        /// Length of each film, seconds, 4 to 600.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(4..=600))]
        seconds: u32,
        /// Print one line of JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args, Debug)]
struct Run {
    /// The source: any video that ffmpeg reads.
    #[arg(long)]
    video: PathBuf,
    /// Id of the title, part of its URLs: a-z, 0-9 and '-'.
    #[arg(long)]
    title: TitleId,
    /// What members read.
    #[arg(long)]
    name: String,
    /// One or two sentences.
    #[arg(long, default_value = "")]
    synopsis: String,
    /// Year of release.
    #[arg(long, default_value_t = 2026)]
    year: u16,
    /// May be given more than once, most fitting first.
    #[arg(long = "genre")]
    genres: Vec<String>,
    /// Cast and crew; may be given more than once.
    #[arg(long = "person")]
    people: Vec<String>,
    /// Licence credit to show with the title.
    #[arg(long, default_value = "")]
    credit: String,
    /// ISO 3166-1 code of a region where it may be played; none means everywhere.
    #[arg(long = "region")]
    regions: Vec<String>,
    /// Directory for encodes; may be deleted afterwards, and makes a second run quick if not.
    #[arg(long)]
    work: PathBuf,
    /// A volume of the origin appliance, for example /srv/hdd0:hdd; may be given more than once.
    #[arg(long = "volume", required = true, value_parser = volume_argument)]
    volumes: Vec<(PathBuf, DiskClass)>,
    /// URL of the control plane. Without it the title is published to the volumes but not
    /// registered.
    #[arg(long, env = "NIGHTFILL_CONTROL", requires = "key_file")]
    control: Option<String>,
    /// File with the operator's key.
    #[arg(long, env = "NIGHTFILL_KEY_FILE")]
    key_file: Option<PathBuf>,
    /// PEM file with the root to believe for an https control URL.
    #[arg(long, env = "NIGHTFILL_CA")]
    ca: Option<PathBuf>,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Does what was asked; the line for stdout. Progress goes to stderr, a line a step.
///
/// # Errors
/// Any [`IngestError`].
pub fn perform(cli: Cli) -> Result<String, IngestError> {
    match cli.verb {
        Verb::Run(run) => perform_run(*run),
        Verb::Probe { file, json } => {
            let found = probe(&file)?;
            Ok(if json { to_json(&found) } else { probe_text(&found) })
        }
        Verb::Sources { out, seconds, json } => {
            let films = sources(&out, seconds, &mut say)?;
            Ok(if json { to_json(&films) } else { films_text(&films) })
        }
    }
}

fn perform_run(run: Run) -> Result<String, IngestError> {
    let volumes = run.volumes.into_iter().map(|(path, class)| Volume::open(path, class));
    let volumes = volumes.collect::<Result<Vec<_>, _>>()?;
    let control = match (run.control, run.key_file) {
        (Some(url), Some(key_file)) => Some(Control { url, key_file, ca_file: run.ca }),
        _ => None,
    };
    let words = Words {
        title: run.title,
        name: run.name,
        synopsis: run.synopsis,
        year: run.year,
        genres: run.genres,
        people: run.people,
        credit: run.credit,
        regions: run.regions,
    };
    let order = Order { video: run.video, words, work: run.work, volumes, control };
    let outcome = ingest(&order, &mut say)?;
    outcome.warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
    Ok(if run.json { to_json(&outcome) } else { outcome_text(&outcome) })
}

fn say(line: &str) {
    eprintln!("ingest: {line}");
}

fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("everything printed holds only text and numbers")
}

/// `DIR`, `DIR:ssd` or `DIR:hdd`; a directory alone is on a rotating disk.
fn volume_argument(text: &str) -> Result<(PathBuf, DiskClass), String> {
    match text.rsplit_once(':') {
        Some((dir, "ssd")) => Ok((dir.into(), DiskClass::Ssd)),
        Some((dir, "hdd")) => Ok((dir.into(), DiskClass::Hdd)),
        Some((_, class)) if !class.contains('/') => {
            Err(format!("{class:?} is not a kind of disk: use :ssd or :hdd"))
        }
        _ => Ok((text.into(), DiskClass::Hdd)),
    }
}

fn probe_text(probe: &Probe) -> String {
    let picture = &probe.picture;
    let mut text = format!(
        "{}: {} ms, {} {}x{} at {}/{} frames/s",
        probe.path.display(),
        probe.duration_ms,
        picture.codec,
        picture.width,
        picture.height,
        picture.rate.frames,
        picture.rate.seconds,
    );
    if let Some(sound) = &probe.sound {
        text += &format!(", {} with {} channels ({})", sound.codec, sound.channels, sound.language);
    }
    probe.warnings.iter().for_each(|warning| text += &format!("\nwarning: {warning}"));
    text
}

fn outcome_text(outcome: &Outcome) -> String {
    let record = &outcome.record;
    format!(
        "{}: {} ms in {} renditions, {} images, {} objects new and {} held, {}",
        record.id,
        record.duration_ms,
        record.renditions.len(),
        record.artwork.len(),
        outcome.objects_new,
        outcome.objects_held,
        if outcome.registered { "registered" } else { "not registered" },
    )
}

fn films_text(films: &[Film]) -> String {
    let line = |film: &Film| format!("{}\t{}\t{}", film.title, film.name, film.file.display());
    films.iter().map(line).collect::<Vec<_>>().join("\n")
}
