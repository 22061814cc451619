//! The stores' calls that a press of play and a player's report wait for, each behind its guard,
//! and what is done without an answer. Holds no rule of the services it asks.

use std::sync::Arc;
use std::time::Duration;

use control_accounts::AccountsError;
use control_billing::{BillingError, Verdict};
use control_history::HistoryError;
use control_store::{PlayRow, StoreError};
use control_types::play::PlayEvent;
use control_types::{AccountId, ErrorWord, ProfileId};

use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::guard::{Guard, Missed};
use crate::limits::{
    LEDGER_MS_MAX, LEDGER_PATIENT_MS_MAX, PATIENCE_MS_MAX, RESUME_MS_MAX, WRITE_MS_MAX,
};

/// One guard for each kind of call: a store whose writes hang may still read.
pub(crate) struct Guards {
    profiles: Guard,
    plans: Guard,
    resume: Guard,
    plays: Guard,
    positions: Guard,
    log: Guard,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            profiles: Guard::new("profiles", LEDGER_MS_MAX, PATIENCE_MS_MAX),
            plans: Guard::new("plans", LEDGER_MS_MAX, PATIENCE_MS_MAX),
            resume: Guard::new("resume", RESUME_MS_MAX, PATIENCE_MS_MAX),
            plays: Guard::new("plays", WRITE_MS_MAX, PATIENCE_MS_MAX),
            positions: Guard::new("positions", WRITE_MS_MAX, PATIENCE_MS_MAX),
            log: Guard::new("log", WRITE_MS_MAX, PATIENCE_MS_MAX),
        }
    }
}

impl Guards {
    /// All of them, for metrics.
    pub fn each(&self) -> [&Guard; 6] {
        [&self.profiles, &self.plans, &self.resume, &self.plays, &self.positions, &self.log]
    }
}

fn is_store_away(error: &StoreError) -> bool {
    matches!(error, StoreError::Away { .. })
}

/// Refuses a profile of somebody else. A ledger that is late is not waited for when the profile is
/// known to be the account's.
pub(crate) async fn owned(
    gateway: &Gateway,
    account: &AccountId,
    profile: &ProfileId,
) -> Result<(), Refusal> {
    let accounts = gateway.services().accounts.clone();
    let (account, profile) = (*account, *profile);
    let asked = async move { accounts.profile(&account, &profile).await };
    if !gateway.remembered().owns(&profile, &account) {
        let patience = Duration::from_millis(LEDGER_PATIENT_MS_MAX);
        let Ok(answer) = tokio::time::timeout(patience, asked).await else {
            let message = "accounts did not answer; try again in a moment";
            return Err(Refusal::new(ErrorWord::Unavailable, message));
        };
        answer?;
        gateway.remembered().saw_profile(profile, account);
        return Ok(());
    }
    match gateway.guards().profiles.ask(asked, is_accounts_away).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            if matches!(error, AccountsError::NoProfile) {
                gateway.remembered().forget_profile(profile);
            }
            Err(error.into())
        }
        Err(missed) => {
            count(gateway, &gateway.guards().profiles, missed);
            Ok(())
        }
    }
}

/// What billing says, or what it last said.
pub(crate) async fn verdict(
    gateway: &Gateway,
    account: &AccountId,
    live: u32,
) -> Result<Verdict, Refusal> {
    let (billing, account) = (gateway.services().billing.clone(), *account);
    let asked = async move { billing.may_play(&account, live).await };
    match gateway.guards().plans.ask(asked, is_billing_away).await {
        Ok(answer) => {
            let verdict = answer?;
            gateway.remembered().saw_verdict(account, &verdict);
            Ok(verdict)
        }
        Err(missed) => {
            count(gateway, &gateway.guards().plans, missed);
            Ok(gateway.remembered().verdict(&gateway.services().billing, &account, live))
        }
    }
}

/// Tallest rendition of the account's plan; every one when nobody knows: the play is under way.
pub(crate) async fn height_max(gateway: &Gateway, account: &AccountId) -> u32 {
    let (billing, account) = (gateway.services().billing.clone(), *account);
    let asked = async move { billing.plan_of(&account).await };
    match gateway.guards().plans.ask(asked, is_billing_away).await {
        Ok(Ok(plan)) => return plan.height_max,
        Ok(Err(error)) => tracing::warn!(%error, "no plan for a play under way"),
        Err(missed) => count(gateway, &gateway.guards().plans, missed),
    }
    gateway.remembered().height_max(&account).unwrap_or(u32::MAX)
}

fn is_accounts_away(error: &AccountsError) -> bool {
    matches!(error, AccountsError::Store(error) if is_store_away(error))
}

fn is_billing_away(error: &BillingError) -> bool {
    matches!(error, BillingError::Store(error) if is_store_away(error))
}

fn is_history_away(error: &HistoryError) -> bool {
    matches!(error, HistoryError::Store(error) if is_store_away(error))
}

/// Where the profile left off; late or broken, play begins at the beginning.
pub(crate) async fn resume_ms(gateway: &Gateway, play: &Arc<PlayRow>) -> u64 {
    let (history, asked) = (gateway.services().history.clone(), play.clone());
    let asked = async move { history.resume_ms(&asked.profile, &asked.title).await };
    match gateway.guards().resume.ask(asked, is_history_away).await {
        Ok(Ok(resume_ms)) => return resume_ms,
        Ok(Err(error)) => tracing::warn!(%error, "no resume point"),
        Err(missed) => count(gateway, &gateway.guards().resume, missed),
    }
    gateway.metrics().count_resume_skipped();
    0
}

/// Keeps a play, so that the URLs in its answer work after a restart too. Memory holds it already.
pub(crate) async fn keep_play(gateway: &Gateway, play: &Arc<PlayRow>) {
    let (history, kept) = (gateway.services().history.clone(), play.clone());
    let (guards, work) = (gateway.guards(), async move { history.keep(&kept).await });
    match guards.plays.tell(work, is_history_away).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(play = %play.play, %error, "a play is in memory only"),
        Err(missed) => count(gateway, &guards.plays, missed),
    }
    let (history, kept) = (gateway.services().history.clone(), play.clone());
    log(gateway, async move { history.tell_pressed(&kept).await });
}

/// Keeps where the player was.
pub(crate) async fn keep_position(
    gateway: &Gateway,
    play: &Arc<PlayRow>,
    duration_ms: u64,
    events: Vec<PlayEvent>,
) {
    let (history, now) = (gateway.services().history.clone(), gateway.now());
    let (writer, kept, telling) = (history.clone(), play.clone(), gateway.clone());
    let work = async move {
        let written = writer.keep_position(&kept, duration_ms, &events, now).await?;
        if let Some(bookmark) = written {
            log(&telling, async move { history.tell_position(&kept, &bookmark).await });
        }
        Ok(())
    };
    match gateway.guards().positions.tell(work, is_history_away).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(play = %play.play, %error, "a position was not kept"),
        Err(missed) => count(gateway, &gateway.guards().positions, missed),
    }
}

/// The log waits for its disk, and nobody waits for the log.
fn log(gateway: &Gateway, work: impl Future<Output = ()> + Send + 'static) {
    if let Err(missed) = gateway.guards().log.send(work) {
        count(gateway, &gateway.guards().log, missed);
    }
}

fn count(gateway: &Gateway, guard: &Guard, missed: Missed) {
    gateway.metrics().count_missed(guard.word(), missed.word());
}
