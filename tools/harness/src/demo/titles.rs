//! Which videos become titles, and their way into the library through the real `ingest`.

use std::path::{Path, PathBuf};
use std::process::Command;

use nightfill_harness::{Binaries, Trouble, World, process};

use super::Options;

/// A video and what members will read about it.
pub struct DemoTitle {
    /// Id of the title.
    pub slug: String,
    /// What members read.
    pub name: String,
    video: PathBuf,
    words: Vec<&'static str>,
}

/// What members read about the two rendered videos, in the order `ingest sources` names them.
const RENDERED: [(&str, &str, &[&str]); 2] = [
    (
        "tidal-machines",
        "Tidal Machines",
        &[
            "--synopsis",
            "Slow engines of light and water turn in the dark, and nobody is left to ask what for.",
            "--year",
            "2026",
            "--genre",
            "Abstract",
            "--genre",
            "Science Fiction",
            "--person",
            "Ines Halloran",
        ],
    ),
    (
        "paper-constellations",
        "Paper Constellations",
        &[
            "--synopsis",
            "A night sky folded out of patterns: a film for people who look up.",
            "--year",
            "2025",
            "--genre",
            "Abstract",
            "--genre",
            "Family",
            "--person",
            "Teodor Lindqvist",
        ],
    ),
];

/// The user's own videos, or the two rendered ones (rendered once and kept below `dir`).
///
/// # Errors
/// When rendering fails, or a given file has no name to make a title of.
pub fn choose(
    options: &Options,
    binaries: &Binaries,
    dir: &Path,
) -> Result<Vec<DemoTitle>, Trouble> {
    if !options.video.is_empty() {
        return options.video.iter().map(|video| own(video)).collect();
    }
    let folder = dir.join(format!("sources-{}s", options.seconds));
    let mut videos = videos_in(&folder);
    if videos.len() < RENDERED.len() {
        std::fs::create_dir_all(&folder)?;
        let mut command = Command::new(binaries.path("ingest")?);
        command.arg("sources").arg("--out").arg(&folder);
        command.arg("--seconds").arg(options.seconds.to_string());
        process::output("ingest sources", &mut command)?;
        videos = videos_in(&folder);
    }
    let titles = RENDERED.iter().zip(videos).map(|((slug, name, words), video)| DemoTitle {
        slug: (*slug).to_owned(),
        name: (*name).to_owned(),
        video,
        words: words.to_vec(),
    });
    Ok(titles.collect())
}

fn videos_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut videos: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "mp4" || ending == "mkv"))
        .collect();
    videos.sort();
    videos
}

fn own(video: &Path) -> Result<DemoTitle, Trouble> {
    let stem = video.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = stem.ok_or_else(|| Trouble(format!("{} names no file", video.display())))?;
    let letters = name.to_lowercase();
    let dashed = letters.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    let slug: String = dashed.take(64).collect();
    let slug = slug.trim_matches('-').to_owned();
    let slug = if slug.is_empty() { "title".to_owned() } else { slug };
    Ok(DemoTitle { slug, name, video: video.to_path_buf(), words: Vec::new() })
}

/// Runs `ingest` on one video.
///
/// # Errors
/// What `ingest` said.
pub async fn ingest(world: &World, title: &DemoTitle) -> Result<(), Trouble> {
    world.run_ingest(&title.slug, &title.name, &title.video, &title.words)?;
    world.origin_has(&title.slug).await
}
