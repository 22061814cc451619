//! A decision as a Content Steering manifest (RFC 8216bis 7.1 and its DASH-IF twin): priorities,
//! clones for pathways that the player's manifest did not have, and where to ask again.
//! Pure; it never offers what the player could not reach.
//!
//! Steering must not fail together with what it steers. A box that a session streams from tells it
//! to ask the next edge of its list from here on, so that somebody is there to answer when it dies
//! itself; a box that the session does not stream from keeps being asked. An edge that holds
//! nothing of the title is asked before a tier or an origin is. Where there is no other edge this
//! box is asked again, also when it drains: it may be back before any other is there. The URL is
//! absolute, which every player takes.
//!
//! Nobody here can sign. A player whose ticket is about to end is sent to control for one question,
//! while control is there: it brings pathways with a fresh ticket and sends the player back to an
//! appliance, with that ticket in the URL. Where control is, the bundle says, and which play it is,
//! the ticket: nothing that a player writes names a host. The pathways that it was given are told
//! on with their names. In DASH they are told anew each time, with the ticket of this question:
//! dash.js knows the clones of the last answer only.

use std::net::IpAddr;

use control_types::fleet::Role;
use control_types::pathway::{TICKET, fresh_pathway};
use control_types::play::{PathwayClone, SteeringManifest, UriReplacement};
use control_types::spread::{hash_name, mix};
use control_types::{ApplianceId, PlayId, TitleId, UnixMillis};

use super::ask::{Ask, Dialect};
use super::decide::{Question, decide, edges, is_there};
use super::desk::Outlook;
use super::neighbours::Sighting;
use super::table::{Candidate, Table};
use crate::limits::{CONTROL_TTL_S, STEERING_BYTES_MAX};

/// Who asks, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The member's address.
    pub address: IpAddr,
    /// What is played.
    pub title: &'a TitleId,
    /// Names the session: the ticket's subject.
    pub subject: &'a str,
    /// Verified, so it is base64url; absent where none is required.
    pub ticket: Option<&'a str>,
    /// When control signed it, which is when it named the pathways.
    pub issued_at: Option<UnixMillis>,
    /// It is about to end, and another may be had.
    pub is_ending: bool,
    /// The wall clock's time.
    pub now: UnixMillis,
}

/// The answer as JSON; `None` where there is nobody to name: the player keeps its last list.
#[must_use]
pub fn answer(outlook: &Outlook, reply: &Reply<'_>, ask: &Ask) -> Option<Vec<u8>> {
    let manifest = manifest(outlook, reply, ask)?;
    let text = serde_json::to_vec(&manifest).ok()?;
    (text.len() <= STEERING_BYTES_MAX).then_some(text)
}

fn manifest(outlook: &Outlook, reply: &Reply<'_>, ask: &Ask) -> Option<SteeringManifest> {
    let table = &*outlook.table;
    let position = |id: &ApplianceId| table.position(id);
    let is_later = reply.issued_at.is_some_and(|at| at > table.made_at);
    let named = match &ask.fresh {
        Some(fresh) => Some(&fresh.given),
        None => ask.pathways.as_ref(),
    };
    let named = named.into_iter().flatten().filter(|_| is_later);
    let vouched: Vec<u32> = named.filter_map(position).collect();
    let question = Question {
        address: reply.address,
        title: reply.title,
        title_hash: hash_name(reply.title.as_str()),
        session: session_of(reply.subject),
        current: ask.current.as_ref().and_then(position),
        vouched: &vouched,
        now: reply.now,
    };
    let order = decide(outlook, &question);
    let mut manifest = SteeringManifest {
        version: 1,
        ttl: table.ttl_s,
        reload_uri: String::new(),
        pathway_priority: Vec::with_capacity(order.len()),
        pathway_clones: Vec::new(),
    };
    let known = Known::of(table, reply, ask);
    for one in order.iter().filter_map(|at| table.candidates.get(*at as usize)) {
        let Some((id, clone)) = known.pathway(one) else { continue };
        manifest.pathway_priority.push(id);
        manifest.pathway_clones.extend(clone);
    }
    if known.renewal > 0 {
        // For a player that made none of the clones: as good as its ticket is.
        let ids = order.iter().filter_map(|at| table.candidates.get(*at as usize));
        let old = ids.filter(|one| known.is_of_manifest(one)).map(|one| one.id.to_string());
        manifest.pathway_priority.extend(old);
    }
    manifest.pathway_priority.extend(spare(outlook, ask, &manifest.pathway_priority));
    if manifest.pathway_priority.is_empty() {
        return None;
    }
    match control(outlook, reply, ask) {
        Some(url) => (manifest.reload_uri, manifest.ttl) = (url, CONTROL_TTL_S.min(table.ttl_s)),
        None => manifest.reload_uri = reload_uri(outlook, &order, reply, ask)?,
    }
    Some(manifest)
}

/// Control's own steering URL of the play, for a player that needs a fresh ticket and can be given
/// one by clones.
fn control(outlook: &Outlook, reply: &Reply<'_>, ask: &Ask) -> Option<String> {
    let url = outlook.table.control_url.as_deref()?;
    let play: PlayId = reply.subject.parse().ok()?;
    let takes_tickets = ask.pathways.is_some() && ask.since.is_some();
    let takes_tickets = takes_tickets && ask.dialect != Dialect::DashByName;
    let is_due = reply.is_ending && outlook.control_is_there && takes_tickets;
    is_due.then(|| format!("{url}/v1/plays/{play}/steering{}", ask.again()))
}

