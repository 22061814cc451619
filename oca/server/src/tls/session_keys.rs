//! Keys that seal TLS session tickets: derived from a site's secret and the time, so that all boxes
//! of a site agree without talking. Never stores a ticket or a session.
//!
//! Time is cut into epochs (six hours unless configured). The key of an epoch is HKDF-SHA256 of the
//! secret and the epoch's number; nothing else goes in, so a session opened on one box resumes on
//! another, after a restart and in the program that took over. A ticket is sealed with the key of
//! the current epoch of the first secret, and opened with the epoch before, the current or the next
//! (for a box whose clock is ahead) of any secret: it lives between one epoch and two.
//!
//! The file of secrets has one secret a line. To change it without a resumption lost: add the new
//! one as the second line everywhere, then move it to the first, then let the old one go.
//!
//! ```text
//! ticket: name of the key (16) | nonce (12) | sealed session | tag (16), AES-256-GCM
//! ```
//! Nonces are random: at a thousand million tickets a key (a site, an epoch) the chance of a pair
//! is below one in ten thousand million.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use rustls::server::ProducesTickets;

use super::{Stamp, TlsError, stamp};
use crate::limits::{SESSION_SECRET_BYTES_MIN, SESSION_SECRETS_MAX, SESSION_TICKET_BYTES_MAX};

/// Bytes of a key's name.
const NAME_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
/// Default length of an epoch, seconds.
pub const EPOCH_S: u64 = 6 * 3600;

/// The ticketer of a server: give it to all of its workers.
pub struct SessionKeys {
    /// Absent when the secret was made up.
    source: Option<PathBuf>,
    read_at: ArcSwap<Stamp>,
    /// What is in use is older than `read_at`: what was read then was not good.
    is_behind: AtomicBool,
    secrets: ArcSwap<Vec<Prk>>,
    ring: ArcSwap<KeyRing>,
    epoch_s: u64,
    clock: fn() -> u64,
}

/// The keys of one moment.
struct KeyRing {
    epoch: u64,
    /// The first one seals.
    keys: Vec<NamedKey>,
}

struct NamedKey {
    name: [u8; NAME_BYTES],
    key: LessSafeKey,
}

/// Length of what HKDF gives.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl SessionKeys {
    /// Keys that no other process has: sessions resume until this one ends.
    ///
    /// # Errors
    /// The machine has no randomness.
    pub fn made_up() -> Result<Arc<Self>, TlsError> {
        let mut secret = [0; KEY_BYTES];
        aws_lc_rs::rand::fill(&mut secret).map_err(|_| TlsError::NoRandomness)?;
        Ok(Arc::new(Self::of(vec![extract(&secret)], EPOCH_S, wall_s)))
    }

    /// Keys from the file at `path`, in epochs of `epoch_s` seconds.
    ///
    /// # Errors
    /// The file cannot be read, or holds no secret.
    pub fn load(path: &Path, epoch_s: u64) -> Result<Arc<Self>, TlsError> {
        let read_at = stamp(path);
        let mut keys = Self::of(read_secrets(path)?, epoch_s.max(1), wall_s);
        keys.source = Some(path.to_owned());
        keys.read_at = ArcSwap::from_pointee(read_at);
        Ok(Arc::new(keys))
    }

    fn of(secrets: Vec<Prk>, epoch_s: u64, clock: fn() -> u64) -> Self {
        let ring = ArcSwap::from_pointee(KeyRing::of(&secrets, clock() / epoch_s));
        let secrets = ArcSwap::from_pointee(secrets);
        let read_at = ArcSwap::from_pointee(Stamp::default());
        let is_behind = AtomicBool::new(false);
        Self { source: None, read_at, is_behind, secrets, ring, epoch_s, clock }
    }

    /// Reads the file again if it changed, or was not good when it was last read. True when the
    /// secrets are new.
    ///
    /// # Errors
    /// It holds no secret now: the old ones stay in use. It is said once for each change.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let Some(path) = &self.source else { return Ok(false) };
        let stamp = stamp(path);
        let is_new = **self.read_at.load() != stamp;
        if !is_new && !self.is_behind.load(Ordering::Relaxed) {
            return Ok(false);
        }
        self.read_at.store(Arc::new(stamp));
        let read = read_secrets(path);
        self.is_behind.store(read.is_err(), Ordering::Relaxed);
        let secrets = match read {
            Ok(secrets) => secrets,
            Err(error) if is_new => return Err(error),
            Err(_) => return Ok(false),
        };
        self.ring.store(Arc::new(KeyRing::of(&secrets, (self.clock)() / self.epoch_s)));
        self.secrets.store(Arc::new(secrets));
        Ok(true)
    }

    /// The keys of this epoch. Two workers that find an old ring both make the same new one.
    fn ring(&self) -> Arc<KeyRing> {
        let epoch = (self.clock)() / self.epoch_s;
        let ring = self.ring.load_full();
        if ring.epoch == epoch {
            return ring;
        }
        let ring = Arc::new(KeyRing::of(&self.secrets.load(), epoch));
        self.ring.store(Arc::clone(&ring));
        ring
    }
}

