//! One HTTP/1.x request head out of received bytes, borrowed, strict.
//! It never guesses: whatever two readers could read differently is an error with its own word.
//!
//! Policy, before any code:
//! * Lines end in CR LF, and only there. Bare CR, bare LF, folded lines and blank first lines are
//!   refused. (RFC 9112 asks servers to forgive a blank first line; it is a leftover of broken
//!   POST clients, none of which plays video.)
//! * No request that we answer carries a body: `Transfer-Encoding`, or a `Content-Length` other
//!   than `0`, is refused, for with it would come the question where the next request starts. A
//!   method that we do not answer may announce one; then nothing is read behind the head.
//! * HTTP/1.1 needs exactly one `Host`. An absolute target must name the same one.
//! * A path is spelled one way: visible unreserved characters, no percent-encoding, no empty, `.`
//!   or `..` segment. None of our names needs another spelling, and a ticket that allows one
//!   spelling must not be talked into another. A server of plain files, which knows no tickets, may
//!   ask for [`Spelling::Escaped`] instead; `escape` has its rules.
//! * A header we use may come once. Headers we do not use are checked for syntax and ignored.

use std::mem::MaybeUninit;
use std::str;

use crate::escape;
use crate::fields::Fields;

/// Longest head, bytes, from the first byte to the blank line inclusive.
pub const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Most header lines in one head.
pub const HEADERS_MAX: usize = 64;

/// Longest request target, bytes: a ticket of 1 KiB, the path it allows and a CMCD query.
pub const TARGET_BYTES_MAX: usize = 4 * 1024;

const _: () = assert!(TARGET_BYTES_MAX * 2 <= HEAD_BYTES_MAX);

