//! The authority read back, its successors, and what it refuses to sign. Speaks no TLS.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use super::*;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn request() -> String {
    let mut params = CertificateParams::new(vec!["control.example".to_owned()]).unwrap();
    params.distinguished_name = named("the operator");
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

#[test]
fn it_is_the_same_authority_after_a_restart() {
    let (made, kept) = FleetCa::generate().unwrap();
    let read = FleetCa::from_pem(&kept).unwrap();
    assert_eq!(made.digest(), read.digest());
    let appliance = "edge-a1".parse().unwrap();
    let issued = read.issue(&request(), &appliance, NOW, NOW.plus_millis(1_000)).unwrap();
    assert!(issued.pem.contains("BEGIN CERTIFICATE"));
}

#[test]
fn a_request_cannot_ask_for_a_name_or_be_forged() {
    let (ca, _) = FleetCa::generate().unwrap();
    let appliance = "edge-a1".parse().unwrap();
    let issue = |request: &str| ca.issue(request, &appliance, NOW, NOW.plus_millis(1_000));
    let issued = issue(&request()).unwrap();
    let der = CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap();
    let holds = |text: &str| der.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds("nightfill://appliance/edge-a1"));
    assert!(!holds("control.example") && !holds("the operator"));
    // One bit of the signature, which is what the base64 before the end is.
    let forged = request();
    let at = forged.find("-----END").unwrap() - 10;
    let other = if forged.as_bytes()[at] == b'A' { "B" } else { "A" };
    let forged = format!("{}{other}{}", &forged[..at], &forged[at + 1..]);
    for bad in [forged.as_str(), "", "-----BEGIN CERTIFICATE REQUEST-----", &"x".repeat(20_000)] {
        assert!(matches!(issue(bad), Err(FleetCaError::Request(_))), "{bad:.40}");
    }
}

#[test]
fn a_successor_keeps_the_earlier_ones_until_they_are_retired() {
    let (first, first_kept) = FleetCa::generate().unwrap();
    let (second, second_kept) = first.successor().unwrap();
    let (third, kept) = second.successor().unwrap();
    assert!(matches!(third.successor(), Err(FleetCaError::Crowded)));
    let private = |text: &str| text[..text.find(BEGIN).unwrap()].to_owned();
    for earlier in [first_kept, second_kept] {
        assert!(!kept.contains(&private(&earlier)), "an earlier private key is kept");
    }
    let read = FleetCa::from_pem(&kept).unwrap();
    let all = [third.hash(), second.hash(), first.hash()];
    assert!(read.hashes().eq(all));
    assert_eq!(read.earlier(), [second.certificate(), first.certificate()]);
    assert_eq!(read.server(&["control.example".to_owned()]).unwrap().chain.len(), 3);

    let signs = third.digest();
    assert!(matches!(read.without(&signs), Err(FleetCaError::Signs(_))));
    assert!(matches!(read.without("nobody"), Err(FleetCaError::Unknown(_))));
    let (two, kept) = read.without(&first.digest()).unwrap();
    assert!(two.hashes().eq(all[..2].iter().copied()));
    assert!(FleetCa::from_pem(&kept).unwrap().hashes().eq(two.hashes()));
    // Those before a retired one have nobody left to speak for.
    let (one, _) = read.without(&second.digest()).unwrap();
    assert!(one.hashes().eq([third.hash()]));
    let torn = kept.rfind(BEGIN).unwrap();
    assert!(matches!(FleetCa::from_pem(&kept[..torn]), Err(FleetCaError::Broken(_))));
}

#[test]
fn what_does_not_belong_together_is_no_authority() {
    let (_, one) = FleetCa::generate().unwrap();
    let (_, other) = FleetCa::generate().unwrap();
    let at = |text: &str| text.find("-----BEGIN CERTIFICATE-----").unwrap();
    let mixed = format!("{}{}", &one[..at(&one)], &other[at(&other)..]);
    for bad in [mixed.as_str(), "", &one[..at(&one)], &one[at(&one)..]] {
        assert!(matches!(FleetCa::from_pem(bad), Err(FleetCaError::Broken(_))));
    }
}
