//! What any ledger must do with certificates of appliances.

use control_store::Ledger;
use control_store::ledger::{CertificateRow, Fingerprint, Registered, RegistrationKeyRow};
use control_types::fleet::{ApplianceRecord, Link, Role};
use control_types::registration::RegistrationScope;
use control_types::{ApplianceId, UnixMillis};

use crate::fleet::site;

pub async fn certificates_say_who_signed_them(ledger: &dyn Ledger) {
    let appliance: ApplianceId = "identity-edge".parse().unwrap();
    ledger.put_site(&site("identity-site", &[])).await.unwrap();
    let record = ApplianceRecord {
        id: appliance.clone(),
        site: "identity-site".parse().unwrap(),
        role: Role::Edge,
        link: Link::Embedded,
        capacity_bps: 1,
        detail: control_types::fleet::ApplianceDetail::default(),
    };
    ledger.put_appliance(&record, &[1; 32], UnixMillis(1)).await.unwrap();
    let key = RegistrationKeyRow {
        id: "identity-key".parse().unwrap(),
        scope: RegistrationScope::Appliance(appliance.clone()),
        isp: None,
        key_hash: [2; 32],
        uses_left: 1,
        made_at: UnixMillis(1),
        expires_at: UnixMillis(100),
    };
    ledger.add_registration_key(&key).await.unwrap();
    let row = |fingerprint: u8, authority: Option<Fingerprint>| CertificateRow {
        fingerprint: [fingerprint; 32],
        appliance: appliance.clone(),
        made_at: UnixMillis(2),
        expires_at: UnixMillis(100),
        authority,
    };
    // Of a version that knew one authority, then of one that knows which.
    let done = ledger.register_certificate(&key.id, &row(3, None), true).await.unwrap();
    assert_eq!(done, Registered::Done);
    assert!(ledger.renew_certificate(&[3; 32], &row(4, Some([8; 32]))).await.unwrap());
    assert_eq!(ledger.claim_certificates(&[7; 32]).await.unwrap(), 1);
    assert_eq!(ledger.claim_certificates(&[9; 32]).await.unwrap(), 0, "all of them are known");
    let kept = ledger.certificates().await.unwrap();
    assert_eq!(kept, [row(3, Some([7; 32])), row(4, Some([8; 32]))]);
    ledger.remove_appliance(&appliance).await.unwrap();
    ledger.remove_site(&record.site).await.unwrap();
    assert!(ledger.certificates().await.unwrap().is_empty());
}
