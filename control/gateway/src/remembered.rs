//! What was last known of accounts: their profiles and what they may play. For presses of play
//! while the ledger is slow or away; whoever can ask the ledger does.
//!
//! Policy. A profile that was the account's is taken for it; one that nobody here ever saw is not,
//! because a play under it would be written into somebody's history. An account whose plan nobody
//! here ever saw gets what the smallest plan gives: a member who pays is not turned away for a
//! fault of ours, and one who does not gets an evening for nothing.

use std::sync::Arc;

use control_billing::{Billing, Entitled, Verdict};
use control_types::accounts::Account;
use control_types::{AccountId, ProfileId};

use crate::generations::Generations;
use crate::limits::{ACCOUNTS_REMEMBERED_MAX, PROFILES_REMEMBERED_MAX};

/// The accounts.
pub(crate) struct Remembered {
    profiles: Generations<ProfileId, AccountId>,
    bounds: Generations<AccountId, Arc<Bounds>>,
}

/// What billing last said.
enum Bounds {
    Entitled(Entitled),
    Unpaid,
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            profiles: Generations::new(PROFILES_REMEMBERED_MAX / 2),
            bounds: Generations::new(ACCOUNTS_REMEMBERED_MAX / 2),
        }
    }
}

impl Remembered {
    /// From an account as its owner was shown it.
    pub fn learn(&self, account: &Account) {
        account.profiles.iter().for_each(|profile| self.saw_profile(profile.id, account.id));
    }

    /// The profile is the account's.
    pub fn saw_profile(&self, profile: ProfileId, account: AccountId) {
        self.profiles.put(profile, account);
    }

    /// It is nobody's any more.
    pub fn forget_profile(&self, profile: ProfileId) {
        self.profiles.put(profile, AccountId(uuid::Uuid::nil()));
    }

    /// Whether the profile was the account's.
    pub fn owns(&self, profile: &ProfileId, account: &AccountId) -> bool {
        self.profiles.find(profile).is_some_and(|owner| owner == *account)
    }

    /// Billing said this.
    pub fn saw_verdict(&self, account: AccountId, verdict: &Verdict) {
        let bounds = match verdict {
            Verdict::Entitled(entitled) => Bounds::Entitled(entitled.clone()),
            Verdict::PaymentRequired => Bounds::Unpaid,
            // What the plan gives beside its streams was known before, or will be.
            Verdict::TooManyStreams { .. } => return,
        };
        self.bounds.put(account, Arc::new(bounds));
    }

    /// What billing would say, as far as it is known.
    pub fn verdict(&self, billing: &Billing, account: &AccountId, live: u32) -> Verdict {
        let known = self.bounds.find(account);
        let entitled = match known.as_deref() {
            Some(Bounds::Unpaid) => return Verdict::PaymentRequired,
            Some(Bounds::Entitled(entitled)) => entitled.clone(),
            None => smallest(billing),
        };
        if live >= entitled.streams_max {
            return Verdict::TooManyStreams { streams_max: entitled.streams_max };
        }
        Verdict::Entitled(entitled)
    }

    /// Tallest rendition that the account's plan gives; absent when its plan is not known.
    pub fn height_max(&self, account: &AccountId) -> Option<u32> {
        match &*self.bounds.find(account)? {
            Bounds::Entitled(entitled) => Some(entitled.height_max),
            Bounds::Unpaid => None,
        }
    }
}

fn smallest(billing: &Billing) -> Entitled {
    let plan = billing.plans().into_iter().next();
    plan.map_or(Entitled { plan: String::new(), height_max: 0, streams_max: 0 }, |plan| Entitled {
        plan: plan.name,
        height_max: plan.height_max,
        streams_max: plan.streams_max,
    })
}
