//! Goal: no bytes make the decoders panic, take unbounded memory or change another session's
//! routes; a bad message ends its own session with a reason. Method: truncation at every byte,
//! every single bit, random bytes, and files that once mattered, read back.

use std::path::Path;

use control_routes::{BmpStream, SessionNote, WireError, load};

use crate::session::{Router, place};
use crate::wire::{
    bmp, initiation, monitoring, nlri, open, peer, peer_down, peer_up, reach_v6, unreach_v6,
    update, usual,
};

/// One session with every kind of message.
fn whole() -> Vec<u8> {
    let attributes = [
        usual(&[65_001, 65_002]),
        reach_v6(&nlri("2a00:1:2::/48")),
        unreach_v6(&nlri("2a00:1:3::/48")),
    ];
    [
        initiation("edge of lisbon"),
        peer_up(&peer(0, 0, 1), &open(1), &open(1)),
        monitoring(
            &peer(0, 0, 1),
            &update(&nlri("11.9.0.0/16"), &attributes.concat(), &nlri("11.1.0.0/16")),
        ),
        monitoring(&peer(3, 0, 0), &update(&[], &usual(&[65_001]), &nlri("11.2.0.0/16"))),
        bmp(1, &[peer(0, 0, 1), vec![0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 9]].concat()),
        peer_down(&peer(0, 0, 1), 1),
        bmp(5, &[0, 1, 0, 2, 0, 1]),
    ]
    .concat()
}

/// Reads everything; answers how many messages, and the error that ended it.
fn read(bytes: &[u8]) -> (usize, Option<WireError>) {
    let mut stream = BmpStream::new();
    stream.push(bytes);
    let mut count = 0;
    loop {
        match stream.next_message() {
            Ok(Some(_)) => count += 1,
            Ok(None) => return (count, None),
            Err(error) => return (count, Some(error)),
        }
    }
}

#[test]
fn a_cut_session_is_waited_for_and_never_an_error() {
    let whole = whole();
    assert_eq!(read(&whole), (7, None));
    for cut in 0..whole.len() {
        let (count, error) = read(&whole[..cut]);
        assert!(count < 7 && error.is_none(), "cut at {cut}: {error:?}");
    }
}

/// Every message cut short inside, with a length that says so: the fields, not the frame, are
/// short.
#[test]
fn a_message_that_ends_inside_a_field_is_an_error() {
    let session = whole();
    let mut at = 0;
    while at < session.len() {
        let length = u32::from_be_bytes(session[at + 1..at + 5].try_into().unwrap()) as usize;
        let message = &session[at..at + length];
        for cut in 6..message.len() {
            let mut short = message[..cut].to_vec();
            short[1..5].copy_from_slice(&u32::try_from(cut).unwrap().to_be_bytes());
            // Some cuts are whole messages: a termination without a reason, a shorter statistic.
            let _ = read(&short);
        }
        at += length;
    }
    let cut = &monitoring(&peer(0, 0, 1), &update(&[], &usual(&[1]), &nlri("11.0.0.0/8")))[..60];
    let mut cut = cut.to_vec();
    cut[1..5].copy_from_slice(&60u32.to_be_bytes());
    let error = read(&cut).1.unwrap();
    assert!(error.to_string().contains("cut short"), "{error}");
}

#[test]
fn every_flipped_bit_is_survived() {
    let whole = whole();
    let mut errors = 0;
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        errors += usize::from(read(&bytes).1.is_some());
        let mut router = Router::new(place());
        router.routes.publish();
        let mut stream = BmpStream::new();
        stream.push(&bytes);
        while let Ok(Some(message)) = stream.next_message() {
            let now = router.now;
            let session = &mut router.session;
            let note = router.routes.with(|rib| session.apply(rib, &message, now));
            assert!(note.is_ok());
        }
        router.routes.publish();
        assert!(router.routes.table().len() <= 4, "bit {bit}");
    }
    assert!(errors > 100, "{errors} errors: the lengths and versions alone are more bits");
}

