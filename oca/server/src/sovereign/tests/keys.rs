//! Goal: a box follows control from key to key, alone and after any absence, and nobody else; the
//! key before counts for nothing once the next one has been seen. Method: an office over a private
//! directory, closed and opened again as by restarts; no clock but the one that is handed in.

use std::path::Path;
use std::time::{Duration, Instant};

use control_token::{BundleKeys, OrdersSigner};
use control_types::bundle::{KeyHandover, SignedBundle};

use super::{bundle, own};
use crate::sovereign::{Office, Refused};

/// Control with as many keys as a test needs.
struct Control {
    keys: Vec<OrdersSigner>,
}

impl Control {
    fn of(keys: usize) -> Self {
        Self { keys: (0..keys).map(|_| OrdersSigner::generate().unwrap()).collect() }
    }

    /// A bundle as control makes it when it has `made` keys and the one at `signing` signs.
    fn says(&self, made: usize, signing: usize, serial: u64) -> SignedBundle {
        let keys: Vec<&OrdersSigner> = self.keys[..made].iter().collect();
        let mut bundle = bundle();
        bundle.serial = serial;
        BundleKeys::of(&keys, signing).unwrap().seal(serde_json::to_string(&bundle).unwrap())
    }

    fn key(&self, at: usize) -> String {
        self.keys[at].public_key()
    }
}

fn office(dir: &Path, key: Option<&str>) -> Office {
    Office::load(dir, &own(), key, Duration::from_secs(3_600))
}

/// Takes it in and writes it down, as the admin thread does.
fn take(office: &Office, signed: &SignedBundle) -> Result<u64, Refused> {
    let taken = office.take(signed, Instant::now())?;
    office.keep(signed).unwrap();
    Ok(taken)
}

fn believed(office: &Office) -> (Option<String>, Option<String>) {
    let pin = office.shown().pin.unwrap();
    (pin.key, pin.next)
}

#[test]
fn in_the_overlap_both_keys_are_believed_and_after_it_the_new_one_alone() {
    let (dir, control) = (tempfile::tempdir().unwrap(), Control::of(3));
    let at = |number| Some(control.key(number));
    let box_ = office(dir.path(), None);
    assert_eq!(take(&box_, &control.says(1, 0, 10)), Ok(10));
    assert_eq!(believed(&box_), (at(0), None));
    assert_eq!(take(&box_, &control.says(2, 0, 11)), Ok(11));
    assert_eq!(believed(&box_), (at(0), at(1)), "it is announced");
    let box_ = office(dir.path(), None);
    assert_eq!(believed(&box_), (at(0), at(1)), "which outlives a restart");
    assert_eq!(take(&box_, &control.says(2, 0, 12)), Ok(12), "the old one signs still");
    // Even if nothing led there: what was announced is believed by itself.
    let bare = SignedBundle { handovers: Vec::new(), ..control.says(2, 1, 13) };
    assert_eq!(take(&box_, &bare), Ok(13));
    assert_eq!(believed(&box_), (at(1), None));
    for box_ in [box_, office(dir.path(), None)] {
        assert_eq!(box_.serial(), Some(13), "also after a restart");
        let old = control.says(2, 0, 99);
        assert_eq!(box_.take(&old, Instant::now()), Err(Refused::OtherKey), "the old key is over");
        let again = control.says(2, 1, 12);
        assert_eq!(box_.take(&again, Instant::now()), Err(Refused::NotNewer), "and the old bundle");
    }
    let box_ = office(dir.path(), None);
    assert_eq!(take(&box_, &control.says(3, 2, 14)), Ok(14));
    assert_eq!(believed(&box_), (at(2), None));
}

