//! Plays under way, folded from what players report. Pure: time is an argument.
//!
//! Players lie about durations (a start-up measured from the wrong moment, a stall counter that
//! resets), so times are derived from the states and the player's own monotonic clock, as CTA-2066
//! defines them: watched time holds start-up and stalls, not pauses.
//!
//! ```text
//! begin ─▶ starting ─started─▶ playing ◀─resumed─ stalled
//!                               │   ▲ ──stalled──▶ │
//!                        paused ▼   │ moved on     │
//!                              paused        ended / stopped ─▶ over
//! ```

use std::collections::VecDeque;

use ahash::{AHashMap, AHashSet};
use control_types::play::{PlayEvent, PlayEventKind, PlayEvents};
use control_types::telemetry::{Live, LiveSession};
use control_types::{AccountId, ApplianceId, PlayId, ProfileId, SiteId, TitleId, UnixMillis};

use crate::limits::{
    GAP_WATCHED_MS_MAX, LIVE_MS, LIVE_SESSIONS_MAX, PLAY_BYTES_AHEAD_MAX, PLAY_BYTES_PER_MS_MAX,
    PLAYS_MAX, QUALITY_PLAYS, STREAM_MS,
};

/// A press of play that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Press {
    /// Which.
    pub play: PlayId,
    /// Who pays.
    pub account: AccountId,
    /// Who watches.
    pub profile: ProfileId,
    /// What.
    pub title: TitleId,
    /// Sites whose announced prefix holds the member's address; empty when there are none. Demand
    /// belongs to where the member is, or a site that lacks a title would never be given it.
    pub home_sites: Vec<SiteId>,
    /// When play was pressed.
    pub began_at: UnixMillis,
}

/// Whose play it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaySubject {
    /// Who pays.
    pub account: AccountId,
    /// Who watches.
    pub profile: ProfileId,
    /// What.
    pub title: TitleId,
}

/// What a report came to, for the caller's bookmark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Whose play it is.
    pub subject: PlaySubject,
    /// Position after the last event, milliseconds; absent when the report held none.
    pub position_ms: Option<u64>,
    /// The end of the title was reached.
    pub ended: bool,
}

/// What a player is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Starting,
    Playing,
    Paused,
    Stalled,
    Over,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Playing => "playing",
            Self::Paused => "paused",
            Self::Stalled => "stalled",
            Self::Over => "over",
        }
    }

    fn is_watching(self) -> bool {
        matches!(self, Self::Starting | Self::Playing | Self::Stalled)
    }
}

#[derive(Clone, Debug)]
struct Session {
    press: Press,
    state: State,
    appliance: Option<ApplianceId>,
    position_ms: u64,
    height: u32,
    buffer_ms: u64,
    startup_ms: Option<u64>,
    /// By the player's clock, of the newest event.
    since_press_ms: u64,
    watched_ms: u64,
    /// From state changes.
    stalled_ms: u64,
    /// As the player counts them; a stall between two reports is only in here.
    stalled_said_ms: u64,
    /// Fetched, as far as it was believed.
    bytes: u64,
    heard_at: UnixMillis,
}

/// All plays that are kept.
#[derive(Debug, Default)]
pub struct Sessions {
    plays: AHashMap<PlayId, Session>,
    /// Every play in `plays` once, oldest first.
    order: VecDeque<PlayId>,
    /// Live plays of each account, so that the streams check does not walk all of them.
    accounts: AHashMap<AccountId, AHashSet<PlayId>>,
    plays_total: u64,
}

impl Sessions {
    /// A play that was just pressed.
    pub fn begin(&mut self, press: Press) {
        self.plays_total += 1;
        self.adopt(press);
    }

    /// A play pressed before this process began, found again by its id. Not counted as begun. One
    /// that is known already stays as it is.
    pub fn adopt(&mut self, press: Press) {
        let play = press.play;
        if self.plays.contains_key(&play) {
            return;
        }
        if self.plays.len() >= PLAYS_MAX {
            self.forget_oldest();
        }
        self.accounts.entry(press.account).or_default().insert(play);
        let heard_at = press.began_at;
        let session = Session {
            press,
            state: State::Starting,
            appliance: None,
            position_ms: 0,
            height: 0,
            buffer_ms: 0,
            startup_ms: None,
            since_press_ms: 0,
            watched_ms: 0,
            stalled_ms: 0,
            stalled_said_ms: 0,
            bytes: 0,
            heard_at,
        };
        self.plays.insert(play, session);
        self.order.push_back(play);
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.order.pop_front() else { return };
        if let Some(session) = self.plays.remove(&oldest) {
            self.leave_account(&session.press.account, &oldest);
        }
    }

    fn leave_account(&mut self, account: &AccountId, play: &PlayId) {
        if let Some(plays) = self.accounts.get_mut(account) {
            plays.remove(play);
            if plays.is_empty() {
                self.accounts.remove(account);
            }
        }
    }

    /// Folds a report in; `None` for a play that is not known.
    pub fn record(
        &mut self,
        play: &PlayId,
        report: &PlayEvents,
        now: UnixMillis,
    ) -> Option<Recorded> {
        let session = self.plays.get_mut(play)?;
        session.heard_at = now;
        let mut ended = false;
        for event in &report.events {
            ended |= event.kind == PlayEventKind::Ended;
            session.take(event);
        }
        let is_over = session.state == State::Over;
        let press = &session.press;
        let subject = PlaySubject {
            account: press.account,
            profile: press.profile,
            title: press.title.clone(),
        };
        let position_ms = report.events.last().map(|_| session.position_ms);
        if is_over {
            self.leave_account(&subject.account, play);
        } else {
            self.accounts.entry(subject.account).or_default().insert(*play);
        }
        Some(Recorded { subject, position_ms, ended })
    }

