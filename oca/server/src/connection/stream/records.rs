//! TLS records after the handshake: sealed and opened by us, with the keys that the library agreed
//! on. Never holds a byte of a body, never allocates for a record, and never does a handshake.
//!
//! ```text
//! TLS 1.3        17 03 03 len | content, type | tag            beside: the header
//! TLS 1.2 GCM    type 03 03 len | 8 of the nonce | content | tag   beside: number, header, length
//! TLS 1.2 ChaCha type 03 03 len | content | tag                beside: number, header, length
//! ```
//! A nonce is the key's own bytes xor the number of the record, so it is used once as long as the
//! number only rises. Before a key has sealed as many records as it may, TLS 1.3 takes the next one
//! (and says so by a KeyUpdate); TLS 1.2 has none, and the connection ends.
//!
//! The sealing may be handed over to the kernel, which then has the only key that seals; opening
//! stays here. It is given no next key: when one is due, the connection ends after the answer under
//! way (`must_end`).

use oca_sys::{AeadKey, Cipher, NONCE_BYTES, SendKeys, TAG_BYTES, TlsVersion, Wrapping};
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{ConnectionTrafficSecrets, ExtractedSecrets, ProtocolVersion};

use super::Broken;
use super::shape::{
    ALERT, APPLICATION, Alert, EXPLICIT_BYTES, HANDSHAKE, HEADER_BYTES, KEY_UPDATE, Shape, beside,
};
use crate::limits::{KEY_UPDATES_MAX, RECORD_CONTENT_BYTES_MAX, RECORDS_PER_KEY_MAX};

/// One direction.
struct Direction {
    key: AeadKey,
    iv: [u8; NONCE_BYTES],
    /// Number of the next record.
    number: u64,
}

impl Direction {
    fn new(number: u64, secrets: &ConnectionTrafficSecrets) -> Option<Self> {
        let (cipher, key, iv) = parts(secrets)?;
        Some(Self { key: AeadKey::new(cipher, key)?, iv: *iv, number })
    }

    fn nonce(&self) -> [u8; NONCE_BYTES] {
        let mut nonce = self.iv;
        for (byte, number) in nonce[NONCE_BYTES - 8..].iter_mut().zip(self.number.to_be_bytes()) {
            *byte ^= number;
        }
        nonce
    }
}

/// A key as bytes: cipher, key, nonce.
fn parts(secrets: &ConnectionTrafficSecrets) -> Option<(Cipher, &[u8], &[u8; NONCE_BYTES])> {
    let (cipher, key, iv) = match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (Cipher::Aes128Gcm, key, iv),
        ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (Cipher::Aes256Gcm, key, iv),
        ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
            (Cipher::ChaCha20Poly1305, key, iv)
        }
        _ => return None,
    };
    Some((cipher, key.as_ref(), iv.as_ref().try_into().ok()?))
}

/// Who seals.
enum Sealing {
    /// We do.
    Ours {
        key: Direction,
        /// The same key as bytes, for the kernel; absent once it is settled that we keep it.
        spare: Option<Box<ConnectionTrafficSecrets>>,
    },
    /// The kernel does.
    Kernel {
        /// Records sealed with the key, at most.
        records: u64,
    },
}

/// Both directions of one connection.
pub struct Records {
    shape: Shape,
    sealing: Sealing,
    opening: Direction,
    /// Knows the keys after these.
    next_keys: KernelConnection<ServerConnectionData>,
    /// The peer asked for a KeyUpdate; it goes before the next content.
    owes_key_update: bool,
    /// KeyUpdates of the peer since it last sent content.
    key_updates: u32,
}

/// What one step of opening came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// The record is not whole yet.
    NeedsMore,
    /// A record of `record` bytes, whose content, perhaps none, was added to `plain`.
    Content {
        /// Length on the wire.
        record: usize,
    },
    /// A record that was for us alone.
    Nothing {
        /// Length on the wire.
        record: usize,
    },
    /// The peer said close_notify.
    Closed,
    /// It ended in an alert of the peer: there is nobody to answer.
    PeerFailed,
    /// A rule was broken; say this.
    Failed(Alert),
}

impl Records {
    /// Takes over from the library; `None` when it agreed on something that we do not seal.
    pub fn new(
        secrets: ExtractedSecrets,
        next_keys: KernelConnection<ServerConnectionData>,
    ) -> Option<Self> {
        let shape = match (next_keys.protocol_version(), &secrets.tx.1) {
            (ProtocolVersion::TLSv1_3, _) => Shape::Tls13,
            (_, ConnectionTrafficSecrets::Chacha20Poly1305 { .. }) => Shape::Tls12ChaCha,
            _ => Shape::Tls12Gcm,
        };
        Some(Self {
            shape,
            sealing: Sealing::Ours {
                key: Direction::new(secrets.tx.0, &secrets.tx.1)?,
                spare: Some(Box::new(secrets.tx.1)),
            },
            opening: Direction::new(secrets.rx.0, &secrets.rx.1)?,
            next_keys,
            owes_key_update: false,
            key_updates: 0,
        })
    }

