//! How a title is cut into what is placed: its core, which makes it playable, and its other rungs
//! one by one. Knows sizes and demand; places nothing.
//!
//! Rungs of one title differ many times over in bytes served per byte stored, so a box that must
//! take all or nothing stores rungs that hardly anybody reads in place of other titles' rungs that
//! many do. A box may go without a rung: a play that asks it for one is sent on to who has it.
//!
//! The **core** of a title:
//! * every file that goes with every picture height (sound, subtitles, their playlists), and
//! * the rung that is expected to serve most bytes per byte stored, and after it, densest first,
//!   each rung that is denser than the core before it.
//!
//! A rung is all files of one height: track and playlist. So the core is at least as dense as every
//! rung left, and taking by worth takes the core of a title before its rungs. Whether a box has a
//! title is asked without a forecast, in `control_types::presence`: it has all that goes with every
//! height, and one rung at least.

/// One file of a title.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct File {
    /// Disk it takes.
    pub bytes: u64,
    /// Bytes expected of it tomorrow; finite and not negative.
    pub demand: f64,
    /// Pixels; absent for what goes with every height.
    pub height: Option<u32>,
}

/// Cuts a title: the first part is its core, each other one a rung, densest first. Parts are
/// positions in `files`, in their order; none is empty, and each file is in one of them.
#[must_use]
pub fn cut(files: &[File]) -> Vec<Vec<u32>> {
    let mut core: Vec<u32> = Vec::new();
    let mut rungs: Vec<(u32, Vec<u32>)> = Vec::new();
    for (at, file) in (0_u32..).zip(files) {
        match file.height {
            None => core.push(at),
            Some(height) => match rungs.iter_mut().find(|(known, _)| *known == height) {
                Some((_, rung)) => rung.push(at),
                None => rungs.push((height, vec![at])),
            },
        }
    }
    // Where nothing is expected the lowest rung is as good as any, and the smallest.
    rungs.sort_by(|(a_height, a), (b_height, b)| {
        density(files, b).total_cmp(&density(files, a)).then(a_height.cmp(b_height))
    });
    let mut rungs = rungs.into_iter().map(|(_, rung)| rung).peekable();
    core.extend(rungs.next().into_iter().flatten());
    while let Some(rung) = rungs.next_if(|rung| density(files, rung) > density(files, &core)) {
        core.extend(rung);
    }
    core.sort_unstable();
    let parts = std::iter::once(core).filter(|core| !core.is_empty());
    parts.chain(rungs).collect()
}

/// Bytes expected of `part` for each byte it takes.
fn density(files: &[File], part: &[u32]) -> f64 {
    let of = || part.iter().map(|at| files[*at as usize]);
    of().map(|file| file.demand).sum::<f64>()
        / of().map(|file| file.bytes).sum::<u64>().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::{File, cut};

    fn file(height: u32, bytes: u64, plays: f64) -> File {
        let height = (height > 0).then_some(height);
        File { bytes, demand: plays * bytes as f64, height }
    }

    #[test]
    fn the_core_is_sound_and_the_rung_that_most_plays_read() {
        let title = [
            file(0, 10, 1.0),
            file(360, 40, 0.1),
            file(1080, 500, 0.5),
            file(1080, 1, 0.5),
            file(2160, 1200, 0.2),
        ];
        assert_eq!(cut(&title), vec![vec![0, 2, 3], vec![4], vec![1]]);
    }

    #[test]
    fn a_rung_denser_than_what_goes_with_all_belongs_to_the_core() {
        // Somebody else's forecast may say so: the core must not be what is taken last.
        let title =
            [file(0, 1000, 0.0), file(360, 10, 1.0), file(720, 10, 0.9), file(1080, 50, 0.0)];
        assert_eq!(cut(&title), vec![vec![0, 1, 2], vec![3]]);
    }

    #[test]
    fn nothing_expected_keeps_the_lowest_rung_and_no_pictures_are_one_part() {
        let title = [file(1080, 9, 0.0), file(240, 5, 0.0), file(0, 3, 0.0)];
        assert_eq!(cut(&title), vec![vec![1, 2], vec![0]]);
        assert_eq!(cut(&[file(0, 1, 1.0), file(0, 2, 1.0)]), vec![vec![0, 1]]);
        assert!(cut(&[]).is_empty());
    }
}
