//! Goal: a player whose ticket is about to end is sent to control once, while control is there, and
//! to nobody else whatever it writes; what control gave it is kept up here. Method: questions as
//! hls.js and dash.js write them.

use control_types::UnixMillis;
use control_types::play::SteeringManifest;

use super::{bundle, outlook_of};
use crate::sovereign::{Ask, Outlook, Reply, answer};

const PLAY: &str = "6f1f3f4e-0d5b-4c55-9f0e-2f3c6c1b7a10";
const KNOWN: &str = "pathways=edge-a1,origin-1&since=7";

fn outlook() -> Outlook {
    let mut bundle = bundle();
    bundle.control_url = Some("https://control.example".into());
    Outlook { control_is_there: true, ..outlook_of(bundle) }
}

fn told(outlook: &Outlook, is_ending: bool, subject: &str, query: &str) -> SteeringManifest {
    let title = "night".parse().unwrap();
    let reply = Reply {
        address: "10.0.0.1".parse().unwrap(),
        title: &title,
        subject,
        ticket: Some("FRESH"),
        issued_at: None,
        is_ending,
        now: UnixMillis(0),
    };
    let text = answer(outlook, &reply, &Ask::of(Some(query))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn who_needs_a_fresh_ticket_asks_control_once_and_at_once() {
    let outlook = outlook();
    let hls = format!("{KNOWN}&_HLS_pathway=edge-a1");
    let early = told(&outlook, false, PLAY, &hls);
    assert!(early.reload_uri.starts_with("https://edge-") && early.reload_uri.ends_with(KNOWN));
    let due = told(&outlook, true, PLAY, &hls);
    let url = format!("https://control.example/v1/plays/{PLAY}/steering?{KNOWN}");
    assert_eq!((due.reload_uri.as_str(), due.ttl), (url.as_str(), 1));
    assert_eq!(due.pathway_priority, early.pathway_priority);
    let again = format!("{KNOWN}&fresh=1:edge-a1");
    let due = told(&outlook, true, PLAY, &again.replace(',', "%2C").replace(':', "%3A"));
    assert!(due.reload_uri.ends_with(&format!("/steering?{again}")), "{}", due.reload_uri);
    let dash = told(&outlook, true, PLAY, &format!("{KNOWN}&_DASH_pathway=%22edge-a1%22"));
    assert_eq!(dash.reload_uri, url);
}

#[test]
fn nobody_is_sent_to_a_control_that_is_silent_unknown_or_of_no_use() {
    let here = |told: &SteeringManifest| told.reload_uri.starts_with("https://edge-");
    let outlook = outlook();
    for (subject, query) in [
        ("fill", KNOWN),
        ("", KNOWN),
        (PLAY, "pathways=edge-a1"),
        (PLAY, "since=7"),
        // Shaka Player makes no clone that brings a ticket.
        (PLAY, "pathways=edge-a1&since=7&_DASH_pathway=edge-a1"),
    ] {
        assert!(here(&told(&outlook, true, subject, query)), "{subject} {query}");
    }
    let evil = format!("{KNOWN}&renew=https://evil.example&control_url=https://evil.example");
    assert!(!told(&outlook, true, PLAY, &evil).reload_uri.contains("evil"));
    let silent = Outlook { control_is_there: false, ..outlook };
    assert!(here(&told(&silent, true, PLAY, KNOWN)));
    for url in [None, Some("javascript:alert(1)"), Some("https://a/b"), Some("https://a b")] {
        let mut bundle = bundle();
        bundle.control_url = url.map(str::to_owned);
        let outlook = Outlook { control_is_there: true, ..outlook_of(bundle) };
        assert!(here(&told(&outlook, true, PLAY, KNOWN)), "{url:?}");
    }
}

#[test]
fn pathways_with_a_fresh_ticket_keep_their_names_and_others_are_made_of_them() {
    let outlook = outlook();
    let query = format!("{KNOWN}&fresh=2:edge-a2,origin-1&_HLS_pathway=edge-a2.r2");
    let told_hls = told(&outlook, false, PLAY, &query);
    let list = &told_hls.pathway_priority;
    assert_eq!(list[0], "edge-a2.r2", "it stays where it is: {list:?}");
    assert_eq!(list[6..], ["edge-a1", "origin-1"], "for who made no clone");
    assert!(list[..6].iter().all(|id| id.ends_with(".r2")), "{list:?}");
    let clones = &told_hls.pathway_clones;
    assert_eq!(clones.len(), 4);
    for clone in clones {
        assert_eq!(clone.base_id, "edge-a2.r2");
        assert!(clone.id.ends_with(".r2") && clone.uri_replacement.params.is_empty());
    }
    assert!(told_hls.reload_uri.ends_with("&since=7&fresh=2:edge-a2,origin-1"));
    assert!(told_hls.reload_uri.contains("/t/FRESH/v/night/"), "{}", told_hls.reload_uri);
    // dash.js forgets clones that the last answer did not have.
    let query = format!("{KNOWN}&fresh=2:edge-a2,origin-1&_DASH_pathway=%22edge-a2.r2%22");
    let told_dash = told(&outlook, false, PLAY, &query);
    assert_eq!(told_dash.pathway_priority, told_hls.pathway_priority);
    assert_eq!(told_dash.pathway_clones.len(), 6);
    for clone in &told_dash.pathway_clones {
        assert_eq!(
            (clone.base_id.as_str(), &*clone.uri_replacement.params["CAT"]),
            ("edge-a1", "FRESH")
        );
    }
}
