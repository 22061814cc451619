//! What the forecast of one object is made of, for people and programs. Works it out anew from the
//! history; decides nothing.

use control_types::fill::{FillState, PlaceableObject};
use control_types::ids::{ObjectId, SiteId};
use control_types::time::UnixMillis;
use serde::Serialize;

use super::{NEW_SITE_SHARE, Seen, floor};
use crate::room::footprint;

const WEEKDAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// The forecast of one object at one site, and each factor of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Makings {
    /// Where.
    pub site: SiteId,
    /// The day it is for, in words.
    pub weekday: &'static str,
    /// Bytes expected of the object on that day.
    pub bytes: f64,
    /// The same for each byte the object takes on disk.
    pub per_byte: f64,
    /// Of these, the bytes that any object is expected to bring.
    pub floor_bytes: f64,
    /// Plays a day of its title at the site, smoothed over days, without weekday and launch.
    pub plays_a_day: f64,
    /// The same over all sites together.
    pub plays_everywhere: f64,
    /// Days of watching behind the smoothed value; below 1 it is borrowed from other titles.
    pub days_seen: f64,
    /// How busy the site is on that weekday; 1 is as usual.
    pub weekday_factor: f64,
    /// How much of the title's own week falls on that weekday; 1 is as usual.
    pub own_weekday_factor: f64,
    /// How far above what it settles to a title of this age is; 1 from four weeks on.
    pub launch_factor: f64,
    /// Days since the title appeared.
    pub age_days: usize,
    /// Share of its plays that read this object, 0 to 1.
    pub rung_share: f64,
    /// Nobody watched at the site yet: it expects half of what other sites do on average.
    pub is_borrowed: bool,
}

/// The makings of `object` at every site with members, as of a plan made at `now`. None when the
/// demand of the state stands as it came: there is no day of history, or none of this title.
#[must_use]
pub fn makings(state: &FillState, now: UnixMillis, object: &ObjectId) -> Option<Vec<Makings>> {
    let object = state.objects.iter().find(|one| one.object == *object)?;
    let seen = Seen::new(state, now)?;
    let title = seen.rungs.title(&object.title)?;
    let bytes = seen.bytes(title, object, &seen.expected(&state.history));
    let known = seen.known(&state.history);
    let sites = bytes.into_iter().zip(known).enumerate();
    Some(
        sites
            .filter_map(|(site, (bytes, known))| {
                makings_at(&seen, title, object, site, bytes, known)
            })
            .collect(),
    )
}

fn makings_at(
    seen: &Seen,
    title: usize,
    object: &PlaceableObject,
    site: usize,
    bytes: f64,
    is_known: bool,
) -> Option<Makings> {
    let parts = seen.forecast.parts(site, title)?;
    let read: Vec<usize> =
        seen.rungs.of_object(title, object).iter().map(|(rung, _)| *rung).collect();
    let rungs = seen.rungs.of_title(title).iter().zip(&parts.shares);
    let rung_share = rungs.filter(|(rung, _)| read.contains(rung)).map(|(_, share)| share).sum();
    Some(Makings {
        site: seen.sites[site].clone(),
        weekday: WEEKDAYS[(seen.days.ahead % 7) as usize],
        bytes,
        per_byte: bytes / footprint(object.bytes) as f64,
        floor_bytes: floor(object),
        plays_a_day: parts.plays,
        plays_everywhere: parts.everywhere,
        days_seen: parts.days,
        weekday_factor: parts.weekday,
        own_weekday_factor: parts.own_weekday,
        launch_factor: parts.lift,
        age_days: parts.age_days,
        rung_share,
        is_borrowed: !is_known,
    })
}

impl Makings {
    /// The same in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let (site, weekday) = (&self.site, self.weekday);
        let bytes = crate::words::bytes(self.bytes);
        let whole = format!("{bytes} expected at {site} on {weekday}");
        if self.is_borrowed {
            let share = NEW_SITE_SHARE * 100.0;
            return format!(
                "{whole}: nobody watched there yet, so {share:.0} % of what other sites do"
            );
        }
        let basis = if self.days_seen < 1.0 {
            "as titles like it, none of it seen yet".to_owned()
        } else {
            format!("smoothed, worth {:.0} days", self.days_seen)
        };
        let age = if self.launch_factor > 1.005 {
            format!("{:.2} for a launch of {} days", self.launch_factor, self.age_days)
        } else {
            "1.00 for its age".to_owned()
        };
        format!(
            "{whole}: {:.2} plays a day ({basis}; {:.2} over all sites) x {:.2} for the weekday \
             x {:.2} for its own week x {age}, {:.0} % of them of this file, and {} at least",
            self.plays_a_day,
            self.plays_everywhere,
            self.weekday_factor,
            self.own_weekday_factor,
            self.rung_share * 100.0,
            crate::words::bytes(self.floor_bytes),
        )
    }
}
