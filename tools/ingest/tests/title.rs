//! A title from a real source: what is in the volumes and in the record is what players need.
//! Encodes with the machine's ffmpeg; the control plane in the last tests is a stand-in that
//! listens.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod kit;

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use control_types::ObjectId;
use control_types::catalog::{Rendition, Track};
use ingest::{Order, Outcome, ingest};
use kit::{clip, film, order};
use oca_store::{Depth, Index, ObjectReader, Volume, Writer, check};

fn run(order: &Order) -> Outcome {
    ingest(order, &mut |line| println!("{line}")).unwrap()
}

/// The whole payload of an object, checked chunk by chunk, with its type.
fn payload(volumes: &[Volume], object: &ObjectId) -> (Vec<u8>, &'static str) {
    let index = Index::load(volumes).index;
    let entry = index.find(object).expect("the object is in the volumes");
    let reader = ObjectReader::open(&entry.path()).unwrap();
    let (mut all, mut chunk) = (Vec::new(), Vec::new());
    for index in 0..reader.seal().chunks() {
        reader.read_chunk(index, &mut chunk).unwrap();
        all.extend_from_slice(&chunk);
    }
    (all, entry.media_type.as_str())
}

/// Byte ranges and durations that a media playlist names, and the range of its map.
fn playlist_ranges(text: &str, media: &ObjectId) -> (u64, Vec<(u64, u64, f64)>) {
    let range = |text: &str| {
        let (bytes, start) = text.split_once('@').unwrap();
        (start.parse().unwrap(), bytes.parse().unwrap())
    };
    let (mut map, mut seconds, mut found, mut ranges) = (0, 0.0, (0, 0), Vec::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("#EXT-X-MAP:") {
            let (uri, bytes) = rest.split_once(",BYTERANGE=").unwrap();
            assert_eq!(uri, format!("URI=\"{media}.mp4\""));
            map = range(bytes.trim_matches('"')).1;
        } else if let Some(rest) = line.strip_prefix("#EXTINF:") {
            seconds = rest.trim_end_matches(',').parse().unwrap();
        } else if let Some(rest) = line.strip_prefix("#EXT-X-BYTERANGE:") {
            found = range(rest);
        } else if !line.starts_with('#') {
            assert_eq!(line, format!("{media}.mp4"));
            ranges.push((found.0, found.1, seconds));
        }
    }
    (map, ranges)
}

fn check_rendition(volumes: &[Volume], one: &Rendition) {
    let (media, media_type) = payload(volumes, &one.media);
    let is_video = matches!(one.track, Track::Video { .. });
    assert_eq!(media_type, if is_video { "video/mp4" } else { "audio/mp4" });
    assert_eq!(media.len() as u64, one.media_bytes);
    let at = |start: u64, kind: &[u8]| {
        let start = start as usize;
        assert_eq!(&media[start + 4..start + 8], kind, "at byte {start}");
    };
    at(0, b"ftyp");
    assert!(media[..32].windows(4).any(|brand| brand == b"cmfc"));
    at(one.index_start, b"sidx");
    assert_eq!(one.index_start, one.init_bytes);
    let mut end = one.index_end;
    for segment in &one.segments {
        assert_eq!(segment.start, end);
        at(segment.start, b"moof");
        end += segment.bytes;
    }
    assert_eq!(end, one.media_bytes);

    let (text, media_type) = payload(volumes, &one.playlist);
    assert_eq!(media_type, "application/vnd.apple.mpegurl");
    assert_eq!(text.len() as u64, one.playlist_bytes);
    let text = String::from_utf8(text).unwrap();
    for line in ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-ENDLIST"] {
        assert!(text.lines().any(|l| l == line), "no {line} in {text}");
    }
    let (init, ranges) = playlist_ranges(&text, &one.media);
    assert_eq!(init, one.init_bytes);
    assert_eq!(ranges.len(), one.segments.len());
    for ((start, bytes, seconds), segment) in ranges.iter().zip(&one.segments) {
        assert_eq!((*start, *bytes), (segment.start, segment.bytes));
        assert!((seconds * 1000.0 - f64::from(segment.duration_ms)).abs() <= 1.0);
        let bps = (*bytes as f64 * 8.0 / seconds) as u64;
        assert!(*seconds < 1.0 || bps <= one.peak_bps, "{bps} over {}", one.peak_bps);
    }
    assert!(one.average_bps <= one.peak_bps && one.average_bps > 0);
}

