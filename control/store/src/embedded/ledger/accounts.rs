//! Accounts, sessions, profiles and subscriptions in SQLite. Normalizes nothing but the key that
//! profile names are compared by.

use async_trait::async_trait;
use control_types::{AccountId, ProfileId, UnixMillis};
use sqlx::sqlite::SqliteRow;
use sqlx::{Sqlite, Transaction};
use uuid::Uuid;

use super::SqliteLedger;
use crate::StoreError;
use crate::embedded::sqlite::{Columns, away, clash, to_sql};
use crate::ledger::{
    AccountRow, AccountsLedger, NewAccountRow, NewRefreshRow, ProfileRemoval, ProfileRow, Rotation,
    SessionRow, Standing, SubscriptionRow, TokenHash,
};

const OPENING: &str = "open an account";
const ADDING: &str = "add a profile";
const REMOVING: &str = "remove a profile";
const READING: &str = "read an account";
const SUBSCRIBING: &str = "change a subscription";
const SESSION: &str = "change a session";

#[async_trait]
impl AccountsLedger for SqliteLedger {
    async fn open_account(&self, new: &NewAccountRow) -> Result<(), StoreError> {
        let mut work = self.file.begin(OPENING).await?;
        let account = &new.account;
        sqlx::query(
            "INSERT INTO accounts (id, email, password_hash, created_at) VALUES (?, ?, ?, ?)",
        )
        .bind(account.id.to_string())
        .bind(&account.email)
        .bind(&account.password_hash)
        .bind(to_sql(account.created_at.0))
        .execute(&mut *work)
        .await
        .map_err(|error| clash(OPENING, "the email", error))?;
        insert_profile(&mut work, &new.profile).await?;
        upsert_subscription(&mut work, &new.subscription).await?;
        work.commit().await.map_err(|error| away(OPENING, error))
    }

