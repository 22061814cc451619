//! What an operator may not register, and that all mistakes are told at once.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod bench;

use bench::{Bench, NOW, audio, film, id, object, video};
use control_catalog::{CatalogError, mistakes};
use control_types::catalog::{Rendition, TitleRecord, Track};

/// Spoils one thing and expects exactly one mistake that holds these words.
#[track_caller]
fn check(words: &str, spoil: impl FnOnce(&mut TitleRecord)) {
    let mut record = film("film");
    spoil(&mut record);
    let found = mistakes(&record);
    assert!(found.len() == 1 && found[0].contains(words), "wanted {words:?}: {found:#?}");
}

/// The same for the first rendition, a video, or what `spoil` makes of it.
#[track_caller]
fn check_rendition(words: &str, spoil: impl FnOnce(&mut Rendition)) {
    check(words, |record| {
        record.renditions = vec![video("film", 720, 1_500)];
        spoil(&mut record.renditions[0]);
    });
}

#[test]
fn a_good_title_has_no_mistakes() {
    assert_eq!(mistakes(&film("film")), Vec::<String>::new());
    let mut silent = film("film");
    silent.renditions.retain(|one| matches!(one.track, Track::Video { .. }));
    assert_eq!(mistakes(&silent), Vec::<String>::new(), "a silent source is a source");
}

#[test]
fn words_are_bounded() {
    check("name has 0 characters", |film| film.name = "  ".to_owned());
    check("name has 201 characters", |film| film.name = "x".repeat(201));
    check("name holds a control character", |film| film.name = "a\u{0}b".to_owned());
    check("synopsis has 2001", |film| film.synopsis = "x".repeat(2_001));
    check("credit has 1001", |film| film.credit = "x".repeat(1_001));
    check("year 1700", |film| film.year = 1_700);
    check("genres holds 13", |film| film.genres = (0..13).map(|n| format!("g{n}")).collect());
    check("genres names \"drama\" twice", |film| film.genres.push("drama".to_owned()));
    check("genres has 0 characters", |film| film.genres.push(String::new()));
    check("people holds 101", |film| film.people = (0..101).map(|n| format!("p{n}")).collect());
    for region in ["pt", "P", "PRT", "P1"] {
        check(&format!("region \"{region}\""), |film| film.regions = vec![region.to_owned()]);
    }
}

#[test]
fn artwork_is_bounded() {
    check("artwork 0 is 0x360", |film| film.artwork[0].width = 0);
    check("artwork 0 is 640x20000", |film| film.artwork[0].height = 20_000);
    check("after the end", |film| film.artwork[0].at_ms = 20_001);
    check("artwork holds 65", |film| film.artwork = vec![film.artwork[0].clone(); 65]);
}

#[test]
fn the_ladder_has_video_and_no_file_twice() {
    check("no video", |film| film.renditions = vec![audio("film", "en")]);
    check("no video", |film| film.renditions.clear());
    check("is named twice", |film| film.renditions[0].playlist = film.renditions[1].media);
    check("renditions holds 65", |film| {
        film.renditions = (0..65).map(|n| video("film", 720, 1_000 + n)).collect();
    });
}

#[test]
fn a_rendition_says_what_it_is() {
    check_rendition("media_bytes 68719476737", |one| {
        let grown = (64 << 30) + 1 - one.media_bytes;
        one.media_bytes += grown;
        one.segments[4].bytes += grown;
        one.peak_bps = u64::MAX;
    });
    check_rendition("playlist_bytes 0", |one| one.playlist_bytes = 0);
    for codecs in ["", "avc1\"", "avc1 mp4a", "avc1\n"] {
        check_rendition("codecs is not", |one| one.codecs = codecs.to_owned());
    }
    check_rendition("below average_bps", |one| one.average_bps = one.peak_bps + 1);
    check_rendition("do not follow", |one| one.init_bytes = 0);
    check_rendition("do not follow", |one| one.init_bytes = one.index_start + 1);
    check_rendition("0x720", |one| {
        one.track = Track::Video { width: 0, height: 720, frames_per_kilosecond: 24_000 };
    });
    check_rendition("not a frame rate", |one| {
        one.track = Track::Video { width: 1280, height: 720, frames_per_kilosecond: 0 };
    });
    check("language \"\"", |film| film.renditions[0] = audio("film", ""));
    check("language \"e\\\"n\"", |film| film.renditions[0] = audio("film", "e\"n"));
    check("0 channels", |film| {
        let language = "en".to_owned();
        film.renditions[0].track = Track::Audio { language, channels: 0, sample_rate: 48_000 };
    });
    check("sample_rate 1", |film| {
        let language = "en".to_owned();
        film.renditions[0].track = Track::Audio { language, channels: 2, sample_rate: 1 };
    });
}

