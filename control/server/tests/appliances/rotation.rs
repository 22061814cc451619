//! The fleet's authority passes to a successor while boxes go on, and the earlier one is retired:
//! when nothing hangs on it, or by force.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use control_client::{ClientError, ControlClient, Credential, fleet_authority, store_identity};
use control_types::ErrorWord;
use control_types::registration::{AuthorityListed, Renewal};

use crate::kit::{Control, edge, request};
use crate::refused;

/// Renews as a box does; its next identity is then in the file.
async fn renew(client: &ControlClient, to: &Path) {
    let (private, csr) = request();
    let next = client.renew(&Renewal { csr }).await.unwrap();
    store_identity(to, &private, &next).unwrap();
}

/// Signs, certificates, boxes: of each authority.
fn seen(all: &[AuthorityListed]) -> Vec<(bool, u64, usize)> {
    all.iter().map(|one| (one.signs, one.certificates, one.appliances.len())).collect()
}

#[tokio::test]
async fn a_box_lives_through_a_whole_rotation() {
    let mut control = Control::start().await;
    let [first, second, third] = ["one.pem", "two.pem", "three.pem"].map(|name| control.path(name));
    control.register(&first).await.unwrap();
    let key_of_old = control.key().await;
    let old = control.operator().authorities().await.unwrap();
    assert_eq!(seen(&old), [(true, 1, 1)]);

    let both = control.operator().rotate_authority().await.unwrap();
    assert_eq!(seen(&both), [(true, 0, 0), (false, 1, 1)]);
    assert_eq!((&both[1].digest, &both[1].appliances), (&old[0].digest, &vec![edge()]));
    // Control shows a certificate of the new one at once; a box that never heard of it, and one
    // that holds a registration key from before, believe it all the same.
    control.as_box(&first).certificate().await.unwrap();
    let old_root = fleet_authority(&control.url(), &key_of_old).await.unwrap();
    let new_root = fleet_authority(&control.url(), &control.key().await).await.unwrap();
    assert_ne!(old_root, new_root);
    let nobody = |control: &Control, root: &str| {
        ControlClient::new(&control.url(), Credential::Nobody, Some(root.as_bytes())).unwrap()
    };
    for root in [&old_root, &new_root] {
        refused(nobody(&control, root).certificate().await, "certificate_absent");
    }
    let early = control.operator().retire_authority(&old[0].digest, false).await.unwrap_err();
    assert_eq!(early.word(), Some(ErrorWord::Conflict));
    assert!(early.to_string().contains("edge-a1"), "{early}");

    // All of it survives a restart.
    control.restart();
    renew(&control.as_box(&first), &second).await;
    let kept = std::fs::read_to_string(&second).unwrap();
    assert!(kept.ends_with(&new_root) && !kept.contains(old_root.trim()), "{kept}");
    control.as_box(&second).certificate().await.unwrap();
    let all = control.operator().authorities().await.unwrap();
    assert_eq!(seen(&all), [(true, 1, 1), (false, 1, 1)], "its box may never have heard");
    renew(&control.as_box(&second), &third).await;
    let all = control.operator().authorities().await.unwrap();
    assert_eq!(seen(&all), [(true, 2, 1), (false, 0, 0)]);
    refused(control.as_box(&first).certificate().await, "certificate_void");

    let signing = control.operator().retire_authority(&all[0].digest, true).await.unwrap_err();
    assert_eq!(signing.word(), Some(ErrorWord::Conflict), "{signing}");
    let unknown = control.operator().retire_authority("nobody", false).await.unwrap_err();
    assert_eq!(unknown.word(), Some(ErrorWord::NotFound), "{unknown}");
    let last = control.operator().retire_authority(&old[0].digest, false).await.unwrap();
    assert_eq!(seen(&last), [(true, 2, 1)]);
    control.as_box(&third).certificate().await.unwrap();
    let gone = nobody(&control, &old_root).certificate().await.unwrap_err();
    assert!(matches!(gone, ClientError::Unreachable { .. }), "{gone}");
    assert!(fleet_authority(&control.url(), &key_of_old).await.is_err());
    let file = control.path("state/fleet-ca.pem");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let kept = std::fs::read_to_string(&file).unwrap();
    assert_eq!(kept.matches("BEGIN CERTIFICATE").count(), 1);
}

#[tokio::test]
async fn force_shuts_out_at_once_whoever_has_not_come_over() {
    let control = Control::start().await;
    let identity = control.path("one.pem");
    control.register(&identity).await.unwrap();
    let both = control.operator().rotate_authority().await.unwrap();
    let client = control.as_box(&identity);
    client.certificate().await.unwrap();
    let last = control.operator().retire_authority(&both[1].digest, true).await.unwrap();
    assert_eq!(seen(&last), [(true, 0, 0)]);
    // On the connection that stands as on a new one.
    refused(client.certificate().await, "certificate_foreign");
    let anew = control.as_box(&identity).certificate().await.unwrap_err();
    assert!(matches!(anew, ClientError::Unreachable { .. }), "{anew}");
    control.register(&identity).await.unwrap();
    control.as_box(&identity).certificate().await.unwrap();
    let crowd = control.operator();
    crowd.rotate_authority().await.unwrap();
    crowd.rotate_authority().await.unwrap();
    let full = crowd.rotate_authority().await.unwrap_err();
    assert_eq!(full.word(), Some(ErrorWord::Conflict), "{full}");
}
