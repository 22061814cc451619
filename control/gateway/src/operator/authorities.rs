//! The fleet's authorities: shown, rotated, retired. Touches no appliance: a box learns of a
//! successor when it renews its certificate, as it does anyway.

use axum::Json;
use axum::extract::{Path, Query, State};
use control_store::ledger::CertificateRow;
use control_types::ErrorWord;
use control_types::registration::AuthorityListed;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::authority_desk::AuthorityError;
use crate::edge::MemberAddress;
use crate::errors::Refusal;
use crate::fleet_ca::{FleetCa, FleetCaError};
use crate::gateway::Gateway;
use crate::limits::APPLIANCES_NAMED_MAX;
use crate::who::Operator;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(authorities, rotate)).routes(routes!(retire))
}

/// The authorities that count, the one that signs first, with what hangs on each.
#[utoipa::path(get, path = "/v1/operator/authorities", tag = "operator",
    responses((status = 200, body = Vec<AuthorityListed>)), security(("operator" = [])))]
async fn authorities(State(gateway): State<Gateway>, _: Operator) -> Json<Vec<AuthorityListed>> {
    let authority = gateway.services().authority.current();
    Json(listed(&gateway, &authority))
}

/// Makes a successor of the authority that signs. The earlier one counts on beside it, and its
/// private key is gone.
#[utoipa::path(post, path = "/v1/operator/authorities", tag = "operator",
    responses((status = 200, body = Vec<AuthorityListed>)), security(("operator" = [])))]
async fn rotate(
    State(gateway): State<Gateway>,
    _: Operator,
    MemberAddress(from): MemberAddress,
) -> Result<Json<Vec<AuthorityListed>>, Refusal> {
    let desk = gateway.services().authority.clone();
    let next = aside(move || desk.rotate()).await?;
    tracing::warn!(digest = next.digest(), %from, "the fleet has a new authority");
    Ok(Json(listed(&gateway, &next)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetireQuery {
    #[serde(default)]
    force: bool,
}

/// Retires an earlier authority and all before it; refused while a certificate that hangs on one of
/// them is good, unless by force, which makes those void at once.
#[utoipa::path(delete, path = "/v1/operator/authorities/{digest}", tag = "operator",
    params(("digest" = String, Path), ("force" = Option<bool>, Query)),
    responses((status = 200, body = Vec<AuthorityListed>)), security(("operator" = [])))]
async fn retire(
    State(gateway): State<Gateway>,
    _: Operator,
    MemberAddress(from): MemberAddress,
    Path(digest): Path<String>,
    Query(asked): Query<RetireQuery>,
) -> Result<Json<Vec<AuthorityListed>>, Refusal> {
    let desk = gateway.services().authority.clone();
    let (asked_of, force) = (gateway.clone(), asked.force);
    let next = aside(move || {
        desk.retire(&digest, |authority| {
            if force { None } else { needed(&listed(&asked_of, authority), &digest) }
        })
    });
    let next = next.await?;
    tracing::warn!(%from, force, "an authority of the fleet is retired");
    Ok(Json(listed(&gateway, &next)))
}

/// Why an authority and those before it may not go, when good certificates hang on them.
fn needed(all: &[AuthorityListed], digest: &str) -> Option<String> {
    let goes = || all.iter().skip_while(|one| one.digest != digest);
    let hanging: u64 = goes().map(|one| one.certificates).sum();
    if hanging == 0 {
        return None;
    }
    let boxes: Vec<&str> = goes().flat_map(|one| &one.appliances).map(|id| id.as_str()).collect();
    Some(format!(
        "{hanging} certificates that hang on it are good, of {}: wait until these boxes have \
         renewed and the old ones have ended, or take --force, which shuts out whoever has not \
         renewed",
        boxes.join(", ")
    ))
}

/// The disk is waited for elsewhere.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AuthorityError> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| Refusal::internal(format!("the authorities: {error}")))?;
    done.map_err(|error| match &error {
        AuthorityError::Refused(FleetCaError::Unknown(_)) => {
            Refusal::new(ErrorWord::NotFound, error.to_string())
        }
        AuthorityError::Refused(FleetCaError::Crowded | FleetCaError::Signs(_))
        | AuthorityError::Needed(_) => Refusal::new(ErrorWord::Conflict, error.to_string()),
        _ => Refusal::internal(error.to_string()),
    })
}

fn listed(gateway: &Gateway, authority: &FleetCa) -> Vec<AuthorityListed> {
    let rows = gateway.services().steering.good_certificates(gateway.now());
    authority
        .hashes()
        .enumerate()
        .map(|(at, hash)| {
            let hangs = |row: &&CertificateRow| row.authority == Some(hash);
            let mut appliances: Vec<_> =
                rows.iter().filter(hangs).map(|row| row.appliance.clone()).collect();
            let certificates = appliances.len() as u64;
            appliances.sort();
            appliances.dedup();
            appliances.truncate(APPLIANCES_NAMED_MAX);
            AuthorityListed { digest: digest_text(&hash), signs: at == 0, certificates, appliances }
        })
        .collect()
}

fn digest_text(hash: &[u8; 32]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash)
}
