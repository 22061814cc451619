//! Fourth step: thumbnails from different shots that are worth showing. Chooses by numbers alone.
//! Never reads the whole film into memory: at most 240 tiny grey frames.
//!
//! Mechanics: every few hundred milliseconds one 160x90 grey frame is measured for brightness,
//! spread and sharpness. Thresholds: a frame that is nearly black, nearly white, flat or blurred is
//! out. Policy: take the best frame, then the best that looks different and is some way off, and so
//! on; when that leaves too few, first the distance in time is given up, then the difference, then
//! beauty.

use std::path::Path;

use crate::child::{Arguments, Tool, run};
use crate::error::IngestError;
use crate::probe::{Probe, file_url};

/// Size of a thumbnail, pixels.
pub const WIDTH: u32 = 640;
/// See [`WIDTH`].
pub const HEIGHT: u32 = 360;
/// Thumbnails a title gets.
pub const COUNT: usize = 4;

const LOOK_WIDTH: usize = 160;
const LOOK_HEIGHT: usize = 90;
const LOOKS_MAX: u64 = 240;
const LOOK_MS_MIN: u64 = 250;

/// Mean brightness that a thumbnail may have, 0 to 255.
const MEAN: std::ops::RangeInclusive<f64> = 28.0..=232.0;
/// Least standard deviation of brightness.
const SPREAD_MIN: f64 = 14.0;
/// Least mean of the absolute Laplacian: below it there are no edges.
const SHARP_MIN: f64 = 1.2;
/// Mean absolute difference of two grey frames that look different.
const APART_MIN: f64 = 22.0;

/// One thumbnail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    /// Where it was cut, milliseconds.
    pub at_ms: u64,
    /// A JPEG of [`WIDTH`] x [`HEIGHT`].
    pub jpeg: Vec<u8>,
}

/// Cuts [`COUNT`] thumbnails, best first; fewer only from a source with fewer frames looked at.
///
/// # Errors
/// [`IngestError::Tool`] with ffmpeg's words.
pub fn artwork(probe: &Probe) -> Result<Vec<Thumbnail>, IngestError> {
    let step_ms = (probe.duration_ms / LOOKS_MAX).max(LOOK_MS_MIN);
    let looks = look(&probe.path, step_ms)?;
    let chosen = choose(&looks, COUNT);
    let cut = |n: usize| {
        let at_ms = n as u64 * step_ms;
        cut(&probe.path, at_ms).map(|jpeg| Thumbnail { at_ms, jpeg })
    };
    chosen.into_iter().map(cut).collect()
}

/// Grey frames of [`LOOK_WIDTH`] x [`LOOK_HEIGHT`], one every `step_ms`.
fn look(path: &Path, step_ms: u64) -> Result<Vec<Vec<u8>>, IngestError> {
    let doing = "look for thumbnails";
    let arguments = Arguments::default()
        .words("-nostdin -hide_banner -v error -protocol_whitelist file,pipe -i")
        .arg(file_url(path))
        .words("-map 0:V:0 -vf")
        .arg(format!(
            "fps=1000/{step_ms}:start_time=0,{},format=gray",
            filling(LOOK_WIDTH as u32, LOOK_HEIGHT as u32)
        ))
        .words("-f rawvideo -");
    let ended = run(Tool::Ffmpeg, arguments, doing)?;
    let mut looks: Vec<Vec<u8>> =
        ended.stdout.chunks_exact(LOOK_WIDTH * LOOK_HEIGHT).map(<[u8]>::to_vec).collect();
    if !ended.success || looks.is_empty() {
        return Err(IngestError::Tool { tool: "ffmpeg", doing, said: ended.said() });
    }
    // The last one may stand for a moment after the last frame, where nothing can be cut.
    if looks.len() > 1 {
        looks.pop();
    }
    Ok(looks)
}

fn cut(path: &Path, at_ms: u64) -> Result<Vec<u8>, IngestError> {
    let doing = "cut a thumbnail";
    let arguments = Arguments::default()
        .words("-nostdin -hide_banner -v error -protocol_whitelist file,pipe")
        .words(&format!("-ss {at_ms}ms -i"))
        .arg(file_url(path))
        .words("-map 0:V:0 -frames:v 1 -vf")
        .arg(format!("{},format=yuvj420p", filling(WIDTH, HEIGHT)))
        .words("-c:v mjpeg -q:v 3 -flags:v +bitexact -fflags +bitexact -f image2pipe -");
    let ended = run(Tool::Ffmpeg, arguments, doing)?;
    let jpeg = ended.stdout;
    if !ended.success || !jpeg.starts_with(&[0xff, 0xd8]) || !jpeg.ends_with(&[0xff, 0xd9]) {
        let said = ended.last_lines.back().cloned().unwrap_or_default();
        return Err(IngestError::Tool { tool: "ffmpeg", doing, said });
    }
    Ok(jpeg)
}

