//! What any ledger must do; run on SQLite. One function a promise, each on ids of its own, so that
//! the suite can run on a ledger that is not empty.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::sync::Arc;

use control_store::embedded::SqliteLedger;
use control_store::ledger::{
    AccountRow, AccountsLedger as _, ApplianceMade, CatalogLedger as _, DrainBy, FillLedger as _,
    IspKeyRow, KeyPurpose, NewAccountRow, NewRefreshRow, PlanPut, ProfileRemoval, ProfileRow,
    RevocationRow, Rotation, SessionRow, SigningKeyRow, Standing, SubscriptionRow,
};
use control_store::{Ledger, StoreError};
use control_types::catalog::TitleRecord;
use control_types::fill::{AppliancePlan, NightPlan, Window, WindowScope};
use control_types::fleet::{ApplianceRecord, Drains, Link, Role, Site};
use control_types::schedule::{Weekday, WindowSchedule};
use control_types::{AccountId, PlanId, ProfileId, UnixMillis};
use uuid::Uuid;

const GRACE_MS: u64 = 10_000;

/// The suite, on an empty ledger.
async fn conforms(ledger: Arc<dyn Ledger>) {
    an_account_opens_whole_and_once(ledger.as_ref()).await;
    one_of_many_gets_the_email(Arc::clone(&ledger)).await;
    profiles_keep_their_bounds(ledger.as_ref()).await;
    a_subscription_is_replaced(ledger.as_ref()).await;
    tokens_rotate_and_reuse_ends_the_session(ledger.as_ref()).await;
    a_clock_set_back_opens_no_grace_again(ledger.as_ref()).await;
    an_ended_session_stays_ended(ledger.as_ref()).await;
    of_two_racing_tabs_both_go_on(Arc::clone(&ledger)).await;
    titles_are_replaced_and_versioned(ledger.as_ref()).await;
    sites_and_appliances_lean_on_each_other(ledger.as_ref()).await;
    an_isp_s_keys_are_made_and_revoked_one_by_one(ledger.as_ref()).await;
    windows_close_once_and_keep_their_name(ledger.as_ref()).await;
    schedules_are_replaced_and_removed(ledger.as_ref()).await;
    a_plan_only_rises(ledger.as_ref()).await;
    the_first_key_wins(Arc::clone(&ledger)).await;
    a_revocation_lasts_as_long_as_its_tickets(Arc::clone(&ledger)).await;
}

fn fresh() -> NewAccountRow {
    let id = AccountId(Uuid::new_v4());
    NewAccountRow {
        account: AccountRow {
            id,
            email: format!("{id}@example.com"),
            password_hash: "$argon2id$".to_owned(),
            created_at: UnixMillis(1_000),
        },
        profile: profile(id, "First", 1_000),
        subscription: SubscriptionRow {
            account: id,
            plan: "standard".to_owned(),
            standing: Standing::Paid,
            since: UnixMillis(1_000),
        },
    }
}

fn profile(account: AccountId, name: &str, created_at: u64) -> ProfileRow {
    let created_at = UnixMillis(created_at);
    ProfileRow { id: ProfileId(Uuid::new_v4()), account, name: name.to_owned(), created_at }
}

fn token(now: u64) -> NewRefreshRow {
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    NewRefreshRow { hash, issued_at: UnixMillis(now), expires_at: UnixMillis(now + 1_000_000) }
}

async fn opened(ledger: &dyn Ledger) -> NewAccountRow {
    let new = fresh();
    ledger.open_account(&new).await.unwrap();
    new
}

async fn signed_in(ledger: &dyn Ledger, now: u64) -> (SessionRow, NewRefreshRow) {
    let account = opened(ledger).await.account.id;
    let session = SessionRow { session: Uuid::new_v4(), account, began_at: UnixMillis(now) };
    let refresh = token(now);
    ledger.begin_session(&session, &refresh).await.unwrap();
    (session, refresh)
}

