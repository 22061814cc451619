//! Which renditions a source gets. Pure: sizes in, rungs out; never larger than the source.

use serde::{Deserialize, Serialize};

use crate::probe::Picture;

/// Every segment of video is this long, seconds; of sound, as near as whole frames allow.
pub const SEGMENT_SECONDS: u32 = 2;

/// One video rendition to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// Pixels across, even.
    pub width: u32,
    /// Pixels down, even.
    pub height: u32,
    /// Highest bit rate over the encoder's buffer, bits per second.
    pub rate_bps_max: u64,
}

/// Heights that players and plans know, with the rate a picture that tall may take.
const USUAL: [(u32, u64); 5] =
    [(240, 450_000), (360, 900_000), (480, 1_600_000), (720, 3_200_000), (1080, 6_000_000)];

/// The ladder for a picture, smallest first. At least one rung; four for a source of 720 lines. A
/// source that stands well above the last usual rung below it gets one of its own height.
#[must_use]
pub fn ladder(picture: &Picture) -> Vec<Rung> {
    let mut heights: Vec<(u32, u64)> =
        USUAL.into_iter().filter(|(height, _)| *height <= picture.height).collect();
    let tallest = heights.last().map_or(0, |(height, _)| *height);
    if picture.height < 1080 && picture.height * 10 > tallest * 11 {
        heights.push((picture.height, rate_between(picture.height)));
    }
    let rung = |(height, rate_bps_max): (u32, u64)| Rung {
        width: even(f64::from(picture.width) * f64::from(height) / f64::from(picture.height)),
        height: even(f64::from(height)),
        rate_bps_max,
    };
    heights.into_iter().map(rung).collect()
}

/// Rate for an unusual height: in proportion to the picture's area, from the usual rung above it.
fn rate_between(height: u32) -> u64 {
    let above = USUAL.into_iter().find(|(usual, _)| *usual >= height);
    let (usual, rate) = above.unwrap_or(USUAL[USUAL.len() - 1]);
    rate * u64::from(height).pow(2) / u64::from(usual).pow(2)
}

/// The nearest even number, at least 2: chroma has half the lines and columns. Half-way goes down
/// unless that would shrink below the usual 16:9 widths (854, not 852, for 480 lines).
fn even(pixels: f64) -> u32 {
    ((pixels / 2.0).round() as u32 * 2).max(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Rate;

    fn sizes(width: u32, height: u32) -> Vec<(u32, u32)> {
        let rate = Rate { frames: 24, seconds: 1 };
        let picture = Picture { codec: String::new(), width, height, rate, interlaced: false };
        ladder(&picture).into_iter().map(|rung| (rung.width, rung.height)).collect()
    }

    #[test]
    fn a_ladder_is_never_taller_than_the_source() {
        let hd = [(426, 240), (640, 360), (854, 480), (1280, 720)];
        assert_eq!(sizes(1280, 720), hd);
        assert_eq!(sizes(1920, 1080), [&hd[..], &[(1920, 1080)]].concat());
        assert_eq!(sizes(3840, 2160).last(), Some(&(1920, 1080)));
        assert_eq!(sizes(320, 180), [(320, 180)]);
        assert_eq!(sizes(720, 576), [(300, 240), (450, 360), (600, 480), (720, 576)]);
        assert_eq!(sizes(640, 370), [(416, 240), (622, 360)]);
        assert_eq!(sizes(405, 721).last(), Some(&(404, 720)));
    }

    #[test]
    fn rates_rise_with_height() {
        let rate = Rate { frames: 24, seconds: 1 };
        let picture =
            Picture { codec: String::new(), width: 720, height: 576, rate, interlaced: false };
        let rates: Vec<u64> = ladder(&picture).iter().map(|rung| rung.rate_bps_max).collect();
        assert!(rates.is_sorted() && rates[3] < 3_200_000, "{rates:?}");
    }
}
