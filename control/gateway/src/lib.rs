//! The HTTP surface of the control plane, and the only crate that knows status codes: it composes
//! the services into answers. Owns no rule of any service and keeps nothing that must survive.

#![forbid(unsafe_code)]

mod accounts;
mod appliance;
mod authority_desk;
mod body;
mod bundles;
mod catalog;
mod edge;
mod errors;
mod fleet_ca;
mod gateway;
mod generations;
mod guard;
mod guards;
mod home;
mod library;
pub mod limits;
mod manifests;
mod metrics;
mod openapi;
mod operator;
mod play;
mod plays;
mod registration;
mod remembered;
mod renewal;
mod route_desk;
mod steering;
mod telemetry;
mod ticket_desk;
mod web;
mod who;

pub use authority_desk::{AuthorityDesk, AuthorityError, KeepAuthority};
pub use edge::RateSettings;
pub use fleet_ca::{FleetCa, FleetCaError, ServerIdentity};
pub use gateway::{Gateway, GatewayError, ServedBy, Services, Settings};
pub use library::learn_titles;
pub use openapi::{appliance_router, description, edge_around, listing, router};
pub use route_desk::{BmpCounters, BmpEnd, RouteDesk, RouteDeskError};
pub use ticket_desk::TicketDesk;
pub use who::Proof;
