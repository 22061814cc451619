//! The disk's side: repairs, full disks, a second agent, a configuration full of mistakes.

use std::path::Path;
use std::process::Command;

use control_types::fill::{FillReport, FillStateWord};
use control_types::fleet::DiskClass;
use control_types::limits::CHUNK_BYTES;
use oca_store::{Volume, Writer, object_path, report_bad};

use crate::bench::{Bench, pull, until, wide_open, window};
use crate::source::{Mood, Sealed, sealed};

const CHUNK: usize = CHUNK_BYTES as usize;

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_object_is_quarantined_and_fetched_again_outside_any_window_and_plan() {
    let mut bench = Bench::new().await;
    let object = sealed(40, 2 * CHUNK);
    let id = object.seal.object();
    let origin = bench.source(Mood::Good, &[&object]).await;
    bench.order(vec![pull(&object, &[("origin", &origin)])], Vec::new(), wide_open());
    let agent = bench.start();
    bench.reported(FillStateWord::Done).await;
    // A later night: nothing to pull, no window, and the disk turns a bit.
    bench.order(Vec::new(), Vec::new(), Vec::new());
    bench.reported(FillStateWord::Done).await;
    let sent = origin.sent();
    spoil(&bench.volume(), &object);
    until("the bad file in quarantine", || {
        bench.volume().join("quarantine").join(id.to_string()).exists().then_some(())
    })
    .await;
    let payload = until("the object again", || bench.published(&id)).await;
    assert_eq!(payload, object.payload);
    assert_eq!(origin.sent() - sent, object.payload.len() as u64);
    assert_eq!(agent.stop().await, Some(0));
}

