//! Keys of TLS records: seals from one place into another in a single pass, opens in place.
//! Knows no record, counts nothing, and never reuses a nonce only if its caller never does.
//!
//! aws-lc-rs seals in place only, so a record would be copied first and read twice. What it is made
//! of can do both at once, and is called here directly.

use std::ptr::NonNull;

use aws_lc_sys::{
    EVP_AEAD, EVP_AEAD_CTX, EVP_AEAD_CTX_free, EVP_AEAD_CTX_new, EVP_AEAD_CTX_open,
    EVP_AEAD_CTX_seal_scatter, EVP_aead_aes_128_gcm, EVP_aead_aes_256_gcm,
    EVP_aead_chacha20_poly1305,
};

/// Bytes of a tag, for each cipher.
pub const TAG_BYTES: usize = 16;
/// Bytes of a nonce, for each cipher.
pub const NONCE_BYTES: usize = 12;

/// What records are sealed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// AES-128-GCM
    Aes128Gcm,
    /// AES-256-GCM
    Aes256Gcm,
    /// ChaCha20-Poly1305
    ChaCha20Poly1305,
}

impl Cipher {
    /// Bytes of a key.
    #[must_use]
    pub fn key_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => 32,
        }
    }
}

/// One direction's key, wiped when it is dropped.
pub struct AeadKey {
    /// Made by `EVP_AEAD_CTX_new`, freed by `drop` and by nobody else. It is only read after that.
    context: NonNull<EVP_AEAD_CTX>,
}

/// What comes with the bytes of one record.
#[derive(Clone, Copy, Debug)]
pub struct Wrapping<'a> {
    /// Used once under one key.
    pub nonce: &'a [u8; NONCE_BYTES],
    /// Vouched for, not sealed.
    pub beside: &'a [u8],
}

impl AeadKey {
    /// A key of `bytes`; `None` when their number is wrong or memory is short.
    #[must_use]
    pub fn new(cipher: Cipher, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != cipher.key_bytes() {
            return None;
        }
        // SAFETY: needed to name the algorithm. Each of the three functions takes nothing and
        // answers with the address of a constant.
        let algorithm: *const EVP_AEAD = unsafe {
            match cipher {
                Cipher::Aes128Gcm => EVP_aead_aes_128_gcm(),
                Cipher::Aes256Gcm => EVP_aead_aes_256_gcm(),
                Cipher::ChaCha20Poly1305 => EVP_aead_chacha20_poly1305(),
            }
        };
        // SAFETY: needed to make the key. `algorithm` is a constant of the library; the key's bytes
        // are a live slice of the length the algorithm wants, and are copied.
        let context =
            unsafe { EVP_AEAD_CTX_new(algorithm, bytes.as_ptr(), bytes.len(), TAG_BYTES) };
        NonNull::new(context).map(|context| Self { context })
    }

    /// Seals `clear`, and behind it `last` if there is one, into the start of `out`; answers how
    /// long that is. `None`: `out` is too short by the tag, or the library refused.
    #[must_use]
    pub fn seal(
        &self,
        wrapping: Wrapping<'_>,
        clear: &[u8],
        last: Option<u8>,
        out: &mut [u8],
    ) -> Option<usize> {
        let last = last.as_slice();
        let total = clear.len() + last.len() + TAG_BYTES;
        let (body, rest) = out.get_mut(..total)?.split_at_mut(clear.len());
        let mut tag_bytes = 0;
        // SAFETY: needed because nothing safe seals from one place into another. The context is
        // live and only read. `body` has room for as many bytes as `clear` has, `rest` for `last`
        // and the tag, whose length the library is told; both are ours alone and, being borrowed
        // for writing, overlap neither `clear` nor each other. All other pointers are of live
        // slices with their own lengths, only read, and nothing is kept after the call.
        let sealed = unsafe {
            EVP_AEAD_CTX_seal_scatter(
                self.context.as_ptr(),
                body.as_mut_ptr(),
                rest.as_mut_ptr(),
                &raw mut tag_bytes,
                rest.len(),
                wrapping.nonce.as_ptr(),
                NONCE_BYTES,
                clear.as_ptr(),
                clear.len(),
                last.as_ptr(),
                last.len(),
                wrapping.beside.as_ptr(),
                wrapping.beside.len(),
            )
        };
        (sealed == 1 && tag_bytes == rest.len()).then_some(total)
    }

