//! Objects over plain HTTP: whole, in parts, asked about, asked for twice, asked for wrongly.

use control_types::ObjectId;

use crate::kit::{Appliance, Setup, eventually, object_file, payload, program, start};
use crate::wire::{Connection, Reply, request};

/// Three chunks and a bit: ranges cross chunks, the last one is short.
const BYTES: usize = 3 * 262_144 + 12_345;

struct Rig {
    appliance: Appliance,
    bytes: Vec<u8>,
    path: String,
}

fn rig() -> Rig {
    let setup = Setup::new();
    let bytes = payload(BYTES, 7);
    let object = setup.publish(0, "night", &bytes);
    let path = format!("/t/{}/v/night/{object}.mp4", setup.play("night"));
    Rig { appliance: setup.start(), bytes, path }
}

/// The answer to a range is exactly those bytes, with the right head.
fn check_part(rig: &Rig, connection: &mut Connection, range: &str, start: usize, end: usize) {
    let reply = connection.get(&rig.path, &format!("Range: bytes={range}\r\n"));
    assert_eq!(reply.status, 206, "{range}");
    let content_range = format!("bytes {start}-{}/{BYTES}", end - 1);
    assert_eq!(reply.header("content-range"), Some(content_range.as_str()));
    assert!(reply.is_whole && reply.body == rig.bytes[start..end], "{range}: wrong bytes");
}

fn check_media_headers(reply: &Reply, object: &str) {
    assert_eq!(reply.header("etag"), Some(format!("\"{object}\"").as_str()));
    assert_eq!(reply.header("content-type"), Some("video/mp4"));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("accept-ranges"), Some("bytes"));
    assert!(reply.header("cache-control").unwrap().contains("immutable"));
    assert!(reply.header("access-control-expose-headers").unwrap().contains("Content-Range"));
}

#[test]
fn whole_parts_and_questions_on_one_connection() {
    let rig = rig();
    let object = rig.path.rsplit('/').next().unwrap().trim_end_matches(".mp4").to_owned();
    let mut connection = rig.appliance.connect();
    let whole = connection.get(&rig.path, "");
    assert_eq!(whole.status, 200);
    assert!(whole.body == rig.bytes, "the whole object, byte for byte");
    check_media_headers(&whole, &object);
    for (range, start, end) in [
        ("0-0", 0, 1),
        ("262143-262144", 262_143, 262_145),
        ("100-", 100, BYTES),
        ("-5", BYTES - 5, BYTES),
        ("200000-600000", 200_000, 600_001),
        ("5-99999999", 5, BYTES),
    ] {
        check_part(&rig, &mut connection, range, start, end);
    }
    let head = connection.ask("HEAD", &rig.path, "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(BYTES.to_string().as_str()));
    check_media_headers(&head, &object);
    let known = connection.get(&rig.path, &format!("If-None-Match: \"{object}\"\r\n"));
    assert_eq!((known.status, known.body.len()), (304, 0));
    let stale = "Range: bytes=0-9\r\nIf-Range: \"other\"\r\n";
    assert_eq!(connection.get(&rig.path, stale).status, 200, "If-Range that does not match");
    let same = format!("Range: bytes=0-9\r\nIf-Range: \"{object}\"\r\n");
    assert_eq!(connection.get(&rig.path, &same).status, 206);
    let beyond = connection.get(&rig.path, &format!("Range: bytes={BYTES}-\r\n"));
    assert_eq!((beyond.status, beyond.text()), (416, "unsatisfiable"));
    assert_eq!(beyond.header("content-range"), Some(format!("bytes */{BYTES}").as_str()));
    let preflight = connection.ask("OPTIONS", &rig.path, "Origin: https://app.example\r\n");
    assert_eq!(preflight.status, 204);
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("Range"));
    rig.appliance.counts("accepted_total", "", 1.0);
    rig.appliance.counts("answers_total", "outcome=\"part\"", 7.0);
    rig.appliance.counts("hot_misses_total", "", 4.0);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let rig = rig();
    let mut connection = rig.appliance.connect();
    let ranges = [(0, 10), (300_000, 700_000), (BYTES - 3, BYTES), (7, 8)];
    let all: String = ranges
        .iter()
        .map(|(start, end)| {
            request("GET", &rig.path, &format!("Range: bytes={start}-{}\r\n", end - 1))
        })
        .collect();
    connection.send(all.as_bytes());
    for (start, end) in ranges {
        let reply = connection.reply("GET");
        assert!(reply.status == 206 && reply.body == rig.bytes[start..end], "{start}-{end}");
    }
}

