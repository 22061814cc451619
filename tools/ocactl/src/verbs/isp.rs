//! `ocactl isp`: keys with which an ISP acts for its own sites.
//! Prints a key once; nobody can ask for it again.

use clap::Subcommand;
use control_client::ControlClient;
use control_types::{IspId, IspKeyId};
use serde_json::json;

use crate::failure::Failure;
use crate::quantities::show_moment;
use crate::shown::Shown;

#[derive(Subcommand)]
pub enum Isp {
    /// Make a key for an ISP; it opens windows of its sites, drains its appliances, sees their
    /// state. Earlier keys stay good.
    Key {
        /// Which; it must have a site.
        isp: IspId,
    },
    /// All keys that count.
    Keys,
    /// End a key at once.
    Revoke {
        /// Which, as `ocactl isp keys` names it.
        key: IspKeyId,
    },
}

/// Runs one verb.
///
/// # Errors
/// What control said.
pub async fn run(verb: &Isp, control: &ControlClient) -> Result<Shown, Failure> {
    match verb {
        Isp::Key { isp } => {
            let made = control.make_isp_key(isp).await?;
            let text = format!("key {} of {isp}, shown this once:\n{}", made.id, made.key);
            Ok(Shown::new(&made, text))
        }
        Isp::Keys => {
            let keys = control.isp_keys().await?;
            let rows = keys
                .iter()
                .map(|key| vec![key.id.to_string(), key.isp.to_string(), show_moment(key.made_at)]);
            let nothing = "no ISP has a key yet: `ocactl isp key ISP`";
            Ok(Shown::table(&keys, &["key", "isp", "made"], rows.collect(), nothing))
        }
        Isp::Revoke { key } => {
            control.revoke_isp_key(key).await?;
            Ok(Shown::new(&json!({ "revoked": key }), format!("{key} is revoked")))
        }
    }
}
