//! Argon2id on a bounded set of blocking threads. Knows no account.
//!
//! A hash costs some 20 ms of a core and 19 MiB, on purpose: so at most `hashing_max` run at once,
//! at most `hashing_queue_max` wait, and the rest are told `Busy` instead of slowing everybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::error::AccountsError;
use crate::settings::Settings;

/// Hashes and verifies.
pub struct Passwords {
    argon2: Argon2<'static>,
    slots: Arc<Semaphore>,
    /// Callers that hold or wait for a slot.
    callers: AtomicUsize,
    callers_max: usize,
    /// Verified against when the email is unknown, so that the answer takes as long.
    decoy: String,
}

impl Passwords {
    /// With the cost of `settings`; computes one hash.
    pub async fn new(settings: &Settings) -> Result<Self, AccountsError> {
        let params = Params::new(settings.hash_memory_kib, settings.hash_passes, 1, None)
            .map_err(|error| AccountsError::Broken(format!("password hash cost: {error}")))?;
        let mut passwords = Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            slots: Arc::new(Semaphore::new(settings.hashing_max.max(1))),
            callers: AtomicUsize::new(0),
            callers_max: settings.hashing_max.max(1) + settings.hashing_queue_max,
            decoy: String::new(),
        };
        passwords.decoy = passwords.hash("no member has this password").await?;
        Ok(passwords)
    }

    /// PHC string of a new password, with a random salt.
    pub async fn hash(&self, password: &str) -> Result<String, AccountsError> {
        let (argon2, password) = (self.argon2.clone(), password.to_owned());
        let hashed = self
            .run(move || {
                let hash: Result<PasswordHash, _> = argon2.hash_password(password.as_bytes());
                hash.map(|hash| hash.to_string())
            })
            .await?;
        hashed.map_err(|error| AccountsError::Broken(format!("hashing a password: {error}")))
    }

    /// Whether `password` matches `kept`; without a kept hash, takes as long and says no.
    pub async fn matches(&self, password: &str, kept: Option<&str>) -> Result<bool, AccountsError> {
        let known = kept.is_some();
        let kept = kept.unwrap_or(&self.decoy).to_owned();
        let (argon2, password) = (self.argon2.clone(), password.to_owned());
        let matched = self
            .run(move || {
                let hash = PasswordHash::new(&kept)?;
                match argon2.verify_password(password.as_bytes(), &hash) {
                    Ok(()) => Ok(true),
                    Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                    Err(error) => Err(error.into()),
                }
            })
            .await?;
        let matched = matched.map_err(|error: Box<dyn std::error::Error + Send + Sync>| {
            AccountsError::Broken(format!("a kept password hash cannot be read: {error}"))
        })?;
        Ok(known && matched)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AccountsError> {
        let _caller = Caller::enter(&self.callers, self.callers_max)?;
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(|_| AccountsError::Broken("the hashing slots were closed".to_owned()))?;
        // The slot goes with the work: a caller that gives up does not free the core it still uses.
        let task = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            work()
        });
        task.await.map_err(|error| AccountsError::Broken(format!("hashing thread: {error}")))
    }
}

/// One caller counted, until dropped.
struct Caller<'a>(&'a AtomicUsize);

impl<'a> Caller<'a> {
    fn enter(callers: &'a AtomicUsize, callers_max: usize) -> Result<Self, AccountsError> {
        let before = callers.fetch_add(1, Ordering::Relaxed);
        let caller = Self(callers);
        if before >= callers_max { Err(AccountsError::Busy) } else { Ok(caller) }
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap() -> Settings {
        Settings { hash_memory_kib: 64, hash_passes: 1, ..Settings::default() }
    }

    #[tokio::test]
    async fn a_hash_matches_its_password_only_and_is_salted() {
        let passwords = Passwords::new(&cheap()).await.unwrap();
        let (one, two) = (
            passwords.hash("correct horse").await.unwrap(),
            passwords.hash("correct horse").await.unwrap(),
        );
        assert_ne!(one, two);
        assert!(one.starts_with("$argon2id$"), "{one}");
        assert!(passwords.matches("correct horse", Some(&one)).await.unwrap());
        assert!(!passwords.matches("correct horsf", Some(&one)).await.unwrap());
        assert!(!passwords.matches("no member has this password", None).await.unwrap());
    }

    #[tokio::test]
    async fn callers_beyond_slots_and_queue_are_told_busy() {
        let settings = Settings { hashing_max: 1, hashing_queue_max: 1, ..cheap() };
        let passwords = Passwords::new(&settings).await.unwrap();
        let all: Vec<_> = (0..5).map(|_| passwords.hash("correct horse")).collect();
        // Nobody gets the one slot before all five have asked: one waits for it, one in the queue.
        let slot = Arc::clone(&passwords.slots).acquire_owned().await.unwrap();
        let (answers, ()) = tokio::join!(futures_join(all), async { drop(slot) });
        let busy = answers.iter().filter(|answer| matches!(answer, Err(AccountsError::Busy)));
        assert_eq!(busy.count(), 3);
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
    }

    async fn futures_join<F: std::future::Future>(all: Vec<F>) -> Vec<F::Output> {
        let mut pinned: Vec<_> = all.into_iter().map(Box::pin).collect();
        let mut done: Vec<Option<F::Output>> = pinned.iter().map(|_| None).collect();
        std::future::poll_fn(|cx| {
            for (future, slot) in pinned.iter_mut().zip(&mut done) {
                if slot.is_none()
                    && let std::task::Poll::Ready(out) = future.as_mut().poll(cx)
                {
                    *slot = Some(out);
                }
            }
            if done.iter().all(Option::is_some) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
        done.into_iter().flatten().collect()
    }
}
