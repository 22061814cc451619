//! Every maximum and pace of making steering bundles. What both ends must agree on is in
//! `control_types::limits`.

use control_types::limits::{BUNDLE_AREA_PLACES_MAX, BUNDLE_BYTES_MAX};

/// Bundles of an ISP are made for as long after one of its appliances last reported, milliseconds.
pub const ASKED_MS: u64 = 60_000;

/// After its start control waits so long for appliances that have not said what they hold,
/// milliseconds: a bundle without them would replace a better one.
pub const WARM_MS: u64 = 30_000;

/// A load moves in a bundle when it has moved by this, thousandths of capacity.
pub const LOAD_STEP_PER_MILLE: u32 = 100;

/// Serials set aside at a time: the file is written when they are used up, and as many are lost
/// by a crash. In milliseconds of the clock they are a minute.
pub const SERIALS_AHEAD: u64 = 60_000;

/// Earlier bundles of an ISP that a change to the newest is kept for: appliances hear of a new one
/// within a report, so one that is there holds one of these.
pub const CHANGES_MAX: usize = 8;

/// Bytes of one appliance beside its names and URL.
pub const APPLIANCE_BYTES: usize = 200;

/// Bytes of one network beside its address.
pub const PREFIX_BYTES: usize = 12;

/// Bytes of one place of an area.
pub const PLACE_BYTES: usize = 7;

/// Bytes of one title beside its name and bits.
pub const TITLE_BYTES: usize = 28;

/// Share of a bundle that networks and areas may take, per cent; titles have the rest.
pub const NETWORK_PERCENT: usize = 50;

const _: () = assert!(BUNDLE_AREA_PLACES_MAX * PLACE_BYTES < BUNDLE_BYTES_MAX / 100);
