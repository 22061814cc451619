//! The fill director: keeps the night's plan as it should be. Looks at the fleet, plans, and posts
//! the plan when the one in force no longer leads where a fresh one would. Moves no bytes itself
//! and keeps nothing: control has the plan, `fill-plan` has the policy.

#![forbid(unsafe_code)]

mod config;
mod director;
mod error;
mod ingress;
mod shares;

pub use config::Config;
pub use director::{Looked, Memory, look, run};
pub use error::DirectorError;
pub use ingress::Ingress;
