//! Steering bundles over HTTP: whose they are, when there is a new one, and where players are sent
//! when appliances steer.

use control_client::{ControlClient, Credential};
use control_gateway::ServedBy;
use control_token::is_bundle_signed;
use control_types::ErrorWord;
use control_types::bundle::{OfferedBundle, SignedBundle, SteeringBundle};
use control_types::catalog::TitleRecord;
use control_types::fleet::{ApplianceDetail, ApplianceRecord, Link, Role};
use control_types::play::{PlayAnswer, PressPlay};

use crate::lab::{Lab, OPERATOR_KEY, Plan, report, title};

fn read(signed: &SignedBundle) -> SteeringBundle {
    assert!(is_bundle_signed(signed, &signed.key));
    serde_json::from_str(&signed.bundle).unwrap()
}

async fn fetched(agent: &ControlClient) -> SteeringBundle {
    read(&agent.steering_bundle(None).await.unwrap().unwrap())
}

/// Registers an edge; answers its key.
async fn key_of(lab: &Lab, id: &str, site: &str) -> String {
    let record = ApplianceRecord {
        id: id.parse().unwrap(),
        site: site.parse().unwrap(),
        role: Role::Edge,
        link: Link::Embedded,
        capacity_bps: 1_000_000_000,
        detail: ApplianceDetail::default(),
    };
    lab.operator().put_appliance(&record).await.unwrap().key.unwrap()
}

#[tokio::test]
async fn a_bundle_is_new_when_something_changed_and_at_no_other_time() {
    let mut lab = Lab::start().await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.site("here", "isp-a", &["127.0.0.0/8"]).await;
    let key = key_of(&lab, "edge-a1", "here").await;
    let agent = lab.nobody().with_credential(Credential::Appliance(key.clone()));
    agent.report(&report("edge-a1", &[&night])).await.unwrap();
    lab.site("far", "isp-b", &["198.51.100.0/24"]).await;
    lab.appliance("origin", "far", Role::Origin, &[&night]).await;

    let error = agent.steering_bundle(None).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Unavailable), "none is made yet: {error}");
    assert_eq!(lab.make_bundles(), 2, "both ISPs' appliances reported");
    let first = fetched(&agent).await;
    assert_eq!(first.v, 1);
    assert_eq!(first.isp.as_str(), "isp-a");
    assert_eq!(first.ttl_s, 10);
    assert_eq!(first.prefixes, [("127.0.0.0/8".to_owned(), 1)]);
    let names: Vec<&str> = first.appliances.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(names, ["edge-a1", "origin"]);
    assert_eq!(first.areas, [vec![vec![1]], vec![vec![0], vec![1]]], "anywhere, here");
    assert_eq!(first.titles.len(), 1, "an edge holds it");
    assert_eq!(first.ticket_keys, lab.nobody().ticket_keys().await.unwrap());

    // Reported again, looked at again: nothing to tell.
    let mut again = report("edge-a1", &[&night]);
    again.sequence = 2;
    let answer = agent.report(&again).await.unwrap();
    assert_eq!(answer.steering_serial, Some(first.serial));
    assert_eq!(lab.make_bundles(), 0);
    assert_eq!(agent.steering_bundle(Some(first.serial)).await.unwrap(), None);
    assert_eq!(fetched(&agent).await.serial, first.serial);

    let before = agent.steering_bundle(None).await.unwrap().unwrap();
    // A drain is told, and what is held from before is not the newest any more.
    lab.operator().drain(&"edge-a1".parse().unwrap()).await.unwrap();
    assert_eq!(lab.make_bundles(), 1, "the other ISP's says nothing of this box");
    let whole = agent.steering_bundle(Some(first.serial)).await.unwrap().unwrap();
    let second = read(&whole);
    // Told as what changed, it comes to the same; of what nobody remembers the whole is given.
    match agent.steering_change(first.serial).await.unwrap().unwrap() {
        OfferedBundle::Change(change) => {
            assert_eq!(control_token::changed_bundle(&before, &change), Some(whole.clone()));
        }
        OfferedBundle::Whole(offered) => assert_eq!(offered, whole, "it is as short"),
    }
    let offered = agent.steering_change(1).await.unwrap();
    assert_eq!(offered, Some(OfferedBundle::Whole(whole)));
    assert_eq!(agent.steering_change(second.serial).await.unwrap(), None);
    assert!(second.serial > first.serial && second.appliances[0].draining, "{second:?}");
    again.sequence = 3;
    assert_eq!(agent.report(&again).await.unwrap().steering_serial, Some(second.serial));

    // A restarted control goes on above, though it remembers no bundle.
    lab.restart().await;
    let agent = lab.nobody().with_credential(Credential::Appliance(key));
    let origin = report("origin", &[&night]);
    lab.services.steering.report(origin, crate::lab::now()).unwrap();
    again.sequence = 4;
    assert_eq!(agent.report(&again).await.unwrap().steering_serial, None);
    assert_eq!(lab.make_bundles(), 1);
    assert!(fetched(&agent).await.serial > second.serial);
}

