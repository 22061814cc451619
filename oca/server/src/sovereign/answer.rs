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

use std::net::IpAddr;

use control_types::fleet::Role;
use control_types::play::{PathwayClone, SteeringManifest, UriReplacement};
use control_types::spread::{hash_name, mix};
use control_types::{ApplianceId, TitleId, UnixMillis};

use super::ask::{Ask, Dialect};
use super::decide::{Question, decide, edges, is_there};
use super::desk::Outlook;
use super::neighbours::Sighting;
use super::table::{Candidate, Table};
use crate::limits::STEERING_BYTES_MAX;

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
    let named = ask.pathways.iter().flatten().filter(|_| is_later);
    let vouched: Vec<u32> = named.filter_map(position).collect();
    let question = Question {
        address: reply.address,
        title: reply.title,
        title_hash: hash_name(reply.title.as_str()),
        session: session_of(reply.subject),
        current: ask.current.as_ref().and_then(position),
        vouched: &vouched,
    };
    let order = decide(outlook, &question);
    let base = ask.pathways.iter().flatten().find_map(position);
    let base = base.and_then(|at| table.candidates.get(at as usize));
    let mut manifest = SteeringManifest {
        version: 1,
        ttl: table.ttl_s,
        reload_uri: String::new(),
        pathway_priority: Vec::with_capacity(order.len()),
        pathway_clones: Vec::new(),
    };
    for one in order.iter().filter_map(|at| table.candidates.get(*at as usize)) {
        let is_known = ask.pathways.as_ref().is_none_or(|known| known.contains(&one.id));
        if !is_known {
            let Some(clone) = clone_of(one, base, ask.dialect) else { continue };
            manifest.pathway_clones.push(clone);
        }
        manifest.pathway_priority.push(one.id.to_string());
    }
    manifest.pathway_priority.extend(spare(outlook, ask, &manifest.pathway_priority));
    if manifest.pathway_priority.is_empty() {
        return None;
    }
    manifest.reload_uri = reload_uri(outlook, &order, reply, ask)?;
    Some(manifest)
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

/// How `one` is made out of `base`; `None` where a player could not.
///
/// A host replaces a host. To dash.js that is host and port; an HLS player, and Shaka Player in
/// DASH, keep the port they have. Nobody replaces a scheme.
fn clone_of(one: &Candidate, base: Option<&Candidate>, dialect: Dialect) -> Option<PathwayClone> {
    let base = base.filter(|base| base.scheme == one.scheme)?;
    let host = match dialect {
        Dialect::Dash => one.authority(),
        Dialect::Hls | Dialect::DashByName if base.port == one.port => one.host.as_str(),
        Dialect::Hls | Dialect::DashByName => return None,
    };
    Some(PathwayClone {
        base_id: base.id.to_string(),
        id: one.id.to_string(),
        uri_replacement: UriReplacement {
            host: Some(host.to_owned()),
            ..UriReplacement::default()
        },
    })
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
