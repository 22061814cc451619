//! Claims <-> CBOR bytes, deterministic one way and strict the other (RFC 8392, RFC 9164,
//! CTA-5007). Never looks at a signature: whoever calls `decode_claims` has checked it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ciborium::Value;
use control_types::UnixMillis;

use crate::claims::{Claims, Network, Renewal, RenewedBy, is_plain_path};
use crate::error::{SignError, TicketError};
use crate::limits::{PREFIX_BYTES_MAX, PREFIXES_MAX, TEXT_BYTES_MAX};

const ISS: i64 = 1;
const SUB: i64 = 2;
const EXP: i64 = 4;
const NBF: i64 = 5;
const IAT: i64 = 6;
const CTI: i64 = 7;
const CATREPLAY: i64 = 308;
const CATV: i64 = 310;
const CATNIP: i64 = 311;
const CATU: i64 = 312;
const CATM: i64 = 313;
const CATR: i64 = 323;
/// From the private-use range of CWT labels (below -65536).
const RATE_BPS_MAX: i64 = -70_001;

const CAT_VERSION: i64 = 1;
/// The only `catreplay` that needs no memory of tickets across appliances.
const REPLAY_PERMITTED: i64 = 0;
/// The methods that an appliance serves a ticket's holder; `catm` must name both, or narrow the
/// ticket in a way that is not enforced here.
const METHODS: [&str; 2] = ["GET", "HEAD"];
const CATR_TYPE: i64 = 0;
const CATR_EXPADD: i64 = 1;
const CATR_DEADLINE: i64 = 2;
const CATU_PATH: i64 = 3;
const MATCH_PREFIX: i64 = 1;
const TAG_IPV4: u64 = 52;
const TAG_IPV6: u64 = 54;

/// The claims as a CBOR map in deterministic order (RFC 8949 section 4.2.1), so that equal claims
/// are equal bytes.
///
/// # Errors
/// A claim that every verifier would refuse is refused here first.
pub fn encode_claims(claims: &Claims) -> Result<Vec<u8>, SignError> {
    encode_check(claims)?;
    let seconds = |at: UnixMillis| Value::from(at.as_seconds());
    let mut map = vec![
        (Value::from(ISS), Value::from(claims.issuer.as_str())),
        (Value::from(SUB), Value::from(claims.subject.as_str())),
        (Value::from(EXP), seconds(claims.expires_at)),
        (Value::from(NBF), seconds(claims.not_before)),
        (Value::from(CATV), Value::from(CAT_VERSION)),
    ];
    if let Some(network) = claims.network {
        map.push((Value::from(CATNIP), Value::Array(vec![encode_network(network)])));
    }
    map.push((Value::from(CATU), encode_prefixes(&claims.path_prefixes)));
    if let Some(renewal) = claims.renewal {
        map.push((Value::from(CATR), encode_renewal(renewal)));
    }
    if let Some(rate) = claims.rate_bps_max {
        map.push((Value::from(RATE_BPS_MAX), Value::from(rate)));
    }
    let mut bytes = Vec::new();
    ciborium::into_writer(&Value::Map(map), &mut bytes)
        .expect("writing CBOR to memory has no way to fail");
    Ok(bytes)
}

fn encode_check(claims: &Claims) -> Result<(), SignError> {
    let refuse = |claim, wanted| Err(SignError::Claim { claim, wanted });
    if claims.issuer.is_empty() || claims.issuer.len() > TEXT_BYTES_MAX {
        return refuse("issuer", "1 to 128 bytes");
    }
    if claims.subject.is_empty() || claims.subject.len() > TEXT_BYTES_MAX {
        return refuse("subject", "1 to 128 bytes");
    }
    if claims.expires_at.as_seconds() <= claims.not_before.as_seconds() {
        return refuse("lifetime", "an end at least one second after its beginning");
    }
    if claims.path_prefixes.is_empty() || claims.path_prefixes.len() > PREFIXES_MAX {
        return refuse("catu", "1 to 4 path prefixes");
    }
    if !claims.path_prefixes.iter().all(|prefix| is_prefix(prefix)) {
        return refuse("catu", "prefixes such as /v/TITLE/ of at most 96 bytes");
    }
    Ok(())
}

fn is_prefix(prefix: &str) -> bool {
    prefix.len() <= PREFIX_BYTES_MAX && prefix.ends_with('/') && is_plain_path(prefix)
}

