//! BGP UPDATE messages (RFC 4271, 4760, 6793, 7606, 7911) as BMP and MRT carry them: unicast IPv4
//! and IPv6. Speaks no BGP itself.
//!
//! Policy of RFC 7606: a wrong attribute turns the message's announcements into withdrawals; bytes
//! from which the prefixes themselves cannot be told are an error, which ends the session.

mod attributes;
mod open;

use std::net::IpAddr;

use ipnet::IpNet;

use crate::bytes::Bytes;
use crate::rib::PrefixPath;
use crate::wire_error::WireError;

use attributes::{Attributes, MpNlri};

pub(crate) use attributes::{Form, path_attributes};
pub(crate) use open::{Capabilities, add_path, capabilities};

/// Length of a BGP message's header, bytes.
const HEADER_BYTES: usize = 19;
const TYPE_UPDATE: u8 = 2;

/// How wide ASNs are in AS_PATH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsWidth {
    /// An old speaker: two bytes, with AS4_PATH beside.
    Two,
    /// Everyone else.
    Four,
}

/// Which families carry path identifiers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddPath {
    /// IPv4 unicast.
    pub v4: bool,
    /// IPv6 unicast.
    pub v6: bool,
}

/// What one UPDATE changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// New or replaced routes.
    pub announced: Vec<PrefixPath>,
    /// Routes that end: prefix and path id.
    pub withdrawn: Vec<(IpNet, u32)>,
    /// All routes of a family (true: IPv6) have been sent (RFC 4724).
    pub end_of_rib: Option<bool>,
    /// Why announcements were taken as withdrawals.
    pub treated_as_withdraw: Option<&'static str>,
}

/// Decodes one whole BGP message, header included; a message of another type changes nothing.
///
/// # Errors
/// When its prefixes cannot be told.
pub fn decode_update(message: &[u8], width: AsWidth, add: AddPath) -> Result<Update, WireError> {
    let mut bytes = Bytes::new("a BGP message", message);
    let (kind, body) = message_body(&mut bytes)?;
    if kind != TYPE_UPDATE {
        return Ok(Update::default());
    }
    let mut body = Bytes::new("a BGP update", body);
    let withdrawn_bytes = usize::from(body.u16()?);
    let withdrawn = body.take(withdrawn_bytes)?;
    let attributes_bytes = usize::from(body.u16()?);
    let attributes = body.take(attributes_bytes)?;
    let announced = body.rest();

    let mut update = Update::default();
    for (prefix, path_id) in prefixes(withdrawn, Family::V4, add.v4)? {
        update.withdrawn.push((prefix, path_id));
    }
    let attributes_empty = attributes.is_empty();
    let attributes = path_attributes(attributes, width, Form::Update)?;
    let announced = prefixes(announced, Family::V4, add.v4)?;
    if let Some(MpNlri { family, nlri }) = attributes.unreach {
        let gone = prefixes(nlri, family, add.of(family))?;
        if gone.is_empty() && withdrawn.is_empty() && announced.is_empty() && attributes.is_alone {
            update.end_of_rib = Some(family == Family::V6);
        }
        update.withdrawn.extend(gone);
    }
    if withdrawn.is_empty() && attributes_empty && announced.is_empty() {
        update.end_of_rib = Some(false);
    }
    let reached = match attributes.reach {
        Some(MpNlri { family, nlri }) => prefixes(nlri, family, add.of(family))?,
        None => Vec::new(),
    };
    announce(&mut update, &attributes, announced, reached);
    Ok(update)
}

fn announce(
    update: &mut Update,
    attributes: &Attributes<'_>,
    announced: Vec<(IpNet, u32)>,
    reached: Vec<(IpNet, u32)>,
) {
    if announced.is_empty() && reached.is_empty() {
        update.treated_as_withdraw = attributes.wrong;
        return;
    }
    let wrong = attributes.wrong.or_else(|| attributes.missing(!announced.is_empty()));
    let all = announced.into_iter().chain(reached);
    if wrong.is_some() {
        update.treated_as_withdraw = wrong;
        update.withdrawn.extend(all);
    } else {
        update.announced.extend(all.map(|(prefix, path_id)| attributes.path(prefix, path_id)));
    }
}

/// Type and body of the next BGP message.
pub(crate) fn message_body<'a>(bytes: &mut Bytes<'a>) -> Result<(u8, &'a [u8]), WireError> {
    bytes.take(16)?;
    let length = usize::from(bytes.u16()?);
    let kind = bytes.u8()?;
    let Some(body) = length.checked_sub(HEADER_BYTES) else {
        return Err(WireError::Bad { what: "the length of a BGP message", found: length as u64 });
    };
    Ok((kind, bytes.take(body)?))
}

/// Address families we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    /// Unicast only: labels, VPNs and flow rules say nothing about members' addresses.
    pub fn of(afi: u16, safi: u8) -> Option<Self> {
        match (afi, safi) {
            (1, 1) => Some(Self::V4),
            (2, 1) => Some(Self::V6),
            _ => None,
        }
    }

    fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

impl AddPath {
    fn of(self, family: Family) -> bool {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }
}

/// The prefixes of one NLRI field.
pub(crate) fn prefixes(
    nlri: &[u8],
    family: Family,
    add_path: bool,
) -> Result<Vec<(IpNet, u32)>, WireError> {
    let mut bytes = Bytes::new("a list of prefixes", nlri);
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let path_id = if add_path { bytes.u32()? } else { 0 };
        found.push((prefix(&mut bytes, family)?, path_id));
    }
    Ok(found)
}

/// One prefix: its length in bits, then as many bytes as that takes.
pub(crate) fn prefix(bytes: &mut Bytes<'_>, family: Family) -> Result<IpNet, WireError> {
    let bits = bytes.u8()?;
    if bits > family.bits() {
        return Err(WireError::Bad { what: "the length of a prefix", found: u64::from(bits) });
    }
    let given = bytes.take(usize::from(bits.div_ceil(8)))?;
    let address: IpAddr = match family {
        Family::V4 => {
            let mut octets = [0; 4];
            octets[..given.len()].copy_from_slice(given);
            octets.into()
        }
        Family::V6 => {
            let mut octets = [0; 16];
            octets[..given.len()].copy_from_slice(given);
            octets.into()
        }
    };
    let bad = |_| WireError::Bad { what: "the length of a prefix", found: u64::from(bits) };
    Ok(IpNet::new(address, bits).map_err(bad)?.trunc())
}
