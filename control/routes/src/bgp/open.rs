//! OPEN messages, for what changes how updates are read: ADD-PATH (RFC 7911) and the speaker's ASN.
//! Negotiates nothing; both messages are already sent when we see them.

use super::{AddPath, Family, message_body};
use crate::bytes::Bytes;
use crate::wire_error::WireError;

const TYPE_OPEN: u8 = 1;
const PARAMETER_CAPABILITIES: u8 = 2;
const PARAMETER_EXTENDED: u8 = 255;
const CAPABILITY_WIDE_AS: u8 = 65;
const CAPABILITY_ADD_PATH: u8 = 69;
const RECEIVES: u8 = 1;
const SENDS: u8 = 2;

/// What one side of a session can do, as far as we care.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// 0 before its OPEN was seen.
    pub asn: u32,
    sends: AddPath,
    receives: AddPath,
}

/// Families in which `sender` puts path ids towards `receiver`.
pub(crate) fn add_path(sender: Capabilities, receiver: Capabilities) -> AddPath {
    AddPath {
        v4: sender.sends.v4 && receiver.receives.v4,
        v6: sender.sends.v6 && receiver.receives.v6,
    }
}

/// Reads the next message, which must be an OPEN.
pub(crate) fn capabilities(bytes: &mut Bytes<'_>) -> Result<Capabilities, WireError> {
    let (kind, body) = message_body(bytes)?;
    if kind != TYPE_OPEN {
        return Err(WireError::Bad { what: "the type of an OPEN message", found: kind.into() });
    }
    let mut body = Bytes::new("a BGP open", body);
    body.u8()?;
    let asn = u32::from(body.u16()?);
    // Hold time, identifier.
    body.take(2 + 4)?;
    let short = body.u8()?;
    let mut found = Capabilities { asn, ..Capabilities::default() };
    let mut is_long = false;
    let mut left = body;
    // RFC 9072: 255 twice says that lengths are two bytes.
    if short == PARAMETER_EXTENDED && body.u8().is_ok_and(|kind| kind == PARAMETER_EXTENDED) {
        is_long = true;
        let length = usize::from(body.u16()?);
        left = body.part("extended parameters", length)?;
    } else {
        left = left.part("optional parameters", short.into())?;
    }
    while !left.is_empty() {
        let kind = left.u8()?;
        let length = if is_long { usize::from(left.u16()?) } else { left.u8()?.into() };
        let parameter = left.part("an optional parameter", length)?;
        if kind == PARAMETER_CAPABILITIES {
            read(parameter, &mut found)?;
        }
    }
    Ok(found)
}

fn read(mut parameter: Bytes<'_>, found: &mut Capabilities) -> Result<(), WireError> {
    while !parameter.is_empty() {
        let (kind, length) = (parameter.u8()?, parameter.u8()?);
        let mut value = parameter.part("a capability", length.into())?;
        if kind == CAPABILITY_WIDE_AS {
            found.asn = value.u32()?;
        }
        if kind != CAPABILITY_ADD_PATH {
            continue;
        }
        while !value.is_empty() {
            let family = Family::of(value.u16()?, value.u8()?);
            let ways = value.u8()?;
            for (bit, side) in [(RECEIVES, &mut found.receives), (SENDS, &mut found.sends)] {
                match family {
                    Some(Family::V4) => side.v4 |= ways & bit != 0,
                    Some(Family::V6) => side.v6 |= ways & bit != 0,
                    None => {}
                }
            }
        }
    }
    Ok(())
}
