//! What an ISP pays for, and the rate at which fill may run without raising it. Pure arithmetic on
//! 5-minute samples; never knows where they come from.
//!
//! Transit is billed by percentile: of all 5-minute averages of a month the highest twentieth is
//! forgiven and the next one is paid for all month long. So fill is free in every slot in which
//! what flows already and the fill together stay at or below what will be paid anyway.
//!
//! The rule: let `B` be the month's bill without fill and `L ≤ B`. If fill is added only to slots
//! whose sum with it is at most `L`, the bill stays `B`: samples above `B` are the same as before,
//! so no more of them than are forgiven, and every raised one is at most `L ≤ B`.
//!
//! `B` is not known before the month is over. `L` ([`Month::level_bps`]) is the bill of the month
//! in which every slot still to come carries the least it is believed to carry; adding traffic
//! never lowers a percentile, so `L ≤ B` as long as that belief holds, and always holds when the
//! belief is nothing at all. The room of a slot is `L` less the most it is believed to carry
//! itself. Beliefs ([`beliefs`]) come from the days before, widened: the most from the same time of
//! day, the least from a day as poor as any of them, and poorer every day where the border empties.
//! Only how much a day carries how often counts for `L`, not when. For half an hour after the last
//! sample the most is what that said and the steepest rise of the week; where no sample is so
//! young, fill takes half of `L` at most.
//!
//! Samples are without fill: fill that took a belief for true must not keep it up.

use control_types::UnixMillis;
use control_types::fill::{RateProfile, RateStep};
use control_types::limits::RATE_STEPS_MAX;

/// Length of a slot, milliseconds.
pub const SLOT_MS: u64 = 300_000;
/// Slots of a day.
pub const SLOTS_PER_DAY: usize = 288;

/// Days of the past that a belief looks at: a week, so that every weekday is in it.
const BELIEF_DAYS: usize = 7;
/// Slots before and after the same time of day that it looks at too: bursts come at no fixed time.
const BELIEF_SLOTS: usize = 12;
/// Slots after the last measured one that are believed by it: half an hour.
const FRESH_SLOTS: usize = 6;
/// Measured slots whose highest is what a border carries now.
const NOW_SLOTS: usize = 3;
/// Least believed: this share of a day as poor as any of that week, see [`poorest_day`]. The lowest
/// of each slot's own samples would be safer by slot and far too low as a whole: at a small border
/// bursts come at no fixed time, and a day has as many of them as the day before.
const BELIEF_LOW: f64 = 0.6;
/// Most believed: this many times the highest of them.
const BELIEF_HIGH: f64 = 1.25;

/// The same, of the steepest rise of the week.
const RISE_HIGH: f64 = 1.25;
/// Slots before and after the same time of day in which that rise is looked for: two hours. Looked
/// for in half of them and doubled, it left quiet hours no room and busy ones too much.
const RISE_SLOTS: usize = 24;
/// A border that was measured for less than two weeks is believed to lose a twentieth a day: boxes
/// that begin to fill take that much off it.
const YOUNG_FADE: f64 = 0.95;

/// Share of the level that is filled up to: beliefs come from a week, and a week is short. What is
/// left is for bursts that no week has shown. In a replay of small ISPs bills rose in one month of
/// fifty at 0.75, by a part in a thousand, and in none at this.
const LEVEL_SHARE: f64 = 0.7;
/// Most of that which fill takes where nothing was measured lately. At a small border a
/// dozen members make an hour of the night busier than any of the week before; half of the level
/// is left to them. In a replay of small ISPs a bill rose without this, and none did with it.
const FILL_SHARE: f64 = 0.5;

/// What a slot still to come is believed to carry without fill, bits per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belief {
    /// At least.
    pub low_bps: u64,
    /// At most; `u64::MAX` when nothing is known, and then nothing is filled.
    pub high_bps: u64,
    /// Whether that is from what was measured a moment ago.
    pub is_fresh: bool,
}

/// One billing month of a border.
#[derive(Clone, Copy, Debug)]
pub struct Month<'a> {
    /// 5-minute averages of the slots that are over, without fill, bits per second.
    pub measured: &'a [u64],
    /// Those still to come, in order, to the end of the month.
    pub ahead: &'a [Belief],
    /// The percentile billed, 0.5 to 1 (0.95 almost everywhere; 1 bills the peak).
    pub percentile: f64,
}

/// What is paid for: the highest of `samples` after the share above `percentile` is forgiven. 0 for
/// no samples.
#[must_use]
pub fn billed_bps(samples: &[u64], percentile: f64) -> u64 {
    let forgiven = forgiven(samples.len(), percentile);
    if forgiven >= samples.len() {
        return 0;
    }
    let mut sorted = samples.to_vec();
    let (_, bill, _) = sorted.select_nth_unstable_by(forgiven, |a, b| b.cmp(a));
    *bill
}

