//! Whether the client has the object already, and whether its `Range` still means what it meant.
//! Objects never change, so the answer depends on two headers and never on the disk.

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
}

/// Evaluates the preconditions of `head`, in the order of RFC 9110 §13.2.2, against the object
/// whose entity tag is `"etag"` (given without quotes) and which was made at `modified` (Unix seconds).
/// `If-Match` and `If-Unmodified-Since` guard writes; an appliance accepts none and ignores them.
#[must_use]
pub fn evaluate(head: &Head<'_>, etag: &str, modified: Option<u64>) -> Verdict {
    let has_it = match (head.if_none_match, head.if_modified_since) {
        (Some(list), _) => list_has(list, etag),
        (None, Some(date)) => is_unmodified(date, modified),
        (None, None) => false,
    };
    if has_it {
        return Verdict::NotModified;
    }
    let may_range = head.if_range.is_none_or(|value| if_range_matches(value, etag, modified));
    Verdict::Proceed { may_range }
}

/// Weak comparison: `W/"x"` and `"x"` name the same bytes as far as a cache is concerned.
fn list_has(list: &str, etag: &str) -> bool {
    list.split(',')
        .map(str::trim_ascii)
        .any(|listed| listed == "*" || is_tag(listed.strip_prefix("W/").unwrap_or(listed), etag))
}

/// Strong comparison: bytes from two answers are about to be joined.
fn if_range_matches(value: &str, etag: &str, modified: Option<u64>) -> bool {
    if is_tag(value, etag) {
        return true;
    }
    // An exact date is strong enough here: an object's bytes never change after its date.
    modified.is_some() && parse_http_date(value) == modified
}

fn is_tag(quoted: &str, etag: &str) -> bool {
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) == Some(etag)
}

fn is_unmodified(date: &str, modified: Option<u64>) -> bool {
    match (parse_http_date(date), modified) {
        (Some(date), Some(modified)) => modified <= date,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1994-11-06 08:49:37 UTC, the date of the standard's own example.
    const MADE: u64 = 784_111_777;
    const SAME: Verdict = Verdict::NotModified;
    const SEND: Verdict = Verdict::Proceed { may_range: true };
    const SEND_WHOLE: Verdict = Verdict::Proceed { may_range: false };

    fn check(headers: &str, expected: Verdict) {
        let text = format!("GET /o/a HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n");
        let (head, _) = Head::parse(text.as_bytes()).expect("valid").expect("complete");
        assert_eq!(evaluate(&head, "abc", Some(MADE)), expected, "{headers}");
    }

    #[test]
    fn if_none_match() {
        check("If-None-Match: \"abc\"", SAME);
        check("If-None-Match: W/\"abc\"", SAME);
        check("If-None-Match: \"x\", \"abc\"", SAME);
        check("If-None-Match: *", SAME);
        check("If-None-Match: abc", SEND);
        check("If-None-Match: \"abcd\"", SEND);
        check("If-None-Match: \"", SEND);
    }

    #[test]
    fn if_modified_since() {
        check("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", SAME);
        check("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT", SEND);
        check("If-Modified-Since: yesterday", SEND);
    }

    #[test]
    fn the_tag_wins_over_the_date() {
        check("If-None-Match: \"x\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", SEND);
    }

    #[test]
    fn if_range() {
        check("If-Range: \"abc\"", SEND);
        check("If-Range: W/\"abc\"", SEND_WHOLE);
        check("If-Range: \"x\"", SEND_WHOLE);
        check("If-Range: Sun, 06 Nov 1994 08:49:37 GMT", SEND);
        check("If-Range: Sun, 06 Nov 1994 08:49:38 GMT", SEND_WHOLE);
        check("If-Range: *", SEND_WHOLE);
    }
}
