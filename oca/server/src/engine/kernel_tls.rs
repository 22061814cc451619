//! What the kernel can do for TLS: asked at boot for each version and cipher, and noted as it
//! refuses keys later. Never sees a key.

use std::fmt;
use std::io;

use oca_sys::{Cipher, TlsVersion, kernel_seals};

use crate::limits::HAND_OVERS_FAILED_MAX;

/// Every kind of record that we agree on.
const KINDS: [(TlsVersion, Cipher); 6] = [
    (TlsVersion::Tls13, Cipher::Aes128Gcm),
    (TlsVersion::Tls13, Cipher::Aes256Gcm),
    (TlsVersion::Tls13, Cipher::ChaCha20Poly1305),
    (TlsVersion::Tls12, Cipher::Aes128Gcm),
    (TlsVersion::Tls12, Cipher::Aes256Gcm),
    (TlsVersion::Tls12, Cipher::ChaCha20Poly1305),
];

/// What the kernel seals.
#[derive(Clone, Debug)]
pub struct KernelTls {
    /// Why not, for each of `KINDS`; absent where it does.
    refused: [Option<String>; KINDS.len()],
    /// Keys that it was expected to take and did not.
    failed: u32,
    /// Set when those were too many: nothing is asked of it any more.
    given_up: bool,
}

/// Nothing was found.
impl Default for KernelTls {
    fn default() -> Self {
        Self::of(|_, _| Err("not asked".to_owned()))
    }
}

impl KernelTls {
    /// Asks this machine's kernel.
    #[must_use]
    pub fn probe() -> Self {
        Self::of(kernel_seals)
    }

    /// On a machine whose kernel can do everything.
    #[must_use]
    pub fn able() -> Self {
        Self::of(|_, _| Ok(()))
    }

    fn of(ask: impl Fn(TlsVersion, Cipher) -> Result<(), String>) -> Self {
        let refused = KINDS.map(|(version, cipher)| ask(version, cipher).err());
        Self { refused, failed: 0, given_up: false }
    }

    /// Whether a new socket may count on it at all.
    #[must_use]
    pub fn seals_any(&self) -> bool {
        !self.given_up && self.refused.iter().any(Option::is_none)
    }

    /// Whether it seals such records.
    #[must_use]
    pub fn seals(&self, version: TlsVersion, cipher: Cipher) -> bool {
        let mut kinds = KINDS.iter().zip(&self.refused);
        !self.given_up
            && kinds.any(|(kind, refused)| *kind == (version, cipher) && refused.is_none())
    }

    /// It did not take a key that it seemed able to.
    pub fn refuse(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::NotConnected {
            // The peer is done sending, which it may be: the kernel wants a connection that is
            // whole.
            return;
        }
        self.failed += 1;
        if self.failed == HAND_OVERS_FAILED_MAX {
            self.given_up = true;
            tracing::warn!(%error, times = self.failed, "kernel TLS fails, and is not tried again");
        }
    }
}

impl fmt::Display for KernelTls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = self.refused[0].as_ref()
            && !self.seals_any()
        {
            return write!(out, "not used, records are sealed in user space: {why}");
        }
        write!(out, "usable")?;
        for ((version, cipher), refused) in KINDS.iter().zip(&self.refused) {
            if let Some(why) = refused {
                write!(out, "; not for {version:?} {cipher:?}: {why}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aes_only() -> KernelTls {
        KernelTls::of(|_, cipher| match cipher {
            Cipher::ChaCha20Poly1305 => Err("no such module".to_owned()),
            _ => Ok(()),
        })
    }

    #[test]
    fn a_cipher_that_the_kernel_has_not_stays_in_user_space() {
        let kernel = aes_only();
        assert!(kernel.seals_any());
        assert!(kernel.seals(TlsVersion::Tls12, Cipher::Aes256Gcm));
        assert!(!kernel.seals(TlsVersion::Tls13, Cipher::ChaCha20Poly1305));
        let text = kernel.to_string();
        assert!(text.starts_with("usable") && text.contains("no such module"), "{text}");
        let text = KernelTls::default().to_string();
        assert!(text.starts_with("not used") && text.ends_with("not asked"), "{text}");
    }

    #[test]
    fn a_kernel_that_keeps_refusing_is_not_asked_again() {
        let mut kernel = KernelTls::able();
        for _ in 0..2 * HAND_OVERS_FAILED_MAX {
            kernel.refuse(&io::ErrorKind::NotConnected.into());
        }
        assert!(kernel.seals_any(), "peers that said all they have to say prove nothing");
        for _ in 0..HAND_OVERS_FAILED_MAX {
            assert!(kernel.seals_any());
            kernel.refuse(&io::ErrorKind::OutOfMemory.into());
        }
        assert!(!kernel.seals_any() && !kernel.seals(TlsVersion::Tls13, Cipher::Aes128Gcm));
    }
}
