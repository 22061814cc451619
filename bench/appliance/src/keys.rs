//! The traffic keys of one TLS 1.3 connection, taken out of rustls after the handshake: seals what
//! the load asks, opens records it looks into, and counts past those it does not. Does no I/O.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use nightfill_harness::Trouble;
use rustls::{ClientConnection, ConnectionTrafficSecrets, ExtractedSecrets};

/// Bytes of a record before its text.
pub const RECORD_HEAD: usize = 5;
/// What a record has besides its text and its head: the type and the tag.
pub const RECORD_EXTRA: usize = 17;
/// Most text of one record.
pub const TEXT_MAX: usize = 16 << 10;
/// What every record is labelled as from outside once keys are in use.
const APPLICATION: u8 = 23;

/// What a record says it is once it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of an answer.
    Text,
    /// A session ticket: no bytes of an answer, and the keys stay.
    Ticket,
}

/// Keys of both directions and how many records have gone each way.
pub struct Keys {
    seal: LessSafeKey,
    seal_iv: [u8; 12],
    sealed: u64,
    open: LessSafeKey,
    /// The same key without the seal's check, to read the first bytes of a record.
    peek: DecryptingKey,
    open_iv: [u8; 12],
    opened: u64,
}

impl Keys {
    /// Those of a session that has nothing left to send, and of which every record that came has
    /// been read.
    ///
    /// # Errors
    /// When its cipher is neither AES-128-GCM nor AES-256-GCM.
    pub fn of(session: ClientConnection) -> Result<Self, Trouble> {
        let secrets = session.dangerous_extract_secrets();
        let secrets = secrets.map_err(|error| Trouble(format!("the session's keys: {error}")))?;
        Self::with(secrets)
    }

    /// With the secrets of both directions.
    ///
    /// # Errors
    /// As `of`.
    pub fn with(secrets: ExtractedSecrets) -> Result<Self, Trouble> {
        let ((sealed, seal), (opened, open)) = (secrets.tx, secrets.rx);
        let ((seal, _, seal_iv), (open, peek, open_iv)) = (made(&seal)?, made(&open)?);
        Ok(Self { seal, seal_iv, sealed, open, peek, open_iv, opened })
    }

    /// `text` as one record, ready to be sent.
    ///
    /// # Errors
    /// When it is longer than a record.
    pub fn seal(&mut self, text: &[u8]) -> Result<Vec<u8>, Trouble> {
        let length = u16::try_from(text.len() + RECORD_EXTRA);
        let [high, low] =
            length.map_err(|_| Trouble("a request too long".to_owned()))?.to_be_bytes();
        let head = [APPLICATION, 3, 3, high, low];
        let mut record = head.to_vec();
        record.extend_from_slice(text);
        record.push(APPLICATION);
        let nonce = Nonce::assume_unique_for_key(nonce(&self.seal_iv, self.sealed));
        let tag = self.seal.seal_in_place_separate_tag(
            nonce,
            Aad::from(head),
            &mut record[RECORD_HEAD..],
        );
        let tag = tag.map_err(|_| Trouble("a request could not be sealed".to_owned()))?;
        record.extend_from_slice(tag.as_ref());
        self.sealed += 1;
        Ok(record)
    }

    /// Opens a whole record in place and gives what it is and how many bytes of text it has, which
    /// then stand behind its head.
    ///
    /// # Errors
    /// When it is not the next record of the connection, or one that ends it or changes its keys.
    pub fn open(&mut self, record: &mut [u8]) -> Result<(Kind, usize), Trouble> {
        let (head, sealed) = record.split_at_mut(RECORD_HEAD);
        let nonce = Nonce::assume_unique_for_key(nonce(&self.open_iv, self.opened));
        let count = self.opened;
        let text = self.open.open_in_place(nonce, Aad::from(&head), sealed).map_err(|_| {
            Trouble(format!("a TLS record that is not number {count}: the count went wrong"))
        })?;
        self.opened += 1;
        let end = text.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        match text.get(end) {
            Some(23) => Ok((Kind::Text, end)),
            // A handshake message that begins with 4 is a ticket; 24 would be new keys.
            Some(22) if text[0] == 4 => Ok((Kind::Ticket, 0)),
            other => Err(Trouble(format!("a TLS record of type {other:?} within an answer"))),
        }
    }

    /// Reads the first bytes of the next record, `bytes` being those behind its head, and counts
    /// it. The seal is not checked: whoever peeks has to know what must stand there.
    ///
    /// # Errors
    /// When the cipher fails.
    pub fn peek(&mut self, bytes: &mut [u8]) -> Result<(), Trouble> {
        let mut block = [0; 16];
        block[..12].copy_from_slice(&nonce(&self.open_iv, self.opened));
        // Block 1 makes the tag, the text begins with block 2.
        block[15] = 2;
        let from = DecryptionContext::Iv128(FixedLength::from(block));
        self.peek.decrypt(bytes, from).map_err(|_| Trouble("the cipher failed".to_owned()))?;
        self.opened += 1;
        Ok(())
    }

    /// Counts records that nobody looks into.
    pub fn pass(&mut self, records: u64) {
        self.opened += records;
    }
}

type Made = (LessSafeKey, DecryptingKey, [u8; 12]);

fn made(secrets: &ConnectionTrafficSecrets) -> Result<Made, Trouble> {
    let (key, iv, sealed, plain) = match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (key, iv, &AES_128_GCM, &AES_128),
        ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (key, iv, &AES_256_GCM, &AES_256),
        _ => return Err(Trouble("a cipher that this load does not know".to_owned())),
    };
    let wrong = |_| Trouble("a key that does not fit its cipher".to_owned());
    let aead = UnboundKey::new(sealed, key.as_ref()).map_err(wrong)?;
    let peek = UnboundCipherKey::new(plain, key.as_ref()).and_then(DecryptingKey::ctr);
    let mut twelve = [0; 12];
    twelve.copy_from_slice(iv.as_ref());
    Ok((LessSafeKey::new(aead), peek.map_err(wrong)?, twelve))
}

fn nonce(iv: &[u8; 12], count: u64) -> [u8; 12] {
    let mut nonce = *iv;
    for (byte, count) in nonce[4..].iter_mut().zip(count.to_be_bytes()) {
        *byte ^= count;
    }
    nonce
}