#[test]
fn a_request_in_pieces_and_a_client_that_ends_its_side() {
    let rig = rig();
    let mut connection = rig.appliance.connect();
    for piece in request("GET", &rig.path, "Connection: close\r\n").as_bytes().chunks(100) {
        connection.send(piece);
    }
    let reply = connection.reply("GET");
    assert!(reply.status == 200 && reply.body == rig.bytes);
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(connection.is_ended(), "the server ends what it said it would");
}

#[test]
fn what_is_not_ours_is_refused_in_a_word() {
    let rig = rig();
    let ticket = rig.path.strip_prefix("/t/").unwrap().split('/').next().unwrap();
    let absent = format!("/t/{ticket}/v/night/{}.mp4", "0".repeat(64));
    let reply = rig.appliance.get(&absent);
    assert_eq!((reply.status, reply.text()), (404, "unknown_object"));
    assert_eq!(rig.appliance.get("/").status, 404);
    let reply = rig.appliance.connect().ask("POST", &rig.path, "");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    let mut connection = rig.appliance.connect();
    connection.send(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(connection.reply("GET").status, 400);
    assert!(connection.is_ended(), "after a doubtful head nobody knows where the next one starts");
    let mut connection = rig.appliance.connect();
    connection.send(&[b'x'; 9000]);
    assert!(matches!(connection.reply("GET").status, 400 | 414 | 431));
    rig.appliance.counts("answers_total", "status=\"404\"", 2.0);
}

#[test]
fn many_readers_of_one_cold_object_cost_one_read_a_chunk() {
    let rig = rig();
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let (media, path) = (rig.appliance.media, rig.path.clone());
            std::thread::spawn(move || Connection::plain(media).get(&path, "").body)
        })
        .collect();
    for reader in readers {
        assert!(reader.join().unwrap() == rig.bytes);
    }
    rig.appliance.counts("hot_misses_total", "", 4.0);
}

#[test]
fn more_than_fits_memory_is_served_all_the_same() {
    // 16 chunk buffers, 24 chunks in three objects, six readers.
    let setup = Setup::new().section("memory", "hot_set_bytes = 4194304\n");
    let objects: Vec<_> = (0..3u64)
        .map(|seed| {
            let bytes = payload(2 * 1024 * 1024, seed + 1);
            (setup.publish(0, "night", &bytes), bytes)
        })
        .collect();
    let ticket = setup.play("night");
    let appliance = setup.start();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (object, bytes) = &objects[number % 3];
            let (appliance, path) = (&appliance, format!("/t/{ticket}/v/night/{object}"));
            scope.spawn(move || {
                let mut connection = appliance.connect();
                for _ in 0..4 {
                    assert!(connection.get(&path, "").body == *bytes);
                }
            });
        }
    });
    assert!(appliance.metric("nightfill_oca_hot_evictions_total", "") > 0.0);
}

