//! Where an address probably is: a database in MaxMind's format, the last tie-break of a ranking.
//! Never a reason to serve or to refuse anybody.

use std::net::IpAddr;

use maxminddb::Reader;
use serde::Deserialize;

/// WGS 84 degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatLon {
    /// -90 to 90.
    pub latitude: f64,
    /// -180 to 180.
    pub longitude: f64,
}

/// A database that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the GeoIP database is not in MaxMind's format 2: {0}")]
pub struct GeoError(String);

/// A GeoIP database, whole in memory.
#[derive(Debug)]
pub struct Geo {
    reader: Reader<Vec<u8>>,
}

#[derive(Deserialize)]
struct Place {
    location: Option<Location>,
}

#[derive(Deserialize)]
struct Location {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

impl Geo {
    /// Takes the bytes of a `.mmdb` file with `location.latitude` and `.longitude`, as City
    /// databases have.
    ///
    /// # Errors
    /// When they are no such database.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, GeoError> {
        let reader = Reader::from_source(bytes).map_err(|error| GeoError(error.to_string()))?;
        Ok(Self { reader })
    }

    /// Where `address` is; `None` when unknown, when the entry is damaged, or out of range.
    #[must_use]
    pub fn locate(&self, address: IpAddr) -> Option<LatLon> {
        let found = self.reader.lookup(address.to_canonical()).ok()?;
        let place: Place = found.decode().ok()??;
        let location = place.location?;
        let (latitude, longitude) = (location.latitude?, location.longitude?);
        let is_on_earth = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        is_on_earth.then_some(LatLon { latitude, longitude })
    }
}
