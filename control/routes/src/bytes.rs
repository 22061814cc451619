//! A reader over bytes that checks every step. Never panics, never copies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire_error::WireError;

/// What is left to read of one named part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a> {
    what: &'static str,
    left: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub fn new(what: &'static str, left: &'a [u8]) -> Self {
        Self { what, left }
    }

    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let Some((taken, left)) = self.left.split_at_checked(count) else {
            let (what, left) = (self.what, self.left.len());
            return Err(WireError::Short { what, wanted: count, left });
        };
        self.left = left;
        Ok(taken)
    }

    /// The next `count` bytes as a part of their own.
    pub fn part(&mut self, what: &'static str, count: usize) -> Result<Bytes<'a>, WireError> {
        Ok(Bytes::new(what, self.take(count)?))
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.left)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn u8(&mut self) -> Result<u8, WireError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub fn v4(&mut self) -> Result<IpAddr, WireError> {
        Ok(IpAddr::V4(Ipv4Addr::from(self.array::<4>()?)))
    }

    pub fn v6(&mut self) -> Result<IpAddr, WireError> {
        Ok(IpAddr::V6(Ipv6Addr::from(self.array::<16>()?)))
    }
}

/// Text from a stranger: as much as is kept, made printable.
pub(crate) fn text(bytes: &[u8], bytes_max: usize) -> String {
    let kept = &bytes[..bytes.len().min(bytes_max)];
    let text = String::from_utf8_lossy(kept);
    text.chars().map(|c| if c.is_control() { '.' } else { c }).collect()
}
