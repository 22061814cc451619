//! What any ledger must do with what operators say about routes.

use std::sync::Arc;

use control_store::embedded::SqliteLedger;
use control_store::ledger::{AskedBy, Edited, RouteEdit, RoutesLedger as _};
use control_store::{Ledger, StoreError};
use control_types::UnixMillis;
use control_types::routes::{IspNetworks, RouteChangeKind};

use crate::fleet::site;

fn networks(isp: &str, network: &str) -> IspNetworks {
    let networks = vec![network.to_owned()];
    IspNetworks { isp: isp.parse().unwrap(), asns: vec![65_001], networks }
}

fn by(at: u64) -> AskedBy<'static> {
    AskedBy { who: "the operator", at: UnixMillis(at) }
}

pub async fn routes_are_said_once_and_followed(ledger: &dyn Ledger) {
    ledger.put_site(&site("routes-a", &[])).await.unwrap();
    let before = ledger.routes_said().await.unwrap();
    let first = before.generation;
    assert_eq!(ledger.routes_generation().await.unwrap(), first);
    let said = RouteEdit::Register(networks("routes-isp", "11.0.0.0/8"));
    let done = ledger.edit_routes(&said, by(10), first).await.unwrap();
    assert_eq!(done, Edited::Done { generation: first + 1 });
    // Whoever judged by what was true before is told so.
    let late = RouteEdit::Register(networks("routes-other", "11.0.0.0/9"));
    let stale = ledger.edit_routes(&late, by(11), first).await.unwrap();
    assert_eq!(stale, Edited::Stale { generation: first + 1 });

    let (own, file) = ("routes-a".parse().unwrap(), b"11.1.0.0/16\n".to_vec());
    let take = RouteEdit::Take { site: own, file: file.clone() };
    ledger.edit_routes(&take, by(12), first + 1).await.unwrap();
    let nowhere = RouteEdit::Take { site: "routes-nowhere".parse().unwrap(), file: vec![] };
    let missing = ledger.edit_routes(&nowhere, by(13), first + 2).await;
    assert!(matches!(missing, Err(StoreError::Missing(_))), "{missing:?}");
    let said = ledger.routes_said().await.unwrap();
    assert_eq!(said.generation, first + 2, "what was refused is no change");
    assert!(said.networks.contains(&networks("routes-isp", "11.0.0.0/8")));
    let own = "routes-a".parse().unwrap();
    assert_eq!(ledger.route_file(&own).await.unwrap(), Some((first + 2, file)));
    assert!(said.files.contains(&(own.clone(), first + 2)));

    let forget = RouteEdit::Forget(own.clone());
    let gone = ledger.edit_routes(&forget, by(14), first + 2).await.unwrap();
    assert_eq!(gone, Edited::Done { generation: first + 3 });
    let absent = ledger.edit_routes(&forget, by(15), first + 3).await.unwrap();
    assert_eq!(absent, Edited::Absent);
    let leave = RouteEdit::Unregister("routes-isp".parse().unwrap());
    ledger.edit_routes(&leave, by(16), first + 3).await.unwrap();
    assert_eq!(ledger.route_file(&own).await.unwrap(), None);
    assert_eq!(ledger.routes_said().await.unwrap().networks, before.networks);

    let changes = ledger.route_changes(4).await.unwrap();
    let seen: Vec<_> =
        changes.iter().map(|one| (one.at.0, one.what, one.subject.as_str(), &*one.by)).collect();
    let who = "the operator";
    assert_eq!(
        seen,
        [
            (16, RouteChangeKind::Unregistered, "routes-isp", who),
            (14, RouteChangeKind::FileForgotten, "routes-a", who),
            (12, RouteChangeKind::FileTaken, "routes-a", who),
            (10, RouteChangeKind::Registered, "routes-isp", who),
        ]
    );
    assert_eq!(changes[3].detail, "1 networks, 1 ASNs");

    // A site takes its file with it.
    ledger.edit_routes(&take, by(17), first + 4).await.unwrap();
    assert!(ledger.remove_site(&own).await.unwrap());
    assert_eq!(ledger.route_file(&own).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_that_judged_alike_one_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.sqlite");
    let one = Arc::new(SqliteLedger::open(&path).await.unwrap());
    let two = Arc::new(SqliteLedger::open(&path).await.unwrap());
    let tries = [one.clone(), two.clone()].map(|ledger| {
        tokio::spawn(async move {
            let said = RouteEdit::Register(networks("tejo", "11.0.0.0/8"));
            ledger.edit_routes(&said, by(1), 0).await.unwrap()
        })
    });
    let mut done = Vec::new();
    for one in tries {
        done.push(one.await.unwrap());
    }
    assert!(done.contains(&Edited::Done { generation: 1 }), "{done:?}");
    assert!(done.contains(&Edited::Stale { generation: 1 }), "{done:?}");
    assert_eq!(one.routes_said().await.unwrap(), two.routes_said().await.unwrap());
}