#[test]
fn segments_tile_the_file() {
    check_rendition("0 segments", |one| one.segments.clear());
    check_rendition("segment 0 (start 901", |one| one.segments[0].start += 1);
    check_rendition("segment 3", |one| one.segments[3].start -= 1);
    check_rendition("segment 3", |one| one.segments[2].bytes += 1);
    check_rendition("segment 1", |one| one.segments[1].duration_ms = 0);
    check_rendition("segments end at byte", |one| one.media_bytes += 1);
    check_rendition("segment 0", |one| one.index_end += 1);
    check_rendition("segments last 40000 ms", |one| {
        one.segments.iter_mut().for_each(|segment| segment.duration_ms = 8_000);
    });
    // Nothing a number can do may overflow.
    check_rendition("segment 1", |one| one.segments[0].bytes = u64::MAX);
}

#[test]
fn the_peak_is_what_the_busiest_segment_needs() {
    check_rendition("peak_bps 1000000 is below", |one| {
        one.peak_bps = 1_000_000;
        one.average_bps = 900_000;
    });
    // A crumb at the end is no peak: same bytes in a tenth of the time.
    let mut record = film("film");
    for one in &mut record.renditions {
        one.segments[4].duration_ms = 400;
    }
    assert_eq!(mistakes(&record), Vec::<String>::new());
}

#[test]
fn video_rungs_are_cut_at_the_same_places() {
    check("has 4 segments and rendition 1 has 5", |film| {
        let one = &mut film.renditions[2];
        one.media_bytes -= one.segments.pop().unwrap().bytes;
    });
    check("segment 1 lasts 3800 ms in rendition 3", |film| {
        film.renditions[3].segments[1].duration_ms = 3_800;
        film.renditions[3].peak_bps *= 2;
    });
    // Audio is cut where it likes.
    let mut record = film("film");
    let one = &mut record.renditions[0];
    one.media_bytes -= one.segments.pop().unwrap().bytes;
    assert_eq!(mistakes(&record), Vec::<String>::new());
}

#[tokio::test]
async fn all_mistakes_come_in_one_answer() {
    let bench = Bench::new().await;
    let mut record = film("film");
    record.year = 0;
    record.regions = vec!["portugal".to_owned()];
    record.artwork[0].object = object("never posted");
    record.renditions[1].playlist_bytes = 0;
    let found = bench.mistakes(record).await;
    assert_eq!(found.len(), 4, "{found:#?}");
    for words in ["year 0", "region \"portugal\"", "does not exist; post", "playlist_bytes 0"] {
        assert!(found.iter().any(|one| one.contains(words)), "{words}: {found:#?}");
    }
    assert!(bench.catalog.snapshot().is_empty(), "nothing of it was kept");
}

#[tokio::test]
async fn the_path_and_other_titles_are_looked_at_too() {
    let bench = Bench::new().await;
    bench.put(film("film"), NOW).await;
    let error = bench.catalog.put(&id("other"), film("film"), NOW).await.unwrap_err();
    assert!(
        matches!(&error, CatalogError::Invalid { mistakes, .. }
        if mistakes[0] == "id is film and the path says other"),
        "{error}"
    );
    let mut thief = film("thief");
    thief.renditions[0].media = film("film").renditions[0].media;
    let found = bench.mistakes(thief).await;
    assert!(found.len() == 1 && found[0].contains("belongs to title film"), "{found:?}");
    bench.put(film("film"), NOW).await;
}
