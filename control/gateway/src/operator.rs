//! `/v1/operator/…`: what the operator and `ocactl` do. One file a subject, all behind the
//! operator's key; what an ISP may do for its own sites opens with the ISP's key too. Plans nothing
//! and places nothing: the director does.

mod authorities;
mod fleet;
mod isps;
mod live;
mod maintenance;
mod plan;
mod registrations;
mod routes;
mod steer;
mod tickets;
mod titles;
mod windows;

pub(crate) use plan::PLAN_PATH;
use utoipa_axum::router::OpenApiRouter;

use crate::bundles;
use crate::gateway::Gateway;

pub(crate) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .merge(titles::routes())
        .merge(fleet::routes())
        .merge(isps::routes())
        .merge(registrations::routes())
        .merge(authorities::routes())
        .merge(maintenance::routes())
        .merge(windows::routes())
        .merge(plan::routes())
        .merge(routes::routes())
        .merge(steer::routes())
        .merge(bundles::operator_routes())
        .merge(live::routes())
        .merge(tickets::routes())
}
