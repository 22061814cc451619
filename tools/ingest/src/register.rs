//! Last step: tell the control plane. Artwork first, then the title: its PUT is the one moment at
//! which the title appears, whole. Holds no retry policy: running the ingest again is the retry.

use std::path::{Path, PathBuf};

use control_client::{ClientError, ControlClient, Credential};
use control_types::ObjectId;
use control_types::catalog::{Artwork, TitleRecord};

use crate::artwork::{HEIGHT, Thumbnail, WIDTH};
use crate::error::IngestError;

/// Where the control plane is and how to be believed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// `http[s]://host[:port]`.
    pub url: String,
    /// File with the operator's key.
    pub key_file: PathBuf,
    /// PEM file with the root to believe, instead of the machine's.
    pub ca_file: Option<PathBuf>,
}

/// The artwork of a record as the control plane will name it: by the hash of each image.
#[must_use]
pub fn artwork_of(thumbnails: &[Thumbnail]) -> Vec<Artwork> {
    let artwork = |thumbnail: &Thumbnail| Artwork {
        object: ObjectId(*blake3::hash(&thumbnail.jpeg).as_bytes()),
        width: WIDTH,
        height: HEIGHT,
        at_ms: thumbnail.at_ms,
    };
    thumbnails.iter().map(artwork).collect()
}

/// Posts the thumbnails and puts the title.
///
/// # Errors
/// [`IngestError::Io`] for the key or CA file, [`IngestError::Control`] for the rest. After an
/// error the title is as it was before: absent, or its earlier record.
pub fn register(
    record: &TitleRecord,
    thumbnails: &[Thumbnail],
    control: &Control,
) -> Result<(), IngestError> {
    runtime()?.block_on(async {
        let client = client(control)?;
        for (thumbnail, artwork) in thumbnails.iter().zip(&record.artwork) {
            let stored = client.put_artwork(thumbnail.jpeg.clone()).await?;
            if stored.object != artwork.object {
                let (ours, theirs) = (artwork.object, stored.object);
                let why = format!("control at {} stored image {ours} as {theirs}", control.url);
                return Err(IngestError::Arguments(why));
            }
        }
        client.put_title(record).await?;
        Ok(())
    })
}

/// Whether key and CA file can be used and control takes the key, asked before hours of encoding.
/// The question is the smallest that only an operator's key is answered.
///
/// # Errors
/// What is wrong with the files, and [`IngestError::TooEarly`] for what control said.
pub fn check_control(control: &Control) -> Result<(), IngestError> {
    let client = client(control)?;
    let asked = runtime()?.block_on(client.isp_keys());
    asked.map(drop).map_err(|source| {
        let key_file = control.key_file.display();
        let cure = match &source {
            ClientError::Refused { status: 401 | 403, .. } => {
                format!("give --key-file the operator's key, which {key_file} is not")
            }
            _ => "mend that".to_owned(),
        };
        IngestError::TooEarly { source, cure }
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, IngestError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(IngestError::io(Path::new("tokio"), "start"))
}

fn client(control: &Control) -> Result<ControlClient, IngestError> {
    let read = |path: &Path| std::fs::read(path).map_err(IngestError::io(path, "read"));
    let key = String::from_utf8_lossy(&read(&control.key_file)?).trim().to_owned();
    if key.is_empty() {
        let path = control.key_file.display();
        return Err(IngestError::Arguments(format!("{path}: the operator's key is empty")));
    }
    let ca = control.ca_file.as_deref().map(read).transpose()?;
    Ok(ControlClient::new(&control.url, Credential::Operator(key), ca.as_deref())?)
}