/// Flips the last bit of a published object and leaves a reader's marker.
fn spoil(volume: &Path, object: &Sealed) {
    let id = object.seal.object();
    let path = object_path(volume, &id);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    report_bad(&Volume::open(volume, DiskClass::Ssd).unwrap(), &id).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_copies_the_one_in_doubt_goes_and_the_sound_one_stays() {
    let mut bench = Bench::new().await;
    let [ssd, hdd] = bench.configure_two("");
    let object = sealed(41, 2 * CHUNK);
    let id = object.seal.object();
    // A move was cut short: both disks list it, and what is on flash has rotted since.
    let payload = bench.folder.path().join("payload");
    std::fs::write(&payload, &object.payload).unwrap();
    for (volume, class) in [(&ssd, DiskClass::Ssd), (&hdd, DiskClass::Hdd)] {
        let volume = Volume::open(volume, class).unwrap();
        let writer = Writer::open(&volume, "test").unwrap();
        writer.import_file(&payload, object.seal.clone()).unwrap();
    }
    spoil(&ssd, &object);
    let origin = bench.source(Mood::Good, &[&object]).await;
    bench.order(vec![pull(&object, &[("origin", &origin)])], Vec::new(), Vec::new());
    let agent = bench.start();
    until("the bad copy in quarantine", || {
        ssd.join("quarantine").join(id.to_string()).exists().then_some(())
    })
    .await;
    bench.reported(FillStateWord::Done).await;
    assert_eq!(Bench::published_on(&hdd, &id).unwrap(), object.payload);
    assert_eq!(Bench::published_on(&ssd, &id), None);
    assert_eq!(origin.requests(), 0, "nothing was lost, so nothing is fetched");
    assert_eq!(agent.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_the_note_of_a_repair_and_the_quarantine_loses_neither() {
    let mut bench = Bench::new().await;
    let object = sealed(42, 2 * CHUNK);
    let id = object.seal.object();
    let origin = bench.source(Mood::Good, &[&object]).await;
    let pulls = vec![pull(&object, &[("origin", &origin)])];
    bench.order(pulls.clone(), Vec::new(), wide_open());
    let agent = bench.start();
    bench.reported(FillStateWord::Done).await;
    bench.order(Vec::new(), Vec::new(), Vec::new());
    bench.reported(FillStateWord::Done).await;
    assert_eq!(agent.stop().await, Some(0));

    // As the kill left it: noted, marked, and still in its place.
    spoil(&bench.volume(), &object);
    let ledger = bench.folder.path().join("state/ledger.json");
    let mut kept: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&ledger).unwrap()).unwrap();
    kept["repairs"] = serde_json::to_value(&pulls).unwrap();
    std::fs::write(&ledger, serde_json::to_vec(&kept).unwrap()).unwrap();

    let agent = bench.start();
    until("the bad file in quarantine", || {
        bench.volume().join("quarantine").join(id.to_string()).exists().then_some(())
    })
    .await;
    let payload = until("the object again", || bench.published(&id)).await;
    assert_eq!(payload, object.payload);
    assert_eq!(agent.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_there_and_silent_has_the_box_to_itself_and_is_told_of() {
    let mut bench = Bench::new().await;
    let object = sealed(43, 40 * CHUNK);
    let origin = bench.source(Mood::Good, &[&object]).await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metrics", silent.local_addr().unwrap());
    let config = std::fs::read_to_string(bench.config()).unwrap();
    std::fs::write(bench.config(), format!("{config}[foreground]\nmetrics = {url:?}\n")).unwrap();
    // Slow enough that silence is judged long before the end: eighty seconds.
    bench.order(
        vec![pull(&object, &[("origin", &origin)])],
        Vec::new(),
        vec![window("slow", 3_600_000, Some(1_000_000))],
    );
    let agent = bench.start();
    until("some bytes", || (origin.sent() > 0).then_some(())).await;
    let is_told = |report: &FillReport| {
        report.troubles.iter().any(|trouble| trouble.contains("answered nothing"))
    };
    bench.report_where("the silence told", is_told).await;
    bench.report_where("fill at rest", |report| report.rate_bps == 0).await;
    let rested = bench.last_report().unwrap();
    assert!(rested.objects_done == 0 && rested.state == FillStateWord::Filling, "{rested:?}");
    // It ends: nobody is served, so nobody waits.
    drop(silent);
    bench.report_where("nothing to tell", |report| report.troubles.is_empty()).await;
    bench.report_where("fill again", |report| report.rate_bps > 0).await;
    assert_eq!(agent.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_on_the_same_volume_says_who_holds_it() {
    let bench = Bench::new().await;
    let agent = bench.start();
    let second = Command::new(env!("CARGO_BIN_EXE_fill-agent"))
        .args(["run", "--config"])
        .arg(bench.config())
        .output()
        .unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("already being written by") && said.contains("fill-agent"), "{said}");
    // One with disks of its own that keeps its state where the first does: both would spend the
    // same window's bytes.
    let other = bench.folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    bench.configure(&other, "connections = 1\n");
    let (code, said) = bench.once();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("state_dir") && said.contains("another fill-agent"), "{said}");
    assert_eq!(agent.stop().await, Some(0));
}

#[test]
fn every_mistake_in_the_configuration_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fill-agent"));
        let ran = command.arg("check-config").arg(&file).output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
    };
    let (code, said) = check(
        "appliance = \"a\"\nstate_dir = \"s\"\nspeed = 3\n[[volume]]\npath = \"/nowhere\"\n\
         class = \"ssd\"\nsize = 1\n[control]\nurl = \"http://c\"\nkey_file = \"k\"\n",
    );
    assert_eq!(code, Some(1));
    assert!(said.contains("2 mistakes") && said.contains("speed"), "{said}");
    assert!(said.contains("volume[0].size"), "{said}");
    let (code, said) = check(
        "appliance = \"a\"\nstate_dir = \"s\"\n[[volume]]\npath = \"/nowhere\"\nclass = \"ssd\"\n\
         [control]\nurl = \"ftp://c\"\nkey_file = \"/no/key\"\n[limits]\nconnections = 0\n\
         [foreground]\nmetrics = \"localhost:9180/metrics\"\n",
    );
    assert_eq!(code, Some(1));
    let words = ["/nowhere", "/no/key", "ftp://c", "limits.connections", "foreground.metrics"];
    for word in words.into_iter().chain(["5 mistakes"]) {
        assert!(said.contains(word), "{word} is not in {said}");
    }
}

/// Goal: a disk that refuses during a night costs itself, not the night. Method: no privilege makes
/// EIO or EROFS, so the folder that pulls begin in becomes a file: ENOTDIR, which is the disk's own
/// trouble likewise.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_refuses_is_set_aside_with_a_word_and_the_night_goes_on_on_the_other() {
    let mut bench = Bench::new().await;
    let [ssd, hdd] = bench.configure_two("");
    let [first, second, third] = [75, 76, 77].map(|seed| sealed(seed, 2 * CHUNK));
    let origin = bench.source(Mood::Good, &[&first, &second, &third]).await;
    let from = [("origin", &origin)];
    bench.order(vec![pull(&first, &from)], Vec::new(), wide_open());
    let agent = bench.start();
    bench.reported(FillStateWord::Done).await;
    assert_eq!(Bench::published_on(&ssd, &first.seal.object()).unwrap(), first.payload);

    std::fs::remove_dir_all(ssd.join("incoming")).unwrap();
    std::fs::write(ssd.join("incoming"), b"").unwrap();
    let pulls = [&first, &second, &third].map(|object| pull(object, &from));
    bench.order(pulls.into(), Vec::new(), wide_open());
    let report = bench.report_where("all of it", |report| report.objects_done == 3).await;
    let told = report.troubles.join("; ");
    assert!(told.contains("set aside") && told.contains(ssd.to_str().unwrap()), "{report:?}");
    for object in [&second, &third] {
        assert_eq!(Bench::published_on(&hdd, &object.seal.object()).unwrap(), object.payload);
    }
    assert_eq!(Bench::published_on(&ssd, &first.seal.object()).unwrap(), first.payload);
    assert_eq!(agent.stop().await, Some(0));
}

