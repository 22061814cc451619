//! The command line as people meet it: help, errors, exit codes, local stores. Needs no control
//! plane.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use control_types::fleet::DiskClass;
use oca_store::{MediaType, Volume, Writer, seal_reader};

fn ocactl(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ocactl"))
        .args(arguments)
        .env_remove("NIGHTFILL_CONTROL")
        .env_remove("NIGHTFILL_KEY_FILE")
        .env_remove("NIGHTFILL_CA")
        .output()
        .expect("ocactl is built beside its tests")
}

/// Runs a line and expects an exit code and some words in what it printed.
fn check(arguments: &[&str], code: i32, words: &[&str]) {
    let answer = ocactl(arguments);
    let text = String::from_utf8_lossy(&answer.stdout).into_owned()
        + &String::from_utf8_lossy(&answer.stderr);
    assert_eq!(answer.status.code(), Some(code), "ocactl {arguments:?} said {text}");
    for word in words {
        assert!(text.contains(word), "ocactl {arguments:?} lacks {word:?}: {text}");
    }
}

#[test]
fn help_says_what_each_subject_is_for() {
    let subjects =
        ["title", "site", "appliance", "window", "plan", "fill", "steer", "ticket", "store"];
    check(&["--help"], 0, &subjects);
    check(&["--help"], 0, &["Examples:", "NIGHTFILL_CONTROL", "Exit code"]);
    for subject in subjects {
        check(&[subject, "--help"], 0, &["Usage: ocactl", "--json"]);
    }
    check(&["window", "open", "--help"], 0, &["2h30m", "500Mbit", "2TB", "--everyone"]);
}

#[test]
fn a_wrong_line_is_refused_with_the_cure() {
    check(&[], 2, &["Usage"]);
    check(&["window", "open", "w", "--everyone", "--for", "soon"], 2, &["soon", "2h30m"]);
    check(&["window", "open", "w", "--everyone", "--for", "1h", "--rate", "9"], 2, &["500Mbit"]);
    check(&["window", "open", "w", "--for", "1h"], 2, &["--site", "--everyone"]);
    check(&["window", "open", "w", "--everyone", "--site", "a", "--for", "1h"], 2, &["--everyone"]);
    check(&["title", "show", "Not A Slug"], 2, &["Not A Slug", "a-z"]);
    check(&["steer", "explain", "--ip", "nowhere", "--title", "t"], 2, &["nowhere"]);
}

#[test]
fn a_missing_or_dead_control_plane_is_named() {
    check(&["title", "ls"], 1, &["--key-file", "NIGHTFILL_KEY_FILE"]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = folder.path().join("key");
    std::fs::write(&key, "nfk_test\n").expect("the key is written");
    let key = key.to_string_lossy().into_owned();
    check(&["title", "ls", "--key-file", &key], 1, &["--control", "NIGHTFILL_CONTROL"]);
    check(&["title", "ls", "--key-file", "/nowhere/key"], 1, &["/nowhere/key"]);
    // A port that was free a moment ago and that nobody listens on.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    drop(listener);
    check(&["title", "ls", "--key-file", &key, "--control", &url], 1, &[&url, "control serve"]);
}

#[test]
fn completions_are_made_for_each_shell() {
    check(&["completions", "bash"], 0, &["_ocactl", "appliance"]);
    check(&["completions", "zsh"], 0, &["#compdef ocactl"]);
    check(&["completions", "fish"], 0, &["complete -c ocactl"]);
    check(&["completions", "csh"], 2, &["csh"]);
}

fn volume_with_an_object(folder: &Path) -> String {
    let payload = vec![7_u8; 300_000];
    let title = "harbour".parse().expect("a slug");
    let seal = seal_reader(&payload[..], title, MediaType::VideoMp4).expect("memory can be read");
    let object = seal.object().to_string();
    let source = folder.join("source");
    std::fs::write(&source, &payload).expect("the payload is written");
    let path = folder.join("volume");
    std::fs::create_dir_all(&path).expect("the folder is made");
    let volume = Volume::open(&path, DiskClass::Hdd).expect("a volume");
    let writer = Writer::open(&volume, "a test").expect("the only writer");
    writer.import_file(&source, seal).expect("a sound object is taken");
    object
}

#[test]
fn a_local_store_is_listed_found_and_checked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let object = volume_with_an_object(folder.path());
    let volume = folder.path().join("volume").to_string_lossy().into_owned();
    check(&["store", "ls", &volume], 0, &[&object, "harbour"]);
    check(&["store", "where", &object, &volume], 0, &[&object]);
    check(&["store", "check", &volume, "--deep"], 0, &["all is well"]);
    check(&["store", "check", "/nowhere"], 1, &["/nowhere"]);

    let found = ocactl(&["store", "where", &object, &volume, "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&found.stdout).expect("JSON");
    let path = value["path"].as_str().expect("a path").to_owned();
    let mut bytes = std::fs::read(&path).expect("the object's file");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).expect("the file is changed");
    check(&["store", "check", &volume, "--deep"], 1, &[&object, "Chunks"]);
}