    /// Plays of an account that are not over and were heard of lately.
    #[must_use]
    pub fn streams(&self, account: &AccountId, now: UnixMillis) -> u32 {
        let Some(plays) = self.accounts.get(account) else { return 0 };
        let live = plays.iter().filter_map(|play| self.plays.get(play)).filter(|session| {
            session.state != State::Over && session.is_heard_within(STREAM_MS, now)
        });
        u32::try_from(live.count()).unwrap_or(u32::MAX)
    }

    /// How many of the `bytes` that a play says it fetched are believed, by control's clock; 0 of a
    /// play that is not known.
    pub fn believe(&mut self, play: &PlayId, bytes: u64, now: UnixMillis) -> u64 {
        let Some(session) = self.plays.get_mut(play) else { return 0 };
        let since_ms = now.millis_since(session.press.began_at);
        let most = PLAY_BYTES_PER_MS_MAX.saturating_mul(since_ms);
        let most = most.saturating_add(PLAY_BYTES_AHEAD_MAX);
        let believed = bytes.min(most.saturating_sub(session.bytes));
        session.bytes += believed;
        believed
    }

    /// Where demand of a play belongs: the member's sites.
    #[must_use]
    pub fn home_sites(&self, play: &PlayId) -> &[SiteId] {
        self.plays.get(play).map_or(&[], |session| &session.press.home_sites)
    }

    /// Whose play it is.
    #[must_use]
    pub fn subject(&self, play: &PlayId) -> Option<PlaySubject> {
        let press = &self.plays.get(play)?.press;
        let title = press.title.clone();
        Some(PlaySubject { account: press.account, profile: press.profile, title })
    }

    /// What the operator sees.
    #[must_use]
    pub fn live(&self, now: UnixMillis) -> Live {
        let newest = self.order.iter().rev().filter_map(|play| self.plays.get(play));
        let live = newest.clone().filter(|session| {
            session.state != State::Over && session.is_heard_within(LIVE_MS, now)
        });
        let sessions = live.take(LIVE_SESSIONS_MAX).map(Session::as_live).collect();
        let mut startups: Vec<u64> = Vec::new();
        let (mut stalled, mut watched) = (0u64, 0u64);
        for session in newest.take(QUALITY_PLAYS) {
            startups.extend(session.startup_ms);
            stalled = stalled.saturating_add(session.stalled_ms());
            watched = watched.saturating_add(session.watched_ms);
        }
        startups.sort_unstable();
        Live {
            sessions,
            plays_total: self.plays_total,
            startup_ms_p50: percentile(&startups, 50),
            startup_ms_p95: percentile(&startups, 95),
            stalled_ratio: if watched == 0 { 0.0 } else { stalled as f64 / watched as f64 },
        }
    }
}

impl Session {
    fn take(&mut self, event: &PlayEvent) {
        self.take_time(event);
        let moved = event.position_ms != self.position_ms;
        self.state = match event.kind {
            // Any state: the picture moves.
            PlayEventKind::Started | PlayEventKind::Resumed => State::Playing,
            PlayEventKind::Stalled => State::Stalled,
            PlayEventKind::Paused => State::Paused,
            PlayEventKind::Ended | PlayEventKind::Stopped => State::Over,
            // A heartbeat says nothing of the state; a position that moved does.
            PlayEventKind::Heartbeat if moved && self.startup_ms.is_some() => State::Playing,
            PlayEventKind::Heartbeat
            | PlayEventKind::Seeked
            | PlayEventKind::Switched
            | PlayEventKind::Error => self.state,
        };
        if event.kind == PlayEventKind::Started && self.startup_ms.is_none() {
            self.startup_ms = Some(event.since_press_ms);
        }
        self.position_ms = event.position_ms;
        self.buffer_ms = event.buffer_ms;
        if event.height > 0 {
            self.height = event.height;
        }
        // A trouble names who caused it, which may be somebody the player has left by now.
        if event.appliance.is_some() && event.trouble.is_none() {
            self.appliance.clone_from(&event.appliance);
        }
    }

    /// Gives the time since the last event to the state that held during it.
    fn take_time(&mut self, event: &PlayEvent) {
        let passed = event.since_press_ms.saturating_sub(self.since_press_ms);
        let passed = passed.min(GAP_WATCHED_MS_MAX);
        if self.state.is_watching() {
            self.watched_ms = self.watched_ms.saturating_add(passed);
        }
        if self.state == State::Stalled {
            self.stalled_ms = self.stalled_ms.saturating_add(passed);
        }
        self.stalled_said_ms = self.stalled_said_ms.max(event.stall_ms);
        self.since_press_ms = self.since_press_ms.max(event.since_press_ms);
    }

    /// Either way round: after the clock was set back, a player that crashed before must not hold
    /// its account's stream until the clock is there again.
    fn is_heard_within(&self, within_ms: u64, now: UnixMillis) -> bool {
        now.0.abs_diff(self.heard_at.0) < within_ms
    }

    /// The longer of what was seen and what was said, never more than was watched.
    fn stalled_ms(&self) -> u64 {
        self.stalled_ms.max(self.stalled_said_ms).min(self.watched_ms)
    }

    fn as_live(&self) -> LiveSession {
        LiveSession {
            play: self.press.play,
            title: self.press.title.clone(),
            state: self.state.word().to_owned(),
            appliance: self.appliance.clone(),
            position_ms: self.position_ms,
            height: self.height,
            buffer_ms: self.buffer_ms,
            startup_ms: self.startup_ms,
            stall_ms: self.stalled_ms(),
            began_at: self.press.began_at,
            heard_at: self.heard_at,
        }
    }
}

/// Nearest rank of a sorted list; 0 when it is empty.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}