/// One prefix is written as CTA-5007 has it. It has no "any of these", so several become an array,
/// which a foreign verifier refuses instead of misreading.
fn encode_prefixes(prefixes: &[String]) -> Value {
    let wanted = match prefixes {
        [only] => Value::from(only.as_str()),
        several => Value::Array(several.iter().map(|p| Value::from(p.as_str())).collect()),
    };
    let matcher = Value::Map(vec![(Value::from(MATCH_PREFIX), wanted)]);
    Value::Map(vec![(Value::from(CATU_PATH), matcher)])
}

fn encode_renewal(renewal: Renewal) -> Value {
    Value::Map(vec![
        (Value::from(CATR_TYPE), Value::from(renewal.by as u8)),
        (Value::from(CATR_EXPADD), Value::from(renewal.extend_s)),
        (Value::from(CATR_DEADLINE), Value::from(renewal.deadline_s)),
    ])
}

/// RFC 9164 section 3.1.2: `tag([prefix length, address bytes without trailing zeros])`.
fn encode_network(network: Network) -> Value {
    let (tag, mut octets) = match network.network() {
        IpAddr::V4(address) => (TAG_IPV4, address.octets().to_vec()),
        IpAddr::V6(address) => (TAG_IPV6, address.octets().to_vec()),
    };
    while octets.last() == Some(&0) {
        octets.pop();
    }
    let parts = vec![Value::from(network.prefix_len()), Value::Bytes(octets)];
    Value::Tag(tag, Box::new(Value::Array(parts)))
}

/// The claims in `bytes`.
///
/// # Errors
/// `BadClaims` for wrong types, bounds or duplicates, `UnknownClaim` for a claim that is not
/// enforced here, `NoLifetime` when `exp` or `nbf` is missing.
pub fn decode_claims(bytes: &[u8]) -> Result<Claims, TicketError> {
    let mut rest = bytes;
    let value: Value = ciborium::from_reader(&mut rest).map_err(|_| TicketError::BadClaims)?;
    let Value::Map(entries) = value else { return Err(TicketError::BadClaims) };
    if !rest.is_empty() {
        return Err(TicketError::BadClaims);
    }
    let mut found = Found::default();
    for (label, value) in entries {
        found.take(as_integer(&label).ok_or(TicketError::UnknownClaim)?, value)?;
    }
    let (Some(not_before), Some(expires_at)) = (found.not_before, found.expires_at) else {
        return Err(TicketError::NoLifetime);
    };
    Ok(Claims {
        issuer: found.issuer.unwrap_or_default(),
        subject: found.subject.unwrap_or_default(),
        not_before,
        expires_at,
        path_prefixes: found.path_prefixes.unwrap_or_default(),
        network: found.network,
        rate_bps_max: found.rate_bps_max,
        renewal: found.renewal,
    })
}

/// Claims read so far; each may be set once.
#[derive(Default)]
struct Found {
    issuer: Option<String>,
    subject: Option<String>,
    not_before: Option<UnixMillis>,
    expires_at: Option<UnixMillis>,
    path_prefixes: Option<Vec<String>>,
    network: Option<Network>,
    rate_bps_max: Option<u64>,
    version: Option<()>,
    replay: Option<()>,
    methods: Option<()>,
    renewal: Option<Renewal>,
}

impl Found {
    fn take(&mut self, label: i64, value: Value) -> Result<(), TicketError> {
        match label {
            ISS => set(&mut self.issuer, decode_text(value)),
            SUB => set(&mut self.subject, decode_text(value)),
            EXP => set(&mut self.expires_at, decode_seconds(&value)),
            NBF => set(&mut self.not_before, decode_seconds(&value)),
            CATV => set(&mut self.version, (as_integer(&value) == Some(CAT_VERSION)).then_some(())),
            CATNIP => set(&mut self.network, decode_networks(value)),
            CATU => set(&mut self.path_prefixes, decode_prefixes(value)),
            CATM => set(&mut self.methods, decode_methods(value)),
            CATR => set(&mut self.renewal, decode_renewal(value)),
            CATREPLAY if as_integer(&value) == Some(REPLAY_PERMITTED) => {
                set(&mut self.replay, Some(()))
            }
            RATE_BPS_MAX => set(&mut self.rate_bps_max, as_unsigned(&value)),
            // Neither narrows a ticket: when it was made, and a name for it.
            IAT | CTI => Ok(()),
            _ => Err(TicketError::UnknownClaim),
        }
    }
}

