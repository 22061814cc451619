//! Who asked which appliance to drain: operator and ISP each have a wish of their own, and take
//! back no other's. What a drain does to sessions is decided elsewhere.

use control_store::ledger::DrainBy;
use control_types::ApplianceId;

use crate::error::SteeringError;
use crate::isp::Reach;
use crate::service::Steering;

impl Steering {
    /// Takes an appliance out of every list; what it serves goes on. The wish is `by`'s.
    ///
    /// # Errors
    /// `NotYours`, `UnknownAppliance`.
    pub async fn drain(&self, id: &ApplianceId, by: &Reach) -> Result<(), SteeringError> {
        self.set_drain(id, by, true).await
    }

    /// Takes `by`'s wish back. The appliance is offered again when nobody else's stands; the
    /// fleet's listing says whose does.
    ///
    /// # Errors
    /// `NotYours`, `UnknownAppliance`, and `DrainedByOperator` when that is all an ISP could have
    /// meant.
    pub async fn undrain(&self, id: &ApplianceId, by: &Reach) -> Result<(), SteeringError> {
        self.set_drain(id, by, false).await
    }

    async fn set_drain(
        &self,
        id: &ApplianceId,
        by: &Reach,
        drain: bool,
    ) -> Result<(), SteeringError> {
        let _changing = self.change.lock().await;
        let fleet = self.fleet();
        by.check_appliance(id, &fleet)?;
        let who = match by {
            Reach::Everything => DrainBy::Operator,
            Reach::Isp(_) => DrainBy::Isp,
        };
        let stands = fleet.registry.appliances.get(id).map(|one| one.drains).unwrap_or_default();
        if who == DrainBy::Isp && !drain && stands.operator && !stands.isp {
            return Err(SteeringError::DrainedByOperator(id.clone()));
        }
        let writing = SteeringError::store("write the drain flag");
        if !self.ledger.set_drain(id, who, drain).await.map_err(writing)? {
            return Err(SteeringError::UnknownAppliance(id.clone()));
        }
        self.reread().await
    }
}
