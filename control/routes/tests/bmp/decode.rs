//! One UPDATE in, what it changes out: RFC 4271, 4760, 6793, 7606, 7911.

use control_routes::{AddPath, AsWidth, Origin, Update, decode_update};

use crate::wire::{
    as_path, attribute, med, next_hop, nlri, nlri_with_id, origin, reach_v6, unreach_v6, update,
    usual,
};

const PLAIN: AddPath = AddPath { v4: false, v6: false };

fn read(message: &[u8]) -> Update {
    decode_update(message, AsWidth::Four, PLAIN).unwrap()
}

/// `prefix#id length/first origin med`.
fn shown(update: &Update) -> Vec<String> {
    let all = update.announced.iter();
    all.map(|path| {
        let origin = match path.origin {
            Origin::Igp => "i",
            Origin::Egp => "e",
            Origin::Incomplete => "?",
        };
        let (prefix, id, length) = (path.prefix, path.path_id, path.as_path_len);
        format!("{prefix}#{id} {length}/{} {origin} {}", path.first_as, path.med)
    })
    .collect()
}

fn gone(update: &Update) -> Vec<String> {
    update.withdrawn.iter().map(|(prefix, id)| format!("{prefix}#{id}")).collect()
}

#[test]
fn both_families_and_both_ways() {
    let attributes = [
        usual(&[65_001, 70_000]),
        reach_v6(&nlri("2001:db8::/32")),
        unreach_v6(&nlri("2001:db8:9::/48")),
    ];
    let announced = [nlri("11.1.0.0/16"), nlri("11.2.3.128/25")].concat();
    let update = read(&update(&nlri("12.0.0.0/8"), &attributes.concat(), &announced));
    let wanted = [
        "11.1.0.0/16#0 2/65001 i 50",
        "11.2.3.128/25#0 2/65001 i 50",
        "2001:db8::/32#0 2/65001 i 50",
    ];
    assert_eq!(shown(&update), wanted);
    assert_eq!(gone(&update), ["12.0.0.0/8#0", "2001:db8:9::/48#0"]);
    assert_eq!((update.end_of_rib, update.treated_as_withdraw), (None, None));
}

#[test]
fn end_of_rib_is_an_empty_message() {
    assert_eq!(read(&update(&[], &[], &[])).end_of_rib, Some(false));
    assert_eq!(read(&update(&[], &unreach_v6(&[]), &[])).end_of_rib, Some(true));
    assert_eq!(read(&update(&[], &unreach_v6(&nlri("2001:db8::/32")), &[])).end_of_rib, None);
    assert_eq!(read(&update(&nlri("11.0.0.0/8"), &[], &[])).end_of_rib, None);
}

#[test]
fn path_ids_are_read_where_they_were_agreed() {
    let message = update(
        &nlri_with_id(4, "11.9.0.0/16"),
        &usual(&[65_001]),
        &[nlri_with_id(1, "11.1.0.0/16"), nlri_with_id(2, "11.1.0.0/16")].concat(),
    );
    let add = AddPath { v4: true, v6: false };
    let update = decode_update(&message, AsWidth::Four, add).unwrap();
    assert_eq!(shown(&update), ["11.1.0.0/16#1 1/65001 i 50", "11.1.0.0/16#2 1/65001 i 50"]);
    assert_eq!(gone(&update), ["11.9.0.0/16#4"]);
}