/// Slots of a month that are not paid for.
fn forgiven(slots: usize, percentile: f64) -> usize {
    let share = 1.0 - percentile.clamp(0.0, 1.0);
    // A hair's breadth, because 8640 × (1 - 0.95) is 432.00000000000040.
    (slots as f64 * share + 1e-6).floor() as usize
}

impl Month<'_> {
    /// What will be paid anyway, at least.
    #[must_use]
    pub fn level_bps(&self) -> u64 {
        let mut all = Vec::with_capacity(self.measured.len() + self.ahead.len());
        all.extend_from_slice(self.measured);
        all.extend(self.ahead.iter().map(|belief| belief.low_bps));
        billed_bps(&all, self.percentile)
    }

    /// Bits per second that fill may add in each slot still to come.
    #[must_use]
    pub fn room_bps(&self) -> Vec<u64> {
        let level = (self.level_bps() as f64 * LEVEL_SHARE) as u64;
        let most = (level as f64 * FILL_SHARE) as u64;
        let room = |belief: &Belief| {
            let room = level.saturating_sub(belief.high_bps);
            if belief.is_fresh { room } else { room.min(most) }
        };
        self.ahead.iter().map(room).collect()
    }
}

/// What the `slots` after `history` are believed to carry; `history` ends where they begin and may
/// reach back into earlier months.
#[must_use]
pub fn beliefs(history: &[u64], slots: usize) -> Vec<Belief> {
    let around = |slot: usize| {
        let back = SLOTS_PER_DAY - slot % SLOTS_PER_DAY;
        (0..BELIEF_DAYS)
            .filter_map(move |day| history.len().checked_sub(back + day * SLOTS_PER_DAY))
            .flat_map(|at| {
                let last = (at + BELIEF_SLOTS).min(history.len() - 1);
                history[at.saturating_sub(BELIEF_SLOTS)..=last].iter().copied()
            })
    };
    let poor = poorest_day(history);
    let day: Vec<Belief> = (0..SLOTS_PER_DAY.min(slots))
        .map(|slot| {
            let Some(high) = around(slot).max() else {
                return Belief { low_bps: 0, high_bps: u64::MAX, is_fresh: false };
            };
            let high_bps = (high as f64 * BELIEF_HIGH) as u64;
            let low_bps = (poor.get(slot).copied().unwrap_or(0) as f64 * BELIEF_LOW) as u64;
            Belief { low_bps: low_bps.min(high_bps), high_bps, is_fresh: false }
        })
        .collect();
    let mut ahead: Vec<Belief> = (0..slots).map(|slot| day[slot % SLOTS_PER_DAY]).collect();
    let fade = fade_a_day(history);
    for (at, belief) in ahead.iter_mut().enumerate() {
        let days = (at / SLOTS_PER_DAY + 1) as f64;
        belief.low_bps = (belief.low_bps as f64 * fade.powf(days)) as u64;
    }
    freshen(&mut ahead, history);
    ahead
}

/// Believes of the first slots ahead what was carried just now and the steepest rise of the week
/// over as many slots, at that time of day.
fn freshen(ahead: &mut [Belief], history: &[u64]) {
    let level = |end: usize| history[end.saturating_sub(NOW_SLOTS)..end].iter().copied().max();
    let Some(now) = level(history.len()) else { return };
    if history.len() < BELIEF_DAYS * SLOTS_PER_DAY {
        return;
    }
    for (at, belief) in ahead.iter_mut().take(FRESH_SLOTS).enumerate() {
        let rises = (1..=BELIEF_DAYS).flat_map(|day| {
            let end = history.len() - day * SLOTS_PER_DAY;
            (end.saturating_sub(RISE_SLOTS)..=end + RISE_SLOTS)
                .filter_map(move |end| Some(history.get(end + at)?.saturating_sub(level(end)?)))
        });
        let rise = (rises.max().unwrap_or(0) as f64 * RISE_HIGH) as u64;
        let live = now.saturating_add(rise);
        *belief = Belief {
            low_bps: belief.low_bps.min(live),
            high_bps: live.min(belief.high_bps.max(now)),
            is_fresh: true,
        };
    }
}

/// How many times as much as the day before a border is believed to carry when it is busy, at most
/// 1: the more is filled, the less there is to carry, and a bill follows. From the busiest
/// twentieth of the last week and of the one before it.
fn fade_a_day(history: &[u64]) -> f64 {
    let week = BELIEF_DAYS * SLOTS_PER_DAY;
    let mut weeks = history.rchunks_exact(week);
    let (Some(this), Some(last)) = (weeks.next(), weeks.next()) else {
        return YOUNG_FADE;
    };
    let busy = |week: &[u64]| billed_bps(week, 0.95).max(1) as f64;
    let share = busy(this) / busy(last);
    share.clamp(0.5, 1.0).powf(1.0 / BELIEF_DAYS as f64)
}

