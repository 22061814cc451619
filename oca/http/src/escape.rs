//! Escapes in a path, for servers of plain files: whether they are sound, and what they stand for.
//! Decodes once and only once: an escaped `%` becomes a `%`, whatever follows it.
//!
//! Policy, before any code:
//! * A `%` is followed by two hexadecimal digits.
//! * No escape hides what shapes a path: a `/`, or a segment that reads `.` or `..`.
//! * No escape hides a control byte. Other bytes may be anything; only what is UTF-8 as a whole
//!   has a decoded form.

use std::borrow::Cow;

use crate::head::HeadError;

/// Whether each escape in `segment` is sound, and the segment as decoded is not a step.
///
/// # Errors
/// `PathPercent` or `PathSegment`.
pub(crate) fn check_segment(segment: &str) -> Result<(), HeadError> {
    let mut rest = segment.as_bytes();
    let (mut decoded_bytes, mut dots) = (0, 0);
    while let Some((byte, after)) = take(rest)? {
        if byte.is_ascii_control() || byte == b'/' {
            return Err(HeadError::PathPercent);
        }
        decoded_bytes += 1;
        dots += usize::from(byte == b'.');
        rest = after;
    }
    let is_step = dots == decoded_bytes && (1..=2).contains(&dots);
    if is_step { Err(HeadError::PathSegment) } else { Ok(()) }
}

/// The first decoded byte and what is left; `None` at the end.
fn take(bytes: &[u8]) -> Result<Option<(u8, &[u8])>, HeadError> {
    match bytes {
        [] => Ok(None),
        [b'%', high, low, rest @ ..] => {
            let nibble = |digit: &u8| char::from(*digit).to_digit(16);
            let both = nibble(high).zip(nibble(low)).ok_or(HeadError::PathPercent)?;
            let byte = u8::try_from(both.0 * 16 + both.1).map_err(|_| HeadError::PathPercent)?;
            Ok(Some((byte, rest)))
        }
        [b'%', ..] => Err(HeadError::PathPercent),
        [byte, rest @ ..] => Ok(Some((*byte, rest))),
    }
}

/// What an accepted `path` stands for. `None` where that is no text, or has a control character.
/// Allocates where there is an escape.
#[must_use]
pub fn decode_path(path: &str) -> Option<Cow<'_, str>> {
    if !path.contains('%') {
        return Some(Cow::Borrowed(path));
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((byte, after)) = take(rest).ok()? {
        decoded.push(byte);
        rest = after;
    }
    let text = String::from_utf8(decoded).ok()?;
    (!text.contains(char::is_control)).then_some(Cow::Owned(text))
}
