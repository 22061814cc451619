//! The words every Nightfill process uses on the wire: ids, request and answer bodies, shared
//! bounds. Holds no logic beyond checking a value's own range; reads no clock, and no file but
//! those that [`config_file`] is given.

#![forbid(unsafe_code)]

pub mod accounts;
pub mod border;
pub mod bundle;
pub mod catalog;
pub mod config_file;
pub mod config_lines;
pub mod content;
pub mod error;
pub mod fill;
pub mod fleet;
pub mod ids;
pub mod limits;
pub mod pathway;
pub mod play;
pub mod presence;
pub mod registration;
pub mod routes;
pub mod schedule;
pub mod spread;
pub mod steering;
pub mod telemetry;
pub mod time;

pub use error::{ErrorBody, ErrorWord};
pub use ids::{
    AccountId, ApplianceId, IdError, IspId, IspKeyId, ObjectId, PlanId, PlayId, ProfileId,
    RegistrationKeyId, SiteId, TitleId, WindowId,
};
pub use time::UnixMillis;