/// Goal: the whole contract with players on a real film. Also run twice: the second does nothing.
#[test]
fn a_film_becomes_a_ladder_of_aligned_renditions_once() {
    let dir = tempfile::tempdir().unwrap();
    let order = order(dir.path(), &film(dir.path()), "film");
    let first = run(&order);
    let record = &first.record;
    assert!((4_500..5_600).contains(&record.duration_ms), "{}", record.duration_ms);
    record.renditions.iter().for_each(|one| check_rendition(&order.volumes, one));

    let videos: Vec<&Rendition> =
        record.renditions.iter().filter(|r| matches!(r.track, Track::Video { .. })).collect();
    let heights: Vec<u32> = videos
        .iter()
        .map(|r| if let Track::Video { height, .. } = r.track { height } else { 0 })
        .collect();
    assert_eq!(heights, [240, 360, 480, 720]);
    let cuts = |r: &Rendition| r.segments.iter().map(|s| s.duration_ms).collect::<Vec<_>>();
    assert!(videos.iter().all(|r| cuts(r) == cuts(videos[0])));
    let (last, full) = videos[0].segments.split_last().unwrap();
    assert!(full.iter().all(|s| s.duration_ms == 2000) && last.duration_ms <= 2000);
    assert!(videos.is_sorted_by_key(|r| r.average_bps));
    assert!(videos.iter().all(|r| r.codecs.starts_with("avc1.64")), "{}", videos[0].codecs);
    let [sound] =
        record.renditions.iter().filter(|r| r.codecs == "mp4a.40.2").collect::<Vec<_>>()[..]
    else {
        panic!("not exactly one sound rendition");
    };
    let total = |r: &Rendition| r.segments.iter().map(|s| u64::from(s.duration_ms)).sum::<u64>();
    assert!(total(sound).abs_diff(record.duration_ms) < 100, "{}", total(sound));
    assert!(matches!(sound.track, Track::Audio { channels: 2, sample_rate: 48_000, .. }));
    check_segments_decode_alone(dir.path(), &order.volumes, videos[1]);

    let images: HashSet<ObjectId> = record.artwork.iter().map(|a| a.object).collect();
    assert!(images.len() >= 3, "{images:?}");
    for volume in &order.volumes {
        assert_eq!(check(volume, Depth::Payload).unwrap().bad, []);
    }
    let held = |volume: &Volume| Index::load(std::slice::from_ref(volume)).index.held_bytes();
    assert!(held(&order.volumes[0]) > 100 * held(&order.volumes[1]), "media is not on the hdd");
    assert!(first.encoded && !first.registered);
    assert_eq!((first.objects_new, first.objects_held), (10, 0));

    let second = run(&order);
    assert_eq!(second.record, first.record);
    assert_eq!((second.encoded, second.objects_new, second.objects_held), (false, 0, 10));
}

/// A player may begin at any segment: initialization section and one segment must decode on their
/// own.
fn check_segments_decode_alone(dir: &Path, volumes: &[Volume], one: &Rendition) {
    let (media, _) = payload(volumes, &one.media);
    for (n, segment) in one.segments.iter().enumerate() {
        let alone = dir.join(format!("alone-{n}.mp4"));
        let (start, end) = (segment.start as usize, (segment.start + segment.bytes) as usize);
        fs::write(&alone, [&media[..one.init_bytes as usize], &media[start..end]].concat())
            .unwrap();
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames"])
            .args(["-of", "csv=p=0"])
            .arg(&alone)
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let frames: u32 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
        let Track::Video { frames_per_kilosecond, .. } = one.track else { panic!("not a video") };
        let wanted = f64::from(segment.duration_ms) * f64::from(frames_per_kilosecond) / 1e6;
        assert_eq!(frames, wanted.round() as u32, "segment {n}");
    }
}

/// The encoder's delay is taken out: what is heard at one second in the source is heard then.
#[test]
fn sound_is_on_time() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("tone.mkv");
    clip(&source, "320x180", 3);
    let order = order(dir.path(), &source, "tone");
    let outcome = run(&order);
    let sound = outcome.record.renditions.iter().find(|r| r.codecs.starts_with("mp4a")).unwrap();
    let (media, _) = payload(&order.volumes, &sound.media);
    let (packed, heard) = (dir.path().join("tone.mp4"), dir.path().join("tone.raw"));
    fs::write(&packed, media).unwrap();
    kit::ffmpeg(&format!("-i {} -ac 1 -f s16le", packed.display()), &heard);
    let samples = fs::read(&heard).unwrap();
    let first = samples
        .chunks_exact(2)
        .position(|pair| i16::from_le_bytes([pair[0], pair[1]]).unsigned_abs() > 3000)
        .unwrap();
    let off = (first as f64 / 48_000.0 - 1.0).abs();
    assert!(off < 0.008, "the tone is heard {off} s off");
}

#[test]
fn the_same_source_gives_the_same_objects_and_no_two_titles_share_one() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("clip.mkv");
    clip(&source, "426x240", 3);
    let here = order(dir.path(), &source, "here");
    let first = run(&here);
    // A killed encode leaves a part of a directory, and nothing that is taken for a whole one.
    fs::rename(here.work.join("here/encode"), here.work.join("here/encode.part")).unwrap();
    let again = run(&here);
    assert_eq!((again.encoded, again.objects_new), (true, 0));
    assert_eq!(again.record, first.record);
    let other = run(&order(dir.path(), &source, "elsewhere"));
    let objects = |outcome: &Outcome| -> HashSet<ObjectId> {
        outcome.record.renditions.iter().flat_map(|r| [r.media, r.playlist]).collect()
    };
    assert!(objects(&first).is_disjoint(&objects(&other)));
}

#[test]
fn a_volume_somebody_else_writes_is_named_and_nothing_is_imported() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("clip.mkv");
    clip(&source, "320x180", 2);
    let order = order(dir.path(), &source, "clip");
    let agent = Writer::open(&order.volumes[1], "fill-agent").unwrap();
    let error = ingest(&order, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("fill-agent") && error.contains("ssd"), "{error}");
    assert!(Index::load(&order.volumes).index.is_empty());
    drop(agent);
    assert!(run(&order).objects_new > 0);
}
