//! `/v1/accounts`, `/v1/sessions`, `/v1/account`, `/v1/plans`, `/v1/profiles`: who members are.
//! The refresh cookie is the only thing here a browser keeps by itself.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use control_types::accounts::{
    Account, ChoosePlan, NewProfile, Plan, Profile, Refresh, Session, SignIn, SignUp,
};
use control_types::{ErrorWord, ProfileId, UnixMillis};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::{Sent, read, unread};
use crate::edge::MemberAddress;
use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::who::Member;

/// Sent back by browsers to the session endpoints only.
const COOKIE: &str = "nf_refresh";

pub(crate) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(sign_up))
        .routes(routes!(sign_in))
        .routes(routes!(refresh))
        .routes(routes!(sign_out))
        .routes(routes!(account))
        .routes(routes!(plans))
        .routes(routes!(choose_plan))
        .routes(routes!(profiles, add_profile))
        .routes(routes!(remove_profile))
}

/// Opens an account and signs in.
#[utoipa::path(post, path = "/v1/accounts", tag = "public", request_body = SignUp,
    responses((status = 201, description = "opened and signed in", body = Session)))]
async fn sign_up(
    State(gateway): State<Gateway>,
    from: MemberAddress,
    Sent(body): Sent<SignUp>,
) -> Result<Response, Refusal> {
    let session = gateway.services().accounts.sign_up(&body, from.0, gateway.now()).await?;
    Ok(signed_in(&gateway, StatusCode::CREATED, session))
}

/// Signs in.
#[utoipa::path(post, path = "/v1/sessions", tag = "public", request_body = SignIn,
    responses((status = 200, description = "signed in", body = Session)))]
async fn sign_in(
    State(gateway): State<Gateway>,
    from: MemberAddress,
    Sent(body): Sent<SignIn>,
) -> Result<Response, Refusal> {
    let session = gateway.services().accounts.sign_in(&body, from.0, gateway.now()).await?;
    Ok(signed_in(&gateway, StatusCode::OK, session))
}

/// Spends the refresh token, from the body or the cookie, and gives the next.
#[utoipa::path(post, path = "/v1/sessions/refresh", tag = "public",
    request_body(content = Refresh, description = "absent when the cookie speaks"),
    responses((status = 200, description = "refreshed", body = Session)))]
async fn refresh(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = body.map_err(unread)?;
    let given: Refresh = if body.is_empty() { Refresh::default() } else { read(&body)? };
    let token = given.refresh_token.or_else(|| refresh_cookie(&headers)).ok_or_else(|| {
        let message = "there is no refresh token, neither in the body nor as a cookie; sign in";
        Refusal::new(ErrorWord::Unauthenticated, message)
    })?;
    match gateway.services().accounts.refresh(&token, gateway.now()).await {
        Ok(session) => Ok(signed_in(&gateway, StatusCode::OK, session)),
        Err(error) => {
            let refusal = Refusal::from(error);
            let ended = refusal.word == ErrorWord::Unauthenticated;
            let mut answer = refusal.into_response();
            if ended {
                set_cookie(&mut answer, &gateway, "", 0);
            }
            Ok(answer)
        }
    }
}

fn refresh_cookie(headers: &HeaderMap) -> Option<String> {
    let cookies = axum_extra::extract::CookieJar::from_headers(headers);
    cookies.get(COOKIE).map(|cookie| cookie.value().to_owned()).filter(|token| !token.is_empty())
}

/// Ends the session of the access token.
#[utoipa::path(delete, path = "/v1/sessions/current", tag = "member",
    responses((status = 204, description = "signed out")), security(("member" = [])))]
async fn sign_out(State(gateway): State<Gateway>, member: Member) -> Result<Response, Refusal> {
    gateway.services().accounts.sign_out(&member.access, gateway.now()).await?;
    let mut answer = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut answer, &gateway, "", 0);
    Ok(answer)
}

/// The account as its owner sees it.
#[utoipa::path(get, path = "/v1/account", tag = "member",
    responses((status = 200, body = Account)), security(("member" = [])))]
async fn account(State(gateway): State<Gateway>, member: Member) -> Result<Json<Account>, Refusal> {
    Ok(Json(gateway.services().accounts.account(member.account()).await?))
}

/// What is sold, cheapest first.
#[utoipa::path(get, path = "/v1/plans", tag = "public",
    responses((status = 200, body = Vec<Plan>)))]
async fn plans(State(gateway): State<Gateway>) -> Json<Vec<Plan>> {
    Json(gateway.services().billing.plans())
}

/// Moves the account to another plan, at once.
#[utoipa::path(put, path = "/v1/account/plan", tag = "member", request_body = ChoosePlan,
    responses((status = 200, body = Account)), security(("member" = [])))]
async fn choose_plan(
    State(gateway): State<Gateway>,
    member: Member,
    Sent(body): Sent<ChoosePlan>,
) -> Result<Json<Account>, Refusal> {
    let services = gateway.services();
    services.billing.change_plan(member.account(), &body, gateway.now()).await?;
    Ok(Json(services.accounts.account(member.account()).await?))
}

/// Profiles, oldest first.
#[utoipa::path(get, path = "/v1/profiles", tag = "member",
    responses((status = 200, body = Vec<Profile>)), security(("member" = [])))]
async fn profiles(
    State(gateway): State<Gateway>,
    member: Member,
) -> Result<Json<Vec<Profile>>, Refusal> {
    Ok(Json(gateway.services().accounts.profiles(member.account()).await?))
}

/// Adds a profile.
#[utoipa::path(post, path = "/v1/profiles", tag = "member", request_body = NewProfile,
    responses((status = 201, body = Profile)), security(("member" = [])))]
async fn add_profile(
    State(gateway): State<Gateway>,
    member: Member,
    Sent(body): Sent<NewProfile>,
) -> Result<(StatusCode, Json<Profile>), Refusal> {
    let accounts = &gateway.services().accounts;
    let profile = accounts.add_profile(member.account(), &body, gateway.now()).await?;
    Ok((StatusCode::CREATED, Json(profile)))
}

/// Removes a profile and forgets what it watched.
#[utoipa::path(delete, path = "/v1/profiles/{profile}", tag = "member",
    params(("profile" = ProfileId, Path)),
    responses((status = 204, description = "gone")), security(("member" = [])))]
async fn remove_profile(
    State(gateway): State<Gateway>,
    member: Member,
    Path(profile): Path<ProfileId>,
) -> Result<StatusCode, Refusal> {
    let (services, now) = (gateway.services(), gateway.now());
    services.accounts.remove_profile(member.account(), &profile, now).await?;
    gateway.remembered().forget_profile(profile);
    services.history.forget_profile(&profile, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn signed_in(gateway: &Gateway, status: StatusCode, session: Session) -> Response {
    gateway.remembered().learn(&session.account);
    let now: UnixMillis = gateway.now();
    let seconds = session.refresh_expires_at.millis_since(now) / 1000;
    let token = session.refresh_token.clone();
    let mut answer = (status, Json(session)).into_response();
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    set_cookie(&mut answer, gateway, &token, seconds);
    answer
}

/// Scripts cannot read it, other sites cannot cause it to be sent, other paths never see it.
fn set_cookie(answer: &mut Response, gateway: &Gateway, token: &str, seconds: u64) {
    let secure = if gateway.settings().is_secure() { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE}={token}; Path=/v1/sessions; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    );
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().insert(header::SET_COOKIE, value);
    }
}
