//! A cursor over the caller's bytes that refuses to run over. It knows nothing of HTTP.

use crate::answer::ANSWER_BYTES_MAX;

/// The bytes given were too few; see [`ANSWER_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an answer head did not fit: give it at least {ANSWER_BYTES_MAX} bytes")]
pub struct HeadRoom;

/// A cursor that refuses to run over.
pub(crate) struct Out<'b> {
    into: &'b mut [u8],
    at: usize,
}

impl<'b> Out<'b> {
    pub(crate) fn new(into: &'b mut [u8]) -> Self {
        Self { into, at: 0 }
    }

    /// Bytes written so far.
    pub(crate) fn len(&self) -> usize {
        self.at
    }

    pub(crate) fn put(&mut self, text: &str) -> Result<(), HeadRoom> {
        self.put_bytes(text.as_bytes())
    }

    pub(crate) fn put_bytes(&mut self, bytes: &[u8]) -> Result<(), HeadRoom> {
        let end = self.at.saturating_add(bytes.len());
        self.into.get_mut(self.at..end).ok_or(HeadRoom)?.copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    /// Decimal, without the formatting machinery: this runs for every request.
    pub(crate) fn put_number(&mut self, value: u64) -> Result<(), HeadRoom> {
        let mut digits = [0u8; 20];
        let mut start = digits.len();
        let mut left = value;
        for (at, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' + (left % 10) as u8;
            start = at;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        self.put_bytes(digits.get(start..).unwrap_or_default())
    }
}
