//! Tickets a worker has verified before, the keys that verify new ones, and which were taken back.
//! Never asks another process: keys, revocations and the moment of the last word from control come
//! from files and from the admin thread. What a ticket is worth that ended while control was away
//! is said in `sovereign/contact.rs`.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use ahash::{HashMap, HashSet, RandomState};
use arc_swap::{ArcSwap, ArcSwapOption};
use control_token::{CLOCK_LEEWAY_MS, Claims, KeyError, TicketError, Verifier};
use control_types::UnixMillis;
use control_types::fleet::{Revocations, TicketKeys};
use oca_sys::Nanos;

use crate::sovereign::{Away, Contact};

/// The keys of this appliance, shared by all workers; swapped whole when control names new ones.
pub struct Gate {
    keys: ArcSwap<Keys>,
    revoked: ArcSwap<Revoked>,
    /// Absent where there is no control to hear, or none was heard yet.
    contact: ArcSwapOption<Contact>,
    /// Longest time without control in which tickets that ended meanwhile are good.
    grace_ms: u64,
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
        let (revoked, contact) = (ArcSwap::default(), ArcSwapOption::default());
        Ok(Self { keys, revoked, contact, grace_ms: 0, required })
    }

    /// The same with this much time without control, milliseconds.
    #[must_use]
    pub fn with_grace_ms(self, grace_ms: u64) -> Self {
        Self { grace_ms, ..self }
    }

    /// Control was heard at `at`: just now, or by the process before.
    pub fn hear(&self, at: UnixMillis, heard: bool) {
        let number = self.contact.load().as_ref().map_or(0, |contact| contact.number + 1);
        self.contact.store(Some(Arc::new(Contact { number, at, heard })));
    }

    /// When control was heard last.
    #[must_use]
    pub fn contact(&self) -> Option<Contact> {
        self.contact.load().as_deref().copied()
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
    away: Away,
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
    /// Whether it has ended, and is good because control was away.
    pub excused: bool,
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
            away: Away::default(),
        }
    }

    /// The claims of `ticket` at `wall`, on the monotonic clock `now`. The time is checked at every
    /// call, the signature once.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check(
        &mut self,
        gate: &Gate,
        ticket: &str,
        wall: UnixMillis,
        now: Nanos,
    ) -> Result<Verified, TicketError> {
        let clock = self.clock(gate, wall, now);
        let keys = gate.keys.load();
        if keys.epoch != self.epoch {
            self.known.clear();
            self.order.clear();
            self.epoch = keys.epoch;
        }
        if let Some(Known { claims, session }) = self.known.get(ticket) {
            let excused = clock.check(claims)?;
            if gate.is_revoked(claims) {
                return Err(TicketError::Revoked);
            }
            let (claims, session) = (Rc::clone(claims), Rc::clone(session));
            return Ok(Verified { claims, session, remembered: true, excused });
        }
        let claims = Rc::new(keys.verifier.verify_at_any_time(ticket)?);
        let excused = clock.check(&claims)?;
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
        Ok(Verified { claims, session, remembered: false, excused })
    }

    fn clock(&mut self, gate: &Gate, wall: UnixMillis, now: Nanos) -> Clock {
        let contact = gate.contact.load();
        let Some(contact) = contact.as_deref() else { return Clock { wall, excuses: None } };
        let is_short = self.away.millis(contact, wall, now) <= gate.grace_ms;
        let wall = self.away.believed(contact, wall, now);
        Clock { wall, excuses: is_short.then_some(contact.at) }
    }
}

/// The time that tickets are held to.
#[derive(Clone, Copy)]
struct Clock {
    wall: UnixMillis,
    /// A ticket that ended after this is good nevertheless.
    excuses: Option<UnixMillis>,
}

