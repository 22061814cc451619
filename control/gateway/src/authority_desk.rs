//! Which authorities of the fleet count, changed while control runs: what is kept is written first,
//! and in force after. Signs nothing; [`FleetCa`] does.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::fleet_ca::{FleetCa, FleetCaError};

/// Writes the text down in place of the last one, whole or not at all, for its owner only.
pub type KeepAuthority = Box<dyn Fn(&str) -> io::Result<()> + Send + Sync>;

/// Why the authorities stay as they are.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// What was asked cannot be.
    #[error(transparent)]
    Refused(#[from] FleetCaError),
    /// Somebody still needs it; in words, with the cure.
    #[error("{0}")]
    Needed(String),
    /// The disk.
    #[error("the fleet's authority cannot be kept: {0}")]
    Disk(#[from] io::Error),
}

/// The authorities; shared by all handlers and the appliances' port.
pub struct AuthorityDesk {
    current: ArcSwap<FleetCa>,
    keep: KeepAuthority,
    /// Changes take turns.
    turn: Mutex<()>,
}

impl AuthorityDesk {
    /// A desk that begins with these and keeps changes by `keep`.
    #[must_use]
    pub fn new(authority: FleetCa, keep: KeepAuthority) -> Self {
        Self { current: ArcSwap::from_pointee(authority), keep, turn: Mutex::default() }
    }

    /// As it stands now.
    #[must_use]
    pub fn current(&self) -> Arc<FleetCa> {
        self.current.load_full()
    }

    /// Whether certificates of the authority of this hash count.
    #[must_use]
    pub fn counts(&self, hash: &[u8; 32]) -> bool {
        self.current.load().hashes().any(|one| one == *hash)
    }

    /// Makes a successor, which signs from here on. Blocks.
    ///
    /// # Errors
    /// `Crowded`, or what the disk said; nothing changed then.
    pub fn rotate(&self) -> Result<Arc<FleetCa>, AuthorityError> {
        self.change(FleetCa::successor)
    }

    /// Retires an earlier one and all before it, unless `needed` says, of the authorities as they
    /// are by then, why not: one that signed a moment ago has all that hangs on it still. Blocks.
    ///
    /// # Errors
    /// `Signs`, `Unknown`, `Needed`, or what the disk said; nothing changed then.
    pub fn retire(
        &self,
        digest: &str,
        needed: impl FnOnce(&FleetCa) -> Option<String>,
    ) -> Result<Arc<FleetCa>, AuthorityError> {
        self.change(|authority| {
            let without = authority.without(digest)?;
            needed(authority).map_or(Ok(without), |why| Err(AuthorityError::Needed(why)))
        })
    }

    fn change<E: Into<AuthorityError>>(
        &self,
        change: impl FnOnce(&FleetCa) -> Result<(FleetCa, String), E>,
    ) -> Result<Arc<FleetCa>, AuthorityError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, kept) = change(&self.current.load()).map_err(Into::into)?;
        (self.keep)(&kept)?;
        let next = Arc::new(next);
        self.current.store(next.clone());
        Ok(next)
    }
}

impl std::fmt::Debug for AuthorityDesk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AuthorityDesk({:?})", self.current.load())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_asked_of_the_authorities_as_they_are_when_one_goes() {
        let (authority, _) = FleetCa::generate().unwrap();
        let desk = AuthorityDesk::new(authority, Box::new(|_| Ok(())));
        let first = desk.current().digest();
        let signs = desk.retire(&first, |_| unreachable!("nobody may retire it anyway"));
        assert!(matches!(signs, Err(AuthorityError::Refused(FleetCaError::Signs(_)))), "{signs:?}");
        // Somebody made a successor between a look at the list and this.
        let second = desk.rotate().unwrap().digest();
        let refused = desk.retire(&first, |now| {
            assert_eq!(now.digest(), second);
            assert!(desk.turn.try_lock().is_err(), "nobody changes anything meanwhile");
            Some("boxes hang on it".to_owned())
        });
        assert!(matches!(refused, Err(AuthorityError::Needed(_))), "{refused:?}");
        assert_eq!(desk.current().hashes().count(), 2);
        assert!(desk.retire(&first, |_| None).is_ok());
        assert_eq!(desk.current().hashes().count(), 1);
    }
}
