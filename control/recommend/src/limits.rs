//! Every maximum and weight of the recommender, in one place. Holds no logic.

/// Titles of one row.
pub const ROW_TITLES_MAX: usize = 20;

/// Genre rows of one home page.
pub const GENRE_ROWS_MAX: usize = 4;

/// A "because you watched" row with fewer titles than this says nothing.
pub const BECAUSE_TITLES_MIN: usize = 2;

/// Titles of one profile that are learned from, newest first. Learning costs the square of it.
pub const HISTORY_LEARNED_MAX: usize = 400;

/// Titles of one profile that a ranking looks at, newest first.
pub const HISTORY_RANKED_MAX: usize = 200;

/// Neighbours kept of each title.
pub const NEIGHBOURS_MAX: usize = 200;

/// Weighted co-watching (see `model.rs`) at which two titles' likeness counts half: keeps accidents
/// small. This, the exponent and the number of neighbours were chosen on MovieLens small.
pub const SHRINKAGE: f32 = 0.5;

/// Exponent that a title's audience enters the likeness with; 0.5 is the cosine. Above it, what
/// everybody watches is less like everything.
pub const AUDIENCE_EXPONENT: f32 = 0.6;

/// What is trending halves in weight after this long, milliseconds: 2 days.
pub const TRENDING_HALF_LIFE_MS: f64 = 2.0 * 86_400_000.0;

/// Live presses kept for trending between two rebuilds; beyond this they wait for the rebuild.
pub const LIVE_TITLES_MAX: usize = 10_000;

/// Bookmarks read in one page while rebuilding.
pub const REBUILD_PAGE: usize = 5_000;

/// Bookmarks learned from; the newest stay.
pub const WATCHES_MAX: usize = 5_000_000;

/// Time between two rebuilds without a nudge, milliseconds.
pub const REBUILD_EVERY_MS: u64 = 600_000;

/// Shortest time between two rebuilds, however often nudged, milliseconds.
pub const REBUILD_PAUSE_MS: u64 = 2_000;
