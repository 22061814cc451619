//! What an appliance tells and asks: its report, its orders, how its night goes.
//! Nothing here is needed to serve a segment; control may be away.

use control_types::bundle::{BUNDLE_CHANGE_TYPE, OfferedBundle, SignedBundle};
use control_types::fill::{FillReport, SignedOrders};
use control_types::fleet::{ApplianceReport, ReportAnswer};
use reqwest::Method;

use crate::{ClientError, ControlClient};

const STEERING: &str = "/v1/appliance/steering";
const JSON: &str = "application/json";

/// Every method fails with [`ClientError`]: unreachable, timed out, refused, or garbled.
impl ControlClient {
    /// `POST /v1/appliance/report`.
    pub async fn report(&self, body: &ApplianceReport) -> Result<ReportAnswer, ClientError> {
        self.call(Method::POST, "/v1/appliance/report", body).await
    }

    /// `GET /v1/appliance/orders`; who believes them checks the signature.
    pub async fn orders(&self) -> Result<SignedOrders, ClientError> {
        self.get("/v1/appliance/orders").await
    }

    /// `GET /v1/appliance/steering`: the bundle of the caller's ISP; `None` when the newest is the
    /// one of `known_serial`. Who believes it checks the signature and the serial.
    pub async fn steering_bundle(
        &self,
        known_serial: Option<u64>,
    ) -> Result<Option<SignedBundle>, ClientError> {
        let known = known_serial.map(|serial| format!("\"{serial}\""));
        self.get_unless(STEERING, known.as_deref(), JSON).await
    }

    /// The same as what changed since the bundle of `known_serial`, where control remembers that
    /// one; `control_token::changed_bundle` puts the two together.
    pub async fn steering_change(
        &self,
        known_serial: u64,
    ) -> Result<Option<OfferedBundle>, ClientError> {
        let takes = format!("{BUNDLE_CHANGE_TYPE}, {JSON};q=0.9");
        self.get_unless(STEERING, Some(&format!("\"{known_serial}\"")), &takes).await
    }

    /// `POST /v1/appliance/fill-report`.
    pub async fn fill_report(&self, body: &FillReport) -> Result<(), ClientError> {
        self.order(Method::POST, "/v1/appliance/fill-report", Some(body)).await
    }
}
