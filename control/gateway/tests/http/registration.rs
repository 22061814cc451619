//! How boxes register, how their certificates are believed, and every way in which they are not:
//! each refusal has its word, is counted, and changes nothing. TLS itself is `control`'s test.

use control_client::{ClientError, ControlClient, Credential};
use control_gateway::{Proof, appliance_router};
use control_store::ledger::RegistrationKeyRow;
use control_types::fleet::Role;
use control_types::registration::{
    IssuedCertificate, NewRegistrationKey, Registration, RegistrationScope, Renewal,
};
use control_types::{ErrorWord, UnixMillis};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::lab::{Lab, Plan, gateway, listen, now, report};

/// The appliances' port of a lab as connections that proved this see it.
async fn port(lab: &Lab, plan: &Plan, proof: Proof) -> ControlClient {
    let router = appliance_router(gateway(&lab.services, plan)).layer(axum::Extension(proof));
    let addr = listen(router).await;
    ControlClient::new(&format!("http://{addr}"), Credential::Nobody, None).unwrap()
}

fn csr() -> String {
    let key = KeyPair::generate().unwrap();
    CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap()
}

fn proof_of(issued: &IssuedCertificate) -> Proof {
    let der = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
    Proof::Certificate(hash.as_ref().try_into().unwrap())
}

fn for_one(appliance: &str, uses: u32) -> NewRegistrationKey {
    let scope = RegistrationScope::Appliance(appliance.parse().unwrap());
    NewRegistrationKey { scope, uses, life_ms: 3_600_000 }
}

fn for_site(site: &str, uses: u32) -> NewRegistrationKey {
    let scope = RegistrationScope::Site(site.parse().unwrap());
    NewRegistrationKey { scope, uses, life_ms: 3_600_000 }
}

fn registration(appliance: &str, key: &str) -> Registration {
    Registration { appliance: appliance.parse().unwrap(), key: key.to_owned(), csr: csr() }
}

/// The refusal's word is in its message, and it was counted once since `before`.
async fn refused<T: std::fmt::Debug>(
    lab: &Lab,
    answer: Result<T, ClientError>,
    wanted: (&str, ErrorWord),
    count: u64,
) {
    let error = answer.unwrap_err();
    assert_eq!(error.word(), Some(wanted.1), "{error}");
    assert!(error.to_string().contains(&format!("{}: ", wanted.0)), "{error}");
    let metrics = lab.nobody().metrics().await.unwrap();
    let line = format!("control_appliance_unproven_total{{why=\"{}\"}} {count}", wanted.0);
    assert!(metrics.contains(&line), "{line} is missing in:\n{metrics}");
}

async fn key(lab: &Lab, new: &NewRegistrationKey) -> String {
    lab.operator().make_registration_key(new).await.unwrap().key
}

#[tokio::test]
async fn a_box_registers_is_known_and_renews() {
    let plan = Plan { require_certificate: true, ..Plan::default() };
    let lab = Lab::start().await;
    lab.site("here", "isp-a", &[]).await;
    let by_key = lab.appliance("edge-a1", "here", Role::Edge, &[]).await;
    let open = port(&lab, &plan, Proof::Nothing).await;
    let made = key(&lab, &for_one("edge-a1", 1)).await;
    assert_eq!(made.rsplit_once('.').unwrap().1, lab.services.authority.current().digest());
    let first = open.register(&registration("edge-a1", &made)).await.unwrap();
    assert_eq!(first.authority, lab.services.authority.current().certificate());

    let known = port(&lab, &plan, proof_of(&first)).await;
    let status = known.certificate().await.unwrap();
    assert_eq!((status.appliance.as_str(), status.renew), ("edge-a1", false));
    assert_eq!(status.expires_at, Some(first.expires_at));
    known.report(&report("edge-a1", &[])).await.unwrap();
    known.orders().await.unwrap();
    // Its old bearer key still opens the other port, until certificates are required there.
    assert_eq!(by_key.certificate().await.unwrap().expires_at, None);

    let second = known.renew(&Renewal { csr: csr() }).await.unwrap();
    let successor = port(&lab, &plan, proof_of(&second)).await;
    successor.certificate().await.unwrap();
    known.certificate().await.expect("the box may not have heard of the new one");
    let listed = &lab.operator().appliances().await.unwrap()[0].certificates;
    assert_eq!(listed.len(), 2);
    // The next renewal ends the one before the last.
    successor.renew(&Renewal { csr: csr() }).await.unwrap();
    refused(&lab, known.certificate().await, ("certificate_void", ErrorWord::Unauthenticated), 1)
        .await;
}

