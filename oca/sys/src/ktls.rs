//! TLS by the kernel, sending side only: whether it can, keys for a socket, and records that are
//! not content. It opens nothing, agrees on nothing, and counts no records.
//!
//! What the kernel wants of a key (`tls_crypto_info`): two numbers in this machine's byte order,
//! then bytes as TLS has them.
//!
//! ```text
//! AES-128-GCM        version 2 | cipher 2 | explicit nonce 8 | key 16 | salt 4 | record number 8
//! AES-256-GCM        version 2 | cipher 2 | explicit nonce 8 | key 32 | salt 4 | record number 8
//! ChaCha20-Poly1305  version 2 | cipher 2 | nonce 12         | key 32          | record number 8
//! ```
//! TLS 1.3 and ChaCha20 make a record's nonce from the key's nonce xor the record's number, as we
//! do. TLS 1.2 with GCM puts eight bytes of the nonce into each record; the kernel counts them up
//! from what it is given, while we sealed with `nonce xor number`. Counting on from there could
//! meet a nonce that is spent, which gives the key away, so the kernel starts in the other half of
//! their range, at a multiple of 2^32: it takes 2^32 records to get anywhere near.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::aead::{Cipher, NONCE_BYTES};

/// Longest form of a key.
const BLOCK_BYTES_MAX: usize = 56;
/// Bytes of a GCM nonce that do not change.
const SALT_BYTES: usize = 4;
/// Most records that may have been sealed before a TLS 1.2 GCM key is handed over.
const NUMBER_MAX: u64 = u32::MAX as u64;

/// Numbers that the kernel has for versions and ciphers (its `linux/tls.h`).
const TLS_1_2: u16 = 0x0303;
const TLS_1_3: u16 = 0x0304;
const AES_GCM_128: u16 = 51;
const AES_GCM_256: u16 = 52;
const CHACHA20_POLY1305: u16 = 54;

/// Which records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// Those of RFC 5246.
    Tls12,
    /// Those of RFC 8446.
    Tls13,
}

/// What a socket is to seal with from here on. Whoever gives it away seals nothing with it after.
#[derive(Clone, Copy)]
pub struct SendKeys<'a> {
    /// Which records.
    pub version: TlsVersion,
    /// With what.
    pub cipher: Cipher,
    /// As many bytes as the cipher wants.
    pub key: &'a [u8],
    /// Before a record's number is put in.
    pub nonce: &'a [u8; NONCE_BYTES],
    /// Number of the next record: so many were sealed with this key.
    pub number: u64,
}

/// Keys are not for logs.
impl std::fmt::Debug for SendKeys<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "SendKeys({:?}, {:?})", self.version, self.cipher)
    }
}

/// A key as the kernel wants it, wiped when it is dropped.
struct KeyBlock {
    bytes: [u8; BLOCK_BYTES_MAX],
    length: usize,
}

impl KeyBlock {
    /// `None`: not as many bytes as the cipher wants, or too many records were sealed.
    fn new(keys: &SendKeys<'_>) -> Option<Self> {
        if keys.key.len() != keys.cipher.key_bytes() {
            return None;
        }
        let version = match keys.version {
            TlsVersion::Tls12 => TLS_1_2,
            TlsVersion::Tls13 => TLS_1_3,
        };
        let (salt, explicit) = keys.nonce.split_at(SALT_BYTES);
        let mut block = Self { bytes: [0; BLOCK_BYTES_MAX], length: 0 };
        block.add(&version.to_ne_bytes());
        match keys.cipher {
            Cipher::Aes128Gcm => block.add(&AES_GCM_128.to_ne_bytes()),
            Cipher::Aes256Gcm => block.add(&AES_GCM_256.to_ne_bytes()),
            Cipher::ChaCha20Poly1305 => block.add(&CHACHA20_POLY1305.to_ne_bytes()),
        }
        match (keys.cipher, keys.version) {
            (Cipher::ChaCha20Poly1305, _) => block.add(keys.nonce),
            (_, TlsVersion::Tls13) => block.add(explicit),
            (_, TlsVersion::Tls12) if keys.number > NUMBER_MAX => return None,
            (_, TlsVersion::Tls12) => block.add(&unspent(explicit)?),
        }
        block.add(keys.key);
        if keys.cipher != Cipher::ChaCha20Poly1305 {
            block.add(salt);
        }
        block.add(&keys.number.to_be_bytes());
        Some(block)
    }

