//! Profiles of an account: their bounds, their names, whose they are.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod bench;

use bench::{Bench, NOW};
use control_accounts::AccountsError;
use control_types::AccountId;
use control_types::accounts::NewProfile;

fn named(name: &str) -> NewProfile {
    NewProfile { name: name.to_owned() }
}

#[tokio::test]
async fn an_account_has_one_to_five_profiles() {
    let bench = Bench::new().await;
    let account = bench.sign_up("ann@example.com").await.account.id;
    for name in ["Bo", "Cy", "Di", "Ed"] {
        bench.accounts.add_profile(&account, &named(name), NOW).await.unwrap();
    }
    let sixth = bench.accounts.add_profile(&account, &named("Fi"), NOW).await.unwrap_err();
    assert!(matches!(sixth, AccountsError::ProfilesFull { count_max: 5 }));
    let all = bench.accounts.profiles(&account).await.unwrap();
    let names: Vec<&str> = all.iter().map(|profile| profile.name.as_str()).collect();
    assert_eq!(names.len(), 5);
    assert_eq!(names[0], "Ann", "the first one stays first");
    for profile in &all[1..] {
        bench.accounts.remove_profile(&account, &profile.id, NOW).await.unwrap();
    }
    let last = bench.accounts.remove_profile(&account, &all[0].id, NOW).await.unwrap_err();
    assert!(matches!(last, AccountsError::LastProfile));
    let told = bench.told().await;
    assert_eq!(told.iter().filter(|word| *word == "profile_removed").count(), 4);
}

#[tokio::test]
async fn names_are_trimmed_bounded_and_unique() {
    let bench = Bench::new().await;
    let account = bench.sign_up("ann@example.com").await.account.id;
    let zoe = bench.accounts.add_profile(&account, &named("  Zoë "), NOW).await.unwrap();
    assert_eq!(zoe.name, "Zoë");
    for twin in ["zoë", "ZOË", " Zoë", "ann"] {
        let error = bench.accounts.add_profile(&account, &named(twin), NOW).await.unwrap_err();
        assert!(matches!(error, AccountsError::NameTaken), "{twin}: {error:?}");
    }
    for bad in ["", "  ", "a\nb", &"x".repeat(41)] {
        let error = bench.accounts.add_profile(&account, &named(bad), NOW).await.unwrap_err();
        assert!(matches!(error, AccountsError::Invalid(_)), "{bad}: {error:?}");
    }
    // Another account's names are its own affair.
    let other = bench.sign_up("bob@example.com").await.account.id;
    bench.accounts.add_profile(&other, &named("Zoë"), NOW).await.unwrap();
}

#[tokio::test]
async fn a_profile_is_reached_through_its_own_account_only() {
    let bench = Bench::new().await;
    let ann = bench.sign_up("ann@example.com").await.account;
    let bob = bench.sign_up("bob@example.com").await.account;
    let (anns, bobs) = (&ann.profiles[0], &bob.profiles[0]);
    assert_eq!(&bench.accounts.profile(&ann.id, &anns.id).await.unwrap(), anns);
    let strange = bench.accounts.profile(&ann.id, &bobs.id).await.unwrap_err();
    assert!(matches!(strange, AccountsError::NoProfile));
    let strange = bench.accounts.remove_profile(&ann.id, &bobs.id, NOW).await.unwrap_err();
    assert!(matches!(strange, AccountsError::NoProfile));
    assert_eq!(bench.accounts.profiles(&bob.id).await.unwrap().len(), 1);

    let nobody: AccountId = format!("{:032x}", 9).parse().unwrap();
    let ghost = bench.accounts.add_profile(&nobody, &named("Ghost"), NOW).await.unwrap_err();
    assert!(matches!(ghost, AccountsError::NoAccount));
    assert!(matches!(bench.accounts.account(&nobody).await, Err(AccountsError::NoAccount)));
}