#[tokio::test]
async fn a_certificate_is_due_when_two_thirds_of_its_life_are_over() {
    let plan = Plan { certificate_ms: 1, ..Plan::default() };
    let lab = Lab::start().await;
    lab.site("here", "isp-a", &[]).await;
    lab.appliance("edge-a1", "here", Role::Edge, &[]).await;
    let appliance: control_types::ApplianceId = "edge-a1".parse().unwrap();
    let at = now();
    let (made_at, expires_at) =
        (UnixMillis(at.0 - 70_000_000), UnixMillis(at.0 - 70_000_000 + 100_000_000));
    let row = control_store::ledger::CertificateRow {
        fingerprint: [7; 32],
        appliance: appliance.clone(),
        made_at,
        expires_at,
        authority: None,
    };
    let key = RegistrationKeyRow {
        id: "00000001".parse().unwrap(),
        scope: RegistrationScope::Appliance(appliance),
        isp: None,
        key_hash: [1; 32],
        uses_left: 1,
        made_at,
        expires_at,
    };
    lab.ports.ledger.add_registration_key(&key).await.unwrap();
    lab.ports.ledger.register_certificate(&key.id, &row, false).await.unwrap();
    lab.services.steering.refresh().await.unwrap();
    let known = port(&lab, &plan, Proof::Certificate([7; 32])).await;
    assert!(known.certificate().await.unwrap().renew);
}

#[tokio::test]
async fn registering_anew_or_voiding_ends_every_earlier_certificate() {
    let plan = Plan::default();
    let lab = Lab::start().await;
    lab.site("here", "isp-a", &[]).await;
    lab.appliance("edge-a1", "here", Role::Edge, &[]).await;
    let open = port(&lab, &plan, Proof::Nothing).await;
    let made = key(&lab, &for_one("edge-a1", 3)).await;
    let void = ("certificate_void", ErrorWord::Unauthenticated);
    let first = open.register(&registration("edge-a1", &made)).await.unwrap();
    let second = open.register(&registration("edge-a1", &made)).await.unwrap();
    let (first, second) =
        (port(&lab, &plan, proof_of(&first)).await, port(&lab, &plan, proof_of(&second)).await);
    refused(&lab, first.report(&report("edge-a1", &[])).await, void, 1).await;
    second.certificate().await.unwrap();
    let appliance = "edge-a1".parse().unwrap();
    lab.operator().void_certificates(&appliance).await.unwrap();
    refused(&lab, second.certificate().await, void, 2).await;
    // Neither can the box renew what is void.
    refused(&lab, second.renew(&Renewal { csr: csr() }).await, void, 3).await;
    let third = open.register(&registration("edge-a1", &made)).await.unwrap();
    let third = port(&lab, &plan, proof_of(&third)).await;
    third.certificate().await.unwrap();
    lab.operator().remove_appliance(&appliance).await.unwrap();
    refused(&lab, third.certificate().await, void, 4).await;
}

#[tokio::test]
async fn a_key_opens_what_it_is_for_as_often_and_as_long_as_it_may() {
    let plan = Plan::default();
    let lab = Lab::start().await;
    lab.fleet(&[]).await;
    let open = port(&lab, &plan, Proof::Nothing).await;
    let operator = lab.operator();
    let try_it =
        async |appliance: &str, key: &str| open.register(&registration(appliance, key)).await;
    let unknown = ("key_unknown", ErrorWord::Unauthenticated);
    refused(&lab, try_it("edge-a1", "nfr_x.y").await, unknown, 1).await;

    let once = key(&lab, &for_one("edge-a1", 1)).await;
    let elsewhere = ("key_elsewhere", ErrorWord::Forbidden);
    refused(&lab, try_it("edge-a2", &once).await, elsewhere, 1).await;
    refused(&lab, try_it("no-such", &once).await, elsewhere, 2).await;
    // A request that is none costs nothing: the key is good afterwards.
    let bad = Registration { csr: "none".to_owned(), ..registration("edge-a1", &once) };
    refused(&lab, open.register(&bad).await, ("request_bad", ErrorWord::BadRequest), 1).await;
    try_it("edge-a1", &once).await.unwrap();
    refused(&lab, try_it("edge-a1", &once).await, ("key_spent", ErrorWord::Unauthenticated), 1)
        .await;

    // A site's key makes any of its boxes, each once: a second box of one name is refused.
    let site = key(&lab, &for_site("here", 5)).await;
    refused(&lab, try_it("edge-a1", &site).await, ("taken", ErrorWord::Conflict), 1).await;
    refused(&lab, try_it("origin", &site).await, elsewhere, 3).await;
    try_it("edge-a2", &site).await.unwrap();
    let listed = operator.registration_keys().await.unwrap();
    assert_eq!((listed.len(), listed[0].uses_left), (1, 4), "refusals use nothing up: {listed:?}");
    operator.remove_registration_key(&listed[0].id).await.unwrap();
    refused(&lab, try_it("edge-a2", &site).await, unknown, 2).await;

    let over = RegistrationKeyRow {
        id: "00000001".parse().unwrap(),
        scope: for_one("edge-a1", 1).scope,
        isp: None,
        key_hash: aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"old")
            .as_ref()
            .try_into()
            .unwrap(),
        uses_left: 1,
        made_at: UnixMillis(1),
        expires_at: UnixMillis(now().0 - 1),
    };
    lab.ports.ledger.add_registration_key(&over).await.unwrap();
    refused(&lab, try_it("edge-a1", "old").await, ("key_over", ErrorWord::Unauthenticated), 1)
        .await;
    let fleet = operator.appliances().await.unwrap();
    let counts: Vec<usize> = fleet.iter().map(|one| one.certificates.len()).collect();
    assert_eq!(counts, [1, 1, 0], "refusals changed nothing");
}

