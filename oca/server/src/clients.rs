//! How many connections each client has, over all workers: plain counters, no lock.
//! Never knows a client's name for longer than it takes to find its counters.
//!
//! A client is an address, or the network around it (`client_prefix_v4`, `client_prefix_v6`). Each
//! has two counters, found by two keyed hashes, and the lower one is believed: two clients are
//! mistaken for one only where both hashes meet, which nobody outside can aim at.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use ahash::RandomState;

use crate::limits::{Bounds, CLIENT_BUCKETS};

/// Connections by client.
pub struct Clients {
    /// 0: nobody is counted.
    connections_max: u32,
    prefix_v4: u32,
    prefix_v6: u32,
    hashes: [RandomState; 2],
    /// Empty when nobody is counted.
    counts: [Box<[AtomicU32]>; 2],
}

/// A client's counters, to be given back when its connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientPlace([u32; 2]);

impl Clients {
    /// Counts as `bounds` says.
    #[must_use]
    pub fn new(bounds: &Bounds) -> Self {
        let clamped = |bits: u64, most: u32| u32::try_from(bits).unwrap_or(most).min(most);
        let connections_max = clamped(bounds.client_connections, u32::MAX);
        let buckets = if connections_max == 0 { 0 } else { CLIENT_BUCKETS };
        let row = || (0..buckets).map(|_| AtomicU32::new(0)).collect();
        Self {
            connections_max,
            prefix_v4: clamped(bounds.client_prefix_v4, 32),
            prefix_v6: clamped(bounds.client_prefix_v6, 128),
            hashes: [RandomState::new(), RandomState::new()],
            counts: [row(), row()],
        }
    }

    /// Counts one more connection of the client at `peer`.
    ///
    /// # Errors
    /// It has all that it may have; nothing was counted.
    pub fn enter(&self, peer: IpAddr) -> Result<Option<ClientPlace>, ClientFull> {
        if self.connections_max == 0 {
            return Ok(None);
        }
        let client = self.client(peer);
        let at = |row: usize| self.hashes[row].hash_one(client) as u32 % CLIENT_BUCKETS as u32;
        let place = ClientPlace([at(0), at(1)]);
        let before = [0, 1].map(|row| self.count(row, place).fetch_add(1, Ordering::Relaxed));
        if before[0].min(before[1]) >= self.connections_max {
            self.leave(place);
            return Err(ClientFull);
        }
        Ok(Some(place))
    }

    /// Takes back what `enter` counted.
    pub fn leave(&self, place: ClientPlace) {
        for row in [0, 1] {
            self.count(row, place).fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn count(&self, row: usize, place: ClientPlace) -> &AtomicU32 {
        &self.counts[row][place.0[row] as usize]
    }

    /// The network that stands for a client. IPv4 in IPv6 is IPv4.
    fn client(&self, peer: IpAddr) -> u128 {
        match peer.to_canonical() {
            IpAddr::V4(address) => {
                let bits = u32::from(address) as u64;
                // Beyond what an IPv6 network can be mistaken for: ::/96 is nobody's.
                u128::from(bits >> (32 - self.prefix_v4) << (32 - self.prefix_v4))
            }
            IpAddr::V6(address) => {
                let shift = 128 - self.prefix_v6;
                let bits = u128::from(address);
                bits.checked_shr(shift).and_then(|kept| kept.checked_shl(shift)).unwrap_or(0)
            }
        }
    }
}

/// The client has all the connections that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientFull;

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(connections: u64) -> Clients {
        Clients::new(&Bounds { client_connections: connections, ..Bounds::default() })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_client_is_bounded_and_another_is_not_touched() {
        let clients = clients(2);
        let first = clients.enter(ip("192.0.2.1")).unwrap().unwrap();
        clients.enter(ip("::ffff:192.0.2.1")).unwrap();
        assert_eq!(clients.enter(ip("192.0.2.1")), Err(ClientFull));
        assert!(clients.enter(ip("192.0.2.2")).is_ok());
        clients.leave(first);
        assert!(clients.enter(ip("192.0.2.1")).is_ok());
        assert_eq!(clients.enter(ip("192.0.2.1")), Err(ClientFull), "a refusal is not counted");
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let clients = clients(1);
        assert!(clients.enter(ip("2001:db8:0:1::1")).is_ok());
        assert_eq!(clients.enter(ip("2001:db8:0:1:ffff::2")), Err(ClientFull));
        assert!(clients.enter(ip("2001:db8:0:2::1")).is_ok());
    }

    #[test]
    fn without_a_bound_nothing_is_counted() {
        let clients = clients(0);
        assert_eq!(clients.enter(ip("192.0.2.1")), Ok(None));
        assert!(clients.counts[0].is_empty());
    }
}
