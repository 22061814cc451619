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

/// Goal: of orders that cannot be kept, a slower window of a narrower scope holds, though it opens
/// nothing. Method: one beside a wide one, one that is over before that begins, and a wider one.
#[test]
fn a_narrower_window_that_cannot_be_kept_slows_the_wide_one_and_opens_nothing() {
    use control_types::fill::WindowScope;
    let dir = tempfile::tempdir().unwrap();
    let (folder, aside) = (dir.path().join("state"), dir.path().join("aside"));
    let state = Rc::new(StateDir::open(&folder, None).unwrap());
    let control = OrdersSigner::generate().unwrap();
    let mut standing = open(&state, None);
    let with = |now, windows: &[Window]| {
        signed(&control, &Orders { windows: windows.to_vec(), ..orders(7, now) })
    };
    let site = |id, from, to, rate| Window {
        scope: WindowScope::Site("harbour".parse().unwrap()),
        opens_at: UnixMillis(from),
        ..window(id, to, rate)
    };
    let all = Window { opens_at: UnixMillis(1_000), ..window("all", 9_000, Some(80)) };
    let own = site("own", 2_000, 3_000, Some(70));
    standing.take(with(100, &[all.clone(), own.clone()]), |_| 0, 0).unwrap();
    std::fs::rename(&folder, &aside).unwrap();
    let mut newer = vec![all.clone(), own.clone()];
    let before = site("before", 0, 1_000, Some(1));
    let closed = Window { closed: true, ..site("closed", 0, 9_000, Some(2)) };
    newer.extend([before, closed, window("wide", 9_000, Some(3))]);
    assert!(standing.take(with(200, &newer), |_| 0, 0).is_err());
    assert_eq!(standing.orders().unwrap().windows, [all.clone(), own.clone()]);
    newer.push(Window { bytes_max: Some(9), ..site("slow", 4_000, 5_000, Some(5)) });
    assert!(standing.take(with(300, &newer), |_| 0, 0).is_err());
    let slow = Window { rate_bps_max: Some(5), bytes_max: Some(9), ..all };
    assert_eq!(standing.orders().unwrap().windows, [slow, own]);
}

/// Goal: orders that could not be kept, sent again by somebody while control is away, do not hold
/// the clock: the window in force would never end.
#[test]
fn orders_that_cannot_be_kept_sent_again_do_not_set_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, aside) = (dir.path().join("state"), dir.path().join("aside"));
    let state = Rc::new(StateDir::open(&folder, None).unwrap());
    let control = OrdersSigner::generate().unwrap();
    let mut standing = open(&state, None);
    standing.take(signed(&control, &orders(7, 100)), |_| 3, 0).unwrap();
    std::fs::rename(&folder, &aside).unwrap();
    let newer = signed(&control, &orders(8, 200));
    assert!(standing.take(newer.clone(), |_| 4, 0).is_err());
    assert!(standing.take(newer.clone(), |_| panic!("a replay set the clock"), 0).is_err());
    // They are taken all the same once they can be.
    std::fs::rename(&aside, &folder).unwrap();
    let took = standing.take(newer, |_| panic!("a replay set the clock"), 0).unwrap();
    assert_eq!((took, standing.orders().unwrap().serial), (Took::New, 8));
    let appliance = "edge-a1".parse().unwrap();
    assert_eq!(Standing::open(Rc::clone(&state), appliance, None).unwrap().1, 4);
}

/// Goal: orders that were cut short or garbled on the way are refused wherever it was, and change
/// nothing: neither what is in force nor what is on the disk, nor the clock, nor who is believed.
/// Method: every length and every byte; as they come, and as if control itself had signed that.
#[test]
fn orders_cut_short_or_garbled_anywhere_change_nothing() {
    let (control, thief) = (OrdersSigner::generate().unwrap(), OrdersSigner::generate().unwrap());
    let newer = Orders { windows: vec![window("night", 9_000, None)], ..orders(8, 300) };
    let whole = signed(&control, &newer);
    let text = whole.orders.clone();
    for is_first in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let state = Rc::new(StateDir::open(dir.path(), None).unwrap());
        let mut standing = open(&state, None);
        if !is_first {
            standing.take(signed(&control, &orders(7, 100)), |_| 0, 0).unwrap();
        }
        let kept = || std::fs::read(dir.path().join("orders.json")).ok();
        let before = (standing.orders().cloned(), kept());
        let mut refused = 0;
        let mut refuse = |standing: &mut Standing, signed: SignedOrders, why, told: &str| {
            let took = standing.take(signed, |_| panic!("{told}: set the clock"), 0).unwrap();
            assert_eq!(took, Took::Refused(why), "first {is_first}, {told}");
            assert_eq!(before, (standing.orders().cloned(), kept()), "first {is_first}, {told}");
            refused += 1;
            assert_eq!(standing.refused(), refused);
        };
        for at in 0..text.len() {
            let cut = text[..at].to_owned();
            let as_it_comes = SignedOrders { orders: cut.clone(), ..whole.clone() };
            refuse(&mut standing, as_it_comes, Refused::Forged, &format!("cut at {at}"));
            let as_signed = SignedOrders { signature: control.sign(&cut), ..whole.clone() };
            let as_signed = SignedOrders { orders: cut, ..as_signed };
            refuse(&mut standing, as_signed, Refused::Garbled, &format!("signed to {at}"));
            let mut other = text.clone().into_bytes();
            other[at] ^= 1;
            let other = SignedOrders { orders: String::from_utf8(other).unwrap(), ..whole.clone() };
            refuse(&mut standing, other, Refused::Forged, &format!("byte {at}"));
        }
        let others = signed(&control, &orders(9, 400)).signature;
        let of_others = SignedOrders { signature: others, ..whole.clone() };
        refuse(&mut standing, of_others, Refused::Forged, "signature of others");
        for at in 0..whole.signature.len() {
            let signature = whole.signature[..at].to_owned();
            let cut = SignedOrders { signature, ..whole.clone() };
            refuse(&mut standing, cut, Refused::Forged, &format!("signature cut at {at}"));
        }
        // A stranger's that cannot be read leave the door to the true control as it was.
        let nonsense = SignedOrders { signature: thief.sign("{"), ..whole.clone() };
        let nonsense = SignedOrders { orders: "{".to_owned(), key: thief.public_key(), ..nonsense };
        let why = if is_first { Refused::Garbled } else { Refused::Forged };
        refuse(&mut standing, nonsense, why, "a stranger's nonsense");
        assert_eq!(standing.take(whole.clone(), |_| 0, 0).unwrap(), Took::New);
        assert_eq!(standing.orders(), Some(&newer));
    }
}
