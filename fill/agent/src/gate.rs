//! Whether fill may run now, until when and how fast: the windows as one answer.
//! Reads no clock; asked with the time at control.

use std::cmp::Reverse;

use control_types::UnixMillis;
use control_types::fill::{RateProfile, Window};
use control_types::ids::WindowId;

/// What the windows allow at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gate {
    /// The window that counts; none when fill must rest.
    pub(crate) window: Option<WindowId>,
    /// Bits per second; none when there is no cap.
    pub(crate) bps_max: Option<u64>,
    /// Bytes for the whole window.
    pub(crate) bytes_max: Option<u64>,
}

impl Gate {
    /// The gate at `now`. Of several open windows those of the narrowest scope count, so that a
    /// fleet's window lifts no ISP's cap; and of them the most permissive: whoever opened a faster
    /// one beside a slow one meant it.
    pub(crate) fn at(windows: &[Window], now: UnixMillis) -> Self {
        let widest = |at| {
            let open = windows.iter().filter(|window| window.is_open(at));
            open.max_by_key(|window| {
                let bytes = window.bytes_max.unwrap_or(u64::MAX);
                let rate = window.rate_bps_max.unwrap_or(u64::MAX);
                (Reverse(window.scope.breadth()), rate, bytes, window.closes_at)
            })
        };
        // What is asked for now may arrive when a slower window has taken over.
        let soon = widest(now.plus_millis(1_000)).and_then(|window| window.rate_bps_max);
        widest(now).map_or_else(Self::default, |window| Self {
            window: Some(window.id.clone()),
            bps_max: window.rate_bps_max.into_iter().chain(soon).min(),
            bytes_max: window.bytes_max,
        })
    }

    /// The same under a plan's rate profile, which holds beside the window's own cap. The lower of
    /// the rates now and a second from now counts: what is asked for before a step down arrives
    /// after it. A rate of 0 closes the gate. Before the first step its rate counts: whoever wrote
    /// the profile may have had a clock that is ahead, and meant to leave no time without a rate.
    pub(crate) fn under(self, profile: Option<&RateProfile>, now: UnixMillis) -> Self {
        let rate = |at| {
            let first = || profile?.steps.first().map(|step| step.rate_bps_max);
            profile.and_then(|profile| profile.rate_bps_max(at)).or_else(first)
        };
        let lower = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        let bps_max = lower(self.bps_max, lower(rate(now), rate(now.plus_millis(1_000))));
        if bps_max == Some(0) { Self::default() } else { Self { bps_max, ..self } }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.window.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(id: &str, from: u64, to: u64, rate_bps_max: Option<u64>) -> Window {
        Window {
            id: id.parse().unwrap(),
            scope: control_types::fill::WindowScope::Everyone,
            opens_at: UnixMillis(from),
            closes_at: UnixMillis(to),
            rate_bps_max,
            bytes_max: None,
            closed: false,
        }
    }

    #[test]
    fn a_profile_holds_a_second_early_and_never_widens_a_window() {
        use control_types::fill::RateStep;
        let steps = [(10_000, 80), (20_000, 0), (30_000, 500)];
        let steps =
            steps.map(|(at, rate_bps_max)| RateStep { starts_at: UnixMillis(at), rate_bps_max });
        let profile = RateProfile { steps: steps.into() };
        let windows = [window("night", 0, 90_000, Some(100))];
        let at = |now| {
            let gate = Gate::at(&windows, UnixMillis(now)).under(Some(&profile), UnixMillis(now));
            gate.window.and(gate.bps_max)
        };
        assert_eq!((at(0), at(9_000), at(18_999)), (Some(80), Some(80), Some(80)));
        assert_eq!((at(19_000), at(29_999), at(30_000)), (None, None, Some(100)));
        // A border that is shut by a clock which is ahead of ours is shut now.
        let profile = RateProfile { steps: steps[1..2].into() };
        let gate = Gate::at(&windows, UnixMillis(0)).under(Some(&profile), UnixMillis(0));
        assert!(!gate.is_open());
    }

    #[test]
    fn a_slower_window_that_takes_over_holds_a_second_early() {
        let windows = [window("slow", 0, 90_000, Some(5)), window("fast", 0, 20_000, Some(80))];
        let at = |now| Gate::at(&windows, UnixMillis(now)).bps_max;
        assert_eq!((at(18_999), at(19_000), at(20_000)), (Some(80), Some(5), Some(5)));
    }

    #[test]
    fn a_window_for_everyone_lifts_no_cap_of_an_isp() {
        use control_types::fill::WindowScope;
        let isp = Window {
            scope: WindowScope::Isp("isp-one".parse().unwrap()),
            ..window("isp", 10, 30, Some(5))
        };
        let windows = [window("all", 0, 60, None), isp];
        let at = |now| Gate::at(&windows, UnixMillis(now)).window.map(|id| id.to_string());
        assert_eq!(at(9).as_deref(), Some("all"));
        assert_eq!(at(10).as_deref(), Some("isp"));
        assert_eq!(at(30).as_deref(), Some("all"));
    }

    #[test]
    fn the_widest_open_window_counts_and_its_end_is_exclusive() {
        let windows = [window("slow", 10, 30, Some(5)), window("fast", 20, 25, None)];
        let at = |now| Gate::at(&windows, UnixMillis(now)).window.map(|id| id.to_string());
        assert_eq!(at(9), None);
        assert_eq!(at(10).as_deref(), Some("slow"));
        assert_eq!(at(20).as_deref(), Some("fast"));
        assert_eq!(at(25).as_deref(), Some("slow"));
        assert_eq!(at(30), None);
    }
}
