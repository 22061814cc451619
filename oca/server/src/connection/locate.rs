//! Step 5: `Allowed` becomes an `Extent`: which bytes of which file, from memory only.
//! Never opens a file; that the index is right is checked when its bytes are read.

use oca_http::{Outcome, Selection, Span, Spans, Verdict, evaluate, is_conditional, resolve};
use oca_sys::Kernel;

use super::authorize::Allowed;
use super::read::{Note, Refusal, Request, Route, Short};
use super::{elsewhere, steering};
use crate::library::{Found, Library, Missing};
use crate::tickets::Verified;
use crate::worker::Station;

/// Bytes `start..end` of something we hold.
pub struct Extent {
    /// Of the request.
    pub note: Note,
    /// Its ticket.
    pub ticket: Option<Verified>,
    /// What holds the bytes.
    pub found: Found,
    /// First byte; of the first stretch, where there are several.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// 206 or 200.
    pub is_part: bool,
    /// All stretches; absent where one will do.
    pub spans: Option<Box<Spans>>,
}

/// Finds what is asked for and the range of it.
///
/// # Errors
/// 307, 404, 412, 304, 417 or 416; and what is no object of ours at all: where to stream from.
pub fn find<K: Kernel>(allowed: Allowed<'_>, station: &Station<K>) -> Result<Extent, Box<Refusal>> {
    if matches!(allowed.request.route, Route::Steering { .. }) {
        return Err(steering::answer(allowed, station));
    }
    let Request { head, route, path, .. } = &allowed.request;
    let found = match look(&station.shared.library, *route, [head.path, path]) {
        Ok(found) => found,
        Err(Missing::Unknown) => {
            return Err(elsewhere::answer(allowed, station, Outcome::UnknownObject));
        }
        Err(Missing::Condemned) => {
            return Err(elsewhere::answer(allowed, station, Outcome::Quarantined));
        }
        // It is here: whoever asks for it by another name would get no better answer there.
        Err(Missing::OtherTitle) => return Err(refused(allowed, Outcome::OtherTitle)),
    };
    let Allowed { request, ticket, .. } = allowed;
    let Request { head, note, .. } = request;
    let refuse = |note, answer, ticket| Err(Box::new(Refusal { note, answer, ticket }));
    let mut tag = [0u8; TAG_BYTES];
    let verdict = match is_conditional(&head) {
        true => evaluate(&head, etag(&found, &mut tag), found.modified),
        false => Verdict::Proceed { may_range: true },
    };
    let may_range = match verdict {
        Verdict::Failed => {
            let outcome = Outcome::PreconditionFailed;
            return refuse(note, Short::Refused { outcome, total: None }, ticket);
        }
        Verdict::NotModified => return refuse(note, Short::NotModified(found), ticket),
        Verdict::Proceed { may_range } => may_range,
    };
    let mut spans = None;
    let (start, end, is_part) = match resolve(&head, may_range, found.bytes) {
        Selection::Whole => (0, found.bytes, false),
        Selection::Part { start, end } => (start, end, true),
        Selection::Parts(several) => {
            let Span { start, end } = several.as_slice().first().copied().unwrap_or_default();
            spans = Some(Box::new(several));
            (start, end, true)
        }
        Selection::Unsatisfiable => {
            let total = Some(found.bytes);
            let answer = Short::Refused { outcome: Outcome::Unsatisfiable, total };
            return refuse(note, answer, ticket);
        }
    };
    Ok(Extent { note, ticket, found, start, end, is_part, spans })
}

/// A refusal in a word.
pub fn refused(allowed: Allowed<'_>, outcome: Outcome) -> Box<Refusal> {
    let Allowed { request, ticket, .. } = allowed;
    let answer = Short::Refused { outcome, total: None };
    Box::new(Refusal { note: request.note, answer, ticket })
}

/// `paths` are the whole one and what a ticket in front leaves of it: a lab, which needs no ticket,
/// may have a folder of the same name.
fn look(library: &Library, route: Route<'_>, paths: [&str; 2]) -> Result<Found, Missing> {
    match (library, route) {
        (Library::Lab(lab), _) => {
            paths.iter().find_map(|path| lab.find(path)).ok_or(Missing::Unknown)
        }
        (Library::Sealed(sealed), Route::Member { title, object }) => {
            sealed.find(&object, Some(title.as_bytes()))
        }
        (Library::Sealed(sealed), Route::Fill(object)) => sealed.find(&object, None),
        (Library::Sealed(sealed), Route::Seal(object)) => sealed.find_seal(&object),
        (Library::Sealed(_), Route::Lab | Route::Steering { .. }) => Err(Missing::Unknown),
    }
}

/// Room for an entity tag.
pub const TAG_BYTES: usize = 64;

/// The entity tag of `found`, written to `into`: the object's name, as hex. The seal of an object
/// has another: its name with the first two digits swapped for `se`, which no object has.
pub fn etag<'a>(found: &Found, into: &'a mut [u8; TAG_BYTES]) -> &'a str {
    *into = found.object.as_hex();
    if found.view == crate::library::View::Seal {
        into[..2].copy_from_slice(b"se");
    }
    std::str::from_utf8(into).expect("hex digits are ASCII")
}
