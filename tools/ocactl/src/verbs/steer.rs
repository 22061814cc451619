//! `ocactl steer`: who would serve a member, and why.

use std::net::IpAddr;

use clap::Subcommand;
use control_client::ControlClient;
use control_types::TitleId;

use crate::failure::Failure;
use crate::shown::Shown;

#[derive(Subcommand)]
pub enum Steer {
    /// Every appliance with the rule that placed or excluded it.
    Explain {
        /// The member's address.
        #[arg(long)]
        ip: IpAddr,
        /// What they want to watch.
        #[arg(long)]
        title: TitleId,
    },
}

/// Runs one verb.
///
/// # Errors
/// What control said.
pub async fn run(verb: &Steer, control: &ControlClient) -> Result<Shown, Failure> {
    let Steer::Explain { ip, title } = verb;
    let answer = control.explain_steering(*ip, title).await?;
    let rows = answer.candidates.iter().map(|candidate| {
        vec![
            candidate.rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string()),
            candidate.appliance.to_string(),
            candidate.site.to_string(),
            candidate.reason.clone(),
            candidate.because.clone(),
        ]
    });
    let head = ["rank", "appliance", "site", "code", "because"];
    let mut shown = Shown::table(&answer, &head, rows.collect(), "the fleet has no appliances");
    let prefix = answer.matched_prefix.as_deref().unwrap_or("no registered prefix");
    shown.text = format!("{ip} is in {prefix}\n{}", shown.text);
    Ok(shown)
}
