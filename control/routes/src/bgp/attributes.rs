//! Path attributes: the few that order routes, and the two that carry prefixes.
//! A wrong one is noted, not raised, unless prefixes hang on it (RFC 7606).

use ipnet::IpNet;

use super::{AsWidth, Family};
use crate::bytes::Bytes;
use crate::choice::Origin;
use crate::rib::PrefixPath;
use crate::wire_error::WireError;

const ORIGIN: u8 = 1;
const AS_PATH: u8 = 2;
const NEXT_HOP: u8 = 3;
const MED: u8 = 4;
const MP_REACH: u8 = 14;
const MP_UNREACH: u8 = 15;
const AS4_PATH: u8 = 17;

const FLAG_OPTIONAL: u8 = 0x80;
const FLAG_TRANSITIVE: u8 = 0x40;
const FLAG_LONG: u8 = 0x10;

/// Prefixes of one family inside an attribute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MpNlri<'a> {
    pub family: Family,
    pub nlri: &'a [u8],
}

/// What was read of one message's attributes.
#[derive(Debug, Default)]
pub(crate) struct Attributes<'a> {
    origin: Option<Origin>,
    as_path: Option<AsPath>,
    as4_path: Option<AsPath>,
    has_next_hop: bool,
    med: u32,
    pub reach: Option<MpNlri<'a>>,
    pub unreach: Option<MpNlri<'a>>,
    /// MP_UNREACH is the only attribute, as in End-of-RIB.
    pub is_alone: bool,
    /// The first wrong attribute.
    pub wrong: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, Default)]
struct AsPath {
    length: u16,
    first: u32,
}

/// Where attributes stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In an UPDATE.
    Update,
    /// In a table dump: the prefix is beside them, and MP_REACH is abbreviated or not, as the
    /// dumper liked (RFC 6396 4.3.4), so it is passed over.
    Dump,
}

/// Reads attributes.
///
/// # Errors
/// When MP_REACH or MP_UNREACH of an UPDATE is wrong or comes twice.
pub(crate) fn path_attributes(
    bytes: &[u8],
    width: AsWidth,
    form: Form,
) -> Result<Attributes<'_>, WireError> {
    let mut found = Attributes::default();
    let mut seen = [false; 256];
    let mut count = 0usize;
    let mut left = Bytes::new("path attributes", bytes);
    while !left.is_empty() {
        let Ok((flags, kind, value)) = attribute(&mut left) else {
            found.note("an attribute reaches past the others");
            break;
        };
        count += 1;
        let again = std::mem::replace(&mut seen[usize::from(kind)], true);
        match (kind, again) {
            (MP_REACH | MP_UNREACH, _) if form == Form::Dump => {}
            (MP_REACH | MP_UNREACH, true) => {
                return Err(WireError::Bad {
                    what: "an attribute given twice",
                    found: kind.into(),
                });
            }
            (_, true) => {}
            (MP_REACH, false) => found.reach = reach(value)?,
            (MP_UNREACH, false) => found.unreach = unreach(value)?,
            (_, false) => found.read(flags, kind, value, width),
        }
    }
    found.is_alone = count == 1;
    Ok(found)
}

fn attribute<'a>(left: &mut Bytes<'a>) -> Result<(u8, u8, &'a [u8]), WireError> {
    let (flags, kind) = (left.u8()?, left.u8()?);
    let length = if flags & FLAG_LONG == 0 { usize::from(left.u8()?) } else { left.u16()?.into() };
    Ok((flags, kind, left.take(length)?))
}

fn reach(value: &[u8]) -> Result<Option<MpNlri<'_>>, WireError> {
    let mut bytes = Bytes::new("MP_REACH_NLRI", value);
    let family = Family::of(bytes.u16()?, bytes.u8()?);
    let next_hop_bytes = bytes.u8()?;
    bytes.take(next_hop_bytes.into())?;
    // Once a count of attached addresses, now reserved.
    bytes.u8()?;
    Ok(family.map(|family| MpNlri { family, nlri: bytes.rest() }))
}

