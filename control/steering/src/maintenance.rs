//! Maintenance that comes again, as operators and ISPs write it. When it is, is `calendar.rs`'s.

use control_store::ledger::MaintenanceRow;
use control_types::UnixMillis;
use control_types::WindowId;
use control_types::fill::WindowScope;
use control_types::schedule::{MaintenanceSchedule, MaintenanceStatus};

use crate::calendar::check;
use crate::error::SteeringError;
use crate::isp::Reach;
use crate::limits::{MAINTENANCE_RULES_MAX, MAINTENANCE_RULES_PER_ISP_MAX};
use crate::service::Steering;

impl Steering {
    /// Makes or replaces maintenance that comes again. What an ISP made, the operator may replace,
    /// and it stays the ISP's; never the other way round.
    ///
    /// # Errors
    /// `NotYours`, `BadMaintenance`.
    pub async fn put_maintenance(
        &self,
        rule: MaintenanceSchedule,
        by: &Reach,
        now: UnixMillis,
    ) -> Result<MaintenanceStatus, SteeringError> {
        let id = rule.id.clone();
        let refused = |why: String| SteeringError::BadMaintenance { id: id.clone(), why };
        let fleet = self.fleet();
        by.check_scope(&rule.scope, &fleet, || format!("the scope of maintenance {id}"))?;
        let names_somebody = match &rule.scope {
            WindowScope::Appliance(id) => fleet.registry.appliances.contains_key(id),
            WindowScope::Site(id) => fleet.registry.sites.contains_key(id),
            WindowScope::Isp(id) => fleet.registry.sites.values().any(|site| site.isp == *id),
            WindowScope::Everyone => {
                let why = "nobody maintains everything at once: name a box, site or ISP";
                return Err(refused(why.to_owned()));
            }
        };
        if !names_somebody {
            return Err(refused("its scope names nobody that is registered".to_owned()));
        }
        check(&rule).map_err(|error| refused(error.to_string()))?;
        let _changing = self.change.lock().await;
        let fleet = self.fleet();
        let rows = || fleet.registry.calendar.rows();
        let before = rows().find(|row| row.schedule.id == id);
        check_owner(before, &id, by)?;
        let isp = match by {
            Reach::Isp(isp) => Some(isp.clone()),
            Reach::Everything => before.and_then(|row| row.isp.clone()),
        };
        if before.is_none() {
            let (most, count) = match &isp {
                Some(_) => {
                    (MAINTENANCE_RULES_PER_ISP_MAX, rows().filter(|row| row.isp == isp).count())
                }
                None => (MAINTENANCE_RULES_MAX, rows().count()),
            };
            if count >= most {
                return Err(refused(format!("there are {most} such rules: remove some first")));
            }
        }
        let writing = SteeringError::store("write the maintenance");
        self.ledger
            .put_maintenance(&MaintenanceRow { schedule: rule, isp })
            .await
            .map_err(writing)?;
        self.reread().await?;
        let written = self.maintenance(now).into_iter().find(|status| status.schedule.id == id);
        written.ok_or(SteeringError::UnknownMaintenance(id))
    }

    /// Removes one; what it drains is offered again.
    ///
    /// # Errors
    /// `UnknownMaintenance`, `NotYours`.
    pub async fn remove_maintenance(&self, id: &WindowId, by: &Reach) -> Result<(), SteeringError> {
        let _changing = self.change.lock().await;
        let fleet = self.fleet();
        check_owner(fleet.registry.calendar.rows().find(|row| row.schedule.id == *id), id, by)?;
        let removing = SteeringError::store("remove the maintenance");
        if !self.ledger.remove_maintenance(id).await.map_err(removing)? {
            return Err(SteeringError::UnknownMaintenance(id.clone()));
        }
        self.reread().await
    }

    /// All maintenance that comes again, by name.
    #[must_use]
    pub fn maintenance(&self, now: UnixMillis) -> Vec<MaintenanceStatus> {
        self.fleet().registry.calendar.status(now)
    }
}

/// To an ISP, what somebody else made is as good as not there.
fn check_owner(
    row: Option<&MaintenanceRow>,
    id: &WindowId,
    by: &Reach,
) -> Result<(), SteeringError> {
    match (by, row) {
        (Reach::Isp(isp), Some(row)) if row.isp.as_ref() != Some(isp) => {
            let what = format!("maintenance {id}");
            Err(SteeringError::NotYours { isp: isp.clone(), what })
        }
        _ => Ok(()),
    }
}
