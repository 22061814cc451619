//! Billing over the real ledger.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use control_billing::{Billing, BillingError, FIRST_PLAN, TOPIC, Verdict};
use control_store::ledger::{AccountRow, NewAccountRow, ProfileRow, Standing, SubscriptionRow};
use control_store::{Offset, Ports, open_embedded};
use control_types::accounts::ChoosePlan;
use control_types::{AccountId, ProfileId, UnixMillis};

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

/// An account whose email, ids and all come from one number.
async fn account(ports: &Ports, number: u128) -> AccountId {
    let id: AccountId = format!("{number:032x}").parse().unwrap();
    let profile: ProfileId = format!("{:032x}", number + 1_000).parse().unwrap();
    let new = NewAccountRow {
        account: AccountRow {
            id,
            email: format!("member{number}@example.com"),
            password_hash: String::new(),
            created_at: NOW,
        },
        profile: ProfileRow { id: profile, account: id, name: "One".to_owned(), created_at: NOW },
        subscription: SubscriptionRow {
            account: id,
            plan: FIRST_PLAN.to_owned(),
            standing: Standing::Paid,
            since: NOW,
        },
    };
    ports.ledger.open_account(&new).await.unwrap();
    id
}

fn choose(plan: &str) -> ChoosePlan {
    ChoosePlan { plan: plan.to_owned() }
}

#[tokio::test]
async fn a_plan_bounds_streams_and_height_and_can_be_changed() {
    let state = tempfile::tempdir().unwrap();
    let ports = open_embedded(state.path()).await.unwrap();
    let billing = Billing::new(ports.ledger.clone(), ports.events.clone());
    let (one, other) = (account(&ports, 1).await, account(&ports, 2).await);

    let Verdict::Entitled(entitled) = billing.may_play(&one, 1).await.unwrap() else {
        panic!("a second stream is within standard")
    };
    assert_eq!((entitled.plan.as_str(), entitled.height_max), ("standard", 1080));
    let third = billing.may_play(&one, 2).await.unwrap();
    assert_eq!(third, Verdict::TooManyStreams { streams_max: 2 });

    let plan = billing.change_plan(&one, &choose("premium"), NOW).await.unwrap();
    assert_eq!((plan.name.as_str(), plan.streams_max, plan.height_max), ("premium", 4, 2160));
    assert!(matches!(billing.may_play(&one, 3).await.unwrap(), Verdict::Entitled(_)));
    assert_eq!(billing.plan_of(&one).await.unwrap(), plan);
    assert_eq!(billing.plan_of(&other).await.unwrap().name, "standard", "only the one changed");

    billing.change_plan(&one, &choose("premium"), NOW).await.unwrap();
    let events = ports.events.read(TOPIC, Offset(0), 10).await.unwrap();
    assert_eq!(events.len(), 1, "choosing the same plan is no change");
    assert_eq!(events[0].body["from"], "standard");
    assert_eq!(events[0].body["to"], "premium");
}

#[tokio::test]
async fn an_unpaid_account_may_not_play_until_it_is_paid() {
    let state = tempfile::tempdir().unwrap();
    let ports = open_embedded(state.path()).await.unwrap();
    let billing = Billing::new(ports.ledger.clone(), ports.events.clone());
    let one = account(&ports, 1).await;
    billing.set_standing(&one, Standing::Lapsed, NOW).await.unwrap();
    assert_eq!(billing.may_play(&one, 0).await.unwrap(), Verdict::PaymentRequired);
    billing.change_plan(&one, &choose("basic"), NOW).await.unwrap();
    assert_eq!(billing.may_play(&one, 0).await.unwrap(), Verdict::PaymentRequired);
    billing.set_standing(&one, Standing::Paid, NOW).await.unwrap();
    assert!(matches!(billing.may_play(&one, 0).await.unwrap(), Verdict::Entitled(_)));
}

#[tokio::test]
async fn what_is_not_sold_and_who_is_not_there_are_named() {
    let state = tempfile::tempdir().unwrap();
    let ports = open_embedded(state.path()).await.unwrap();
    let billing = Billing::new(ports.ledger.clone(), ports.events.clone());
    let one = account(&ports, 1).await;
    let error = billing.change_plan(&one, &choose("platinum"), NOW).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no plan \"platinum\"; choose one of basic, standard, premium"
    );
    let nobody: AccountId = format!("{:032x}", 9).parse().unwrap();
    for refused in [
        billing.may_play(&nobody, 0).await.map(|_| ()),
        billing.change_plan(&nobody, &choose("basic"), NOW).await.map(|_| ()),
        billing.set_standing(&nobody, Standing::Paid, NOW).await,
    ] {
        assert!(matches!(refused, Err(BillingError::NoAccount(id)) if id == nobody));
    }
}

#[tokio::test]
async fn a_plan_chosen_at_the_moment_of_lapsing_undoes_nothing() {
    let state = tempfile::tempdir().unwrap();
    let ports = open_embedded(state.path()).await.unwrap();
    let billing = Billing::new(ports.ledger.clone(), ports.events.clone());
    for number in 1..=20 {
        let one = account(&ports, number).await;
        let plan = choose("premium");
        let (changed, lapsed) = tokio::join!(
            billing.change_plan(&one, &plan, NOW),
            billing.set_standing(&one, Standing::Lapsed, NOW),
        );
        changed.unwrap();
        lapsed.unwrap();
        let verdict = billing.may_play(&one, 0).await.unwrap();
        assert_eq!(verdict, Verdict::PaymentRequired, "account {number}");
        assert_eq!(billing.plan_of(&one).await.unwrap().name, "premium", "account {number}");
    }
}
