//! Headers that choose between 200, 206, 304, 412, 416 and 417, and how they do, decided here once
//! more and in the words of RFC 9110 section 13.2.2.

use std::fmt::Write;

use super::ranges::{Ranges, Sent};
use super::world::{Rng, Thing};

/// Everything that has a date has this one: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub const MADE: u64 = 784_111_777;

/// Texts of dates, and how many seconds after [`MADE`] they are.
const DATES: [(&str, Option<i64>); 8] = [
    ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
    ("Sunday, 06-Nov-94 08:49:37 GMT", Some(0)),
    ("Sun Nov  6 08:49:37 1994", Some(0)),
    ("Sun, 06 Nov 1994 08:49:36 GMT", Some(-1)),
    ("Sun, 06 Nov 1994 08:49:38 GMT", Some(1)),
    ("Sun, 06 Nov 2094 08:49:37 GMT", Some(1 << 31)),
    ("yesterday", None),
    ("1994-11-06T08:49:37Z", None),
];

/// What a request demands of the version it gets.
#[derive(Default)]
pub struct Conditions {
    range: Option<Ranges>,
    if_range: Option<String>,
    matches: Option<String>,
    none_match: Option<String>,
    modified_since: Option<&'static str>,
    unmodified_since: Option<&'static str>,
    expect: Option<&'static str>,
}

/// What they come to.
pub enum Verdict {
    Send(Sent),
    NotModified,
    Failed,
}

impl Conditions {
    pub fn draw(rng: &mut Rng, thing: &Thing) -> Self {
        let mut on = Self::default();
        if !rng.one_in(3) {
            on.range = Some(Ranges::draw(rng, thing.bytes.len()));
        }
        let tag = thing.tag.clone();
        let weak = format!("W/{tag}");
        let other = "\"x\"".to_owned();
        let lists = [
            tag.clone(),
            weak.clone(),
            format!("\"x\", {tag}"),
            format!(",{weak} ,, \"y\""),
            tag.trim_matches('"').to_owned(),
            format!("\"x, {tag}"),
            other.clone(),
            "*".to_owned(),
        ];
        if rng.one_in(8) {
            on.none_match = Some(rng.pick(&lists).clone());
        }
        if rng.one_in(16) {
            on.matches = Some(rng.pick(&lists).clone());
        }
        if rng.one_in(6) {
            let date = rng.pick(&DATES).0.to_owned();
            on.if_range = Some(rng.pick(&[tag.clone(), tag, weak, other, date]).clone());
        }
        if rng.one_in(12) {
            on.modified_since = Some(rng.pick(&DATES).0);
        }
        if rng.one_in(16) {
            on.unmodified_since = Some(rng.pick(&DATES).0);
        }
        if rng.one_in(32) {
            on.expect = Some(*rng.pick(&["100-continue", "100-Continue", "200-ok"]));
        }
        on
    }

    pub fn write(&self, rng: &mut Rng, headers: &mut String) {
        let mut put = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                let _ = write!(headers, "{name}: {value}\r\n");
            }
        };
        put("Range", self.range.as_ref().map(|range| range.text.as_str()));
        put("if-range", self.if_range.as_deref());
        put("If-Match", self.matches.as_deref());
        put("if-none-match", self.none_match.as_deref());
        put("If-Modified-Since", self.modified_since);
        put("IF-UNMODIFIED-SINCE", self.unmodified_since);
        put("Expect", self.expect);
        match rng.below(12) {
            0 => put("Content-Length", Some("0")),
            1 => put("X-Odd", Some("\u{e9}\t\"%00")),
            2 => put("TE", Some("trailers")),
            3 => put("CMCD-Request", Some("bl=21300,mtp=25400")),
            _ => {}
        }
    }

    /// Whether the request expects what nobody can do.
    pub fn expects_more(&self) -> bool {
        self.expect == Some("200-ok")
    }

    /// The rules, in their order.
    pub fn judge(&self, method: &str, thing: &Thing) -> Verdict {
        let date = |text: &str| DATES.iter().find(|(known, _)| *known == text).and_then(|d| d.1);
        // `None` where there is nothing to compare: then the condition is not there.
        let is_older = |text: &str| Some(0 <= date(text)?).filter(|_| thing.has_date);
        let failed = match (&self.matches, self.unmodified_since) {
            (Some(list), _) => !lists(list, thing, false),
            (None, Some(text)) => is_older(text) == Some(false),
            (None, None) => false,
        };
        if failed {
            return Verdict::Failed;
        }
        let has_it = match (&self.none_match, self.modified_since) {
            (Some(list), _) => lists(list, thing, true),
            (None, Some(text)) => is_older(text) == Some(true),
            (None, None) => false,
        };
        if has_it {
            return Verdict::NotModified;
        }
        let is_same = self
            .if_range
            .as_ref()
            .is_none_or(|value| *value == thing.tag || (thing.has_date && date(value) == Some(0)));
        match &self.range {
            Some(range) if method == "GET" && is_same => {
                Verdict::Send(range.resolve(thing.bytes.len()))
            }
            _ => Verdict::Send(Sent::Whole),
        }
    }
}

/// Whether one of the lists that we draw names the thing.
fn lists(list: &str, thing: &Thing, weakly: bool) -> bool {
    // The only one of them whose quotes do not pair up is not read.
    if list == "*" || list.matches('"').count() % 2 == 1 {
        return list == "*";
    }
    list.split(',').map(str::trim).any(|tag| match tag.strip_prefix("W/") {
        Some(weak) => weakly && weak == thing.tag,
        None => tag == thing.tag,
    })
}