impl Clock {
    /// The same leeway as the verifier's, so that a ticket does not die earlier for being
    /// remembered. True for one that has ended, and is excused.
    fn check(self, claims: &Claims) -> Result<bool, TicketError> {
        if self.wall.plus_millis(CLOCK_LEEWAY_MS) < claims.not_before {
            return Err(TicketError::NotYet);
        }
        let ends_at = claims.expires_at.plus_millis(CLOCK_LEEWAY_MS);
        if self.wall < ends_at {
            return Ok(false);
        }
        match self.excuses {
            Some(heard_at) if ends_at > heard_at => Ok(true),
            _ => Err(TicketError::Expired),
        }
    }
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
        assert!(!memory.check(&gate, &ticket, NOW, Nanos(0)).unwrap().remembered);
        assert!(memory.check(&gate, &ticket, NOW, Nanos(0)).unwrap().remembered);
        let later = NOW.plus_millis(60_000 + CLOCK_LEEWAY_MS);
        assert_eq!(
            memory.check(&gate, &ticket, later, Nanos(0)).unwrap_err(),
            TicketError::Expired
        );
        assert!(!gate.swap(keys).unwrap(), "the same keys change nothing");
        assert!(gate.swap(TicketKeys::default()).unwrap());
        assert_eq!(
            memory.check(&gate, &ticket, NOW, Nanos(0)).unwrap_err(),
            TicketError::UnknownKey
        );
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
        memory.check(&gate, &revoked, NOW, Nanos(0)).unwrap();
        gate.revoke(Revocations::of(vec!["three".to_owned(), "two".to_owned()]));
        assert_eq!(memory.check(&gate, &revoked, NOW, Nanos(0)).unwrap_err(), TicketError::Revoked);
        assert_eq!(
            memory.check(&gate, &of("three"), NOW, Nanos(0)).unwrap_err(),
            TicketError::Revoked
        );
        memory.check(&gate, &kept, NOW, Nanos(0)).unwrap();
        assert_eq!(gate.revoked_digest().len(), 16);
        gate.revoke(Revocations::default());
        memory.check(&gate, &revoked, NOW, Nanos(0)).unwrap();
    }

    #[test]
    fn memory_is_bounded() {
        let signer = TicketSigner::generate().unwrap();
        let keys = TicketKeys { keys: vec![signer.verification_key()] };
        let gate = Gate::new(keys, true).unwrap();
        let mut memory = TicketMemory::new(2, 1);
        for minutes in 1..5 {
            let claims = Claims::fill(NOW, NOW.plus_millis(minutes * 60_000));
            memory.check(&gate, &signer.sign(&claims).unwrap(), NOW, Nanos(0)).unwrap();
        }
        assert_eq!((memory.known.len(), memory.order.len()), (2, 2));
    }

    const HOUR: u64 = 3_600_000;

    /// A gate with a day of grace, and a ticket that ends an hour after `NOW`.
    fn graced() -> (Gate, String) {
        let signer = TicketSigner::generate().unwrap();
        let keys = TicketKeys { keys: vec![signer.verification_key()] };
        let gate = Gate::new(keys, true).unwrap().with_grace_ms(24 * HOUR);
        (gate, signer.sign(&Claims::fill(NOW, NOW.plus_millis(HOUR))).unwrap())
    }

    fn at(hours: u64) -> (UnixMillis, Nanos) {
        (NOW.plus_millis(hours * HOUR), Nanos(0).plus_millis(hours * HOUR))
    }

    #[test]
    fn a_ticket_that_ended_without_control_is_good_for_a_day_of_its_absence() {
        let (gate, ticket) = graced();
        let mut memory = TicketMemory::new(2, 1);
        let mut check = |gate: &Gate, hours: u64| {
            let (wall, now) = at(hours);
            memory.check(gate, &ticket, wall, now).map(|verified| verified.excused)
        };
        assert_eq!(check(&gate, 2), Err(TicketError::Expired), "control was never there");
        gate.hear(NOW, true);
        assert_eq!(check(&gate, 0), Ok(false));
        for hours in [2, 12, 24] {
            assert_eq!(check(&gate, hours), Ok(true), "{hours} h");
        }
        assert_eq!(check(&gate, 25), Err(TicketError::Expired));
        gate.hear(at(26).0, true);
        assert_eq!(check(&gate, 26), Err(TicketError::Expired), "it could have been renewed");
        gate.hear(at(0).0, false);
        assert_eq!(check(&gate, 23), Ok(true), "a restart knows from the file");
    }

    #[test]
    fn clocks_that_jump_neither_shorten_nor_lengthen_the_grace() {
        let (gate, ticket) = graced();
        let mut memory = TicketMemory::new(2, 1);
        gate.hear(NOW, true);
        let mut check = |wall: UnixMillis, hours: u64| {
            let now = Nanos(0).plus_millis(hours * HOUR);
            memory.check(&gate, &ticket, wall, now).map(|verified| verified.excused)
        };
        assert_eq!(check(NOW, 0), Ok(false));
        assert_eq!(check(NOW.plus_millis(1_000 * HOUR), 3), Ok(true), "forward: three hours away");
        assert_eq!(check(UnixMillis(5), 4), Ok(true), "back: neither young again nor early");
        assert_eq!(check(UnixMillis(5), 25), Err(TicketError::Expired), "a day is a day");
    }

    #[test]
    fn what_was_taken_back_and_what_is_forged_get_no_grace() {
        let (gate, ticket) = graced();
        let mut memory = TicketMemory::new(2, 1);
        gate.hear(NOW, true);
        let (wall, now) = at(3);
        assert!(memory.check(&gate, &ticket, wall, now).unwrap().excused);
        let subject = memory.check(&gate, &ticket, wall, now).unwrap().claims.subject.clone();
        gate.revoke(Revocations::of(vec![subject]));
        assert_eq!(memory.check(&gate, &ticket, wall, now).unwrap_err(), TicketError::Revoked);
        let (_, strange) = graced();
        assert_eq!(memory.check(&gate, &strange, wall, now).unwrap_err(), TicketError::UnknownKey);
    }
}