    /// Offers the sealing key to `take`, once. When it takes the key, nothing is sealed here any
    /// more; otherwise everything goes on as it was. `None`: it was offered before.
    pub fn hand_over<E>(
        &mut self,
        take: impl FnOnce(&SendKeys<'_>) -> Result<(), E>,
    ) -> Option<Result<(), E>> {
        let version =
            if self.shape == Shape::Tls13 { TlsVersion::Tls13 } else { TlsVersion::Tls12 };
        let Sealing::Ours { key: Direction { number, .. }, spare } = &mut self.sealing else {
            return None;
        };
        let (number, secrets) = (*number, spare.take()?);
        let (cipher, key, nonce) = parts(&secrets)?;
        let taken = take(&SendKeys { version, cipher, key, nonce, number });
        if taken.is_ok() {
            self.sealing = Sealing::Kernel { records: number };
        }
        Some(taken)
    }

    /// It will not be offered: the key stays here, as bytes nowhere.
    pub fn keep_key(&mut self) {
        if let Sealing::Ours { spare, .. } = &mut self.sealing {
            *spare = None;
        }
    }

    /// Whether the kernel has the sealing key.
    pub fn kernel_seals(&self) -> bool {
        matches!(self.sealing, Sealing::Kernel { .. })
    }

    /// Whether the kernel would need a key that it cannot be given: no more answers may begin.
    pub fn must_end(&self) -> bool {
        match self.sealing {
            Sealing::Ours { .. } => false,
            Sealing::Kernel { records } => self.owes_key_update || records >= RECORDS_PER_KEY_MAX,
        }
    }

    /// The kernel was given `bytes` to seal, and perhaps ended a record before and behind them.
    /// False when its key has sealed twice what it may: not even the answer under way may go on.
    #[must_use]
    pub fn count_sealed(&mut self, bytes: u64) -> bool {
        let Sealing::Kernel { records } = &mut self.sealing else { return true };
        *records += bytes / RECORD_CONTENT_BYTES_MAX as u64 + 2;
        *records < 2 * RECORDS_PER_KEY_MAX
    }

    /// Seals `clear` into records at the start of `out`; answers their length.
    ///
    /// # Errors
    /// `out` is too small, or the key is at the end of its life and has no successor.
    pub fn seal(&mut self, clear: &[u8], out: &mut [u8]) -> Result<usize, Broken> {
        let mut wrote = 0;
        for content in clear.chunks(RECORD_CONTENT_BYTES_MAX) {
            wrote += self.renew_key(&mut out[wrote..])?;
            wrote += self.seal_one(APPLICATION, content, &mut out[wrote..])?;
        }
        Ok(wrote)
    }

    /// Seals an alert.
    ///
    /// # Errors
    /// As `seal`.
    pub fn say(&mut self, alert: Alert, out: &mut [u8]) -> Result<usize, Broken> {
        self.seal_one(ALERT, &alert.content(), out)
    }

    /// The next key, if this one was asked to go or has done its part.
    fn renew_key(&mut self, out: &mut [u8]) -> Result<usize, Broken> {
        let Sealing::Ours { key, .. } = &self.sealing else { return Err(Broken) };
        if !self.owes_key_update && key.number < RECORDS_PER_KEY_MAX {
            return Ok(0);
        }
        if self.shape != Shape::Tls13 {
            return Err(Broken);
        }
        // update_not_requested: what the peer seals with is its own affair.
        let wrote = self.seal_one(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 0], out)?;
        let (number, secrets) = self.next_keys.update_tx_secret().map_err(|_| Broken)?;
        let key = Direction::new(number, &secrets).ok_or(Broken)?;
        self.sealing = Sealing::Ours { key, spare: None };
        self.owes_key_update = false;
        Ok(wrote)
    }

