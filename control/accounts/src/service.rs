//! Sign-up and sign-in over the ledger, and what all parts of the service share. Sessions and
//! profiles have their own files.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::digest;
use control_store::ledger::{
    AccountRow, KeyPurpose, MembersLedger, NewAccountRow, ProfileRow, Standing, SubscriptionRow,
};
use control_store::{Cache, Events, StoreError};
use control_types::accounts::{Account, Profile, Session, SignIn, SignUp};
use control_types::{AccountId, ProfileId, UnixMillis};
use serde_json::{Value, json};
use tracing::warn;
use uuid::Uuid;

use crate::access::{self, Access, AccessKeys};
use crate::error::AccountsError;
use crate::model;
use crate::passwords::Passwords;
use crate::settings::Settings;

/// Topic of `signed_up`, `signed_in`, `sign_in_failed`, `signed_out`, `token_reused`,
/// `profile_added` and `profile_removed`. Bodies hold ids, never an email.
pub const TOPIC: &str = "accounts";

/// The service; share it through an `Arc`.
pub struct Accounts {
    pub(crate) ledger: Arc<dyn MembersLedger>,
    pub(crate) cache: Arc<dyn Cache>,
    pub(crate) events: Arc<dyn Events>,
    pub(crate) settings: Settings,
    pub(crate) keys: AccessKeys,
    passwords: Passwords,
}

impl Accounts {
    /// Loads the signing keys, or makes the first one.
    ///
    /// # Errors
    /// `Store`, `Broken` when a kept key cannot be read or the hash cost is impossible.
    pub async fn open(
        ledger: Arc<dyn MembersLedger>,
        cache: Arc<dyn Cache>,
        events: Arc<dyn Events>,
        settings: Settings,
        now: UnixMillis,
    ) -> Result<Self, AccountsError> {
        let mut rows = ledger.signing_keys(KeyPurpose::Access).await?;
        if rows.is_empty() {
            rows.push(ledger.first_signing_key(&access::new_key(now)?).await?);
        }
        let keys = AccessKeys::new(&settings.issuer, &rows)?;
        let passwords = Passwords::new(&settings).await?;
        Ok(Self { ledger, cache, events, settings, keys, passwords })
    }

    /// Opens an account with its first profile and the first plan, and signs in.
    ///
    /// # Errors
    /// `Invalid`, `EmailTaken`, `TooMany`, `Busy`, `Store`.
    pub async fn sign_up(
        &self,
        given: &SignUp,
        from: IpAddr,
        now: UnixMillis,
    ) -> Result<Session, AccountsError> {
        let email = model::normalize_email(&given.email)?;
        model::check_password(&given.password)?;
        let name = model::profile_name(&given.profile_name)?;
        let network = model::counted_network(from);
        self.count(&format!("signup/{network}"), self.settings.sign_ups_by_address_max).await?;
        // Asked before the expensive hash; the ledger's unique index decides for good below.
        if self.ledger.account_by_email(&email).await?.is_some() {
            return Err(AccountsError::EmailTaken);
        }
        let password_hash = self.passwords.hash(&given.password).await?;
        let id = AccountId(Uuid::now_v7());
        let account = AccountRow { id, email, password_hash, created_at: now };
        let profile =
            ProfileRow { id: ProfileId(Uuid::now_v7()), account: id, name, created_at: now };
        let subscription = SubscriptionRow {
            account: id,
            plan: self.settings.first_plan.clone(),
            standing: Standing::Paid,
            since: now,
        };
        let new = NewAccountRow { account, profile, subscription };
        self.ledger.open_account(&new).await.map_err(|error| match error {
            StoreError::Taken(_) => AccountsError::EmailTaken,
            other => AccountsError::Store(other),
        })?;
        self.tell(now, &json!({"event": "signed_up", "account": id})).await;
        self.begin_session(new.account, now).await
    }

    /// Signs in. An unknown email takes as long as a wrong password and reads the same.
    ///
    /// # Errors
    /// `BadCredentials`, `TooMany`, `Busy`, `Store`.
    pub async fn sign_in(
        &self,
        given: &SignIn,
        from: IpAddr,
        now: UnixMillis,
    ) -> Result<Session, AccountsError> {
        let network = model::counted_network(from);
        self.count(&format!("signin/{network}"), self.settings.attempts_by_address_max).await?;
        // What cannot be an email or a password was never accepted at sign-up.
        let email = model::normalize_email(&given.email);
        let plausible = email.is_ok() && model::check_password(&given.password).is_ok();
        let email = email.unwrap_or_default();
        let pair = pair_key(&email, &network);
        self.count(&pair, self.settings.attempts_by_pair_max).await?;

        let account = match plausible {
            true => self.ledger.account_by_email(&email).await?,
            false => None,
        };
        let password: String = given.password.chars().take(256).collect();
        let kept = account.as_ref().map(|row| row.password_hash.as_str());
        let matched = self.passwords.matches(&password, kept).await?;
        let Some(account) = account.filter(|_| matched) else {
            self.tell(now, &json!({"event": "sign_in_failed", "network": network})).await;
            return Err(AccountsError::BadCredentials);
        };
        self.cache.forget_count(&pair).await?;
        self.tell(now, &json!({"event": "signed_in", "account": account.id})).await;
        self.begin_session(account, now).await
    }

    /// Who an access token speaks for. No I/O.
    ///
    /// # Errors
    /// `BadToken`.
    pub fn verify_access(&self, token: &str, now: UnixMillis) -> Result<Access, AccountsError> {
        self.keys.verify(token, now)
    }

    /// The account as its owner sees it.
    ///
    /// # Errors
    /// `NoAccount`, `Store`.
    pub async fn account(&self, id: &AccountId) -> Result<Account, AccountsError> {
        let row = self.ledger.account(id).await?.ok_or(AccountsError::NoAccount)?;
        self.view(row).await
    }

    pub(crate) async fn view(&self, row: AccountRow) -> Result<Account, AccountsError> {
        let profiles = self.ledger.profiles(&row.id).await?;
        let subscription = self.ledger.subscription(&row.id).await?;
        let subscription = subscription.ok_or(AccountsError::NoAccount)?;
        Ok(Account {
            id: row.id,
            email: row.email,
            profiles: profiles.into_iter().map(profile).collect(),
            plan: subscription.plan,
            created_at: row.created_at,
        })
    }

    /// One more attempt under `key`.
    async fn count(&self, key: &str, count_max: u64) -> Result<(), AccountsError> {
        let window_ms = self.settings.attempts_window_ms;
        if self.cache.count(key, window_ms).await? > count_max {
            return Err(AccountsError::TooMany { retry_ms: window_ms });
        }
        Ok(())
    }

    /// The change stands in the ledger already: a log that is away must not make it look undone.
    pub(crate) async fn tell(&self, now: UnixMillis, body: &Value) {
        if let Err(error) = self.events.append(TOPIC, now, body).await {
            warn!(topic = TOPIC, %error, "an event was not recorded");
        }
    }
}

pub(crate) fn profile(row: ProfileRow) -> Profile {
    Profile { id: row.id, name: row.name }
}

/// Hashed: a cache key is bounded and shows up in dumps; an email is neither short nor ours to
/// show.
fn pair_key(email: &str, network: &str) -> String {
    let hash = digest::digest(&digest::SHA256, email.as_bytes());
    let hex: String = hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("signin/{hex}/{network}")
}
