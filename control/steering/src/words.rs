//! A decision in words: the list for players, and every verdict with the rule that really applied.
//! Decides nothing; each rule and exclusion of `rank.rs` has one word and one sentence here.

use control_types::fleet::{Link, Role, SteerCandidate, SteerExplanation};
use control_types::{ApplianceId, SiteId};

use crate::decide::{Decision, Question, Ranked};
use crate::limits::EXPLAINED_MAX;
use crate::policy::Rule;
use crate::rank::{Exclusion, Outcome, Place, Standing, Verdict, Way};

/// Every rule with its word: the code in lists, logs and metrics, in the order of the enum.
pub(crate) const RULES: [(Rule, &str); 19] = [
    (Rule::Absent, "absent"),
    (Rule::Late, "late"),
    (Rule::Shunned, "shunned"),
    (Rule::Fallback, "fallback"),
    (Rule::Partial, "partial"),
    (Rule::Full, "full"),
    (Rule::Role, "role"),
    (Rule::Prefix, "prefix"),
    (Rule::AsPath, "as_path"),
    (Rule::Origin, "origin"),
    (Rule::Med, "med"),
    (Rule::Link, "link"),
    (Rule::Headroom, "headroom"),
    (Rule::Distance, "distance"),
    (Rule::Spread, "spread"),
    (Rule::Spill, "spill"),
    (Rule::Current, "current"),
    (Rule::Domain, "domain"),
    (Rule::Only, "only"),
];

/// Every outcome with its word.
pub(crate) const OUTCOMES: [(Outcome, &str); 5] = [
    (Outcome::Hit, "hit"),
    (Outcome::Content, "content"),
    (Outcome::Health, "health"),
    (Outcome::Route, "route"),
    (Outcome::Policy, "policy"),
];

/// The word of an outcome.
#[must_use]
pub(crate) fn outcome_word(outcome: Outcome) -> &'static str {
    OUTCOMES[outcome as usize].1
}

impl Decision<'_> {
    /// The ranked list, at most `RANKED_MAX`.
    #[must_use]
    pub fn ranked(&self) -> Vec<Ranked> {
        let places = self.verdicts[..self.ranking.len].iter().filter_map(|verdict| {
            let number = verdict.standing.place as usize;
            let one = self.fleet.registry.index.boxes.get(number)?;
            let site = self.fleet.registry.index.sites.get(one.site as usize)?;
            Some(Ranked {
                appliance: one.id.clone(),
                site: site.id.clone()?,
                media_url: self.fleet.states[number].seen.as_ref()?.report.media_url.clone(),
                reason: reason(verdict, self.ranking.last_good),
            })
        });
        places.collect()
    }

    /// The code of the first place and of how it came about: `prefix/hit`; `nobody` without one.
    #[must_use]
    pub fn code(&self) -> String {
        let Some(first) = self.verdicts[..self.ranking.len].first() else {
            return "nobody".to_owned();
        };
        let outcome = outcome_word(self.ranking.outcome);
        format!("{}/{outcome}", reason(first, self.ranking.last_good))
    }

    /// Every candidate's verdict with its rule in words, then appliances that were no candidates.
    #[must_use]
    pub fn explanation(&self, question: &Question<'_>) -> SteerExplanation {
        let index = &self.fleet.registry.index;
        let site_of = |site: u32| index.sites.get(site as usize).and_then(|site| site.id.clone());
        let mut listed: Vec<&Verdict> = self.verdicts[self.ranking.len..].iter().collect();
        listed.sort_by_key(|verdict| verdict.standing.place);
        let ranked = self.verdicts[..self.ranking.len].iter();
        let asked = ranked.chain(listed).filter_map(|verdict| {
            let one = index.boxes.get(verdict.standing.place as usize)?;
            let (id, site) = (one.id.clone(), site_of(one.site)?);
            Some(candidate(id, site, verdict, self.ranking.last_good))
        });
        let mut candidates: Vec<SteerCandidate> = asked.collect();
        let is_asked: std::collections::HashSet<u32> =
            self.verdicts.iter().map(|verdict| verdict.standing.place).collect();
        let others = (0u32..).zip(&index.boxes).filter(|(number, _)| !is_asked.contains(number));
        candidates.extend(others.take(EXPLAINED_MAX).filter_map(|(_, one)| {
            let (reason, because) = match one.role {
                Role::Edge => ("not_announced", "no prefix that holds this address was announced"),
                Role::Tier | Role::Origin => ("far", "other tiers or origins are nearer"),
            };
            Some(SteerCandidate {
                appliance: one.id.clone(),
                site: site_of(one.site)?,
                rank: None,
                reason: reason.to_owned(),
                because: match one.role {
                    Role::Edge => format!("excluded, because {because} to its site: no prefix"),
                    Role::Tier | Role::Origin => format!("not asked, because {because}"),
                },
            })
        }));
        SteerExplanation {
            ip: question.ip.to_string(),
            title: question.title.to_string(),
            matched_prefix: self.matched_prefix.map(|prefix| prefix.to_string()),
            outcome: outcome_word(self.ranking.outcome).to_owned(),
            decided_at: None,
            candidates,
        }
    }
}

/// One line of an explanation.
pub(crate) fn candidate(
    appliance: ApplianceId,
    site: SiteId,
    verdict: &Verdict,
    last_good: bool,
) -> SteerCandidate {
    SteerCandidate {
        appliance,
        site,
        rank: match verdict.place {
            Place::Ranked { rank, .. } => Some(rank),
            Place::Excluded(_) => None,
        },
        reason: reason(verdict, last_good),
        because: because(verdict, last_good),
    }
}