/// Fills the frame, cutting off what stands over: a thumbnail has no bars.
fn filling(width: u32, height: u32) -> String {
    format!(
        "scale={width}:{height}:force_original_aspect_ratio=increase,crop={width}:{height},setsar=1"
    )
}

/// Positions in `looks` of the frames to show, best first.
fn choose(looks: &[Vec<u8>], count: usize) -> Vec<usize> {
    let scores: Vec<f64> =
        looks.iter().enumerate().map(|(n, look)| score(look, n, looks.len())).collect();
    let mut order: Vec<usize> = (0..looks.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let mut chosen: Vec<usize> = Vec::new();
    let far = looks.len() / (3 * count.max(1));
    for (away, apart, worst) in
        [(far, APART_MIN, 0.0), (1, APART_MIN, 0.0), (far, 0.0, 0.0), (1, 0.0, f64::NEG_INFINITY)]
    {
        for n in order.iter().copied() {
            let fits = chosen.iter().all(|c| {
                c.abs_diff(n) >= away.max(1) && difference(&looks[*c], &looks[n]) >= apart
            });
            if chosen.len() < count && scores[n] >= worst && fits {
                chosen.push(n);
            }
        }
    }
    chosen
}

/// How good a thumbnail a frame makes: above 0 when it can be shown at all.
fn score(look: &[u8], position: usize, of: usize) -> f64 {
    let mean = look.iter().map(|p| f64::from(*p)).sum::<f64>() / look.len() as f64;
    let variance = look.iter().map(|p| (f64::from(*p) - mean).powi(2)).sum::<f64>();
    let spread = (variance / look.len() as f64).sqrt();
    let sharp = sharpness(look);
    if !MEAN.contains(&mean) || spread < SPREAD_MIN || sharp < SHARP_MIN {
        return -1.0 - (mean - 128.0).abs() / 128.0;
    }
    // Openings and credits say little about a film.
    let margin = if position * 20 < of || (of - position) * 20 < of { 0.5 } else { 0.0 };
    // Sharpness is capped low: what is all edges is noise.
    1.0 + spread.min(64.0) / 64.0 + sharp.min(12.0) / 24.0 - (mean - 118.0).abs() / 256.0 - margin
}

fn sharpness(look: &[u8]) -> f64 {
    let at = |x: usize, y: usize| i32::from(look[y * LOOK_WIDTH + x]);
    let mut sum = 0u64;
    for y in 1..LOOK_HEIGHT - 1 {
        for x in 1..LOOK_WIDTH - 1 {
            let around = at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1);
            sum += u64::from((4 * at(x, y) - around).unsigned_abs());
        }
    }
    sum as f64 / ((LOOK_WIDTH - 2) * (LOOK_HEIGHT - 2)) as f64
}

fn difference(a: &[u8], b: &[u8]) -> f64 {
    let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(pixel: impl Fn(usize, usize) -> u8) -> Vec<u8> {
        (0..LOOK_WIDTH * LOOK_HEIGHT).map(|n| pixel(n % LOOK_WIDTH, n / LOOK_WIDTH)).collect()
    }

    #[test]
    fn black_white_flat_and_blurred_frames_come_last_and_shots_are_not_repeated() {
        let stripes = frame(|x, _| if x / 8 % 2 == 0 { 40 } else { 200 });
        let rows = frame(|_, y| if y / 9 % 2 == 0 { 60 } else { 190 });
        let blurred = frame(|x, _| (x + 40) as u8);
        let mut looks = vec![frame(|_, _| 0); 12];
        looks[1] = frame(|_, _| 255);
        looks[2] = blurred;
        (3..6).for_each(|n| looks[n] = stripes.clone());
        (6..9).for_each(|n| looks[n] = rows.clone());
        let mut chosen = choose(&looks, 2);
        chosen.sort_unstable();
        assert!((3..6).contains(&chosen[0]) && (6..9).contains(&chosen[1]), "{chosen:?}");
        assert_eq!(choose(&looks, 4).len(), 4);
    }

    #[test]
    fn a_film_with_nothing_to_show_still_gets_thumbnails() {
        assert_eq!(choose(&vec![frame(|_, _| 0); 9], 4).len(), 4);
        assert_eq!(choose(&[frame(|_, _| 9)], 4), [0]);
    }
}
