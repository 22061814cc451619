//! The appliances' port of the real program, over real TLS: what a box shows is believed or refused
//! with its word, never by a connection that just ends.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod kit;
mod rotation;

use std::path::Path;
use std::time::Duration;

use control_client::{ClientError, ControlClient, Credential, fleet_authority, store_identity};
use control_types::registration::{IssuedCertificate, Renewal};
use control_types::{ErrorWord, UnixMillis};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

use kit::{Control, edge, request};

fn kept(path: &Path, private: &KeyPair, certificate: &rcgen::Certificate, authority: &str) {
    let issued = IssuedCertificate {
        appliance: edge(),
        certificate: certificate.pem(),
        authority: authority.to_owned(),
        expires_at: UnixMillis(0),
    };
    store_identity(path, &private.serialize_pem(), &issued).unwrap();
}

pub fn refused(answer: Result<impl std::fmt::Debug, ClientError>, word: &str) {
    let error = answer.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Unauthenticated), "{word}: {error}");
    assert!(error.to_string().contains(&format!("{word}: ")), "{word}: {error}");
}

#[tokio::test]
async fn a_box_registers_is_known_by_its_certificate_and_renews_it() {
    let control = Control::start().await;
    let identity = control.path("identity.pem");
    let client = control.as_box(&identity);
    let error = client.certificate().await.unwrap_err();
    assert!(error.to_string().contains("oca register"), "{error}");

    control.register(&identity).await.unwrap();
    // The same client takes the file up by itself, within the half second it looks.
    let taken_up = async {
        loop {
            match client.certificate().await {
                Ok(status) => break status,
                Err(ClientError::Identity { .. }) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    let status = tokio::time::timeout(Duration::from_secs(30), taken_up).await.unwrap();
    assert_eq!((status.appliance, status.renew), (edge(), false));

    let (private, csr) = request();
    let next = client.renew(&Renewal { csr }).await.unwrap();
    let renewed = control.path("renewed.pem");
    store_identity(&renewed, &private, &next).unwrap();
    control.as_box(&renewed).certificate().await.unwrap();
    // Registered anew: neither of the earlier ones opens anything, also on connections that stand.
    control.register(&control.path("other.pem")).await.unwrap();
    refused(client.certificate().await, "certificate_void");
    refused(control.as_box(&renewed).certificate().await, "certificate_void");
}

#[tokio::test]
async fn what_is_not_of_this_fleet_and_time_is_refused_by_its_word() {
    let control = Control::start().await;
    let (issuer, authority) = control.issuer();
    let sign = |issuer: &Issuer<'static, KeyPair>, years: (i32, i32), usage| {
        let private = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![usage];
        (params.not_before, params.not_after) =
            (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        let signed = params.signed_by(&private, issuer).unwrap();
        (private, signed)
    };
    let client_use = || ExtendedKeyUsagePurpose::ClientAuth;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let foreign = Issuer::new(params, KeyPair::generate().unwrap());
    // A foreign authority of the same name is no closer to ours.
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "Nightfill fleet");
    let namesake = Issuer::new(params, KeyPair::generate().unwrap());

    for (name, (private, signed), word) in [
        ("foreign", sign(&foreign, (2000, 2090), client_use()), "certificate_foreign"),
        ("namesake", sign(&namesake, (2000, 2090), client_use()), "certificate_foreign"),
        ("over", sign(&issuer, (2000, 2001), client_use()), "certificate_over"),
        ("early", sign(&issuer, (2090, 2091), client_use()), "certificate_early"),
        (
            "server",
            sign(&issuer, (2000, 2090), ExtendedKeyUsagePurpose::ServerAuth),
            "certificate_bad",
        ),
        // Signed by ours, with its key stolen even, and unknown to the ledger.
        ("unknown", sign(&issuer, (2000, 2090), client_use()), "certificate_void"),
    ] {
        let path = control.path(name);
        kept(&path, &private, &signed, &authority);
        refused(control.as_box(&path).certificate().await, word);
    }
    // None at all, and a bearer key, which is not enough here on either port.
    let ca = Some(authority.as_bytes());
    let key = Credential::Appliance("nfa_0123456789".to_owned());
    for url in [control.url(), format!("http://{}", control.members)] {
        let client = ControlClient::new(&url, key.clone(), ca).unwrap();
        refused(client.certificate().await, "certificate_absent");
    }
    let metrics = control.operator().metrics().await.unwrap();
    for (word, count) in [
        ("certificate_foreign", 2),
        ("certificate_over", 1),
        ("certificate_early", 1),
        ("certificate_bad", 1),
        ("certificate_void", 1),
        ("certificate_absent", 2),
    ] {
        let line = format!("control_appliance_unproven_total{{why=\"{word}\"}} {count}");
        assert!(metrics.contains(&line), "{line} is missing in:\n{metrics}");
    }
    assert!(control.operator().appliances().await.unwrap()[0].certificates.is_empty());
}

#[tokio::test]
async fn a_registration_key_names_the_control_it_is_of() {
    let (control, other) = (Control::start().await, Control::start().await);
    let key = control.key().await;
    let error = fleet_authority(&other.url(), &key).await.unwrap_err();
    assert!(matches!(error, ClientError::Registration { .. }), "{error}");
    assert!(error.to_string().contains("not the control"), "{error}");
    let cut = key.split_once('.').unwrap().0;
    assert!(fleet_authority(&control.url(), cut).await.is_err());
    let plain = fleet_authority(&format!("http://{}", control.members), &key).await.unwrap_err();
    assert!(plain.to_string().contains("https"), "{plain}");
    assert!(fleet_authority(&control.url(), &key).await.unwrap().contains("BEGIN CERTIFICATE"));
}
