//! How steering and the fill desk say no. Carries no status code: the gateway picks one by `word`.

use control_store::StoreError;
use control_types::{ApplianceId, ErrorWord, IspId, IspKeyId, RegistrationKeyId, SiteId, WindowId};
use thiserror::Error;

pub use crate::unproven::Unproven;

/// What could not be done. All but `Store` and `FleetFull` are the caller's to mend; none is worth
/// the same call again except `Store`.
#[derive(Debug, Error)]
pub enum SteeringError {
    /// No such site.
    #[error("site {0} is not registered: `ocactl site put {0}` (PUT /v1/operator/sites/{0}) first")]
    UnknownSite(SiteId),
    /// No such appliance.
    #[error(
        "appliance {0} is not registered: `ocactl appliance put {0}` \
         (PUT /v1/operator/appliances/{0}) first"
    )]
    UnknownAppliance(ApplianceId),
    /// No such window.
    #[error("there is no window {0}: `ocactl window ls` lists them")]
    UnknownWindow(WindowId),
    /// A site field is out of range.
    #[error("site {site} is refused: {why}")]
    BadSite {
        /// Which.
        site: SiteId,
        /// The field, its value and the cure.
        why: String,
    },
    /// An appliance field is out of range.
    #[error("appliance {appliance} is refused: {why}")]
    BadAppliance {
        /// Which.
        appliance: ApplianceId,
        /// The field, its value and the cure.
        why: String,
    },
    /// Another ISP has announced this prefix, one inside it or one around it.
    #[error(
        "prefix {prefix} overlaps {held}, announced by ISP {isp} at site {site}: withdraw or split \
         that one first"
    )]
    PrefixClaimed {
        /// In its canonical spelling.
        prefix: String,
        /// What it overlaps.
        held: String,
        /// Who has it.
        isp: IspId,
        /// Where.
        site: SiteId,
    },
    /// Room for no more appliances.
    #[error("this fleet has {max} appliances, as many as one control process keeps")]
    FleetFull {
        /// The bound.
        max: usize,
    },
    /// A window's fields do not make a window.
    #[error("window {window} is refused: {why}")]
    BadWindow {
        /// Which.
        window: WindowId,
        /// The field, its value and the cure.
        why: String,
    },
    /// The id was used before.
    #[error(
        "{0} is, or was, the name of a window, a schedule or one of its nights: choose another name"
    )]
    WindowTaken(WindowId),
    /// A window, or one night, was to be removed as if it were a schedule.
    #[error("{0} is no schedule but a window or one night: `ocactl window close {0}` ends it")]
    NoSchedule(WindowId),
    /// An older plan than the one in force, or one that was made on another.
    #[error(
        "plan {offered} is not above {present}, the plan in force, or was not made on it: plan again"
    )]
    StalePlan {
        /// Of the plan in force.
        present: u64,
        /// Of the plan offered.
        offered: u64,
    },
    /// A plan that divides a border's rate, and was made too long ago.
    #[error("the plan was made {age_ms} ms ago, and its rates hold for {max} ms: plan again")]
    LatePlan {
        /// How long ago, milliseconds.
        age_ms: u64,
        /// See `control_types::limits::SHARED_PLAN_MS`.
        max: u64,
    },
    /// An ISP's key reaches its own sites only.
    #[error(
        "{what} is not ISP {isp}'s: its key reaches its own sites, appliances and windows only"
    )]
    NotYours {
        /// Whose key.
        isp: IspId,
        /// What was asked for.
        what: String,
    },
    /// No site is this ISP's.
    #[error("no site is ISP {0}'s: register one with this ISP first")]
    UnknownIsp(IspId),
    /// No such ISP key.
    #[error("there is no ISP key {0}: `ocactl isp keys` lists them")]
    UnknownIspKey(IspKeyId),
    /// Room for no more keys of one ISP.
    #[error("ISP {isp} has {max} keys, as many as one may have: revoke one first")]
    IspKeysFull {
        /// Whose.
        isp: IspId,
        /// The bound.
        max: usize,
    },
    /// A registration key's fields are out of range.
    #[error("the registration key is refused: {why}")]
    BadRegistrationKey {
        /// The field, its value and the cure.
        why: String,
    },
    /// No such registration key.
    #[error("there is no registration key {0}: `ocactl appliance keys` lists them")]
    UnknownRegistrationKey(RegistrationKeyId),
    /// A caller is not believed to be the appliance.
    #[error("appliance {appliance}: {why}")]
    Unproven {
        /// Who it says it is.
        appliance: ApplianceId,
        /// Why not.
        why: Unproven,
    },
    /// An ISP cannot take back what the operator asked for.
    #[error("appliance {0} stays drained: the operator asked for it, who alone can take it back")]
    DrainedByOperator(ApplianceId),
    /// Maintenance that comes again has a field that makes no sense.
    #[error("maintenance {id} is refused: {why}")]
    BadMaintenance {
        /// Which.
        id: WindowId,
        /// The field, its value and the cure.
        why: String,
    },
    /// No such maintenance.
    #[error("there is no maintenance {0}: `ocactl appliance maintenance ls` lists it")]
    UnknownMaintenance(WindowId),
    /// The machine is broken.
    #[error("the system gave no randomness for a key")]
    NoRandomness,
    /// A policy has mistakes.
    #[error("the policy is refused: {}", mistakes.join("; "))]
    BadPolicy {
        /// Every one, with its cure.
        mistakes: Vec<String>,
    },
    /// A line is not of the steering log.
    #[error("the log is refused: {why}; take it with `ocactl steer log`")]
    BadRecord {
        /// Which line and what is wrong.
        why: String,
    },
    /// Room for no more objects.
    #[error("the catalog has {objects} objects and steering keeps {max}: take titles down")]
    LibraryFull {
        /// How many there are.
        objects: usize,
        /// The bound.
        max: usize,
    },
    /// Serials of bundles cannot be kept.
    #[error("serials of steering bundles cannot be kept in {}: {why}", path.display())]
    Serials {
        /// Their file.
        path: std::path::PathBuf,
        /// What is wrong with it, and the cure.
        why: String,
    },
    /// The ledger said no.
    #[error("the ledger could not {doing}")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// Its own words.
        #[source]
        source: StoreError,
    },
}

