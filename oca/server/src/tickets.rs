//! Tickets a worker has verified before, the keys that verify new ones, and which were taken back.
//! Never asks another process: keys and revocations come from files and from the admin thread.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use ahash::{HashMap, HashSet, RandomState};
use arc_swap::ArcSwap;
use control_token::{CLOCK_LEEWAY_MS, Claims, KeyError, TicketError, Verifier};
use control_types::UnixMillis;
use control_types::fleet::{Revocations, TicketKeys};

/// The keys of this appliance, shared by all workers; swapped whole when control names new ones.
pub struct Gate {
    keys: ArcSwap<Keys>,
    revoked: ArcSwap<Revoked>,
    /// Whether media needs a ticket at all; false in a lab.
    required: bool,
}

struct Keys {
    verifier: Verifier,
    /// Rises with every swap, so that workers forget what older keys let in.
    epoch: u64,
    known: TicketKeys,
}

#[derive(Default)]
struct Revoked {
    digest: String,
    subjects: HashSet<String>,
}

impl Gate {
    /// A gate that knows `keys`.
    ///
    /// # Errors
    /// A key that is not one.
    pub fn new(keys: TicketKeys, required: bool) -> Result<Self, KeyError> {
        let verifier = Verifier::new(&keys)?;
        let keys = ArcSwap::from_pointee(Keys { verifier, epoch: 0, known: keys });
        Ok(Self { keys, revoked: ArcSwap::default(), required })
    }

    /// A gate that asks for nothing.
    #[must_use]
    pub fn open() -> Self {
        Self::new(TicketKeys::default(), false).expect("no keys are valid keys")
    }

    /// Whether media needs a ticket.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Verifies with `keys` from now on. False when they are the ones already in use.
    ///
    /// # Errors
    /// A key that is not one; the old keys stay.
    pub fn swap(&self, keys: TicketKeys) -> Result<bool, KeyError> {
        let current = self.keys.load();
        if current.known == keys {
            return Ok(false);
        }
        let verifier = Verifier::new(&keys)?;
        let epoch = current.epoch + 1;
        self.keys.store(Arc::new(Keys { verifier, epoch, known: keys }));
        Ok(true)
    }

    /// Refuses the tickets of exactly these subjects from now on.
    pub fn revoke(&self, list: Revocations) {
        let subjects = list.subjects.into_iter().collect();
        self.revoked.store(Arc::new(Revoked { digest: list.digest, subjects }));
    }

    /// Digest of the list in force; empty for the empty list.
    #[must_use]
    pub fn revoked_digest(&self) -> String {
        self.revoked.load().digest.clone()
    }

    fn is_revoked(&self, claims: &Claims) -> bool {
        let revoked = self.revoked.load();
        !revoked.subjects.is_empty() && revoked.subjects.contains(&claims.subject)
    }

    /// Number of keys held.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.keys.load().known.keys.len()
    }
}

/// One worker's memory of verified tickets, oldest out first.
pub struct TicketMemory {
    known: HashMap<Rc<str>, Known>,
    order: VecDeque<Rc<str>>,
    tickets_max: usize,
    epoch: u64,
}

struct Known {
    claims: Rc<Claims>,
    session: Rc<Session>,
}

/// What the connections of one ticket have in common on one worker: they share its rate.
#[derive(Debug, Default)]
pub struct Session {
    /// Connections that send for it now.
    pub sending: Cell<u32>,
}

/// How a ticket was found good.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What it says.
    pub claims: Rc<Claims>,
    /// What it shares with other connections that carry it.
    pub session: Rc<Session>,
    /// Whether it had been verified before.
    pub remembered: bool,
}

impl TicketMemory {
    /// Remembers nothing yet, `tickets_max` at most.
    #[must_use]
    pub fn new(tickets_max: usize, seed: u64) -> Self {
        let state = RandomState::with_seeds(seed, 0x85eb, seed.rotate_left(41), 0xca6b);
        Self {
            known: HashMap::with_capacity_and_hasher(tickets_max, state),
            order: VecDeque::with_capacity(tickets_max),
            tickets_max,
            epoch: 0,
        }
    }

