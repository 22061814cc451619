//! Pathway clones: how a player under way comes to stream from an appliance that its manifest did
//! not name. Pure: ranks nothing; the order of pathways is the caller's.

use control_types::ApplianceId;
use control_types::limits::RANKED_MAX;
use control_types::play::{PathwayClone, RankedAppliance, UriReplacement};

use super::Stage;
use super::ladder::{audio_groups, videos};

/// Query parameter of a steering URL: when the ticket in the manifest's URLs was signed, Unix
/// seconds.
pub(crate) const SINCE: &str = "since";

/// Query parameter of a steering URL: which renewal of the ticket the player has pathways of, and
/// of which appliances: `2:edge-a1,edge-a2`.
pub(crate) const FRESH: &str = "fresh";

/// Query parameter of a steering URL: the pathways of the manifest that the URL was written into.
/// It travels with the player, so that nobody has to remember what the manifest of a play said.
pub(crate) const PATHWAYS: &str = "pathways";

/// Which player asks, as its own query parameter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Hls,
    Dash,
}

/// `url` with the pathways of a manifest that offers `ranked`.
pub(crate) fn steering_url_of(url: &str, ranked: &[RankedAppliance]) -> String {
    let ids: Vec<&str> = ranked.iter().map(|one| one.appliance.as_str()).collect();
    // Ids are slugs: nothing in them needs an escape.
    format!("{url}?{PATHWAYS}={}", ids.join(","))
}

/// The pathway of an appliance whose URLs carry the `renewal`th ticket after the manifest's:
/// another one than that of the ticket before, because a player takes a pathway's URLs once. A dot
/// is in no id of an appliance.
pub(crate) fn fresh_pathway(appliance: &str, renewal: u64) -> String {
    match renewal {
        0 => appliance.to_owned(),
        renewal => format!("{appliance}.r{renewal}"),
    }
}

/// The appliance of a pathway, whatever ticket it carries.
pub(crate) fn appliance_of(pathway: &str) -> Option<ApplianceId> {
    let pathway = pathway.trim_matches('"');
    pathway.split_once('.').map_or(pathway, |(appliance, _)| appliance).parse().ok()
}

/// Which renewal, and which appliances the player has pathways of with it.
pub(crate) fn fresh_of(text: &str) -> Option<(u64, Vec<ApplianceId>)> {
    let (renewal, ids) = text.split_once(':')?;
    Some((renewal.parse().ok()?, pathways_of(ids)))
}

/// The pathways that `text` names, at most as many as a manifest can have. What is no id is left
/// out: a player that sends it loses a clone and nothing else.
pub(crate) fn pathways_of(text: &str) -> Vec<ApplianceId> {
    text.split(',').take(RANKED_MAX).filter_map(|id| id.parse().ok()).collect()
}

/// What a player has already.
pub(crate) struct Has<'a> {
    /// Pathways of its manifest; the first is what clones are made from.
    pub pathways: &'a [ApplianceId],
    /// Which renewal of its ticket is due: 0 is the manifest's own.
    pub renewal: u64,
    /// Appliances that it has pathways of with that ticket.
    pub given: &'a [ApplianceId],
}

/// Clones for every appliance of the stage that the player has no pathway of.
pub(crate) fn clones(stage: &Stage<'_>, has: &Has<'_>, dialect: Dialect) -> Vec<PathwayClone> {
    let Some(base) = has.pathways.first() else { return Vec::new() };
    let is_new = |ranked: &&RankedAppliance| !has.given.contains(&ranked.appliance);
    let clone = |ranked: &RankedAppliance| PathwayClone {
        base_id: base.to_string(),
        id: fresh_pathway(ranked.appliance.as_str(), has.renewal),
        uri_replacement: match dialect {
            Dialect::Hls => UriReplacement {
                // For Shaka Player, which knows no whole URIs and takes a host name without a port:
                // right for all boxes that listen on one port, as boxes of a real network do.
                host: authority(&ranked.base_url).map(|host| without_port(&host).to_owned()),
                ..whole_uris(stage, &ranked.base_url)
            },
            Dialect::Dash => {
                UriReplacement { host: authority(&ranked.base_url), ..UriReplacement::default() }
            }
        },
    };
    stage.ranked.iter().filter(is_new).map(clone).collect()
}

fn whole_uris(stage: &Stage<'_>, base_url: &str) -> UriReplacement {
    let mut uris = UriReplacement::default();
    let groups = audio_groups(stage.record);
    for video in videos(stage.record, stage.height_max) {
        let playlist = video.rendition.playlist;
        for number in 0..groups.len().max(1) {
            let uri = format!("{base_url}{playlist}.m3u8");
            uris.per_variant_uris.insert(format!("{playlist}-{number}"), uri);
        }
    }
    for audio in groups.iter().flat_map(|group| &group.languages) {
        let playlist = audio.rendition.playlist;
        let uri = format!("{base_url}{playlist}.m3u8");
        uris.per_rendition_uris.insert(playlist.to_string(), uri);
    }
    uris
}