impl SteeringError {
    /// The word of the answer's `ErrorBody`.
    #[must_use]
    pub fn word(&self) -> ErrorWord {
        match self {
            Self::UnknownSite(_)
            | Self::UnknownAppliance(_)
            | Self::UnknownWindow(_)
            | Self::UnknownIsp(_)
            | Self::UnknownIspKey(_)
            | Self::UnknownRegistrationKey(_)
            | Self::UnknownMaintenance(_) => ErrorWord::NotFound,
            Self::Unproven { why, .. } => why.error_word(),
            Self::NotYours { .. } => ErrorWord::Forbidden,
            Self::NoRandomness | Self::Serials { .. } => ErrorWord::Internal,
            Self::BadSite { .. }
            | Self::BadAppliance { .. }
            | Self::BadPolicy { .. }
            | Self::BadRecord { .. }
            | Self::BadRegistrationKey { .. }
            | Self::BadMaintenance { .. }
            | Self::BadWindow { .. } => ErrorWord::BadRequest,
            Self::PrefixClaimed { .. }
            | Self::FleetFull { .. }
            | Self::LibraryFull { .. }
            | Self::IspKeysFull { .. }
            | Self::DrainedByOperator(_)
            | Self::WindowTaken(_)
            | Self::NoSchedule(_)
            | Self::StalePlan { .. }
            | Self::LatePlan { .. } => ErrorWord::Conflict,
            Self::Store { source: StoreError::Refused { .. }, .. } => ErrorWord::BadRequest,
            Self::Store { source: StoreError::Damaged { .. }, .. } => ErrorWord::Internal,
            Self::Store { .. } => ErrorWord::Unavailable,
        }
    }

    pub(crate) fn store(doing: &'static str) -> impl FnOnce(StoreError) -> Self {
        move |source| Self::Store { doing, source }
    }
}
