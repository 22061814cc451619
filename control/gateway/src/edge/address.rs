//! Whose address a request comes from: the peer's, or the one a trusted proxy vouches for.
//! Never believes a header from anybody else, because steering and rate limits hang on it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use ipnet::IpNet;

use crate::errors::Refusal;

/// The member's own address; IPv4-mapped IPv6 is told as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemberAddress(pub IpAddr);

impl MemberAddress {
    pub(super) fn of(request: &Request, trusted: &[IpNet]) -> Self {
        let peer = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip());
        Self(behind(peer.to_canonical(), request.headers(), trusted))
    }
}

impl<S: Sync> FromRequestParts<S> for MemberAddress {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts
            .extensions
            .get::<Self>()
            .copied()
            .ok_or_else(|| Refusal::internal("a request came around the edge"))
    }
}

/// Walks `X-Forwarded-For` from its end while the speaker is trusted; the first address that is not
/// is the member. A broken entry ends the walk at the last good one.
fn behind(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut speaker = peer;
    let mut entries = Vec::new();
    for value in headers.get_all("x-forwarded-for") {
        entries.extend(value.to_str().unwrap_or_default().split(','));
    }
    while is_trusted(&speaker) {
        let Some(Ok(next)) = entries.pop().map(|entry| entry.trim().parse::<IpAddr>()) else {
            break;
        };
        speaker = next.to_canonical();
    }
    speaker
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, forwarded: &[&str], trusted: &[&str], member: &str) {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let found = behind(peer.parse().unwrap(), &headers, &trusted);
        assert_eq!(found, member.parse::<IpAddr>().unwrap(), "{peer} {forwarded:?}");
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        check("198.51.100.7", &["203.0.113.9"], &[], "198.51.100.7");
        check("198.51.100.7", &["203.0.113.9"], &["10.0.0.0/8"], "198.51.100.7");
        check("10.0.0.1", &["203.0.113.9"], &["10.0.0.0/8"], "203.0.113.9");
        // What the member wrote itself stands before what the proxy saw.
        check("10.0.0.1", &["1.2.3.4, 203.0.113.9"], &["10.0.0.0/8"], "203.0.113.9");
        check("10.0.0.1", &["1.2.3.4", "203.0.113.9, 10.0.0.2"], &["10.0.0.0/8"], "203.0.113.9");
        check("10.0.0.1", &["nonsense"], &["10.0.0.0/8"], "10.0.0.1");
        check("10.0.0.1", &[], &["10.0.0.0/8"], "10.0.0.1");
        check("10.0.0.1", &["::ffff:203.0.113.9"], &["10.0.0.0/8"], "203.0.113.9");
    }
}
