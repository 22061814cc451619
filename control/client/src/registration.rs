//! How boxes register and stay registered, and the maintenance of those that are. Keeps no
//! identity; `identity.rs` does.

use control_types::registration::{
    AuthorityListed, CertificateStatus, IssuedCertificate, NewRegistrationKey, Registration,
    RegistrationKey, RegistrationKeyListed, Renewal,
};
use control_types::schedule::{MaintenanceSchedule, MaintenanceStatus};
use control_types::{ApplianceId, RegistrationKeyId, WindowId};
use reqwest::Method;

use crate::{ClientError, ControlClient};

const KEYS: &str = "/v1/operator/registration-keys";
const AUTHORITIES: &str = "/v1/operator/authorities";
const CERTIFICATE: &str = "/v1/appliance/certificate";

/// Every method fails with [`ClientError`]: unreachable, timed out, refused, or garbled.
impl ControlClient {
    /// `POST /v1/operator/registration-keys`: the key is in this answer only.
    pub async fn make_registration_key(
        &self,
        new: &NewRegistrationKey,
    ) -> Result<RegistrationKey, ClientError> {
        self.call(Method::POST, KEYS, new).await
    }

    /// `GET /v1/operator/registration-keys`.
    pub async fn registration_keys(&self) -> Result<Vec<RegistrationKeyListed>, ClientError> {
        self.get(KEYS).await
    }

    /// `DELETE /v1/operator/registration-keys/{key}`.
    pub async fn remove_registration_key(
        &self,
        key: &RegistrationKeyId,
    ) -> Result<(), ClientError> {
        self.order::<()>(Method::DELETE, &format!("{KEYS}/{key}"), None).await
    }

    /// `DELETE /v1/operator/appliances/{appliance}/certificates`.
    pub async fn void_certificates(&self, appliance: &ApplianceId) -> Result<(), ClientError> {
        let path = format!("/v1/operator/appliances/{appliance}/certificates");
        self.order::<()>(Method::DELETE, &path, None).await
    }

    /// `GET /v1/operator/authorities`, the one that signs first.
    pub async fn authorities(&self) -> Result<Vec<AuthorityListed>, ClientError> {
        self.get(AUTHORITIES).await
    }

    /// `POST /v1/operator/authorities`: a successor of the one that signs.
    pub async fn rotate_authority(&self) -> Result<Vec<AuthorityListed>, ClientError> {
        self.call(Method::POST, AUTHORITIES, &()).await
    }

    /// `DELETE /v1/operator/authorities/{digest}`: an earlier one and all before it.
    pub async fn retire_authority(
        &self,
        digest: &str,
        force: bool,
    ) -> Result<Vec<AuthorityListed>, ClientError> {
        let path = format!("{AUTHORITIES}/{digest}?force={force}");
        self.call(Method::DELETE, &path, &()).await
    }

    /// `POST /v1/appliance/register`, on the appliances' port.
    pub async fn register(&self, body: &Registration) -> Result<IssuedCertificate, ClientError> {
        self.call(Method::POST, "/v1/appliance/register", body).await
    }

    /// `GET /v1/appliance/certificate`: how this box is known.
    pub async fn certificate(&self) -> Result<CertificateStatus, ClientError> {
        self.get(CERTIFICATE).await
    }

    /// `POST /v1/appliance/certificate`: the next one.
    pub async fn renew(&self, body: &Renewal) -> Result<IssuedCertificate, ClientError> {
        self.call(Method::POST, CERTIFICATE, body).await
    }

    /// `GET /v1/operator/maintenance`.
    pub async fn maintenance(&self) -> Result<Vec<MaintenanceStatus>, ClientError> {
        self.get("/v1/operator/maintenance").await
    }

    /// `PUT /v1/operator/maintenance/{schedule}`.
    pub async fn put_maintenance(
        &self,
        rule: &MaintenanceSchedule,
    ) -> Result<MaintenanceStatus, ClientError> {
        self.call(Method::PUT, &format!("/v1/operator/maintenance/{}", rule.id), rule).await
    }

    /// `DELETE /v1/operator/maintenance/{schedule}`.
    pub async fn remove_maintenance(&self, id: &WindowId) -> Result<(), ClientError> {
        self.order::<()>(Method::DELETE, &format!("/v1/operator/maintenance/{id}"), None).await
    }
}