/// A file system of its own that is soon full; unmounted when dropped.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: std::path::PathBuf, size: &str) -> Option<Self> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&at);
        command.status().ok()?.success().then_some(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_gives_up_what_the_plan_lets_go_and_nothing_else() {
    let mut bench = Bench::new().await;
    let Some(_disk) = SmallDisk::mount(bench.volume(), "6m") else {
        eprintln!("SKIPPED: mounting a small disk needs root");
        return;
    };
    let [old, kept, new, late] = [50, 51, 52, 53].map(|seed| sealed(seed, 8 * CHUNK));
    let origin = bench.source(Mood::Good, &[&old, &kept, &new, &late]).await;
    let from = [("origin", &origin)];
    bench.order(vec![pull(&old, &from), pull(&kept, &from)], Vec::new(), wide_open());
    let agent = bench.start();
    bench.reported(FillStateWord::Done).await;

    let pulls = vec![pull(&kept, &from), pull(&new, &from), pull(&late, &from)];
    bench.order(pulls, vec![old.seal.object()], wide_open());
    let report = bench.reported(FillStateWord::Stuck).await;
    assert_eq!(bench.published(&old.seal.object()), None, "pruned for the new one");
    assert_eq!(bench.published(&kept.seal.object()).unwrap(), kept.payload);
    assert_eq!(bench.published(&new.seal.object()).unwrap(), new.payload);
    assert_eq!(report.failures.len(), 1);
    assert!(report.failures[0].why.contains("no room"), "{:?}", report.failures);
    assert_eq!(report.failures[0].object, late.seal.object());
    assert_eq!(agent.stop().await, Some(0));
}

/// Goal: an agent that is told to stop ends, though a disk holds one of its threads for ever.
/// Method: the scrub opens an object that is a pipe nobody writes to.
#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_a_disk_holds_does_not_keep_the_agent() {
    let mut bench = Bench::new().await;
    let object = sealed(29, CHUNK);
    let volume = Volume::open(bench.volume(), DiskClass::Ssd).unwrap();
    let writer = Writer::open(&volume, "test").unwrap();
    let payload = bench.folder.path().join("payload");
    std::fs::write(&payload, &object.payload).unwrap();
    writer.import_file(&payload, object.seal.clone()).unwrap();
    drop(writer);
    let path = volume.object_path(&object.seal.object());
    std::fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    bench.order(Vec::new(), Vec::new(), Vec::new());
    let agent = bench.start();
    bench.reported(FillStateWord::Done).await;
    assert_eq!(agent.stop().await, Some(0));
}
