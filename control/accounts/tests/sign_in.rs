//! Opening accounts and signing in: who gets in, who does not, and how often they may try.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod bench;

use std::net::IpAddr;
use std::sync::Arc;

use bench::{Bench, NOW, PASSWORD, cheap, home, new_member};
use control_accounts::{AccountsError, Settings};
use control_types::accounts::{SignIn, SignUp};

#[tokio::test]
async fn a_new_member_is_signed_in_with_one_profile_and_the_first_plan() {
    let bench = Bench::new().await;
    let session = bench.sign_up(" Ann@Example.com ").await;
    let account = session.account;
    assert_eq!(account.email, "ann@example.com");
    assert_eq!(account.plan, "standard");
    assert_eq!(account.profiles.len(), 1);
    assert_eq!(account.profiles[0].name, "Ann");
    let access = bench.accounts.verify_access(&session.access_token, NOW).unwrap();
    assert_eq!(access.account, account.id);
    assert_eq!(bench.accounts.account(&account.id).await.unwrap(), account);
    let again = bench.sign_in("ANN@example.com", PASSWORD).await.unwrap();
    assert_eq!(again.account, account);
    assert_eq!(bench.told().await, ["signed_up", "signed_in"]);
}

#[tokio::test]
async fn nothing_secret_is_kept_or_told() {
    let bench = Bench::new().await;
    let session = bench.sign_up("ann@example.com").await;
    // Read while all is open: what is written stands in the files or their logs, and none of them
    // is taken away by somebody closing it while we look.
    let mut looked_at = 0;
    let mut folders = vec![bench.state.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            looked_at += 1;
            let bytes = std::fs::read(entry.path()).unwrap();
            for secret in [PASSWORD, &session.refresh_token, &session.access_token] {
                let held = bytes.windows(secret.len()).any(|at| at == secret.as_bytes());
                assert!(!held, "{} holds a secret", entry.path().display());
            }
        }
    }
    assert!(looked_at > 3, "only {looked_at} files were there to look at");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_email_read_the_same() {
    let bench = Bench::new().await;
    bench.sign_up("ann@example.com").await;
    for (email, password) in [
        ("ann@example.com", "wrong horse battery"),
        ("bob@example.com", PASSWORD),
        ("not an email", PASSWORD),
        ("ann@example.com", "short"),
        ("ann@example.com", &"x".repeat(100_000)),
    ] {
        let error = bench.sign_in(email, password).await.err().unwrap();
        assert!(matches!(error, AccountsError::BadCredentials), "{email}: {error:?}");
    }
}

/// An unknown email must cost a hash too, or the answer's time would tell it apart. With one slot
/// and no queue, of two such sign-ins at once one finds the slot taken.
#[tokio::test]
async fn an_unknown_email_goes_through_the_same_hash() {
    let settings = Settings { hashing_max: 1, hashing_queue_max: 0, ..Settings::default() };
    let bench = Bench::with(settings).await;
    let (one, two) = tokio::join!(
        bench.sign_in("nobody@example.com", PASSWORD),
        bench.sign_in("no-one@example.com", PASSWORD)
    );
    let busy = |answer: &Result<_, AccountsError>| matches!(answer, Err(AccountsError::Busy));
    assert_eq!(usize::from(busy(&one)) + usize::from(busy(&two)), 1);
}

#[tokio::test]
async fn an_email_has_one_account() {
    let bench = Bench::new().await;
    bench.sign_up("ann@example.com").await;
    let twin = bench.accounts.sign_up(&new_member("Ann@EXAMPLE.com"), home(), NOW).await;
    assert!(matches!(twin, Err(AccountsError::EmailTaken)));

    let racers: Vec<_> = (0..6)
        .map(|_| {
            let accounts = Arc::clone(&bench.accounts);
            tokio::spawn(async move {
                accounts.sign_up(&new_member("race@example.com"), home(), NOW).await
            })
        })
        .collect();
    let mut won = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(matches!(error, AccountsError::EmailTaken), "{error:?}"),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn what_cannot_be_an_account_is_refused_by_name() {
    let bench = Bench::new().await;
    let good = new_member("ann@example.com");
    for (given, field) in [
        (SignUp { email: "ann".to_owned(), ..good.clone() }, "email"),
        (SignUp { password: "short".to_owned(), ..good.clone() }, "password"),
        (SignUp { password: "x".repeat(257), ..good.clone() }, "password"),
        (SignUp { profile_name: " ".to_owned(), ..good.clone() }, "profile name"),
    ] {
        let error = bench.accounts.sign_up(&given, home(), NOW).await.err().unwrap();
        assert!(matches!(&error, AccountsError::Invalid(why) if why.starts_with(field)), "{error}");
    }
    assert!(bench.told().await.is_empty());
}

#[tokio::test]
async fn guessing_is_slowed_for_the_guesser_only() {
    let bench = Bench::with(Settings { attempts_by_pair_max: 3, ..cheap() }).await;
    bench.sign_up("ann@example.com").await;
    bench.sign_up("bob@example.com").await;
    for _ in 0..3 {
        let wrong = bench.sign_in("ann@example.com", "a wrong guess").await;
        assert!(matches!(wrong, Err(AccountsError::BadCredentials)));
    }
    let error = bench.sign_in("ann@example.com", PASSWORD).await.err().unwrap();
    assert!(matches!(error, AccountsError::TooMany { retry_ms } if retry_ms > 0), "{error:?}");
    // Neither the member elsewhere nor another member here pays for it.
    let given = SignIn { email: "ann@example.com".to_owned(), password: PASSWORD.to_owned() };
    let elsewhere: IpAddr = "203.0.113.9".parse().unwrap();
    bench.accounts.sign_in(&given, elsewhere, NOW).await.unwrap();
    bench.sign_in("bob@example.com", PASSWORD).await.unwrap();
    bench.wait(bench.settings.attempts_window_ms);
    bench.sign_in("ann@example.com", PASSWORD).await.unwrap();
    // A success forgets the failures before it.
    for _ in 0..3 {
        assert!(bench.sign_in("ann@example.com", "a wrong guess").await.is_err());
        bench.sign_in("ann@example.com", PASSWORD).await.unwrap();
    }
}

#[tokio::test]
async fn one_address_cannot_try_many_emails_or_open_many_accounts() {
    let settings = Settings { attempts_by_address_max: 4, sign_ups_by_address_max: 2, ..cheap() };
    let bench = Bench::with(settings).await;
    for number in 0..6 {
        let error = bench.sign_in(&format!("m{number}@example.com"), PASSWORD).await.err().unwrap();
        let refused = matches!(error, AccountsError::TooMany { .. });
        assert_eq!(refused, number >= 4, "attempt {number}: {error:?}");
    }
    for number in 0..3 {
        let member = new_member(&format!("m{number}@example.com"));
        let opened = bench.accounts.sign_up(&member, home(), NOW).await;
        assert_eq!(opened.is_ok(), number < 2, "account {number}");
    }
}
