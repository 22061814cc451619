//! Goal: a play that is longer than its ticket goes on, and one that may not go on does not.
//! Method: plays whose press lies hours back, so that nobody has to wait for a ticket to end.

use control_store::PlayRow;
use control_store::ledger::Standing;
use control_token::{Claims, RenewedBy, Verifier};
use control_types::accounts::Session;
use control_types::{ErrorWord, PlayId, ProfileId, UnixMillis};

use crate::lab::{Lab, now, title};

const HOUR_MS: u64 = 3_600_000;
const HEADER: &str = "cta-common-access-token";

/// A lab whose tickets live an hour, and a member who pressed play `ago_ms` ago.
async fn pressed(ago_ms: u64) -> (Lab, Session, PlayId) {
    let lab = Lab::start().await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.fleet(&[&night]).await;
    let (_, session, profile) = lab.member("ann@example.org").await;
    let play = begin(&lab, &session, profile, ago_ms).await;
    (lab, session, play)
}

async fn begin(lab: &Lab, session: &Session, profile: ProfileId, ago_ms: u64) -> PlayId {
    let row = PlayRow {
        play: PlayId(uuid::Uuid::new_v4()),
        account: session.account.id,
        profile,
        title: "night".parse().unwrap(),
        pressed_at: UnixMillis(now().0 - ago_ms),
    };
    lab.services.history.begin(&row).await.unwrap();
    row.play
}

async fn claims(lab: &Lab, ticket: &str) -> Claims {
    let verifier = Verifier::new(&lab.nobody().ticket_keys().await.unwrap()).unwrap();
    verifier.verify(ticket, now()).unwrap()
}

#[tokio::test]
async fn a_play_longer_than_its_ticket_gets_another_like_it() {
    let (lab, _, play) = pressed(2 * HOUR_MS).await;
    let before = now();
    let fresh = lab.nobody().renew_ticket(play).await.unwrap();
    let said = claims(&lab, &fresh.ticket).await;
    assert_eq!(said.subject, play.to_string());
    assert_eq!(said.path_prefixes, ["/v/night/"]);
    assert!(fresh.expires_at >= before.plus_millis(HOUR_MS), "{fresh:?}");
    assert_eq!(said.expires_at.as_seconds(), fresh.expires_at.as_seconds());
    let renewal = said.renewal.expect("it says how it is renewed");
    assert_eq!((renewal.by, renewal.extend_s), (RenewedBy::Header, 3_600));
    assert_eq!(renewal.deadline_s, 900, "in its last quarter");
    let renew_at = fresh.renew_at.expect("there is more to come");
    assert!(renew_at > before && renew_at < fresh.expires_at);
    // The header says the same; so do the manifest's URLs, for whoever loads it again.
    let url = format!("{}/v1/plays/{play}/ticket", lab.url);
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.headers()["access-control-expose-headers"], "*");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let carried = answer.headers()[HEADER].to_str().unwrap().to_owned();
    assert_eq!(claims(&lab, &carried).await.subject, play.to_string());
    let manifest = lab.nobody().hls_manifest(play).await.unwrap();
    let (_, rest) = manifest.split_once("/t/").expect("URLs have a ticket");
    let written = rest.split('/').next().unwrap();
    assert!(claims(&lab, written).await.expires_at > now());
    let metrics = lab.nobody().metrics().await.unwrap();
    assert!(metrics.contains("control_tickets_renewed_total 2"), "{metrics}");
}

#[tokio::test]
async fn steering_brings_a_fresh_ticket_once_the_first_is_in_its_last_quarter() {
    let (lab, session, late) = pressed(50 * 60_000).await;
    let profile = session.account.profiles[0].id;
    let early = begin(&lab, &session, profile, 10 * 60_000).await;
    let header = async |play: PlayId| {
        let url = format!("{}/v1/plays/{play}/steering", lab.url);
        let answer = reqwest::get(url).await.unwrap().error_for_status().unwrap();
        answer.headers().get(HEADER).map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(header(early).await, None);
    let ticket = header(late).await.expect("a fresh one");
    assert_eq!(claims(&lab, &ticket).await.subject, late.to_string());
}

#[tokio::test]
async fn the_last_ticket_of_a_play_ends_with_it_and_says_so() {
    let (lab, session, play) = pressed(24 * HOUR_MS - HOUR_MS / 2).await;
    let fresh = lab.nobody().renew_ticket(play).await.unwrap();
    assert!(fresh.expires_at <= now().plus_millis(HOUR_MS / 2), "{fresh:?}");
    assert_eq!(fresh.renew_at, None);
    assert_eq!(claims(&lab, &fresh.ticket).await.renewal, None);
    let profile = session.account.profiles[0].id;
    let over = begin(&lab, &session, profile, 24 * HOUR_MS + 1).await;
    let error = lab.nobody().renew_ticket(over).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::NotFound), "{error}");
}

#[tokio::test]
async fn a_play_taken_back_or_not_paid_for_gets_none() {
    let (lab, session, play) = pressed(50 * 60_000).await;
    let standing = async |standing: Standing| {
        lab.services.billing.set_standing(&session.account.id, standing, now()).await.unwrap();
    };
    standing(Standing::Lapsed).await;
    let error = lab.nobody().renew_ticket(play).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::PaymentRequired), "{error}");
    let url = format!("{}/v1/plays/{play}/steering", lab.url);
    let answer = reqwest::get(&url).await.unwrap();
    assert!(answer.status().is_success(), "what is left of its ticket may be watched");
    assert_eq!(answer.headers().get(HEADER), None);
    standing(Standing::Paid).await;
    lab.nobody().renew_ticket(play).await.unwrap();

    lab.operator().revoke_tickets(&play.to_string()).await.unwrap();
    let error = lab.nobody().renew_ticket(play).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Forbidden), "{error}");
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 403);
    let unknown = PlayId(uuid::Uuid::new_v4());
    let error = lab.nobody().renew_ticket(unknown).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::NotFound));
}
