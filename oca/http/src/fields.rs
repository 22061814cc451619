//! The header lines we use, gathered in one pass; every other line is ignored.
//! It checks that each comes once and is readable, and never interprets a value beyond that.

use std::net::Ipv6Addr;
use std::str;

use crate::head::{Cmcd, HeadError};

/// Values of the headers we use, blanks around them removed.
#[derive(Default)]
pub(crate) struct Fields<'a> {
    pub host: Option<&'a str>,
    pub range: Option<&'a str>,
    pub if_range: Option<&'a str>,
    pub if_match: Option<&'a str>,
    pub if_none_match: Option<&'a str>,
    pub if_modified_since: Option<&'a str>,
    pub if_unmodified_since: Option<&'a str>,
    pub expect: Option<&'a str>,
    pub cookie: Option<&'a str>,
    pub ticket: Option<&'a str>,
    pub origin: Option<&'a str>,
    pub cmcd: Cmcd<'a>,
    /// Some `Connection` header lists `close`.
    pub close: bool,
    /// The first header that announces a body.
    pub body: Option<HeadError>,
    content_length: Option<&'a str>,
}

impl<'a> Fields<'a> {
    pub(crate) fn gather(lines: &[httparse::Header<'a>]) -> Result<Self, HeadError> {
        let mut fields = Self::default();
        for line in lines {
            fields.take(line)?;
        }
        Ok(fields)
    }

    /// Looks a name up by its length first: most of the lines a browser sends end there.
    fn take(&mut self, line: &httparse::Header<'a>) -> Result<(), HeadError> {
        let is = |name: &str| line.name.eq_ignore_ascii_case(name);
        let slot = match line.name.len() {
            4 if is("host") => return self.take_host(line.value),
            5 if is("range") => &mut self.range,
            6 if is("cookie") => &mut self.cookie,
            6 if is("origin") => &mut self.origin,
            6 if is("expect") => &mut self.expect,
            8 if is("if-match") => &mut self.if_match,
            8 if is("if-range") => &mut self.if_range,
            10 if is("connection") => return self.take_connection(line.value),
            11 if is("cmcd-object") => &mut self.cmcd.object,
            11 if is("cmcd-status") => &mut self.cmcd.status,
            12 if is("cmcd-request") => &mut self.cmcd.request,
            12 if is("cmcd-session") => &mut self.cmcd.session,
            13 if is("if-none-match") => &mut self.if_none_match,
            14 if is("content-length") => return self.take_content_length(line.value),
            17 if is("if-modified-since") => &mut self.if_modified_since,
            17 if is("transfer-encoding") => return self.take_body(HeadError::BodyCoding),
            19 if is("if-unmodified-since") => &mut self.if_unmodified_since,
            23 if is("cta-common-access-token") => &mut self.ticket,
            _ => return Ok(()),
        };
        let value = readable(line.value)?;
        if slot.replace(value).is_some() { Err(HeadError::HeaderTwice) } else { Ok(()) }
    }

    fn take_host(&mut self, value: &'a [u8]) -> Result<(), HeadError> {
        if self.host.is_some() {
            return Err(HeadError::HostTwice);
        }
        let host = readable(value)?;
        if !is_host(host) {
            return Err(HeadError::HostMalformed);
        }
        self.host = Some(host);
        Ok(())
    }

    /// A list, and the one header of ours that may legally come in several lines.
    fn take_connection(&mut self, value: &'a [u8]) -> Result<(), HeadError> {
        let listed = readable(value)?.split(',').map(str::trim_ascii);
        self.close |= listed.into_iter().any(|option| option.eq_ignore_ascii_case("close"));
        Ok(())
    }

    /// `0` announces nothing. `00`, `+0` or a list of zeros might, to somebody else.
    fn take_content_length(&mut self, value: &'a [u8]) -> Result<(), HeadError> {
        let value = readable(value)?;
        let again = self.content_length.replace(value).is_some();
        if value != "0" {
            return self.take_body(HeadError::BodyLength);
        }
        if again { Err(HeadError::HeaderTwice) } else { Ok(()) }
    }

    /// Whether a body is an error depends on the method, which is not known here.
    fn take_body(&mut self, error: HeadError) -> Result<(), HeadError> {
        self.body.get_or_insert(error);
        Ok(())
    }
}

fn readable(value: &[u8]) -> Result<&str, HeadError> {
    if !value.is_ascii() {
        return Err(HeadError::HeaderValue);
    }
    str::from_utf8(value).map(str::trim_ascii).map_err(|_| HeadError::HeaderValue)
}

/// A host name or address with an optional port. An IPv6 address is in brackets, or nobody knows
/// where its port begins.
pub(crate) fn is_host(host: &str) -> bool {
    let (is_name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            (address.parse::<Ipv6Addr>().is_ok(), port)
        }
        None => {
            let (name, port) =
                host.split_at_checked(host.find(':').unwrap_or(host.len())).unwrap_or((host, ""));
            let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            (!name.is_empty() && name.bytes().all(belongs), port)
        }
    };
    is_name && is_port(port)
}

/// Nothing, or a colon and one to five digits.
fn is_port(port: &str) -> bool {
    match port.strip_prefix(':') {
        Some(digits) => {
            (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
        }
        None => port.is_empty(),
    }
}
