//! BMP (RFC 7854, 8671, 9069): what a router says about its peers, as messages.
//! Never answers; BMP is one way.

mod session;

use std::net::IpAddr;

use ahash::AHashMap;

use crate::bgp::{self, AddPath, AsWidth, Capabilities, Update, decode_update};
use crate::bytes::{self, Bytes};
use crate::limits::{BMP_MESSAGE_BYTES_MAX, PEERS_PER_ROUTER_MAX, ROUTER_TEXT_BYTES_MAX};
use crate::wire_error::WireError;

pub use session::{RouterPlace, RouterSession, SessionNote};

const VERSION: u8 = 3;
/// Version, length, type.
const HEADER_BYTES: usize = 6;

/// What kind of peer a message is about; distinguishers of different kinds do not compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerClass {
    /// The router's own table.
    Global,
    /// A VPN's table.
    Distinguished,
    /// Another instance of its own.
    Local,
    /// The router itself: what it chose (RFC 9069).
    LocRib,
}

/// Which of a peer's tables routes are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum View {
    /// Received, before the router's policy.
    InPre,
    /// Received, after the router's policy.
    InPost,
    /// Sent, before policy (RFC 8671).
    OutPre,
    /// Sent, after policy.
    OutPost,
    /// Chosen.
    LocRib,
}

impl View {
    /// The word in config, logs and listings.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::InPre => "in_pre",
            Self::InPost => "in_post",
            Self::OutPre => "out_pre",
            Self::OutPost => "out_post",
            Self::LocRib => "loc_rib",
        }
    }

    /// The view of that word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        let all = [Self::InPre, Self::InPost, Self::OutPre, Self::OutPost, Self::LocRib];
        all.into_iter().find(|view| view.word() == word)
    }
}

/// A peer of the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BmpPeer {
    /// Its kind.
    pub class: PeerClass,
    /// Route distinguisher, 0 for the global table.
    pub distinguisher: u64,
    /// Its address; unspecified for the router itself.
    pub address: IpAddr,
    /// Its ASN.
    pub asn: u32,
}

/// What makes two peers the same; the ASN may change.
type PeerIdentity = (PeerClass, u64, IpAddr);

impl BmpPeer {
    fn identity(&self) -> PeerIdentity {
        (self.class, self.distinguisher, self.address)
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BmpMessage {
    /// The router says who it is.
    Initiation {
        /// Its name, made printable.
        name: String,
    },
    /// The router ends the session.
    Termination {
        /// Reason code of RFC 7854 4.5, if given.
        reason: Option<u16>,
    },
    /// A peer's session is up.
    PeerUp(BmpPeer),
    /// A peer's session is down.
    PeerDown {
        /// Which.
        peer: BmpPeer,
        /// Reason code of RFC 7854 4.9; 5 is "no longer monitored".
        reason: u8,
    },
    /// Routes changed.
    Routes {
        /// Whose.
        peer: BmpPeer,
        /// In which of its tables.
        view: View,
        /// What.
        update: Update,
    },
    /// Statistics, mirrored messages and types of the future: nothing we use.
    Passed,
}

/// Bytes in, messages out. One value a session: it remembers what its peers negotiated.
#[derive(Debug, Default)]
pub struct BmpStream {
    held: Vec<u8>,
    read: usize,
    peers: AHashMap<PeerIdentity, [Capabilities; 2]>,
}

impl BmpStream {
    /// A new session.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in bytes as they come. Call [`Self::next_message`] until it gives none before the
    /// next, so that at most one message and these bytes are held.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.read > 0 {
            self.held.drain(..self.read);
            self.read = 0;
        }
        self.held.extend_from_slice(bytes);
    }