    /// The claims of `ticket` at `now`. The time is checked at every call, the signature once.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check(
        &mut self,
        gate: &Gate,
        ticket: &str,
        now: UnixMillis,
    ) -> Result<Verified, TicketError> {
        let keys = gate.keys.load();
        if keys.epoch != self.epoch {
            self.known.clear();
            self.order.clear();
            self.epoch = keys.epoch;
        }
        if let Some(Known { claims, session }) = self.known.get(ticket) {
            check_time(claims, now)?;
            if gate.is_revoked(claims) {
                return Err(TicketError::Revoked);
            }
            let (claims, session) = (Rc::clone(claims), Rc::clone(session));
            return Ok(Verified { claims, session, remembered: true });
        }
        let claims = Rc::new(keys.verifier.verify(ticket, now)?);
        if gate.is_revoked(&claims) {
            return Err(TicketError::Revoked);
        }
        if self.order.len() >= self.tickets_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        let text: Rc<str> = ticket.into();
        self.order.push_back(Rc::clone(&text));
        let session = Rc::<Session>::default();
        let known = Known { claims: Rc::clone(&claims), session: Rc::clone(&session) };
        self.known.insert(text, known);
        Ok(Verified { claims, session, remembered: false })
    }
}

/// The same leeway as the verifier's, so that a ticket does not die earlier for being remembered.
fn check_time(claims: &Claims, now: UnixMillis) -> Result<(), TicketError> {
    if now >= claims.expires_at.plus_millis(CLOCK_LEEWAY_MS) {
        return Err(TicketError::Expired);
    }
    if now.plus_millis(CLOCK_LEEWAY_MS) < claims.not_before {
        return Err(TicketError::NotYet);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use control_token::TicketSigner;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000_000);

    #[test]
    fn a_remembered_ticket_still_expires_and_dies_with_its_key() {
        let signer = TicketSigner::generate().unwrap();
        let keys = TicketKeys { keys: vec![signer.verification_key()] };
        let gate = Gate::new(keys.clone(), true).unwrap();
        let mut memory = TicketMemory::new(2, 1);
        let ticket = signer.sign(&Claims::fill(NOW, NOW.plus_millis(60_000))).unwrap();
        assert!(!memory.check(&gate, &ticket, NOW).unwrap().remembered);
        assert!(memory.check(&gate, &ticket, NOW).unwrap().remembered);
        let later = NOW.plus_millis(60_000 + CLOCK_LEEWAY_MS);
        assert_eq!(memory.check(&gate, &ticket, later).unwrap_err(), TicketError::Expired);
        assert!(!gate.swap(keys).unwrap(), "the same keys change nothing");
        assert!(gate.swap(TicketKeys::default()).unwrap());
        assert_eq!(memory.check(&gate, &ticket, NOW).unwrap_err(), TicketError::UnknownKey);
    }

    #[test]
    fn what_was_taken_back_is_refused_also_when_it_is_remembered() {
        let signer = TicketSigner::generate().unwrap();
        let gate = Gate::new(TicketKeys { keys: vec![signer.verification_key()] }, true).unwrap();
        let mut memory = TicketMemory::new(4, 1);
        let title = "night".parse().unwrap();
        let of = |play: &str| {
            let claims = Claims::play(play.to_owned(), &title, NOW, NOW.plus_millis(60_000));
            signer.sign(&claims).unwrap()
        };
        let (kept, revoked) = (of("one"), of("two"));
        memory.check(&gate, &revoked, NOW).unwrap();
        gate.revoke(Revocations::of(vec!["three".to_owned(), "two".to_owned()]));
        assert_eq!(memory.check(&gate, &revoked, NOW).unwrap_err(), TicketError::Revoked);
        assert_eq!(memory.check(&gate, &of("three"), NOW).unwrap_err(), TicketError::Revoked);
        memory.check(&gate, &kept, NOW).unwrap();
        assert_eq!(gate.revoked_digest().len(), 16);
        gate.revoke(Revocations::default());
        memory.check(&gate, &revoked, NOW).unwrap();
    }

    #[test]
    fn memory_is_bounded() {
        let signer = TicketSigner::generate().unwrap();
        let keys = TicketKeys { keys: vec![signer.verification_key()] };
        let gate = Gate::new(keys, true).unwrap();
        let mut memory = TicketMemory::new(2, 1);
        for minutes in 1..5 {
            let claims = Claims::fill(NOW, NOW.plus_millis(minutes * 60_000));
            memory.check(&gate, &signer.sign(&claims).unwrap(), NOW).unwrap();
        }
        assert_eq!((memory.known.len(), memory.order.len()), (2, 2));
    }
}