async fn an_account_opens_whole_and_once(ledger: &dyn Ledger) {
    let new = opened(ledger).await;
    let id = new.account.id;
    assert!(ledger.account(&id).await.unwrap() == Some(new.account.clone()));
    assert!(
        ledger.account_by_email(&new.account.email).await.unwrap() == Some(new.account.clone())
    );
    assert_eq!(ledger.profiles(&id).await.unwrap(), [new.profile]);
    assert_eq!(ledger.subscription(&id).await.unwrap(), Some(new.subscription));

    let mut clash = fresh();
    clash.account.email = new.account.email;
    assert!(matches!(ledger.open_account(&clash).await, Err(StoreError::Taken(_))));
    assert!(ledger.account(&clash.account.id).await.unwrap().is_none());
    assert!(ledger.profiles(&clash.account.id).await.unwrap().is_empty(), "nothing is left over");
    assert!(ledger.subscription(&AccountId(Uuid::new_v4())).await.unwrap().is_none());
}

async fn one_of_many_gets_the_email(ledger: Arc<dyn Ledger>) {
    let email = format!("{}@example.com", Uuid::new_v4());
    let tries: Vec<_> = (0..8)
        .map(|_| {
            let (ledger, mut new) = (Arc::clone(&ledger), fresh());
            new.account.email.clone_from(&email);
            tokio::spawn(async move { ledger.open_account(&new).await.is_ok() })
        })
        .collect();
    let mut won = 0;
    for one in tries {
        won += usize::from(one.await.unwrap());
    }
    assert_eq!(won, 1);
}

async fn profiles_keep_their_bounds(ledger: &dyn Ledger) {
    let account = opened(ledger).await.account.id;
    let second = profile(account, "Zoë", 2_000);
    ledger.add_profile(&second, 3).await.unwrap();
    let twin = ledger.add_profile(&profile(account, "ZOË", 2_001), 3).await;
    assert!(matches!(twin, Err(StoreError::Taken(_))), "names differ by more than case");
    ledger.add_profile(&profile(account, "Third", 3_000), 3).await.unwrap();
    let full = ledger.add_profile(&profile(account, "Fourth", 4_000), 3).await;
    assert!(matches!(full, Err(StoreError::Refused { .. })));
    let nobody = profile(AccountId(Uuid::new_v4()), "Ghost", 1);
    assert!(matches!(ledger.add_profile(&nobody, 3).await, Err(StoreError::Missing(_))));

    let stranger = opened(ledger).await.account.id;
    let theirs = ledger.remove_profile(&stranger, &second.id).await.unwrap();
    assert_eq!(theirs, ProfileRemoval::Absent, "only the owner removes a profile");
    let all = ledger.profiles(&account).await.unwrap();
    let names: Vec<&str> = all.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["First", "Zoë", "Third"]);
    for row in &all[..2] {
        let removal = ledger.remove_profile(&account, &row.id).await.unwrap();
        assert_eq!(removal, ProfileRemoval::Removed);
    }
    let last = ledger.remove_profile(&account, &all[2].id).await.unwrap();
    assert_eq!(last, ProfileRemoval::LastOne);
    assert_eq!(ledger.profiles(&account).await.unwrap().len(), 1);
}

async fn a_subscription_is_replaced(ledger: &dyn Ledger) {
    let new = opened(ledger).await;
    let lapsed = SubscriptionRow {
        plan: "basic".to_owned(),
        standing: Standing::Lapsed,
        since: UnixMillis(9),
        ..new.subscription
    };
    ledger.put_subscription(&lapsed).await.unwrap();
    assert_eq!(ledger.subscription(&new.account.id).await.unwrap(), Some(lapsed.clone()));
    let nobody = SubscriptionRow { account: AccountId(Uuid::new_v4()), ..lapsed };
    assert!(matches!(ledger.put_subscription(&nobody).await, Err(StoreError::Missing(_))));
}

