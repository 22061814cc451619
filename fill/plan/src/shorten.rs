//! What a plan may not have: more than its bounds, and pulls that cannot be made. Decides nothing
//! else.

use std::collections::{BTreeMap, HashSet};

use control_types::fill::{AppliancePlan, Pull};
use control_types::ids::{ApplianceId, ObjectId};

use crate::plan::Errand;

/// Most objects that a plan names to make room, and most that it moves between kinds of disk: with
/// `Knobs::pulls_max` what bounds its body, see `limits::PLAN_BYTES_MAX`. Least valuable first, so
/// that what is cut is named by the next plan.
const PRUNES_MAX: usize = 400_000;
const MOVES_MAX: usize = 200_000;

/// Most pulls of one box in one plan: a night's worth for a large one, should control fall silent.
pub(crate) const BOX_PULLS_MAX: usize = 3_000;

/// Cuts every list to what one box may have, and in proportion until the plan has at most
/// `pulls_max` pulls.
pub(crate) fn shorten(errands: &mut BTreeMap<usize, Errand>, pulls_max: usize) {
    for errand in errands.values_mut().filter(|errand| errand.wants.len() > BOX_PULLS_MAX) {
        errand.wants.sort_by(|a, b| b.density.total_cmp(&a.density));
        errand.wants.truncate(BOX_PULLS_MAX);
    }
    for (at, share) in shares(errands, pulls_max, |errand| errand.wants.len()) {
        if let Some(errand) = errands.get_mut(&at) {
            errand.wants.sort_by(|a, b| b.density.total_cmp(&a.density));
            errand.wants.truncate(share);
        }
    }
    // Who has nothing to pull or to move is not in the plan.
    errands.retain(|_, errand| !errand.wants.is_empty() || !errand.moves.is_empty());
    for (at, share) in shares(errands, PRUNES_MAX, |errand| errand.prunes.len()) {
        errands.entry(at).and_modify(|errand| errand.prunes.truncate(share));
    }
    for (at, share) in shares(errands, MOVES_MAX, |errand| errand.moves.len()) {
        errands.entry(at).and_modify(|errand| errand.moves.truncate(share));
    }
}

/// How long the list of each may be for all to be `most` at most; nobody's when they are. What
/// short lists leave over goes to the long ones, shortest first.
fn shares(
    errands: &BTreeMap<usize, Errand>,
    most: usize,
    length: impl Fn(&Errand) -> usize,
) -> Vec<(usize, usize)> {
    let mut lengths: Vec<(usize, usize)> =
        errands.iter().map(|(at, errand)| (length(errand), *at)).collect();
    lengths.retain(|(length, _)| *length > 0);
    if lengths.iter().map(|(length, _)| length).sum::<usize>() <= most {
        return Vec::new();
    }
    lengths.sort_unstable();
    let (busy, mut left) = (lengths.len(), most);
    let share = |(done, (length, at)): (usize, (usize, usize))| {
        let share = length.min(left / (busy - done));
        left -= share;
        (at, share)
    };
    lengths.into_iter().enumerate().map(share).collect()
}

/// Drops pulls that nobody can begin: all their sources wait for one that was dropped, or there are
/// none, as where edges may not ask the origin and no tier has it.
pub(crate) fn drop_hopeless(entries: &mut Vec<AppliancePlan>) {
    let is_empty = |pull: &Pull| pull.sources.is_empty();
    if !entries.iter().any(|entry| entry.pulls.iter().any(is_empty)) {
        return;
    }
    loop {
        let pulls = entries.iter().flat_map(|entry| {
            entry.pulls.iter().map(move |pull| (entry.appliance.clone(), pull.object))
        });
        let begun: HashSet<(ApplianceId, ObjectId)> = pulls.collect();
        let can_come = |pull: &Pull| {
            let mut sources = pull.sources.iter();
            sources
                .any(|from| !from.pending || begun.contains(&(from.appliance.clone(), pull.object)))
        };
        entries.iter_mut().for_each(|entry| entry.pulls.retain(can_come));
        if entries.iter().map(|entry| entry.pulls.len()).sum::<usize>() == begun.len() {
            break;
        }
    }
    entries.retain(|entry| !entry.pulls.is_empty() || !entry.moves.is_empty());
}
