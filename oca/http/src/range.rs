//! Which bytes a `Range` header selects out of a length: all, one stretch, several, or none.
//! Allocates nothing, and never selects a byte twice.
//!
//! Policy (RFC 9110 §14.2 leaves most of it to the server):
//! * Only `bytes` ranges. Another unit, or a header that cannot be read, is ignored: the whole.
//! * Stretches that overlap or touch become one, at the place of the first of them; the others keep
//!   the order they were asked in (§15.3.7.2). So no answer is longer than the object and the heads
//!   of [`RANGES_MAX`] parts, whatever was asked.
//! * More than [`RANGES_MAX`] ranges are answered with the whole: no player asks for so many.
//! * Ranges that select no byte are left out; when none is left, it is 416.

use crate::head::{Head, Method};

/// Most ranges of one request.
pub const RANGES_MAX: usize = 16;

/// Bytes `start..end`; not empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

/// Several stretches, two of which never overlap or touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spans {
    places: [Span; RANGES_MAX],
    count: usize,
}

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "it lives for a moment, and must not allocate")]
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
    /// Two stretches or more, status 206, as `multipart/byteranges`.
    Parts(Spans),
    /// Nothing of what was asked exists, status 416.
    Unsatisfiable,
}

impl Spans {
    const NONE: Self = Self { places: [Span { start: 0, end: 0 }; RANGES_MAX], count: 0 };

    /// In the order to send them.
    #[must_use]
    pub fn as_slice(&self) -> &[Span] {
        self.places.get(..self.count).unwrap_or_default()
    }

    /// Bytes of all together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.as_slice().iter().map(|span| span.end.saturating_sub(span.start)).sum()
    }

    /// Adds a stretch and lets it grow together with those it touches.
    fn add(&mut self, span: Span) {
        let Some(place) = self.places.get_mut(self.count) else { return };
        *place = span;
        self.count += 1;
        while let Some((keep, give)) = self.touching() {
            let given = self.places[give];
            let kept = &mut self.places[keep];
            kept.start = kept.start.min(given.start);
            kept.end = kept.end.max(given.end);
            self.places.copy_within(give + 1..self.count, give);
            self.count -= 1;
        }
    }

    /// The first two places that overlap or touch.
    fn touching(&self) -> Option<(usize, usize)> {
        let spans = self.as_slice();
        for (at, one) in spans.iter().enumerate() {
            for (further, other) in spans.iter().enumerate().skip(at + 1) {
                if one.start <= other.end && other.start <= one.end {
                    return Some((at, further));
                }
            }
        }
        None
    }
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

/// Resolves the value of a `Range` header against an object of `len` bytes.
#[must_use]
pub fn resolve_value(range: &str, len: u64) -> Selection {
    let Some((unit, set)) = range.split_once('=') else { return Selection::Whole };
    if !unit.trim_ascii().eq_ignore_ascii_case("bytes") {
        return Selection::Whole;
    }
    if set.contains(',') {
        return resolve_set(set, len);
    }
    match one(set, len) {
        One::Ignored | One::EmptyWhole => Selection::Whole,
        One::Nothing => Selection::Unsatisfiable,
        One::Is(Span { start, end }) => Selection::Part { start, end },
    }
}

/// A list. Empty elements are passed over, as every list of HTTP allows.
fn resolve_set(set: &str, len: u64) -> Selection {
    let mut spans = Spans::NONE;
    let mut asked = 0;
    let mut whole = false;
    for element in set.split(',').map(str::trim_ascii).filter(|element| !element.is_empty()) {
        asked += 1;
        if asked > RANGES_MAX {
            return Selection::Whole;
        }
        match one(element, len) {
            One::Ignored => return Selection::Whole,
            One::EmptyWhole => whole = true,
            One::Nothing => {}
            One::Is(span) => spans.add(span),
        }
    }
    match spans.as_slice() {
        [] if asked == 0 || whole => Selection::Whole,
        [] => Selection::Unsatisfiable,
        [Span { start, end }] => Selection::Part { start: *start, end: *end },
        _ => Selection::Parts(spans),
    }
}

/// What one range means.
enum One {
    /// It cannot be read: the header is ignored.
    Ignored,
    /// The end of an object that has no bytes: satisfied, by nothing.
    EmptyWhole,
    /// No byte of the object.
    Nothing,
    /// These bytes.
    Is(Span),
}