#[test]
fn a_path_is_counted_as_routers_count() {
    let sequence = [2, 2, 0, 0, 0xfd, 0xe9, 0, 0, 0xfd, 0xea];
    let set = [1, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    let confederation = [3, 1, 0, 0, 0, 7];
    for (segments, length, first) in [
        (vec![], 0, 0),
        (sequence.to_vec(), 2, 65_001),
        ([&sequence[..], &set].concat(), 3, 65_001),
        ([&confederation[..], &sequence].concat(), 2, 65_001),
        (confederation.to_vec(), 0, 0),
        (set.to_vec(), 1, 1),
    ] {
        let attributes = [origin(2), attribute(0x40, 2, &segments), next_hop()].concat();
        let update = read(&update(&[], &attributes, &nlri("11.0.0.0/8")));
        assert_eq!(shown(&update), [format!("11.0.0.0/8#0 {length}/{first} ? 0")]);
    }
}

#[test]
fn an_old_speakers_path_is_mended_by_the_wide_one() {
    let narrow = attribute(0x40, 2, &[2, 2, 0x5b, 0xa0, 0xfd, 0xe9]);
    let wide = attribute(0xc0, 17, &[2, 2, 0, 1, 0x11, 0x70, 0, 0, 0xfd, 0xe9]);
    let attributes = [origin(0), narrow, next_hop(), wide].concat();
    let message = update(&[], &attributes, &nlri("11.0.0.0/8"));
    let update = decode_update(&message, AsWidth::Two, PLAIN).unwrap();
    assert_eq!(shown(&update), ["11.0.0.0/8#0 2/70000 i 0"]);
}

#[test]
fn a_wrong_attribute_withdraws() {
    let good = usual(&[65_001]);
    let path = || as_path(&[65_001]);
    for (why, attributes) in [
        ("ORIGIN is none", [origin(3), path(), next_hop()].concat()),
        ("ORIGIN is missing", [path(), next_hop()].concat()),
        ("AS_PATH is missing", [origin(0), next_hop()].concat()),
        ("NEXT_HOP is missing", [origin(0), path()].concat()),
        (
            "AS_PATH is malformed",
            [origin(0), attribute(0x40, 2, &[2, 2, 0, 0]), next_hop()].concat(),
        ),
        ("AS_PATH is malformed", [origin(0), attribute(0x40, 2, &[2, 0]), next_hop()].concat()),
        (
            "AS_PATH is malformed",
            [origin(0), attribute(0x40, 2, &[9, 1, 0, 0, 0, 1]), next_hop()].concat(),
        ),
        (
            "MULTI_EXIT_DISC is not",
            [&good[..], &[]].concat().replace_med(&attribute(0x80, 4, &[1])),
        ),
        ("wrong flags", [attribute(0xc0, 1, &[0]), path(), next_hop()].concat()),
        ("reaches past", [&good[..], &[0x40, 5, 200]].concat()),
    ] {
        let update = read(&update(&[], &attributes, &nlri("11.0.0.0/8")));
        assert!(update.announced.is_empty(), "{why}");
        assert_eq!(gone(&update), ["11.0.0.0/8#0"], "{why}");
        assert!(update.treated_as_withdraw.unwrap().contains(why), "{why}: {update:?}");
    }
    // The first of two stands.
    let twice = [good, origin(2), med(9)].concat();
    assert_eq!(
        shown(&read(&update(&[], &twice, &nlri("11.0.0.0/8")))),
        ["11.0.0.0/8#0 1/65001 i 50"]
    );
}

trait ReplaceMed {
    fn replace_med(self, with: &[u8]) -> Vec<u8>;
}

impl ReplaceMed for Vec<u8> {
    /// MED is the last of the usual attributes: seven bytes.
    fn replace_med(mut self, with: &[u8]) -> Vec<u8> {
        self.truncate(self.len() - 7);
        self.extend_from_slice(with);
        self
    }
}

#[test]
fn prefixes_that_cannot_be_told_are_an_error() {
    let read = |message: &[u8]| decode_update(message, AsWidth::Four, PLAIN);
    let good = usual(&[65_001]);
    for message in [
        update(&[], &good, &[33, 11, 0, 0, 0, 0]),
        update(&[], &good, &[24, 11, 0]),
        update(&[40, 1, 2, 3, 4, 5], &[], &[]),
        update(&[], &[good.clone(), reach_v6(&[129; 17])].concat(), &[]),
        update(&[], &[good.clone(), attribute(0x80, 14, &[0, 2, 1, 200])].concat(), &[]),
        update(&[], &[unreach_v6(&[]), unreach_v6(&[])].concat(), &[]),
    ] {
        assert!(read(&message).is_err(), "{message:?}");
    }
    // Other families are passed over.
    let flow = attribute(0x80, 15, &[0, 1, 133, 9, 9, 9]);
    assert_eq!(read(&update(&[], &flow, &[])).unwrap(), Update::default());
}