    fn seal_one(&mut self, kind: u8, content: &[u8], out: &mut [u8]) -> Result<usize, Broken> {
        let explicit_bytes = self.shape.explicit_bytes();
        let last = (self.shape == Shape::Tls13).then_some(kind);
        let sealed_bytes = explicit_bytes + content.len() + last.as_slice().len() + TAG_BYTES;
        let length = u16::try_from(sealed_bytes).map_err(|_| Broken)?.to_be_bytes();
        let outer = if self.shape == Shape::Tls13 { APPLICATION } else { kind };
        let header = [outer, 3, 3, length[0], length[1]];
        let Sealing::Ours { key, .. } = &mut self.sealing else { return Err(Broken) };
        let nonce = key.nonce();
        let beside = beside(self.shape, header, key.number, content.len());
        let (start, rest) =
            out.split_at_mut_checked(HEADER_BYTES + explicit_bytes).ok_or(Broken)?;
        start[..HEADER_BYTES].copy_from_slice(&header);
        start[HEADER_BYTES..].copy_from_slice(&nonce[NONCE_BYTES - explicit_bytes..]);
        let wrapping = Wrapping { nonce: &nonce, beside: beside.as_slice() };
        let sealed = key.key.seal(wrapping, content, last, rest).ok_or(Broken)?;
        key.number += 1;
        Ok(HEADER_BYTES + explicit_bytes + sealed)
    }

    /// Opens the first record of `incoming`, in place.
    pub fn open(&mut self, incoming: &mut [u8], plain: &mut Vec<u8>) -> Opened {
        let Some((header, rest)) = incoming.split_first_chunk_mut::<HEADER_BYTES>() else {
            return Opened::NeedsMore;
        };
        let bytes = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if header[1] != 3 || (self.shape == Shape::Tls13 && header[0] != APPLICATION) {
            return Opened::Failed(Alert::UnexpectedMessage);
        }
        if bytes > self.shape.sealed_bytes_max() {
            return Opened::Failed(Alert::RecordOverflow);
        }
        let header = *header;
        let Some(sealed) = rest.get_mut(..bytes) else { return Opened::NeedsMore };
        let Some((kind, content)) = self.open_one(header, sealed) else {
            return Opened::Failed(Alert::BadRecordMac);
        };
        if content.len() > RECORD_CONTENT_BYTES_MAX {
            return Opened::Failed(Alert::RecordOverflow);
        }
        let record = HEADER_BYTES + bytes;
        match kind {
            APPLICATION => {
                if !content.is_empty() {
                    self.key_updates = 0;
                }
                plain.extend_from_slice(content);
                Opened::Content { record }
            }
            ALERT => match content {
                [_, 0] => Opened::Closed,
                // TLS 1.2 warnings: user_canceled, no_renegotiation.
                [1, _] if self.shape != Shape::Tls13 => Opened::Nothing { record },
                [_, _] => Opened::PeerFailed,
                _ => Opened::Failed(Alert::DecodeError),
            },
            HANDSHAKE => match (self.shape, content) {
                (Shape::Tls13, [KEY_UPDATE, 0, 0, 1, asked @ (0 | 1)]) => {
                    let asked = *asked == 1;
                    self.follow_key_update(asked, record)
                }
                _ => Opened::Failed(Alert::UnexpectedMessage),
            },
            _ => Opened::Failed(Alert::UnexpectedMessage),
        }
    }

    /// A record's type and content, in place; `None` when it is not sealed for us.
    fn open_one<'a>(
        &mut self,
        header: [u8; HEADER_BYTES],
        sealed: &'a mut [u8],
    ) -> Option<(u8, &'a [u8])> {
        let explicit_bytes = self.shape.explicit_bytes();
        let mut nonce = self.opening.nonce();
        let (explicit, sealed) = sealed.split_at_mut_checked(explicit_bytes)?;
        if self.shape == Shape::Tls12Gcm {
            // The peer's own choice behind the first four bytes.
            nonce = self.opening.iv;
            nonce[NONCE_BYTES - EXPLICIT_BYTES..].copy_from_slice(explicit);
        }
        let content_bytes = sealed.len().checked_sub(TAG_BYTES)?;
        let beside = beside(self.shape, header, self.opening.number, content_bytes);
        let wrapping = Wrapping { nonce: &nonce, beside: beside.as_slice() };
        let bytes = self.opening.key.open(wrapping, sealed)?;
        self.opening.number += 1;
        if self.shape != Shape::Tls13 {
            return Some((header[0], &sealed[..bytes]));
        }
        // Content, its type, and zeros that hide its length.
        let at = sealed[..bytes].iter().rposition(|byte| *byte != 0)?;
        Some((sealed[at], &sealed[..at]))
    }

    /// The peer seals with its next key from here on. A KeyUpdate that shares its record with more,
    /// or is cut in two, is no honest peer's; nor are many without anything said between them.
    fn follow_key_update(&mut self, asked: bool, record: usize) -> Opened {
        self.key_updates += 1;
        if self.key_updates > KEY_UPDATES_MAX {
            return Opened::Failed(Alert::UnexpectedMessage);
        }
        let next = self.next_keys.update_rx_secret().ok();
        let Some(next) = next.and_then(|(number, key)| Direction::new(number, &key)) else {
            return Opened::Failed(Alert::InternalError);
        };
        self.opening = next;
        self.owes_key_update |= asked;
        Opened::Nothing { record }
    }
}
