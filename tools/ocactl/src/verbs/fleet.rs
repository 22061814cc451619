//! `ocactl fleet`: what all appliances share: the authority that signs their certificates.
//! Touches no key; control keeps it.

use clap::Subcommand;
use control_client::ControlClient;
use control_types::registration::AuthorityListed;

use crate::failure::Failure;
use crate::shown::Shown;

#[derive(Subcommand)]
pub enum Fleet {
    /// The authority that signs appliances' certificates, and those before it.
    #[command(subcommand)]
    Ca(Ca),
}

#[derive(Subcommand)]
pub enum Ca {
    /// The authorities that count, and what hangs on each.
    Show,
    /// Make a successor. The earlier one is believed beside it until it is retired; each box comes
    /// over when it renews its certificate, at two thirds of that one's life.
    Rotate,
    /// Retire an earlier one, and those before it. Registration keys that end in its digest are
    /// then good for nothing.
    Retire {
        /// Which, as `show` names it.
        digest: String,
        /// Also while good certificates hang on it: their boxes must register anew.
        #[arg(long)]
        force: bool,
    },
}

/// Runs one verb.
///
/// # Errors
/// What control said.
pub async fn run(verb: &Fleet, control: &ControlClient) -> Result<Shown, Failure> {
    let Fleet::Ca(verb) = verb;
    let all = match verb {
        Ca::Show => control.authorities().await?,
        Ca::Rotate => control.rotate_authority().await?,
        Ca::Retire { digest, force } => control.retire_authority(digest, *force).await?,
    };
    Ok(shown(&all))
}

fn shown(all: &[AuthorityListed]) -> Shown {
    let rows = all.iter().map(|one| {
        let state = match (one.signs, one.certificates) {
            (true, _) => "signs",
            (false, 0) => "may be retired",
            (false, _) => "believed",
        };
        let mut boxes: Vec<&str> = one.appliances.iter().map(|id| id.as_str()).collect();
        if one.certificates > one.appliances.len() as u64 {
            boxes.push("…");
        }
        vec![one.digest.clone(), state.to_owned(), one.certificates.to_string(), boxes.join(" ")]
    });
    let head = ["authority", "state", "certificates", "of"];
    Shown::table(&all, &head, rows.collect(), "there is no authority")
}
