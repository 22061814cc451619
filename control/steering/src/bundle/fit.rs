//! What of one ISP's networks and titles goes into its bundle: all of it, or as much as its bounds
//! have room for. Counts what it leaves out; orders nothing.

use ahash::AHashMap;
use control_types::limits::{
    BUNDLE_AREAS_MAX, BUNDLE_PLACES_MAX, BUNDLE_PREFIXES_MAX, BUNDLE_TITLES_MAX,
};

use super::areas::{Area, Areas};
use super::limits::{PLACE_BYTES, PREFIX_BYTES, TITLE_BYTES};
use super::{Draft, holders};

impl Draft {
    /// Adds the networks that fit, the shorter first, with the areas they need; answers their
    /// bytes.
    pub(super) fn fill_networks(
        &mut self,
        areas: &Areas,
        places: &AHashMap<u32, u32>,
        bytes_max: usize,
    ) -> usize {
        let mut numbers: AHashMap<u32, u32> = AHashMap::new();
        let (mut bytes, mut places_left) = (0, BUNDLE_PLACES_MAX);
        let bundle = &mut self.bundle;
        let mut number_of = |area: u32, bytes: &mut usize, room: usize, out: &mut Vec<Area>| {
            if let Some(number) = numbers.get(&area) {
                return Some(*number);
            }
            let area_out = areas.areas[area as usize].filtered(|at| places.get(&at).copied());
            let count: usize = area_out.groups.iter().map(Vec::len).sum();
            let more = (count + 2 * area_out.groups.len() + 2) * PLACE_BYTES;
            if out.len() >= BUNDLE_AREAS_MAX || count > places_left || *bytes + more > room {
                return None;
            }
            places_left -= count;
            *bytes += more;
            let number = out.len() as u32;
            out.push(area_out);
            numbers.insert(area, number);
            Some(number)
        };
        let mut told = Vec::new();
        // The first area always fits: its bound is far below that of a bundle.
        bundle.anywhere =
            number_of(areas.anywhere, &mut bytes, bytes_max, &mut told).unwrap_or_default();
        for (prefix, area) in &areas.prefixes {
            let text = prefix.to_string();
            let more = text.len() + PREFIX_BYTES;
            let room = bytes_max.saturating_sub(more);
            let fits = bundle.prefixes.len() < BUNDLE_PREFIXES_MAX && bytes <= room;
            let number = fits.then(|| number_of(*area, &mut bytes, room, &mut told));
            // All after it are as long or longer; a shorter one is never lost for theirs.
            let Some(number) = number.flatten() else { break };
            bytes += more;
            bundle.prefixes.push((text, number));
        }
        bundle.classes = classes(&told);
        bundle.areas = told.into_iter().map(|area| area.groups).collect();
        self.cut.prefixes = (areas.prefixes.len() - bundle.prefixes.len()) as u64;
        bytes
    }

    pub(super) fn fill_titles(&mut self, mut listed: Vec<holders::Listed<'_>>, bytes_max: usize) {
        let bytes = |one: &holders::Listed<'_>| {
            TITLE_BYTES + one.title.as_str().len() + one.holders.full.len() + one.holders.part.len()
        };
        let all = listed.len();
        let fits = all <= BUNDLE_TITLES_MAX && listed.iter().map(bytes).sum::<usize>() <= bytes_max;
        if !fits {
            listed.sort_by(|a, b| (b.count, a.title).cmp(&(a.count, b.title)));
            let mut left = bytes_max;
            let kept = listed.iter().take(BUNDLE_TITLES_MAX).take_while(|one| {
                let after = left.checked_sub(bytes(one));
                left = after.unwrap_or(0);
                after.is_some()
            });
            let kept = kept.count();
            listed.truncate(kept);
        }
        self.cut.titles = (all - listed.len()) as u64;
        self.bundle.titles =
            listed.into_iter().map(|one| (one.title.clone(), one.holders)).collect();
    }
}

