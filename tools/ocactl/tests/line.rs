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
fn files_that_are_not_what_they_should_be_are_named_with_the_cure() {
    let folder = tempfile::tempdir().expect("a folder of our own");
    let path = |name: &str| folder.path().join(name).to_str().expect("ASCII").to_owned();
    let (key, odd) = (path("key"), path("odd"));
    std::fs::write(&key, "operators-key").expect("the folder can be written");
    std::fs::write(&odd, "k").expect("the folder can be written");
    let nobody = "http://127.0.0.1:1";
    let with = |key: &str, rest: &[&str], words: &[&str]| {
        check(&[&["--control", nobody, "--key-file", key], rest].concat(), 1, words);
    };
    // A file without an end is not read to it.
    with("/dev/zero", &["site", "ls"], &["/dev/zero", "64 MiB", "--key-file"]);
    with(&key, &["--ca", "/absent", "site", "ls"], &["/absent", "--ca"]);
    with(&key, &["title", "put", &odd], &["odd", "title show"]);
    with(&key, &["ticket", "inspect", "x", "--keys", &odd], &["odd", "/v1/keys/tickets"]);
    with(&key, &["steer", "replay", "--log", &odd, "--policy", "/absent"], &["/absent"]);
    with(&key, &["steer", "replay", "--log", &odd, "--policy", "/dev/null"], &["odd, line 1"]);
    with(&key, &["steer", "replay", "--log", &odd, "--policy", &odd], &["policy", "odd"]);
    std::fs::write(&odd, "busy_percent = 60\norder = [\"loud\"]\n").expect("it can be written");
    with(&key, &["steer", "replay", "--log", &odd, "--policy", &odd], &["line 2: unknown", "loud"]);
    check(&["ticket", "revoke", ""], 2, &["SUBJECT"]);
}

#[test]
fn a_log_that_control_does_not_give_leaves_the_one_that_is_there() {
    let folder = tempfile::tempdir().expect("a folder of our own");
    let path = |name: &str| folder.path().join(name).to_str().expect("ASCII").to_owned();
    let (key, log) = (path("key"), path("asks"));
    std::fs::write(&key, "operators-key").expect("the folder can be written");
    std::fs::write(&log, "yesterday").expect("the folder can be written");
    let run = |from: &str, until: &str, words: &[&str]| {
        let at = ["--control", "http://127.0.0.1:1", "--key-file", &key, "steer", "log"];
        check(&[&at[..], &["--from", from, "--until", until, "--out", &log]].concat(), 1, words);
        let kept = std::fs::read_to_string(&log).expect("it is there");
        let files = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!((kept.as_str(), files), ("yesterday", 2));
    };
    run("2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z", &["unreachable"]);
    run("2026-11-23T00:00:00Z", "2026-11-22T00:00:00Z", &["2026-11-23", "--until"]);
}

#[test]
fn an_answer_that_cannot_be_written_is_no_success() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocactl"));
    let answer = command.args(["completions", "bash"]).stdout(full).output().expect("it is built");
    let said = String::from_utf8_lossy(&answer.stderr);
    assert_eq!(answer.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot be written"), "{said}");
}

#[test]
fn a_reader_of_the_progress_that_is_gone_stops_no_work() {
    // Nobody can be told on a full device; the exit code still says how it went.
    let run = |arguments: &[&str]| {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ocactl"));
        command.args(arguments).stderr(full).output().expect("it is built").status.code()
    };
    assert_eq!(run(&["fill", "simulate", "--trace", "nowhere", "--sites", "nowhere"]), Some(1));
    let folder = tempfile::tempdir().expect("a folder of our own");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (trace, sites) = (at("trace"), at("sites"));
    let make = ["fill", "trace", "--seed", "1", "--out", &trace, "--sites", &sites];
    let size = ["--days", "16", "--titles", "5", "--site", "s=1Mbit"];
    assert_eq!(run(&[&make[..], &size[..]].concat()), Some(0));
    // It tells of every week.
    let replay = ["fill", "simulate", "--trace", &trace, "--sites", &sites, "--policy", "lru"];
    assert_eq!(run(&replay), Some(0));
}