#[test]
fn random_bytes_are_survived() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let whole = whole();
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..12) {
            let at = random.usize(..bytes.len());
            match random.u8(0..4) {
                0 => bytes[at] = random.u8(..),
                1 => bytes[at] = [0, 0xff, 0x7f, 0x80][random.usize(..4)],
                2 => drop(bytes.drain(at..(at + random.usize(..9)).min(bytes.len()))),
                _ => bytes.insert(at, random.u8(..)),
            }
            if bytes.is_empty() {
                break;
            }
        }
        let _ = read(&bytes);
        let _ = load(&bytes[..]);
    }
}

#[test]
fn what_is_no_bmp_is_known_at_once() {
    for (bytes, word) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "version"),
        (&[4], "version"),
        (&[3, 0, 0, 0, 5, 0], "length"),
        (&[3, 0xff, 0xff, 0xff, 0xff, 0], "longer than"),
    ] {
        let error = read(bytes).1.unwrap().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn garbage_of_one_session_leaves_the_others_alone() {
    let mut router = Router::new(place());
    let announced = update(&[], &usual(&[65_001]), &nlri("11.1.0.0/16"));
    router.say(&monitoring(&peer(0, 0, 1), &announced));
    let before = router.sees("11.1.0.1");
    assert!(read(&monitoring(&peer(0, 0, 1), &update(&[40], &[], &[]))).1.is_some());
    assert_eq!(router.sees("11.1.0.1"), before);
    // A wrong attribute is told, withdraws, and the session goes on.
    let wrong = update(&[], &[usual(&[65_001]), vec![0x40, 5, 9]].concat(), &nlri("11.1.0.0/16"));
    let notes = router.say(&monitoring(&peer(0, 0, 1), &wrong));
    assert!(matches!(notes[..], [SessionNote::Mended(_)]), "{notes:?}");
    assert!(router.sees("11.1.0.1").is_empty());
}

/// Files of sessions and dumps that real routers sent, and hostile ones; each is read whole, at
/// every cut of its first kilobytes, and with bits flipped.
#[test]
fn the_corpus_is_survived() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        files += 1;
        if name.starts_with("good") && name.ends_with(".bmp") {
            let (count, error) = read(&bytes);
            assert!(count > 3 && error.is_none(), "{name}: {count} messages, {error:?}");
        } else if name.starts_with("good") {
            assert!(load(&bytes[..]).unwrap().routes() > 0, "{name}");
        } else {
            assert!(read(&bytes).1.is_some() && load(&bytes[..]).is_err(), "{name}");
        }
        for cut in 0..bytes.len().min(4096) {
            let _ = read(&bytes[..cut]);
            let _ = load(&bytes[..cut]);
        }
        for bit in (0..bytes.len().min(2048) * 8).step_by(3) {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let _ = read(&bytes);
            let _ = load(&bytes[..]);
        }
    }
    assert!(files > 0, "the corpus is not there");
}

/// What two routers sent of one announcer: both say the same in their own way.
#[test]
fn real_routers_are_understood() {
    for file in ["good-gobgp.bmp", "good-frr.bmp"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(file);
        let mut router = Router::new(place());
        let notes = router.say(&std::fs::read(path).unwrap());
        let down = |note: &SessionNote| matches!(note, SessionNote::PeerDown { .. });
        assert!(notes.iter().any(down), "{file}: {notes:?}");
        assert_eq!(router.sees("11.1.0.1"), ["11.1.0.0/16 site/1"], "{file}: announced again");
        assert_eq!(router.sees("2a00:1:2::1"), ["2a00:1:2::/48 site/1~"], "{file}: not yet");
        let refused = router.routes.with(|rib| rib.refused(9));
        assert_eq!(refused[0].prefix.to_string(), "12.5.0.0/16", "{file}");
    }
}