/// What the player has pathways of, and what others are made from.
struct Known<'a> {
    ask: &'a Ask,
    /// The ticket that clones in DASH carry.
    ticket: Option<&'a str>,
    /// Which ticket after the manifest's its pathways have: 0 the manifest's own.
    renewal: u64,
    /// Appliances that it has pathways of with that ticket; `None`: it does not say.
    given: Option<&'a [ApplianceId]>,
    base: Option<&'a Candidate>,
}

impl<'a> Known<'a> {
    fn of(table: &'a Table, reply: &Reply<'a>, ask: &'a Ask) -> Self {
        let fresh = ask.fresh.as_ref().filter(|_| ask.dialect != Dialect::DashByName);
        let of_manifest = ask.pathways.as_deref();
        let given = match fresh {
            Some(fresh) => Some(&fresh.given[..]),
            None => of_manifest,
        };
        // In DASH a clone is made of what stands in the manifest, in HLS of any pathway.
        let bases = if ask.dialect == Dialect::Dash { of_manifest } else { given };
        let base = bases.into_iter().flatten().find_map(|id| table.position(id));
        Self {
            ask,
            ticket: reply.ticket.filter(|_| fresh.is_some()),
            renewal: fresh.map_or(0, |fresh| fresh.renewal),
            given,
            base: base.and_then(|at| table.candidates.get(at as usize)),
        }
    }

    fn is_of_manifest(&self, one: &Candidate) -> bool {
        self.ask.pathways.iter().flatten().any(|id| *id == one.id)
    }

    /// The pathway to stream from `one` by, and the clone that makes it where the player has none;
    /// `None` where it could not make it.
    fn pathway(&self, one: &Candidate) -> Option<(String, Option<PathwayClone>)> {
        let id = fresh_pathway(one.id.as_str(), self.renewal);
        let is_told_anew = self.renewal > 0 && self.ask.dialect == Dialect::Dash;
        let is_known = self.given.is_none_or(|given| given.contains(&one.id));
        if is_known && !is_told_anew {
            return Some((id, None));
        }
        let base = self.base.filter(|base| base.scheme == one.scheme)?;
        let host = clone_host(one, base, self.ask.dialect)?;
        let renewal = if is_told_anew { 0 } else { self.renewal };
        let params = self.ticket.filter(|_| is_told_anew);
        let params = params.map(|ticket| (TICKET.to_owned(), ticket.to_owned()));
        let clone = PathwayClone {
            base_id: fresh_pathway(base.id.as_str(), renewal),
            id: id.clone(),
            uri_replacement: UriReplacement {
                host: Some(host.to_owned()),
                params: params.into_iter().collect(),
                ..UriReplacement::default()
            },
        };
        Some((id, Some(clone)))
    }
}

/// Pathways that the player has by itself, where it was given clones only: a player that makes none
/// of them must find somebody who still serves in the list, and finds who drains rather than
/// nobody.
fn spare(outlook: &Outlook, ask: &Ask, given: &[String]) -> Vec<String> {
    let known = ask.pathways.iter().flatten();
    let is_given = |id: &ApplianceId| given.iter().any(|one| one == id.as_str());
    if given.is_empty() || known.clone().any(is_given) {
        return Vec::new();
    }
    let serves =
        |id: &&ApplianceId| outlook.table.position(id).is_some_and(|at| is_there(outlook, at));
    known.filter(serves).map(ToString::to_string).collect()
}

/// A session's number, which is control's for a play: then its loads move on the same sessions.
fn session_of(subject: &str) -> u64 {
    let play = subject.parse::<uuid::Uuid>().ok().map(|play| play.as_u64_pair());
    mix(play.map_or_else(|| hash_name(subject), |(high, low)| high ^ low))
}

/// The host that makes `one` out of `base`; `None` where a player could not.
///
/// A host replaces a host. To dash.js that is host and port; an HLS player, and Shaka Player in
/// DASH, keep the port they have. Nobody replaces a scheme.
fn clone_host<'a>(one: &'a Candidate, base: &Candidate, dialect: Dialect) -> Option<&'a str> {
    match dialect {
        Dialect::Dash => Some(one.authority()),
        Dialect::Hls | Dialect::DashByName => (base.port == one.port).then_some(one.host.as_str()),
    }
}

/// Whom to ask next time: never a tier or an origin while an edge can be named, because those have
/// another ISP's bundle and would tell of no edge at all.
fn reload_uri(outlook: &Outlook, order: &[u32], reply: &Reply<'_>, ask: &Ask) -> Option<String> {
    let table = &*outlook.table;
    let is_edge =
        |at: u32| table.candidates.get(at as usize).map(|one| one.role) == Some(Role::Edge);
    let is_doubted = |at: u32| outlook.sightings.get(at as usize) == Some(&Sighting::Doubted);
    let staying = table.own.filter(|own| !outlook.own.draining && is_edge(*own));
    let first = order.first().copied();
    let keeps = staying.filter(|own| first != Some(*own));
    let next = || order.iter().skip(1).copied().find(|at| is_edge(*at) && !is_doubted(*at));
    // One that holds nothing of the title answers as well as any.
    let beside = || {
        let beside = edges(outlook, reply.address, hash_name(reply.title.as_str()));
        beside.into_iter().find(|at| first != Some(*at) && !is_doubted(*at))
    };
    let last = || first.filter(|at| is_edge(*at)).or(table.own).or(first);
    let at = keeps.or_else(next).or_else(beside).or(staying).or_else(last)?;
    Some(url(table, at, reply)? + &ask.again())
}

fn url(table: &Table, at: u32, reply: &Reply<'_>) -> Option<String> {
    let base = &table.candidates.get(at as usize)?.media_url;
    let title = reply.title;
    Some(match reply.ticket {
        Some(ticket) => format!("{base}/t/{ticket}/v/{title}/steering"),
        None => format!("{base}/v/{title}/steering"),
    })
}
