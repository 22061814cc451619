//! When a box has a title: it has the title's core. Counts only; who should hold what is planned
//! elsewhere.
//!
//! The **core** of a title is every object that goes with all picture heights (sound, subtitles and
//! their playlists) and the objects of one height, whichever: with these a play runs, and what else
//! it asks for is answered by a redirect to who has it. So a box has a title when it lacks no more
//! of its objects than there are pictures of other heights. By number alone a box that lacks its
//! sound may pass for one that has it; it sends those requests on too.

/// How many of a title's objects a box may lack and still have the title; `heights` are those of
/// its objects, absent for what goes with every height.
#[must_use]
pub fn optional_objects(heights: impl IntoIterator<Item = Option<u32>>) -> usize {
    let mut heights: Vec<u32> = heights.into_iter().flatten().collect();
    heights.sort_unstable();
    // The height of the fewest objects could be the one that is there.
    let fewest = heights.chunk_by(|a, b| a == b).map(<[u32]>::len).min().unwrap_or(0);
    heights.len() - fewest
}

#[cfg(test)]
mod tests {
    use super::optional_objects;

    #[test]
    fn all_heights_but_one_may_lack() {
        let ladder = [None, None, Some(360), Some(360), Some(1080), Some(1080)];
        assert_eq!(optional_objects(ladder), 2);
        assert_eq!(optional_objects([None, Some(720), Some(720)]), 0);
        assert_eq!(optional_objects([None, None]), 0);
        assert_eq!(optional_objects([]), 0);
        let two_codecs = [Some(360), Some(360), Some(720), Some(720), Some(720), Some(720)];
        assert_eq!(optional_objects(two_codecs), 4);
    }
}
