//! `[control]`: whom the appliance reports to, and how it is known there. Opens no connection.

use std::path::PathBuf;

use super::section::Section;

/// `[control]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlConfig {
    /// `http[s]://host[:port]`; with an identity, control's port for appliances.
    pub url: String,
    /// How we are known there.
    pub proof: ControlProof,
    /// Time between reports, milliseconds.
    pub report_ms: u64,
}

/// How control knows an appliance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlProof {
    /// By its certificate, in the file that `oca register` makes. It need not be there yet.
    Identity(PathBuf),
    /// By its bearer key.
    Key {
        /// File with the key.
        file: PathBuf,
        /// PEM root to believe instead of the machine's.
        ca: Option<PathBuf>,
    },
}

pub(super) fn check_control(mut control: Section<'_>) -> Option<ControlConfig> {
    let url = control.text("url");
    let identity = control.optional_path("identity");
    let scheme = if identity.is_some() { "https://" } else { "http" };
    if let Some(url) = &url
        && !(url.starts_with(scheme) && (url.starts_with("http://") || url.starts_with("https://")))
    {
        control.mistake("url", url, "a URL such as \"https://control.example:8443\"");
    }
    let report_ms = control.number("report_ms", 100..=60_000, 1_000);
    let has_key_file = control.has("key_file");
    let key_file = control.optional_file("key_file");
    let ca = control.optional_file("ca");
    let wanted =
        "either key_file (with ca, if control's authority is not a public one) or identity";
    let proof = match (identity, key_file) {
        (Some(identity), None) if ca.is_none() && !has_key_file => {
            Some(ControlProof::Identity(identity))
        }
        (Some(identity), _) => {
            control.mistake("identity", &identity.display().to_string(), wanted);
            None
        }
        (None, Some(file)) => Some(ControlProof::Key { file, ca }),
        // One that cannot be read is said already.
        (None, None) if has_key_file => None,
        (None, None) => {
            control.missing("key_file", wanted);
            None
        }
    };
    control.end();
    Some(ControlConfig { url: url?, proof: proof?, report_ms })
}
