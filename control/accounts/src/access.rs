//! Access tokens: ES256 JWTs that say which account and session a request belongs to. Verifying
//! does no I/O. Not play tickets: those are `control-token`'s.

use std::collections::HashMap;
use std::sync::{Once, PoisonError, RwLock};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_store::ledger::{KeyPurpose, SigningKeyRow};
use control_types::{AccountId, UnixMillis};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::AccountsError;

/// Longest access token looked at, bytes; ours have about 350.
const TOKEN_BYTES_MAX: usize = 2_048;

/// Sessions remembered as ended while their access tokens could still be valid.
const ENDED_MAX: usize = 100_000;

/// Who a request comes from, proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The account.
    pub account: AccountId,
    /// The session, for signing out.
    pub session: Uuid,
    /// First moment the token is refused.
    pub expires_at: UnixMillis,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: AccountId,
    sid: Uuid,
    /// Seconds.
    iat: u64,
    /// Seconds.
    exp: u64,
}

/// Signs and verifies access tokens.
pub struct AccessKeys {
    issuer: String,
    kid: String,
    signing: EncodingKey,
    /// By kid; older keys verify until their tokens are over.
    verifying: HashMap<String, DecodingKey>,
    validation: Validation,
    /// Session -> when its last access token is over. Lost with the process: then a signed-out
    /// token works until it ends by itself.
    ended: RwLock<HashMap<Uuid, UnixMillis>>,
}

/// Chooses the crypto of `jsonwebtoken` by name: left to its features, it panics at first use when
/// another crate of the build switches a second provider on.
fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that the process has chosen already, which is as good.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    });
}

/// A new P-256 key to sign access tokens with.
pub fn new_key(now: UnixMillis) -> Result<SigningKeyRow, AccountsError> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
        .map_err(|_| AccountsError::Broken("making a P-256 key".to_owned()))?;
    let pkcs8 = EcdsaKeyPair::to_pkcs8v1(&pair)
        .map_err(|_| AccountsError::Broken("writing a P-256 key".to_owned()))?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, pair.public_key().as_ref());
    Ok(SigningKeyRow {
        purpose: KeyPurpose::Access,
        kid: URL_SAFE_NO_PAD.encode(&digest.as_ref()[..9]),
        pkcs8: pkcs8.as_ref().to_vec(),
        made_at: now,
    })
}

impl AccessKeys {
    /// Signs with the first of `rows` (newest first), verifies with all.
    pub fn new(issuer: &str, rows: &[SigningKeyRow]) -> Result<Self, AccountsError> {
        install_provider();
        let Some(newest) = rows.first() else {
            return Err(AccountsError::Broken("there is no key to sign access tokens".to_owned()));
        };
        let mut verifying = HashMap::new();
        for row in rows {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &row.pkcs8)
                .map_err(|_| AccountsError::Broken(format!("access key {} is damaged", row.kid)))?;
            let public = DecodingKey::from_ec_der(pair.public_key().as_ref());
            verifying.insert(row.kid.clone(), public);
        }
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["iss", "sub"]);
        // The library would read the machine's clock; `verify` compares with the time it is given.
        validation.validate_exp = false;
        validation.validate_aud = false;
        Ok(Self {
            issuer: issuer.to_owned(),
            kid: newest.kid.clone(),
            signing: EncodingKey::from_ec_der(&newest.pkcs8),
            verifying,
            validation,
            ended: RwLock::new(HashMap::new()),
        })
    }

    /// A token for the session that is refused from `expires_at` (rounded down to a second) on.
    pub fn sign(
        &self,
        account: AccountId,
        session: Uuid,
        now: UnixMillis,
        expires_at: UnixMillis,
    ) -> Result<(String, UnixMillis), AccountsError> {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::ES256) };
        let exp = expires_at.as_seconds();
        let claims = Claims {
            iss: self.issuer.clone(),
            sub: account,
            sid: session,
            iat: now.as_seconds(),
            exp,
        };
        let token = jsonwebtoken::encode(&header, &claims, &self.signing)
            .map_err(|error| AccountsError::Broken(format!("signing an access token: {error}")))?;
        Ok((token, UnixMillis(exp * 1000)))
    }

    /// Who the token speaks for.
    pub fn verify(&self, token: &str, now: UnixMillis) -> Result<Access, AccountsError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AccountsError::BadToken);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| AccountsError::BadToken)?;
        let key = header.kid.and_then(|kid| self.verifying.get(&kid));
        let key = key.ok_or(AccountsError::BadToken)?;
        let claims: Claims = jsonwebtoken::decode(token, key, &self.validation)
            .map_err(|_| AccountsError::BadToken)?
            .claims;
        let expires_at = UnixMillis(claims.exp.saturating_mul(1000));
        if expires_at <= now || self.is_ended(&claims.sid) {
            return Err(AccountsError::BadToken);
        }
        Ok(Access { account: claims.sub, session: claims.sid, expires_at })
    }

    /// Refuses tokens of this session from now on; `until` is when the last of them is over.
    pub fn end(&self, session: Uuid, now: UnixMillis, until: UnixMillis) {
        let mut ended = self.ended.write().unwrap_or_else(PoisonError::into_inner);
        if ended.len() >= ENDED_MAX {
            ended.retain(|_, until| *until > now);
        }
        // Full of live entries, this one is left to its own end: fifteen minutes at most.
        if ended.len() < ENDED_MAX {
            ended.insert(session, until);
        }
    }

    fn is_ended(&self, session: &Uuid) -> bool {
        self.ended.read().unwrap_or_else(PoisonError::into_inner).contains_key(session)
    }
}
