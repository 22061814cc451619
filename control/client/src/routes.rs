//! What the operator asks about routes: registrations, imported files, the table, an ISP examined.
//! Reads no dump itself; control does.

use std::net::IpAddr;

use control_types::routes::{
    IspNetworks, RouteChange, RouteCover, RouteRefused, RoutesImported, RoutesReport, RoutesStatus,
};
use control_types::{IspId, SiteId};
use reqwest::Method;

use crate::{ClientError, ControlClient};

/// Every method fails with [`ClientError`]: unreachable, timed out, refused, or garbled.
impl ControlClient {
    /// `GET /v1/operator/routes`.
    pub async fn routes(&self) -> Result<RoutesStatus, ClientError> {
        self.get("/v1/operator/routes").await
    }

    /// `GET /v1/operator/routes/lookup?ip=`.
    pub async fn lookup_route(&self, ip: IpAddr) -> Result<Vec<RouteCover>, ClientError> {
        self.get_query("/v1/operator/routes/lookup", &[("ip", &ip.to_string())]).await
    }

    /// `GET /v1/operator/routes/refused`.
    pub async fn refused_routes(&self) -> Result<Vec<RouteRefused>, ClientError> {
        self.get("/v1/operator/routes/refused").await
    }

    /// `GET /v1/operator/routes/changes`.
    pub async fn route_changes(&self) -> Result<Vec<RouteChange>, ClientError> {
        self.get("/v1/operator/routes/changes").await
    }

    /// `GET /v1/operator/routes/doctor/{isp}`.
    pub async fn examine_routes(&self, isp: &IspId) -> Result<RoutesReport, ClientError> {
        self.get(&format!("/v1/operator/routes/doctor/{isp}")).await
    }

    /// `PUT /v1/operator/isps/{isp}/networks`; empty lists forget the registration.
    pub async fn register_networks(&self, networks: &IspNetworks) -> Result<(), ClientError> {
        let path = format!("/v1/operator/isps/{}/networks", networks.isp);
        self.order(Method::PUT, &path, Some(networks)).await
    }

    /// `GET /v1/operator/networks`.
    pub async fn registered_networks(&self) -> Result<Vec<IspNetworks>, ClientError> {
        self.get("/v1/operator/networks").await
    }

    /// `POST /v1/operator/sites/{site}/routes`: a file of routes, as it is.
    pub async fn import_routes(
        &self,
        site: &SiteId,
        file: Vec<u8>,
    ) -> Result<RoutesImported, ClientError> {
        let path = format!("/v1/operator/sites/{site}/routes");
        self.call_bytes(&path, "application/octet-stream", file).await
    }

    /// `DELETE /v1/operator/sites/{site}/routes`.
    pub async fn forget_routes(&self, site: &SiteId) -> Result<(), ClientError> {
        let path = format!("/v1/operator/sites/{site}/routes");
        self.order::<()>(Method::DELETE, &path, None).await
    }
}
