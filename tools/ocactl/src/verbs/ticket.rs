//! `ocactl ticket`: make a play or fill ticket, look into one, take one back.
//! Holds no signing key; what a ticket says is shown even when it opens nothing.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ciborium::Value;
use clap::{Args, Subcommand};
use control_client::ControlClient;
use control_token::{Claims, Verifier, decode_claims};
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
    /// Take back every ticket of a subject before its end; appliances refuse them within seconds.
    Revoke {
        /// The play's id, as `ticket inspect` and the access logs say it.
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        subject: String,
    },
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
            let control = at.operator()?;
            let opens = match &issue.opens.title {
                Some(title) => {
                    known(title, &control).await?;
                    TicketScope::Title(title.clone())
                }
                None => TicketScope::Fill,
            };
            let body = NewTicket { opens, ttl_ms: issue.ttl };
            let answer = control.issue_ticket(&body).await?;
            let text = answer.ticket.clone();
            Ok(Shown::new(&answer, text))
        }
        Ticket::Revoke { subject } => {
            at.operator()?.revoke_tickets(subject).await?;
            let text = format!("tickets of {subject} are refused");
            Ok(Shown::new(&json!({ "revoked": subject }), text))
        }
        Ticket::Inspect { ticket, keys } => {
            let keys: TicketKeys = match keys {
                None => at.nobody()?.ticket_keys().await?,
                Some(path) => serde_json::from_slice(&connect::read(path)?)
                    .map_err(|error| no_keys(path, &error))?,
            };
            inspect(ticket, &keys)
        }
    }
}

/// Control signs for any title, because a box may have one that left the catalog; by hand it is a
/// slip.
async fn known(title: &TitleId, control: &ControlClient) -> Result<(), Failure> {
    let is_there = control.titles().await?.iter().any(|record| record.id == *title);
    let cure = "`ocactl title ls` lists them";
    is_there.then_some(()).ok_or_else(|| Failure(format!("no title is called {title}: {cure}")))
}

fn no_keys(path: &Path, error: &serde_json::Error) -> Failure {
    let shown = path.display();
    Failure(format!(
        "{shown} holds no ticket keys ({error}): `curl CONTROL/v1/keys/tickets > {shown}` \
         writes them"
    ))
}

fn inspect(ticket: &str, keys: &TicketKeys) -> Result<Shown, Failure> {
    let verifier = Verifier::new(keys).map_err(|error| Failure(format!("ticket keys: {error}")))?;
    let ticket = bare(ticket);
    let (claims, refusal) = match verifier.verify(ticket, now()) {
        Ok(claims) => (claims, None),
        Err(error) => {
            let words = format!("opens nothing: {} ({error})", error.word());
            let claims = unverified(ticket).ok_or_else(|| {
                Failure(format!("this ticket {words}; nothing in it is readable"))
            })?;
            (claims, Some((error.word(), words)))
        }
    };
    let value = json!({
        "valid": refusal.is_none(),
        "refusal": refusal.as_ref().map(|(word, _)| word),
        "subject": claims.subject,
        "issuer": claims.issuer,
        "not_before": claims.not_before,
        "expires_at": claims.expires_at,
        "path_prefixes": claims.path_prefixes,
    });
    let from = show_moment(claims.not_before);
    let until = show_moment(claims.expires_at);
    let opens = claims.path_prefixes.join(" ");
    let says = format!("opens {opens} for {} from {from} until {until}", claims.subject);
    Ok(match refusal {
        None => Shown::new(&value, format!("valid: {says}")),
        Some((_, words)) => {
            let text = format!("not valid, it {words}\nit says of itself: {says}");
            Shown { exit: 1, ..Shown::new(&value, text) }
        }
    })
}

/// The ticket out of a media URL (`…/t/TICKET/…`), or the text itself.
fn bare(text: &str) -> &str {
    let after = text.split_once("/t/").map_or(text, |(_, after)| after);
    after.split('/').next().unwrap_or(after).trim()
}

/// The claims of a ticket that nobody vouches for: base64url of the COSE_Sign1
/// `18([protected, {}, claims, signature])`.
fn unverified(ticket: &str) -> Option<Claims> {
    let bytes = URL_SAFE_NO_PAD.decode(ticket).ok()?;
    let Value::Tag(18, parts) = ciborium::from_reader(bytes.as_slice()).ok()? else { return None };
    let payload = parts.into_array().ok()?.into_iter().nth(2)?.into_bytes().ok()?;
    decode_claims(&payload).ok()
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