#[tokio::test]
async fn of_many_boxes_with_the_last_use_of_a_key_one_gets_it() {
    let plan = Plan::default();
    let lab = Lab::start().await;
    lab.fleet(&[]).await;
    let open = port(&lab, &plan, Proof::Nothing).await;
    let made = key(&lab, &for_site("here", 1)).await;
    let tries = (0..8).map(|number| {
        let open = open.clone();
        let name = if number % 2 == 0 { "edge-a1" } else { "edge-a2" };
        let body = registration(name, &made);
        tokio::spawn(async move { open.register(&body).await.is_ok() })
    });
    let tries: Vec<_> = tries.collect();
    let mut got = 0;
    for one in tries {
        got += usize::from(one.await.unwrap());
    }
    assert_eq!(got, 1);
}

#[tokio::test]
async fn an_isp_makes_keys_for_its_own_boxes_only() {
    let lab = Lab::start().await;
    lab.fleet(&[]).await;
    let isp_key = lab.operator().make_isp_key(&"isp-a".parse().unwrap()).await.unwrap().key;
    let isp = lab.nobody().with_credential(Credential::Operator(isp_key));
    let theirs = lab.operator().make_registration_key(&for_one("origin", 1)).await.unwrap();
    let own = isp.make_registration_key(&for_site("here", 2)).await.unwrap();
    for foreign in [for_one("origin", 1), for_site("far", 1), for_one("no-such", 1)] {
        let error = isp.make_registration_key(&foreign).await.unwrap_err();
        assert_eq!(error.word(), Some(ErrorWord::Forbidden), "{error}");
    }
    let listed = isp.registration_keys().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].by, Some("isp-a".parse().unwrap()));
    let error = isp.remove_registration_key(&theirs.id).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::NotFound));
    let error = isp.void_certificates(&"origin".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Forbidden));
    isp.remove_registration_key(&own.id).await.unwrap();

    for bad in [
        NewRegistrationKey { uses: 0, ..for_site("here", 1) },
        NewRegistrationKey { uses: 1_001, ..for_site("here", 1) },
        NewRegistrationKey { life_ms: 59_999, ..for_site("here", 1) },
        NewRegistrationKey { life_ms: u64::MAX, ..for_site("here", 1) },
    ] {
        let error = isp.make_registration_key(&bad).await.unwrap_err();
        assert_eq!(error.word(), Some(ErrorWord::BadRequest), "{error}");
    }
}

#[tokio::test]
async fn a_key_of_the_isp_that_sold_a_site_opens_none_of_its_boxes() {
    let lab = Lab::start().await;
    lab.fleet(&[]).await;
    let isp_key = lab.operator().make_isp_key(&"isp-a".parse().unwrap()).await.unwrap().key;
    let isp = lab.nobody().with_credential(Credential::Operator(isp_key));
    let one = isp.make_registration_key(&for_one("edge-a1", 1)).await.unwrap().key;
    let any = isp.make_registration_key(&for_site("here", 2)).await.unwrap().key;
    let open = port(&lab, &Plan::default(), Proof::Nothing).await;
    open.register(&registration("edge-a2", &any)).await.unwrap();
    lab.site("here", "isp-b", &[]).await;
    let elsewhere = ("key_elsewhere", ErrorWord::Forbidden);
    for (count, key) in [(1, &one), (2, &any)] {
        let tried = open.register(&registration("edge-a1", key)).await;
        refused(&lab, tried, elsewhere, count).await;
    }
}

