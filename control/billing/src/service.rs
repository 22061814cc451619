//! Billing over the ledger: look up the subscription, apply the rule, record changes. Holds no
//! state of its own.

use std::sync::Arc;

use control_store::ledger::{MembersLedger, Standing, SubscriptionRow};
use control_store::{Events, StoreError};
use control_types::accounts::{ChoosePlan, Plan};
use control_types::{AccountId, UnixMillis};
use serde_json::json;
use tokio::sync::Mutex;
use tracing::warn;

use crate::error::BillingError;
use crate::model::{self, Verdict};

/// Topic of `plan_changed` and `standing_changed`.
pub const TOPIC: &str = "billing";

/// The service; cheap to clone through an `Arc`.
pub struct Billing {
    ledger: Arc<dyn MembersLedger>,
    events: Arc<dyn Events>,
    /// Held over "read the subscription, write it back": a member who changes plan while the
    /// collector marks the account lapsed must not be paid again by it.
    changing: Mutex<()>,
}

impl Billing {
    /// Over these ports.
    #[must_use]
    pub fn new(ledger: Arc<dyn MembersLedger>, events: Arc<dyn Events>) -> Self {
        Self { ledger, events, changing: Mutex::new(()) }
    }

    /// What is sold, cheapest first.
    #[must_use]
    pub fn plans(&self) -> Vec<Plan> {
        model::plans()
    }

    /// The account's plan.
    ///
    /// # Errors
    /// `NoAccount`, `Store`.
    pub async fn plan_of(&self, account: &AccountId) -> Result<Plan, BillingError> {
        let subscription = self.subscription(account).await?;
        sold(&subscription)
    }

    /// Whether the account may start one more stream beside `live_streams` under way.
    ///
    /// # Errors
    /// `NoAccount`, `Store`.
    pub async fn may_play(
        &self,
        account: &AccountId,
        live_streams: u32,
    ) -> Result<Verdict, BillingError> {
        let subscription = self.subscription(account).await?;
        let plan = sold(&subscription)?;
        Ok(model::judge(&plan, subscription.standing, live_streams))
    }

    /// Moves the account to another plan at once; choosing the present one changes nothing.
    ///
    /// # Errors
    /// `NoPlan`, `NoAccount`, `Store`.
    pub async fn change_plan(
        &self,
        account: &AccountId,
        choice: &ChoosePlan,
        now: UnixMillis,
    ) -> Result<Plan, BillingError> {
        let Some(plan) = model::plan(&choice.plan) else {
            let known: Vec<String> = model::plans().into_iter().map(|plan| plan.name).collect();
            let name = choice.plan.chars().take(40).collect();
            return Err(BillingError::NoPlan { name, known: known.join(", ") });
        };
        let _turn = self.changing.lock().await;
        let before = self.subscription(account).await?;
        if before.plan == plan.name {
            return Ok(plan);
        }
        let after = SubscriptionRow { plan: plan.name.clone(), since: now, ..before.clone() };
        self.ledger.put_subscription(&after).await?;
        let body = json!({"event": "plan_changed", "account": account,
            "from": before.plan, "to": plan.name});
        self.tell(now, &body).await;
        Ok(plan)
    }

    /// Marks the account as paid or lapsed: the door for whoever collects the money.
    ///
    /// # Errors
    /// `NoAccount`, `Store`.
    pub async fn set_standing(
        &self,
        account: &AccountId,
        standing: Standing,
        now: UnixMillis,
    ) -> Result<(), BillingError> {
        let _turn = self.changing.lock().await;
        let before = self.subscription(account).await?;
        if before.standing == standing {
            return Ok(());
        }
        self.ledger.put_subscription(&SubscriptionRow { standing, since: now, ..before }).await?;
        let word = match standing {
            Standing::Paid => "paid",
            Standing::Lapsed => "lapsed",
        };
        let body = json!({"event": "standing_changed", "account": account, "to": word});
        self.tell(now, &body).await;
        Ok(())
    }

    async fn subscription(&self, account: &AccountId) -> Result<SubscriptionRow, BillingError> {
        self.ledger.subscription(account).await?.ok_or(BillingError::NoAccount(*account))
    }

    /// The change stands in the ledger already: a log that is away must not make it look undone.
    async fn tell(&self, now: UnixMillis, body: &serde_json::Value) {
        if let Err(error) = self.events.append(TOPIC, now, body).await {
            warn!(topic = TOPIC, %error, "an event was not recorded");
        }
    }
}

/// A subscription names a plan that was sold when it was made; plans are not taken off the list
/// while anyone holds them.
fn sold(subscription: &SubscriptionRow) -> Result<Plan, BillingError> {
    model::plan(&subscription.plan).ok_or_else(|| {
        BillingError::Store(StoreError::Damaged {
            what: format!("the subscription of account {}", subscription.account),
            why: format!("it names plan {:?}, which is not sold", subscription.plan),
        })
    })
}