/// `host[:port]` of an absolute URL.
fn authority(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    rest.split('/').next().map(str::to_owned)
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::super::multivariant;
    use super::super::tests::{ranked, record};
    use super::*;

    fn stage_of<T>(use_it: impl FnOnce(&Stage<'_>) -> T) -> T {
        let (record, ranked) = (record(), ranked());
        use_it(&Stage { record: &record, ranked: &ranked, height_max: 1080, steering_url: "s" })
    }

    /// A player that has the manifest's pathways and its ticket.
    fn named(pathways: &[ApplianceId]) -> Has<'_> {
        Has { pathways, renewal: 0, given: pathways }
    }

    #[test]
    fn a_fresh_ticket_comes_with_pathways_of_its_own() {
        stage_of(|stage| {
            let all = pathways_of("edge-a1,edge-b1");
            let has = Has { pathways: &all, renewal: 2, given: &all[..1] };
            let made = clones(stage, &has, Dialect::Hls);
            assert_eq!(made.len(), 1);
            assert_eq!((made[0].base_id.as_str(), made[0].id.as_str()), ("edge-a1", "edge-b1.r2"));
            assert_eq!(appliance_of(&made[0].id), Some(all[1].clone()));
        });
        assert_eq!(appliance_of("\"edge-a1\""), appliance_of("edge-a1.r17"));
        assert_eq!(fresh_pathway("edge-a1", 0), "edge-a1");
        let (renewal, given) = fresh_of("3:edge-a1,../x").unwrap();
        assert_eq!((renewal, given.len()), (3, 1));
        assert!(fresh_of("edge-a1").is_none() && fresh_of("x:edge-a1").is_none());
    }

    #[test]
    fn the_pathways_of_a_manifest_travel_in_its_steering_url() {
        let url = steering_url_of("https://c.example/s", &ranked());
        assert_eq!(url, "https://c.example/s?pathways=edge-a1,edge-b1");
        let ids = pathways_of("edge-a1,edge-b1");
        assert_eq!(ids, ranked().iter().map(|r| r.appliance.clone()).collect::<Vec<_>>());
        assert_eq!(pathways_of("../x,edge-a1,,%00").len(), 1);
        assert_eq!(pathways_of(&"a1,".repeat(1000)).len(), RANKED_MAX);
    }

    /// Goal: a clone plays what a pathway of the manifest would have: every URI of the new pathway
    /// that a manifest written today has is in the clone under the id that yesterday's gave it.
    #[test]
    fn an_hls_clone_has_a_uri_for_every_stable_id() {
        stage_of(|stage| {
            let made = clones(stage, &named(&["edge-b1".parse().unwrap()]), Dialect::Hls);
            assert_eq!(made.len(), 1);
            assert_eq!((made[0].base_id.as_str(), made[0].id.as_str()), ("edge-b1", "edge-a1"));
            let uris = &made[0].uri_replacement;
            let text = multivariant(stage);
            let lines: Vec<&str> = text.lines().collect();
            let mut seen = 0;
            for (line, next) in lines.iter().zip(&lines[1..]) {
                if line.contains("PATHWAY-ID=\"edge-a1\"") && line.starts_with("#EXT-X-STREAM") {
                    let id = line.split("STABLE-VARIANT-ID=\"").nth(1).unwrap();
                    let id = id.split('"').next().unwrap();
                    assert_eq!(uris.per_variant_uris[id], **next);
                    seen += 1;
                }
            }
            assert_eq!((seen, uris.per_variant_uris.len()), (6, 6));
            assert_eq!(uris.per_rendition_uris.len(), 3);
            assert!(uris.per_rendition_uris.values().all(|uri| text.contains(uri)));
            assert_eq!(uris.host.as_deref(), Some("edge-a1.example"));
        });
    }

    #[test]
    fn a_dash_clone_has_host_and_port() {
        stage_of(|stage| {
            let made = clones(stage, &named(&["edge-a1".parse().unwrap()]), Dialect::Dash);
            assert_eq!(made[0].uri_replacement.host.as_deref(), Some("edge-b1.example"));
            assert!(made[0].uri_replacement.per_variant_uris.is_empty());
        });
        assert_eq!(authority("https://[::1]:9443/t/x/").as_deref(), Some("[::1]:9443"));
        for (given, host) in [("[::1]:9443", "[::1]"), ("[::1]", "[::1]"), ("a.b:1", "a.b")] {
            assert_eq!(without_port(given), host);
        }
    }

    #[test]
    fn a_manifest_that_named_all_of_them_needs_no_clone() {
        stage_of(|stage| {
            let all = pathways_of("edge-a1,edge-b1,gone-1");
            assert!(clones(stage, &named(&all), Dialect::Hls).is_empty());
            assert!(clones(stage, &named(&[]), Dialect::Hls).is_empty(), "no base to clone");
        });
    }
}
