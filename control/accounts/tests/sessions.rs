//! Sessions from sign-in to their end: rotation, theft, signing out, restarts, forged tokens.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod bench;

use bench::{Bench, NOW, cheap};
use control_accounts::{AccountsError, Settings};
use control_types::UnixMillis;
use control_types::accounts::Session;

fn later(millis: u64) -> UnixMillis {
    NOW.plus_millis(millis)
}

async fn refreshed(bench: &Bench, token: &str, at_ms: u64) -> Session {
    bench.accounts.refresh(token, later(at_ms)).await.unwrap()
}

async fn is_over(bench: &Bench, token: &str, at_ms: u64) -> bool {
    match bench.accounts.refresh(token, later(at_ms)).await {
        Ok(_) => false,
        Err(error) => {
            assert!(matches!(error, AccountsError::SessionEnded), "{error:?}");
            true
        }
    }
}

#[tokio::test]
async fn a_session_lives_as_long_as_it_is_refreshed() {
    let bench = Bench::new().await;
    let mut session = bench.sign_up("ann@example.com").await;
    let step_ms = bench.settings.refresh_ms - 1;
    for round in 1..=4 {
        let next = refreshed(&bench, &session.refresh_token, round * step_ms).await;
        assert_ne!(next.refresh_token, session.refresh_token);
        assert_eq!(next.account, session.account);
        let now = later(round * step_ms);
        assert!(bench.accounts.verify_access(&next.access_token, now).is_ok());
        session = next;
    }
    let unused = 4 * step_ms + bench.settings.refresh_ms;
    assert!(is_over(&bench, &session.refresh_token, unused).await);
}

#[tokio::test]
async fn an_access_token_ends_when_it_says() {
    let bench = Bench::new().await;
    let session = bench.sign_up("ann@example.com").await;
    let end = session.access_expires_at;
    assert_eq!(end, later(bench.settings.access_ms));
    let just_before = UnixMillis(end.0 - 1);
    let access = bench.accounts.verify_access(&session.access_token, just_before).unwrap();
    assert_eq!(access.expires_at, end);
    let over = bench.accounts.verify_access(&session.access_token, end);
    assert!(matches!(over, Err(AccountsError::BadToken)));
}

#[tokio::test]
async fn two_tabs_that_wake_at_once_both_go_on() {
    let bench = Bench::new().await;
    let session = bench.sign_up("ann@example.com").await;
    let (one, two) = tokio::join!(
        refreshed(&bench, &session.refresh_token, 1_000),
        refreshed(&bench, &session.refresh_token, 1_000)
    );
    assert_ne!(one.refresh_token, two.refresh_token);
    let hour = 3_600_000;
    refreshed(&bench, &one.refresh_token, hour).await;
    refreshed(&bench, &two.refresh_token, hour).await;
}

#[tokio::test]
async fn a_stolen_token_ends_the_session_for_thief_and_member() {
    let bench = Bench::new().await;
    let session = bench.sign_up("ann@example.com").await;
    let other_device = bench.sign_in("ann@example.com", bench::PASSWORD).await.unwrap();
    let members = refreshed(&bench, &session.refresh_token, 1_000).await;
    let too_late = 1_000 + bench.settings.refresh_grace_ms;
    assert!(is_over(&bench, &session.refresh_token, too_late).await, "the thief's copy");
    assert!(is_over(&bench, &members.refresh_token, too_late).await, "the member signs in again");
    let access = bench.accounts.verify_access(&members.access_token, later(too_late));
    assert!(matches!(access, Err(AccountsError::BadToken)), "at once, not after 15 minutes");
    assert!(bench.told().await.contains(&"token_reused".to_owned()));
    refreshed(&bench, &other_device.refresh_token, too_late).await;
}

#[tokio::test]
async fn without_a_grace_the_second_use_is_the_last() {
    let bench = Bench::with(Settings { refresh_grace_ms: 0, ..cheap() }).await;
    let session = bench.sign_up("ann@example.com").await;
    let next = refreshed(&bench, &session.refresh_token, 1_000).await;
    assert!(is_over(&bench, &session.refresh_token, 1_000).await);
    assert!(is_over(&bench, &next.refresh_token, 1_000).await);
}

#[tokio::test]
async fn signing_out_ends_this_session_only() {
    let bench = Bench::new().await;
    let session = bench.sign_up("ann@example.com").await;
    let other = bench.sign_in("ann@example.com", bench::PASSWORD).await.unwrap();
    let access = bench.accounts.verify_access(&session.access_token, NOW).unwrap();
    bench.accounts.sign_out(&access, NOW).await.unwrap();
    bench.accounts.sign_out(&access, NOW).await.unwrap();
    assert!(bench.accounts.verify_access(&session.access_token, NOW).is_err());
    assert!(is_over(&bench, &session.refresh_token, 1_000).await);
    assert!(bench.accounts.verify_access(&other.access_token, NOW).is_ok());
    refreshed(&bench, &other.refresh_token, 1_000).await;
}

#[tokio::test]
async fn tokens_outlive_the_process_that_made_them() {
    let bench = Bench::new().await;
    let session = bench.sign_up("ann@example.com").await;
    let restarted = bench.another().await;
    let access = restarted.verify_access(&session.access_token, NOW).unwrap();
    assert_eq!(access.account, session.account.id);
    restarted.refresh(&session.refresh_token, later(1_000)).await.unwrap();
}

#[tokio::test]
async fn what_is_not_our_token_is_refused() {
    let bench = Bench::new().await;
    let session = bench.sign_up("ann@example.com").await;
    let token = session.access_token;
    let refused = |token: &str| {
        let answer = bench.accounts.verify_access(token, NOW);
        assert!(matches!(answer, Err(AccountsError::BadToken)), "{token}: {answer:?}");
    };
    // Every character counts, but for the unused low bits at the end of each base64 part.
    for place in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'Q' } else { b'A' };
        refused(std::str::from_utf8(&bytes).unwrap());
    }
    let parts: Vec<&str> = token.split('.').collect();
    // {"alg":"none"} and {"alg":"HS256","kid":…} are the classic ways in.
    refused(&format!("eyJhbGciOiJub25lIn0.{}.", parts[1]));
    refused(&format!("eyJhbGciOiJIUzI1NiJ9.{}.{}", parts[1], parts[2]));
    for malformed in ["", ".", "..", "a.b.c", &parts[..2].join("."), &"x".repeat(1 << 20)] {
        refused(malformed);
    }
    // Another installation has another key.
    let stranger = Bench::new().await;
    let theirs = stranger.sign_up("ann@example.com").await;
    refused(&theirs.access_token);
    for unknown in ["", "x", &theirs.refresh_token, &"A".repeat(1 << 20)] {
        assert!(is_over(&bench, unknown, 0).await);
    }
    refreshed(&bench, &session.refresh_token, 1_000).await;
}

#[tokio::test]
async fn what_is_long_over_is_swept() {
    let bench = Bench::new().await;
    let session = bench.sign_up("ann@example.com").await;
    let day = 24 * 3_600_000;
    assert_eq!(bench.accounts.sweep(later(bench.settings.refresh_ms)).await.unwrap(), 0);
    let swept = bench.accounts.sweep(later(bench.settings.refresh_ms + day + 1)).await.unwrap();
    assert_eq!(swept, 1);
    assert!(is_over(&bench, &session.refresh_token, 0).await);
}
