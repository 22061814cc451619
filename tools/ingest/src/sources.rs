//! Two demonstration films, drawn by ffmpeg's own filters: nothing to download, no licence to mind.
//! Not test patterns: each has shots that differ enough for thumbnails, seeking and shot detection.
//!
//! A shot is a filter graph that ends in a picture; `{n}` in it is the shot's number, which keeps
//! link labels apart, and `{x}` the column of a layer in pixels of the film. Landscapes are layers
//! that are drawn once, as one wide frame each at half size, and then slid past the camera at their
//! own speeds: that costs little. Films are the same bytes each time on the same ffmpeg.

use std::fs;
use std::path::{Path, PathBuf};

use control_types::TitleId;
use serde::Serialize;

use crate::child::{Arguments, Tool, run};
use crate::error::IngestError;
use crate::probe::file_url;
use crate::scenes::{EMBER_COAST, NUMBER_GARDEN, Scene};

const WIDTH: u32 = 1280;
const HEIGHT: u32 = 720;
const FRAMES_PER_SECOND: u32 = 24;

/// Debian's DejaVu; a machine without it gets films without a title card's letters.
const FONT: &str = "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf";

/// One rendered film, with the words to ingest it under.
#[derive(Clone, Debug, Serialize)]
pub struct Film {
    /// Where it is.
    pub file: PathBuf,
    /// Id to give it.
    pub title: TitleId,
    /// What members would read.
    pub name: String,
    /// One sentence.
    pub synopsis: String,
    /// Year.
    pub year: u16,
    /// Most fitting first.
    pub genres: Vec<String>,
    /// Who made it.
    pub people: Vec<String>,
}

/// Renders both films into `out`, unless they are there already.
///
/// # Errors
/// That ffmpeg is missing or fails, or [`IngestError::Io`].
pub fn sources(
    out: &Path,
    seconds: u32,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<Film>, IngestError> {
    fs::create_dir_all(out).map_err(IngestError::io(out, "create the directory"))?;
    let mut films = Vec::new();
    for scene in [&EMBER_COAST, &NUMBER_GARDEN] {
        let film = film(scene, &out.join(format!("{}-{seconds}s.mp4", scene.title)));
        if film.file.exists() {
            say(&format!("{}: there already", film.file.display()));
        } else {
            render(scene, seconds, &film.file)?;
            say(&format!("{}: rendered", film.file.display()));
        }
        films.push(film);
    }
    Ok(films)
}

fn film(scene: &Scene, file: &Path) -> Film {
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
    Film {
        file: file.to_owned(),
        title: scene.title.parse().expect("the scenes' titles are slugs"),
        name: scene.name.to_owned(),
        synopsis: scene.synopsis.to_owned(),
        year: scene.year,
        genres: words(scene.genres),
        people: words(&["ffmpeg", "Nightfill"]),
    }
}

fn render(scene: &Scene, seconds: u32, to: &Path) -> Result<(), IngestError> {
    let doing = "render a demonstration film";
    let part = to.with_extension("part");
    let arguments = Arguments::default()
        .words("-nostdin -hide_banner -v error -y -filter_complex")
        .arg(graph(scene, f64::from(seconds)))
        .words(
            "-map [picture] -c:v libx264 -preset superfast -crf 16 -threads 2 -flags:v +bitexact",
        )
        .words("-map [sound] -c:a aac -b:a 192k -flags:a +bitexact")
        .words(&format!("-t {seconds} -fflags +bitexact -movflags +faststart -f mp4"))
        .arg(file_url(&part));
    let ended = run(Tool::Ffmpeg, arguments, doing)?;
    if !ended.success {
        let tool = Tool::Ffmpeg.name();
        return Err(IngestError::Tool { tool, doing, said: ended.said() });
    }
    fs::rename(&part, to).map_err(IngestError::io(to, "put the film in place"))
}

/// All shots one after the other, the title over the first, and the sound.
fn graph(scene: &Scene, seconds: f64) -> String {
    let shot_seconds = seconds / scene.shots.len() as f64;
    let mut graph = String::new();
    for (n, shot) in scene.shots.iter().enumerate() {
        let shot = shot.replace("{n}", &n.to_string()).replace("{x}", "(X*2)");
        graph += &format!(
            "{shot},scale={WIDTH}:{HEIGHT}:flags=bicubic,setsar=1,fps={FRAMES_PER_SECOND},\
             trim=duration={shot_seconds},setpts=PTS-STARTPTS,format=yuv420p[shot{n}];"
        );
    }
    (0..scene.shots.len()).for_each(|n| graph += &format!("[shot{n}]"));
    graph += &format!("concat=n={},", scene.shots.len());
    if Path::new(FONT).exists() {
        graph += &title_card(scene.name, shot_seconds);
    }
    graph += &format!("fade=t=in:d=0.5,fade=t=out:st={}:d=0.8[picture];", seconds - 0.8);
    graph += &format!("{}[sound]", scene.sound.replace("{s}", &seconds.to_string()));
    graph
}

/// The name, in the first shot only, coming and going softly.
fn title_card(name: &str, shot_seconds: f64) -> String {
    let end = shot_seconds * 0.9;
    let soft = format!("clip(min((t-0.4)/0.8\\,({end}-t)/0.8)\\,0\\,1)");
    format!(
        "drawtext=fontfile={FONT}:text='{name}':fontsize=84:fontcolor=white:x=(w-text_w)/2:\
         y=h*0.36:shadowcolor=black@0.5:shadowx=3:shadowy=3:alpha='{soft}':enable='lt(t\\,{end})',"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: every shot's graph is one that ffmpeg accepts. Only the first frames are drawn: the
    /// films are for people to look at, and drawing them takes half a minute.
    #[test]
    fn the_graphs_of_both_films_are_sound() {
        for scene in [&EMBER_COAST, &NUMBER_GARDEN] {
            assert!(scene.shots.len() >= 6);
            let _slug: TitleId = film(scene, Path::new("film.mp4")).title;
            let arguments = Arguments::default()
                .words("-nostdin -hide_banner -v error -filter_complex")
                .arg(graph(scene, 8.0))
                .words("-map [picture] -frames:v 2 -f null - -map [sound] -t 0.1 -f null -");
            let ended = run(Tool::Ffmpeg, arguments, "try a film").unwrap();
            assert!(ended.success && ended.stderr_lines == 0, "{}: {}", scene.name, ended.said());
        }
    }
}
