//! One file a subject, each with its verbs and one `run`.

pub mod appliance;
pub mod fill;
pub mod fleet;
pub mod isp;
pub mod plan;
pub mod routes;
pub mod simulate;
pub mod site;
pub mod steer;
pub mod store;
pub mod ticket;
pub mod times;
pub mod title;
pub mod window;
