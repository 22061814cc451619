//! What the control plane is told, and in which order. It is played by a listener of a few lines
//! that answers as the routes promise and keeps what it was asked.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod kit;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use control_types::catalog::TitleRecord;
use control_types::fleet::DiskClass;
use kit::clip;
use oca_store::{Depth, Index, Volume, check};

#[derive(Debug)]
struct Asked {
    line: String,
    bearer: String,
    body: Vec<u8>,
}

/// Listens on a free port; refuses titles with `title_status` unless it is 204, and everything when
/// that is 401.
fn control(title_status: u16) -> (String, Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (send, receive) = channel();
    thread::spawn(move || {
        // Ends with the test's process. Connections are served side by side: on a busy machine the
        // asker may make another before the one before it is back in its pool, where it stays open,
        // and whoever waits for that one's end waits longer than the asker does.
        for stream in listener.incoming() {
            let (stream, send) = (stream.unwrap(), send.clone());
            thread::spawn(move || serve(stream, title_status, &send));
        }
    });
    (url, receive)
}

fn serve(stream: TcpStream, title_status: u16, send: &Sender<Asked>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let (mut length, mut bearer) = (0, String::new());
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            let Some((name, value)) = header.trim().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap(),
                "authorization" => bearer = value.trim().to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let (status, answer) = if line.starts_with("GET ") && title_status != 401 {
            assert!(line.starts_with("GET /v1/operator/isp-keys "), "{line}");
            (200, "[]".to_owned())
        } else if line.starts_with("POST /v1/operator/artwork") {
            (201, format!("{{\"object\":\"{}\"}}", blake3::hash(&body).to_hex()))
        } else if title_status == 204 {
            (204, String::new())
        } else {
            let word = if title_status == 401 { "unauthenticated" } else { "conflict" };
            let refusal =
                format!(r#"{{"error":"{word}","message":"no such luck","request_id":"r1"}}"#);
            (title_status, refusal)
        };
        let length = if status == 204 {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", answer.len())
        };
        let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{length}\r\n");
        // Told before it is answered: the caller may be gone, and its asker looking, by the next
        // line.
        send.send(Asked { line: line.trim().to_owned(), bearer, body }).unwrap();
        writer.write_all(head.as_bytes()).unwrap();
        writer.write_all(answer.as_bytes()).unwrap();
    }
}

fn command(dir: &Path, url: &str) -> Command {
    let (video, key, ssd) = (dir.join("clip.mkv"), dir.join("operator.key"), dir.join("ssd0"));
    if !video.exists() {
        clip(&video, "320x180", 2);
        std::fs::write(&key, "secret-key\n").unwrap();
        std::fs::create_dir(&ssd).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_ingest"));
    command
        .args(["run", "--title", "clip", "--name", "A Clip", "--genre", "Drama", "--json"])
        .args(["--person", "Somebody", "--year", "1999", "--control", url])
        .arg("--video")
        .arg(video)
        .arg("--key-file")
        .arg(key)
        .arg("--work")
        .arg(dir.join("work"))
        .arg("--volume")
        .arg(format!("{}:ssd", ssd.display()));
    command
}

#[test]
fn artwork_is_posted_before_the_title_appears_and_twice_is_once() {
    let dir = tempfile::tempdir().unwrap();
    let (url, asked) = control(204);
    // As one that the asker made and did not need: nobody may wait for its end.
    let _unused = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    let mut outcomes = Vec::new();
    for round in 0..2 {
        let output = command(dir.path(), &url).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        for step in ["probe", "encode", "package", "artwork", "import", "register"] {
            assert_eq!(said.matches(&format!("] {step}: ")).count(), 1, "{said}");
        }
        let asked: Vec<Asked> = asked.try_iter().collect();
        // The key is tried before anything else.
        assert!(asked[0].line.starts_with("GET "), "{asked:?}");
        let (last, posts) = asked[1..].split_last().unwrap();
        assert!(posts.len() >= 3);
        assert!(posts.iter().all(|p| p.line == "POST /v1/operator/artwork HTTP/1.1"));
        assert!(posts.iter().all(|p| p.body.starts_with(&[0xff, 0xd8])));
        assert!(asked.iter().all(|a| a.bearer == "Bearer secret-key"));
        assert_eq!(last.line, "PUT /v1/operator/titles/clip HTTP/1.1");
        let record: TitleRecord = serde_json::from_slice(&last.body).unwrap();
        assert_eq!((record.name.as_str(), record.year), ("A Clip", 1999));
        assert_eq!(record.artwork.len(), posts.len());
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(line["registered"], true);
        assert_eq!(line["objects_new"] == 0, round == 1);
        outcomes.push(record);
    }
    assert_eq!(outcomes[0], outcomes[1]);
}

#[test]
fn a_refusal_is_told_and_leaves_the_objects_for_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let (url, _asked) = control(409);
    let output = command(dir.path(), &url).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("no such luck"), "{said}");
    let (url, asked) = control(204);
    let output = command(dir.path(), &url).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("kept from an earlier run") && said.contains(" 0 objects new"), "{said}");
    assert!(asked.try_iter().last().unwrap().line.starts_with("PUT "));
}