    fn add(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        self.bytes[self.length..end].copy_from_slice(bytes);
        self.length = end;
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for KeyBlock {
    fn drop(&mut self) {
        self.bytes.fill(0);
        // Or the compiler sees that nobody reads it again, and leaves it.
        std::hint::black_box(&self.bytes);
    }
}

/// The other half of the range that `explicit`, xor any number up to `NUMBER_MAX`, lies in.
fn unspent(explicit: &[u8]) -> Option<[u8; 8]> {
    let start = u64::from_be_bytes(explicit.try_into().ok()?);
    Some(((start ^ (1 << 63)) & !NUMBER_MAX).to_be_bytes())
}

/// From here on the kernel seals what is sent on `socket`.
///
/// # Errors
/// The kernel cannot, or not with this cipher, or not any more: the socket is as it was.
pub(crate) fn seal_from_here(socket: BorrowedFd<'_>, keys: &SendKeys<'_>) -> io::Result<()> {
    let block = KeyBlock::new(keys).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "a key that does not fit its cipher")
    })?;
    set(socket, libc::IPPROTO_TCP, libc::TCP_ULP, b"tls")?;
    set(socket, libc::SOL_TLS, libc::TLS_TX, block.as_slice())
}

fn set(socket: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).expect("a few bytes");
    // SAFETY: needed because no safe wrapper takes a key as bytes. The descriptor is borrowed for
    // the call, and the kernel reads `length` bytes of a live slice, which has no alignment to
    // keep: it copies them out first.
    let answer =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), length) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The one thing that is said beside a record: what type it has.
#[repr(C)]
struct Beside {
    header: libc::cmsghdr,
    /// The type, then what fills the space up.
    kind: [u8; size_of::<usize>()],
}

/// Sends `bytes` as one record of type `kind` if there is room at once; `false` when there is none.
///
/// # Errors
/// The socket is broken, or the kernel does not seal on it.
pub(crate) fn send_record_now(socket: BorrowedFd<'_>, kind: u8, bytes: &[u8]) -> io::Result<bool> {
    let mut place =
        libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: needed because its padding has no names. All zeros is a valid header: no length, no
    // level, no type.
    let mut header: libc::cmsghdr = unsafe { std::mem::zeroed() };
    header.cmsg_level = libc::SOL_TLS;
    header.cmsg_type = libc::TLS_SET_RECORD_TYPE;
    header.cmsg_len = (size_of::<libc::cmsghdr>() + 1) as _;
    let mut beside = Beside { header, kind: [0; size_of::<usize>()] };
    beside.kind[0] = kind;
    // SAFETY: needed because its padding has no names. All zeros is a valid message: no address, no
    // pieces, nothing beside.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut place;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut beside).cast();
    message.msg_controllen = size_of::<Beside>() as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: needed because no safe wrapper says a record's type. The message points to the piece,
    // which points to a live slice that is only read, and to what goes beside, of the length that
    // is told; all of them are in our frame for the whole call, and none is kept after it.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, flags) };
    match usize::try_from(sent) {
        Ok(sent) if sent == bytes.len() => Ok(true),
        // Half of it is in a record of its own: nothing that could follow would mend that.
        Ok(_) => Err(io::ErrorKind::WriteZero.into()),
        Err(_) => match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => Ok(false),
            error => Err(error),
        },
    }
}

/// Whether this machine's kernel seals such records, tried on a connection to itself with a key
/// that is thrown away.
///
/// # Errors
/// Why not, and what to do about it.
pub fn kernel_seals(version: TlsVersion, cipher: Cipher) -> Result<(), String> {
    let (socket, _peer) = pair().map_err(|error| format!("no connection to try it on: {error}"))?;
    let key = [0x5a; 32];
    let keys = SendKeys {
        version,
        cipher,
        key: &key[..cipher.key_bytes()],
        nonce: &[0xa5; NONCE_BYTES],
        number: 0,
    };
    set(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_ULP, b"tls").map_err(|error| {
        match error.raw_os_error() {
            Some(libc::ENOENT) => "the kernel's tls module is not loaded: `modprobe tls`, and for \
                                   every boot a file with the word tls in /etc/modules-load.d"
                .to_owned(),
            _ => format!("the kernel refuses TLS on a socket: {error}"),
        }
    })?;
    let block = KeyBlock::new(&keys).expect("as many bytes as the cipher wants");
    set(socket.as_fd(), libc::SOL_TLS, libc::TLS_TX, block.as_slice()).map_err(|error| match error
        .raw_os_error()
    {
        Some(libc::ENOENT) => {
            format!("the kernel has no module for {cipher:?}: `modprobe` what it is made of")
        }
        _ => format!("the kernel does not seal with {cipher:?}: {error}"),
    })
}

fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let socket = TcpStream::connect(listener.local_addr()?)?;
    let (peer, _) = listener.accept()?;
    Ok((socket, peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; NONCE_BYTES] = [1, 2, 3, 4, 0x15, 6, 7, 8, 0xff, 0xff, 0xff, 0xfe];

    fn check(version: TlsVersion, cipher: Cipher, parts: &[&[u8]]) {
        let key: Vec<u8> = (0x40..0x40 + cipher.key_bytes() as u8).collect();
        let keys = SendKeys { version, cipher, key: &key, nonce: &NONCE, number: 0x0102 };
        let block = KeyBlock::new(&keys).expect("a key of the right length");
        assert_eq!(block.as_slice(), parts.concat(), "{version:?} {cipher:?}");
        let short = SendKeys { key: &key[1..], ..keys };
        assert!(KeyBlock::new(&short).is_none());
    }

    #[test]
    fn keys_are_laid_out_as_the_kernel_reads_them() {
        let numbers =
            |version: u16, cipher: u16| [version.to_ne_bytes(), cipher.to_ne_bytes()].concat();
        let short: Vec<u8> = (0x40..0x50).collect();
        let long: Vec<u8> = (0x40..0x60).collect();
        let number = [0, 0, 0, 0, 0, 0, 1, 2];
        let (salt, explicit) = NONCE.split_at(4);
        // The other half of the range, at a multiple of 2^32.
        let moved = [0x95, 6, 7, 8, 0, 0, 0, 0];
        let (tls12, tls13) = (TlsVersion::Tls12, TlsVersion::Tls13);
        let (small, large) = (Cipher::Aes128Gcm, Cipher::Aes256Gcm);
        check(tls13, small, &[&numbers(0x304, 51), explicit, &short, salt, &number]);
        check(tls13, large, &[&numbers(0x304, 52), explicit, &long, salt, &number]);
        check(tls12, small, &[&numbers(0x303, 51), &moved, &short, salt, &number]);
        check(tls12, large, &[&numbers(0x303, 52), &moved, &long, salt, &number]);
        let chacha = Cipher::ChaCha20Poly1305;
        check(tls13, chacha, &[&numbers(0x304, 54), &NONCE, &long, &number]);
        check(tls12, chacha, &[&numbers(0x303, 54), &NONCE, &long, &number]);
    }

    /// Goal: no nonce of TLS 1.2 is used on both sides of the hand-over. Method: the ends of both
    /// ranges, for starts where counting up would run into what was spent, or over the end.
    #[test]
    fn the_kernel_counts_where_nothing_was_spent() {
        for start in [0, 1, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 0x0102_0304_ffff_fffe] {
            let kernel = u64::from_be_bytes(unspent(&start.to_be_bytes()).expect("8 bytes"));
            let last = kernel.checked_add(NUMBER_MAX).expect("no way round the end");
            for number in [0, 1, 2, 0xffff, NUMBER_MAX] {
                assert!(!(kernel..=last).contains(&(start ^ number)), "{start:x} {number:x}");
            }
        }
        let keys = SendKeys {
            version: TlsVersion::Tls12,
            cipher: Cipher::Aes128Gcm,
            key: &[0; 16],
            nonce: &NONCE,
            number: NUMBER_MAX + 1,
        };
        assert!(KeyBlock::new(&keys).is_none(), "more records than the range is wide");
        assert!(KeyBlock::new(&SendKeys { version: TlsVersion::Tls13, ..keys }).is_some());
    }

    /// Goal: the probe answers on any machine, and a refusal says what to do. Which answer is right
    /// depends on the kernel's modules; the test machine with them is booted by `--vm`.
    #[test]
    fn a_kernel_without_tls_is_told_from_one_with_it() {
        let known = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_ulp");
        let loaded = known.is_ok_and(|names| names.split_ascii_whitespace().any(|n| n == "tls"));
        match kernel_seals(TlsVersion::Tls13, Cipher::Aes128Gcm) {
            Ok(()) => {}
            Err(why) if loaded => assert!(!why.contains("not loaded"), "{why}"),
            Err(why) => assert!(why.contains("modprobe tls") || why.contains("refuses"), "{why}"),
        }
    }
}
