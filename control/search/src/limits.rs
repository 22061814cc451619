//! Every maximum of search, in one place. Holds no logic.

/// Titles of one answer.
pub const ANSWER_TITLES_MAX: usize = 40;

/// Hits asked of the index before the caller's rule has filtered them.
pub const HITS_MAX: usize = 100;

/// Longest query that is looked at, characters.
pub const QUERY_CHARS_MAX: usize = 100;

/// Entries written to the index at once.
pub const UPSERT_MAX: usize = 1_000;

const _: () = assert!(HITS_MAX >= ANSWER_TITLES_MAX);
