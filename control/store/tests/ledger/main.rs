//! What any ledger must do; run on SQLite. One function a promise, each on ids of its own, so that
//! the suite can run on a ledger that is not empty.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fill;
mod fleet;
mod identity;
mod members;
mod routes;

use std::sync::Arc;

use control_store::embedded::SqliteLedger;
use control_store::ledger::{
    AccountsLedger as _, CatalogLedger as _, FillLedger as _, KeyPurpose, RevocationRow,
    SigningKeyRow,
};
use control_store::{Ledger, StoreError};
use control_types::UnixMillis;
use control_types::catalog::TitleRecord;

use members::{fresh, opened};

/// The suite, on an empty ledger.
async fn conforms(ledger: Arc<dyn Ledger>) {
    members::an_account_opens_whole_and_once(ledger.as_ref()).await;
    members::one_of_many_gets_the_email(Arc::clone(&ledger)).await;
    members::profiles_keep_their_bounds(ledger.as_ref()).await;
    members::a_subscription_is_replaced(ledger.as_ref()).await;
    members::tokens_rotate_and_reuse_ends_the_session(ledger.as_ref()).await;
    members::a_clock_set_back_opens_no_grace_again(ledger.as_ref()).await;
    members::an_ended_session_stays_ended(ledger.as_ref()).await;
    members::of_two_racing_tabs_both_go_on(Arc::clone(&ledger)).await;
    identity::certificates_say_who_signed_them(ledger.as_ref()).await;
    routes::routes_are_said_once_and_followed(ledger.as_ref()).await;
    titles_are_replaced_and_versioned(ledger.as_ref()).await;
    fleet::sites_and_appliances_lean_on_each_other(ledger.as_ref()).await;
    fleet::an_isp_s_keys_are_made_and_revoked_one_by_one(ledger.as_ref()).await;
    fill::windows_close_once_and_keep_their_name(ledger.as_ref()).await;
    fill::schedules_are_replaced_and_removed(ledger.as_ref()).await;
    fill::a_plan_only_rises(ledger.as_ref()).await;
    the_first_key_wins(Arc::clone(&ledger)).await;
    a_revocation_lasts_as_long_as_its_tickets(Arc::clone(&ledger)).await;
}

fn title(id: &str, name: &str) -> TitleRecord {
    TitleRecord {
        id: id.parse().unwrap(),
        name: name.to_owned(),
        synopsis: String::new(),
        year: 2020,
        genres: vec!["Drama".to_owned()],
        people: Vec::new(),
        credit: String::new(),
        regions: Vec::new(),
        duration_ms: 60_000,
        artwork: Vec::new(),
        renditions: Vec::new(),
    }
}

async fn titles_are_replaced_and_versioned(ledger: &dyn Ledger) {
    let before = ledger.titles_version().await.unwrap();
    let row = ledger.put_title(&title("b", "Bee"), UnixMillis(10)).await.unwrap();
    assert_eq!((row.registered_at, row.changed_at), (UnixMillis(10), UnixMillis(10)));
    ledger.put_title(&title("a", "Ay"), UnixMillis(20)).await.unwrap();
    let row = ledger.put_title(&title("b", "Bee Again"), UnixMillis(30)).await.unwrap();
    assert_eq!((row.registered_at, row.changed_at), (UnixMillis(10), UnixMillis(30)));
    let rows = ledger.titles().await.unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row.record.name.as_str()).collect();
    assert_eq!(names, ["Ay", "Bee Again"]);
    assert_eq!(rows[1], row, "what is read is what was written");
    assert_eq!(ledger.titles_version().await.unwrap(), before + 3);
    assert!(ledger.remove_title(&"b".parse().unwrap()).await.unwrap());
    assert!(!ledger.remove_title(&"b".parse().unwrap()).await.unwrap());
    assert_eq!(ledger.titles_version().await.unwrap(), before + 4, "nothing changed, no version");
}

fn key(purpose: KeyPurpose, kid: &str, made_at: u64) -> SigningKeyRow {
    let made_at = UnixMillis(made_at);
    SigningKeyRow { purpose, kid: kid.to_owned(), pkcs8: vec![1, 2, 3], made_at }
}

async fn the_first_key_wins(ledger: Arc<dyn Ledger>) {
    let starts: Vec<_> = (0..4)
        .map(|index| {
            let ledger = Arc::clone(&ledger);
            let offered = key(KeyPurpose::Access, &format!("k{index}"), 10);
            tokio::spawn(async move { ledger.first_signing_key(&offered).await.unwrap().kid })
        })
        .collect();
    let mut kids = Vec::new();
    for start in starts {
        kids.push(start.await.unwrap());
    }
    assert!(kids.iter().all(|kid| *kid == kids[0]), "{kids:?}");
    let newer = key(KeyPurpose::Access, "newer", 20);
    ledger.add_signing_key(&newer).await.unwrap();
    assert!(matches!(ledger.add_signing_key(&newer).await, Err(StoreError::Taken(_))));
    let rows = ledger.signing_keys(KeyPurpose::Access).await.unwrap();
    assert!(rows.len() == 2 && rows[0] == newer && rows[1].kid == kids[0]);
    assert!(ledger.signing_keys(KeyPurpose::Ticket).await.unwrap().is_empty());
    assert!(ledger.remove_signing_key(KeyPurpose::Access, "newer").await.unwrap());
    assert!(!ledger.remove_signing_key(KeyPurpose::Access, "newer").await.unwrap());
}

async fn a_revocation_lasts_as_long_as_its_tickets(ledger: Arc<dyn Ledger>) {
    let row = |subject: &str, until| RevocationRow {
        subject: subject.to_owned(),
        until: UnixMillis(until),
    };
    for (subject, until) in [("b", 50), ("a", 90), ("c", 70), ("b", 80), ("b", 60)] {
        ledger.revoke(&row(subject, until)).await.unwrap();
    }
    let now = UnixMillis(70);
    assert_eq!(ledger.revocations(now, 10).await.unwrap(), [row("a", 90), row("b", 80)]);
    assert_eq!(ledger.revocations(now, 1).await.unwrap(), [row("a", 90)]);
    assert_eq!(ledger.sweep_revocations(now).await.unwrap(), 1);
    assert_eq!(ledger.revocations(UnixMillis(0), 10).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_conforms_and_remembers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.sqlite");
    let kept = {
        let ledger = Arc::new(SqliteLedger::open(&path).await.unwrap());
        conforms(ledger.clone()).await;
        opened(ledger.as_ref()).await
    };
    let ledger = SqliteLedger::open(&path).await.unwrap();
    assert!(ledger.account(&kept.account.id).await.unwrap() == Some(kept.account));
    assert_eq!(ledger.plan().await.unwrap().map(|plan| plan.serial), Some(6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_file_take_turns() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.sqlite");
    let one = Arc::new(SqliteLedger::open(&path).await.unwrap());
    let two = Arc::new(SqliteLedger::open(&path).await.unwrap());
    let writers: Vec<_> = [one.clone(), two]
        .into_iter()
        .map(|ledger| {
            tokio::spawn(async move {
                for _ in 0..20 {
                    ledger.open_account(&fresh()).await.unwrap();
                    ledger.put_title(&title("shared", "Shared"), UnixMillis(1)).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(one.titles_version().await.unwrap(), 40, "no change was lost");
}
