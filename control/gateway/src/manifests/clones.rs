//! Pathway clones: how a player under way comes to stream from an appliance that its manifest did
//! not name. Pure: ranks nothing; the order of pathways is the caller's.

use control_types::pathway::{Remembered, TICKET, fresh_pathway};
use control_types::play::{PathwayClone, RankedAppliance, UriReplacement};
use control_types::{ApplianceId, UnixMillis};

use super::Stage;
use super::ladder::{audio_groups, videos};

/// Which player asks, as its own query parameter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Hls,
    Dash,
}

/// `url` with the pathways of a manifest that offers `ranked`, whose ticket was signed at `since`.
pub(crate) fn steering_url_of(
    url: &str,
    ranked: &[RankedAppliance],
    since: Option<UnixMillis>,
) -> String {
    let pathways = ranked.iter().map(|one| one.appliance.clone()).collect();
    let since = since.map(UnixMillis::as_seconds);
    url.to_owned() + &Remembered { pathways, since, fresh: None }.query()
}

/// What a player has already.
pub(crate) struct Has<'a> {
    /// Pathways of its manifest; the first is what clones are made from.
    pub pathways: &'a [ApplianceId],
    /// Which renewal of its ticket is due: 0 is the manifest's own.
    pub renewal: u64,
    /// Appliances that it has pathways of with that ticket.
    pub given: &'a [ApplianceId],
    /// The ticket of that renewal, for clones that keep their base's path.
    pub ticket: Option<&'a str>,
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
            Dialect::Dash => UriReplacement {
                host: authority(&ranked.base_url),
                params: has
                    .ticket
                    .map(|text| (TICKET.to_owned(), text.to_owned()))
                    .into_iter()
                    .collect(),
                ..UriReplacement::default()
            },
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
    use control_types::pathway::{appliance_of, pathways_of};

    use super::super::multivariant;
    use super::super::tests::{ranked, record};
    use super::*;

    fn stage_of<T>(use_it: impl FnOnce(&Stage<'_>) -> T) -> T {
        let (record, ranked) = (record(), ranked());
        use_it(&Stage { record: &record, ranked: &ranked, height_max: 1080, steering_url: "s" })
    }

    /// A player that has the manifest's pathways and its ticket.
    fn named(pathways: &[ApplianceId]) -> Has<'_> {
        Has { pathways, renewal: 0, given: pathways, ticket: None }
    }

    #[test]
    fn a_fresh_ticket_comes_with_pathways_of_its_own() {
        stage_of(|stage| {
            let all = pathways_of("edge-a1,edge-b1");
            let has = Has { pathways: &all, renewal: 2, given: &all[..1], ticket: None };
            let made = clones(stage, &has, Dialect::Hls);
            assert_eq!(made.len(), 1);
            assert_eq!((made[0].base_id.as_str(), made[0].id.as_str()), ("edge-a1", "edge-b1.r2"));
            assert_eq!(appliance_of(&made[0].id), Some(all[1].clone()));
        });
    }

    #[test]
    fn the_pathways_of_a_manifest_travel_in_its_steering_url() {
        let url = steering_url_of("https://c.example/s", &ranked(), None);
        assert_eq!(url, "https://c.example/s?pathways=edge-a1,edge-b1");
        let url = steering_url_of("https://c.example/s", &ranked(), Some(UnixMillis(7_900)));
        assert_eq!(url, "https://c.example/s?pathways=edge-a1,edge-b1&since=7");
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
            assert!(made[0].uri_replacement.params.is_empty());
            let all = pathways_of("edge-a1,edge-b1");
            let has = Has { pathways: &all, renewal: 1, given: &[], ticket: Some("fresh") };
            let made = clones(stage, &has, Dialect::Dash);
            assert_eq!((made.len(), made[0].id.as_str()), (2, "edge-a1.r1"));
            assert_eq!(made[1].uri_replacement.params["CAT"], "fresh");
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
