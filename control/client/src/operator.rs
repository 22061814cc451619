//! What the operator asks: titles, the fleet, windows, the plan, live plays, tickets.
//! Decides nothing; `ocactl`, `ingest` and the director do.

use std::net::IpAddr;

use control_types::bundle::BundleListed;
use control_types::catalog::{StoredArtwork, TitleRecord};
use control_types::fill::{FillProgress, FillState, NewWindow, NightPlan, Window};
use control_types::fleet::{
    ApplianceKey, ApplianceRecord, ApplianceStatus, IspKey, IspKeyListed, Site, SteerExplanation,
};
use control_types::play::{NewTicket, Ticket};
use control_types::schedule::{ScheduleStatus, WindowSchedule};
use control_types::steering::{ReplayAnswer, ReplayRequest, SteerRecord};
use control_types::telemetry::Live;
use control_types::{ApplianceId, IspId, IspKeyId, TitleId, UnixMillis, WindowId};
use reqwest::Method;

use crate::{ClientError, ControlClient};

/// Every method fails with [`ClientError`]: unreachable, timed out, refused, or garbled.
impl ControlClient {
    /// `PUT /v1/operator/titles/{title}`: publishes or replaces.
    pub async fn put_title(&self, record: &TitleRecord) -> Result<(), ClientError> {
        let path = format!("/v1/operator/titles/{}", record.id);
        self.order(Method::PUT, &path, Some(record)).await
    }

    /// `DELETE /v1/operator/titles/{title}`.
    pub async fn remove_title(&self, title: &TitleId) -> Result<(), ClientError> {
        self.order::<()>(Method::DELETE, &format!("/v1/operator/titles/{title}"), None).await
    }

    /// `GET /v1/operator/titles`.
    pub async fn titles(&self) -> Result<Vec<TitleRecord>, ClientError> {
        self.get("/v1/operator/titles").await
    }

    /// `POST /v1/operator/artwork`: stores a JPEG.
    pub async fn put_artwork(&self, jpeg: Vec<u8>) -> Result<StoredArtwork, ClientError> {
        self.call_bytes("/v1/operator/artwork", "image/jpeg", jpeg).await
    }

    /// `PUT /v1/operator/sites/{site}`.
    pub async fn put_site(&self, site: &Site) -> Result<(), ClientError> {
        self.order(Method::PUT, &format!("/v1/operator/sites/{}", site.id), Some(site)).await
    }

    /// `GET /v1/operator/sites`.
    pub async fn sites(&self) -> Result<Vec<Site>, ClientError> {
        self.get("/v1/operator/sites").await
    }

    /// `PUT /v1/operator/appliances/{appliance}`; the key is in the answer the first time only.
    pub async fn put_appliance(
        &self,
        record: &ApplianceRecord,
    ) -> Result<ApplianceKey, ClientError> {
        let path = format!("/v1/operator/appliances/{}", record.id);
        self.call(Method::PUT, &path, record).await
    }

    /// `DELETE /v1/operator/appliances/{appliance}`.
    pub async fn remove_appliance(&self, appliance: &ApplianceId) -> Result<(), ClientError> {
        let path = format!("/v1/operator/appliances/{appliance}");
        self.order::<()>(Method::DELETE, &path, None).await
    }

    /// `GET /v1/operator/appliances`.
    pub async fn appliances(&self) -> Result<Vec<ApplianceStatus>, ClientError> {
        self.get("/v1/operator/appliances").await
    }

    /// `POST /v1/operator/appliances/{appliance}/drain`.
    pub async fn drain(&self, appliance: &ApplianceId) -> Result<(), ClientError> {
        let path = format!("/v1/operator/appliances/{appliance}/drain");
        self.order::<()>(Method::POST, &path, None).await
    }

    /// `POST /v1/operator/appliances/{appliance}/undrain`.
    pub async fn undrain(&self, appliance: &ApplianceId) -> Result<(), ClientError> {
        let path = format!("/v1/operator/appliances/{appliance}/undrain");
        self.order::<()>(Method::POST, &path, None).await
    }

    /// `POST /v1/operator/isps/{isp}/keys`; the key is in this answer and never again.
    pub async fn make_isp_key(&self, isp: &IspId) -> Result<IspKey, ClientError> {
        let path = format!("/v1/operator/isps/{isp}/keys");
        self.call(Method::POST, &path, &serde_json::json!({})).await
    }

    /// `GET /v1/operator/isp-keys`.
    pub async fn isp_keys(&self) -> Result<Vec<IspKeyListed>, ClientError> {
        self.get("/v1/operator/isp-keys").await
    }

    /// `DELETE /v1/operator/isp-keys/{key}`.
    pub async fn revoke_isp_key(&self, key: &IspKeyId) -> Result<(), ClientError> {
        self.order::<()>(Method::DELETE, &format!("/v1/operator/isp-keys/{key}"), None).await
    }