    /// Opens `sealed` (its tag at the end) in place; answers how many clear bytes are at its start.
    /// `None`: not sealed with this key, this nonce and these bytes beside.
    #[must_use]
    pub fn open(&self, wrapping: Wrapping<'_>, sealed: &mut [u8]) -> Option<usize> {
        let clear_max = sealed.len().checked_sub(TAG_BYTES)?;
        let mut clear_bytes = 0;
        let start = sealed.as_mut_ptr();
        // SAFETY: needed to open without a copy. The context is live and only read. Input and
        // output are the same slice, ours alone, which the library allows when both start at one
        // address; it writes at most the length it is told. All other pointers are of live slices
        // with their own lengths, only read, and nothing is kept after the call.
        let opened = unsafe {
            EVP_AEAD_CTX_open(
                self.context.as_ptr(),
                start,
                &raw mut clear_bytes,
                sealed.len(),
                wrapping.nonce.as_ptr(),
                NONCE_BYTES,
                start,
                sealed.len(),
                wrapping.beside.as_ptr(),
                wrapping.beside.len(),
            )
        };
        (opened == 1 && clear_bytes <= clear_max).then_some(clear_bytes)
    }
}

impl Drop for AeadKey {
    fn drop(&mut self) {
        // SAFETY: needed to wipe and free the key. The context came from `EVP_AEAD_CTX_new`, this
        // value is its only owner, and it is not used after.
        unsafe { EVP_AEAD_CTX_free(self.context.as_ptr()) }
    }
}

impl std::fmt::Debug for AeadKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("AeadKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIPHERS: [Cipher; 3] = [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair = |two: &[u8]| std::str::from_utf8(two).expect("ASCII").to_owned();
        digits.chunks(2).map(|two| u8::from_str_radix(&pair(two), 16).expect("hex")).collect()
    }

    /// RFC 8448 section 3: the server's first application data record, 50 bytes counting up.
    #[test]
    fn the_record_of_rfc_8448_comes_out_byte_by_byte() {
        let key = hex("9f 02 28 3b 6c 9c 07 ef c2 6b b9 f2 ac 92 e3 56");
        let nonce: [u8; 12] =
            hex("cf 78 2b 88 dd 83 54 9a ad f1 e9 84 ").try_into().expect("12 bytes");
        let clear: Vec<u8> = (0..50).collect();
        let header = hex("17 03 03 00 43");
        let key = AeadKey::new(Cipher::Aes128Gcm, &key).expect("16 bytes");
        // The session ticket before it was record 0.
        let nonce = {
            let mut next = nonce;
            next[11] ^= 1;
            next
        };
        let wrapping = Wrapping { nonce: &nonce, beside: &header };
        let mut out = vec![0; 67];
        assert_eq!(key.seal(wrapping, &clear, Some(23), &mut out), Some(67));
        let wanted = hex(
            "2e 93 7e 11 ef 4a c7 40 e5 38 ad 36 00 5f c4 a4 69 32 fc 32 25 d0 5f 82 aa 1b 36 e3 \
             0e fa f9 7d 90 e6 df fc 60 2d cb 50 1a 59 a8 fc c4 9c 4b f2 e5 f0 a2 1c 00 47 c2 ab \
             f3 32 54 0d d0 32 e1 67 c2 95 5d",
        );
        assert_eq!(out, wanted);
    }

    #[test]
    fn what_is_sealed_is_opened_and_nothing_else_is() {
        for cipher in CIPHERS {
            let key = AeadKey::new(cipher, &vec![7; cipher.key_bytes()]).expect("a key");
            let nonce = [3; NONCE_BYTES];
            let wrapping = Wrapping { nonce: &nonce, beside: b"beside" };
            for bytes in [0, 1, 15, 16, 17, 255, 4096, 16_383, 16_384] {
                let clear: Vec<u8> = (0..bytes).map(|at| (at * 7) as u8).collect();
                for last in [None, Some(23)] {
                    let mut out = vec![0; bytes + 1 + TAG_BYTES];
                    let sealed = key.seal(wrapping, &clear, last, &mut out).expect("room");
                    let mut bent = out[..sealed].to_vec();
                    bent[bytes / 2] ^= 1;
                    assert_eq!(key.open(wrapping, &mut bent), None, "{cipher:?} {bytes}");
                    let opened = key.open(wrapping, &mut out[..sealed]).expect("its own");
                    assert_eq!(&out[..bytes], clear, "{cipher:?} {bytes}");
                    assert_eq!(out[bytes..opened], *last.as_slice());
                }
            }
            assert_eq!(key.seal(wrapping, b"abc", None, &mut [0; 18]), None, "no room for the tag");
            assert_eq!(key.open(wrapping, &mut [0; 15]), None);
            assert!(AeadKey::new(cipher, &[0; 5]).is_none());
        }
    }
}
