//! What of a title is searched, and what of a query is looked at. Pure.

use control_store::SearchEntry;
use control_types::catalog::TitleRecord;

use crate::limits::QUERY_CHARS_MAX;

/// The searched part of a title.
#[must_use]
pub fn entry(record: &TitleRecord) -> SearchEntry {
    SearchEntry {
        id: record.id.clone(),
        name: record.name.clone(),
        people: record.people.clone(),
        genres: record.genres.clone(),
        year: record.year,
    }
}

/// The query as understood: control characters are spaces, runs of spaces are one, and what is over
/// the bound is cut at a character.
#[must_use]
pub fn understood(query: &str) -> String {
    let spaced: String =
        query.chars().take(QUERY_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, wanted: &str) {
        assert_eq!(understood(query), wanted, "{query:?}");
    }

    #[test]
    fn a_query_is_cut_and_cleaned() {
        check("  big   buck\tbunny\n", "big buck bunny");
        check("\0\u{7}", "");
        check("", "");
        check(&"é".repeat(500), &"é".repeat(QUERY_CHARS_MAX));
    }
}
