//! What workers answer `/steering` from, swapped whole by the admin thread. Never waits: a worker
//! reads what lies there, and an answer may be made from what lay there a moment ago.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use control_types::UnixMillis;

use super::hint::Hint;
use super::neighbours::Sighting;
use super::table::Table;

/// This box, as it knows itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// It takes nothing new.
    pub draining: bool,
    /// Since when, if only because control asked: sessions leave it one by one.
    pub asked_at: Option<UnixMillis>,
    /// A disk is in trouble.
    pub sick: bool,
    /// It has no room.
    pub full: bool,
    /// Load of its capacity, thousandths.
    pub load_per_mille: u32,
}

impl Own {
    /// What others are told who look. Of a drain that control asked for they hear from control,
    /// with the time at which it began.
    #[must_use]
    pub fn hint(&self) -> Hint {
        match self {
            Self { draining: true, asked_at: None, .. } | Self { sick: true, .. } => Hint::Leave,
            Self { full: true, load_per_mille, .. } => Hint::load((*load_per_mille).max(1_000)),
            Self { load_per_mille, .. } => Hint::load(*load_per_mille),
        }
    }
}

/// A table and what is known beside it.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// Routes, content, and how everybody was when control made it.
    pub table: Arc<Table>,
    /// By position in the table; shorter where nobody was looked at.
    pub sightings: Vec<Sighting>,
    /// What those who were looked at say of themselves; as `sightings`.
    pub hints: Vec<Option<Hint>>,
    /// This box.
    pub own: Own,
    /// The loads in the table are of now.
    pub loads_count: bool,
    /// Control answered lately.
    pub control_is_there: bool,
    /// Steps of loads (`LoadRule::step_after`), by position in the table; shorter where nothing is
    /// remembered: then the load alone says it.
    pub steps: Vec<u8>,
}

/// Where the outlook lies.
#[derive(Debug, Default)]
pub struct Desk {
    outlook: ArcSwapOption<Outlook>,
}

impl Desk {
    /// The outlook, if there is one.
    #[must_use]
    pub fn outlook(&self) -> Option<Arc<Outlook>> {
        self.outlook.load_full()
    }

    /// Answers are made from this one from here on.
    pub fn lay(&self, outlook: Outlook) {
        self.outlook.store(Some(Arc::new(outlook)));
    }
}
