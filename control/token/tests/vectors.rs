//! Goal: our tickets are what CTA-5007 says, not only what our own reader accepts. Method: fixed
//! tokens, good and bad, signed by another implementation, read back here; and fixed claims whose
//! bytes must come out the same (ES256 signatures are random, so bytes of whole tokens cannot).

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_token::{
    Claims, Renewal, RenewedBy, TicketSigner, Verifier, decode_claims, encode_claims,
};
use control_types::UnixMillis;
use control_types::fleet::{TicketKey, TicketKeys};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    now_ms: u64,
    key: Key,
    encode: Vec<Encode>,
    accept: Vec<Accept>,
    refuse: Vec<Refuse>,
    #[serde(rename = "use")]
    uses: Vec<Use>,
}

#[derive(Deserialize)]
struct Key {
    pkcs8: String,
    kid: String,
    public: String,
}

#[derive(Deserialize)]
struct Encode {
    name: String,
    claims: PlainClaims,
    bytes: String,
}

#[derive(Deserialize)]
struct Accept {
    name: String,
    token: String,
    claims: PlainClaims,
}

#[derive(Deserialize)]
struct Refuse {
    name: String,
    token: String,
    word: String,
}

/// A good ticket on a path and from an address.
#[derive(Deserialize)]
struct Use {
    name: String,
    token: String,
    path: String,
    address: std::net::IpAddr,
    /// Absent: it is let in.
    word: Option<String>,
}

#[derive(Deserialize)]
struct PlainClaims {
    issuer: String,
    subject: String,
    not_before_ms: u64,
    expires_at_ms: u64,
    path_prefixes: Vec<String>,
    network: Option<String>,
    rate_bps_max: Option<u64>,
    /// `catr` as `[type, expadd, deadline]`.
    #[serde(default)]
    renewal: Option<[u64; 3]>,
}

impl PlainClaims {
    fn claims(self) -> Claims {
        Claims {
            issuer: self.issuer,
            subject: self.subject,
            not_before: UnixMillis(self.not_before_ms),
            expires_at: UnixMillis(self.expires_at_ms),
            path_prefixes: self.path_prefixes,
            network: self.network.map(|text| text.parse().unwrap()),
            rate_bps_max: self.rate_bps_max,
            renewal: self.renewal.map(|[by, extend_s, deadline_s]| {
                let by = if by == 1 { RenewedBy::Cookie } else { RenewedBy::Header };
                Renewal { by, extend_s, deadline_s }
            }),
        }
    }
}

fn vectors() -> (Vectors, Verifier) {
    let vectors: Vectors = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let key = TicketKey { kid: vectors.key.kid.clone(), public: vectors.key.public.clone() };
    let verifier = Verifier::new(&TicketKeys { keys: vec![key] }).unwrap();
    (vectors, verifier)
}

#[test]
fn tokens_signed_elsewhere_are_read() {
    let (vectors, verifier) = vectors();
    for vector in vectors.accept {
        let read = verifier.verify(&vector.token, UnixMillis(vectors.now_ms));
        assert_eq!(read, Ok(vector.claims.claims()), "{}", vector.name);
    }
}

#[test]
fn every_bad_token_is_refused_with_its_own_word() {
    let (vectors, verifier) = vectors();
    for vector in vectors.refuse {
        let refused = verifier.verify(&vector.token, UnixMillis(vectors.now_ms)).unwrap_err();
        assert_eq!(refused.word(), vector.word, "{}", vector.name);
    }
}

/// The words are the appliance's, which asks in this order.
#[test]
fn a_good_ticket_opens_its_own_paths_from_its_own_network_only() {
    let (vectors, verifier) = vectors();
    let mut let_in = 0;
    for vector in &vectors.uses {
        let claims = verifier.verify(&vector.token, UnixMillis(vectors.now_ms)).unwrap();
        let word = if !claims.allows_path(&vector.path) {
            Some("ticket_elsewhere")
        } else if !claims.allows_address(vector.address) {
            Some("ticket_network")
        } else {
            None
        };
        assert_eq!(word, vector.word.as_deref(), "{}", vector.name);
        let_in += usize::from(word.is_none());
    }
    assert!(let_in > 0 && let_in < vectors.uses.len());
}

#[test]
fn claims_encode_to_the_bytes_others_make() {
    for vector in vectors().0.encode {
        let claims = vector.claims.claims();
        let bytes = encode_claims(&claims).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, vector.bytes, "{}", vector.name);
        assert_eq!(decode_claims(&bytes), Ok(claims), "{}", vector.name);
    }
}

#[test]
fn a_key_written_elsewhere_signs_tickets_that_verify() {
    let (vectors, verifier) = vectors();
    let pkcs8 = URL_SAFE_NO_PAD.decode(&vectors.key.pkcs8).unwrap();
    let signer = TicketSigner::from_pkcs8(&pkcs8).unwrap();
    assert_eq!(signer.kid(), vectors.key.kid);
    assert_eq!(signer.verification_key().public, vectors.key.public);
    for vector in vectors.encode {
        let claims = vector.claims.claims();
        let token = signer.sign(&claims).unwrap();
        let read = verifier.verify(&token, UnixMillis(vectors.now_ms));
        assert_eq!(read, Ok(claims), "{}", vector.name);
    }
}