    /// `POST /v1/operator/windows`.
    pub async fn open_window(&self, window: &NewWindow) -> Result<Window, ClientError> {
        self.call(Method::POST, "/v1/operator/windows", window).await
    }

    /// `GET /v1/operator/windows`.
    pub async fn windows(&self) -> Result<Vec<Window>, ClientError> {
        self.get("/v1/operator/windows").await
    }

    /// `POST /v1/operator/windows/{window}/close`.
    pub async fn close_window(&self, window: &WindowId) -> Result<Window, ClientError> {
        let path = format!("/v1/operator/windows/{window}/close");
        self.call(Method::POST, &path, &serde_json::json!({})).await
    }

    /// `PUT /v1/operator/schedules/{schedule}`: makes or replaces.
    pub async fn put_schedule(
        &self,
        schedule: &WindowSchedule,
    ) -> Result<ScheduleStatus, ClientError> {
        let path = format!("/v1/operator/schedules/{}", schedule.id);
        self.call(Method::PUT, &path, schedule).await
    }

    /// `DELETE /v1/operator/schedules/{schedule}`.
    pub async fn remove_schedule(&self, schedule: &WindowId) -> Result<(), ClientError> {
        let path = format!("/v1/operator/schedules/{schedule}");
        self.order::<()>(Method::DELETE, &path, None).await
    }

    /// `GET /v1/operator/schedules`.
    pub async fn schedules(&self) -> Result<Vec<ScheduleStatus>, ClientError> {
        self.get("/v1/operator/schedules").await
    }

    /// `GET /v1/operator/fill-state`.
    pub async fn fill_state(&self) -> Result<FillState, ClientError> {
        self.get("/v1/operator/fill-state").await
    }

    /// `PUT /v1/operator/plan`.
    pub async fn put_plan(&self, plan: &NightPlan) -> Result<(), ClientError> {
        self.order(Method::PUT, "/v1/operator/plan", Some(plan)).await
    }

    /// `GET /v1/operator/plan`; refused with `not_found` before the first plan.
    pub async fn plan(&self) -> Result<NightPlan, ClientError> {
        self.get("/v1/operator/plan").await
    }

    /// `GET /v1/operator/fills`.
    pub async fn fills(&self) -> Result<Vec<FillProgress>, ClientError> {
        self.get("/v1/operator/fills").await
    }

    /// `GET /v1/operator/live`.
    pub async fn live(&self) -> Result<Live, ClientError> {
        self.get("/v1/operator/live").await
    }

    /// `GET /v1/operator/steer/explain?ip=&title=`.
    pub async fn explain_steering(
        &self,
        ip: IpAddr,
        title: &TitleId,
    ) -> Result<SteerExplanation, ClientError> {
        let (ip, title) = (ip.to_string(), title.to_string());
        self.get_query("/v1/operator/steer/explain", &[("ip", &ip), ("title", &title)]).await
    }

    /// `GET /v1/operator/steer/explain?ip=&title=&at=`: the last recorded question like this one.
    pub async fn explain_recorded(
        &self,
        ip: IpAddr,
        title: &TitleId,
        at: UnixMillis,
    ) -> Result<SteerExplanation, ClientError> {
        let (ip, title, at) = (ip.to_string(), title.to_string(), at.0.to_string());
        let query = [("ip", &ip[..]), ("title", &title), ("at", &at)];
        self.get_query("/v1/operator/steer/explain", &query).await
    }

    /// `GET /v1/operator/steer/log?from=&until=`: ask on until nothing comes.
    pub async fn steer_log(
        &self,
        from: UnixMillis,
        until: UnixMillis,
    ) -> Result<Vec<SteerRecord>, ClientError> {
        let (from, until) = (from.0.to_string(), until.0.to_string());
        self.get_query("/v1/operator/steer/log", &[("from", &from), ("until", &until)]).await
    }

    /// `GET /v1/operator/steer/bundles`: by ISP.
    pub async fn steering_bundles(&self) -> Result<Vec<BundleListed>, ClientError> {
        self.get("/v1/operator/steer/bundles").await
    }

    /// `POST /v1/operator/steer/replay`.
    pub async fn replay(&self, body: &ReplayRequest) -> Result<ReplayAnswer, ClientError> {
        self.call(Method::POST, "/v1/operator/steer/replay", body).await
    }

    /// `POST /v1/operator/tickets`.
    pub async fn issue_ticket(&self, body: &NewTicket) -> Result<Ticket, ClientError> {
        self.call(Method::POST, "/v1/operator/tickets", body).await
    }

    /// `PUT /v1/operator/revocations/{subject}`.
    pub async fn revoke_tickets(&self, subject: &str) -> Result<(), ClientError> {
        let path = format!("/v1/operator/revocations/{subject}");
        self.order::<()>(Method::PUT, &path, None).await
    }
}