    async fn account(&self, id: &AccountId) -> Result<Option<AccountRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM accounts WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&self.file.readers)
            .await
            .map_err(|error| away(READING, error))?;
        row.as_ref().map(account_of).transpose()
    }

    async fn account_by_email(&self, email: &str) -> Result<Option<AccountRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM accounts WHERE email = ?")
            .bind(email)
            .fetch_optional(&self.file.readers)
            .await
            .map_err(|error| away(READING, error))?;
        row.as_ref().map(account_of).transpose()
    }

    async fn profiles(&self, account: &AccountId) -> Result<Vec<ProfileRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM profiles WHERE account = ? ORDER BY created_at, id")
            .bind(account.to_string())
            .fetch_all(&self.file.readers)
            .await
            .map_err(|error| away(READING, error))?;
        rows.iter().map(profile_of).collect()
    }

    async fn add_profile(&self, profile: &ProfileRow, count_max: usize) -> Result<(), StoreError> {
        let mut work = self.file.begin(ADDING).await?;
        let count = count_profiles(&mut work, &profile.account).await?;
        if count >= count_max {
            return Err(StoreError::Refused {
                what: format!("profile {:?}", profile.name),
                why: format!("the account has {count} profiles, the most it may have"),
            });
        }
        insert_profile(&mut work, profile).await?;
        work.commit().await.map_err(|error| away(ADDING, error))
    }

    async fn remove_profile(
        &self,
        account: &AccountId,
        profile: &ProfileId,
    ) -> Result<ProfileRemoval, StoreError> {
        let mut work = self.file.begin(REMOVING).await?;
        let count = count_profiles(&mut work, account).await?;
        let gone = sqlx::query("DELETE FROM profiles WHERE account = ? AND id = ?")
            .bind(account.to_string())
            .bind(profile.to_string())
            .execute(&mut *work)
            .await
            .map_err(|error| away(REMOVING, error))?
            .rows_affected();
        if gone == 0 {
            return Ok(ProfileRemoval::Absent);
        }
        if count == 1 {
            // Dropping the transaction undoes the delete.
            return Ok(ProfileRemoval::LastOne);
        }
        work.commit().await.map_err(|error| away(REMOVING, error))?;
        Ok(ProfileRemoval::Removed)
    }

    async fn subscription(
        &self,
        account: &AccountId,
    ) -> Result<Option<SubscriptionRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM subscriptions WHERE account = ?")
            .bind(account.to_string())
            .fetch_optional(&self.file.readers)
            .await
            .map_err(|error| away(READING, error))?;
        row.as_ref().map(subscription_of).transpose()
    }

    async fn put_subscription(&self, subscription: &SubscriptionRow) -> Result<(), StoreError> {
        let mut work = self.file.begin(SUBSCRIBING).await?;
        upsert_subscription(&mut work, subscription).await?;
        work.commit().await.map_err(|error| away(SUBSCRIBING, error))
    }

    async fn begin_session(
        &self,
        session: &SessionRow,
        refresh: &NewRefreshRow,
    ) -> Result<(), StoreError> {
        let mut work = self.file.begin(SESSION).await?;
        sqlx::query("INSERT INTO sessions (session, account, began_at) VALUES (?, ?, ?)")
            .bind(session.session.to_string())
            .bind(session.account.to_string())
            .bind(to_sql(session.began_at.0))
            .execute(&mut *work)
            .await
            .map_err(|error| clash(SESSION, "the session", error))?;
        insert_refresh(&mut work, &session.session, refresh).await?;
        work.commit().await.map_err(|error| away(SESSION, error))
    }

    async fn rotate_refresh(
        &self,
        old: &TokenHash,
        new: &NewRefreshRow,
        grace_ms: u64,
    ) -> Result<Rotation, StoreError> {
        let mut work = self.file.begin(SESSION).await?;
        let Some(found) = find_refresh(&mut work, old).await? else {
            return Ok(Rotation::Unknown);
        };
        let now = new.issued_at;
        if found.ended || found.expires_at <= now {
            return Ok(Rotation::Ended);
        }
        let outcome = match found.replaced_at {
            // Either way round: a clock set back must not open the grace of every old token again.
            Some(at) if now.0.abs_diff(at.0) >= grace_ms => {
                mark_ended(&mut work, &found.session.session, now).await?;
                Rotation::Reused(found.session)
            }
            Some(_) => {
                insert_refresh(&mut work, &found.session.session, new).await?;
                Rotation::Rotated(found.session)
            }
            None => {
                sqlx::query("UPDATE refresh_tokens SET replaced_at = ? WHERE hash = ?")
                    .bind(to_sql(now.0))
                    .bind(old.as_slice())
                    .execute(&mut *work)
                    .await
                    .map_err(|error| away(SESSION, error))?;
                insert_refresh(&mut work, &found.session.session, new).await?;
                Rotation::Rotated(found.session)
            }
        };
        work.commit().await.map_err(|error| away(SESSION, error))?;
        Ok(outcome)
    }

    async fn end_session(&self, session: &Uuid, now: UnixMillis) -> Result<(), StoreError> {
        let mut work = self.file.begin(SESSION).await?;
        mark_ended(&mut work, session, now).await?;
        work.commit().await.map_err(|error| away(SESSION, error))
    }

    async fn end_sessions(&self, account: &AccountId, now: UnixMillis) -> Result<u64, StoreError> {
        let done =
            sqlx::query("UPDATE sessions SET ended_at = ? WHERE account = ? AND ended_at IS NULL")
                .bind(to_sql(now.0))
                .bind(account.to_string())
                .execute(&self.file.writer)
                .await
                .map_err(|error| away(SESSION, error))?;
        Ok(done.rows_affected())
    }

    async fn sweep_refresh(&self, before: UnixMillis) -> Result<u64, StoreError> {
        const SWEEPING: &str = "delete refresh tokens that are over";
        let mut work = self.file.begin(SWEEPING).await?;
        let done = sqlx::query("DELETE FROM refresh_tokens WHERE expires_at < ?")
            .bind(to_sql(before.0))
            .execute(&mut *work)
            .await
            .map_err(|error| away(SWEEPING, error))?;
        sqlx::query(
            "DELETE FROM sessions WHERE NOT EXISTS \
             (SELECT 1 FROM refresh_tokens WHERE refresh_tokens.session = sessions.session)",
        )
        .execute(&mut *work)
        .await
        .map_err(|error| away(SWEEPING, error))?;
        work.commit().await.map_err(|error| away(SWEEPING, error))?;
        Ok(done.rows_affected())
    }
}

/// A refresh token with what is known of its session.
struct FoundRefresh {
    session: SessionRow,
    ended: bool,
    expires_at: UnixMillis,
    replaced_at: Option<UnixMillis>,
}

type Work<'a> = Transaction<'a, Sqlite>;