fn reason(verdict: &Verdict, last_good: bool) -> String {
    let (word, is_ranked) = match verdict.place {
        Place::Ranked { rule, .. } => (RULES[rule as usize].1, true),
        Place::Excluded(exclusion) => (exclusion_word(exclusion), false),
    };
    let last_good = last_good || verdict.standing.is_doubted;
    if last_good && is_ranked { format!("last_good+{word}") } else { word.to_owned() }
}

fn because(verdict: &Verdict, last_good: bool) -> String {
    let standing = &verdict.standing;
    match verdict.place {
        Place::Ranked { rank, rule } => {
            let spare = if last_good {
                "nothing is known good now, so the last good are offered; "
            } else if standing.is_doubted {
                "it is silent, but so are too many others to believe it; "
            } else {
                ""
            };
            let why = rule_sentence(rule, rank);
            format!("{spare}{why}: {}", standing_words(standing))
        }
        Place::Excluded(exclusion) => exclusion_sentence(exclusion, standing),
    }
}

fn rule_sentence(rule: Rule, rank: u32) -> &'static str {
    let first = rank == 1;
    match rule {
        Rule::Absent if first => "first, because the next holds nothing of the title",
        Rule::Absent => "a last resort, because it reports nothing of the title",
        Rule::Late if first => "first, because the next one's report is overdue",
        Rule::Late => "below the one before, because its report is overdue",
        Rule::Shunned if first => "first, because players complain of the next",
        Rule::Shunned => "below the one before, because players complain of it",
        Rule::Fallback if first => "first, because the next is the origin, everyone's spare",
        Rule::Fallback => "after all others, because it is the origin, everyone's spare",
        Rule::Partial if first => "first, because the next holds only part of the title",
        Rule::Partial => "below the one before, because it holds only part of the title",
        Rule::Full if first => "first, because the next has no room for more members",
        Rule::Full => "below the one before, because it has no room for more members",
        Rule::Role if first => "first, by role: edges before tiers",
        Rule::Role => "below the one before, by role: edges before tiers",
        Rule::Prefix if first => "first, by the longer announced prefix",
        Rule::Prefix => "below the one before, by a shorter announced prefix",
        Rule::AsPath if first => "first, by the shorter AS path",
        Rule::AsPath => "below the one before, by its longer AS path",
        Rule::Origin if first => "first, by the origin of its route",
        Rule::Origin => "below the one before, by the origin of its route",
        Rule::Med if first => "first, by the lower MED of its route",
        Rule::Med => "below the one before, by the higher MED of its route",
        Rule::Link if first => "first, by the better link to the member",
        Rule::Link => "below the one before, by its link to the member",
        Rule::Headroom if first => "first, by the lower load",
        Rule::Headroom => "below the one before, by its higher load",
        Rule::Distance if first => "first, by the shorter distance",
        Rule::Distance => "below the one before, by its greater distance",
        Rule::Spread if first => "first among equals, by the hash of title and appliance",
        Rule::Spread => "equal to the one before, below it by the hash of title and appliance",
        Rule::Spill if first => "moved up: the first by hash carries more than its share",
        Rule::Spill => "made room: it carries more than its share of what equals carry",
        Rule::Current if first => "stays first: the session streams from it, and none is better",
        Rule::Current => "made room for the appliance that the session streams from",
        Rule::Domain if rank == 2 => "moved up, so that no failure domain has both first places",
        Rule::Domain => "made room for another failure domain in second place",
        Rule::Only => "the only one that may be offered",
    }
}

fn exclusion_word(exclusion: Exclusion) -> &'static str {
    match exclusion {
        Exclusion::NotAnnounced => "not_announced",
        Exclusion::Unheard => "unheard",
        Exclusion::Silent => "silent",
        Exclusion::Sick => "sick",
        Exclusion::Draining => "draining",
        Exclusion::Absent => "absent",
        Exclusion::ListFull => "list_full",
    }
}

fn exclusion_sentence(exclusion: Exclusion, standing: &Standing) -> String {
    let why = match exclusion {
        Exclusion::NotAnnounced => "no prefix that holds this address was announced to its site",
        Exclusion::Unheard => "it has not reported since control started",
        Exclusion::Silent => "its reports stopped, or have only just begun again",
        Exclusion::Sick => "its disks or its error rate are bad",
        Exclusion::Draining => "it is draining: it serves what it has begun and takes nothing new",
        Exclusion::Absent => "it holds nothing of this title",
        Exclusion::ListFull => "the list is full with better ones",
    };
    format!("excluded, because {why}: {}", standing_words(standing))
}

/// The values that the rules looked at.
fn standing_words(standing: &Standing) -> String {
    let prefix = match standing.way {
        Some(Way { prefix_len, as_path_len: 0, .. }) => format!("prefix /{prefix_len}"),
        Some(Way { prefix_len, as_path_len, origin, med }) => {
            let origin = ["IGP", "EGP", "incomplete"].get(usize::from(origin)).unwrap_or(&"?");
            format!("prefix /{prefix_len} by {as_path_len} networks, {origin}, MED {med}")
        }
        None => "no prefix".to_owned(),
    };
    let distance = match standing.distance_km {
        u16::MAX => "distance unknown".to_owned(),
        km => format!("{km} km"),
    };
    let link = match standing.link {
        Link::Embedded => "embedded",
        Link::PrivatePeering => "private peering",
        Link::PublicPeering => "public peering",
        Link::Transit => "transit",
    };
    let role = match standing.role {
        Role::Edge => "edge",
        Role::Tier => "tier",
        Role::Origin => "origin",
    };
    format!(
        "{role}, {prefix}, {link}, {}% load, {distance}, {}/{} objects",
        standing.load_per_mille / 10,
        standing.held,
        standing.wanted
    )
}
