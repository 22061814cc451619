//! The disk's side: repairs, full disks, a second agent, a configuration full of mistakes.

use std::process::Command;

use control_types::fill::FillStateWord;
use control_types::fleet::DiskClass;
use control_types::limits::CHUNK_BYTES;
use oca_store::{Volume, object_path, report_bad};

use crate::bench::{Bench, pull, until, wide_open};
use crate::source::{Mood, sealed};

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
    let path = object_path(&bench.volume(), &id);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    report_bad(&Volume::open(bench.volume(), DiskClass::Ssd).unwrap(), &id).unwrap();

    until("the bad file in quarantine", || {
        bench.volume().join("quarantine").join(id.to_string()).exists().then_some(())
    })
    .await;
    let payload = until("the object again", || bench.published(&id)).await;
    assert_eq!(payload, object.payload);
    assert_eq!(origin.sent() - sent, object.payload.len() as u64);
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
    assert!(said.contains("volume.size"), "{said}");
    let (code, said) = check(
        "appliance = \"a\"\nstate_dir = \"s\"\n[[volume]]\npath = \"/nowhere\"\nclass = \"ssd\"\n\
         [control]\nurl = \"ftp://c\"\nkey_file = \"/no/key\"\n[limits]\nconnections = 0\n",
    );
    assert_eq!(code, Some(1));
    for word in ["4 mistakes", "/nowhere", "/no/key", "ftp://c", "limits.connections"] {
        assert!(said.contains(word), "{word} is not in {said}");
    }
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