#[test]
fn readers_that_take_nothing_cost_the_others_nothing() {
    // 16 chunk buffers; 60 readers ask for 16 MiB each at 60 different places and read nothing.
    let setup = Setup::new().section("memory", "hot_set_bytes = 4194304\n");
    let large = setup.publish(0, "night", &payload(16 << 20, 41));
    let bytes = payload(3 << 20, 42);
    let small = setup.publish(0, "night", &bytes);
    let path = |object| format!("/t/{}/v/night/{object}", setup.play("night"));
    let (large, small) = (path(large), path(small));
    let appliance = setup.start();
    let stuck: Vec<Connection> = (0..60)
        .map(|number| {
            let mut connection = appliance.connect();
            let range = format!("Range: bytes={}-\r\n", number * 4096);
            connection.send(request("GET", &large, &range).as_bytes());
            connection
        })
        .collect();
    appliance.counts("connections", "", 60.0);
    let began = std::time::Instant::now();
    for _ in 0..3 {
        assert!(appliance.get(&small).body == bytes);
    }
    // Before the stuck ones are given up, so not thanks to that.
    let bound = oca::limits::SEND_PROGRESS_MS_MAX / 2;
    assert!(began.elapsed().as_millis() < u128::from(bound), "{:?}", began.elapsed());
    appliance.counts("closed_total", "stalled", 0.0);
    drop(stuck);
}

#[test]
fn what_the_agent_publishes_and_prunes_is_followed() {
    let appliance = Setup::new().start();
    let bytes = payload(1000, 3);
    let path = |object| format!("/t/{}/v/night/{object}", appliance.setup.play("night"));
    let object = appliance.setup.publish(0, "night", &bytes);
    eventually("the new object is served", || appliance.get(&path(object)).status == 200);
    assert!(appliance.get(&path(object)).body == bytes);
    let writer = oca_store::Writer::open(&appliance.setup.volumes[0], "test").unwrap();
    writer.remove(&object).unwrap();
    eventually("the pruned object is gone", || appliance.get(&path(object)).status == 404);
    eventually("its file is closed", || !has_open(&appliance, &object));
}

#[test]
fn what_a_journal_written_anew_does_not_name_is_let_go() {
    let appliance = Setup::new().start();
    let setup = &appliance.setup;
    let path = |object| format!("/t/{}/v/night/{object}", setup.play("night"));
    let [gone, kept] = [4, 5].map(|seed| setup.publish(0, "night", &payload(1000, seed)));
    for object in [gone, kept] {
        eventually("it is served", || appliance.get(&path(object)).status == 200);
    }
    assert!(has_open(&appliance, &gone));
    std::fs::remove_file(object_file(&setup.volumes[0], &gone)).unwrap();
    std::fs::remove_file(setup.path("disk0/journal")).unwrap();
    setup.publish(0, "night", &payload(1000, 6));
    eventually("it is gone", || appliance.get(&path(gone)).status == 404);
    eventually("its room is free", || !has_open(&appliance, &gone));
    assert_eq!(appliance.get(&path(kept)).status, 200);
}

fn has_open(appliance: &Appliance, object: &ObjectId) -> bool {
    let fds = std::fs::read_dir(format!("/proc/{}/fd", appliance.child.id())).unwrap();
    let mut links = fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    links.any(|link| link.to_string_lossy().contains(&object.to_string()))
}

/// Paths of the lab below, and their answers: what a name may be spelled like, and what no spelling
/// may reach.
const ESCAPED: &[(&str, u16)] = &[
    ("/sub/zwei%20W%C3%B6rter%20100%25.mp4", 200),
    ("/sub/clip%2Emp4", 200),
    ("/t/film/clip.mp4", 200),
    // A ticket in front is taken off.
    ("/t/none/sub/clip%2Emp4", 200),
    ("/sub/zwei%20W%F6rter%20100%25.mp4", 404),
    ("/sub/zwei%20W%C3%B6rter%20100%2525.mp4", 404),
    ("/%2e%2e/etc/passwd", 400),
    ("/sub/.%2e/sub/clip.mp4", 400),
    ("/sub%2Fclip.mp4", 400),
    ("/sub/clip.mp4%00", 400),
    ("/sub/clip.mp4%0a", 400),
    ("/sub/clip.mp4%2", 400),
    ("/sub/clip.mp4%zz", 400),
    ("/sub/clip.mp4%C2%85", 404),
    ("/%252e%252e/etc/passwd", 404),
];

