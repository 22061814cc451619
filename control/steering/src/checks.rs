//! What an operator or an appliance may say, checked before it is kept. Changes nothing.

use control_types::fleet::{ApplianceRecord, ApplianceReport, Site};

use crate::error::SteeringError;
use crate::fleet::Registry;
use crate::limits::{
    FAILURE_DOMAIN_BYTES_MAX, MAINTENANCE_MAX, REPORT_TEXT_BYTES_MAX, SITE_NAME_BYTES_MAX,
    VOLUMES_MAX,
};
use crate::prefixes::parse_announced;

pub(crate) fn put_site_check(site: &Site) -> Result<(), SteeringError> {
    let refused =
        |why: &str| Err(SteeringError::BadSite { site: site.id.clone(), why: why.to_owned() });
    if site.name.is_empty() || site.name.len() > SITE_NAME_BYTES_MAX {
        return refused("its name is empty or longer than 120 bytes");
    }
    if !(-90.0..=90.0).contains(&site.latitude) || !(-180.0..=180.0).contains(&site.longitude) {
        return refused("its place is not on Earth: latitude -90 to 90, longitude -180 to 180");
    }
    parse_announced(site).map(|_| ())
}

/// Refuses a prefix that overlaps one that a site of another ISP has.
pub(crate) fn put_site_claims(site: &Site, registry: &Registry) -> Result<(), SteeringError> {
    let before = registry.sites.get(&site.id).filter(|before| before.isp == site.isp);
    for prefix in parse_announced(site)? {
        // What the site has is not taken from it by a rule that is younger than it.
        if before.is_some() && registry.prefixes.exactly(&prefix).contains(&site.id) {
            continue;
        }
        for held in registry.prefixes.overlapping(&prefix) {
            let mut claims = held.sites.iter().filter_map(|id| registry.sites.get(id));
            if let Some(other) = claims.find(|other| other.id != site.id && other.isp != site.isp) {
                return Err(SteeringError::PrefixClaimed {
                    prefix: prefix.to_string(),
                    held: held.prefix.to_string(),
                    isp: other.isp.clone(),
                    site: other.id.clone(),
                });
            }
        }
    }
    Ok(())
}

/// A report is kept until the next one and copied for operators: nothing in it may be long. What
/// `content` holds is bounded by the body it came in.
pub(crate) fn report_check(report: &ApplianceReport) -> Result<(), SteeringError> {
    let refused =
        |why: String| Err(SteeringError::BadAppliance { appliance: report.appliance.clone(), why });
    if report.volumes.len() > VOLUMES_MAX {
        return refused(format!("it reports {} volumes, over {VOLUMES_MAX}", report.volumes.len()));
    }
    let paths = report.volumes.iter().map(|volume| &volume.path);
    let texts = [&report.content_digest, &report.media_url];
    let texts = texts.into_iter().chain(&report.more.revoked_digest);
    if paths.chain(texts).any(|text| text.len() > REPORT_TEXT_BYTES_MAX) {
        let what = "a path, digest or URL it reports";
        return refused(format!("{what} is longer than {REPORT_TEXT_BYTES_MAX} bytes"));
    }
    Ok(())
}

/// Refuses fields out of range.
pub(crate) fn put_appliance_check(record: &ApplianceRecord) -> Result<(), SteeringError> {
    let refused =
        |why: String| Err(SteeringError::BadAppliance { appliance: record.id.clone(), why });
    if record.capacity_bps == 0 {
        return refused("capacity_bps is 0: give what its port may send".to_owned());
    }
    let detail = &record.detail;
    if detail.connections_max == Some(0) {
        return refused("connections_max is 0: leave it out or give a number".to_owned());
    }
    if let Some(domain) = &detail.failure_domain {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let fits = (1..=FAILURE_DOMAIN_BYTES_MAX).contains(&domain.len());
        if !fits || !domain.bytes().all(plain) {
            let max = FAILURE_DOMAIN_BYTES_MAX;
            return refused(format!(
                "failure domain {domain:?} is not 1 to {max} letters, digits, '-', '_' and '.'"
            ));
        }
    }
    if detail.maintenance.len() > MAINTENANCE_MAX {
        let count = detail.maintenance.len();
        return refused(format!("{count} maintenance windows are more than {MAINTENANCE_MAX}"));
    }
    let mut free_from = control_types::UnixMillis(0);
    for window in &detail.maintenance {
        if window.from >= window.until || window.from < free_from {
            return refused("maintenance windows must end after they begin, in order".to_owned());
        }
        free_from = window.until;
    }
    Ok(())
}
