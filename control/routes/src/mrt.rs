//! MRT files (RFC 6396, 8050): a dump of a router's table, and updates after it.
//! Reads no file by itself; `load.rs` unpacks and hands it a reader.

use std::io::Read;
use std::net::IpAddr;

use ahash::AHashMap;
use ipnet::IpNet;

use crate::bgp::{AddPath, AsWidth, Family, Form, decode_update, path_attributes, prefix};
use crate::bytes::Bytes;
use crate::limits::{MRT_RECORD_BYTES_MAX, PEERS_PER_ROUTER_MAX, ROUTES_MAX};
use crate::load::{Loaded, LoadedPeer};
use crate::rib::PrefixPath;
use crate::wire_error::WireError;

const HEADER_BYTES: usize = 12;
const TABLE_DUMP_V2: u16 = 13;
const BGP4MP: u16 = 16;
const BGP4MP_ET: u16 = 17;

#[derive(Default)]
struct Dump {
    /// As the file's peer index lists them.
    index: Vec<(IpAddr, u32)>,
    routes: AHashMap<(IpAddr, u32), AHashMap<(IpNet, u32), PrefixPath>>,
    count: usize,
}

/// Reads a whole file: the table at its end.
///
/// # Errors
/// The first record that is no MRT, or a bound.
pub(crate) fn read(mut file: impl Read) -> Result<Loaded, WireError> {
    let mut dump = Dump::default();
    let mut loaded = Loaded::default();
    let mut record = Vec::new();
    while let Some(header) = read_header(&mut file)? {
        let mut header = Bytes::new("an MRT header", &header);
        header.u32()?;
        let (kind, subtype, length) = (header.u16()?, header.u16()?, header.u32()? as usize);
        if length > MRT_RECORD_BYTES_MAX {
            return Err(WireError::TooLong { bytes: length, max: MRT_RECORD_BYTES_MAX });
        }
        record.clear();
        let taken = (&mut file).take(length as u64).read_to_end(&mut record).map_err(unpacked)?;
        if taken < length {
            return Err(WireError::Short { what: "an MRT record", wanted: length, left: taken });
        }
        let bytes = Bytes::new("an MRT record", &record);
        loaded.records += 1;
        let used = match kind {
            TABLE_DUMP_V2 => dump.table(subtype, bytes)?,
            BGP4MP => dump.message(subtype, bytes, &mut loaded)?,
            BGP4MP_ET => {
                let mut bytes = bytes;
                bytes.u32()?;
                dump.message(subtype, bytes, &mut loaded)?
            }
            _ => false,
        };
        loaded.passed += u64::from(!used);
    }
    loaded.peers = dump.routes.into_iter().map(loaded_peer).collect();
    loaded.peers.sort_by(|a, b| a.peer.cmp(&b.peer));
    Ok(loaded)
}

fn loaded_peer(
    ((address, peer_as), routes): ((IpAddr, u32), AHashMap<(IpNet, u32), PrefixPath>),
) -> LoadedPeer {
    let mut paths: Vec<PrefixPath> = routes.into_values().collect();
    paths.sort_unstable_by_key(|path| (path.prefix, path.path_id));
    LoadedPeer { peer: address.to_string(), peer_as, paths }
}

fn unpacked(error: std::io::Error) -> WireError {
    WireError::Packed(error.to_string())
}

/// The next record's header; `None` at the end of the file.
fn read_header(file: &mut impl Read) -> Result<Option<[u8; HEADER_BYTES]>, WireError> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    let taken = file.take(HEADER_BYTES as u64).read_to_end(&mut header).map_err(unpacked)?;
    match header.try_into() {
        Ok(header) => Ok(Some(header)),
        Err(_) if taken == 0 => Ok(None),
        Err(_) => {
            let what = "an MRT header";
            Err(WireError::Short { what, wanted: HEADER_BYTES, left: taken })
        }
    }
}

