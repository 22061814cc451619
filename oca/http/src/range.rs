//! Which bytes a `Range` header selects out of a length.
//! It answers one range or the whole, never a multipart body.
//!
//! Policy (RFC 9110 §14.2 leaves all of it to the server):
//! * Only `bytes` ranges. Another unit, or a header that cannot be read, is ignored: the whole.
//! * Several ranges are answered with the whole representation, status 200. No player asks for
//!   several, and multipart bodies are where caches of others went wrong.
//! * One readable range that selects no byte is unsatisfiable: 416.

use crate::head::{Head, Method};

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Everything, status 200.
    Whole,
    /// Bytes `start..end`, status 206; not empty, and `end` is at most the length.
    Part {
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
    },
    /// Nothing of what was asked exists, status 416.
    Unsatisfiable,
}

/// Resolves the range of `head` against an object of `len` bytes. `may_range` is what
/// [`crate::Verdict::Proceed`] said. Only GET has ranges; HEAD is answered as for the whole.
#[must_use]
pub fn resolve(head: &Head<'_>, may_range: bool, len: u64) -> Selection {
    match head.range {
        Some(range) if may_range && head.method == Method::Get => resolve_value(range, len),
        _ => Selection::Whole,
    }
}

fn resolve_value(range: &str, len: u64) -> Selection {
    let Some((unit, set)) = range.split_once('=') else { return Selection::Whole };
    if !unit.trim_ascii().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Selection::Whole;
    }
    let Some((first, last)) = set.trim_ascii().split_once('-') else { return Selection::Whole };
    match (number(first), number(last)) {
        (Number::Is(first), Number::Is(last)) if last < first => Selection::Whole,
        (Number::Is(first), Number::Is(last)) => part(first, last.saturating_add(1), len),
        (Number::Is(first), Number::Absent) => part(first, len, len),
        (Number::Absent, Number::Is(0)) => Selection::Unsatisfiable,
        // An empty object has no last byte to start from, yet the whole of it is a right answer.
        (Number::Absent, Number::Is(_)) if len == 0 => Selection::Whole,
        (Number::Absent, Number::Is(suffix)) => part(len.saturating_sub(suffix), len, len),
        _ => Selection::Whole,
    }
}

fn part(start: u64, end: u64, len: u64) -> Selection {
    let end = end.min(len);
    if start < end { Selection::Part { start, end } } else { Selection::Unsatisfiable }
}

enum Number {
    Absent,
    Is(u64),
    Malformed,
}

/// Digits only. A number beyond `u64` is as good as infinite: it saturates.
fn number(text: &str) -> Number {
    if text.is_empty() {
        return Number::Absent;
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Number::Malformed;
    }
    let value = text.bytes().fold(0u64, |value, digit| {
        value.saturating_mul(10).saturating_add(u64::from(digit.wrapping_sub(b'0')))
    });
    Number::Is(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(range: &str, len: u64, expected: Selection) {
        assert_eq!(resolve_value(range, len), expected, "{range:?} of {len}");
    }

    #[test]
    fn one_range() {
        check("bytes=0-0", 10, Selection::Part { start: 0, end: 1 });
        check("bytes=2-5", 10, Selection::Part { start: 2, end: 6 });
        check("bytes=2-", 10, Selection::Part { start: 2, end: 10 });
        check("bytes=-3", 10, Selection::Part { start: 7, end: 10 });
        check("bytes=-30", 10, Selection::Part { start: 0, end: 10 });
        check("bytes=9-99999999999999999999999", 10, Selection::Part { start: 9, end: 10 });
        check("Bytes = 1-1".replace(' ', "").as_str(), 10, Selection::Part { start: 1, end: 2 });
        check("bytes= 1-1", 10, Selection::Part { start: 1, end: 2 });
    }

    #[test]
    fn nothing_to_send() {
        check("bytes=10-", 10, Selection::Unsatisfiable);
        check("bytes=10-20", 10, Selection::Unsatisfiable);
        check("bytes=-0", 10, Selection::Unsatisfiable);
        check("bytes=0-", 0, Selection::Unsatisfiable);
        check("bytes=18446744073709551616-", u64::MAX, Selection::Unsatisfiable);
    }

    #[test]
    fn ignored_and_answered_whole() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-2",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes=0 - 1",
            "bytes=+1-2",
            "bytes=1--2",
            "bytes=0-1, ",
            "bytes=0x1-2",
        ] {
            check(range, 10, Selection::Whole);
        }
        check("bytes=-5", 0, Selection::Whole);
    }

    proptest! {
        #[test]
        fn a_part_is_inside(range in "(bytes=)?[-0-9, ]{0,24}", len: u64) {
            if let Selection::Part { start, end } = resolve_value(&range, len) {
                prop_assert!(start < end && end <= len);
            }
        }

        #[test]
        fn any_text_is_survived(range: String, len: u64) {
            let _ = resolve_value(&range, len);
        }
    }
}