impl KeyRing {
    fn of(secrets: &[Prk], epoch: u64) -> Self {
        let mut keys = Vec::with_capacity(secrets.len() * 3);
        for secret in secrets {
            for epoch in [epoch, epoch.wrapping_sub(1), epoch + 1] {
                keys.extend(NamedKey::of(secret, epoch));
            }
        }
        Self { epoch, keys }
    }
}

impl NamedKey {
    /// Never absent in practice: 48 bytes are far below what HKDF may give.
    fn of(secret: &Prk, epoch: u64) -> Option<Self> {
        let mut material = [0; NAME_BYTES + KEY_BYTES];
        let words: [&[u8]; 2] = [b"nightfill oca session tickets 1", &epoch.to_be_bytes()];
        secret.expand(&words, Length(material.len())).ok()?.fill(&mut material).ok()?;
        let (name, key) = material.split_first_chunk()?;
        let key = UnboundKey::new(&AES_256_GCM, key).ok()?;
        Some(Self { name: *name, key: LessSafeKey::new(key) })
    }
}

impl ProducesTickets for SessionKeys {
    fn enabled(&self) -> bool {
        true
    }

    /// One epoch: what a ticket made in the last second of its epoch still has.
    fn lifetime(&self) -> u32 {
        u32::try_from(self.epoch_s).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let ring = self.ring();
        let NamedKey { name, key } = ring.keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).ok()?;
        let head = NAME_BYTES + NONCE_LEN;
        let mut ticket = Vec::with_capacity(head + plain.len() + AES_256_GCM.tag_len());
        ticket.extend_from_slice(name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag =
            key.seal_in_place_separate_tag(nonce, Aad::from(name), ticket.get_mut(head..)?).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        (ticket.len() <= SESSION_TICKET_BYTES_MAX).then_some(ticket)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        if cipher.len() > SESSION_TICKET_BYTES_MAX {
            return None;
        }
        let (name, rest) = cipher.split_first_chunk::<NAME_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let ring = self.ring();
        // A name is no secret: it stands in the ticket.
        let found = ring.keys.iter().find(|known| known.name == *name)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = found.key.open_in_place(nonce, Aad::from(name), &mut sealed).ok()?.len();
        sealed.truncate(plain);
        Some(sealed)
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SessionKeys").field("source", &self.source).finish_non_exhaustive()
    }
}

fn read_secrets(path: &Path) -> Result<Vec<Prk>, TlsError> {
    let refused = |why: String| TlsError::Secret { path: path.to_owned(), why };
    let text = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let secrets: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).collect();
    if secrets.is_empty() || secrets.len() > SESSION_SECRETS_MAX {
        return Err(refused(format!("{} lines, 1 to {SESSION_SECRETS_MAX} wanted", secrets.len())));
    }
    if let Some(short) = secrets.iter().position(|line| line.len() < SESSION_SECRET_BYTES_MIN) {
        return Err(refused(format!(
            "line {} is shorter than {SESSION_SECRET_BYTES_MIN} bytes",
            short + 1
        )));
    }
    Ok(secrets.into_iter().map(extract).collect())
}

