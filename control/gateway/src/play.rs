//! The press of play, eight calls in eight lines, and the manifests it leads to.
//! Holds no rule: each call asks the service whose rule it is. Streams nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::IntoResponse;
use control_billing::{Entitled, Verdict};
use control_catalog::Listed;
use control_steering::Question;
use control_store::PlayRow;
use control_types::play::{PlayAnswer, PlayTicket, PressPlay, RankedAppliance};
use control_types::{AccountId, ErrorWord, ObjectId, PlayId, TitleId};
use tower_http::cors::{Any, CorsLayer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::body::Sent;
use crate::edge::{MemberAddress, PublicUrl};
use crate::errors::Refusal;
use crate::gateway::{Gateway, ServedBy};
use crate::guards;
use crate::library::optional;
use crate::manifests::{Stage, multivariant, offered_objects, presentation, steering_url_of};
use crate::renewal::{over_at, ticket_at};
use crate::telemetry::pressed;
use crate::who::Member;

pub(crate) fn routes() -> OpenApiRouter<Gateway> {
    let manifests = OpenApiRouter::new()
        .routes(routes!(hls_manifest))
        .routes(routes!(dash_manifest))
        .layer(open_to_players());
    OpenApiRouter::new().routes(routes!(press)).merge(manifests)
}

/// Players run on any page: the play id is the right to ask, and no cookie reaches these paths.
pub(crate) fn open_to_players() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        .allow_headers(Any)
        .expose_headers(Any)
        .max_age(Duration::from_secs(3_600))
}

/// Presses play. The answer is all a player needs from control.
#[utoipa::path(post, path = "/v1/plays", tag = "member", request_body = PressPlay,
    responses((status = 201, description = "play", body = PlayAnswer)),
    security(("member" = [])))]
async fn press(
    State(gateway): State<Gateway>,
    address: MemberAddress,
    base: PublicUrl,
    member: Member,
    Sent(body): Sent<PressPlay>,
) -> Result<(StatusCode, Json<PlayAnswer>), Refusal> {
    let answer = press_steps(&gateway, address, &base, &member, &body).await;
    let outcome = answer.as_ref().map_or_else(|refusal| word(refusal.word), |_| "played");
    gateway.metrics().count_play(outcome);
    answer.map(|answer| (StatusCode::CREATED, Json(answer)))
}

/// Edge and bearer are behind us. Nothing is written before all that may refuse has spoken.
async fn press_steps(
    gateway: &Gateway,
    address: MemberAddress,
    base: &PublicUrl,
    member: &Member,
    body: &PressPlay,
) -> Result<PlayAnswer, Refusal> {
    let play = Arc::new(new_play(gateway, member, body));
    // Asked together, judged in order: a press waits for the slowest store, not for their sum.
    let (owned, entitled, resume_ms) = tokio::join!(
        member.owns(gateway, &body.profile),
        may(gateway, member.account()),
        guards::resume_ms(gateway, &play),
    );
    owned?;
    let entitled = entitled?;
    let title = what(gateway, &body.title)?;
    let places = whence(gateway, address, &title, entitled.height_max, &play.play)?;
    let ticket = ticket_at(gateway, &play, play.pressed_at)?;
    gateway.services().telemetry.begin(pressed(gateway, &play, address));
    gateway.services().recommend.saw_play(&play.title);
    Ok(answer(gateway, base, play, &title, Found { places, resume_ms, ticket }).await)
}

/// May: the plan, and how many streams the account has under way.
async fn may(gateway: &Gateway, account: &AccountId) -> Result<Entitled, Refusal> {
    let services = gateway.services();
    let live = services.telemetry.streams(account, gateway.now());
    match guards::verdict(gateway, account, live).await? {
        Verdict::Entitled(entitled) => Ok(entitled),
        Verdict::PaymentRequired => Err(Refusal::new(
            ErrorWord::PaymentRequired,
            "the account is not paid for; settle the bill to play",
        )),
        Verdict::TooManyStreams { streams_max } => Err(Refusal::new(
            ErrorWord::Conflict,
            format!("the plan allows {streams_max} at once; stop another or choose a larger plan"),
        )),
    }
}

/// What: the title, if it may be played here.
fn what(gateway: &Gateway, title: &TitleId) -> Result<Arc<Listed>, Refusal> {
    let snapshot = gateway.services().catalog.snapshot();
    let region = gateway.settings().region.as_deref();
    Ok(snapshot.playable(title, region)?.clone())
}

fn new_play(gateway: &Gateway, member: &Member, body: &PressPlay) -> PlayRow {
    PlayRow {
        // Random, because knowing it opens the manifests.
        play: PlayId(Uuid::new_v4()),
        account: *member.account(),
        profile: body.profile,
        title: body.title.clone(),
        pressed_at: gateway.now(),
    }
}

