//! Goal: files of routes and places are read as what they are, and a damaged one is refused whole.
//! Method: dumps made here byte by byte, plain and packed, cut at every byte.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::io::Write;

use control_routes::{Geo, LatLon, Loaded, Origin, WireError, load};

fn record(kind: u16, subtype: u16, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0x65, 0, 0, 0];
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&subtype.to_be_bytes());
    out.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    out.extend_from_slice(body);
    out
}

/// ORIGIN igp, AS_PATH of two, MED 7.
fn attributes() -> Vec<u8> {
    let path = [0x40, 2, 10, 2, 2, 0, 0, 0xfd, 0xe9, 0, 0, 0xfd, 0xea];
    [&[0x40, 1, 1, 0][..], &path, &[0x80, 4, 4, 0, 0, 0, 7]].concat()
}

/// A table of two peers: an IPv4 prefix of both, an IPv6 prefix of the second.
fn table() -> Vec<u8> {
    let index = [
        &[192, 0, 2, 1, 0, 1, b'v', 0, 2][..],
        &[2, 1, 1, 1, 1, 192, 0, 2, 7, 0, 0, 0xfd, 0xe9],
        &[3, 2, 2, 2, 2],
        &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8],
        &[0, 0, 0xfd, 0xea],
    ];
    let entry = |peer: u8| {
        let attributes = attributes();
        let length = u8::try_from(attributes.len()).unwrap();
        [&[0, peer, 0, 0, 0, 0, 0, length][..], &attributes].concat()
    };
    let v4 = [&[0, 0, 0, 1, 16, 11, 1, 0, 2][..], &entry(0), &entry(1)].concat();
    let v6 = [&[0, 0, 0, 2, 32, 0x2a, 0, 0, 1, 0, 1][..], &entry(1)].concat();
    [record(13, 1, &index.concat()), record(13, 2, &v4), record(13, 4, &v6), record(48, 0, b"new")]
        .concat()
}

/// What peer 192.0.2.7 changed afterwards: 11.1/16 gone, 11.2/16 new.
fn updates() -> Vec<u8> {
    let attributes = [&attributes()[..], &[0x40, 3, 4, 192, 0, 2, 7]].concat();
    let length = u8::try_from(attributes.len()).unwrap();
    let body = [&[0, 3, 16, 11, 1, 0, length][..], &attributes, &[16, 11, 2]].concat();
    let mut bgp = vec![0xff; 16];
    bgp.extend_from_slice(&u16::try_from(19 + body.len()).unwrap().to_be_bytes());
    bgp.push(2);
    bgp.extend_from_slice(&body);
    let head = [0, 0, 0xfd, 0xe9, 0, 0, 0xfc, 0, 0, 0, 0, 1, 192, 0, 2, 7, 192, 0, 2, 1];
    let message = [&head[..], &bgp].concat();
    let extended = [&[0, 0, 0, 9][..], &message].concat();
    [record(16, 4, &message), record(17, 4, &extended)].concat()
}

/// `peer/as: prefix length/first med, …`.
fn shown(loaded: &Loaded) -> Vec<String> {
    let peers = loaded.peers.iter().map(|peer| {
        let paths = peer.paths.iter().map(|path| {
            format!("{} {}/{} {}", path.prefix, path.as_path_len, path.first_as, path.med)
        });
        let paths: Vec<String> = paths.collect();
        format!("{}/{}: {}", peer.peer, peer.peer_as, paths.join(", "))
    });
    peers.collect()
}

#[test]
fn a_dump_and_what_came_after() {
    let loaded = load(&table()[..]).unwrap();
    assert_eq!(
        shown(&loaded),
        [
            "192.0.2.7/65001: 11.1.0.0/16 2/65001 7",
            "2001:db8::8/65002: 11.1.0.0/16 2/65001 7, 2a00:1::/32 2/65001 7",
        ]
    );
    assert_eq!((loaded.records, loaded.passed, loaded.routes(), loaded.is_text), (4, 1, 3, false));
    let loaded = load(&[table(), updates()].concat()[..]).unwrap();
    assert_eq!(shown(&loaded)[0], "192.0.2.7/65001: 11.2.0.0/16 2/65001 7");
}

#[test]
fn packed_files_are_known_by_their_bytes() {
    let plain = table();
    let wanted = load(&plain[..]).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    assert_eq!(load(&gzip[..]).unwrap(), wanted);
    let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip.write_all(&plain).unwrap();
    let bzip = bzip.finish().unwrap();
    assert_eq!(load(&bzip[..]).unwrap(), wanted);
    for packed in [gzip, bzip] {
        for cut in 4..packed.len() {
            assert!(load(&packed[..cut]).is_err(), "cut at {cut}");
        }
    }
}

#[test]
fn a_cut_or_flipped_dump_is_refused_or_shorter_and_never_a_panic() {
    let whole = [table(), updates()].concat();
    let mut refused = 0;
    for cut in 5..whole.len() {
        match load(&whole[..cut]) {
            Ok(loaded) => assert!(loaded.records < 6),
            Err(WireError::Short { .. }) => refused += 1,
            Err(other) => panic!("cut at {cut}: {other}"),
        }
    }
    assert_eq!(refused, whole.len() - 5 - 5, "all but the ends of whole records");
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let _ = load(&bytes[..]);
    }
    let giant = record(13, 2, &[]).iter().copied().take(8).chain([0xff; 4]).collect::<Vec<u8>>();
    assert!(matches!(load(&giant[..]), Err(WireError::TooLong { .. })));
    let nobody = record(13, 2, &[0, 0, 0, 1, 8, 11, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0]);
    let error = load(&nobody[..]).unwrap_err().to_string();
    assert!(error.contains("place in the index"), "{error}");
}