#[tokio::test]
async fn the_key_says_whose_bundle_it_is_and_the_tag_which() {
    let lab = Lab::start().await;
    lab.site("here", "isp-a", &["127.0.0.0/8"]).await;
    lab.site("there", "isp-b", &["198.51.100.0/24"]).await;
    let key = key_of(&lab, "edge-a1", "here").await;
    let ours = lab.nobody().with_credential(Credential::Appliance(key.clone()));
    ours.report(&report("edge-a1", &[])).await.unwrap();
    let theirs = lab.appliance("edge-b1", "there", Role::Edge, &[]).await;
    assert_eq!(lab.make_bundles(), 2);
    let (ours_text, theirs_text) = (
        ours.steering_bundle(None).await.unwrap().unwrap(),
        theirs.steering_bundle(None).await.unwrap().unwrap(),
    );
    assert_eq!(
        (read(&ours_text).isp.as_str(), read(&theirs_text).isp.as_str()),
        ("isp-a", "isp-b")
    );
    for (text, foreign) in [(&ours_text, "edge-b1"), (&theirs_text, "edge-a1")] {
        assert!(!text.bundle.contains(foreign), "{foreign} is named to another ISP");
    }
    assert!(!theirs_text.bundle.contains("127.0.0.0"));

    // Nobody else's key opens it.
    let isp_key = lab.operator().make_isp_key(&"isp-a".parse().unwrap()).await.unwrap().key;
    let (_, session, _) = lab.member("ann@example.org").await;
    for key in [OPERATOR_KEY.to_owned(), isp_key, session.access_token, "nobody-s".to_owned()] {
        let stranger = lab.nobody().with_credential(Credential::Appliance(key));
        let error = stranger.steering_bundle(None).await.unwrap_err();
        assert_eq!(error.word(), Some(ErrorWord::Unauthenticated), "{error}");
    }
    let error = ours.steering_bundles().await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Unauthenticated), "{error}");
    let listed = lab.operator().steering_bundles().await.unwrap();
    let isps: Vec<&str> = listed.iter().map(|one| one.isp.as_str()).collect();
    assert_eq!(isps, ["isp-a", "isp-b"]);
    assert_eq!(listed[0].serial, read(&ours_text).serial);
    assert_eq!(listed[0].bytes, ours_text.bundle.len() as u64);
    assert!(!listed[0].cut.is_some());

    let url = format!("{}/v1/appliance/steering", lab.url);
    let get = |known: String| {
        reqwest::Client::new().get(&url).bearer_auth(&key).header("if-none-match", known).send()
    };
    let tag = format!("\"{}\"", listed[0].serial);
    let answer = get(format!("\"1\", W/{tag}")).await.unwrap();
    assert_eq!(answer.status(), 304);
    assert_eq!(answer.headers()["etag"], tag);
    assert!(answer.bytes().await.unwrap().is_empty());
    let answer = get("\"1\"".to_owned()).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["etag"]), (200, &tag.parse().unwrap()));
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert!(answer.headers().get("content-encoding").is_none(), "he did not ask for gzip");
    let plain: SignedBundle = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(Some(plain), ours.steering_bundle(None).await.unwrap(), "packed or not");

    let metrics = reqwest::get(format!("{}/metrics", lab.url)).await.unwrap().text().await.unwrap();
    for line in ["control_steering_bundles 2", "control_steering_bundles_made_total 2"] {
        assert!(metrics.lines().any(|have| have == line), "{line} in\n{metrics}");
    }
    assert!(metrics.contains("control_steering_bundle_cut{what=\"prefixes\"} 0"), "{metrics}");
}

/// The box says of itself that it answers from a bundle, or that it does not.
fn says(lab: &Lab, id: &str, titles: &[&TitleRecord], steering_serial: Option<u64>) {
    let mut said = report(id, titles);
    said.more.steering_serial = steering_serial;
    lab.services.steering.report(said, crate::lab::now()).unwrap();
}

fn steering_lab() -> Plan {
    Plan { steering_served_by: ServedBy::Appliances, ..Plan::default() }
}

async fn presses(lab: &Lab, email: &str, night: &TitleRecord) -> PlayAnswer {
    let (member, _, profile) = lab.member(email).await;
    member.press_play(&PressPlay { profile, title: night.id.clone() }).await.unwrap()
}