/// Places to stream from, before the ticket is in their URLs.
pub(crate) struct Places {
    ranked: Vec<control_steering::Ranked>,
    /// Media URL of the appliance that answers for steering; absent: control does.
    desk: Option<String>,
}

/// Where from: appliances, best first, never none.
fn whence(
    gateway: &Gateway,
    address: MemberAddress,
    title: &Listed,
    height_max: u32,
    session: &PlayId,
) -> Result<Places, Refusal> {
    let objects: Vec<ObjectId> = offered_objects(&title.record, height_max);
    let question =
        Question::new(address.0, &title.record.id, &objects).of_session(session_of(session), None);
    let question = question.lacking(optional(&title.record, height_max));
    let whereabouts = gateway.services().routes.whereabouts(address.0);
    let question = Question { whereabouts, ..question };
    let ranked = gateway.services().steering.rank(&question, gateway.now());
    if ranked.is_empty() {
        let message = format!("no appliance can serve {} to {} now", title.record.id, address.0);
        return Err(Refusal::new(ErrorWord::Unavailable, message));
    }
    let steering = &gateway.services().steering;
    let desk = match gateway.settings().steering_served_by {
        ServedBy::Control => None,
        ServedBy::Appliances => {
            steering.desk_for(address.0, &title.record.id, &ranked, gateway.now())
        }
    };
    Ok(Places { ranked, desk })
}

/// A number that steering knows the play by, so that all its questions are answered alike.
pub(crate) fn session_of(play: &PlayId) -> u64 {
    play.0.as_u64_pair().0 ^ play.0.as_u64_pair().1
}

/// What the steps found.
struct Found {
    places: Places,
    resume_ms: u64,
    ticket: PlayTicket,
}

/// Answer: remembered first, so that the URLs in it work, also after a restart.
async fn answer(
    gateway: &Gateway,
    base: &PublicUrl,
    play: Arc<PlayRow>,
    title: &Listed,
    found: Found,
) -> PlayAnswer {
    gateway.plays().remember(play.clone());
    guards::keep_play(gateway, &play).await;
    let Found { places, resume_ms, ticket } = found;
    let asked = asked_at(&places, &play.title, &ticket.ticket);
    let ranked = signed(places, &play.title, &ticket.ticket);
    let steering_url = match asked {
        None => base.of_play(&play.play, "steering"),
        // An appliance knows no play: what the player has is in the URL or nowhere.
        Some(url) => steering_url_of(&url, &ranked, None),
    };
    PlayAnswer {
        play: play.play,
        hls_url: base.of_play(&play.play, "main.m3u8"),
        dash_url: base.of_play(&play.play, "manifest.mpd"),
        steering_url,
        ranked,
        ticket: ticket.ticket,
        ticket_expires_at: ticket.expires_at,
        ticket_renew_at: ticket.renew_at,
        resume_ms,
        duration_ms: title.record.duration_ms,
        report_ms: gateway.settings().report_ms,
    }
}

/// Where a player asks for steering, if that is at an appliance.
fn asked_at(places: &Places, title: &TitleId, ticket: &str) -> Option<String> {
    places.desk.as_ref().map(|url| format!("{url}/t/{ticket}/v/{title}/steering"))
}

fn signed(places: Places, title: &TitleId, ticket: &str) -> Vec<RankedAppliance> {
    let place = |ranked: control_steering::Ranked| RankedAppliance {
        base_url: format!("{}/t/{ticket}/v/{title}/", ranked.media_url),
        appliance: ranked.appliance,
        site: ranked.site,
        reason: ranked.reason,
    };
    places.ranked.into_iter().map(place).collect()
}

/// The metric's label is the word of the refusal.
fn word(word: ErrorWord) -> &'static str {
    match word {
        ErrorWord::BadRequest => "bad_request",
        ErrorWord::Unauthenticated => "unauthenticated",
        ErrorWord::PaymentRequired => "payment_required",
        ErrorWord::Forbidden => "forbidden",
        ErrorWord::NotFound => "not_found",
        ErrorWord::WrongMethod => "wrong_method",
        ErrorWord::Conflict => "conflict",
        ErrorWord::TooLarge => "too_large",
        ErrorWord::TooMany => "too_many",
        ErrorWord::NotHere => "not_here",
        ErrorWord::Unavailable => "unavailable",
        ErrorWord::Internal => "internal",
    }
}

