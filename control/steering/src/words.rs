//! A decision in words: the list for players, and every verdict with the rule that really applied.
//! Decides nothing; each rule and exclusion of `model.rs` has one word and one sentence here.

use control_types::fleet::{Link, Role, SteerCandidate, SteerExplanation};

use crate::model::{Decision, Exclusion, Place, Question, Ranked, Rule, Standing, Verdict};

impl Decision<'_> {
    /// The ranked list, at most `RANKED_MAX`.
    #[must_use]
    pub fn ranked(&self) -> Vec<Ranked> {
        let places = self.verdicts.iter().filter_map(|verdict| {
            let Place::Ranked { .. } = verdict.place else { return None };
            Some(Ranked {
                appliance: verdict.registered.record.id.clone(),
                site: verdict.registered.record.site.clone(),
                media_url: verdict.seen?.report.media_url.clone(),
                reason: self.reason(verdict),
            })
        });
        places.collect()
    }

    /// Every verdict with its rule in words.
    #[must_use]
    pub fn explanation(&self, question: &Question<'_>) -> SteerExplanation {
        let candidates = self.verdicts.iter().map(|verdict| SteerCandidate {
            appliance: verdict.registered.record.id.clone(),
            site: verdict.registered.record.site.clone(),
            rank: match verdict.place {
                Place::Ranked { rank, .. } => Some(rank),
                Place::Excluded(_) => None,
            },
            reason: self.reason(verdict),
            because: self.because(verdict),
        });
        SteerExplanation {
            ip: question.ip.to_string(),
            title: question.title.to_string(),
            matched_prefix: self.matched_prefix.clone(),
            outcome: String::new(),
            decided_at: None,
            candidates: candidates.collect(),
        }
    }

    fn reason(&self, verdict: &Verdict<'_>) -> String {
        let word = match verdict.place {
            Place::Ranked { rule, .. } => rule_word(rule),
            Place::Excluded(exclusion) => exclusion_word(exclusion),
        };
        let is_ranked = matches!(verdict.place, Place::Ranked { .. });
        let last_good = self.last_good || verdict.standing.is_doubted;
        if last_good && is_ranked { format!("last_good+{word}") } else { word.to_owned() }
    }

    fn because(&self, verdict: &Verdict<'_>) -> String {
        let standing = &verdict.standing;
        match verdict.place {
            Place::Ranked { rank, rule } => {
                let spare = if self.last_good {
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
}

fn rule_word(rule: Rule) -> &'static str {
    match rule {
        Rule::Absent => "absent",
        Rule::Fallback => "fallback",
        Rule::Partial => "partial",
        Rule::Full => "full",
        Rule::Role => "role",
        Rule::Prefix => "prefix",
        Rule::Link => "link",
        Rule::Headroom => "headroom",
        Rule::Distance => "distance",
        Rule::Spread => "spread",
        Rule::Site => "site",
        Rule::Only => "only",
    }
}

fn rule_sentence(rule: Rule, rank: u32) -> &'static str {
    let first = rank == 1;
    match rule {
        Rule::Absent if first => "first, because the next holds nothing of the title",
        Rule::Absent => "a last resort, because it reports nothing of the title",
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
        Rule::Link if first => "first, by the better link to the member",
        Rule::Link => "below the one before, by its link to the member",
        Rule::Headroom if first => "first, by the lower load",
        Rule::Headroom => "below the one before, by its higher load",
        Rule::Distance if first => "first, by the shorter distance",
        Rule::Distance => "below the one before, by its greater distance",
        Rule::Spread if first => "first among equals, by the hash of title and appliance",
        Rule::Spread => "equal to the one before, below it by the hash of title and appliance",
        Rule::Site if rank == 2 => "moved up, so that one site does not take both first places",
        Rule::Site => "made room for another site in second place",
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
    let prefix = match standing.prefix_len {
        Some(len) => format!("prefix /{len}"),
        None => "no prefix".to_owned(),
    };
    let distance = match standing.distance_km {
        Some(km) => format!("{km:.0} km"),
        None => "distance unknown".to_owned(),
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
        standing.load_percent, standing.held, standing.wanted
    )
}
