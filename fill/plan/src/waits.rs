//! What the pulls of a title at one site wait for: a window, the border, a box elsewhere, or
//! nothing. Looks at the plan and the windows; decides nothing.

use std::collections::{BTreeSet, HashSet};

use control_types::fill::{
    AppliancePlan, FillAppliance, FillState, NightPlan, Pull, Source, SourceKind, WindowScope,
};
use control_types::ids::ObjectId;

use crate::live::{Objects, Standing};
use crate::words;

/// Most names in one sentence.
const NAMES_MAX: usize = 3;

/// Pulls of a title that the plan still asks of a box: at least one.
pub(crate) struct Left<'a> {
    one: &'a FillAppliance,
    part: &'a AppliancePlan,
    pub(crate) pulls: Vec<&'a Pull>,
}

impl<'a> Left<'a> {
    /// What of `objects` the plan still asks of `one`, if anything.
    pub(crate) fn of(
        one: &'a FillAppliance,
        plan: Option<&'a NightPlan>,
        objects: &Objects,
    ) -> Option<Self> {
        let part = plan?.appliances.iter().find(|part| part.appliance == one.appliance)?;
        let held: HashSet<ObjectId> = one.holds.iter().map(|held| held.object).collect();
        let is_left =
            |pull: &&Pull| objects.contains_key(&pull.object) && !held.contains(&pull.object);
        let pulls: Vec<&Pull> = part.pulls.iter().filter(is_left).collect();
        (!pulls.is_empty()).then_some(Self { one, part, pulls })
    }

    fn is_open(&self, state: &FillState) -> bool {
        let open = state.windows.iter().filter(|window| window.is_open(state.now));
        open.into_iter().any(|window| reaches(&window.scope, self.one))
    }

    /// The border leaves it nothing now.
    fn is_shut(&self, state: &FillState) -> bool {
        let Some(rate) = &self.part.rate else { return false };
        let first = rate.steps.first().map(|step| step.rate_bps_max);
        rate.rate_bps_max(state.now).or(first) == Some(0)
    }
}

/// What the pulls of all the site's boxes wait for; `left` has some.
pub(crate) fn waits_for(state: &FillState, left: &[Left<'_>]) -> (Standing, String) {
    let pulls: usize = left.iter().map(|left| left.pulls.len()).sum();
    let count = format!("{pulls} of the plan's pulls");
    let open: Vec<&Left<'_>> = left.iter().filter(|left| left.is_open(state)).collect();
    if open.is_empty() {
        return (Standing::WaitsForWindow, format!("{count}, {}", next_window(state, left)));
    }
    let let_in: Vec<&Left<'_>> = open.iter().filter(|left| !left.is_shut(state)).copied().collect();
    if let_in.is_empty() {
        return (Standing::WaitsForBorder, format!("{count}, {}", next_room(state, &open)));
    }
    let pulls = let_in.iter().flat_map(|left| &left.pulls);
    let nearest: Vec<&Source> = pulls.filter_map(|pull| pull.sources.first()).collect();
    let from = |which: &dyn Fn(&Source) -> bool| -> BTreeSet<&str> {
        let some = nearest.iter().filter(|source| which(source));
        some.map(|source| source.appliance.as_str()).collect()
    };
    let now = from(&|source| !source.pending);
    let elsewhere = from(&|source| source.pending && source.kind != SourceKind::Peer);
    if !now.is_empty() {
        let boxes = let_in.iter().map(|left| left.one.appliance.as_str()).collect();
        (Standing::Planned, format!("{count} by {} from {}", named(&boxes), named(&now)))
    } else if !elsewhere.is_empty() {
        let first = named(&elsewhere);
        (Standing::WaitsForPeer, format!("{count}, until {first} has it"))
    } else {
        let why = "whose source is gone: the next plan names another";
        (Standing::NoSource, format!("{count}, {why}"))
    }
}

fn next_window(state: &FillState, left: &[Left<'_>]) -> String {
    let ahead = state.windows.iter().filter(|window| !window.closed);
    let ahead = ahead.filter(|window| window.opens_at > state.now);
    let own = ahead.filter(|window| left.iter().any(|left| reaches(&window.scope, left.one)));
    own.min_by_key(|window| window.opens_at).map_or_else(
        || "and no window is to come: `ocactl window add` or `open` makes one".to_owned(),
        |window| format!("in window {} from {}", window.id, words::moment(window.opens_at)),
    )
}

fn next_room(state: &FillState, left: &[&Left<'_>]) -> String {
    let steps = left.iter().filter_map(|left| left.part.rate.as_ref()).flat_map(|rate| &rate.steps);
    let later = steps.filter(|step| step.starts_at > state.now && step.rate_bps_max > 0);
    later.map(|step| step.starts_at).min().map_or_else(
        || "and the ISP's border has no room: is it still measured?".to_owned(),
        |at| format!("when the ISP's border has room, from {}", words::moment(at)),
    )
}

fn named(names: &BTreeSet<&str>) -> String {
    let first: Vec<&str> = names.iter().take(NAMES_MAX).copied().collect();
    let more = names.len().saturating_sub(NAMES_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", first.join(", "))
}

fn reaches(scope: &WindowScope, one: &FillAppliance) -> bool {
    match scope {
        WindowScope::Appliance(id) => *id == one.appliance,
        WindowScope::Site(id) => *id == one.site,
        WindowScope::Isp(id) => *id == one.isp,
        WindowScope::Everyone => true,
    }
}
