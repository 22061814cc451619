//! From what control sent to a table that may be answered from: length, key, signature, version,
//! ISP, serial, shape, in this order. Reads no file and no clock.

use control_token::is_bundle_signed;
use control_types::bundle::{SignedBundle, SteeringBundle};
use control_types::limits::BUNDLE_BYTES_MAX;
use control_types::{ApplianceId, IspId};
use serde::{Deserialize, Serialize};

use super::refused::Refused;
use super::table::Table;

/// Whose bundles are believed: given by the operator, or as first seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Public key that signs them, base64url; absent: the first that comes.
    #[serde(default)]
    pub key: Option<String>,
    /// ISP they are for; absent: that of the first that comes.
    #[serde(default)]
    pub isp: Option<IspId>,
    /// Highest serial that was ever believed.
    #[serde(default)]
    pub serial: u64,
}

/// A bundle that is believed.
#[derive(Debug)]
pub struct Believed {
    /// To answer from.
    pub table: Table,
    /// What is believed from here on.
    pub pin: Pin,
}

/// Opens `signed` for the appliance `own`. Its serial has to be above `pin.serial`, or equal where
/// `again`, which is how the file of the last one is opened after a restart.
///
/// # Errors
/// Why it is not believed; nothing in it can make this panic.
pub fn open(
    signed: &SignedBundle,
    pin: &Pin,
    own: &ApplianceId,
    again: bool,
) -> Result<Believed, Refused> {
    if signed.bundle.len() > BUNDLE_BYTES_MAX {
        return Err(Refused::TooLong);
    }
    let key = pin.key.as_ref().unwrap_or(&signed.key);
    if *key != signed.key {
        return Err(Refused::OtherKey);
    }
    if !is_bundle_signed(signed, key) {
        return Err(Refused::NotSigned);
    }
    let bundle = parse(&signed.bundle)?;
    if pin.isp.as_ref().is_some_and(|isp| *isp != bundle.isp) {
        return Err(Refused::OtherIsp);
    }
    if bundle.serial < pin.serial || (bundle.serial == pin.serial && !again) {
        return Err(Refused::NotNewer);
    }
    let table = Table::new(bundle, own)?;
    let pin = Pin { key: Some(key.clone()), isp: Some(table.isp.clone()), serial: table.serial };
    Ok(Believed { table, pin })
}

/// The version is looked at first: the shape of another one is none of our business.
fn parse(text: &str) -> Result<SteeringBundle, Refused> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let version: Version = serde_json::from_str(text).map_err(|_| Refused::NotJson)?;
    if version.v != super::table::VERSION {
        return Err(Refused::OtherVersion);
    }
    serde_json::from_str(text).map_err(|_| Refused::NotJson)
}
