//! What orders are believed, refused and kept, and what is left of those that cannot be kept.

use super::*;
use control_token::OrdersSigner;

fn orders(serial: u64, now: u64) -> Orders {
    Orders {
        appliance: "edge-a1".parse().unwrap(),
        now: UnixMillis(now),
        serial,
        plan: None,
        windows: Vec::new(),
        work: None,
        fill_ticket: format!("ticket-{serial}-{now}"),
        next_key: None,
    }
}

fn signed(signer: &OrdersSigner, orders: &Orders) -> SignedOrders {
    let orders = serde_json::to_string(orders).unwrap();
    let signature = signer.sign(&orders);
    SignedOrders { orders, signature, key: signer.public_key() }
}

fn open(state: &Rc<StateDir>, key: Option<String>) -> Standing {
    Standing::open(Rc::clone(state), "edge-a1".parse().unwrap(), key).unwrap().0
}

#[test]
fn older_or_forged_orders_are_refused_even_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let state = Rc::new(StateDir::open(dir.path(), None).unwrap());
    let control = OrdersSigner::generate().unwrap();
    let mut standing = open(&state, None);
    let take = |standing: &mut Standing, signed| standing.take(signed, |_| 5, 0).unwrap();
    assert_eq!(take(&mut standing, signed(&control, &orders(7, 100))), Took::New);
    assert_eq!(take(&mut standing, signed(&control, &orders(7, 200))), Took::Same);
    for again in 0..2 {
        let refused = |standing: &mut Standing, signed, why| {
            assert_eq!(take(standing, signed), Took::Refused(why), "round {again}");
        };
        // A replay of the same plan's earlier orders could open a window that was closed. What
        // was only a fresh ticket is not on disk, so a restart may accept that one again.
        let earlier = 99;
        refused(&mut standing, signed(&control, &orders(7, earlier)), Refused::Older);
        refused(&mut standing, signed(&control, &orders(6, 900)), Refused::Older);
        let mut forged = signed(&control, &orders(8, 300));
        forged.orders = forged.orders.replace("\"serial\":8", "\"serial\":9");
        refused(&mut standing, forged, Refused::Forged);
        let thief = OrdersSigner::generate().unwrap();
        refused(&mut standing, signed(&thief, &orders(8, 300)), Refused::Forged);
        let mut others = orders(8, 300);
        others.appliance = "edge-a2".parse().unwrap();
        refused(&mut standing, signed(&control, &others), Refused::NotOurs);
        assert_eq!(standing.refused(), 5);
        assert_eq!(standing.orders().unwrap().serial, 7);
        standing = open(&state, None);
    }
    // A new plan counts however the clock stands.
    assert_eq!(take(&mut standing, signed(&control, &orders(8, 1))), Took::New);
}

#[test]
fn the_same_orders_sent_again_do_not_set_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let control = OrdersSigner::generate().unwrap();
    let mut standing = open(&Rc::new(StateDir::open(dir.path(), None).unwrap()), None);
    let again = signed(&control, &orders(7, 100));
    standing.take(again.clone(), |_| 0, 0).unwrap();
    let took = standing.take(again, |_| panic!("a replay set the clock"), 0).unwrap();
    assert_eq!(took, Took::Same);
}

fn window(id: &str, closes_at: u64, rate_bps_max: Option<u64>) -> Window {
    Window {
        id: id.parse().unwrap(),
        scope: control_types::fill::WindowScope::Everyone,
        opens_at: UnixMillis(0),
        closes_at: UnixMillis(closes_at),
        rate_bps_max,
        bytes_max: None,
        closed: false,
    }
}

