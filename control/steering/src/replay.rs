//! Decides recorded questions again, under two policies, and sums up what differs. Pure; knows no
//! fleet but what the records say.

use control_types::spread::hash_name;
use control_types::steering::{ReplayAnswer, ReplayTally, SteerAsk, SteerRecord};

use crate::error::SteeringError;
use crate::policy::Policy;
use crate::rank::{Ranking, Seeds, Verdict, rank};
use crate::recorder::{CANDIDATE_BYTES, unpacked};
use crate::words::outcome_word;

/// Decides all of `records` under `before` and under `after`.
///
/// # Errors
/// `BadRecord` naming the first question that is not of the log's form.
pub fn replay(
    records: &[SteerRecord],
    before: &Policy,
    after: &Policy,
) -> Result<ReplayAnswer, SteeringError> {
    let mut answer = ReplayAnswer::default();
    for record in records {
        for (at, ask) in record.asks.iter().enumerate() {
            let verdicts = unpacked(record, ask).ok_or_else(|| SteeringError::BadRecord {
                why: format!(
                    "question {at} of the record at {} is not version 1 with {CANDIDATE_BYTES} \
                     bytes a candidate",
                    record.at.0
                ),
            })?;
            answer.asks += 1;
            let old = again(record, ask, verdicts.clone(), before, &mut answer.before);
            let new = again(record, ask, verdicts, after, &mut answer.after);
            answer.moved += u64::from(old != new);
        }
    }
    Ok(answer)
}

/// Decides one question again; answers the number of its first place.
fn again(
    record: &SteerRecord,
    ask: &SteerAsk,
    mut verdicts: Vec<Verdict>,
    policy: &Policy,
    tally: &mut ReplayTally,
) -> Option<u32> {
    let ranking = ranked_again(record, ask, &mut verdicts, policy);
    let Some(first) = verdicts[..ranking.len].first() else {
        tally.nobody += 1;
        return None;
    };
    let standing = &first.standing;
    if let Some(id) = record.ids.get(standing.place as usize) {
        *tally.firsts.entry(id.clone()).or_default() += 1;
    }
    *tally.outcomes.entry(outcome_word(ranking.outcome).to_owned()).or_default() += 1;
    if standing.distance_km != u16::MAX {
        tally.distance_km += u64::from(standing.distance_km);
        tally.distances += 1;
    }
    Some(standing.place)
}

/// Ranks the standings of one recorded question.
pub(crate) fn ranked_again(
    record: &SteerRecord,
    ask: &SteerAsk,
    verdicts: &mut [Verdict],
    policy: &Policy,
) -> Ranking {
    let is_usual = Policy::default().busy_percent == policy.busy_percent
        && Policy::default().high_percent == policy.high_percent
        && Policy::default().full_percent == policy.full_percent;
    for verdict in verdicts.iter_mut() {
        // A recorded step is of the thresholds then; others are asked without hysteresis.
        if !is_usual {
            verdict.standing.step = None;
        }
        let id = record.ids.get(verdict.standing.place as usize);
        let weight = id.and_then(|id| policy.weights.get(id));
        verdict.standing.weight = weight.map_or(1.0, |weight| *weight as f32);
    }
    let seeds = Seeds { title: hash_name(ask.title.as_str()), session: ask.session };
    rank(verdicts, policy, seeds, ask.current)
}