    /// The next whole message; `None` when more bytes are needed.
    ///
    /// # Errors
    /// Bytes that are no BMP; the session cannot go on.
    pub fn next_message(&mut self) -> Result<Option<BmpMessage>, WireError> {
        let unread = &self.held[self.read..];
        let Some(header) = unread.first_chunk::<HEADER_BYTES>() else {
            return self.next_early(unread.first());
        };
        let [version, a, b, c, d, kind] = *header;
        check_version(version)?;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length < HEADER_BYTES {
            let what = "the length of a BMP message";
            return Err(WireError::Bad { what, found: length as u64 });
        }
        if length > BMP_MESSAGE_BYTES_MAX {
            return Err(WireError::TooLong { bytes: length, max: BMP_MESSAGE_BYTES_MAX });
        }
        let Some(message) = unread.get(HEADER_BYTES..length) else { return Ok(None) };
        self.read += length;
        let message = Bytes::new("a BMP message", message);
        decode(kind, message, &mut self.peers).map(Some)
    }

    /// A wrong first byte is known before the header is whole.
    fn next_early(&self, version: Option<&u8>) -> Result<Option<BmpMessage>, WireError> {
        version.map_or(Ok(()), |version| check_version(*version)).map(|()| None)
    }
}

fn check_version(version: u8) -> Result<(), WireError> {
    if version == VERSION {
        return Ok(());
    }
    Err(WireError::Bad { what: "the BMP version", found: version.into() })
}

type Peers = AHashMap<PeerIdentity, [Capabilities; 2]>;

fn decode(kind: u8, mut bytes: Bytes<'_>, peers: &mut Peers) -> Result<BmpMessage, WireError> {
    const ROUTE_MONITORING: u8 = 0;
    const PEER_DOWN: u8 = 2;
    const PEER_UP: u8 = 3;
    const INITIATION: u8 = 4;
    const TERMINATION: u8 = 5;
    match kind {
        ROUTE_MONITORING => routes(bytes, peers),
        PEER_UP => peer_up(bytes, peers),
        PEER_DOWN => {
            let (peer, _) = per_peer(&mut bytes)?;
            peers.remove(&peer.identity());
            Ok(BmpMessage::PeerDown { peer, reason: bytes.u8()? })
        }
        INITIATION => {
            const NAME: u16 = 2;
            let mut name = String::new();
            while !bytes.is_empty() {
                let (kind, value) = tlv(&mut bytes)?;
                if kind == NAME {
                    name = bytes::text(value, ROUTER_TEXT_BYTES_MAX);
                }
            }
            Ok(BmpMessage::Initiation { name })
        }
        TERMINATION => {
            const REASON: u16 = 1;
            let mut reason = None;
            while !bytes.is_empty() {
                let (kind, value) = tlv(&mut bytes)?;
                if let (REASON, Ok(code)) = (kind, value.try_into()) {
                    reason = Some(u16::from_be_bytes(code));
                }
            }
            Ok(BmpMessage::Termination { reason })
        }
        _ => Ok(BmpMessage::Passed),
    }
}

fn tlv<'a>(bytes: &mut Bytes<'a>) -> Result<(u16, &'a [u8]), WireError> {
    let (kind, length) = (bytes.u16()?, bytes.u16()?);
    Ok((kind, bytes.take(length.into())?))
}

fn peer_up(mut bytes: Bytes<'_>, peers: &mut Peers) -> Result<BmpMessage, WireError> {
    let (peer, _) = per_peer(&mut bytes)?;
    // Local address and both ports.
    bytes.take(16 + 2 + 2)?;
    let sent = bgp::capabilities(&mut bytes)?;
    let received = bgp::capabilities(&mut bytes)?;
    remember(peers, &peer, [sent, received])?;
    Ok(BmpMessage::PeerUp(peer))
}

fn remember(
    peers: &mut Peers,
    peer: &BmpPeer,
    capabilities: [Capabilities; 2],
) -> Result<(), WireError> {
    if peers.len() >= PEERS_PER_ROUTER_MAX && !peers.contains_key(&peer.identity()) {
        return Err(WireError::TooMany { what: "peers of one router", max: PEERS_PER_ROUTER_MAX });
    }
    peers.insert(peer.identity(), capabilities);
    Ok(())
}