/// Goal: hours of encoding are not spent for a control that will not have the title; what an
/// earlier run encoded stays as it is.
#[test]
fn a_wrong_key_and_an_absent_control_are_told_before_anything_is_encoded() {
    let dir = tempfile::tempdir().unwrap();
    // An address of its own: nobody else listens there when the port is given out again.
    let gone = TcpListener::bind("127.0.7.1:0").unwrap().local_addr().unwrap().to_string();
    let (url, asked) = control(401);
    let key_file = dir.path().join("operator.key").display().to_string();
    for (url, words) in [
        (format!("http://{gone}"), ["unreachable", &gone, "nothing was encoded"]),
        (url, ["401", &key_file, "nothing was encoded"]),
    ] {
        for round in 0..2 {
            let output = command(dir.path(), &url).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && !said.contains("] encode"), "{said}");
            words.iter().for_each(|word| assert!(said.contains(word), "{word} in {said}"));
            let work = dir.path().join("work/clip");
            assert_eq!(work.exists(), round == 1, "{said}");
            if round == 0 {
                std::fs::create_dir_all(&work).unwrap();
                std::fs::write(work.join("kept"), b"encoded before").unwrap();
            } else {
                assert_eq!(std::fs::read(work.join("kept")).unwrap(), b"encoded before");
                std::fs::remove_dir_all(&work).unwrap();
            }
        }
    }
    assert_eq!(asked.try_iter().count(), 2, "asked once a run");
}

/// Goal: a kill at any moment before the end leaves the volumes and the catalog as they were.
#[test]
fn a_killed_ingest_leaves_no_half_a_title_and_the_next_run_makes_a_whole_one() {
    let dir = tempfile::tempdir().unwrap();
    let (url, asked) = control(204);
    let mut child = command(dir.path(), &url).stderr(Stdio::piped()).spawn().unwrap();
    // The line of the first step says that the encode is next.
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("] probe: "));
    child.kill().unwrap();
    child.wait().unwrap();
    let volume = Volume::open(dir.path().join("ssd0"), DiskClass::Ssd).unwrap();
    assert!(Index::load(std::slice::from_ref(&volume)).index.is_empty());
    assert!(asked.try_iter().all(|asked| asked.line.starts_with("GET ")));
    let output = command(dir.path(), &url).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(asked.try_iter().last().unwrap().line.starts_with("PUT "));
    let report = check(&volume, Depth::Payload).unwrap();
    assert!(report.bad.is_empty() && report.objects >= 4, "{report:?}");
}

#[test]
fn a_key_file_that_cannot_be_used_is_told_before_anything_is_encoded() {
    let dir = tempfile::tempdir().unwrap();
    let (url, _asked) = control(204);
    let mut command = command(dir.path(), &url);
    std::fs::write(dir.path().join("operator.key"), "\n").unwrap();
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("key is empty"), "{said}");
    assert!(!said.contains("encode") && !dir.path().join("work").exists(), "{said}");
}
