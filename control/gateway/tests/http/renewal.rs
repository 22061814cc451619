//! Goal: a play that is longer than its ticket goes on, and one that may not go on does not.
//! Method: plays whose press lies hours back, so that nobody has to wait for a ticket to end.

use control_gateway::ServedBy;
use control_store::PlayRow;
use control_store::ledger::Standing;
use control_token::{Claims, RenewedBy, Verifier};
use control_types::accounts::Session;
use control_types::play::SteeringManifest;
use control_types::{ErrorWord, PlayId, ProfileId, UnixMillis};

use crate::lab::{Lab, Plan, now, report, title};

const HOUR_MS: u64 = 3_600_000;
const HEADER: &str = "cta-common-access-token";

/// A lab whose tickets live an hour, and a member who pressed play `ago_ms` ago.
async fn pressed(ago_ms: u64) -> (Lab, Session, PlayId) {
    pressed_at(Lab::start().await, ago_ms).await
}

async fn pressed_at(lab: Lab, ago_ms: u64) -> (Lab, Session, PlayId) {
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

/// A steering answer to a player whose manifest is `age_s` old.
async fn steered(lab: &Lab, play: PlayId, query: &str, age_s: u64) -> SteeringManifest {
    let since = now().0 / 1_000 - age_s;
    let pathways = "pathways=edge-a1,edge-a2,origin";
    let url = format!("{}/v1/plays/{play}/steering?{pathways}&since={since}{query}", lab.url);
    reqwest::get(url).await.unwrap().error_for_status().unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_player_that_sets_no_header_is_given_pathways_with_a_fresh_ticket() {
    let (lab, session, play) = pressed(2 * HOUR_MS).await;
    let hls = "&_HLS_pathway=edge-a1";
    let early = steered(&lab, play, hls, 2_900).await;
    assert!(early.pathway_clones.is_empty() && !early.pathway_priority[0].contains('.'));

    let due = steered(&lab, play, hls, 3_000).await;
    let mut ids: Vec<&str> = due.pathway_clones.iter().map(|clone| clone.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["edge-a1.r1", "edge-a2.r1", "origin.r1"]);
    assert_eq!(due.pathway_priority[0], "edge-a1.r1", "where it is, with another ticket");
    assert_eq!(due.pathway_priority.len(), 6, "{:?}", due.pathway_priority);
    for clone in &due.pathway_clones {
        assert_eq!(clone.base_id, "edge-a1");
        let uris = &clone.uri_replacement;
        assert_eq!((uris.per_variant_uris.len(), uris.per_rendition_uris.len()), (2, 1));
        for uri in uris.per_variant_uris.values().chain(uris.per_rendition_uris.values()) {
            let ticket = uri.split("/t/").nth(1).unwrap().split('/').next().unwrap();
            let said = claims(&lab, ticket).await;
            assert!(said.expires_at.0 + 2_000 > now().0 + HOUR_MS, "a whole life of its own");
        }
    }
    // What it was given travels in its next question, and is not given again.
    let next = reqwest::get(format!("{}&_HLS_pathway=edge-a1.r1", due.reload_uri)).await.unwrap();
    let next: SteeringManifest = next.error_for_status().unwrap().json().await.unwrap();
    assert!(next.pathway_clones.is_empty(), "{:?}", next.pathway_clones);
    assert_eq!(next.pathway_priority, due.pathway_priority);
    assert_eq!(next.reload_uri, due.reload_uri);
    let second = steered(&lab, play, "&fresh=1:edge-a1,edge-a2,origin", 5_900).await;
    assert!(second.pathway_clones.iter().any(|clone| clone.id == "edge-a1.r2"));

    // A clone in DASH keeps its path: the ticket comes beside it, in every answer. Shaka Player
    // knows no such clones.
    for fresh in ["", "&fresh=1:edge-a1,edge-a2,origin"] {
        let query = format!("{fresh}&_DASH_pathway=\"edge-a1\"");
        let dash = steered(&lab, play, &query, 3_000).await;
        assert_eq!((dash.pathway_clones.len(), dash.pathway_priority.len()), (3, 6));
        assert_eq!(dash.pathway_priority[0], "edge-a1.r1");
        for clone in &dash.pathway_clones {
            let said = claims(&lab, &clone.uri_replacement.params["CAT"]).await;
            assert!(said.expires_at.0 + 2_000 > now().0 + HOUR_MS, "a whole life of its own");
        }
    }
    let dash = steered(&lab, play, "&_DASH_pathway=edge-a1", 3_000).await;
    assert!(dash.pathway_clones.is_empty() && dash.pathway_priority.len() == 3);
    // Nor is one brought to a player that fetches its own, or to a play that may not go on.
    let profile = session.account.profiles[0].id;
    let other = begin(&lab, &session, profile, 2 * HOUR_MS).await;
    lab.nobody().renew_ticket(other).await.unwrap();
    assert!(steered(&lab, other, hls, 3_000).await.pathway_clones.is_empty());
    let (billing, account) = (&lab.services.billing, &session.account.id);
    billing.set_standing(account, Standing::Lapsed, now()).await.unwrap();
    assert!(steered(&lab, play, hls, 3_000).await.pathway_clones.is_empty());
}

/// Goal: an appliance sends who needs a fresh ticket here; here sends it back with one, and to
/// where it is, with the ticket that its pathways have, as soon as it has such pathways.
#[tokio::test]
async fn where_appliances_steer_whoever_came_for_a_ticket_is_sent_back_with_it() {
    let plan = Plan { steering_served_by: ServedBy::Appliances, ..Plan::default() };
    let (lab, session, play) = pressed_at(Lab::start_with(plan).await, 2 * HOUR_MS).await;
    let hls = "&_HLS_pathway=edge-a1";
    let own = format!("{}/v1/plays/{play}/steering", lab.url);
    let due = steered(&lab, play, hls, 3_000).await;
    assert!(due.reload_uri.starts_with(&own), "nobody has a bundle: {}", due.reload_uri);
    assert_eq!(due.pathway_clones.len(), 3);
    for id in ["edge-a1", "edge-a2"] {
        let mut said = report(id, &[&title("night", "Night", 10)]);
        said.more.steering_serial = Some(7);
        lab.services.steering.report(said, now()).unwrap();
    }
    let early = steered(&lab, play, hls, 2_900).await;
    assert!(early.reload_uri.starts_with(&own), "its pathways have another ticket");
    let again = steered(&lab, play, &format!("{hls}&fresh=1:edge-a1,edge-a2,origin"), 3_000).await;
    assert!(again.reload_uri.starts_with(&own), "that one is not known here any more");
    for query in [hls, "&_DASH_pathway=\"edge-a1\""] {
        let due = steered(&lab, play, query, 3_000).await;
        let (desk, known) = due.reload_uri.split_once("/v/night/steering?").unwrap();
        let (host, ticket) = desk.split_once("/t/").unwrap();
        assert!(host.starts_with("https://edge-a"), "{host}");
        assert!(known.starts_with("pathways=edge-a1,edge-a2,origin&since="), "{known}");
        let given = known.split_once("&fresh=1:").unwrap().1;
        assert_eq!(given.split(',').count(), 3, "{given}");
        let clone = &due.pathway_clones[0].uri_replacement;
        let uri = clone.per_variant_uris.values().next();
        let inside = uri.and_then(|uri| uri.split("/t/").nth(1)?.split('/').next());
        let beside = clone.params.get("CAT").map(String::as_str);
        assert_eq!(inside.or(beside), Some(ticket), "the same that it streams with");
    }
    // Who fetches its own is sent back as well, and comes again when this one is about to end.
    lab.nobody().renew_ticket(play).await.unwrap();
    let own_way = steered(&lab, play, hls, 3_000).await;
    assert!(own_way.pathway_clones.is_empty() && own_way.reload_uri.contains("/v/night/steering?"));
    assert!(!own_way.reload_uri.contains("fresh="), "{}", own_way.reload_uri);
    // Who may not go on stays with what it has.
    let profile = session.account.profiles[0].id;
    let other = begin(&lab, &session, profile, 2 * HOUR_MS).await;
    let (billing, account) = (&lab.services.billing, &session.account.id);
    billing.set_standing(account, Standing::Lapsed, now()).await.unwrap();
    let unpaid = steered(&lab, other, hls, 3_000).await;
    assert!(unpaid.pathway_clones.is_empty() && unpaid.reload_uri.starts_with(&lab.url));
}

#[tokio::test]
async fn a_manifest_says_when_its_ticket_was_signed() {
    let (lab, _, play) = pressed(2 * HOUR_MS).await;
    let before = now().0 / 1_000;
    let manifest = lab.nobody().hls_manifest(play).await.unwrap();
    let said = manifest.split("&since=").nth(1).unwrap();
    let said: u64 = said.split('"').next().unwrap().parse().unwrap();
    assert!((before..=now().0 / 1_000).contains(&said), "{said}");
}
