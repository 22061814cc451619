//! What a ticket says, and whether a path or an address is inside it. Pure: no keys, no clock.

use std::net::IpAddr;

use control_types::{TitleId, UnixMillis};

pub use ipnet::IpNet as Network;

/// The claims of one ticket, checked: a value of this type that came out of a verifier was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Who signed it (`iss`), for logs.
    pub issuer: String,
    /// What it is for (`sub`): a play id, or `fill`.
    pub subject: String,
    /// First moment (`nbf`); whole seconds in the ticket, rounded down when signed.
    pub not_before: UnixMillis,
    /// First moment after it (`exp`); whole seconds in the ticket, rounded down when signed, so
    /// that a ticket never outlives what it was meant to.
    pub expires_at: UnixMillis,
    /// Paths it opens (`catu`), each starting and ending with `/`; empty opens nothing.
    pub path_prefixes: Vec<String>,
    /// The only network it may be used from (`catnip`); absent means anywhere.
    pub network: Option<Network>,
    /// Fastest it may be served, bits per second; absent means as fast as it goes.
    pub rate_bps_max: Option<u64>,
    /// How it is renewed (`catr`); absent means by a new press of play.
    pub renewal: Option<Renewal>,
}

/// How a ticket is renewed (`catr`). An appliance holds no key that signs, so it renews nothing: it
/// takes the ticket that control renewed in the header or cookie, before the one in the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// Where the renewed ticket is sent.
    pub by: RenewedBy,
    /// How much longer the renewed ticket lives (`expadd`), whole seconds.
    pub extend_s: u64,
    /// How long before its end a ticket may be renewed at the earliest (`deadline`), seconds.
    pub deadline_s: u64,
}

/// Where a renewed ticket is sent; the numbers are CTA-5007's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RenewedBy {
    /// In the cookie `CTA-Common-Access-Token`.
    Cookie = 1,
    /// In the header `CTA-Common-Access-Token`.
    Header = 2,
}

impl Claims {
    /// A ticket that opens one title's media.
    #[must_use]
    pub fn play(subject: String, title: &TitleId, from: UnixMillis, until: UnixMillis) -> Self {
        Self::one_prefix(subject, format!("/v/{title}/"), from, until)
    }

    /// A ticket that opens every object, for appliances that fill each other.
    #[must_use]
    pub fn fill(from: UnixMillis, until: UnixMillis) -> Self {
        Self::one_prefix("fill".to_owned(), "/o/".to_owned(), from, until)
    }

    fn one_prefix(subject: String, prefix: String, from: UnixMillis, until: UnixMillis) -> Self {
        Self {
            issuer: "nightfill".to_owned(),
            subject,
            not_before: from,
            expires_at: until,
            path_prefixes: vec![prefix],
            network: None,
            rate_bps_max: None,
            renewal: None,
        }
    }

    /// Whether this ticket opens `path`, which must already be without its `/t/TICKET` segment. A
    /// path that could mean another one (dot segments, escapes, doubled slashes) is opened by none:
    /// the ticket and the file system must never disagree on what a path names.
    #[must_use]
    pub fn allows_path(&self, path: &str) -> bool {
        is_plain_path(path)
            && self.path_prefixes.iter().any(|prefix| path.starts_with(prefix.as_str()))
    }

    /// Whether this ticket may be used from `address`. IPv4 inside IPv6 is compared as IPv4.
    #[must_use]
    pub fn allows_address(&self, address: IpAddr) -> bool {
        self.network.is_none_or(|network| network.contains(&address.to_canonical()))
    }
}

/// Whether `path` is absolute and in its only spelling: visible ASCII, no `%`, `\`, `?`, `#`, no
/// empty segment but the last, no `.` or `..`.
#[must_use]
pub fn is_plain_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let is_plain_byte =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'%' | b'\\' | b'?' | b'#');
    if !rest.bytes().all(is_plain_byte) {
        return false;
    }
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if segment == "." || segment == ".." || (segment.is_empty() && !is_last) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, allowed: bool) {
        let title = "night".parse().unwrap();
        let claims = Claims::play("p".into(), &title, UnixMillis(0), UnixMillis(1));
        assert_eq!(claims.allows_path(path), allowed, "{path:?}");
    }

    #[test]
    fn a_play_ticket_opens_its_title_and_nothing_that_only_looks_like_it() {
        check("/v/night/00ff.mp4", true);
        check("/v/night/", true);
        check("/v/nightfall/00ff", false);
        check("/v/night", false);
        check("/v/other/00ff", false);
        check("/v/night/../other/00ff", false);
        check("/v/night/./00ff", false);
        check("/v/night//00ff", false);
        check("/v/night/%2e%2e/other/00ff", false);
        check("/v/night/..%2fother", false);
        check("/v/night/..\\other", false);
        check("/v/night/\0", false);
        check("v/night/00ff", false);
        check("//v/night/00ff", false);
        check("", false);
        check("/o/00ff", false);
    }

    #[test]
    fn a_bound_ticket_is_for_its_network_only() {
        let mut claims = Claims::fill(UnixMillis(0), UnixMillis(1));
        assert!(claims.allows_address("203.0.113.9".parse().unwrap()));
        claims.network = Some("203.0.113.0/24".parse().unwrap());
        assert!(claims.allows_address("203.0.113.9".parse().unwrap()));
        assert!(claims.allows_address("::ffff:203.0.113.9".parse().unwrap()));
        assert!(!claims.allows_address("203.0.114.9".parse().unwrap()));
        assert!(!claims.allows_address("2001:db8::1".parse().unwrap()));
    }
}