/// As bundles say them: an area whose groups are a class each has nothing to say, and when none has
/// nothing is said.
fn classes(areas: &[Area]) -> Vec<Vec<u16>> {
    let of = |area: &Area| {
        let is_plain = area.classes.windows(2).all(|pair| pair[0] != pair[1]);
        if is_plain { Vec::new() } else { area.classes.clone() }
    };
    let all: Vec<Vec<u16>> = areas.iter().map(of).collect();
    if all.iter().all(Vec::is_empty) { Vec::new() } else { all }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use control_types::bundle::{BundleCut, SteeringBundle};
    use control_types::fleet::TicketKeys;
    use control_types::spread::LoadRule;
    use control_types::{TitleId, UnixMillis};

    use super::*;

    fn empty() -> Draft {
        let bundle = SteeringBundle {
            v: 1,
            serial: 0,
            isp: "isp".parse().unwrap(),
            made_at: UnixMillis(0),
            ttl_s: 10,
            control_url: None,
            drain_spread_ms: 0,
            appliances: Vec::new(),
            areas: Vec::new(),
            classes: Vec::new(),
            load_rule: LoadRule::default(),
            prefixes: Vec::new(),
            anywhere: 0,
            titles: BTreeMap::new(),
            ticket_keys: TicketKeys::default(),
        };
        Draft { bundle, cut: BundleCut::default() }
    }

    /// Goal: whatever the bound, what is left is right for somebody around those who were cut.
    #[test]
    fn networks_are_cut_from_the_longest_and_their_bytes_are_never_more_than_counted() {
        let nets = ["10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16", "10.1.1.0/24", "2001:db8::/48"];
        let prefixes = nets.iter().zip([1, 2, 1, 3, 2]);
        let areas = Areas {
            areas: [vec![vec![9]], vec![vec![5], vec![9]], vec![vec![7], vec![9]], vec![]]
                .map(|groups| Area { classes: vec![0; groups.len()], groups })
                .to_vec(),
            prefixes: prefixes.map(|(net, area)| (net.parse().unwrap(), area)).collect(),
            anywhere: 0,
            places_cut: 0,
        };
        // 7 is an appliance that did not fit.
        let places: AHashMap<u32, u32> = [(5, 0), (9, 1)].into_iter().collect();
        let mut counts = Vec::new();
        for bytes_max in (0..400).map(|more| 5 * PLACE_BYTES + more) {
            let mut draft = empty();
            let bytes = draft.fill_networks(&areas, &places, bytes_max);
            let bundle = &draft.bundle;
            let kept = bundle.prefixes.len();
            assert!(bytes <= bytes_max && draft.cut.prefixes == (nets.len() - kept) as u64);
            let names = bundle.prefixes.iter().map(|(text, _)| text.as_str());
            assert!(names.eq(nets[..kept].iter().copied()), "{:?}", bundle.prefixes);
            let json = [
                serde_json::to_string(&bundle.areas).unwrap(),
                serde_json::to_string(&bundle.prefixes).unwrap(),
                serde_json::to_string(&bundle.classes).unwrap(),
            ];
            assert!(json.concat().len() <= bytes + "[][][]".len(), "{json:?}");
            assert_eq!(bundle.areas[bundle.anywhere as usize], [vec![1]]);
            counts.push(kept);
        }
        assert!(counts.is_sorted() && counts.first() == Some(&0));
        assert_eq!(counts.last(), Some(&nets.len()));
    }

    #[test]
    fn titles_with_the_fewest_holders_are_cut() {
        let ids: Vec<TitleId> = ["a", "b", "c"].map(|id| id.parse().unwrap()).to_vec();
        let listed = || {
            let counts = ids.iter().zip([2, 1, 3]);
            let one = |(title, count)| {
                let holders = control_types::bundle::TitleHolders::default();
                holders::Listed { title, holders, count }
            };
            counts.map(one).collect::<Vec<_>>()
        };
        let kept = |bytes_max: usize| {
            let mut draft = empty();
            draft.fill_titles(listed(), bytes_max);
            assert_eq!(draft.cut.titles as usize, 3 - draft.bundle.titles.len());
            draft.bundle.titles.into_keys().map(|id| id.to_string()).collect::<String>()
        };
        let one = TITLE_BYTES + 1;
        assert_eq!(kept(3 * one), "abc");
        assert_eq!(kept(3 * one - 1), "ac");
        assert_eq!(kept(2 * one - 1), "c");
        assert_eq!(kept(one - 1), "");
    }
}