fn one(range: &str, len: u64) -> One {
    let Some((first, last)) = range.trim_ascii().split_once('-') else { return One::Ignored };
    match (number(first), number(last)) {
        (Number::Is(first), Number::Is(last)) if last < first => One::Ignored,
        (Number::Is(first), Number::Is(last)) => span(first, last.saturating_add(1), len),
        (Number::Is(first), Number::Absent) => span(first, len, len),
        (Number::Absent, Number::Is(0)) => One::Nothing,
        // An empty object has no last byte to start from, yet the whole of it is a right answer.
        (Number::Absent, Number::Is(_)) if len == 0 => One::EmptyWhole,
        (Number::Absent, Number::Is(suffix)) => span(len.saturating_sub(suffix), len, len),
        _ => One::Ignored,
    }
}

fn span(start: u64, end: u64, len: u64) -> One {
    let end = end.min(len);
    if start < end { One::Is(Span { start, end }) } else { One::Nothing }
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

    fn check_parts(range: &str, len: u64, expected: &[(u64, u64)]) {
        let Selection::Parts(spans) = resolve_value(range, len) else {
            panic!("{range:?} of {len} is {:?}", resolve_value(range, len));
        };
        let spans: Vec<_> = spans.as_slice().iter().map(|span| (span.start, span.end)).collect();
        assert_eq!(spans, expected, "{range:?} of {len}");
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
    fn several_ranges() {
        check_parts("bytes=0-0,2-3", 10, &[(0, 1), (2, 4)]);
        check_parts("bytes=-1, 0-0", 10, &[(9, 10), (0, 1)]);
        check_parts("bytes=0-0,20-30,5-5", 10, &[(0, 1), (5, 6)]);
        check_parts("bytes=6-6,0-0,,7-7", 10, &[(6, 8), (0, 1)]);
        check_parts("bytes=0-0,8-9,4-4,2-5", 10, &[(0, 1), (8, 10), (2, 6)]);
    }

    #[test]
    fn several_that_are_one_or_none() {
        check("bytes=0-3,2-5", 10, Selection::Part { start: 0, end: 6 });
        check("bytes=0-1,4-5,2-3", 10, Selection::Part { start: 0, end: 6 });
        check("bytes=0-,-1", 10, Selection::Part { start: 0, end: 10 });
        check("bytes=1-1,", 10, Selection::Part { start: 1, end: 2 });
        check("bytes=10-,11-12", 10, Selection::Unsatisfiable);
        check("bytes=-0,-0", 10, Selection::Unsatisfiable);
        check("bytes=0-0,-1", 0, Selection::Whole);
    }

    #[test]
    fn no_more_than_the_bound() {
        let set = |count: usize| {
            let list: Vec<_> = (0..count).map(|n| format!("{}-{}", n * 2, n * 2)).collect();
            format!("bytes={}", list.join(","))
        };
        assert!(matches!(resolve_value(&set(RANGES_MAX), 1000), Selection::Parts(spans)
            if spans.as_slice().len() == RANGES_MAX));
        check(&set(RANGES_MAX + 1), 1000, Selection::Whole);
        check(&format!("bytes={}", "0-,".repeat(1000)), 1000, Selection::Whole);
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
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-2",
            "bytes=0-1,5-2",
            "bytes=0-1,a",
            "items=0-1",
            "bytes=0 - 1",
            "bytes=+1-2",
            "bytes=1--2",
            "bytes=0x1-2",
        ] {
            check(range, 10, Selection::Whole);
        }
        check("bytes=-5", 0, Selection::Whole);
    }

    proptest! {
        #[test]
        fn a_selection_is_inside_and_nothing_comes_twice(
            range in "bytes=([0-9]{1,3}-[0-9]{0,3}, ?|-[0-9]{1,2},){0,20}",
            len in 0..700u64,
        ) {
            match resolve_value(&range, len) {
                Selection::Part { start, end } => prop_assert!(start < end && end <= len),
                Selection::Parts(spans) => {
                    let mut sorted = spans.as_slice().to_vec();
                    prop_assert!(sorted.len() > 1 && spans.bytes() <= len);
                    sorted.sort_by_key(|span| span.start);
                    prop_assert!(sorted.iter().all(|s| s.start < s.end && s.end <= len));
                    prop_assert!(sorted.windows(2).all(|two| two[0].end < two[1].start));
                }
                Selection::Whole | Selection::Unsatisfiable => {}
            }
        }

        #[test]
        fn any_text_is_survived(range: String, len: u64) {
            let _ = resolve_value(&range, len);
        }
    }
}
