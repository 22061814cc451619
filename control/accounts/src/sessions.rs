//! Sessions: begin, refresh by rotation, end. Passwords are not seen here.

use aws_lc_rs::digest;
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_store::ledger::{AccountRow, NewRefreshRow, Rotation, SessionRow, TokenHash};
use control_types::UnixMillis;
use control_types::accounts::Session;
use serde_json::json;
use tracing::warn;
use uuid::Uuid;

use crate::access::Access;
use crate::error::AccountsError;
use crate::service::Accounts;

/// Random bytes of a refresh token: not guessable, so a plain hash of it is enough.
const REFRESH_BYTES: usize = 32;

/// Refresh tokens that ended are deleted this much later, milliseconds: until then an old one is
/// told apart from a made-up one.
const ENDED_KEPT_MS: u64 = 24 * 3_600_000;

impl Accounts {
    pub(crate) async fn begin_session(
        &self,
        account: AccountRow,
        now: UnixMillis,
    ) -> Result<Session, AccountsError> {
        let session = SessionRow { session: Uuid::new_v4(), account: account.id, began_at: now };
        let (token, refresh) = self.new_refresh(now)?;
        self.ledger.begin_session(&session, &refresh).await?;
        self.answer(account, session.session, token, refresh.expires_at, now).await
    }

    /// Replaces the refresh token and gives a new access token. An old token ends the session,
    /// unless it was replaced less than `refresh_grace_ms` ago (see `Settings`).
    ///
    /// # Errors
    /// `SessionEnded`, `Store`.
    pub async fn refresh(&self, token: &str, now: UnixMillis) -> Result<Session, AccountsError> {
        let old = hash_of(token).ok_or(AccountsError::SessionEnded)?;
        let (token, refresh) = self.new_refresh(now)?;
        let rotation =
            self.ledger.rotate_refresh(&old, &refresh, self.settings.refresh_grace_ms).await?;
        match rotation {
            Rotation::Rotated(session) => {
                let account = self.ledger.account(&session.account).await?;
                let account = account.ok_or(AccountsError::SessionEnded)?;
                self.answer(account, session.session, token, refresh.expires_at, now).await
            }
            Rotation::Reused(session) => {
                warn!(account = %session.account, "an old refresh token came back; session ended");
                self.forget_access(session.session, now);
                let body = json!({"event": "token_reused", "account": session.account});
                self.tell(now, &body).await;
                Err(AccountsError::SessionEnded)
            }
            Rotation::Ended | Rotation::Unknown => Err(AccountsError::SessionEnded),
        }
    }

    /// Ends the session the access token belongs to. Signing out twice is no error.
    ///
    /// # Errors
    /// `Store`.
    pub async fn sign_out(&self, access: &Access, now: UnixMillis) -> Result<(), AccountsError> {
        self.ledger.end_session(&access.session, now).await?;
        self.forget_access(access.session, now);
        self.tell(now, &json!({"event": "signed_out", "account": access.account})).await;
        Ok(())
    }

    /// Deletes what remains of sessions long over; for a background timer, hourly is plenty.
    ///
    /// # Errors
    /// `Store`.
    pub async fn sweep(&self, now: UnixMillis) -> Result<u64, AccountsError> {
        let before = UnixMillis(now.0.saturating_sub(ENDED_KEPT_MS));
        Ok(self.ledger.sweep_refresh(before).await?)
    }

    fn forget_access(&self, session: Uuid, now: UnixMillis) {
        self.keys.end(session, now, now.plus_millis(self.settings.access_ms));
    }

    fn new_refresh(&self, now: UnixMillis) -> Result<(String, NewRefreshRow), AccountsError> {
        let mut bytes = [0u8; REFRESH_BYTES];
        rand::fill(&mut bytes)
            .map_err(|_| AccountsError::Broken("the machine gives no randomness".to_owned()))?;
        let token = URL_SAFE_NO_PAD.encode(bytes);
        let expires_at = now.plus_millis(self.settings.refresh_ms);
        Ok((token, NewRefreshRow { hash: sha256(&bytes), issued_at: now, expires_at }))
    }

    async fn answer(
        &self,
        account: AccountRow,
        session: Uuid,
        refresh_token: String,
        refresh_expires_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<Session, AccountsError> {
        let until = now.plus_millis(self.settings.access_ms);
        let (access_token, access_expires_at) = self.keys.sign(account.id, session, now, until)?;
        Ok(Session {
            account: self.view(account).await?,
            access_token,
            access_expires_at,
            refresh_token,
            refresh_expires_at,
        })
    }
}

/// `None` for what we never issued.
fn hash_of(token: &str) -> Option<TokenHash> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    (bytes.len() == REFRESH_BYTES).then(|| sha256(&bytes))
}

fn sha256(bytes: &[u8]) -> TokenHash {
    let mut hash = TokenHash::default();
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}
