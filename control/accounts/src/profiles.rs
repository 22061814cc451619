//! Profiles of an account: at most `PROFILES_MAX`, at least one, names unique without regard to
//! case. What a profile watched is history's.

use control_store::StoreError;
use control_store::ledger::{ProfileRemoval, ProfileRow};
use control_types::accounts::{NewProfile, Profile};
use control_types::limits::PROFILES_MAX;
use control_types::{AccountId, ProfileId, UnixMillis};
use serde_json::json;
use uuid::Uuid;

use crate::error::AccountsError;
use crate::model;
use crate::service::{Accounts, profile};

impl Accounts {
    /// Oldest first.
    ///
    /// # Errors
    /// `Store`.
    pub async fn profiles(&self, account: &AccountId) -> Result<Vec<Profile>, AccountsError> {
        Ok(self.ledger.profiles(account).await?.into_iter().map(profile).collect())
    }

    /// One profile, if it is the account's: the check before anything is done in its name.
    ///
    /// # Errors
    /// `NoProfile`, `Store`.
    pub async fn profile(
        &self,
        account: &AccountId,
        id: &ProfileId,
    ) -> Result<Profile, AccountsError> {
        let all = self.ledger.profiles(account).await?;
        all.into_iter().find(|row| row.id == *id).map(profile).ok_or(AccountsError::NoProfile)
    }

    /// Adds one.
    ///
    /// # Errors
    /// `Invalid`, `NameTaken`, `ProfilesFull`, `NoAccount`, `Store`.
    pub async fn add_profile(
        &self,
        account: &AccountId,
        new: &NewProfile,
        now: UnixMillis,
    ) -> Result<Profile, AccountsError> {
        let name = model::profile_name(&new.name)?;
        let id = ProfileId(Uuid::now_v7());
        let row = ProfileRow { id, account: *account, name, created_at: now };
        self.ledger.add_profile(&row, PROFILES_MAX).await.map_err(|error| match error {
            StoreError::Taken(_) => AccountsError::NameTaken,
            StoreError::Refused { .. } => AccountsError::ProfilesFull { count_max: PROFILES_MAX },
            StoreError::Missing(_) => AccountsError::NoAccount,
            other => AccountsError::Store(other),
        })?;
        self.tell(now, &json!({"event": "profile_added", "account": account, "profile": id})).await;
        Ok(profile(row))
    }

    /// Removes one; what it watched is forgotten by history, which the caller tells.
    ///
    /// # Errors
    /// `NoProfile`, `LastProfile`, `Store`.
    pub async fn remove_profile(
        &self,
        account: &AccountId,
        id: &ProfileId,
        now: UnixMillis,
    ) -> Result<(), AccountsError> {
        match self.ledger.remove_profile(account, id).await? {
            ProfileRemoval::Removed => {}
            ProfileRemoval::Absent => return Err(AccountsError::NoProfile),
            ProfileRemoval::LastOne => return Err(AccountsError::LastProfile),
        }
        let body = json!({"event": "profile_removed", "account": account, "profile": id});
        self.tell(now, &body).await;
        Ok(())
    }
}
