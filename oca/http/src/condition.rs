//! Whether the client has the object already, insists on another, or may join a range to what it
//! has. It looks at five headers and at nothing else: no disk, no clock.

use crate::date::parse_http_date;
use crate::head::Head;

/// What the preconditions say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send it; honour `Range` only if `may_range`.
    Proceed {
        /// Absent or matching `If-Range`.
        may_range: bool,
    },
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Whether there is anything to evaluate: without, every object is sent, and any range of it.
#[must_use]
pub fn is_conditional(head: &Head<'_>) -> bool {
    let conditions = [
        head.if_match,
        head.if_unmodified_since,
        head.if_none_match,
        head.if_modified_since,
        head.if_range,
    ];
    conditions.iter().any(Option::is_some)
}

/// Evaluates the preconditions of `head`, in the order of RFC 9110 §13.2.2, against the object
/// whose entity tag is `"etag"` (given without quotes) and which was made at `modified` (Unix
/// seconds). Conditions on a date are ignored when there is none, or theirs cannot be read.
#[must_use]
pub fn evaluate(head: &Head<'_>, etag: &str, modified: Option<u64>) -> Verdict {
    let is_it = match (head.if_match, head.if_unmodified_since) {
        (Some(list), _) => list_has(list, etag, Comparison::Strong),
        (None, Some(date)) => is_unmodified(date, modified).unwrap_or(true),
        (None, None) => true,
    };
    if !is_it {
        return Verdict::Failed;
    }
    let has_it = match (head.if_none_match, head.if_modified_since) {
        (Some(list), _) => list_has(list, etag, Comparison::Weak),
        (None, Some(date)) => is_unmodified(date, modified).unwrap_or(false),
        (None, None) => false,
    };
    if has_it {
        return Verdict::NotModified;
    }
    let may_range = head.if_range.is_none_or(|value| if_range_matches(value, etag, modified));
    Verdict::Proceed { may_range }
}

/// How two entity tags are compared (RFC 9110 §8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// A weak tag equals nothing.
    Strong,
    /// `W/"x"` and `"x"` are the same.
    Weak,
}

/// Whether the list has the tag. What follows something that is no entity tag is not read: it
/// could be taken in two ways.
fn list_has(list: &str, etag: &str, comparison: Comparison) -> bool {
    let mut left = list.trim_ascii();
    if left == "*" {
        return true;
    }
    while !left.is_empty() {
        if let Some(after) = left.strip_prefix([',', ' ', '\t']) {
            left = after;
            continue;
        }
        let (is_weak, quoted) = match left.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, left),
        };
        let Some((tag, after)) = quoted.strip_prefix('"').and_then(|rest| rest.split_once('"'))
        else {
            return false;
        };
        if tag == etag && (comparison == Comparison::Weak || !is_weak) {
            return true;
        }
        left = after.trim_ascii_start();
        if !left.is_empty() && !left.starts_with(',') {
            return false;
        }
    }
    false
}

/// Strong comparison: bytes from two answers are about to be joined.
fn if_range_matches(value: &str, etag: &str, modified: Option<u64>) -> bool {
    if value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) == Some(etag) {
        return true;
    }
    // An exact date is strong enough: whoever gives `modified` vouches that it stands for one
    // version only.
    modified.is_some() && parse_http_date(value) == modified
}

/// `None` when there is nothing to compare.
fn is_unmodified(date: &str, modified: Option<u64>) -> Option<bool> {
    Some(modified? <= parse_http_date(date)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1994-11-06 08:49:37 UTC, the date of the standard's own example.
    const MADE: u64 = 784_111_777;
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const HAS_IT: Verdict = Verdict::NotModified;
    const FAILED: Verdict = Verdict::Failed;
    const SEND: Verdict = Verdict::Proceed { may_range: true };
    const SEND_WHOLE: Verdict = Verdict::Proceed { may_range: false };

    fn verdict(headers: &str, modified: Option<u64>) -> Verdict {
        let text = format!("GET /o/a HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n");
        let (head, _) = Head::parse(text.as_bytes()).expect("valid").expect("complete");
        let verdict = evaluate(&head, "abc", modified);
        assert!(is_conditional(&head) || verdict == SEND, "{headers}: nothing was asked");
        verdict
    }

    fn check(headers: &str, expected: Verdict) {
        assert_eq!(verdict(headers, Some(MADE)), expected, "{headers}");
    }

    #[test]
    fn if_none_match() {
        check("If-None-Match: \"abc\"", HAS_IT);
        check("If-None-Match: W/\"abc\"", HAS_IT);
        check("If-None-Match: \"x\", \"abc\"", HAS_IT);
        check("If-None-Match: , \"x\",\t,W/\"abc\",", HAS_IT);
        check("If-None-Match: *", HAS_IT);
        check("If-None-Match: abc", SEND);
        check("If-None-Match: \"abcd\"", SEND);
        check("If-None-Match: \"", SEND);
        check("If-None-Match:", SEND);
        check("If-None-Match: \"x, \"abc\"", SEND);
        check("If-None-Match: x, \"abc\"", SEND);
        check("If-None-Match: \"x\" \"abc\"", SEND);
        check("If-None-Match: \"x\", *", SEND);
    }

    #[test]
    fn if_match() {
        check("If-Match: \"abc\"", SEND);
        check("If-Match: \"x\", \"abc\"", SEND);
        check("If-Match: *", SEND);
        check("If-Match: W/\"abc\"", FAILED);
        check("If-Match: \"x\"", FAILED);
        check("If-Match: abc", FAILED);
    }

    #[test]
    fn dates() {
        check(&format!("If-Modified-Since: {SAME}"), HAS_IT);
        check(&format!("If-Modified-Since: {AFTER}"), HAS_IT);
        check(&format!("If-Modified-Since: {BEFORE}"), SEND);
        check("If-Modified-Since: yesterday", SEND);
        check(&format!("If-Unmodified-Since: {SAME}"), SEND);
        check(&format!("If-Unmodified-Since: {BEFORE}"), FAILED);
        check("If-Unmodified-Since: yesterday", SEND);
        for name in ["If-Modified-Since", "If-Unmodified-Since"] {
            assert_eq!(verdict(&format!("{name}: {BEFORE}"), None), SEND, "no date, no condition");
        }
    }

    #[test]
    fn the_order_of_the_standard() {
        let both = |one: &str, other: &str, verdict| check(&format!("{one}\r\n{other}"), verdict);
        let since = format!("If-Modified-Since: {SAME}");
        let unmodified = format!("If-Unmodified-Since: {BEFORE}");
        both("If-None-Match: \"x\"", &since, SEND);
        both("If-Match: \"abc\"", &unmodified, SEND);
        both("If-Match: \"x\"", "If-None-Match: \"abc\"", FAILED);
        both("If-Match: \"abc\"", "If-None-Match: \"abc\"", HAS_IT);
        both("If-Range: \"x\"", "If-None-Match: \"abc\"", HAS_IT);
        both(&unmodified, &since, FAILED);
    }

    #[test]
    fn if_range() {
        check("If-Range: \"abc\"", SEND);
        check("If-Range: W/\"abc\"", SEND_WHOLE);
        check("If-Range: \"x\"", SEND_WHOLE);
        check(&format!("If-Range: {SAME}"), SEND);
        check(&format!("If-Range: {AFTER}"), SEND_WHOLE);
        check("If-Range: *", SEND_WHOLE);
        assert_eq!(verdict(&format!("If-Range: {SAME}"), None), SEND_WHOLE);
    }
}
