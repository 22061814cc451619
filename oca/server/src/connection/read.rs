//! Step 3: bytes become a `Request`, strictly. Never looks at a disk, a ticket's meaning or a clock
//! but the turn's.

use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::rc::Rc;

use control_types::ObjectId;
use oca_http::{Cmcd, Head, HeadError, Method, Outcome, split_ticket};
use oca_sys::{Kernel, Nanos};

use super::stream::Stream;
use super::{Connection, Flow, State};
use crate::library::{Found, Library};
use crate::outcome::{CloseReason, Ending};
use crate::sovereign::{Hint, LOOK_PATH};
use crate::tickets::Verified;
use crate::worker::Station;

/// One request, borrowed from the connection's bytes until its turn is settled.
pub struct Request<'a> {
    /// As parsed.
    pub head: Head<'a>,
    /// The path without a ticket.
    pub path: &'a str,
    /// The ticket's text, however it came.
    pub ticket: Option<&'a str>,
    /// The one that came beside it: tried first, because a URL keeps the ticket it began with.
    pub renewed: Option<&'a str>,
    /// What is asked for.
    pub route: Route<'a>,
    /// What outlives the borrow.
    pub note: Note,
}

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/v/{title}/{object}[.ext]`
    Member {
        /// The title, unchecked text.
        title: &'a str,
        /// Which object.
        object: ObjectId,
    },
    /// `/v/{title}/steering`
    Steering {
        /// The title, unchecked text.
        title: &'a str,
    },
    /// `/o/{object}`
    Fill(ObjectId),
    /// `/o/{object}/seal`
    Seal(ObjectId),
    /// Any path of a lab.
    Lab,
}

/// What the record of a request needs of it later: places in the connection's bytes, which stay
/// until the answer is finished.
#[derive(Clone, Debug)]
pub struct Note {
    /// Length of the head.
    pub head_bytes: usize,
    /// As parsed; `Other` for a head that was not.
    pub method: Method,
    /// Whether the client can use the connection again.
    pub keep_alive: bool,
    /// Who asks; absent for a head that was not understood.
    pub peer: Option<IpAddr>,
    /// When the head was complete.
    pub began: Nanos,
    /// Path without ticket.
    pub path: Range<usize>,
    /// Title segment; empty when there is none.
    pub title: Range<usize>,
    /// Whether another appliance is filled by it.
    pub is_fill: bool,
    /// `CMCD=` of the query and the four CMCD headers; empty ones are absent.
    pub cmcd: [Range<usize>; 5],
}

/// A request that is answered without a body of ours: the reason, and what the answer needs.
pub struct Refusal {
    /// Of the request.
    pub note: Note,
    /// Which answer.
    pub answer: Short,
    /// The ticket, once it was found good.
    pub ticket: Option<Verified>,
}

/// An answer without media.
#[derive(Clone, Debug)]
pub enum Short {
    /// A status, its word as body.
    Refused {
        /// What went wrong.
        outcome: Outcome,
        /// For 416: the length that the range missed.
        total: Option<u64>,
    },
    /// 304
    NotModified(Found),
    /// 200 and this JSON: where to stream from.
    Steering(Rc<[u8]>),
    /// 307 to this URL, which has it.
    Elsewhere(Rc<str>),
    /// 204, and to another appliance's look how loaded we are.
    Preflight(Option<Hint>),
}

impl Refusal {
    /// A refusal with nothing to add.
    pub fn new(note: Note, outcome: Outcome) -> Box<Self> {
        Box::new(Self { note, answer: Short::Refused { outcome, total: None }, ticket: None })
    }
}

/// The next request in the bytes received; `None` when more must arrive.
///
/// # Errors
/// What is answered instead: a malformed head, a method or path that is none of ours, a preflight.
pub fn next<'a, K: Kernel>(
    connection: &'a Connection,
    station: &Station<K>,
) -> Result<Option<Request<'a>>, Box<Refusal>> {
    match connection.plain.as_slice() {
        [] => Ok(None),
        bytes => request(bytes, station),
    }
}

/// The request whose head `bytes` begin with; `None` when they are too few.
///
/// # Errors
/// As [`next`].
pub fn request<'a, K: Kernel>(
    bytes: &'a [u8],
    station: &Station<K>,
) -> Result<Option<Request<'a>>, Box<Refusal>> {
    let began = station.now();
    let malformed = |error: HeadError| {
        // Nobody knows where the next request starts: all that has arrived goes with this one.
        let note = Note { keep_alive: false, ..Note::blank(bytes.len(), began) };
        Refusal::new(note, error.into())
    };
    let parsed = Head::parse_spelt(bytes, station.shared.library.spelling());
    let Some((head, head_bytes)) = parsed.map_err(malformed)? else { return Ok(None) };
    let carried = split_ticket(&head).map_err(malformed)?;
    let mut note = Note {
        method: head.method,
        keep_alive: head.keep_alive,
        path: place(bytes, carried.path),
        cmcd: cmcd_places(bytes, &head.cmcd, head.query),
        ..Note::blank(head_bytes, began)
    };
    match head.method {
        // A body that nobody sends needs no permission to be sent.
        Method::Get | Method::Head
            if head.expect.is_some_and(|what| !what.eq_ignore_ascii_case("100-continue")) =>
        {
            return Err(Refusal::new(note, Outcome::ExpectationFailed));
        }
        Method::Get | Method::Head => {}
        Method::Options => {
            let is_look = carried.path == LOOK_PATH;
            let outlook = is_look.then(|| station.shared.steering.outlook()).flatten();
            let answer = Short::Preflight(outlook.map(|outlook| outlook.own.hint()));
            return Err(Box::new(Refusal { note, answer, ticket: None }));
        }
        Method::Other => return Err(Refusal::new(note, Outcome::MethodNotAllowed)),
    }
    let Some(route) = route(&station.shared.library, carried.path) else {
        return Err(Refusal::new(note, Outcome::NoRoute));
    };
    match route {
        Route::Member { title, .. } | Route::Steering { title } => note.title = place(bytes, title),
        Route::Fill(_) | Route::Seal(_) => note.is_fill = true,
        Route::Lab => {}
    }
    let [ticket, renewed] =
        [carried.ticket, carried.renewed].map(|found| found.map(|(text, _)| text));
    Ok(Some(Request { head, path: carried.path, ticket, renewed, route, note }))
}

impl Note {
    /// Of a head that was not understood.
    pub fn blank(head_bytes: usize, began: Nanos) -> Self {
        Self {
            head_bytes,
            method: Method::Other,
            keep_alive: false,
            peer: None,
            began,
            path: 0..0,
            title: 0..0,
            is_fill: false,
            cmcd: [0..0, 0..0, 0..0, 0..0, 0..0],
        }
    }
}

fn route<'a>(library: &Library, path: &'a str) -> Option<Route<'a>> {
    if matches!(library, Library::Lab(_)) {
        return Some(Route::Lab);
    }
    let mut segments = path.strip_prefix('/')?.split('/');
    let route = match (segments.next()?, segments.next()?, segments.next()) {
        ("v", title, Some("steering")) => Route::Steering { title },
        ("v", title, Some(name)) => Route::Member { title, object: object(name)? },
        ("o", name, None) => Route::Fill(ObjectId::from_hex(name.as_bytes())?),
        ("o", name, Some("seal")) => Route::Seal(ObjectId::from_hex(name.as_bytes())?),
        _ => return None,
    };
    segments.next().is_none().then_some(route)
}

/// 64 hex digits and perhaps an extension, which is for people: `Content-Type` comes from the seal.
fn object(name: &str) -> Option<ObjectId> {
    let (hex, extension) = name.split_once('.').map_or((name, None), |(h, e)| (h, Some(e)));
    if extension.is_some_and(|e| e.is_empty() || !e.bytes().all(|b| b.is_ascii_alphanumeric())) {
        return None;
    }
    ObjectId::from_hex(hex.as_bytes())
}

/// Where `part`, a slice of `whole`, lies in it.
fn place(whole: &[u8], part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    match start.checked_add(part.len()) {
        Some(end) if end <= whole.len() => start..end,
        _ => 0..0,
    }
}

fn cmcd_places(whole: &[u8], cmcd: &Cmcd<'_>, query: Option<&str>) -> [Range<usize>; 5] {
    let in_query = query.and_then(|q| q.split('&').find_map(|pair| pair.strip_prefix("CMCD=")));
    [in_query, cmcd.object, cmcd.request, cmcd.session, cmcd.status]
        .map(|text| text.map_or(0..0, |text| place(whole, text)))
}

/// Whether a complete head ends in `plain` behind its first `seen` bytes, which have been looked at
/// before: a head that comes in a thousand small records must not be read a thousand times.
pub fn has_head(plain: &[u8], seen: usize) -> bool {
    let from = seen.saturating_sub(HEAD_END.len() - 1);
    let news = plain.get(from..).unwrap_or_default();
    news.windows(HEAD_END.len()).any(|end| end == HEAD_END)
}

/// How a head ends.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// No complete head yet: asks for more, unless nothing more will come.
pub fn more<K: Kernel>(connection: &mut Connection, station: &mut Station<K>) -> Flow {
    if connection.peer_done {
        return connection.part(CloseReason::PeerClosed);
    }
    if connection.is_let_go(station) {
        return connection.part(CloseReason::Draining);
    }
    connection.receive(station);
    Flow::Wait
}

/// Bytes came in, or the peer's end.
pub fn received<K: Kernel>(
    connection: &mut Connection,
    station: &mut Station<K>,
    result: io::Result<usize>,
    buffer: &[u8],
) -> Flow {
    let Ok(got) = result else {
        return connection.abort(station, CloseReason::PeerReset, Ending::ClientGone);
    };
    if got == 0 {
        connection.peer_done = true;
        return match connection.state {
            State::Keys => connection.abort(station, CloseReason::PeerClosed, Ending::ClientGone),
            _ => Flow::Again,
        };
    }
    let bytes = &buffer[..got.min(buffer.len())];
    match connection.state {
        // What comes after our end is not read, only drained.
        State::Parting | State::Closing => return Flow::Again,
        State::Reading if !connection.has_begun_a_head() => connection.progress_at = station.now(),
        _ => {}
    }
    if connection.plain.capacity() == 0 {
        connection.plain = station.empty_bytes();
    }
    let fits = match &mut connection.stream {
        Stream::Tls(tls) => tls.take(bytes),
        Stream::Clear => {
            connection.plain.extend_from_slice(bytes);
            connection.plain.len() <= crate::limits::PLAIN_BYTES_MAX
        }
    };
    if !fits {
        return connection.abort(station, CloseReason::Malformed, Ending::ClientGone);
    }
    Flow::Again
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library() -> Library {
        let index = oca_store::Index::load(&[]).index;
        Library::Sealed(crate::library::Sealed::new(index))
    }

    #[test]
    fn only_our_own_paths_are_routes() {
        let hex = "ab".repeat(32);
        let id = ObjectId([0xab; 32]);
        let library = library();
        let check = |path: String, wanted: Option<Route<'_>>| {
            assert_eq!(route(&library, &path), wanted, "{path}");
        };
        let member = Some(Route::Member { title: "night", object: id });
        check(format!("/v/night/{hex}"), member);
        check(format!("/v/night/{hex}.mp4"), member);
        check("/v/night/steering".to_owned(), Some(Route::Steering { title: "night" }));
        check("/v/night/steering/".to_owned(), None);
        check("/v/steering".to_owned(), None);
        check(format!("/o/{hex}"), Some(Route::Fill(id)));
        check(format!("/o/{hex}/seal"), Some(Route::Seal(id)));
        check(format!("/o/{hex}/seal/"), None);
        check(format!("/o/{hex}/"), None);
        check(format!("/o/{hex}.mp4"), None);
        check(format!("/v/night/{hex}."), None);
        check(format!("/v/night/{hex}.m~4"), None);
        check(format!("/v/night/{hex}/x"), None);
        check(format!("/v/{hex}"), None);
        check(format!("/v/night/{}", hex.to_uppercase()), None);
        check("/".to_owned(), None);
    }

    #[test]
    fn an_end_is_found_however_the_head_is_cut_and_never_twice() {
        let whole = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for seen in 0..whole.len() {
            assert!(has_head(whole, seen), "{seen}");
            assert!(!has_head(&whole[..whole.len() - 1], seen), "{seen}");
        }
        let more = [&whole[..], b"GET /b HTTP/1.1\r\n"].concat();
        assert!(!has_head(&more, whole.len() + 3), "the one before was found before");
    }

    #[test]
    fn places_are_found_again() {
        let whole = b"GET /v/night/x HTTP/1.1";
        let text = std::str::from_utf8(&whole[4..14]).unwrap();
        assert_eq!(place(whole, text), 4..14);
        assert_eq!(place(whole, "elsewhere"), 0..0);
        assert_eq!(place(&whole[..6], text), 0..0);
    }
}
