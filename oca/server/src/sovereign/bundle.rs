//! From what control sent to a table that may be answered from: length, key, signature, version,
//! ISP, serial, shape, in this order. Reads no file and no clock.
//!
//! One key is believed, and the one that it announced as its successor. A bundle of a later key is
//! believed where the handovers that came along lead there from one of the two, each signed by the
//! key before. From that bundle on the old key signs nothing for this box any more, and a key that
//! the old one announces now is nobody's.
//!
//! ```text
//! key A, next none --(A's bundle with A > B)--> key A, next B --(a bundle of B)--> key B
//! ```

use control_token::{is_bundle_signed, is_handover_signed};
use control_types::bundle::{KeyHandover, SignedBundle, SteeringBundle};
use control_types::limits::{BUNDLE_BYTES_MAX, BUNDLE_HANDOVERS_MAX};
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
    /// Public key that the one believed announced: it is believed as well, and alone from its first
    /// bundle on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The operator's key that `key` is, or was reached from; absent: `key` was the first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
    /// ISP they are for; absent: that of the first that comes.
    #[serde(default)]
    pub isp: Option<IspId>,
    /// Highest serial that was ever believed.
    #[serde(default)]
    pub serial: u64,
}

impl Pin {
    /// The same with what the operator's configuration says. A key other than the one it said
    /// before goes before all that was learned; the same one again changes nothing, or a restart
    /// would go back to a key that has been handed on.
    #[must_use]
    pub fn given(self, key: Option<&str>) -> Self {
        match key {
            None => self,
            Some(key) if self.given.as_deref() == Some(key) => self,
            Some(key) => {
                let next = self.next.filter(|_| self.key.as_deref() == Some(key));
                let key = Some(key.to_owned());
                Self { given: key.clone(), key, next, ..self }
            }
        }
    }

    /// What is believed after a bundle of `key`, which announces `announced`.
    fn after(&self, key: &str, announced: Option<String>) -> (Option<String>, Option<String>) {
        let is_same = self.key.as_deref() == Some(key);
        let known = self.next.clone().filter(|_| is_same);
        (Some(key.to_owned()), announced.or(known))
    }
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
    if !is_believed(signed, pin) {
        return Err(Refused::OtherKey);
    }
    if !is_bundle_signed(signed, &signed.key) {
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
    let announced = successor(&signed.handovers, &signed.key).map(str::to_owned);
    let (key, next) = pin.after(&signed.key, announced);
    let isp = Some(table.isp.clone());
    let pin = Pin { key, next, given: pin.given.clone(), isp, serial: table.serial };
    Ok(Believed { table, pin })
}

/// Whether the key that a bundle names as its signer's is one to believe. It has not signed
/// anything yet.
fn is_believed(signed: &SignedBundle, pin: &Pin) -> bool {
    let Some(key) = &pin.key else { return true };
    let is_known = |key: &str| key == signed.key;
    if is_known(key) || pin.next.as_deref().is_some_and(is_known) {
        return true;
    }
    let from = |start: &str| {
        let mut at = start;
        // A ring of handovers ends as well.
        for _ in 0..BUNDLE_HANDOVERS_MAX {
            match successor(&signed.handovers, at) {
                Some(next) if next == signed.key => return true,
                Some(next) => at = next,
                None => return false,
            }
        }
        false
    };
    from(key) || pin.next.as_deref().is_some_and(from)
}

/// The key that `key` hands over to.
fn successor<'a>(handovers: &'a [KeyHandover], key: &str) -> Option<&'a str> {
    let own = handovers.iter().take(BUNDLE_HANDOVERS_MAX).find(|one| one.key == key)?;
    is_handover_signed(own).then_some(own.next.as_str())
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