macro_rules! head_errors {
    ($($(#[$doc:meta])* $name:ident $status:literal $word:literal)*) => {
        /// Why a head was refused. The client is to blame for all of them; none is worth a retry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
        pub enum HeadError {
            $($(#[$doc])* #[error($word)] $name,)*
        }

        impl HeadError {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its status code.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// Its word.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

head_errors! {
    /// No blank line within [`HEAD_BYTES_MAX`].
    HeadTooLong 431 "head_too_long"
    /// More than [`HEADERS_MAX`] header lines.
    TooManyHeaders 431 "too_many_headers"
    /// The target is longer than [`TARGET_BYTES_MAX`].
    TargetTooLong 414 "target_too_long"
    /// A line ends in LF without CR.
    BareLineFeed 400 "bare_line_feed"
    /// A CR without LF.
    BareCarriageReturn 400 "bare_carriage_return"
    /// A line starts with a blank: an obsolete folded header.
    FoldedLine 400 "folded_line"
    /// An empty line where the request line should be.
    BlankFirstLine 400 "blank_first_line"
    /// The first line is not `METHOD target HTTP/1.x`.
    RequestLine 400 "request_line"
    /// Not HTTP/1.0 or 1.1.
    Version 505 "version"
    /// A header line without a proper name and colon.
    HeaderName 400 "header_name"
    /// A header value with control characters, or beyond ASCII in one that we use.
    HeaderValue 400 "header_value"
    /// A header that we use came twice.
    HeaderTwice 400 "header_twice"
    /// HTTP/1.1 without `Host`.
    HostAbsent 400 "host_absent"
    /// `Host` came twice.
    HostTwice 400 "host_twice"
    /// `Host` is not a host.
    HostMalformed 400 "host_malformed"
    /// The absolute target names another host than `Host`.
    HostMismatch 400 "host_mismatch"
    /// A body is announced by `Content-Length`.
    BodyLength 400 "body_length"
    /// A body is announced by `Transfer-Encoding`.
    BodyCoding 400 "body_coding"
    /// The target is not a path, an absolute URL of this host, or `*` for OPTIONS.
    TargetForm 400 "target_form"
    /// The target has a character that does not belong there.
    TargetCharacter 400 "target_character"
    /// The path is percent-encoded; where it may be, an escape hides something or encodes nothing.
    PathPercent 400 "path_percent"
    /// The path has an empty, `.` or `..` segment.
    PathSegment 400 "path_segment"
    /// The query has a `%` that encodes nothing.
    QueryPercent 400 "query_percent"
    /// Two tickets in one query.
    TwoTickets 400 "two_tickets"
}

/// The methods we tell apart. Names are case-sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `OPTIONS`
    Options,
    /// Any other token: answered 405.
    Other,
}

/// How a path may be spelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spelling {
    /// One way only: a `%` is refused.
    #[default]
    Plain,
    /// With percent-encoding, which stays in [`Head::path`]: [`crate::decode_path`] resolves it.
    Escaped,
}

/// Common Media Client Data, version 1 and 2 header form, as sent. Only logs read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cmcd<'a> {
    /// `CMCD-Object`
    pub object: Option<&'a str>,
    /// `CMCD-Request`
    pub request: Option<&'a str>,
    /// `CMCD-Session`
    pub session: Option<&'a str>,
    /// `CMCD-Status`
    pub status: Option<&'a str>,
}

/// One request head. Every slice points into the bytes it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// What is asked.
    pub method: Method,
    /// The path, spelled in its one way; `*` only for OPTIONS, and for CONNECT, which names none.
    pub path: &'a str,
    /// What follows `?`, still encoded; `None` without a `?`.
    pub query: Option<&'a str>,
    /// Whether the client can use the connection again: HTTP/1.1 without `Connection: close`, and
    /// no body that nobody reads.
    pub keep_alive: bool,
    /// `Host`; `None` only in HTTP/1.0.
    pub host: Option<&'a str>,
    /// `Range`
    pub range: Option<&'a str>,
    /// `If-Range`
    pub if_range: Option<&'a str>,
    /// `If-Match`
    pub if_match: Option<&'a str>,
    /// `If-None-Match`
    pub if_none_match: Option<&'a str>,
    /// `If-Modified-Since`
    pub if_modified_since: Option<&'a str>,
    /// `If-Unmodified-Since`
    pub if_unmodified_since: Option<&'a str>,
    /// `Expect`
    pub expect: Option<&'a str>,
    /// `Cookie`
    pub cookie: Option<&'a str>,
    /// `CTA-Common-Access-Token`
    pub ticket: Option<&'a str>,
    /// `Origin`
    pub origin: Option<&'a str>,
    /// `CMCD-*`
    pub cmcd: Cmcd<'a>,
}

impl<'a> Head<'a> {
    /// Reads the head at the start of `bytes` and says how many bytes it took. `None`: no error so
    /// far, and not the end either. A prefix never fails unless the whole fails the same way.
    ///
    /// # Errors
    /// The first thing wrong with it; after any error the connection has no known next request.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, HeadError> {
        Self::parse_spelt(bytes, Spelling::Plain)
    }

    /// The same for a path in another spelling.
    ///
    /// # Errors
    /// As [`Head::parse`].
    pub fn parse_spelt(
        bytes: &'a [u8],
        spelling: Spelling,
    ) -> Result<Option<(Self, usize)>, HeadError> {
        let Some(end) = find_end(bytes)? else { return Ok(None) };
        let whole = bytes.get(..end).ok_or(HeadError::HeadTooLong)?;
        parse_whole(whole, spelling).map(|head| Some((head, end)))
    }
}

/// Position after the blank line. Checks line ends on the way, so that the parser behind it, which
/// is more forgiving, never sees a doubtful one. The error is the first by position: only then is
/// it the same for every way of cutting the head into packets.
fn find_end(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
    let bounded = bytes.get(..HEAD_BYTES_MAX).unwrap_or(bytes);
    let mut line_start = 0;
    while let Some(rest) = bounded.get(line_start..) {
        let first = line_start == 0;
        let Some(feed) = rest.iter().position(|byte| *byte == b'\n') else {
            check_line(rest, first)?;
            break;
        };
        let line = rest.get(..feed).unwrap_or_default();
        check_line(line, first)?;
        let after = line_start + feed + 1;
        match line {
            [b'\r'] if first => return Err(HeadError::BlankFirstLine),
            [b'\r'] => return Ok(Some(after)),
            [.., b'\r'] => line_start = after,
            _ => return Err(HeadError::BareLineFeed),
        }
    }
    if bytes.len() >= HEAD_BYTES_MAX { Err(HeadError::HeadTooLong) } else { Ok(None) }
}

/// What is wrong with a line before its LF, which may not have arrived yet.
fn check_line(line: &[u8], first: bool) -> Result<(), HeadError> {
    if !first && matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(HeadError::FoldedLine);
    }
    let before_last = line.split_last().map_or(line, |(_, before)| before);
    if before_last.contains(&b'\r') { Err(HeadError::BareCarriageReturn) } else { Ok(()) }
}

fn parse_whole(whole: &[u8], spelling: Spelling) -> Result<Head<'_>, HeadError> {
    let mut lines = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(whole, &mut lines) {
        Ok(httparse::Status::Complete(end)) if end == whole.len() => {}
        // `find_end` saw the blank line at the very end, so a parser that ends elsewhere or wants
        // more reads line ends differently: exactly what must not pass.
        Ok(_) => return Err(HeadError::RequestLine),
        Err(error) => return Err(word_for(error)),
    }
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Err(HeadError::RequestLine);
    };
    let fields = Fields::gather(request.headers)?;
    let (method, form) = match method {
        "GET" => (Method::Get, Form::Path),
        "HEAD" => (Method::Head, Form::Path),
        "OPTIONS" => (Method::Options, Form::PathOrStar),
        "CONNECT" => (Method::Other, Form::Authority),
        _ => (Method::Other, Form::Path),
    };
    if let (Some(error), true) = (fields.body, method != Method::Other) {
        return Err(error);
    }
    if version == 1 && fields.host.is_none() {
        return Err(HeadError::HostAbsent);
    }
    let (path, query) = split_target(form, target, fields.host, spelling)?;
    Ok(Head {
        method,
        path,
        query,
        keep_alive: version == 1 && !fields.close && fields.body.is_none(),
        host: fields.host,
        range: fields.range,
        if_range: fields.if_range,
        if_match: fields.if_match,
        if_none_match: fields.if_none_match,
        if_modified_since: fields.if_modified_since,
        if_unmodified_since: fields.if_unmodified_since,
        expect: fields.expect,
        cookie: fields.cookie,
        ticket: fields.ticket,
        origin: fields.origin,
        cmcd: fields.cmcd,
    })
}