async fn find_refresh(
    work: &mut Work<'_>,
    hash: &TokenHash,
) -> Result<Option<FoundRefresh>, StoreError> {
    let row = sqlx::query(
        "SELECT s.session, s.account, s.began_at, s.ended_at, t.expires_at, t.replaced_at \
         FROM refresh_tokens t JOIN sessions s ON s.session = t.session WHERE t.hash = ?",
    )
    .bind(hash.as_slice())
    .fetch_optional(&mut **work)
    .await
    .map_err(|error| away(SESSION, error))?;
    let Some(row) = row else { return Ok(None) };
    let columns = Columns::of(&row, "refresh_tokens");
    let session = SessionRow {
        session: columns.parsed("session")?,
        account: columns.parsed("account")?,
        began_at: UnixMillis(columns.number("began_at")?),
    };
    Ok(Some(FoundRefresh {
        session,
        ended: columns.optional_number("ended_at")?.is_some(),
        expires_at: UnixMillis(columns.number("expires_at")?),
        replaced_at: columns.optional_number("replaced_at")?.map(UnixMillis),
    }))
}

async fn insert_refresh(
    work: &mut Work<'_>,
    session: &Uuid,
    refresh: &NewRefreshRow,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO refresh_tokens (hash, session, issued_at, expires_at) VALUES (?, ?, ?, ?)",
    )
    .bind(refresh.hash.as_slice())
    .bind(session.to_string())
    .bind(to_sql(refresh.issued_at.0))
    .bind(to_sql(refresh.expires_at.0))
    .execute(&mut **work)
    .await
    .map_err(|error| clash(SESSION, "the refresh token", error))?;
    Ok(())
}

async fn mark_ended(
    work: &mut Work<'_>,
    session: &Uuid,
    now: UnixMillis,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE sessions SET ended_at = ? WHERE session = ? AND ended_at IS NULL")
        .bind(to_sql(now.0))
        .bind(session.to_string())
        .execute(&mut **work)
        .await
        .map_err(|error| away(SESSION, error))?;
    Ok(())
}

async fn insert_profile(work: &mut Work<'_>, profile: &ProfileRow) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO profiles (id, account, name, name_key, created_at) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(profile.id.to_string())
    .bind(profile.account.to_string())
    .bind(&profile.name)
    .bind(profile.name.to_lowercase())
    .bind(to_sql(profile.created_at.0))
    .execute(&mut **work)
    .await
    .map_err(|error| clash(ADDING, format!("profile {:?}", profile.name), error))?;
    Ok(())
}

async fn count_profiles(work: &mut Work<'_>, account: &AccountId) -> Result<usize, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS count FROM profiles WHERE account = ?")
        .bind(account.to_string())
        .fetch_one(&mut **work)
        .await
        .map_err(|error| away(READING, error))?;
    let count = Columns::of(&row, "profiles").number("count")?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

async fn upsert_subscription(
    work: &mut Work<'_>,
    subscription: &SubscriptionRow,
) -> Result<(), StoreError> {
    let standing = match subscription.standing {
        Standing::Paid => "paid",
        Standing::Lapsed => "lapsed",
    };
    sqlx::query(
        "INSERT INTO subscriptions (account, plan, standing, since) VALUES (?, ?, ?, ?) \
         ON CONFLICT (account) DO UPDATE SET \
         plan = excluded.plan, standing = excluded.standing, since = excluded.since",
    )
    .bind(subscription.account.to_string())
    .bind(&subscription.plan)
    .bind(standing)
    .bind(to_sql(subscription.since.0))
    .execute(&mut **work)
    .await
    .map_err(|error| clash(SUBSCRIBING, "the subscription", error))?;
    Ok(())
}

fn account_of(row: &SqliteRow) -> Result<AccountRow, StoreError> {
    let columns = Columns::of(row, "accounts");
    Ok(AccountRow {
        id: columns.parsed("id")?,
        email: columns.plain("email")?,
        password_hash: columns.plain("password_hash")?,
        created_at: UnixMillis(columns.number("created_at")?),
    })
}

fn profile_of(row: &SqliteRow) -> Result<ProfileRow, StoreError> {
    let columns = Columns::of(row, "profiles");
    Ok(ProfileRow {
        id: columns.parsed("id")?,
        account: columns.parsed("account")?,
        name: columns.plain("name")?,
        created_at: UnixMillis(columns.number("created_at")?),
    })
}

fn subscription_of(row: &SqliteRow) -> Result<SubscriptionRow, StoreError> {
    let columns = Columns::of(row, "subscriptions");
    let standing: String = columns.plain("standing")?;
    Ok(SubscriptionRow {
        account: columns.parsed("account")?,
        plan: columns.plain("plan")?,
        // The table's CHECK lets two words in.
        standing: if standing == "lapsed" { Standing::Lapsed } else { Standing::Paid },
        since: UnixMillis(columns.number("since")?),
    })
}
