//! What any ledger must do with sites, appliances and keys of ISPs.

use control_store::ledger::{ApplianceMade, DrainBy, IspKeyRow};
use control_store::{Ledger, StoreError};
use control_types::UnixMillis;
use control_types::fleet::{ApplianceRecord, Drains, Link, Role, Site};

pub fn site(id: &str, prefixes: &[&str]) -> Site {
    Site {
        id: id.parse().unwrap(),
        isp: "isp-one".parse().unwrap(),
        name: "Lisboa".to_owned(),
        latitude: 38.72,
        longitude: -9.14,
        prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect(),
        fails_as_one: false,
    }
}

pub async fn sites_and_appliances_lean_on_each_other(ledger: &dyn Ledger) {
    let here = site("site-a", &["198.51.100.0/24", "2001:db8::/32"]);
    ledger.put_site(&site("site-a", &["192.0.2.0/24", "10.0.0.0/8", "::/0"])).await.unwrap();
    ledger.put_site(&here).await.unwrap();
    let bare = site("site-b", &[]);
    ledger.put_site(&bare).await.unwrap();
    assert_eq!(ledger.sites().await.unwrap(), [here.clone(), bare]);

    let record = ApplianceRecord {
        id: "edge-a1".parse().unwrap(),
        site: here.id.clone(),
        role: Role::Edge,
        link: Link::PrivatePeering,
        capacity_bps: 40_000_000_000,
        detail: control_types::fleet::ApplianceDetail::default(),
    };
    let nowhere = ApplianceRecord { site: "no-site".parse().unwrap(), ..record.clone() };
    let error = ledger.put_appliance(&nowhere, &[1; 32], UnixMillis(1)).await.unwrap_err();
    assert!(matches!(&error, StoreError::Missing(what) if what.contains("no-site")), "{error}");
    let made = ledger.put_appliance(&record, &[1; 32], UnixMillis(1)).await.unwrap();
    assert_eq!(made, ApplianceMade::New);
    assert!(ledger.set_drain(&record.id, DrainBy::Operator, true).await.unwrap());
    let moved = ApplianceRecord { link: Link::Embedded, ..record.clone() };
    let made = ledger.put_appliance(&moved, &[2; 32], UnixMillis(2)).await.unwrap();
    assert_eq!(made, ApplianceMade::Replaced);
    let rows = ledger.appliances().await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].record, moved);
    assert_eq!((rows[0].key_hash, rows[0].made_at), ([1; 32], UnixMillis(1)));
    assert_eq!(rows[0].drains, Drains { operator: true, isp: false });
    assert!(ledger.set_drain(&record.id, DrainBy::Isp, true).await.unwrap());
    assert!(ledger.set_drain(&record.id, DrainBy::Operator, false).await.unwrap());
    let drains = ledger.appliances().await.unwrap()[0].drains;
    assert_eq!(drains, Drains { operator: false, isp: true }, "each flag is its own");
    assert!(ledger.set_appliance_key(&record.id, &[3; 32]).await.unwrap());
    assert_eq!(ledger.appliances().await.unwrap()[0].key_hash, [3; 32]);

    let held = ledger.remove_site(&here.id).await.unwrap_err();
    assert!(matches!(held, StoreError::Refused { .. }));
    assert!(ledger.remove_appliance(&record.id).await.unwrap());
    assert!(!ledger.remove_appliance(&record.id).await.unwrap());
    assert!(!ledger.set_drain(&record.id, DrainBy::Isp, true).await.unwrap());
    assert!(!ledger.set_appliance_key(&record.id, &[3; 32]).await.unwrap());
    assert!(ledger.remove_site(&here.id).await.unwrap());
    assert!(!ledger.remove_site(&here.id).await.unwrap());
}

pub async fn an_isp_s_keys_are_made_and_revoked_one_by_one(ledger: &dyn Ledger) {
    let key = |id: &str, isp: &str, tag| IspKeyRow {
        id: id.parse().unwrap(),
        isp: isp.parse().unwrap(),
        key_hash: [tag; 32],
        made_at: UnixMillis(7),
    };
    let (old, new) = (key("0a0a0a0a", "isp-one", 1), key("0b0b0b0b", "isp-one", 2));
    let other = key("0c0c0c0c", "isp-a", 3);
    for row in [&old, &new, &other] {
        ledger.add_isp_key(row).await.unwrap();
    }
    for clash in [key("0a0a0a0a", "isp-b", 9), key("0d0d0d0d", "isp-b", 2)] {
        let error = ledger.add_isp_key(&clash).await.unwrap_err();
        assert!(matches!(error, StoreError::Taken(_)), "{error}");
    }
    assert_eq!(ledger.isp_keys().await.unwrap(), [other.clone(), old.clone(), new.clone()]);
    assert!(ledger.remove_isp_key(&old.id).await.unwrap());
    assert!(!ledger.remove_isp_key(&old.id).await.unwrap());
    assert_eq!(ledger.isp_keys().await.unwrap(), [other, new]);
}