/// A play that was pressed here, in another process, or before a restart.
pub(crate) async fn known(gateway: &Gateway, id: &PlayId) -> Result<Arc<PlayRow>, Refusal> {
    let play = match gateway.plays().find(id) {
        Some(play) => play,
        None => {
            let found = gateway.services().history.play(id).await?;
            let play = Arc::new(found.ok_or_else(|| Refusal::not_found("such play"))?);
            gateway.plays().remember(play.clone());
            play
        }
    };
    if over_at(gateway, &play) <= gateway.now() {
        return Err(Refusal::new(ErrorWord::NotFound, "this play is over; press play again"));
    }
    if gateway.services().tickets.is_revoked(&id.to_string(), gateway.now()) {
        return Err(Refusal::new(
            ErrorWord::Forbidden,
            "this play was taken back; press play again",
        ));
    }
    Ok(play)
}

/// The play, its title and where to stream it from now: what every later question starts with.
pub(crate) struct UnderWay {
    pub play: Arc<PlayRow>,
    pub title: Arc<Listed>,
    pub height_max: u32,
}

/// Finds a play under way. The plan's height is asked again; when billing is away the play goes on
/// with the plan that was last known, or with every rung it could have had.
pub(crate) async fn under_way(gateway: &Gateway, id: &PlayId) -> Result<UnderWay, Refusal> {
    let play = known(gateway, id).await?;
    let snapshot = gateway.services().catalog.snapshot();
    let title = snapshot.title(&play.title).ok_or_else(|| Refusal::not_found(&play.title))?;
    let height_max = guards::height_max(gateway, &play.account).await;
    Ok(UnderWay { play, title: title.clone(), height_max })
}

/// HLS multivariant playlist of a play.
#[utoipa::path(get, path = "/v1/plays/{play}/main.m3u8", tag = "play",
    params(("play" = PlayId, Path)),
    responses((status = 200, body = String, content_type = "application/vnd.apple.mpegurl")))]
async fn hls_manifest(
    State(gateway): State<Gateway>,
    Path(play): Path<PlayId>,
    address: MemberAddress,
    base: PublicUrl,
) -> Result<impl IntoResponse, Refusal> {
    let text = manifest(&gateway, &play, address, &base, multivariant).await?;
    Ok(manifest_headers("application/vnd.apple.mpegurl", text))
}

/// DASH MPD of a play.
#[utoipa::path(get, path = "/v1/plays/{play}/manifest.mpd", tag = "play",
    params(("play" = PlayId, Path)),
    responses((status = 200, body = String, content_type = "application/dash+xml")))]
async fn dash_manifest(
    State(gateway): State<Gateway>,
    Path(play): Path<PlayId>,
    address: MemberAddress,
    base: PublicUrl,
) -> Result<impl IntoResponse, Refusal> {
    let text = manifest(&gateway, &play, address, &base, presentation).await?;
    Ok(manifest_headers("application/dash+xml", text))
}

async fn manifest(
    gateway: &Gateway,
    id: &PlayId,
    address: MemberAddress,
    base: &PublicUrl,
    write: fn(&Stage<'_>) -> String,
) -> Result<String, Refusal> {
    let UnderWay { play, title, height_max } = under_way(gateway, id).await?;
    let places = whence(gateway, address, &title, height_max, id)?;
    let since = gateway.now();
    let ticket = ticket_at(gateway, &play, since)?.ticket;
    let asked = asked_at(&places, &play.title, &ticket);
    let ranked = signed(places, &play.title, &ticket);
    let asked = asked.unwrap_or_else(|| base.of_play(id, "steering"));
    let steering_url = steering_url_of(&asked, &ranked, Some(since));
    let (record, ranked, steering_url) = (&title.record, &ranked[..], &steering_url[..]);
    Ok(write(&Stage { record, ranked, height_max, steering_url }))
}

/// A play under way as it would be pressed now.
pub(crate) struct Anew {
    /// Appliances, with the ticket in their URLs.
    pub ranked: Vec<RankedAppliance>,
    /// Signed just now.
    pub ticket: String,
    /// Where a player asks for steering, with the ticket in it, if that is at an appliance.
    pub asked: Option<String>,
}

/// Appliances of a play under way, with a ticket of its own in their URLs.
pub(crate) fn anew(
    gateway: &Gateway,
    address: MemberAddress,
    under_way: &UnderWay,
) -> Result<Anew, Refusal> {
    let UnderWay { play, title, height_max } = under_way;
    let places = whence(gateway, address, title, *height_max, &play.play)?;
    let ticket = ticket_at(gateway, play, gateway.now())?.ticket;
    let asked = asked_at(&places, &play.title, &ticket);
    Ok(Anew { ranked: signed(places, &play.title, &ticket), ticket, asked })
}

/// A manifest holds a ticket and a moment's ranking: nobody may keep it.
fn manifest_headers(kind: &'static str, text: String) -> impl IntoResponse {
    let no_store = HeaderValue::from_static("no-store");
    (
        [(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CACHE_CONTROL, no_store)],
        text,
    )
}
