//! `/v1/appliance/register` and what follows from it: a box with a registration key gets a
//! certificate, and a successor before that ends. Decides nothing about who may: steering does.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use control_steering::{SteeringError, Unproven};
use control_store::ledger::CertificateRow;
use control_types::registration::{
    CertificateStatus, FleetAuthority, IssuedCertificate, Registration, Renewal,
};
use control_types::{ApplianceId, ErrorWord, UnixMillis};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::Sent;
use crate::errors::Refusal;
use crate::fleet_ca::{FleetCa, FleetCaError, Issued};
use crate::gateway::Gateway;
use crate::limits::ASK_AGAIN_MS_MAX;
use crate::who::{Appliance, ByCertificate, OnAppliancesPort};

pub(crate) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(register_box))
        .routes(routes!(certificate_status, renew_certificate))
        .routes(routes!(fleet_authority))
}

/// Makes a box the appliance it was bought to be; on the appliances' port only, where the key
/// cannot be read on its way.
#[utoipa::path(post, path = "/v1/appliance/register", tag = "appliance",
    request_body = Registration, responses((status = 200, body = IssuedCertificate)))]
async fn register_box(
    State(gateway): State<Gateway>,
    _: OnAppliancesPort,
    Sent(body): Sent<Registration>,
) -> Result<Json<IssuedCertificate>, Refusal> {
    let (steering, now) = (&gateway.services().steering, gateway.now());
    let admitted = steering.admit(&body.appliance, &body.key, now).await?;
    // Signed before the key is used up: a request that is none must not cost the key.
    let (issued, expires_at) = issue(&gateway, &body.csr, &body.appliance, now)?;
    let certificate = row(&issued, body.appliance.clone(), now, expires_at);
    steering.register(&admitted, certificate).await?;
    tracing::info!(appliance = %body.appliance, "a box registered");
    Ok(Json(answer(body.appliance, issued, expires_at)))
}

/// How the caller is known, and whether its certificate is due to be renewed.
#[utoipa::path(get, path = "/v1/appliance/certificate", tag = "appliance",
    responses((status = 200, body = CertificateStatus)), security(("appliance" = [])))]
async fn certificate_status(
    State(gateway): State<Gateway>,
    appliance: Appliance,
) -> Result<Json<CertificateStatus>, Refusal> {
    let row = appliance.certificate();
    let renew = row.is_some_and(|row| is_due(row, gateway.now()));
    let expires_at = row.map(|row| row.expires_at);
    let ask_again_ms = (gateway.settings().certificate_ms / 24).clamp(1_000, ASK_AGAIN_MS_MAX);
    Ok(Json(CertificateStatus { appliance: appliance.0, expires_at, renew, ask_again_ms }))
}

/// Two thirds of its life are over: a box that is away for a week still comes back in time.
fn is_due(row: &CertificateRow, now: UnixMillis) -> bool {
    now.millis_since(row.made_at) >= row.expires_at.millis_since(row.made_at) / 3 * 2
}

/// A successor of the certificate the caller shows, for a new key.
#[utoipa::path(post, path = "/v1/appliance/certificate", tag = "appliance",
    request_body = Renewal, responses((status = 200, body = IssuedCertificate)))]
async fn renew_certificate(
    State(gateway): State<Gateway>,
    ByCertificate(presented): ByCertificate,
    Sent(body): Sent<Renewal>,
) -> Result<Json<IssuedCertificate>, Refusal> {
    let (steering, now) = (&gateway.services().steering, gateway.now());
    let appliance = presented.appliance;
    let (issued, expires_at) = issue(&gateway, &body.csr, &appliance, now)?;
    let successor = row(&issued, appliance.clone(), now, expires_at);
    steering.renew(&presented.fingerprint, successor).await?;
    Ok(Json(answer(appliance, issued, expires_at)))
}

/// The certificates that control's own on the appliances' port ends in. Believed by whoever holds
/// the digest of one, as registration keys do.
#[utoipa::path(get, path = "/v1/appliance/authority", tag = "public",
    responses((status = 200, body = FleetAuthority)))]
async fn fleet_authority(State(gateway): State<Gateway>) -> Json<FleetAuthority> {
    let authority = gateway.services().authority.current();
    let earlier = authority.earlier();
    Json(FleetAuthority { authority: authority.certificate().to_owned(), earlier })
}

/// What a certificate just issued is in the ledger.
fn row(
    issued: &Signed,
    appliance: ApplianceId,
    now: UnixMillis,
    expires_at: UnixMillis,
) -> CertificateRow {
    let (fingerprint, authority) = (issued.certificate.fingerprint, Some(issued.by.hash()));
    CertificateRow { fingerprint, appliance, made_at: now, expires_at, authority }
}

/// A certificate and the authority that signed it, which another may follow meanwhile.
struct Signed {
    certificate: Issued,
    by: Arc<FleetCa>,
}

fn issue(
    gateway: &Gateway,
    request: &str,
    appliance: &ApplianceId,
    now: UnixMillis,
) -> Result<(Signed, UnixMillis), Refusal> {
    let until = now.plus_millis(gateway.settings().certificate_ms);
    let by = gateway.services().authority.current();
    match by.issue(request, appliance, now, until) {
        Ok(certificate) => Ok((Signed { certificate, by }, until)),
        Err(FleetCaError::Request(cause)) => {
            let why = Unproven::RequestBad;
            gateway.services().steering.note_unproven(why);
            let refused = SteeringError::Unproven { appliance: appliance.clone(), why };
            Err(Refusal { cause: Some(cause), ..refused.into() })
        }
        Err(error) => {
            let message = "control could not sign; the request id finds it in the log";
            let cause = Some(error.to_string());
            Err(Refusal { cause, ..Refusal::new(ErrorWord::Internal, message) })
        }
    }
}

fn answer(appliance: ApplianceId, issued: Signed, expires_at: UnixMillis) -> IssuedCertificate {
    // The box believes the one that signed it from here on, and no earlier one.
    let authority = issued.by.certificate().to_owned();
    IssuedCertificate { appliance, certificate: issued.certificate.pem, authority, expires_at }
}