#[test]
fn nights_on_paper_say_what_files_they_read_and_which_line_is_wrong() {
    let format = [r#"{"trace":1}"#, r#"{"play":71234,"site":"lisbon""#, r#""warm_up_days":28"#];
    check(&["fill", "simulate", "--help"], 0, &format);
    let folder = tempfile::tempdir().expect("a folder of our own");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("the folder can be written");
        path.to_str().expect("the name is ASCII").to_owned()
    };
    let at = |name: &str| folder.path().join(name).display().to_string();
    let made = ["--days", "4", "--titles", "20", "--site", "s=20Mbit"];
    let (trace, sites) = (at("trace"), at("sites"));
    let make = ["fill", "trace", "--seed", "1", "--out", &trace, "--sites", &sites];
    check(&[&make[..], &made[..]].concat(), 0, &["plays over 4 days"]);
    let run = |trace: &str, sites: &str, code: i32, words: &[&str]| {
        let line = ["fill", "simulate", "--trace", trace, "--sites", sites, "--policy", "lru"];
        check(&line, code, words);
    };
    run(&trace, &sites, 0, &["lru", "offload"]);
    let head = "{\"trace\":1}\n{\"title\":\"t\",\"genre\":\"g\",\"published_day\":0}\n";
    let cut = file("cut", &format!("{head}{{\"object\":\"o\",\"title\":\"u\"}}\n"));
    run(&cut, &sites, 1, &["cut: line 3: missing field", "height"]);
    let orphan = "{\"object\":\"o\",\"title\":\"u\",\"height\":1,\"bytes\":1}";
    let orphan = file("orphan", &format!("{head}{orphan}\n"));
    run(&orphan, &sites, 1, &["orphan: line 3: title \"u\" is not known"]);
    let torn = file("torn", "{\"sites\":[],\n\"window\":{\"start_minute\":\"two\"}}");
    run(&trace, &torn, 1, &["torn", "\"two\", expected u32 at line 2 column 30"]);
    // What is no text at all must not be read into memory as one line.
    let endless = file("endless", &"0".repeat(1 << 20));
    run(&endless, &sites, 1, &["endless: line 1: it is longer than 65536 bytes", "JSON object"]);
    let known = std::fs::read_to_string(&sites).expect("it was written above");
    let wild = file("wild", &known.replace("\"play_share\": 0.7", "\"play_share\": 0"));
    run(&trace, &wild, 1, &["wild", "forecast.play_share is 0: use a number from 0.01 to 1"]);
    let early = file("early", &known.replace("\"start_minute\": 120", "\"start_minute\": 121"));
    run(&trace, &early, 1, &["early", "window.start_minute is 121", "steps of 5"]);
    run(&at("nowhere"), &sites, 1, &["nowhere", "ocactl fill trace"]);
    run(&trace, "/dev/zero", 1, &["/dev/zero", "a device"]);
}

/// A dry run of a schedule with `more`, which neither control nor a key stands behind.
fn dry_run(more: &[&str]) -> Vec<String> {
    let line = ["window", "add", "nightly", "--everyone", "--dry-run"];
    line.iter().chain(more).map(|&word| word.to_owned()).collect()
}

#[test]
fn a_dry_run_shows_seven_nights_and_asks_nobody() {
    let sound = ["--start", "02:00", "--length", "5h", "--days", "daily", "--tz", "Asia/Kathmandu"];
    let line = dry_run(&sound);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    check(&line, 0, &["nightly-20", "02:00 +05:45", "07:00 +05:45", "20:15:00Z", "01:15:00Z"]);

    let found = ocactl(&[&line[..], &["--json"]].concat());
    let nights: serde_json::Value = serde_json::from_slice(&found.stdout).expect("JSON");
    let nights = nights.as_array().expect("a list").clone();
    assert_eq!(nights.len(), 7);
    let opens = |index: usize| nights[index]["opens_at"].as_u64().expect("a moment");
    assert_eq!(opens(6) - opens(0), 6 * 86_400_000);
    // The second night of those is excepted: the rest move up.
    let second = nights[1]["id"].as_str().expect("a name")["nightly-".len()..].to_owned();
    let found = ocactl(&[&line[..], &["--except", &second, "2020-01-01", "--json"]].concat());
    let fewer: serde_json::Value = serde_json::from_slice(&found.stdout).expect("JSON");
    assert_eq!((&fewer[0]["id"], &fewer[1]["id"]), (&nights[0]["id"], &nights[2]["id"]));
}