#[tokio::test]
async fn what_a_certificate_does_not_prove_is_refused_by_name() {
    let strict = Plan { require_certificate: true, ..Plan::default() };
    let lab = Lab::start().await;
    lab.site("here", "isp-a", &[]).await;
    let by_key = lab.appliance("edge-a1", "here", Role::Edge, &[]).await;
    let before = lab.operator().appliances().await.unwrap();
    let refusals = [
        control_steering::Unproven::CertificateForeign,
        control_steering::Unproven::CertificateEarly,
        control_steering::Unproven::CertificateOver,
        control_steering::Unproven::CertificateBad,
    ];
    for why in refusals {
        let shown = port(&lab, &Plan::default(), Proof::Refused(why)).await;
        let wanted = (why.as_word(), ErrorWord::Unauthenticated);
        refused(&lab, shown.report(&report("edge-a1", &[])).await, wanted, 1).await;
    }
    // Nor is a bad certificate as good as none when a good bearer key comes with it.
    let bad = Proof::Refused(control_steering::Unproven::CertificateOver);
    let shown = port(&lab, &Plan::default(), bad).await;
    let with_key = |client: ControlClient, key: &str| {
        client.with_credential(Credential::Appliance(key.to_owned()))
    };
    let over = ("certificate_over", ErrorWord::Unauthenticated);
    refused(&lab, with_key(shown, "some-key").certificate().await, over, 2).await;

    let absent = ("certificate_absent", ErrorWord::Unauthenticated);
    let bare = port(&lab, &strict, Proof::Nothing).await;
    refused(&lab, bare.report(&report("edge-a1", &[])).await, absent, 1).await;
    let error = by_key.renew(&Renewal { csr: csr() }).await;
    refused(&lab, error, absent, 2).await;
    let error = lab.nobody().register(&registration("edge-a1", "nfr_x.y")).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Forbidden), "not on the port of members: {error}");
    assert_eq!(lab.operator().appliances().await.unwrap(), before, "nothing else changed");
}

#[tokio::test]
async fn forged_replayed_and_doubled_reports_change_nothing() {
    let lab = Lab::start().await;
    lab.fleet(&[]).await;
    let plan = Plan::default();
    let open = port(&lab, &plan, Proof::Nothing).await;
    let made = key(&lab, &for_site("here", 2)).await;
    let one = open.register(&registration("edge-a1", &made)).await.unwrap();
    let one = port(&lab, &plan, proof_of(&one)).await;
    let shown = async || lab.operator().appliances().await.unwrap();

    let mut first = report("edge-a1", &[]);
    first.sequence = 7;
    one.report(&first).await.unwrap();
    let before = shown().await;
    let forged = report("edge-a2", &[]);
    refused(&lab, one.report(&forged).await, ("not_itself", ErrorWord::Forbidden), 1).await;
    let stale = ("report_stale", ErrorWord::Conflict);
    refused(&lab, one.report(&first).await, stale, 1).await;
    let mut older = first.clone();
    (older.sequence, older.connections) = (6, 99);
    refused(&lab, one.report(&older).await, stale, 2).await;
    assert_eq!(shown().await, before);

    // A second box of the same identity, or a copy of its disk: the one that began last is heard,
    // the other is told, and nothing goes back and forth.
    let mut second = report("edge-a1", &[]);
    second.sequence = 1;
    one.report(&second).await.unwrap();
    let before = shown().await;
    first.sequence += 1;
    refused(&lab, one.report(&first).await, ("duplicate", ErrorWord::Conflict), 1).await;
    assert_eq!(shown().await, before);
    second.sequence += 1;
    one.report(&second).await.unwrap();
}

#[tokio::test]
async fn the_appliances_port_has_nothing_else() {
    let lab = Lab::start().await;
    let open = port(&lab, &Plan::default(), Proof::Nothing).await;
    open.health().await.unwrap();
    let operator = open.with_credential(Credential::Operator(crate::lab::OPERATOR_KEY.to_owned()));
    assert!(operator.appliances().await.is_err());
    let authority: serde_json::Value = reqwest::Client::new()
        .get(format!("{}/v1/appliance/authority", open.base_url()))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(authority["authority"], lab.services.authority.current().certificate());
}