fn routes(mut bytes: Bytes<'_>, peers: &mut Peers) -> Result<BmpMessage, WireError> {
    const FLAG_POST: u8 = 0x40;
    const FLAG_TWO_BYTE: u8 = 0x20;
    const FLAG_OUT: u8 = 0x10;
    let (peer, flags) = per_peer(&mut bytes)?;
    let (view, width) = match peer.class {
        // The flags of a Loc-RIB mean other things (RFC 9069 4.2).
        PeerClass::LocRib => (View::LocRib, AsWidth::Four),
        _ => {
            let view = match (flags & FLAG_OUT != 0, flags & FLAG_POST != 0) {
                (false, false) => View::InPre,
                (false, true) => View::InPost,
                (true, false) => View::OutPre,
                (true, true) => View::OutPost,
            };
            (view, if flags & FLAG_TWO_BYTE != 0 { AsWidth::Two } else { AsWidth::Four })
        }
    };
    if !peers.contains_key(&peer.identity()) {
        // Some routers send routes of a peer whose coming up they did not send.
        remember(peers, &peer, [Capabilities::default(); 2])?;
    }
    let [sent, received] = peers.get(&peer.identity()).copied().unwrap_or_default();
    let add = match view {
        View::OutPre | View::OutPost => bgp::add_path(sent, received),
        View::InPre | View::InPost | View::LocRib => bgp::add_path(received, sent),
    };
    let mut update = update(bytes.rest(), width, add, view)?;
    if matches!(view, View::InPre | View::InPost) {
        without_own_as(&mut update, sent.asn, peer.asn);
    }
    Ok(BmpMessage::Routes { peer, view, update })
}

/// FRR writes what it received as if it sent it on, its own ASN in front. No path received from
/// another AS begins with the router's own, or it would have been refused as a loop.
fn without_own_as(update: &mut Update, own: u32, peer: u32) {
    if own == peer || own == 0 {
        return;
    }
    for path in update.announced.iter_mut().filter(|path| path.first_as == own) {
        path.as_path_len = path.as_path_len.saturating_sub(1);
        path.first_as = peer;
    }
}

/// Some routers put path ids into their Loc-RIB without having said so. Read without them, an id
/// is a list of default routes, which no router sends twice in one message.
fn update(message: &[u8], width: AsWidth, add: AddPath, view: View) -> Result<Update, WireError> {
    let plain = decode_update(message, width, add);
    let is_doubtful = match &plain {
        Ok(update) => {
            let defaults = update.announced.iter().filter(|path| path.prefix.prefix_len() == 0);
            let gone = update.withdrawn.iter().filter(|(prefix, _)| prefix.prefix_len() == 0);
            defaults.count() > 1 || gone.count() > 1
        }
        Err(_) => true,
    };
    if view != View::LocRib || !is_doubtful {
        return plain;
    }
    decode_update(message, width, AddPath { v4: true, v6: true }).or(plain)
}

/// The per-peer header and its flags.
fn per_peer(bytes: &mut Bytes<'_>) -> Result<(BmpPeer, u8), WireError> {
    const FLAG_V6: u8 = 0x80;
    let class = match bytes.u8()? {
        0 => PeerClass::Global,
        1 => PeerClass::Distinguished,
        2 => PeerClass::Local,
        3 => PeerClass::LocRib,
        other => {
            return Err(WireError::Bad { what: "the type of a BMP peer", found: other.into() });
        }
    };
    let flags = bytes.u8()?;
    let distinguisher = bytes.u64()?;
    let address = if class != PeerClass::LocRib && flags & FLAG_V6 != 0 {
        bytes.v6()?
    } else {
        bytes.take(12)?;
        bytes.v4()?
    };
    let asn = bytes.u32()?;
    // BGP identifier and time stamp.
    bytes.take(4 + 8)?;
    Ok((BmpPeer { class, distinguisher, address, asn }, flags))
}