#[test]
fn a_schedule_that_is_none_is_refused_with_the_cure() {
    let check_cure = |code: i32, changed: &str, to: &str, cure: &str| {
        let mut options =
            vec!["--start", "02:00", "--length", "5h", "--days", "daily", "--tz", "UTC"];
        let place = options.iter().position(|option| *option == changed).expect("an option");
        options[place + 1] = to;
        let line = dry_run(&options);
        check(&line.iter().map(String::as_str).collect::<Vec<_>>(), code, &[cure]);
    };
    check_cure(1, "--tz", "Europe/Lisboa", "Europe/Lisbon");
    check_cure(1, "--start", "2am", "02:00");
    check_cure(1, "--length", "25h", "24 hours");
    check_cure(2, "--length", "0h", "2h30m");
    check_cure(2, "--days", "", "mon-fri");
    check_cure(2, "--days", "weekend", "sat,sun");
    let line = dry_run(&["--start", "02:00", "--length", "5h", "--days", "daily", "--tz", "UTC"]);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    check(&[&line[..], &["--except", "24.12.2026"]].concat(), 1, &["2026-12-24"]);
    // Without --dry-run control is asked, and is missed.
    let asked: Vec<&str> = line.into_iter().filter(|word| *word != "--dry-run").collect();
    check(&asked, 1, &["--key-file"]);
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

    // A folder that is none, a foreign file, a sealed file under a wrong name, a missing journal.
    let empty = folder.path().join("empty").to_string_lossy().into_owned();
    std::fs::create_dir(&empty).expect("a folder");
    for verb in ["ls", "check", "scrub"] {
        check(&["store", verb, &empty], 1, &[&empty, "no volume", "[[volume]]"]);
    }
    let odd = folder.path().join("volume/objects/aa/bb");
    std::fs::create_dir_all(&odd).expect("a folder");
    std::fs::write(odd.join("notes.txt"), b"mine").expect("a foreign file");
    check(&["store", "check", &volume], 1, &["notes.txt", "not listed"]);
    std::fs::remove_file(odd.join("notes.txt")).expect("it was there");
    let found = ocactl(&["store", "where", &object, &volume]);
    let sealed = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    std::fs::copy(&sealed, folder.path().join("empty/film")).expect("a copy");
    check(&["store", "import", "--volume", &volume, &empty], 1, &["refused", "its 64 digits"]);
    std::fs::remove_file(folder.path().join("volume/journal")).expect("it was there");
    check(&["store", "ls", &volume], 0, &[&object, "no journal", "fill-agent"]);

    let found = ocactl(&["store", "where", &object, &volume, "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&found.stdout).expect("JSON");
    let path = value["path"].as_str().expect("a path").to_owned();
    let mut bytes = std::fs::read(&path).expect("the object's file");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).expect("the file is changed");
    check(&["store", "check", &volume, "--deep"], 1, &[&object, "bad chunks", "fetch it again"]);
}

/// Goal: an operator sees before summer time comes what a schedule does then. Method: dry runs from
/// dates on both sides of changes, where half an hour is the whole change too.
#[test]
fn a_dry_run_shows_the_nights_of_a_change_of_the_clock() {
    let nights = |start: &str, zone: &str, from: &str, words: &[&str]| {
        let times = ["--start", start, "--length", "5h", "--days", "daily", "--tz", zone];
        let line = ["window", "add", "n", "--everyone", "--rate", "1Gbit", "--dry-run"];
        check(&[&line[..], &times, &["--from", from]].concat(), 0, words);
    };
    let spring = ["rate 1.0 Gbit/s", "Sun 2027-03-28 03:00 +02:00", "Sun 2027-03-28 08:00 +02:00"];
    nights("02:30", "Europe/Berlin", "2027-03-28", &spring);
    let autumn = ["Sun 2027-10-31 02:30 +02:00", "Sun 2027-10-31 06:30 +01:00", "n-2027-11-04"];
    nights("02:30", "Europe/Berlin", "2027-10-29", &autumn);
    let half = ["Sun 2027-10-03 02:30 +11:00", "Sun 2027-10-03 07:30 +11:00"];
    nights("02:10", "Australia/Lord_Howe", "2027-10-03", &half);
    let times = ["--start", "02:00", "--length", "5h", "--days", "daily", "--tz", "UTC"];
    let line =
        |more: &[&'static str]| [&["window", "add", "n", "--everyone"][..], &times, more].concat();
    check(&line(&["--from", "2027-03-28"]), 2, &["--dry-run"]);
    check(&line(&["--dry-run", "--from", "28.3.2027"]), 2, &["28.3.2027", "2026-12-24"]);
}
