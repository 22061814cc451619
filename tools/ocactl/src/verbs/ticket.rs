//! `ocactl ticket`: make a play or fill ticket, look into one.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use control_token::Verifier;
use control_types::fleet::TicketKeys;
use control_types::play::{NewTicket, TicketScope};
use control_types::{TitleId, UnixMillis};
use serde_json::json;

use crate::connect::{self, Connection};
use crate::failure::Failure;
use crate::quantities::{duration_ms, show_moment};
use crate::shown::Shown;

#[derive(Subcommand)]
pub enum Ticket {
    /// Make a ticket, for a test or a player of your own.
    Issue(Issue),
    /// Verify a ticket and say what it opens.
    Inspect {
        /// The ticket, base64url.
        ticket: String,
        /// Keys to verify with, as GET /v1/keys/tickets gives them; asked of control if not given.
        #[arg(long)]
        keys: Option<PathBuf>,
    },
}

#[derive(Args)]
pub struct Issue {
    #[command(flatten)]
    opens: Opens,
    /// How long it lasts: 1s to 24h.
    #[arg(long, value_parser = duration_ms, default_value = "1h", value_name = "DURATION")]
    ttl: u64,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Opens {
    /// Opens one title.
    #[arg(long)]
    title: Option<TitleId>,
    /// Opens every object, for fill.
    #[arg(long)]
    fill: bool,
}

/// Runs one verb.
///
/// # Errors
/// What control, a file or the ticket itself said.
pub async fn run(verb: &Ticket, at: &Connection) -> Result<Shown, Failure> {
    match verb {
        Ticket::Issue(issue) => {
            let opens = match &issue.opens.title {
                Some(title) => TicketScope::Title(title.clone()),
                None => TicketScope::Fill,
            };
            let body = NewTicket { opens, ttl_ms: issue.ttl };
            let answer = at.operator()?.issue_ticket(&body).await?;
            let text = answer.ticket.clone();
            Ok(Shown::new(&answer, text))
        }
        Ticket::Inspect { ticket, keys } => {
            let keys: TicketKeys = match keys {
                None => at.nobody()?.ticket_keys().await?,
                Some(path) => serde_json::from_slice(&connect::read(path)?)
                    .map_err(|error| Failure(format!("{}: {error}", path.display())))?,
            };
            inspect(ticket, &keys)
        }
    }
}

fn inspect(ticket: &str, keys: &TicketKeys) -> Result<Shown, Failure> {
    let verifier = Verifier::new(keys).map_err(|error| Failure(format!("ticket keys: {error}")))?;
    let claims = verifier.verify(ticket.trim(), now()).map_err(|error| {
        Failure(format!("this ticket opens nothing: {} ({error})", error.word()))
    })?;
    let value = json!({
        "valid": true,
        "subject": claims.subject,
        "issuer": claims.issuer,
        "not_before": claims.not_before,
        "expires_at": claims.expires_at,
        "path_prefixes": claims.path_prefixes,
    });
    let from = show_moment(claims.not_before);
    let until = show_moment(claims.expires_at);
    let opens = claims.path_prefixes.join(" ");
    let text = format!("valid: opens {opens} for {} from {from} until {until}", claims.subject);
    Ok(Shown::new(&value, text))
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