#[test]
fn a_lab_serves_files_and_nothing_outside() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = payload(700_000, 9);
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    std::fs::write(dir.path().join("sub/clip.mp4"), &bytes).unwrap();
    std::fs::write(dir.path().join("sub/zwei Wörter 100%.mp4"), &bytes).unwrap();
    std::fs::create_dir_all(dir.path().join("t/film")).unwrap();
    std::fs::write(dir.path().join("t/film/clip.mp4"), &bytes).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", dir.path().join("leak")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    for folder in [dir.path().join("swapped"), outside.path().to_path_buf()] {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("clip.mp4"), &bytes).unwrap();
    }
    let mut command = program();
    command.arg("lab").arg(dir.path()).args(["--listen", "127.0.0.1:0", "--json"]);
    let (mut child, ready) = start(&mut command);
    let to = ready["listening"].as_str().unwrap().parse().unwrap();
    let mut connection = Connection::plain(to);
    let reply = connection.get("/sub/clip.mp4", "");
    assert!(reply.status == 200 && reply.body == bytes);
    assert_eq!(connection.get("/sub/clip.mp4", "Range: bytes=1-2\r\n").body, bytes[1..3]);
    assert_eq!(connection.get("/leak", "").status, 404);
    assert_eq!(connection.get("/sub", "").status, 404);
    for (path, status) in ESCAPED {
        let reply = Connection::plain(to).get(path, "");
        assert_eq!(reply.status, *status, "{path}: {}", reply.text());
    }
    // Behind the list's back, which still has the file.
    std::fs::rename(dir.path().join("swapped"), dir.path().join("away")).unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("swapped")).unwrap();
    assert_eq!(Connection::plain(to).get("/swapped/clip.mp4", "").status, 404);
    assert_eq!(connection.get("/sub/clip.mp4", "").status, 200, "and nobody else notices");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Goal: a directory that goes and comes back is served again, though nobody can tell of a
/// directory that is not there.
#[test]
fn a_lab_whose_directory_is_made_anew_is_served_again() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("films");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("old.mp4"), b"old").unwrap();
    // A younger file would be reason enough to look again.
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    std::fs::File::open(root.join("old.mp4")).unwrap().set_modified(long_ago).unwrap();
    let mut command = program();
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    command.arg("lab").arg(&root).args(["--listen", "127.0.0.1:0", "--json"]).stderr(log);
    let (_child, ready) = start(&mut command);
    let to = ready["listening"].as_str().unwrap().parse().unwrap();
    assert_eq!(Connection::plain(to).get("/old.mp4", "").body, b"old");
    std::fs::rename(&root, dir.path().join("away")).unwrap();
    eventually("it is missed", || {
        std::fs::read_to_string(dir.path().join("log")).unwrap().contains("the old list of files")
    });
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("new.mp4"), b"new").unwrap();
    eventually("it is served again", || Connection::plain(to).get("/new.mp4", "").body == b"new");
}

#[test]
fn a_lab_is_refused_what_it_could_not_have() {
    let dir = tempfile::tempdir().unwrap();
    let check = |line: &[&str], words: &[&str]| {
        let mut command = program();
        command.arg("lab").arg(dir.path()).args(["--listen", "127.0.0.1:0"]).args(line);
        let answer = command.output().unwrap();
        let said = String::from_utf8_lossy(&answer.stderr);
        assert!(!answer.status.success(), "{line:?}");
        for word in words {
            assert!(said.contains(word), "{line:?} lacks {word}: {said}");
        }
    };
    check(&["--workers", "0"], &["--workers", "1..=256"]);
    check(&["--workers", "100000"], &["--workers", "1..=256"]);
    check(&["--connections", "99999999"], &["--connections", "1..=65536"]);
}
