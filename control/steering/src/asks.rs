//! What members and operators ask: ranked lists, steering manifests, explanations, replays; and the
//! counts of how decisions came about. Changes nothing but those counts and the log.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use control_types::fleet::SteerExplanation;
use control_types::play::SteeringManifest;
use control_types::steering::{ReplayAnswer, ReplayRequest, SteerRecord};
use control_types::{SiteId, UnixMillis};

use crate::decide::{Decision, Question, Ranked, decide};
use crate::error::SteeringError;
use crate::policy::{Policy, Rule};
use crate::rank::{Outcome, Place};
use crate::replay::replay;
use crate::service::Steering;
use crate::unproven::Unproven;
use crate::words::{OUTCOMES, RULES};

/// Decisions by how they came about, since the start.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    by_outcome: [AtomicU64; OUTCOMES.len()],
    by_rule: [AtomicU64; RULES.len()],
    nobody: AtomicU64,
    last_good: AtomicU64,
    refusals: AtomicU64,
    denials: AtomicU64,
    unproven: [AtomicU64; Unproven::ALL.len()],
}

impl Tallies {
    fn decided(&self, decision: &Decision<'_>) {
        let rule = decision.verdicts.first().and_then(|first| match first.place {
            Place::Ranked { rule, .. } => Some(rule),
            Place::Excluded(_) => None,
        });
        let Some(rule) = rule else {
            self.nobody.fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.by_rule[rule as usize].fetch_add(1, Ordering::Relaxed);
        self.by_outcome[decision.ranking.outcome as usize].fetch_add(1, Ordering::Relaxed);
        self.last_good.fetch_add(u64::from(decision.ranking.last_good), Ordering::Relaxed);
    }

    pub(crate) fn unproven(&self, why: Unproven) {
        self.unproven[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn complained(&self, is_refusal: bool, is_denial: bool) {
        self.refusals.fetch_add(u64::from(is_refusal), Ordering::Relaxed);
        self.denials.fetch_add(u64::from(is_denial), Ordering::Relaxed);
    }
}

/// Counts of decisions since the start, for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// By outcome: `hit`, `content`, `health`, `route`, `policy`.
    pub outcomes: Vec<(&'static str, u64)>,
    /// By the rule that placed the first.
    pub rules: Vec<(&'static str, u64)>,
    /// Questions that nobody could be offered for.
    pub nobody: u64,
    /// Lists of appliances last known good.
    pub last_good: u64,
    /// Players that could not connect to an appliance.
    pub refusals: u64,
    /// Players that were told of an object which was not there.
    pub denials: u64,
    /// Callers that were not believed to be an appliance, by why.
    pub unproven: Vec<(&'static str, u64)>,
}

impl Steering {
    /// Where a member should stream a title from, best first; empty when no appliance is known at
    /// all.
    #[must_use]
    pub fn rank(&self, question: &Question<'_>, now: UnixMillis) -> Vec<Ranked> {
        let fleet = self.fleet_at(now);
        let decision = decide(&fleet, question, &self.settings.policy);
        self.tallies.decided(&decision);
        let mut recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        recorder.note(&decision, question, now);
        drop(recorder);
        decision.ranked()
    }

    /// The same decision with every candidate's verdict in words. Not counted and not recorded.
    #[must_use]
    pub fn explain(&self, question: &Question<'_>, now: UnixMillis) -> SteerExplanation {
        let fleet = self.fleet_at(now);
        decide(&fleet, question, &self.settings.policy).explanation(question)
    }

    /// The Content Steering answer for a play under way: the same list, as pathway ids.
    #[must_use]
    pub fn steering_manifest(
        &self,
        question: &Question<'_>,
        ttl_s: u32,
        reload_uri: String,
        now: UnixMillis,
    ) -> SteeringManifest {
        let ranked = self.rank(question, now);
        SteeringManifest {
            version: 1,
            ttl: ttl_s,
            reload_uri,
            pathway_priority: ranked.iter().map(|place| place.appliance.to_string()).collect(),
            pathway_clones: Vec::new(),
        }
    }

    /// Sites with the longest announced prefix that holds `ip`: where demand of that member
    /// belongs.
    #[must_use]
    pub fn home_sites(&self, ip: IpAddr) -> Vec<SiteId> {
        let fleet = self.fleet.load();
        let covers = fleet.registry.prefixes.covers(ip);
        let registered = covers.first();
        let routed = fleet.routes.lookup(ip).longest();
        let len = |prefix: &ipnet::IpNet| prefix.prefix_len();
        let is_routed = routed.is_some_and(|routed| {
            registered.is_none_or(|registered| len(&registered.prefix) < len(&routed.prefix))
        });
        match (routed, registered) {
            (Some(routed), _) if is_routed => {
                let sites = routed.choices.iter();
                let names = fleet.routes.names();
                let mut sites: Vec<SiteId> =
                    sites.filter_map(|choice| names.site(choice.site).cloned()).collect();
                sites.dedup();
                sites
            }
            (_, Some(registered)) => registered.sites.to_vec(),
            _ => Vec::new(),
        }
    }

    /// Questions noted since the last call, at most a bounded number a second, for the event log.
    #[must_use]
    pub fn take_records(&self) -> Vec<SteerRecord> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Decides recorded questions again, under control's policy and under another.
    ///
    /// # Errors
    /// `BadPolicy`, or `BadRecord` for a line that is not of the log.
    pub fn replay(&self, request: &ReplayRequest) -> Result<ReplayAnswer, SteeringError> {
        let policy = Policy::of(&request.policy)?;
        replay(&request.records, &self.settings.policy, &policy)
    }

    /// How decisions came about since the start.
    #[must_use]
    pub fn counted(&self) -> Counted {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let tallies = &self.tallies;
        let outcomes = OUTCOMES.iter().zip(&tallies.by_outcome);
        let rules = RULES.iter().zip(&tallies.by_rule);
        Counted {
            outcomes: outcomes.map(|((_, word), count)| (*word, load(count))).collect(),
            rules: rules.map(|((_, word), count)| (*word, load(count))).collect(),
            nobody: load(&tallies.nobody),
            last_good: load(&tallies.last_good),
            refusals: load(&tallies.refusals),
            denials: load(&tallies.denials),
            unproven: Unproven::ALL
                .into_iter()
                .map(|why| (why.as_word(), load(&tallies.unproven[why as usize])))
                .collect(),
        }
    }
}

const _: () = assert!(Rule::Only as usize + 1 == RULES.len());
const _: () = assert!(Outcome::Policy as usize + 1 == OUTCOMES.len());