/// Each manifest has a ticket of its own; what is around it is the same.
async fn manifests_say(answer: &PlayAnswer, begins: &str, ends: &str) {
    for (url, before) in
        [(&answer.hls_url, "SERVER-URI=\""), (&answer.dash_url, "queryBeforeStart=\"true\">")]
    {
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let steering = text.split(before).nth(1).unwrap_or_else(|| panic!("{before} in {text}"));
        let steering = steering.split(['"', '<']).next().unwrap();
        // Control's own URL says when the ticket was signed, an appliance's does not.
        let steering = steering.split_once("&").map_or(steering, |(steering, _)| steering);
        assert!(steering.starts_with(begins), "{steering}");
        assert!(steering.ends_with(ends), "{steering}");
    }
}

#[tokio::test]
async fn players_are_sent_to_the_first_appliance_that_has_a_bundle() {
    let lab = Lab::start_with(steering_lab()).await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.fleet(&[&night]).await;
    let answer = presses(&lab, "ann@example.org", &night).await;
    let pathways: Vec<&str> = answer.ranked.iter().map(|one| one.appliance.as_str()).collect();
    let query = format!("?pathways={}", pathways.join(","));
    // Nobody has a bundle yet: control answers, as it would if appliances did not steer.
    let own = format!("{}/v1/plays/{}/steering", lab.url, answer.play);
    assert_eq!(answer.steering_url, own);
    manifests_say(&answer, &own, &query).await;
    // Only the second has one.
    let (first, second) = (pathways[0], pathways[1]);
    says(&lab, second, &[&night], Some(7));
    let told = presses(&lab, "bea@example.org", &night).await;
    assert_eq!(told.ranked[0].appliance.as_str(), first, "media is another question");
    assert_eq!(told.steering_url, format!("{}steering{query}", told.ranked[1].base_url));
    // Both have: the first is asked, in the answer and in both manifests.
    says(&lab, first, &[&night], Some(7));
    let told = presses(&lab, "cid@example.org", &night).await;
    assert_eq!(told.steering_url, format!("{}steering{query}", told.ranked[0].base_url));
    let host = format!("https://{first}.example:8443/t/");
    manifests_say(&told, &host, &format!("/v/night/steering{query}")).await;
    // Whoever asks control all the same stays with control.
    let manifest = lab.nobody().steering(answer.play, None).await.unwrap();
    assert_eq!(manifest.reload_uri, own);
    assert_eq!(manifest.pathway_priority, pathways);
}

/// Goal: nobody asks an origin, whose bundle names no edge, while there is an edge to ask: also not
/// for a title that no edge holds yet.
#[tokio::test]
async fn whoever_streams_from_an_origin_asks_an_edge_for_steering() {
    let lab = Lab::start_with(steering_lab()).await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.fleet(&[]).await;
    says(&lab, "origin", &[&night], Some(3));
    let answer = presses(&lab, "ann@example.org", &night).await;
    assert_eq!(answer.ranked.len(), 1, "the origin alone has it: {:?}", answer.ranked);
    assert!(answer.steering_url.starts_with(&lab.url), "no edge can answer yet: control does");
    says(&lab, "edge-a2", &[], Some(3));
    let answer = presses(&lab, "bea@example.org", &night).await;
    assert_eq!(answer.ranked[0].appliance.as_str(), "origin");
    let host = "https://edge-a2.example:8443/t/";
    assert!(answer.steering_url.starts_with(host), "{}", answer.steering_url);
    assert!(answer.steering_url.ends_with("/v/night/steering?pathways=origin"));
    // One that drains is not asked to last.
    lab.operator().drain(&"edge-a2".parse().unwrap()).await.unwrap();
    let answer = presses(&lab, "cid@example.org", &night).await;
    assert!(answer.steering_url.starts_with(&lab.url), "{}", answer.steering_url);
}

#[tokio::test]
async fn a_member_to_whom_no_edge_was_announced_asks_the_first_of_the_list() {
    let lab = Lab::start_with(steering_lab()).await;
    let night = title("night", "Night", 10);
    lab.operator().put_title(&night).await.unwrap();
    lab.site("far", "isp-b", &["198.51.100.0/24"]).await;
    lab.appliance("edge-b1", "far", Role::Edge, &[&night]).await;
    lab.appliance("origin", "far", Role::Origin, &[&night]).await;
    let answer = presses(&lab, "ann@example.org", &night).await;
    assert_eq!(answer.ranked.len(), 1, "{:?}", answer.ranked);
    assert!(answer.steering_url.starts_with(&lab.url), "{}", answer.steering_url);
    says(&lab, "edge-b1", &[&night], Some(1));
    says(&lab, "origin", &[&night], Some(1));
    let answer = presses(&lab, "bea@example.org", &night).await;
    assert!(answer.steering_url.starts_with("https://origin.example:8443/t/"));
}
