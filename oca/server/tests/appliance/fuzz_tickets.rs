//! Hostile tickets: claims nobody signed, and signed ones with bytes changed. What is read back is
//! what was written, and no change makes a ticket say more. The engine is that of `oca-http`.

#[path = "../../../http/tests/fuzz/engine.rs"]
pub mod engine;

use std::sync::LazyLock;

use control_token::{Claims, TicketSigner, Verifier, decode_claims, encode_claims};
use control_types::UnixMillis;
use control_types::fleet::TicketKeys;

use engine::{Rng, Target, run};

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

/// Pieces of CBOR, and numbers of claims.
const PIECES: &[&[u8]] = &[
    b"\xa0",
    b"\xbf",
    b"\xff",
    b"\x80",
    b"\x9f",
    b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xc2\x41\x01",
    b"\xf6",
    b"\xfb\x7f\xf0\0\0\0\0\0\0",
    b"\x01",
    b"\x04",
    b"\x05",
    b"\x19\x01\x36",
    b"\x19\x01\x38",
    b"\x61/",
    b"\x7f\x61a\xff",
    b"\xd8\x3d",
];

static SIGNED: LazyLock<(String, Verifier)> = LazyLock::new(|| {
    let signer = TicketSigner::generate().unwrap();
    let keys = TicketKeys { keys: vec![signer.verification_key()] };
    (signer.sign(&play()).unwrap(), Verifier::new(&keys).unwrap())
});

fn play() -> Claims {
    let title = "night".parse().unwrap();
    Claims::play("play-1".into(), &title, UnixMillis(NOW.0 - 1000), NOW.plus_millis(60_000))
}

#[test]
fn tickets_are_survived_and_say_no_more_than_was_signed() {
    let network = Some("203.0.113.0/24".parse().unwrap());
    let all = Claims { network, rate_bps_max: Some(8_000_000), ..play() };
    let fill = Claims::fill(UnixMillis(0), NOW);
    let seeds = [play(), all, fill].iter().map(|claims| encode_claims(claims).unwrap()).collect();
    run(&Target { name: "ticket", seeds, pieces: PIECES, reshape: |_, _| false, check });
}

fn check(bytes: &[u8], rng: &mut Rng) -> String {
    let read = decode_claims(bytes);
    if let Ok(claims) = &read {
        let again = encode_claims(claims).map(|bytes| decode_claims(&bytes));
        assert!(again.is_err() || again == Ok(Ok(claims.clone())), "read otherwise: {claims:?}");
    }
    if rng.below(8) == 0 {
        check_signed(rng);
    }
    match read {
        Err(error) => format!("{error:?}"),
        Ok(claims) => format!(
            "{} {} {} {}",
            claims.path_prefixes.len(),
            claims.network.is_some(),
            claims.rate_bps_max.is_some(),
            claims.subject.is_empty()
        ),
    }
}

/// One character of a ticket's text changed: it is refused, or says what it said.
fn check_signed(rng: &mut Rng) {
    let (text, verifier) = &*SIGNED;
    let mut changed = text.clone().into_bytes();
    let at = rng.below(changed.len());
    changed[at] =
        *rng.pick(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/. ");
    let changed = String::from_utf8(changed).unwrap();
    let verified = verifier.verify(&changed, NOW);
    assert!(verified.is_err() || verified == Ok(play()), "{changed} says {verified:?}");
}