async fn tokens_rotate_and_reuse_ends_the_session(ledger: &dyn Ledger) {
    let (session, first) = signed_in(ledger, 1_000).await;
    let rotate = async |old: &NewRefreshRow, new: &NewRefreshRow| {
        ledger.rotate_refresh(&old.hash, new, GRACE_MS).await.unwrap()
    };
    let second = token(5_000);
    assert_eq!(rotate(&first, &second).await, Rotation::Rotated(session.clone()));
    // Within the grace the old one still works, and so does what came of it.
    let sibling = token(5_000 + GRACE_MS - 1);
    assert_eq!(rotate(&first, &sibling).await, Rotation::Rotated(session.clone()));
    let third = token(20_000);
    assert_eq!(rotate(&sibling, &third).await, Rotation::Rotated(session.clone()));
    // After it, it ends everything.
    let late = token(5_000 + GRACE_MS);
    assert_eq!(rotate(&first, &late).await, Rotation::Reused(session));
    for dead in [&second, &third, &first] {
        assert_eq!(rotate(dead, &token(21_000)).await, Rotation::Ended);
    }
    assert_eq!(rotate(&late, &token(21_000)).await, Rotation::Unknown, "it was never kept");
}

async fn a_clock_set_back_opens_no_grace_again(ledger: &dyn Ledger) {
    let (session, first) = signed_in(ledger, 100_000).await;
    let rotate = async |old: &NewRefreshRow, new: &NewRefreshRow| {
        ledger.rotate_refresh(&old.hash, new, GRACE_MS).await.unwrap()
    };
    let second = token(500_000);
    assert_eq!(rotate(&first, &second).await, Rotation::Rotated(session.clone()));
    let third = token(500_000 - GRACE_MS);
    assert_eq!(rotate(&second, &third).await, Rotation::Rotated(session.clone()), "the newest one");
    let stolen = token(500_000 - GRACE_MS);
    assert_eq!(rotate(&first, &stolen).await, Rotation::Reused(session));
}

async fn an_ended_session_stays_ended(ledger: &dyn Ledger) {
    let (session, first) = signed_in(ledger, 1_000).await;
    ledger.end_session(&session.session, UnixMillis(2_000)).await.unwrap();
    ledger.end_session(&session.session, UnixMillis(3_000)).await.unwrap();
    let outcome = ledger.rotate_refresh(&first.hash, &token(3_000), GRACE_MS).await.unwrap();
    assert_eq!(outcome, Rotation::Ended);

    let (session, first) = signed_in(ledger, 1_000).await;
    let too_late = ledger.rotate_refresh(&first.hash, &token(1_001_000), GRACE_MS).await.unwrap();
    assert_eq!(too_late, Rotation::Ended, "a token works until just before its end");
    assert_eq!(ledger.end_sessions(&session.account, UnixMillis(4_000)).await.unwrap(), 1);
    assert_eq!(ledger.end_sessions(&session.account, UnixMillis(4_000)).await.unwrap(), 0);

    let (_, old) = signed_in(ledger, 1_000).await;
    assert!(ledger.sweep_refresh(UnixMillis(1_001_001)).await.unwrap() >= 1);
    let swept = ledger.rotate_refresh(&old.hash, &token(2_000), GRACE_MS).await.unwrap();
    assert_eq!(swept, Rotation::Unknown);
}

