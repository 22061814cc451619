//! `ocactl title`: what members see.

use std::path::PathBuf;

use clap::Subcommand;
use control_client::ControlClient;
use control_types::TitleId;
use control_types::catalog::{TitleRecord, Track};
use fill_plan::Knobs;
use serde_json::json;

use crate::connect;
use crate::failure::Failure;
use crate::quantities::show_bytes;
use crate::shown::Shown;

#[derive(Subcommand)]
pub enum Title {
    /// All titles in the catalog.
    Ls,
    /// One title with its renditions.
    Show {
        /// Which.
        title: TitleId,
    },
    /// Register or replace a title from a JSON file, as `ingest` and `title show --json` write it.
    Put {
        /// The file.
        file: PathBuf,
    },
    /// Where a title is live, and what it waits for elsewhere. What is in no plan is judged by the
    /// planner's usual knobs; a director with others may think otherwise.
    Status {
        /// Which.
        title: TitleId,
    },
    /// Take a title out of the catalog; its objects are pruned when room is needed.
    Rm {
        /// Which.
        title: TitleId,
    },
}

/// Runs one verb.
///
/// # Errors
/// What control or the file said.
pub async fn run(verb: &Title, control: &ControlClient) -> Result<Shown, Failure> {
    match verb {
        Title::Ls => {
            let titles = control.titles().await?;
            let rows = titles.iter().map(title_row).collect();
            let head = ["title", "name", "year", "length", "renditions", "bytes"];
            Ok(Shown::table(&titles, &head, rows, "no titles yet: `ingest run` adds one"))
        }
        Title::Show { title } => show(title, control).await,
        Title::Put { file } => {
            let bytes = connect::read(file)?;
            let record: TitleRecord = serde_json::from_slice(&bytes).map_err(|error| {
                let cure = "`ocactl title show TITLE --json` prints one as it has to be";
                Failure(format!("{} holds no title ({error}): {cure}", file.display()))
            })?;
            control.put_title(&record).await?;
            Ok(Shown::new(&json!({ "title": record.id }), format!("{} is registered", record.id)))
        }
        Title::Status { title } => status(title, control).await,
        Title::Rm { title } => {
            control.remove_title(title).await?;
            Ok(Shown::new(&json!({ "removed": title }), format!("{title} is out of the catalog")))
        }
    }
}

fn title_row(title: &TitleRecord) -> Vec<String> {
    let bytes: u64 = title.renditions.iter().map(|rendition| rendition.media_bytes).sum();
    vec![
        title.id.to_string(),
        title.name.clone(),
        title.year.to_string(),
        format!("{} s", title.duration_ms / 1000),
        title.renditions.len().to_string(),
        show_bytes(bytes),
    ]
}

async fn show(title: &TitleId, control: &ControlClient) -> Result<Shown, Failure> {
    let titles = control.titles().await?;
    let found = titles.iter().find(|record| record.id == *title);
    let cure = "`ocactl title ls` lists them";
    let record = found.ok_or_else(|| Failure(format!("no title is called {title}: {cure}")))?;
    let rows = record.renditions.iter().map(|rendition| {
        let track = match &rendition.track {
            Track::Video { width, height, .. } => format!("{width}x{height}"),
            Track::Audio { language, channels, .. } => format!("{language} {channels}ch"),
        };
        vec![
            track,
            rendition.codecs.clone(),
            format!("{} kbit/s", rendition.average_bps / 1000),
            format!("{} kbit/s", rendition.peak_bps / 1000),
            rendition.segments.len().to_string(),
            show_bytes(rendition.media_bytes),
            rendition.media.to_string(),
        ]
    });
    let head = ["track", "codecs", "average", "peak", "segments", "bytes", "object"];
    Ok(Shown::table(record, &head, rows.collect(), "this title has no renditions"))
}

/// Live when a box of the site holds its core.
async fn status(title: &TitleId, control: &ControlClient) -> Result<Shown, Failure> {
    let plan = super::plan::in_force(control).await?;
    let state = super::plan::forecast_state(control).await?;
    let cure = "`ocactl title ls` lists them";
    let sites = fill_plan::liveness(&state, plan.as_ref(), &Knobs::default(), title)
        .ok_or_else(|| Failure(format!("no title is called {title}: {cure}")))?;
    let rows = sites.iter().map(|site| {
        let core: Vec<&str> = site.core_on.iter().map(|id| id.as_str()).collect();
        let left_out: Vec<String> = site.left_out.iter().map(|one| format!("{one}p")).collect();
        vec![
            site.site.to_string(),
            site.standing.words().to_owned(),
            format!("{} of {}", site.best, site.objects),
            core.join(" "),
            left_out.join(" "),
            site.because.clone(),
        ]
    });
    let head = ["site", "state", "objects", "core on", "left out", "why"];
    Ok(Shown::table(&sites, &head, rows.collect(), "there are no sites with edges yet"))
}