fn set<T>(slot: &mut Option<T>, value: Option<T>) -> Result<(), TicketError> {
    if slot.is_some() || value.is_none() {
        return Err(TicketError::BadClaims);
    }
    *slot = value;
    Ok(())
}

fn as_integer(value: &Value) -> Option<i64> {
    value.as_integer().and_then(|integer| i64::try_from(integer).ok())
}

fn as_unsigned(value: &Value) -> Option<u64> {
    value.as_integer().and_then(|integer| u64::try_from(integer).ok())
}

fn decode_text(value: Value) -> Option<String> {
    value.into_text().ok().filter(|text| text.len() <= TEXT_BYTES_MAX)
}

fn decode_seconds(value: &Value) -> Option<UnixMillis> {
    as_unsigned(value)?.checked_mul(1000).map(UnixMillis)
}

/// Exactly `{path: {prefix: …}}`. A second component or matcher would narrow the ticket in a way
/// that is not enforced here, so it is refused with the rest.
fn decode_prefixes(value: Value) -> Option<Vec<String>> {
    let matcher = only_entry(value, CATU_PATH)?;
    let prefixes = match only_entry(matcher, MATCH_PREFIX)? {
        Value::Text(only) => vec![only],
        Value::Array(several) if several.len() <= PREFIXES_MAX => {
            several.into_iter().map(|one| one.into_text().ok()).collect::<Option<_>>()?
        }
        _ => return None,
    };
    prefixes.iter().all(|prefix| is_prefix(prefix)).then_some(prefixes)
}

/// An array of texts that has at least the methods served here; others are nobody's loss.
fn decode_methods(value: Value) -> Option<()> {
    let methods = value.into_array().ok()?;
    let has = |wanted: &&str| methods.iter().any(|method| method.as_text() == Some(*wanted));
    METHODS.iter().all(has).then_some(())
}

/// `{type, expadd, deadline}`, in any order; a deadline may be absent and is a minute then. What a
/// renewal's cookie or header is called is fixed here, so a ticket that names another is refused.
fn decode_renewal(value: Value) -> Option<Renewal> {
    let (mut by, mut extend_s, mut deadline_s) = (None, None, None);
    for (label, value) in value.into_map().ok()? {
        let number = as_unsigned(&value)?;
        let slot = match as_integer(&label)? {
            CATR_TYPE => &mut by,
            CATR_EXPADD => &mut extend_s,
            CATR_DEADLINE => &mut deadline_s,
            _ => return None,
        };
        if slot.replace(number).is_some() {
            return None;
        }
    }
    let by = match by? {
        1 => RenewedBy::Cookie,
        2 => RenewedBy::Header,
        _ => return None,
    };
    Some(Renewal { by, extend_s: extend_s?, deadline_s: deadline_s.unwrap_or(60) })
}

fn only_entry(value: Value, label: i64) -> Option<Value> {
    let mut entries = value.into_map().ok()?;
    let (found, value) = entries.pop()?;
    (entries.is_empty() && as_integer(&found) == Some(label)).then_some(value)
}

fn decode_networks(value: Value) -> Option<Network> {
    let mut networks = value.into_array().ok()?;
    let network = networks.pop()?;
    if networks.is_empty() { decode_network(network) } else { None }
}

fn decode_network(value: Value) -> Option<Network> {
    let Value::Tag(tag, content) = value else { return None };
    let [bits, Value::Bytes(octets)] = &content.into_array().ok()?[..] else { return None };
    let bits = u8::try_from(as_unsigned(bits)?).ok()?;
    let address = match tag {
        TAG_IPV4 => IpAddr::V4(Ipv4Addr::from(padded::<4>(octets)?)),
        TAG_IPV6 => IpAddr::V6(Ipv6Addr::from(padded::<16>(octets)?)),
        _ => return None,
    };
    let network = Network::new(address, bits).ok()?;
    (network.trunc() == network).then_some(network)
}

fn padded<const N: usize>(octets: &[u8]) -> Option<[u8; N]> {
    let mut whole = [0u8; N];
    whole.get_mut(..octets.len())?.copy_from_slice(octets);
    Some(whole)
}
