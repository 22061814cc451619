//! Where a ticket travels in a request, and the path without it.
//! It finds the ticket's text and never judges it.
//!
//! A URL carries the ticket that it was written with, and goes on carrying it when that has ended;
//! a header or a cookie can carry a newer one. So what comes beside the URL is handed over as the
//! renewed ticket, to be tried first. In the URL the path is nearer than the query; beside it the
//! header, which the player set for this request, is nearer than the cookie. Where the path has a
//! ticket, one in the query was put there later, by steering: it comes beside it, too.

use crate::head::{Head, HeadError};

/// Query parameter that carries a ticket.
const QUERY_NAME: &str = "CAT";
/// Cookie that carries a ticket; also the header's name.
const COOKIE_NAME: &str = "CTA-Common-Access-Token";
/// Path prefix whose next segment is a ticket.
const PATH_PREFIX: &str = "/t/";

/// How the ticket came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// `/t/{ticket}/…`: inherited by every relative URL of a playlist.
    Path,
    /// `?CAT=…`
    Query,
    /// `CTA-Common-Access-Token: …`
    Header,
    /// A cookie of that name.
    Cookie,
}

/// A request's path and the ticket found with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried<'a> {
    /// The ticket's text and how it came; `None` when there is none.
    pub ticket: Option<(&'a str, Carrier)>,
    /// The one that came beside it, in the header, a cookie, or the query of a path that has one.
    /// It may be somebody's left-over: the URL's own is as good as ever when this one is not.
    pub renewed: Option<(&'a str, Carrier)>,
    /// The path with `/t/{ticket}` removed: what the ticket's rules are matched against.
    pub path: &'a str,
}

/// Finds the ticket of `head`.
///
/// # Errors
/// [`HeadError::TwoTickets`] when the query has two.
pub fn split_ticket<'a>(head: &Head<'a>) -> Result<Carried<'a>, HeadError> {
    let header = head.ticket.map(|ticket| (ticket, Carrier::Header));
    let cookie = || find_in_cookie(head.cookie).map(|ticket| (ticket, Carrier::Cookie));
    let query = find_in_query(head.query)?.map(|ticket| (ticket, Carrier::Query));
    let (in_url, path) = match head.path.strip_prefix(PATH_PREFIX) {
        Some(rest) => {
            let slash = rest.find('/').unwrap_or(rest.len());
            let (ticket, path) = rest.split_at_checked(slash).unwrap_or((rest, ""));
            let path = if path.is_empty() { "/" } else { path };
            ((!ticket.is_empty()).then_some((ticket, Carrier::Path)), path)
        }
        None => (None, head.path),
    };
    Ok(match (in_url, query) {
        (Some(_), _) => Carried { ticket: in_url, renewed: header.or(query).or_else(cookie), path },
        (None, Some(_)) => Carried { ticket: query, renewed: header.or_else(cookie), path },
        (None, None) => Carried { ticket: header.or_else(cookie), renewed: None, path },
    })
}

fn find_in_query(query: Option<&str>) -> Result<Option<&str>, HeadError> {
    let mut found = None;
    for pair in query.unwrap_or_default().split('&') {
        if let Some((QUERY_NAME, value)) = pair.split_once('=')
            && found.replace(value).is_some()
        {
            return Err(HeadError::TwoTickets);
        }
    }
    Ok(found)
}

/// The first of that name: a browser sends the cookie of the longest matching path first.
fn find_in_cookie(cookie: Option<&str>) -> Option<&str> {
    cookie?.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name.trim_ascii() == COOKIE_NAME).then(|| value.trim_ascii().trim_matches('"'))
    })
}