fn extract(secret: &[u8]) -> Prk {
    Salt::new(HKDF_SHA256, b"nightfill oca").extract(secret)
}

fn wall_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static NOW_S: Cell<u64> = const { Cell::new(0) };
    }

    fn boxed(secrets: &[&[u8]]) -> SessionKeys {
        SessionKeys::of(secrets.iter().map(|secret| extract(secret)).collect(), 100, || NOW_S.get())
    }

    /// Sealed on one box at `sealed_s`, opened on another at `opened_s`.
    fn check(sealed_s: u64, opened_s: u64, opens: bool) {
        NOW_S.set(sealed_s);
        let (one, other) = (boxed(&[b"site"]), boxed(&[b"site"]));
        let ticket = one.encrypt(b"session").unwrap();
        NOW_S.set(opened_s);
        let opened = other.decrypt(&ticket);
        assert_eq!(opened.as_deref() == Some(b"session"), opens, "{sealed_s} then {opened_s}");
        assert_eq!(opened, one.decrypt(&ticket), "a box that ran on and one that just started");
    }

    #[test]
    fn a_ticket_lives_one_epoch_either_side() {
        check(1000, 1000, true);
        check(1099, 1199, true);
        check(1000, 1199, true);
        check(1000, 1200, false);
        check(1000, 901, true);
        check(1000, 899, false);
    }

    #[test]
    fn strangers_and_damaged_tickets_are_refused() {
        NOW_S.set(5000);
        let keys = boxed(&[b"site"]);
        let ticket = keys.encrypt(b"session").unwrap();
        assert_ne!(ticket, keys.encrypt(b"session").unwrap(), "nonces differ");
        assert_eq!(boxed(&[b"other site"]).decrypt(&ticket), None);
        for at in 0..ticket.len() {
            let mut damaged = ticket.clone();
            damaged[at] ^= 1;
            assert_eq!(keys.decrypt(&damaged), None, "byte {at}");
            assert_eq!(keys.decrypt(&ticket[..at]), None, "cut at {at}");
        }
        assert_eq!(keys.decrypt(&vec![0; SESSION_TICKET_BYTES_MAX + 1]), None);
        assert_eq!(keys.encrypt(&vec![0; SESSION_TICKET_BYTES_MAX]), None);
    }

    #[test]
    fn a_secret_is_changed_line_by_line() {
        NOW_S.set(7000);
        let (old, new): (&[u8], &[u8]) = (b"old", b"new");
        let stages = [boxed(&[old]), boxed(&[old, new]), boxed(&[new, old]), boxed(&[new])];
        for pair in stages.windows(2) {
            assert!(pair[1].decrypt(&pair[0].encrypt(b"s").unwrap()).is_some(), "forwards");
            assert!(pair[0].decrypt(&pair[1].encrypt(b"s").unwrap()).is_some(), "backwards");
        }
        assert!(stages[3].decrypt(&stages[0].encrypt(b"s").unwrap()).is_none());
    }

    #[test]
    fn a_file_of_secrets_is_checked_and_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let said = |text: &str| {
            std::fs::write(&path, text).unwrap();
            SessionKeys::load(&path, 100).unwrap_err().to_string()
        };
        assert!(said("short").contains("32 bytes"));
        assert!(said("\n \n").contains("0 lines"));
        let secret = "0123456789abcdef0123456789abcdef";
        std::fs::write(&path, secret).unwrap();
        let (keys, old) = (SessionKeys::load(&path, 100).unwrap(), SessionKeys::load(&path, 100));
        assert!(!keys.refresh().unwrap());
        std::fs::write(&path, format!("{secret}{secret}\n{secret}\n")).unwrap();
        assert!(keys.refresh().unwrap());
        assert!(keys.decrypt(&old.unwrap().encrypt(b"s").unwrap()).is_some());
        std::fs::write(&path, "no").unwrap();
        assert!(keys.refresh().is_err());
        assert!(keys.encrypt(b"s").is_some(), "the old ones stay");
    }
}
