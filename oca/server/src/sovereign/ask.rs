//! What a player's steering question says beside its path: the pathways of its manifest, where it
//! streams from, and by that which dialect it speaks. Borrows nothing; what it cannot read it
//! forgives.

use control_types::ApplianceId;
use control_types::pathway::{
    FRESH, Fresh, PATHWAYS, Remembered, SINCE, appliance_of, pathways_of,
};

/// Query parameters that players append: the pathway they stream from.
const HLS: &str = "_HLS_pathway";
const DASH: &str = "_DASH_pathway";

/// Which player asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Or one that does not say.
    #[default]
    Hls,
    /// DASH-IF Content Steering, as it is written: dash.js.
    Dash,
    /// DASH by a player that writes no quotes around its pathway: Shaka Player, which sets a
    /// clone's host as a name and leaves the base's where it is none, so that it streams from the
    /// base and thinks that it does not.
    DashByName,
}

/// A player's question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Of the player's manifest, at most `RANKED_MAX`; absent: it does not say.
    pub pathways: Option<Vec<ApplianceId>>,
    /// When the ticket of its manifest was signed, Unix seconds, as control wrote it.
    pub since: Option<u64>,
    /// What of later tickets it was given.
    pub fresh: Option<Fresh>,
    /// Where it streams from.
    pub current: Option<ApplianceId>,
    /// Which clones it understands.
    pub dialect: Dialect,
}

impl Ask {
    /// The question of `query`; what is no id in it is left out.
    #[must_use]
    pub fn of(query: Option<&str>) -> Self {
        let mut ask = Self::default();
        for pair in query.unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                PATHWAYS if ask.pathways.is_none() => {
                    ask.pathways = Some(pathways_of(&plain(value).replace('"', "")));
                }
                SINCE if ask.since.is_none() => ask.since = value.parse().ok(),
                FRESH if ask.fresh.is_none() => {
                    ask.fresh = Fresh::of(&plain(value)).filter(|fresh| fresh.renewal > 0);
                }
                DASH => {
                    let is_quoted = value.starts_with('"') || value.starts_with("%22");
                    ask.dialect = if is_quoted { Dialect::Dash } else { Dialect::DashByName };
                    ask.current = current(value);
                }
                HLS if ask.dialect == Dialect::Hls => ask.current = current(value),
                _ => {}
            }
        }
        ask
    }

    /// The query that the next question comes with.
    #[must_use]
    pub fn again(&self) -> String {
        let Some(pathways) = self.pathways.clone() else { return String::new() };
        Remembered { pathways, since: self.since, fresh: self.fresh.clone() }.query()
    }
}

/// Players escape some of what was written plain.
fn plain(value: &str) -> String {
    let escapes = [("%2C", ","), ("%2c", ","), ("%3A", ":"), ("%3a", ":"), ("%22", "\"")];
    escapes.iter().fold(value.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

/// The first of what may be a list, in quotes or not: players write both.
fn current(value: &str) -> Option<ApplianceId> {
    plain(value).split(',').next().and_then(appliance_of)
}

#[cfg(test)]
mod tests {
    use control_types::limits::RANKED_MAX;

    use super::*;

    #[test]
    fn players_write_it_as_they_like() {
        let ask = Ask::of(Some("pathways=edge-a1,edge-b1&_HLS_pathway=edge-b1&_HLS_throughput=9"));
        assert_eq!(ask.again(), "?pathways=edge-a1,edge-b1");
        assert_eq!((ask.current.unwrap().as_str(), ask.dialect), ("edge-b1", Dialect::Hls));
        let ask = Ask::of(Some("pathways=edge-a1%2Cedge-b1&_DASH_pathway=%22edge-a1%22&x"));
        assert_eq!(ask.again(), "?pathways=edge-a1,edge-b1");
        assert_eq!((ask.current.unwrap().as_str(), ask.dialect), ("edge-a1", Dialect::Dash));
        let ask = Ask::of(Some("_DASH_pathway=edge-a1&_DASH_throughput=9"));
        assert_eq!((ask.current.unwrap().as_str(), ask.dialect), ("edge-a1", Dialect::DashByName));
        assert_eq!(Ask::of(None), Ask::default());
        assert_eq!(Ask::of(Some("_DASH_pathway=%22a%22,%22b%22")).current.unwrap().as_str(), "a");
    }

    #[test]
    fn what_control_wrote_down_goes_on_to_the_next_question() {
        let ask = Ask::of(Some(
            "pathways=edge-a1%2Cedge-b1&since=7&fresh=2%3Aedge-a1%2Cedge-b1\
             &_HLS_pathway=edge-b1.r2",
        ));
        let again = "?pathways=edge-a1,edge-b1&since=7&fresh=2:edge-a1,edge-b1";
        assert_eq!(ask.again(), again);
        assert_eq!(Ask::of(Some(&again[1..])).again(), again);
        assert_eq!(ask.current.unwrap().as_str(), "edge-b1");
        let bad = "pathways=edge-a1&since=-1&fresh=0:edge-a1&fresh=1&renew=https://evil.example";
        assert_eq!(Ask::of(Some(bad)).again(), "?pathways=edge-a1");
    }

    #[test]
    fn what_is_no_id_costs_nothing_else() {
        let ask = Ask::of(Some("pathways=../x,edge-a1,,%00&_HLS_pathway=<script>"));
        assert_eq!((ask.again().as_str(), &ask.current), ("?pathways=edge-a1", &None));
        let many = format!("pathways={}&pathways=b", "a1,".repeat(1000));
        assert_eq!(Ask::of(Some(&many)).pathways.unwrap().len(), RANKED_MAX);
        assert_eq!(Ask::of(Some("pathways=")).again(), "?pathways=");
    }
}
