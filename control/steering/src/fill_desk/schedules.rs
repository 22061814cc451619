//! The desk's schedules: rules in the ledger, nights worked out when somebody asks. Only a night
//! that was closed before its time is written down, as a closed window of the night's name; a row
//! of that name stands for the night from then on, whatever becomes of the rule.

use control_store::StoreError;
use control_types::fill::{Window, WindowScope};
use control_types::schedule::{ScheduleStatus, WindowSchedule};
use control_types::{UnixMillis, WindowId};
use fill_plan::Schedule;

use super::{FillDesk, is_over, reaches_nobody};
use crate::error::SteeringError;
use crate::isp::Reach;
use crate::limits::{NIGHT_CLOSED_AHEAD_MS, NIGHTS_AHEAD_MS, SCHEDULES_MAX, SCHEDULES_PER_ISP_MAX};
use crate::service::Steering;

/// All schedules, by id.
#[derive(Default)]
pub(super) struct Rules(Vec<Rule>);

struct Rule {
    written: WindowSchedule,
    /// None when it was written by a release that knew more zones than this one: it is listed and
    /// has no nights, because a control that does not start would serve nobody.
    sound: Option<Schedule>,
}

impl Rules {
    pub(super) fn new(written: Vec<WindowSchedule>) -> Self {
        let rule = |written: WindowSchedule| Rule {
            sound: Schedule::check(written.clone()).ok(),
            written,
        };
        Self(written.into_iter().map(rule).collect())
    }

    /// Whether a schedule or one of its nights, past or to come, has this name.
    pub(super) fn claim(&self, id: &WindowId) -> bool {
        self.0.iter().any(|rule| {
            rule.written.id == *id || rule.sound.as_ref().is_some_and(|sound| sound.names(id))
        })
    }

    /// Scopes of the schedules that have this name or a night of it.
    pub(super) fn scopes(&self, id: &WindowId) -> impl Iterator<Item = &WindowScope> {
        self.0.iter().filter_map(move |rule| {
            let named =
                rule.written.id == *id || rule.sound.as_ref().is_some_and(|sound| sound.names(id));
            named.then_some(&rule.written.scope)
        })
    }

    /// The night of this name; or, given a schedule's name, the one under way or else the next.
    /// A closed night is still the one meant: closing twice must not close tomorrow.
    pub(super) fn night(&self, id: &WindowId, now: UnixMillis) -> Option<Window> {
        let far = now.plus_millis(NIGHT_CLOSED_AHEAD_MS);
        self.0.iter().filter_map(|rule| rule.sound.as_ref()).find_map(|sound| {
            let whole = sound.rule().id == *id;
            if !whole && !sound.names(id) {
                return None;
            }
            let nights = sound.nights(now).take_while(|night| night.opens_at < far);
            nights.map(|night| sound.window(&night)).find(|night| whole || night.id == *id)
        })
    }

    /// Adds the coming nights of the schedules whose scope is `wanted` to windows from the ledger.
    pub(super) fn add_nights(
        &self,
        windows: &mut Vec<Window>,
        written: &[Window],
        now: UnixMillis,
        wanted: impl Fn(&WindowScope) -> bool,
    ) {
        let far = now.plus_millis(NIGHTS_AHEAD_MS);
        for sound in self.0.iter().filter_map(|rule| rule.sound.as_ref()) {
            if !wanted(&sound.rule().scope) {
                continue;
            }
            let nights = sound.nights(now).take_while(|night| night.opens_at < far);
            let nights = nights.map(|night| sound.window(&night));
            windows.extend(nights.filter(|night| written.iter().all(|row| row.id != night.id)));
        }
        windows.sort_by(|a, b| (a.opens_at, &a.id).cmp(&(b.opens_at, &b.id)));
    }

    fn status(&self, written: &[Window], now: UnixMillis) -> Vec<ScheduleStatus> {
        let far = now.plus_millis(NIGHT_CLOSED_AHEAD_MS);
        let status = |rule: &Rule| {
            let next = rule.sound.as_ref().and_then(|sound| {
                let nights = sound.nights(now).take_while(|night| night.opens_at < far);
                nights
                    .map(|night| sound.window(&night))
                    .find(|night| written.iter().all(|row| row.id != night.id))
            });
            ScheduleStatus { schedule: rule.written.clone(), next }
        };
        self.0.iter().map(status).collect()
    }
}

impl FillDesk {
    /// Reads the schedules again; the caller holds `change`.
    pub(super) async fn refresh_rules(&self) -> Result<(), SteeringError> {
        let reading = SteeringError::store("read the schedules");
        let written = self.ledger.schedules().await.map_err(reading)?;
        self.rules.store(Rules::new(written).into());
        Ok(())
    }