impl Dump {
    /// A record of a table dump; false when it is not of a kind we use.
    fn table(&mut self, subtype: u16, mut bytes: Bytes<'_>) -> Result<bool, WireError> {
        let (family, add_path) = match subtype {
            1 => {
                self.index = peer_index(bytes)?;
                return Ok(true);
            }
            2 => (Family::V4, false),
            4 => (Family::V6, false),
            8 => (Family::V4, true),
            10 => (Family::V6, true),
            _ => return Ok(false),
        };
        bytes.u32()?;
        let prefix = prefix(&mut bytes, family)?;
        for _ in 0..bytes.u16()? {
            let peer = usize::from(bytes.u16()?);
            bytes.u32()?;
            let path_id = if add_path { bytes.u32()? } else { 0 };
            let length = usize::from(bytes.u16()?);
            let attributes = path_attributes(bytes.take(length)?, AsWidth::Four, Form::Dump)?;
            let Some(peer) = self.index.get(peer).copied() else {
                let what = "a peer's place in the index";
                return Err(WireError::Bad { what, found: peer as u64 });
            };
            if attributes.wrong.is_none() && attributes.missing(false).is_none() {
                self.announce(peer, attributes.path(prefix, path_id))?;
            }
        }
        Ok(true)
    }

    /// A record of a session; false when it is not of a kind we use.
    fn message(
        &mut self,
        subtype: u16,
        mut bytes: Bytes<'_>,
        loaded: &mut Loaded,
    ) -> Result<bool, WireError> {
        let (width, add) = match subtype {
            1 => (AsWidth::Two, false),
            4 => (AsWidth::Four, false),
            8 => (AsWidth::Two, true),
            9 => (AsWidth::Four, true),
            _ => return Ok(false),
        };
        let asn = |bytes: &mut Bytes<'_>| match width {
            AsWidth::Two => bytes.u16().map(u32::from),
            AsWidth::Four => bytes.u32(),
        };
        let peer_as = asn(&mut bytes)?;
        asn(&mut bytes)?;
        bytes.u16()?;
        let address = match bytes.u16()? {
            1 => {
                let peer = bytes.v4()?;
                bytes.v4()?;
                peer
            }
            2 => {
                let peer = bytes.v6()?;
                bytes.v6()?;
                peer
            }
            other => {
                return Err(WireError::Bad { what: "an address family", found: other.into() });
            }
        };
        let update = decode_update(bytes.rest(), width, AddPath { v4: add, v6: add })?;
        loaded.mended += u64::from(update.treated_as_withdraw.is_some());
        let peer = (address, peer_as);
        if let Some(routes) = self.routes.get_mut(&peer) {
            for gone in &update.withdrawn {
                self.count -= usize::from(routes.remove(gone).is_some());
            }
        }
        for path in update.announced {
            self.announce(peer, path)?;
        }
        Ok(true)
    }

    fn announce(&mut self, peer: (IpAddr, u32), path: PrefixPath) -> Result<(), WireError> {
        if self.routes.len() >= PEERS_PER_ROUTER_MAX && !self.routes.contains_key(&peer) {
            let what = "peers of one file";
            return Err(WireError::TooMany { what, max: PEERS_PER_ROUTER_MAX });
        }
        let routes = self.routes.entry(peer).or_default();
        self.count += usize::from(routes.insert((path.prefix, path.path_id), path).is_none());
        if self.count > ROUTES_MAX {
            return Err(WireError::TooMany { what: "routes of one file", max: ROUTES_MAX });
        }
        Ok(())
    }
}

fn peer_index(mut bytes: Bytes<'_>) -> Result<Vec<(IpAddr, u32)>, WireError> {
    const HAS_V6: u8 = 1;
    const HAS_WIDE_AS: u8 = 2;
    bytes.u32()?;
    let name = bytes.u16()?;
    bytes.take(name.into())?;
    let count = bytes.u16()?;
    let mut index = Vec::new();
    for _ in 0..count {
        let kind = bytes.u8()?;
        bytes.u32()?;
        let address = if kind & HAS_V6 != 0 { bytes.v6()? } else { bytes.v4()? };
        let asn = if kind & HAS_WIDE_AS != 0 { bytes.u32()? } else { bytes.u16()?.into() };
        index.push((address, asn));
    }
    Ok(index)
}