/// Goal: orders that cannot be kept open nothing, close what they close, and leave no gap for what
/// was sent before them. Method: the folder goes, as a full or failing disk would refuse, and comes
/// back.
#[test]
fn of_orders_that_cannot_be_kept_only_what_they_take_away_counts() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("state");
    let state = Rc::new(StateDir::open(&folder, None).unwrap());
    let control = OrdersSigner::generate().unwrap();
    let mut standing = open(&state, None);
    let with = |now, windows: &[Window]| {
        signed(&control, &Orders { windows: windows.to_vec(), ..orders(7, now) })
    };
    let (early, late) = (window("early", 1_000, None), window("late", 9_000, Some(80)));
    standing.take(with(100, &[early.clone(), late.clone()]), |_| 0, 0).unwrap();
    let aside = dir.path().join("aside");
    std::fs::rename(&folder, &aside).unwrap();
    // One is closed, one is slower, longer and under a budget, and one is new.
    let wanted = Window { bytes_max: Some(5), ..window("late", 99_000, Some(20)) };
    let newer = with(300, &[wanted.clone(), window("new", 99_000, None)]);
    for tries in 1..3 {
        assert!(standing.take(newer.clone(), |_| 0, 0).is_err());
        let narrowed = Window { closes_at: late.closes_at, ..wanted.clone() };
        assert_eq!(standing.orders().unwrap().windows, [narrowed]);
        assert_eq!(standing.orders().unwrap().fill_ticket, "ticket-7-300");
        assert!(standing.is_behind() && standing.unkept() == tries);
    }
    // Somebody sends what was signed in between, when the window was still open.
    let replay = standing.take(with(200, std::slice::from_ref(&early)), |_| panic!(), 0).unwrap();
    assert_eq!(replay, Took::Refused(Refused::Older));
    // Nor does a newer plan begin, and its replays are refused likewise.
    assert!(standing.take(signed(&control, &orders(8, 310)), |_| 0, 0).is_err());
    assert_eq!(standing.orders().unwrap().serial, 7);
    let replay = standing.take(newer, |_| panic!(), 0).unwrap();
    assert_eq!(replay, Took::Refused(Refused::Older));
    // The disk is well, and control says no more than what closed the last window in force.
    std::fs::rename(&aside, &folder).unwrap();
    standing.take(signed(&control, &orders(8, 320)), |_| 0, 0).unwrap();
    assert!(!standing.is_behind());
    drop(standing);
    assert!(open(&state, None).orders().unwrap().windows.is_empty(), "closed after a restart too");
}

#[test]
fn a_closing_that_could_not_be_kept_is_kept_as_soon_as_the_disk_is_well() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, aside) = (dir.path().join("state"), dir.path().join("aside"));
    let state = Rc::new(StateDir::open(&folder, None).unwrap());
    let control = OrdersSigner::generate().unwrap();
    let mut standing = open(&state, None);
    let first = Orders { windows: vec![window("night", 9_000, None)], ..orders(7, 100) };
    standing.take(signed(&control, &first), |_| 0, 0).unwrap();
    std::fs::rename(&folder, &aside).unwrap();
    assert!(standing.take(signed(&control, &orders(7, 200)), |_| 0, 0).is_err());
    std::fs::rename(&aside, &folder).unwrap();
    // The same windows as those in force by now, which are not those on disk.
    standing.take(signed(&control, &orders(7, 300)), |_| 0, 0).unwrap();
    assert!(open(&state, None).orders().unwrap().windows.is_empty());
}

#[test]
fn what_control_signed_later_than_the_orders_on_disk_ends_replays_of_their_plan() {
    let dir = tempfile::tempdir().unwrap();
    let state = Rc::new(StateDir::open(dir.path(), None).unwrap());
    let control = OrdersSigner::generate().unwrap();
    let mut standing = open(&state, None);
    standing.take(signed(&control, &orders(7, 100)), |_| 0, 0).unwrap();
    // Only a fresh ticket: not on disk.
    standing.take(signed(&control, &orders(7, 400)), |_| 0, 0).unwrap();
    let mut standing = open(&state, None);
    standing.heard(400);
    let replay = standing.take(signed(&control, &orders(7, 399)), |_| panic!(), 0).unwrap();
    assert_eq!(replay, Took::Refused(Refused::Older));
    assert_eq!(standing.take(signed(&control, &orders(7, 400)), |_| 0, 0).unwrap(), Took::Same);
    assert_eq!(standing.take(signed(&control, &orders(8, 1)), |_| 0, 0).unwrap(), Took::New);
}

