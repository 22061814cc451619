//! Goal: no bytes from the network make the verifier panic, and no change to a ticket makes it say
//! more. Method: property tests over mutated tickets and over arbitrary text.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_token::{
    Claims, KeyError, SignError, TicketError, TicketSigner, Verifier, decode_claims,
};
use control_types::UnixMillis;
use control_types::fleet::{TicketKey, TicketKeys};
use control_types::limits::TICKET_BYTES_MAX;
use proptest::prelude::*;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

static SIGNER: LazyLock<TicketSigner> = LazyLock::new(|| TicketSigner::generate().unwrap());
static VERIFIER: LazyLock<Verifier> =
    LazyLock::new(|| Verifier::new(&TicketKeys { keys: vec![SIGNER.verification_key()] }).unwrap());

fn claims() -> Claims {
    let title = "night".parse().unwrap();
    Claims::play("play-1".into(), &title, UnixMillis(NOW.0 - 1000), NOW.plus_millis(60_000))
}

/// A failure prints its shrunk input, which is all that is needed to repeat it: no file is kept.
fn config() -> ProptestConfig {
    ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn changed_bytes_never_verify(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let token = SIGNER.sign(&claims()).unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let changed = VERIFIER.verify(&URL_SAFE_NO_PAD.encode(&bytes), NOW);
        // The unprotected header is signed by nobody and read by nobody; all else is covered.
        prop_assert!(changed.is_err() || changed == Ok(claims()), "byte {at} of {token}");
    }

    #[test]
    fn cut_and_spliced_tickets_never_verify(
        cut in any::<prop::sample::Index>(),
        tail in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let bytes = URL_SAFE_NO_PAD.decode(SIGNER.sign(&claims()).unwrap()).unwrap();
        let cut = cut.index(bytes.len());
        let mut spliced = bytes[..cut].to_vec();
        spliced.extend(&tail);
        prop_assume!(spliced != bytes);
        prop_assert!(VERIFIER.verify(&URL_SAFE_NO_PAD.encode(&spliced), NOW).is_err());
    }

    #[test]
    fn any_text_is_refused(text in ".{0,200}") {
        prop_assert!(VERIFIER.verify(&text, NOW).is_err());
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        prop_assert!(VERIFIER.verify(&URL_SAFE_NO_PAD.encode(&bytes), NOW).is_err());
        // Claims are only decoded once signed; they must not panic all the same.
        let _ = decode_claims(&bytes);
    }

    #[test]
    fn an_allowed_path_names_itself(path in "/v/night/[a-z0-9./%\\\\-]{0,24}") {
        if claims().allows_path(&path) {
            prop_assert!(!path.contains("//") && !path.contains('%') && !path.contains('\\'));
            prop_assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
        }
    }
}

#[test]
fn deeply_nested_bytes_are_refused_without_exhausting_the_stack() {
    for head in [0x81u8, 0xd8, 0xa1, 0x9f, 0xbf] {
        let bytes = vec![head; 760];
        assert!(VERIFIER.verify(&URL_SAFE_NO_PAD.encode(&bytes), NOW).is_err());
        assert!(decode_claims(&bytes).is_err());
    }
}

#[test]
fn what_no_verifier_would_accept_is_not_signed() {
    let refused = |change: &dyn Fn(&mut Claims)| {
        let mut claims = claims();
        change(&mut claims);
        SIGNER.sign(&claims).unwrap_err()
    };
    let names = |error: SignError| match error {
        SignError::Claim { claim, .. } => claim,
        other => panic!("{other}"),
    };
    assert_eq!(names(refused(&|c| c.expires_at = c.not_before)), "lifetime");
    assert_eq!(names(refused(&|c| c.path_prefixes.clear())), "catu");
    assert_eq!(names(refused(&|c| c.path_prefixes[0] = "/v/night".into())), "catu");
    assert_eq!(names(refused(&|c| c.path_prefixes[0] = "/v/../".into())), "catu");
    assert_eq!(names(refused(&|c| c.subject = "x".repeat(129))), "subject");
    assert_eq!(names(refused(&|c| c.issuer.clear())), "issuer");
}

#[test]
fn the_longest_ticket_fits_its_bound() {
    let mut claims = claims();
    claims.issuer = "i".repeat(128);
    claims.subject = "s".repeat(128);
    claims.path_prefixes = vec![format!("/v/{}/", "t".repeat(64)); 4];
    claims.network = Some("2001:db8::/128".parse().unwrap());
    claims.rate_bps_max = Some(u64::MAX);
    let token = SIGNER.sign(&claims).unwrap();
    assert!(token.len() <= TICKET_BYTES_MAX, "{} bytes", token.len());
    assert_eq!(VERIFIER.verify(&token, NOW), Ok(claims));
}

#[test]
fn a_ticket_ends_and_begins_with_a_leeway() {
    let token = SIGNER.sign(&claims()).unwrap();
    let at = |ms: i64| VERIFIER.verify(&token, UnixMillis(NOW.0.wrapping_add_signed(ms)));
    assert!(at(0).is_ok());
    assert!(at(60_000 + 4_999).is_ok());
    assert_eq!(at(60_000 + 5_000), Err(TicketError::Expired));
    assert!(at(-6_000).is_ok());
    assert_eq!(at(-6_001), Err(TicketError::NotYet));
}

#[test]
fn keys_rotate_and_strangers_are_refused() {
    let next = TicketSigner::generate().unwrap();
    let keys = TicketKeys { keys: vec![next.verification_key(), SIGNER.verification_key()] };
    let both = Verifier::new(&keys).unwrap();
    assert_eq!(both.kids().collect::<Vec<_>>(), [next.kid(), SIGNER.kid()]);
    let token = next.sign(&claims()).unwrap();
    assert!(both.verify(&token, NOW).is_ok());
    assert!(both.verify(&SIGNER.sign(&claims()).unwrap(), NOW).is_ok());
    assert_eq!(VERIFIER.verify(&token, NOW), Err(TicketError::UnknownKey));
    let none = Verifier::new(&TicketKeys::default()).unwrap();
    assert_eq!(none.verify(&token, NOW), Err(TicketError::UnknownKey));
    // Somebody else's key under our key's name.
    let forged = TicketKey { kid: next.kid().to_owned(), ..SIGNER.verification_key() };
    let fooled = Verifier::new(&TicketKeys { keys: vec![forged] }).unwrap();
    assert_eq!(fooled.verify(&token, NOW), Err(TicketError::BadSignature));
}

#[test]
fn a_key_survives_its_file_and_nothing_else_is_taken_for_one() {
    let again = TicketSigner::from_pkcs8(&SIGNER.to_pkcs8().unwrap()).unwrap();
    assert_eq!(again.verification_key(), SIGNER.verification_key());
    assert_eq!(TicketSigner::from_pkcs8(b"not a key").unwrap_err(), KeyError::NotPkcs8);
    let mut bad = SIGNER.verification_key();
    bad.public.truncate(20);
    assert!(matches!(
        Verifier::new(&TicketKeys { keys: vec![bad] }),
        Err(KeyError::NotPoint { .. })
    ));
    let many = TicketKeys { keys: vec![SIGNER.verification_key(); 17] };
    assert!(matches!(Verifier::new(&many), Err(KeyError::TooMany { count: 17, max: 16 })));
}
