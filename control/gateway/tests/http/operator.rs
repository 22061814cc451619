//! The operator's verbs that no other file tells: the key, the fleet's registration, tickets, the
//! why.

use control_client::Credential;
use control_token::Verifier;
use control_types::ErrorWord;
use control_types::fleet::{ApplianceRecord, Link, Role};
use control_types::play::{NewTicket, TicketScope};

use crate::lab::{Lab, now, title};

#[tokio::test]
async fn only_the_operator_s_key_opens_the_operator_s_paths() {
    let lab = Lab::start().await;
    let (member, _, _) = lab.member("ann@example.org").await;
    let wrong =
        lab.nobody().with_credential(Credential::Operator("nfo_operator_of_the_laB".into()));
    for client in [lab.nobody(), member, wrong] {
        let error = client.titles().await.unwrap_err();
        assert_eq!(error.word(), Some(ErrorWord::Unauthenticated));
    }
    assert!(lab.operator().titles().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_appliance_gets_its_key_once() {
    let lab = Lab::start().await;
    let record = ApplianceRecord {
        id: "edge-a1".parse().unwrap(),
        site: "here".parse().unwrap(),
        role: Role::Edge,
        link: Link::Embedded,
        capacity_bps: 1_000,
        detail: control_types::fleet::ApplianceDetail::default(),
    };
    let error = lab.operator().put_appliance(&record).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::NotFound), "its site comes first");
    lab.site("here", "isp-a", &["127.0.0.0/8"]).await;
    assert!(lab.operator().put_appliance(&record).await.unwrap().key.is_some());
    assert!(lab.operator().put_appliance(&record).await.unwrap().key.is_none());
    lab.operator().remove_appliance(&record.id).await.unwrap();
    assert!(lab.operator().appliances().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_prefix_belongs_to_one_isp() {
    let lab = Lab::start().await;
    lab.site("here", "isp-a", &["203.0.113.0/24"]).await;
    let mut other = lab.operator().sites().await.unwrap().remove(0);
    other.id = "there".parse().unwrap();
    other.isp = "isp-b".parse().unwrap();
    let error = lab.operator().put_site(&other).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Conflict));
    assert!(error.to_string().contains("isp-a"), "{error}");
}

#[tokio::test]
async fn a_ranking_is_explained_box_by_box() {
    let lab = Lab::start().await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.fleet(&[&night]).await;
    let explain = async |ip: &str| {
        lab.operator().explain_steering(ip.parse().unwrap(), &night.id).await.unwrap()
    };
    let here = explain("127.0.0.1").await;
    assert_eq!(here.matched_prefix.as_deref(), Some("127.0.0.0/8"));
    assert_eq!(here.candidates.len(), 3);
    assert_eq!(here.candidates[0].rank, Some(1));
    let stranger = explain("192.0.2.1").await;
    assert_eq!(stranger.matched_prefix, None);
    let edge = stranger.candidates.iter().find(|one| one.appliance.as_str() == "edge-a1").unwrap();
    assert!(edge.rank.is_none() && !edge.because.is_empty());
    let unknown = "other".parse().unwrap();
    let error = lab.operator().explain_steering("127.0.0.1".parse().unwrap(), &unknown).await;
    assert_eq!(error.unwrap_err().word(), Some(ErrorWord::NotFound));
}

#[tokio::test]
async fn tickets_open_what_they_were_asked_for() {
    let lab = Lab::start().await;
    let verifier = Verifier::new(&lab.nobody().ticket_keys().await.unwrap()).unwrap();
    let scopes = [
        (TicketScope::Title("night".parse().unwrap()), "/v/night/00", "/o/00"),
        (TicketScope::Fill, "/o/00", "/v/night/00"),
    ];
    for (opens, inside, outside) in scopes {
        let body = NewTicket { opens, ttl_ms: 60_000 };
        let ticket = lab.operator().issue_ticket(&body).await.unwrap();
        let claims = verifier.verify(&ticket.ticket, now()).unwrap();
        assert!(claims.allows_path(inside) && !claims.allows_path(outside), "{body:?}");
    }
    let body = NewTicket { opens: TicketScope::Fill, ttl_ms: 0 };
    let error = lab.operator().issue_ticket(&body).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::BadRequest));
}
