//! Which videos become titles, and their way into the library through the real `ingest`.

use std::path::{Path, PathBuf};
use std::process::Command;

use nightfill_harness::{Binaries, Trouble, World, process};
use serde::Deserialize;

use super::Options;

/// A video and what members will read about it.
pub struct DemoTitle {
    /// Id of the title.
    pub slug: String,
    /// What members read.
    pub name: String,
    video: PathBuf,
    words: Vec<String>,
}

/// One film as `ingest sources --json` lists it.
#[derive(Deserialize)]
struct Film {
    file: PathBuf,
    title: String,
    name: String,
    synopsis: String,
    year: u16,
    genres: Vec<String>,
    people: Vec<String>,
}

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
    let mut command = Command::new(binaries.path("ingest")?);
    command.args(["sources", "--json", "--out"]).arg(dir.join("sources"));
    command.arg("--seconds").arg(options.seconds.to_string());
    let films: Vec<Film> = serde_json::from_str(&process::output("ingest sources", &mut command)?)?;
    Ok(films.into_iter().map(rendered).collect())
}

fn rendered(film: Film) -> DemoTitle {
    let mut words = vec!["--synopsis".to_owned(), film.synopsis, "--year".to_owned()];
    words.push(film.year.to_string());
    for (option, values) in [("--genre", film.genres), ("--person", film.people)] {
        words.extend(values.into_iter().flat_map(|value| [option.to_owned(), value]));
    }
    DemoTitle { slug: film.title, name: film.name, video: film.file, words }
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
    let words: Vec<&str> = title.words.iter().map(String::as_str).collect();
    world.run_ingest(&title.slug, &title.name, &title.video, &words)?;
    world.origin_has(&title.slug).await
}