/// Whoever answers first is believed and pinned. When that cannot be kept nothing came of it, and
/// it must not keep the true control out.
#[test]
fn orders_of_nobody_known_that_cannot_be_kept_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, aside) = (dir.path().join("state"), dir.path().join("aside"));
    let state = Rc::new(StateDir::open(&folder, None).unwrap());
    let (control, thief) = (OrdersSigner::generate().unwrap(), OrdersSigner::generate().unwrap());
    let mut standing = open(&state, None);
    std::fs::rename(&folder, &aside).unwrap();
    assert!(standing.take(signed(&thief, &orders(u64::MAX, 100)), |_| 0, 0).is_err());
    std::fs::rename(&aside, &folder).unwrap();
    assert!(standing.orders().is_none());
    assert_eq!(standing.take(signed(&control, &orders(7, 100)), |_| 0, 0).unwrap(), Took::New);
}

#[test]
fn a_configured_key_is_believed_and_no_other_ever() {
    let dir = tempfile::tempdir().unwrap();
    let state = Rc::new(StateDir::open(dir.path(), None).unwrap());
    let (control, thief) = (OrdersSigner::generate().unwrap(), OrdersSigner::generate().unwrap());
    let mut standing = open(&state, Some(control.public_key()));
    let first = standing.take(signed(&thief, &orders(1, 1)), |_| 0, 0).unwrap();
    assert_eq!(first, Took::Refused(Refused::Forged));
    standing.take(signed(&control, &orders(1, 1)), |_| 0, 0).unwrap();
    // The operator changes the key: what the old one signed is no longer believed.
    let standing = open(&state, Some(thief.public_key()));
    assert!(standing.orders().is_none());
}

#[test]
fn an_announced_key_is_followed_and_the_one_before_it_is_believed_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let state = Rc::new(StateDir::open(dir.path(), None).unwrap());
    let keys: Vec<OrdersSigner> = (0..4).map(|_| OrdersSigner::generate().unwrap()).collect();
    let announcing = |now: u64, next: Option<&OrdersSigner>| {
        let next_key = next.map(OrdersSigner::public_key);
        Orders { next_key, ..orders(1, now) }
    };
    let forged = Took::Refused(Refused::Forged);
    let [first, second, third, thief] = &keys[..] else { unreachable!("four were made") };
    let configured = Some(first.public_key());
    let mut standing = open(&state, configured.clone());
    standing.take(signed(first, &announcing(1, None)), |_| 0, 0).unwrap();
    // A thief announces itself, and then signs as if it had been believed.
    let claims = signed(thief, &announcing(2, Some(thief)));
    assert_eq!(standing.take(claims.clone(), |_| 0, 0).unwrap(), forged);
    let borrowed = SignedOrders { signature: claims.signature, ..signed(first, &orders(1, 2)) };
    assert_eq!(standing.take(borrowed, |_| 0, 0).unwrap(), forged);
    let thiefs = SignedOrders { key: first.public_key(), ..signed(thief, &orders(1, 3)) };
    assert_eq!(standing.take(thiefs, |_| 0, 0).unwrap(), forged);
    // Nor is the true next key believed before it was announced.
    assert_eq!(standing.take(signed(second, &orders(1, 4)), |_| 0, 0).unwrap(), forged);

    standing.take(signed(first, &announcing(5, Some(second))), |_| 0, 0).unwrap();
    // Kept across a restart, and not forgotten when a process of control says nothing of it.
    let mut standing = open(&state, configured.clone());
    assert_eq!(standing.take(signed(first, &orders(1, 6)), |_| 0, 0).unwrap(), Took::Same);
    assert_eq!(standing.take(signed(second, &orders(1, 7)), |_| 0, 0).unwrap(), Took::Same);
    assert_eq!(standing.take(signed(first, &orders(1, 8)), |_| 0, 0).unwrap(), forged);
    // The file still names the first key; what followed it stays believed after a restart.
    let mut standing = open(&state, configured);
    assert!(standing.orders().is_some());
    standing.take(signed(second, &announcing(9, Some(third))), |_| 0, 0).unwrap();
    assert_eq!(standing.take(signed(third, &orders(1, 10)), |_| 0, 0).unwrap(), Took::Same);
    // The operator names another: nothing of the old line is believed.
    let mut standing = open(&state, Some(thief.public_key()));
    assert!(standing.orders().is_none());
    assert_eq!(standing.take(signed(third, &orders(1, 11)), |_| 0, 0).unwrap(), forged);
}
