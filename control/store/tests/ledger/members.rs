//! What any ledger must do with accounts, profiles, plans and sessions.

use std::sync::Arc;

use control_store::ledger::{
    AccountRow, NewAccountRow, NewRefreshRow, ProfileRemoval, ProfileRow, Rotation, SessionRow,
    Standing, SubscriptionRow,
};
use control_store::{Ledger, StoreError};
use control_types::{AccountId, ProfileId, UnixMillis};
use uuid::Uuid;

const GRACE_MS: u64 = 10_000;

pub fn fresh() -> NewAccountRow {
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

pub async fn opened(ledger: &dyn Ledger) -> NewAccountRow {
    let new = fresh();
    ledger.open_account(&new).await.unwrap();
    new
}

pub async fn signed_in(ledger: &dyn Ledger, now: u64) -> (SessionRow, NewRefreshRow) {
    let account = opened(ledger).await.account.id;
    let session = SessionRow { session: Uuid::new_v4(), account, began_at: UnixMillis(now) };
    let refresh = token(now);
    ledger.begin_session(&session, &refresh).await.unwrap();
    (session, refresh)
}

pub async fn an_account_opens_whole_and_once(ledger: &dyn Ledger) {
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

pub async fn one_of_many_gets_the_email(ledger: Arc<dyn Ledger>) {
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

pub async fn profiles_keep_their_bounds(ledger: &dyn Ledger) {
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

pub async fn a_subscription_is_replaced(ledger: &dyn Ledger) {
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

pub async fn tokens_rotate_and_reuse_ends_the_session(ledger: &dyn Ledger) {
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

pub async fn a_clock_set_back_opens_no_grace_again(ledger: &dyn Ledger) {
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

pub async fn an_ended_session_stays_ended(ledger: &dyn Ledger) {
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

pub async fn of_two_racing_tabs_both_go_on(ledger: Arc<dyn Ledger>) {
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
