//! Where the control plane is and who is asking.
//! Reads files and environment only when a verb needs them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use control_client::{ControlClient, Credential};

use crate::failure::Failure;

/// How to reach the control plane.
#[derive(Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Connection {
    /// The control plane's URL.
    #[arg(long, global = true, env = "NIGHTFILL_CONTROL", value_name = "URL")]
    control: Option<String>,
    /// File that holds the operator's key, or an ISP's for its own sites.
    #[arg(long, global = true, env = "NIGHTFILL_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// PEM file of the authority that signed the control plane's certificate, if it is not a public
    /// one.
    #[arg(long, global = true, env = "NIGHTFILL_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Connection {
    /// A client with the key in the key file: the operator's, or an ISP's.
    ///
    /// # Errors
    /// When URL or key file are not given or cannot be read.
    pub fn operator(&self) -> Result<ControlClient, Failure> {
        let cure =
            "give --key-file FILE or set NIGHTFILL_KEY_FILE; control writes it at first start";
        let path = self.key_file.as_ref().ok_or_else(|| Failure(format!("no key: {cure}")))?;
        let key = read(path).map_err(|failure| Failure(format!("{failure}: {cure}")))?;
        let key = String::from_utf8_lossy(&key).trim().to_owned();
        if key.is_empty() {
            return Err(Failure(format!("{} is empty: {cure}", path.display())));
        }
        self.client(Credential::Operator(key))
    }

    /// A client without a key, for what is public.
    ///
    /// # Errors
    /// When the URL is not given or unusable.
    pub fn nobody(&self) -> Result<ControlClient, Failure> {
        self.client(Credential::Nobody)
    }

    fn client(&self, credential: Credential) -> Result<ControlClient, Failure> {
        let cure = "give --control URL or set NIGHTFILL_CONTROL, for example http://127.0.0.1:8080";
        let url = self.control.as_ref().ok_or_else(|| Failure(format!("no control: {cure}")))?;
        let ca = self.ca.as_deref().map(read).transpose().map_err(|failure| {
            Failure(format!("{failure}: give --ca or NIGHTFILL_CA a PEM file, or neither"))
        })?;
        Ok(ControlClient::new(url, credential, ca.as_deref())?)
    }
}

/// Longest file read whole, bytes: control takes bodies of 8 MiB, and no key or certificate comes
/// near it. `/dev/zero` has no end.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Reads a whole file, or what a pipe brings.
///
/// # Errors
/// When it cannot be read or is longer than [`FILE_BYTES_MAX`]; the text names it.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    let cannot = |error| Failure(format!("cannot read {shown}: {error}"));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let mebibytes = FILE_BYTES_MAX >> 20;
        return Err(Failure(format!(
            "{shown} is longer than {mebibytes} MiB: is it the right file?"
        )));
    }
    Ok(bytes)
}
