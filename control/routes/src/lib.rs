//! What the internet announces, and where a member's address is: routes by BMP, MRT and file, and
//! GeoIP.
//! Never opens a socket; never decides who serves whom.
//!
//! A route's way: bytes → [`Rib`] (who said what) → [`Registry`] (may they) → [`RouteTable`] (one
//! immutable snapshot that decisions read). [`Routes`] holds the three together.

#![forbid(unsafe_code)]

mod bgp;
mod bmp;
mod bytes;
mod choice;
mod doctor;
mod error;
mod geo;
pub mod limits;
mod lines;
mod load;
mod mrt;
mod registry;
mod rib;
mod service;
mod table;
mod trie;
mod wire_error;

pub use bgp::{AddPath, AsWidth, Update, decode_update};
pub use bmp::{
    BmpMessage, BmpPeer, BmpStream, PeerClass, RouterPlace, RouterSession, SessionNote, View,
};
pub use choice::{ApplianceKey, IspKey, Names, Origin, RouteChoice, SiteKey, Source};
pub use doctor::{SiteBox, SiteBoxes, examine};
pub use error::RoutesError;
pub use geo::{Geo, GeoError, LatLon};
pub use load::{Loaded, LoadedPeer, load};
pub use registry::{IspNetworks, Refused, Registry};
pub use rib::{
    Feed, PeerKey, PeerSeen, PeerState, PrefixPath, RefusedRoute, Rib, RibCounts, RibSettings,
};
pub use service::Routes;
pub use table::{Cover, Covers, RouteTable};
pub use wire_error::WireError;
