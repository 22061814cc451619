//! BMP and BGP messages as bytes, for tests: right ones, to be made wrong.
//! Knows no decoder of ours.

use std::net::{IpAddr, Ipv4Addr};

/// A path attribute: flags, type, value.
pub fn attribute(flags: u8, kind: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![flags, kind, u8::try_from(value.len()).unwrap()];
    out.extend_from_slice(value);
    out
}

pub fn origin(value: u8) -> Vec<u8> {
    attribute(0x40, 1, &[value])
}

/// One AS_SEQUENCE of four-byte ASNs.
pub fn as_path(asns: &[u32]) -> Vec<u8> {
    let mut value = vec![2, u8::try_from(asns.len()).unwrap()];
    asns.iter().for_each(|asn| value.extend_from_slice(&asn.to_be_bytes()));
    attribute(0x40, 2, if asns.is_empty() { &[] } else { &value })
}

pub fn next_hop() -> Vec<u8> {
    attribute(0x40, 3, &[192, 0, 2, 9])
}

pub fn med(value: u32) -> Vec<u8> {
    attribute(0x80, 4, &value.to_be_bytes())
}

/// The usual attributes of an IPv4 route.
pub fn usual(asns: &[u32]) -> Vec<u8> {
    [origin(0), as_path(asns), next_hop(), med(50)].concat()
}

/// MP_REACH of IPv6 unicast.
pub fn reach_v6(nlri: &[u8]) -> Vec<u8> {
    let mut value = vec![0, 2, 1, 16];
    value.extend_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    value.push(0);
    value.extend_from_slice(nlri);
    attribute(0x80, 14, &value)
}

/// MP_UNREACH of IPv6 unicast.
pub fn unreach_v6(nlri: &[u8]) -> Vec<u8> {
    attribute(0x80, 15, &[&[0, 2, 1][..], nlri].concat())
}

/// A prefix as NLRI.
pub fn nlri(prefix: &str) -> Vec<u8> {
    let net: ipnet::IpNet = prefix.parse().unwrap();
    let octets = match net.network() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let bytes = usize::from(net.prefix_len().div_ceil(8));
    [&[net.prefix_len()][..], &octets[..bytes]].concat()
}

/// The same behind a path id.
pub fn nlri_with_id(id: u32, prefix: &str) -> Vec<u8> {
    [&id.to_be_bytes()[..], &nlri(prefix)].concat()
}

pub fn bgp(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0xff; 16];
    out.extend_from_slice(&u16::try_from(19 + body.len()).unwrap().to_be_bytes());
    out.push(kind);
    out.extend_from_slice(body);
    out
}

pub fn update(withdrawn: &[u8], attributes: &[u8], announced: &[u8]) -> Vec<u8> {
    let length = |part: &[u8]| u16::try_from(part.len()).unwrap().to_be_bytes();
    let body = [&length(withdrawn)[..], withdrawn, &length(attributes)[..], attributes, announced];
    bgp(2, &body.concat())
}

/// An OPEN that offers ADD-PATH in IPv4 and IPv6 unicast that way (1 receive, 2 send), 0 not at
/// all.
pub fn open(add_path: u8) -> Vec<u8> {
    let mut body = vec![4, 0xfd, 0xe9, 0, 90, 192, 0, 2, 1];
    if add_path == 0 {
        body.push(0);
    } else {
        let capability = [69, 8, 0, 1, 1, add_path, 0, 2, 1, add_path];
        body.extend_from_slice(&[2 + capability.len() as u8, 2, capability.len() as u8]);
        body.extend_from_slice(&capability);
    }
    bgp(1, &body)
}

pub fn bmp(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![3];
    out.extend_from_slice(&u32::try_from(6 + body.len()).unwrap().to_be_bytes());
    out.push(kind);
    out.extend_from_slice(body);
    out
}

/// A per-peer header: class, flags, the peer's last octet, ASN 65001.
pub fn peer(class: u8, flags: u8, last: u8) -> Vec<u8> {
    let mut out = vec![class, flags];
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&[0; 12]);
    out.extend_from_slice(&Ipv4Addr::new(192, 0, 2, last).octets());
    out.extend_from_slice(&65_001u32.to_be_bytes());
    out.extend_from_slice(&[0; 12]);
    out
}

pub fn initiation(name: &str) -> Vec<u8> {
    let mut body = vec![0, 2];
    body.extend_from_slice(&u16::try_from(name.len()).unwrap().to_be_bytes());
    body.extend_from_slice(name.as_bytes());
    bmp(4, &body)
}

pub fn peer_up(peer: &[u8], sent: &[u8], received: &[u8]) -> Vec<u8> {
    let ports = [0; 20];
    bmp(3, &[peer, &ports[..], sent, received].concat())
}

pub fn peer_down(peer: &[u8], reason: u8) -> Vec<u8> {
    bmp(2, &[peer, &[reason]].concat())
}

pub fn monitoring(peer: &[u8], update: &[u8]) -> Vec<u8> {
    bmp(0, &[peer, update].concat())
}
