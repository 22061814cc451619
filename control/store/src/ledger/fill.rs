//! Ledger of fill windows, schedules and the night's plan. Not of progress: agents report that
//! again.

use async_trait::async_trait;
use control_types::fill::{NightPlan, Window};
use control_types::schedule::WindowSchedule;
use control_types::{UnixMillis, WindowId};

use crate::StoreError;
use crate::ledger::keys::KeysLedger;

/// What became of a plan that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanPut {
    /// It is the plan now.
    Stored,
    /// The plan in force has this serial, which is not lower, or not the one that the offered plan
    /// follows: nothing changed.
    Stale {
        /// Of the plan in force; 0 when there is none.
        serial: u64,
    },
}

/// Windows, schedules and the plan; with the keys, because what agents are told of them is signed.
#[async_trait]
pub trait FillLedger: KeysLedger {
    /// Adds a window; `Taken` when its id was ever used.
    async fn add_window(&self, window: &Window) -> Result<(), StoreError>;

    /// Windows that close after `after`, by opening time then id; `UnixMillis(0)` for all.
    async fn windows(&self, after: UnixMillis) -> Result<Vec<Window>, StoreError>;

    /// Closes one before its time and returns it; `None` when there is none of this id.
    async fn close_window(&self, window: &WindowId) -> Result<Option<Window>, StoreError>;

    /// Makes a schedule or replaces the one of its id.
    async fn put_schedule(&self, schedule: &WindowSchedule) -> Result<(), StoreError>;

    /// Removes one; false when there is none of this id.
    async fn remove_schedule(&self, schedule: &WindowId) -> Result<bool, StoreError>;

    /// All schedules, by id.
    async fn schedules(&self) -> Result<Vec<WindowSchedule>, StoreError>;

    /// Replaces the plan if its serial is higher than the present one's, and follows that one.
    async fn put_plan(&self, plan: &NightPlan) -> Result<PlanPut, StoreError>;

    /// The plan in force.
    async fn plan(&self) -> Result<Option<NightPlan>, StoreError>;
}