/// A day as poor as any of the week before `history` ended: its busiest slot carries as much as the
/// busiest of the day whose busiest carried least, and so on down. Busy slots stand where the week
/// was busy. Empty when there is no whole day.
fn poorest_day(history: &[u64]) -> Vec<u64> {
    let days: Vec<&[u64]> = history.rchunks_exact(SLOTS_PER_DAY).take(BELIEF_DAYS).collect();
    if days.is_empty() {
        return Vec::new();
    }
    let mut poor = vec![u64::MAX; SLOTS_PER_DAY];
    for day in &days {
        let mut sorted = day.to_vec();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        poor.iter_mut().zip(sorted).for_each(|(poor, carried)| *poor = carried.min(*poor));
    }
    let sum = |slot: &usize| days.iter().map(|day| u128::from(day[*slot])).sum::<u128>();
    let mut busiest: Vec<usize> = (0..SLOTS_PER_DAY).collect();
    busiest.sort_by_key(|slot| (std::cmp::Reverse(sum(slot)), *slot));
    let mut day = vec![0; SLOTS_PER_DAY];
    busiest.into_iter().zip(poor).for_each(|(slot, carried)| day[slot] = carried);
    day
}

/// The rates of slots that begin at `starts_at`, as a profile; equal neighbours are one step, and
/// after the last slot nothing may be taken until a newer profile says otherwise.
#[must_use]
pub fn profile(starts_at: UnixMillis, rates_bps: &[u64]) -> RateProfile {
    let mut steps: Vec<RateStep> = Vec::new();
    for (slot, rate_bps_max) in rates_bps.iter().take(RATE_STEPS_MAX - 1).enumerate() {
        if steps.last().is_none_or(|last| last.rate_bps_max != *rate_bps_max) {
            let starts_at = starts_at.plus_millis(slot as u64 * SLOT_MS);
            steps.push(RateStep { starts_at, rate_bps_max: *rate_bps_max });
        }
    }
    if steps.last().is_some_and(|last| last.rate_bps_max > 0) {
        let slots = rates_bps.len().min(RATE_STEPS_MAX - 1) as u64;
        let starts_at = starts_at.plus_millis(slots * SLOT_MS);
        steps.push(RateStep { starts_at, rate_bps_max: 0 });
    }
    RateProfile { steps }
}

/// First moment of the calendar month (UTC) that holds `now`, and of the one after it.
#[must_use]
pub fn month_of(now: UnixMillis) -> (UnixMillis, UnixMillis) {
    let bounds = || -> Result<(i64, i64), jiff::Error> {
        let millis = i64::try_from(now.0).unwrap_or(i64::MAX);
        let zoned = jiff::Timestamp::from_millisecond(millis)?.to_zoned(jiff::tz::TimeZone::UTC);
        let first = zoned.first_of_month()?.start_of_day()?;
        let next = first.checked_add(jiff::Span::new().months(1))?;
        Ok((first.timestamp().as_millisecond(), next.timestamp().as_millisecond()))
    };
    let moment = |millis: i64| UnixMillis(u64::try_from(millis).unwrap_or(0));
    // Beyond what a calendar knows there are no months to bill.
    bounds().map_or((now, now), |(first, next)| (moment(first), moment(next)))
}

/// The profile from `now` on, for a day and a half: `history` are 5-minute averages without fill up
/// to `ends_at`, oldest first, `carried` the same with fill. A month that begins meanwhile has
/// nothing measured and is believed as a whole.
#[must_use]
pub fn profile_ahead(
    history: &[u64],
    carried: &[u64],
    ends_at: UnixMillis,
    now: UnixMillis,
    percentile: f64,
) -> RateProfile {
    let (first, next) = month_of(now);
    let slots = |from: UnixMillis, to: UnixMillis| (to.millis_since(from) / SLOT_MS) as usize;
    let (of_month, left) = (slots(first, ends_at), slots(ends_at, next));
    // What was carried in spite of a gap, and what of it was not fill: whichever is less.
    let less: Vec<u64> = history.iter().zip(carried).map(|(one, two)| *one.min(two)).collect();
    let measured = &less[less.len().saturating_sub(of_month)..];
    // Slots of the month that nobody measured carried something: nothing is the safe reading.
    let mut month = vec![0; of_month - measured.len()];
    month.extend_from_slice(measured);
    let believed = beliefs(history, left + 31 * SLOTS_PER_DAY);
    let (ahead, after) = believed.split_at(left);
    let mut rooms = Month { measured: &month, ahead, percentile }.room_bps();
    rooms.extend(Month { measured: &[], ahead: after, percentile }.room_bps());
    let passed = slots(ends_at, now).min(rooms.len());
    profile(ends_at.plus_millis(passed as u64 * SLOT_MS), &rooms[passed..])
}