fn unreach(value: &[u8]) -> Result<Option<MpNlri<'_>>, WireError> {
    let mut bytes = Bytes::new("MP_UNREACH_NLRI", value);
    let family = Family::of(bytes.u16()?, bytes.u8()?);
    Ok(family.map(|family| MpNlri { family, nlri: bytes.rest() }))
}

impl Attributes<'_> {
    fn note(&mut self, wrong: &'static str) {
        self.wrong.get_or_insert(wrong);
    }

    fn read(&mut self, flags: u8, kind: u8, value: &[u8], width: AsWidth) {
        let kinds = flags & (FLAG_OPTIONAL | FLAG_TRANSITIVE);
        match kind {
            ORIGIN | AS_PATH | NEXT_HOP if kinds != FLAG_TRANSITIVE => {
                self.note("a well-known attribute has wrong flags");
            }
            MED if kinds != FLAG_OPTIONAL => self.note("MULTI_EXIT_DISC has wrong flags"),
            ORIGIN => match value {
                [0] => self.origin = Some(Origin::Igp),
                [1] => self.origin = Some(Origin::Egp),
                [2] => self.origin = Some(Origin::Incomplete),
                _ => self.note("ORIGIN is none of three values"),
            },
            AS_PATH => match as_path(value, width) {
                Ok(path) => self.as_path = Some(path),
                Err(_) => self.note("AS_PATH is malformed"),
            },
            NEXT_HOP if value.len() == 4 => self.has_next_hop = true,
            NEXT_HOP => self.note("NEXT_HOP is not four bytes"),
            MED => match value.try_into() {
                Ok(med) => self.med = u32::from_be_bytes(med),
                Err(_) => self.note("MULTI_EXIT_DISC is not four bytes"),
            },
            // A wrong AS4_PATH is dropped by itself (RFC 6793, 6).
            AS4_PATH => self.as4_path = as_path(value, AsWidth::Four).ok(),
            _ => {}
        }
    }

    /// The mandatory attribute that is not there.
    pub fn missing(&self, needs_next_hop: bool) -> Option<&'static str> {
        if self.origin.is_none() {
            return Some("ORIGIN is missing");
        }
        if self.as_path.is_none() {
            return Some("AS_PATH is missing");
        }
        (needs_next_hop && !self.has_next_hop).then_some("NEXT_HOP is missing")
    }

    pub fn path(&self, prefix: IpNet, path_id: u32) -> PrefixPath {
        let as_path = self.as_path.unwrap_or_default();
        // An old speaker in between wrote 23456 for every ASN it could not; the other attribute
        // has them, unless it was left behind by a longer path (RFC 6793, 4.2.3).
        let first_as = match self.as4_path {
            Some(wide) if wide.length == as_path.length => wide.first,
            _ => as_path.first,
        };
        PrefixPath {
            prefix,
            path_id,
            as_path_len: as_path.length,
            first_as,
            origin: self.origin.unwrap_or(Origin::Incomplete),
            med: self.med,
        }
    }
}

fn as_path(value: &[u8], width: AsWidth) -> Result<AsPath, WireError> {
    const SET: u8 = 1;
    const SEQUENCE: u8 = 2;
    const CONFEDERATION_SEQUENCE: u8 = 3;
    const CONFEDERATION_SET: u8 = 4;
    let mut bytes = Bytes::new("AS_PATH", value);
    let mut path = AsPath::default();
    while !bytes.is_empty() {
        let (kind, count) = (bytes.u8()?, bytes.u8()?);
        if count == 0 {
            return Err(WireError::Bad { what: "the length of an AS_PATH segment", found: 0 });
        }
        let mut first = 0;
        for at in 0..count {
            let asn = match width {
                AsWidth::Two => u32::from(bytes.u16()?),
                AsWidth::Four => bytes.u32()?,
            };
            if at == 0 {
                first = asn;
            }
        }
        let counted = match kind {
            SEQUENCE => u16::from(count),
            SET => 1,
            CONFEDERATION_SEQUENCE | CONFEDERATION_SET => 0,
            _ => return Err(WireError::Bad { what: "an AS_PATH segment", found: kind.into() }),
        };
        if counted > 0 && path.length == 0 {
            path.first = first;
        }
        path.length = path.length.saturating_add(counted);
    }
    Ok(path)
}
