//! Fifth step: seal the files and import them into the origin's volumes. Talks to no control plane.
//! Importing twice is importing once; nothing here makes a title visible.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use control_types::TitleId;
use control_types::fleet::DiskClass;
use oca_store::{Imported, MediaType, Seal, Volume, Writer, seal_reader};

use crate::error::IngestError;

/// How this program is called when it holds a volume.
const HOLDER: &str = "ingest";

/// A file with its seal, ready to be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The payload.
    pub path: PathBuf,
    /// What it is.
    pub seal: Seal,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// Objects that were copied in.
    pub new: u64,
    /// Objects that were there.
    pub held: u64,
}

/// Seals the file at `path`.
///
/// # Errors
/// [`IngestError::Io`].
pub fn seal(path: &Path, title: &TitleId, media_type: MediaType) -> Result<Sealed, IngestError> {
    let file = File::open(path).map_err(IngestError::io(path, "open for sealing"))?;
    let seal = seal_reader(file, title.clone(), media_type)
        .map_err(IngestError::io(path, "read for sealing"))?;
    Ok(Sealed { path: path.to_owned(), seal })
}

/// Writes `bytes` to a file named by their hash in `dir`, and seals it.
///
/// # Errors
/// [`IngestError::Io`].
pub fn seal_bytes(
    bytes: &[u8],
    dir: &Path,
    title: &TitleId,
    media_type: MediaType,
) -> Result<Sealed, IngestError> {
    let seal = seal_reader(bytes, title.clone(), media_type)
        .map_err(IngestError::io(dir, "seal what is to be written to"))?;
    let path = dir.join(seal.object().to_string());
    fs::write(&path, bytes).map_err(IngestError::io(&path, "write"))?;
    Ok(Sealed { path, seal })
}

/// Publishes every object on one of `volumes`: media on rotating disks where there are any,
/// playlists on flash; among volumes of a class, on the one with most room. All volumes are held at
/// once, so that nothing is written when one of them is not ours to write.
///
/// # Errors
/// [`IngestError::Store`]: locked by somebody, full, or failing.
pub fn import(files: &[Sealed], volumes: &[Volume]) -> Result<Import, IngestError> {
    let writers: Vec<Writer> =
        volumes.iter().map(|volume| Writer::open(volume, HOLDER)).collect::<Result<_, _>>()?;
    let mut done = Import::default();
    for file in files {
        if writers.iter().any(|writer| writer.holds(&file.seal.object())) {
            done.held += 1;
            continue;
        }
        let wanted = match file.seal.media_type() {
            MediaType::HlsPlaylist => DiskClass::Ssd,
            _ => DiskClass::Hdd,
        };
        let writer = roomiest(&writers, wanted)?;
        match writer.import_file(&file.path, file.seal.clone())? {
            Imported::New => done.new += 1,
            Imported::AlreadyHeld => done.held += 1,
        }
    }
    Ok(done)
}

fn roomiest(writers: &[Writer], wanted: DiskClass) -> Result<&Writer, IngestError> {
    let mut best: Option<(bool, u64, &Writer)> = None;
    for writer in writers {
        let rank = (writer.volume().class() == wanted, writer.volume().room()?.free_bytes);
        if best.is_none_or(|(class, free, _)| rank > (class, free)) {
            best = Some((rank.0, rank.1, writer));
        }
    }
    best.map(|(_, _, writer)| writer).ok_or_else(|| {
        IngestError::Arguments("give at least one --volume DIR[:ssd|hdd]".to_owned())
    })
}