#[test]
fn text_is_read_by_the_line() {
    let text = "\u{feff}prefix,as_path_len,origin,med\r\n# ours\r\n\r\n11.1.0.0/16\r\n\
                11.2.0.0/16, 3, incomplete, 9\n{\"prefix\": \"2a00:1::/32\", \"origin\": \"egp\"}";
    let loaded = load(text.as_bytes()).unwrap();
    assert!(loaded.is_text);
    assert_eq!(shown(&loaded), ["/0: 11.1.0.0/16 0/0 0, 11.2.0.0/16 3/0 9, 2a00:1::/32 0/0 0"]);
    let origins: Vec<Origin> = loaded.peers[0].paths.iter().map(|path| path.origin).collect();
    assert_eq!(origins, [Origin::Igp, Origin::Incomplete, Origin::Egp]);
    assert_eq!(load(&b""[..]).unwrap().routes(), 0);
}

#[test]
fn every_wrong_line_is_told_by_its_number() {
    let text = "11.1.0.0/16\n11.1.0.1/16\nnonsense\n11.1.0.0/16,x\n11.1.0.0/16,1,odd\n\
                11.1.0.0/16,1,igp,1,1\n{\"prefix\": 7}\n\u{1}\n";
    let error = load(text.as_bytes()).unwrap_err().to_string();
    for part in [
        "line 2 11.1.0.1/16 has bits",
        "write 11.1.0.0/16",
        "line 3",
        "line 4",
        "line 5",
        "line 6",
        "line 7",
        "line 8",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!error.contains("line 1 "), "{error}");
    let long = format!("11.1.0.0/16\n{}\nx\n", "1".repeat(10_000));
    let error = load(long.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("line 2 is too long") && error.contains("line 3"), "{error}");
    let many = "x\n".repeat(1_000);
    let error = load(many.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("line 20") && !error.contains("line 21"), "{error}");
}

/// A database of format 2 by hand: one bit of tree, so that 0.0.0.0/1 is a place and the rest is
/// not.
fn geo(latitude: f64, longitude: f64) -> Vec<u8> {
    let text =
        |text: &str| [&[0x40 | u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
    let double = |value: f64| [&[0x68][..], &value.to_be_bytes()].concat();
    let map = |count: u8| vec![0xe0 | count];
    let place = [
        map(1),
        text("location"),
        map(2),
        text("latitude"),
        double(latitude),
        text("longitude"),
        double(longitude),
    ];
    // One node of two 24-bit records: the place, 16 past the tree; and nothing.
    let tree = [0, 0, 17, 0, 0, 1];
    let number = |kind: u8, value: u8| vec![kind, value];
    let metadata = [
        map(9),
        text("node_count"),
        number(0xc1, 1),
        text("record_size"),
        number(0xa1, 24),
        text("ip_version"),
        number(0xa1, 4),
        text("database_type"),
        text("Test-City"),
        text("languages"),
        vec![0x00, 0x04],
        text("binary_format_major_version"),
        number(0xa1, 2),
        text("binary_format_minor_version"),
        number(0xa1, 0),
        text("build_epoch"),
        vec![0x01, 0x02, 1],
        text("description"),
        map(0),
    ];
    [&tree[..], &[0; 16], &place.concat(), b"\xab\xcd\xefMaxMind.com", &metadata.concat()].concat()
}

#[test]
fn an_address_has_a_place_or_none() {
    let found = |bytes: Vec<u8>, address: &str| {
        Geo::from_bytes(bytes).unwrap().locate(address.parse().unwrap())
    };
    let lisbon = LatLon { latitude: 38.7, longitude: -9.1 };
    assert_eq!(found(geo(38.7, -9.1), "11.1.2.3"), Some(lisbon));
    assert_eq!(found(geo(38.7, -9.1), "::ffff:11.1.2.3"), Some(lisbon));
    assert_eq!(found(geo(38.7, -9.1), "203.0.113.9"), None);
    assert_eq!(found(geo(38.7, -9.1), "2a00:1::1"), None, "an IPv4 database");
    assert_eq!(found(geo(f64::NAN, -9.1), "11.1.2.3"), None, "not on earth");
    assert_eq!(found(geo(91.0, 0.0), "11.1.2.3"), None);
}

#[test]
fn a_damaged_database_is_refused_or_knows_nothing() {
    let whole = geo(38.7, -9.1);
    let ask = |bytes: Vec<u8>| {
        let Ok(geo) = Geo::from_bytes(bytes) else { return };
        for address in ["11.1.2.3", "203.0.113.9", "::1"] {
            let _ = geo.locate(address.parse().unwrap());
        }
    };
    for cut in 0..whole.len() {
        ask(whole[..cut].to_vec());
    }
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        ask(bytes);
    }
    assert!(Geo::from_bytes(b"not a database".to_vec()).is_err());
}
