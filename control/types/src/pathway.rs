//! What a steering URL remembers of a player: the pathways of its manifest, when the ticket in them
//! was signed, and which later ticket it was given pathways of. It travels with the player, so that
//! nobody has to remember what the manifest of a play said; it opens nothing and names no host.

use crate::ids::ApplianceId;
use crate::limits::RANKED_MAX;

/// Query parameter: the pathways of the manifest that the URL was written into.
pub const PATHWAYS: &str = "pathways";

/// Query parameter: when the ticket in the manifest's URLs was signed, Unix seconds.
pub const SINCE: &str = "since";

/// Query parameter: which renewal of the ticket the player has pathways of, and of which
/// appliances: `2:edge-a1,edge-a2`.
pub const FRESH: &str = "fresh";

/// Query parameter of a media URL that carries a ticket (CTA-5007).
pub const TICKET: &str = "CAT";

/// Pathways with a later ticket than the manifest's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fresh {
    /// The how-manieth ticket after the manifest's.
    pub renewal: u64,
    /// Appliances that the player has pathways of with it, at most `RANKED_MAX`.
    pub given: Vec<ApplianceId>,
}

impl Fresh {
    /// Of the parameter's value; `None` for what is none.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let (renewal, ids) = text.split_once(':')?;
        Some(Self { renewal: renewal.parse().ok()?, given: pathways_of(ids) })
    }
}

/// What the next question of a player comes with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Of the manifest.
    pub pathways: Vec<ApplianceId>,
    /// When the manifest's ticket was signed, Unix seconds.
    pub since: Option<u64>,
    /// What of later tickets it was given.
    pub fresh: Option<Fresh>,
}

impl Remembered {
    /// The query, with its question mark. Ids are slugs: nothing in them needs an escape.
    #[must_use]
    pub fn query(&self) -> String {
        let mut query = format!("?{PATHWAYS}={}", listed(&self.pathways));
        if let Some(since) = self.since {
            query += &format!("&{SINCE}={since}");
        }
        if let Some(Fresh { renewal, given }) = &self.fresh {
            query += &format!("&{FRESH}={renewal}:{}", listed(given));
        }
        query
    }
}

fn listed(ids: &[ApplianceId]) -> String {
    let ids: Vec<&str> = ids.iter().map(ApplianceId::as_str).collect();
    ids.join(",")
}

/// The pathway of an appliance whose URLs carry the `renewal`th ticket after the manifest's:
/// another one than that of the ticket before, because a player takes a pathway's URLs once. A dot
/// is in no id of an appliance.
#[must_use]
pub fn fresh_pathway(appliance: &str, renewal: u64) -> String {
    match renewal {
        0 => appliance.to_owned(),
        renewal => format!("{appliance}.r{renewal}"),
    }
}

/// The appliance of a pathway, whatever ticket it carries; players may write it in quotes.
#[must_use]
pub fn appliance_of(pathway: &str) -> Option<ApplianceId> {
    let pathway = pathway.trim_matches('"');
    pathway.split_once('.').map_or(pathway, |(appliance, _)| appliance).parse().ok()
}

/// The pathways that `text` names, at most as many as a manifest can have. What is no id is left
/// out: a player that sends it loses a clone and nothing else.
#[must_use]
pub fn pathways_of(text: &str) -> Vec<ApplianceId> {
    text.split(',').take(RANKED_MAX).filter_map(|id| id.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_comes_back() {
        let ids = pathways_of("edge-a1,edge-b1,../x,,%00");
        assert_eq!(ids.len(), 2);
        assert_eq!(pathways_of(&"a1,".repeat(1000)).len(), RANKED_MAX);
        let mut known = Remembered { pathways: ids.clone(), ..Remembered::default() };
        assert_eq!(known.query(), "?pathways=edge-a1,edge-b1");
        known.since = Some(7);
        known.fresh = Some(Fresh { renewal: 2, given: ids[..1].to_vec() });
        assert_eq!(known.query(), "?pathways=edge-a1,edge-b1&since=7&fresh=2:edge-a1");
        assert_eq!(Fresh::of("2:edge-a1"), known.fresh);
        for bad in ["edge-a1", "x:edge-a1", "-1:edge-a1", ""] {
            assert_eq!(Fresh::of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_pathway_is_an_appliance_and_a_ticket() {
        let id = pathways_of("edge-a1").pop();
        assert_eq!(appliance_of("\"edge-a1\""), id);
        assert_eq!(appliance_of(&fresh_pathway("edge-a1", 17)), id);
        assert_eq!(fresh_pathway("edge-a1", 0), "edge-a1");
        assert_eq!(appliance_of("../x"), None);
    }
}