    /// Makes or replaces a schedule; its nights follow the new rule from the next poll on.
    ///
    /// # Errors
    /// `NotYours` for its scope or the schedule it would replace, `BadWindow` for fields out of
    /// range or a scope that names nobody, `WindowTaken` when a window or another schedule's night
    /// has the name.
    pub async fn put_schedule(
        &self,
        new: WindowSchedule,
        by: &Reach,
        steering: &Steering,
        now: UnixMillis,
    ) -> Result<ScheduleStatus, SteeringError> {
        let id = new.id.clone();
        let refused = |why: String| SteeringError::BadWindow { window: id.clone(), why };
        let fleet = steering.fleet();
        by.check_scope(&new.scope, &fleet, || format!("the scope of schedule {id}"))?;
        let sound = Schedule::check(new).map_err(|error| refused(error.to_string()))?;
        if reaches_nobody(&sound.rule().scope, &fleet) {
            return Err(refused("its scope names nobody that is registered".to_owned()));
        }
        let _changing = self.change.lock().await;
        self.check_named(&id, by, &fleet)?;
        let rules = self.rules.load_full();
        let others = || rules.0.iter().filter(|rule| rule.written.id != id);
        if others().count() >= SCHEDULES_MAX {
            return Err(refused(format!("there are {SCHEDULES_MAX} schedules: remove some first")));
        }
        let own = || others().filter(|rule| by.has_scope(&rule.written.scope, &fleet)).count();
        if *by != Reach::Everything && own() >= SCHEDULES_PER_ISP_MAX {
            let why = format!("{SCHEDULES_PER_ISP_MAX} schedules are yours: remove some first");
            return Err(refused(why));
        }
        let clash = others().any(|rule| {
            sound.names(&rule.written.id)
                || rule.sound.as_ref().is_some_and(|other| other.names(&id))
        });
        let windows = self.windows.load();
        let mut pending = windows.iter().filter(|window| !is_over(window, now));
        if clash || pending.any(|window| window.id == id || sound.names(&window.id)) {
            return Err(SteeringError::WindowTaken(id));
        }
        let writing = SteeringError::store("write the schedule");
        self.ledger.put_schedule(sound.rule()).await.map_err(writing)?;
        self.refresh_rules().await?;
        let written = self.schedules(now).into_iter().find(|status| status.schedule.id == id);
        written.ok_or(SteeringError::UnknownWindow(id))
    }

    /// Removes a schedule; a night under way ends at the agents' next poll.
    ///
    /// # Errors
    /// `UnknownWindow`, `NotYours`; `NoSchedule` for a window or one night.
    pub async fn remove_schedule(
        &self,
        id: &WindowId,
        by: &Reach,
        steering: &Steering,
    ) -> Result<(), SteeringError> {
        let _changing = self.change.lock().await;
        self.check_named(id, by, &steering.fleet())?;
        let rules = self.rules.load_full();
        let is_known = rules.claim(id) || self.windows.load().iter().any(|one| one.id == *id);
        if is_known && rules.0.iter().all(|rule| rule.written.id != *id) {
            return Err(SteeringError::NoSchedule(id.clone()));
        }
        let removing = SteeringError::store("remove the schedule");
        let was = self.ledger.remove_schedule(id).await.map_err(removing)?;
        self.refresh_rules().await?;
        if was { Ok(()) } else { Err(SteeringError::UnknownWindow(id.clone())) }
    }

    /// All schedules by name, each with the night under way or to come that nobody has closed.
    #[must_use]
    pub fn schedules(&self, now: UnixMillis) -> Vec<ScheduleStatus> {
        self.rules.load().status(&self.windows.load(), now)
    }

    /// Closes a window or a night in the ledger; the caller holds `change`.
    pub(super) async fn close_written(
        &self,
        id: &WindowId,
        now: UnixMillis,
    ) -> Result<Option<Window>, SteeringError> {
        let night = self.rules.load().night(id, now);
        let id = night.as_ref().map_or(id, |night| &night.id);
        let closed = self.ledger.close_window(id).await;
        let closed = closed.map_err(SteeringError::store("close the window"))?;
        let (None, Some(night)) = (&closed, night) else { return Ok(closed) };
        let night = Window { closed: true, ..night };
        match self.ledger.add_window(&night).await {
            // Another control process was a moment faster; the night is closed all the same.
            Ok(()) | Err(StoreError::Taken(_)) => Ok(Some(night)),
            Err(error) => Err(SteeringError::store("close the night")(error)),
        }
    }
}