/// A day, or three changes of key: no announcement was heard, and the way is in the bundle.
#[test]
fn a_box_that_was_away_while_keys_changed_finds_its_way_and_does_not_go_back() {
    for (made, signing) in [(2, 0), (2, 1), (3, 1), (4, 3)] {
        let (dir, control) = (tempfile::tempdir().unwrap(), Control::of(4));
        take(&office(dir.path(), None), &control.says(1, 0, 10)).unwrap();
        let box_ = office(dir.path(), None);
        assert_eq!(take(&box_, &control.says(made, signing, 20)), Ok(20), "{made} {signing}");
        let next = (signing + 1 < made).then(|| control.key(signing + 1));
        assert_eq!(believed(&box_), (Some(control.key(signing)), next));
        let box_ = office(dir.path(), None);
        assert_eq!(box_.serial(), Some(20));
        for before in 0..signing {
            let old = control.says(made, before, 30);
            assert_eq!(box_.take(&old, Instant::now()), Err(Refused::OtherKey), "key {before}");
        }
    }
}

#[test]
fn a_successor_that_the_key_believed_did_not_name_is_nobody() {
    let (dir, control, thief) = (tempfile::tempdir().unwrap(), Control::of(3), Control::of(2));
    let box_ = office(dir.path(), None);
    take(&box_, &control.says(2, 1, 10)).unwrap();
    let refused = |signed: &SignedBundle| box_.take(signed, Instant::now()).unwrap_err();
    let stolen = thief.says(1, 0, 20);
    assert_eq!(refused(&stolen), Refused::OtherKey);
    let lead = |way: Vec<KeyHandover>| SignedBundle { handovers: way, ..stolen.clone() };
    let own_way = control.says(3, 1, 20).handovers;
    let to = |one: &KeyHandover, next: String| KeyHandover { next, ..one.clone() };
    // Another's name in ours; ours with his signature; his own; ours, and then his; a ring.
    let theirs = thief.says(2, 0, 20).handovers;
    let dressed = KeyHandover { key: control.key(1), ..to(&theirs[0], thief.key(0)) };
    for way in [
        vec![to(&own_way[1], thief.key(0))],
        vec![dressed.clone()],
        theirs.clone(),
        own_way.iter().chain(&theirs).cloned().collect(),
        own_way.iter().cloned().chain([dressed]).collect(),
        vec![to(&own_way[1], control.key(1)); 100],
    ] {
        assert_eq!(refused(&lead(way.clone())), Refused::OtherKey, "{way:?}");
    }
    // The key that was replaced hands over to a thief: it has no word any more.
    let late = control_token::BundleSigner::from_pkcs8(control.keys[0].to_pkcs8()).unwrap();
    assert_eq!(refused(&lead(vec![late.hand_over(&thief.key(0))])), Refused::OtherKey);
    // A good way to a key that did not sign.
    let forged = SignedBundle { signature: stolen.signature.clone(), ..control.says(3, 2, 21) };
    assert_eq!(refused(&forged), Refused::NotSigned);
    assert_eq!(believed(&box_), (Some(control.key(1)), None), "and nothing was learned from them");
    assert_eq!(take(&box_, &control.says(3, 2, 21)), Ok(21));
}

#[test]
fn the_operators_key_is_where_it_starts_and_a_restart_does_not_go_back_to_it() {
    let (dir, control, other) = (tempfile::tempdir().unwrap(), Control::of(2), Control::of(1));
    let given = control.key(0);
    let box_ = office(dir.path(), Some(&given));
    assert_eq!(box_.take(&other.says(1, 0, 9), Instant::now()), Err(Refused::OtherKey));
    take(&box_, &control.says(2, 1, 10)).unwrap();
    let box_ = office(dir.path(), Some(&given));
    assert_eq!(box_.serial(), Some(10));
    assert_eq!(believed(&box_).0, Some(control.key(1)));
    assert_eq!(box_.take(&control.says(2, 0, 11), Instant::now()), Err(Refused::OtherKey));
    // A new word of the operator's goes before all that was learned.
    let box_ = office(dir.path(), Some(&other.key(0)));
    assert_eq!(box_.serial(), None);
    assert_eq!(take(&box_, &other.says(1, 0, 11)), Ok(11));
}
