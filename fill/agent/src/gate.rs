//! Whether fill may run now, until when and how fast: the windows as one answer.
//! Reads no clock; asked with the time at control.

use control_types::UnixMillis;
use control_types::fill::Window;
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
    /// The gate at `now`. Of several open windows the most permissive counts: whoever opened a
    /// faster one beside a slow one meant it.
    pub(crate) fn at(windows: &[Window], now: UnixMillis) -> Self {
        let open = windows.iter().filter(|window| window.is_open(now));
        let widest = open.max_by_key(|window| {
            let bytes = window.bytes_max.unwrap_or(u64::MAX);
            (window.rate_bps_max.unwrap_or(u64::MAX), bytes, window.closes_at)
        });
        widest.map_or_else(Self::default, |window| Self {
            window: Some(window.id.clone()),
            bps_max: window.rate_bps_max,
            bytes_max: window.bytes_max,
        })
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