fn word_for(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::HeaderName => HeadError::HeaderName,
        httparse::Error::HeaderValue => HeadError::HeaderValue,
        httparse::Error::TooManyHeaders => HeadError::TooManyHeaders,
        httparse::Error::Version => HeadError::Version,
        // A new line is missed only behind the version: all others were checked before.
        httparse::Error::Token | httparse::Error::NewLine | httparse::Error::Status => {
            HeadError::RequestLine
        }
    }
}

/// Which targets a method has, besides what every method has: a path, or a URL of this host.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Path,
    /// `*` as well: the server itself.
    PathOrStar,
    /// A host and port only.
    Authority,
}

/// Path and query of a target in any of the four forms we take.
fn split_target<'a>(
    form: Form,
    target: &'a str,
    host: Option<&str>,
    spelling: Spelling,
) -> Result<(&'a str, Option<&'a str>), HeadError> {
    if target.len() > TARGET_BYTES_MAX {
        return Err(HeadError::TargetTooLong);
    }
    if form == Form::Authority {
        let is_host = crate::fields::is_host(target);
        return if is_host { Ok(("*", None)) } else { Err(HeadError::TargetForm) };
    }
    if target == "*" && form == Form::PathOrStar {
        return Ok((target, None));
    }
    let local = if target.starts_with('/') { target } else { strip_authority(target, host)? };
    let (path, query) = match local.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (local, None),
    };
    let path = if path.is_empty() { "/" } else { path };
    check_path(path, spelling)?;
    query.map_or(Ok(()), check_query)?;
    Ok((path, query))
}

/// What follows `http://host` in an absolute target, which must name the host of the header.
fn strip_authority<'a>(target: &'a str, host: Option<&str>) -> Result<&'a str, HeadError> {
    let (scheme, rest) = target.split_once("://").ok_or(HeadError::TargetForm)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(HeadError::TargetForm);
    }
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, local) = rest.split_at_checked(authority_end).ok_or(HeadError::TargetForm)?;
    if !crate::fields::is_host(authority) {
        return Err(HeadError::TargetForm);
    }
    match host {
        Some(host) if !host.eq_ignore_ascii_case(authority) => Err(HeadError::HostMismatch),
        _ => Ok(local),
    }
}

fn check_path(path: &str, spelling: Spelling) -> Result<(), HeadError> {
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {}
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => {}
            b':' | b'@' => {}
            b'%' if spelling == Spelling::Plain => return Err(HeadError::PathPercent),
            b'%' => {}
            _ => return Err(HeadError::TargetCharacter),
        }
    }
    let segments = path.strip_prefix('/').ok_or(HeadError::TargetForm)?;
    let mut left = segments.split('/').peekable();
    while let Some(segment) = left.next() {
        // An empty last segment is a path that ends in a slash: a different name, not a doubtful
        // one.
        let empty = segment.is_empty() && left.peek().is_some();
        if empty || segment == "." || segment == ".." {
            return Err(HeadError::PathSegment);
        }
        if spelling == Spelling::Escaped {
            escape::check_segment(segment)?;
        }
    }
    Ok(())
}

fn check_query(query: &str) -> Result<(), HeadError> {
    let bytes = query.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'#' => return Err(HeadError::TargetCharacter),
            b'%' => {
                let digits = bytes.get(at + 1..at + 3).ok_or(HeadError::QueryPercent)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(HeadError::QueryPercent);
                }
            }
            0x21..=0x7e => {}
            _ => return Err(HeadError::TargetCharacter),
        }
    }
    Ok(())
}
