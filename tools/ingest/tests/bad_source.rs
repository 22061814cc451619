//! Sources that cannot become a title are refused with the file's name, what is wrong, and the
//! cure; odd ones that can are taken. One lesson a case.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod kit;

use std::fs;
use std::path::Path;
use std::process::Command;

use ingest::IngestError;
use ingest::probe::probe;
use kit::{clip, ffmpeg};

/// Asserts that `path` is refused and that the message says `wrong` and names the file and a cure.
fn check_refused(path: &Path, wrong: &str) {
    let error = match probe(path) {
        Err(error @ IngestError::Source { .. }) => error.to_string(),
        other => panic!("{}: {other:?}", path.display()),
    };
    let name = path.display().to_string();
    assert!(error.starts_with(&name), "{error}");
    assert!(error.contains(wrong), "{error:?} does not say {wrong:?}");
    assert!(error.contains("; "), "{error:?} names no cure");
}

#[test]
fn what_is_not_a_video_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    check_refused(&at("nowhere.mp4"), "cannot be read");
    check_refused(dir.path(), "not a file");
    fs::write(at("empty.mp4"), b"").unwrap();
    check_refused(&at("empty.mp4"), "empty (0 bytes)");
    let words = "It was a dark and stormy night.\n".repeat(200);
    for name in ["novel.txt", "novel.mp4"] {
        fs::write(at(name), &words).unwrap();
        check_refused(&at(name), "is not a");
    }
    ffmpeg("-f lavfi -i testsrc2=s=320x180 -frames:v 1", &at("still.jpg"));
    check_refused(&at("still.jpg"), "not a film");
    ffmpeg("-f lavfi -i sine=d=2", &at("song.wav"));
    check_refused(&at("song.wav"), "no picture");
    fs::write(at("list.mp4"), "ffconcat version 1.0\nfile 'song.wav'\n").unwrap();
    check_refused(&at("list.mp4"), "is not a");
    clip(&at("blink.mkv"), "320x180", 1);
    ffmpeg(&format!("-i {} -t 0.5 -c copy", at("blink.mkv").display()), &at("wink.mkv"));
    check_refused(&at("wink.mkv"), "a picture of");
}

#[test]
fn what_was_cut_short_or_damaged_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    clip(&at("whole.mkv"), "640x360", 4);
    let copy = format!("-i {} -c:v copy -c:a aac", at("whole.mkv").display());
    ffmpeg(&copy, &at("late.mp4"));
    ffmpeg(&format!("{copy} -movflags +faststart"), &at("early.mp4"));
    for name in ["whole.mkv", "late.mp4", "early.mp4"] {
        probe(&at(name)).unwrap();
        let bytes = fs::read(at(name)).unwrap();
        let cut = at(&format!("cut-{name}"));
        for part in [30, 60, 95] {
            fs::write(&cut, &bytes[..bytes.len() * part / 100]).unwrap();
            check_refused(&cut, "cut short");
        }
        let mut hole = bytes.clone();
        let middle = hole.len() / 2;
        // Bytes of another file, as a broken disk or copy gives them.
        let mut stream = blake3::Hasher::new().update(name.as_bytes()).finalize_xof();
        stream.fill(&mut hole[middle..middle + 9000]);
        fs::write(&cut, &hole).unwrap();
        check_refused(&cut, "damaged");
    }
}

#[test]
fn odd_sources_that_can_be_shown_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    // Silent: taken, and said. A name that looks like an option or a protocol is still a name.
    ffmpeg("-f lavfi -i testsrc2=s=320x180:r=30000/1001:d=2", &at("-i http:x.mp4"));
    let silent = probe(&at("-i http:x.mp4")).unwrap();
    assert!(silent.sound.is_none());
    assert!(silent.warnings[0].contains("no sound track"), "{:?}", silent.warnings);
    assert_eq!(silent.picture.rate.frames_per_kilosecond(), 29_970);
    assert!((1900..=2100).contains(&silent.duration_ms), "{}", silent.duration_ms);
    // Sound that goes on after the picture is not damage.
    ffmpeg("-f lavfi -i testsrc2=s=320x180:r=24:d=2 -f lavfi -i sine=d=5", &at("long.mp4"));
    let uneven = probe(&at("long.mp4")).unwrap();
    assert!((1950..=2050).contains(&uneven.duration_ms), "{}", uneven.duration_ms);
    assert!(uneven.warnings[0].contains("the sound is fitted"), "{:?}", uneven.warnings);
    // Pixels that are not square are made so.
    ffmpeg("-f lavfi -i testsrc2=s=720x576:r=25:d=1 -vf setsar=16/11", &at("wide.mp4"));
    assert_eq!(probe(&at("wide.mp4")).unwrap().picture.width, 1047);
}

#[test]
fn a_missing_ffmpeg_is_named_with_its_package() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.mp4"), b"x").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_ingest"))
        .arg("probe")
        .arg(dir.path().join("a.mp4"))
        .env("PATH", dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("ffprobe is not installed: apt-get install ffmpeg"), "{said}");
}
