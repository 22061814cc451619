//! Whom a refusal names when this box knows a bundle, and when it does not.

use crate::kit::{eventually, flip, object_file, payload};
use crate::sovereign::rig_of;

/// Goal: who is refused for a bad copy, having been sent on as often as may be, is told where to go
/// by the bundle, healthy neighbours first, and by the configuration before there is one. Whoever
/// comes first-hand is sent there at once.
#[test]
fn a_refusal_names_the_next_appliance_of_the_bundle() {
    let mut damaged = None;
    let rig = rig_of(|setup| {
        let setup = setup.section("peers", "next = [\"https://by-hand.example\"]\n");
        let objects = [71, 72].map(|seed| setup.publish(0, "night", &payload(300_000, seed)));
        for object in &objects {
            flip(&object_file(&setup.volumes[0], object), 200_000);
        }
        damaged = Some(objects);
        setup
    });
    let [first, second] = damaged.unwrap();
    let ask =
        |object, query| rig.appliance.get(&format!("/t/{}/v/night/{object}{query}", rig.ticket));
    // Control has told the keys when a ticket is good.
    eventually("the keys are in use", || rig.appliance.get(&rig.path()).status == 503);
    let reply = ask(first, "?hop=2");
    let named = |reply: &crate::wire::Reply| reply.header("x-nightfill-next").map(str::to_owned);
    assert_eq!((reply.status, named(&reply)), (500, Some("https://by-hand.example".into())));
    rig.give_usual(3);
    eventually("the desk is laid", || rig.appliance.get(&rig.path()).status == 200);
    let reply = ask(second, "?hop=2");
    let wanted = format!("{}, http://127.0.0.1:2", rig.neighbour.url);
    assert_eq!((reply.status, named(&reply)), (500, Some(wanted)));
    let reply = ask(second, "");
    let sent_to = reply.header("location").map(str::to_owned).unwrap_or_default();
    assert_eq!(reply.status, 307);
    assert!(sent_to.starts_with(&format!("{}/t/", rig.neighbour.url)), "{sent_to}");
}