async fn of_two_racing_tabs_both_go_on(ledger: Arc<dyn Ledger>) {
    let (session, first) = signed_in(ledger.as_ref(), 1_000).await;
    let tabs: Vec<_> = (0..4)
        .map(|_| {
            let (ledger, hash) = (Arc::clone(&ledger), first.hash);
            tokio::spawn(async move { ledger.rotate_refresh(&hash, &token(2_000), GRACE_MS).await })
        })
        .collect();
    for tab in tabs {
        assert_eq!(tab.await.unwrap().unwrap(), Rotation::Rotated(session.clone()));
    }
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

fn site(id: &str, prefixes: &[&str]) -> Site {
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

async fn sites_and_appliances_lean_on_each_other(ledger: &dyn Ledger) {
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

async fn an_isp_s_keys_are_made_and_revoked_one_by_one(ledger: &dyn Ledger) {
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

async fn schedules_are_replaced_and_removed(ledger: &dyn Ledger) {
    let nightly = |id: &str, start: &str| WindowSchedule {
        id: id.parse().unwrap(),
        scope: WindowScope::Everyone,
        start: start.to_owned(),
        length_ms: 60_000,
        days: vec![Weekday::Mon],
        time_zone: "Europe/Lisbon".to_owned(),
        except: vec!["2026-12-24".to_owned()],
        rate_bps_max: Some(7),
        bytes_max: None,
    };
    ledger.put_schedule(&nightly("s-two", "02:00")).await.unwrap();
    ledger.put_schedule(&nightly("s-one", "02:00")).await.unwrap();
    ledger.put_schedule(&nightly("s-two", "03:00")).await.unwrap();
    let (one, two) = (nightly("s-one", "02:00"), nightly("s-two", "03:00"));
    assert_eq!(ledger.schedules().await.unwrap(), [one.clone(), two.clone()]);
    assert!(ledger.remove_schedule(&one.id).await.unwrap());
    assert!(!ledger.remove_schedule(&one.id).await.unwrap());
    assert_eq!(ledger.schedules().await.unwrap(), [two]);
}

async fn windows_close_once_and_keep_their_name(ledger: &dyn Ledger) {
    let window = |id: &str, scope: WindowScope, opens_at: u64, closes_at: u64| Window {
        id: id.parse().unwrap(),
        scope,
        opens_at: UnixMillis(opens_at),
        closes_at: UnixMillis(closes_at),
        rate_bps_max: Some(1_200_000_000),
        bytes_max: None,
        closed: false,
    };
    let late = window("w-late", WindowScope::Site("site-a".parse().unwrap()), 300, 400);
    let early = window("w-early", WindowScope::Everyone, 100, 200);
    ledger.add_window(&late).await.unwrap();
    ledger.add_window(&early).await.unwrap();
    assert!(matches!(ledger.add_window(&early).await, Err(StoreError::Taken(_))));
    assert_eq!(ledger.windows(UnixMillis(0)).await.unwrap(), [early.clone(), late.clone()]);
    assert_eq!(ledger.windows(UnixMillis(200)).await.unwrap(), std::slice::from_ref(&late));
    let closed = ledger.close_window(&late.id).await.unwrap().unwrap();
    assert_eq!(closed, Window { closed: true, ..late.clone() });
    assert_eq!(ledger.close_window(&late.id).await.unwrap(), Some(closed.clone()));
    assert_eq!(ledger.windows(UnixMillis(200)).await.unwrap(), [closed], "readers see it too");
    assert_eq!(ledger.close_window(&"no-window".parse().unwrap()).await.unwrap(), None);
}

async fn a_plan_only_rises(ledger: &dyn Ledger) {
    let plan = |serial: u64, appliances: &[&str]| NightPlan {
        id: PlanId(Uuid::new_v4()),
        serial,
        made_at: UnixMillis(serial * 10),
        appliances: appliances
            .iter()
            .map(|id| AppliancePlan {
                appliance: id.parse().unwrap(),
                pulls: Vec::new(),
                prunes: vec![control_types::ObjectId([7; 32])],
                moves: Vec::new(),
                rate: None,
            })
            .collect(),
    };
    assert_eq!(ledger.plan().await.unwrap(), None);
    let second = plan(2, &["edge-b", "edge-a"]);
    assert_eq!(ledger.put_plan(&second).await.unwrap(), PlanPut::Stored);
    assert_eq!(ledger.plan().await.unwrap(), Some(second.clone()), "parts keep their order");
    for stale in [1, 2] {
        let put = ledger.put_plan(&plan(stale, &[])).await.unwrap();
        assert_eq!(put, PlanPut::Stale { serial: 2 });
    }
    assert_eq!(ledger.plan().await.unwrap(), Some(second));
    let empty = plan(3, &[]);
    assert_eq!(ledger.put_plan(&empty).await.unwrap(), PlanPut::Stored);
    assert_eq!(ledger.plan().await.unwrap(), Some(empty));
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
    assert_eq!(ledger.plan().await.unwrap().map(|plan| plan.serial), Some(3));
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
