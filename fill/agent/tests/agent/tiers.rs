//! Objects between kinds of disk, disks that go and come, bytes that rot while nobody looks.

use std::path::Path;

use control_types::fill::{ClassMove, FillStateWord};
use control_types::fleet::DiskClass;
use control_types::ids::ObjectId;
use control_types::limits::CHUNK_BYTES;
use oca_store::object_path;

use crate::bench::{Bench, pull, until, wide_open};
use crate::source::{Mood, Sealed, sealed};

const CHUNK: usize = CHUNK_BYTES as usize;

fn is_on(volume: &Path, object: &Sealed) -> bool {
    let held = Bench::published_on(volume, &object.seal.object());
    held.is_some_and(|payload| payload == object.payload)
}

/// Waits until `object` is on `here`, whole, and on no other volume.
async fn moved(object: &Sealed, here: &Path, gone: &Path) {
    until("the object on its new disk alone", || {
        let file = object_path(gone, &object.seal.object());
        (is_on(here, object) && !is_on(gone, object) && !file.exists()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_move_by_the_plan_and_by_heat_and_are_never_away() {
    let mut bench = Bench::new().await;
    let heat = bench.folder.path().join("heat.json");
    let [ssd, hdd] = bench.configure_two(&format!("[store]\nheat_file = {heat:?}\n"));
    let [cold, hot] = [70, 71].map(|seed| sealed(seed, 3 * CHUNK + 5));
    let origin = bench.source(Mood::Good, &[&cold, &hot]).await;
    let on = |object, class| {
        let mut pull = pull(object, &[("origin", &origin)]);
        pull.class = class;
        pull
    };
    let pulls = vec![on(&cold, DiskClass::Ssd), on(&hot, DiskClass::Hdd)];
    bench.order(pulls.clone(), Vec::new(), wide_open());
    let agent = bench.start();
    bench.reported(FillStateWord::Done).await;
    assert!(is_on(&ssd, &cold) && is_on(&hdd, &hot));

    // The plan sends one down. A reader that looks all the time never misses it.
    let id = cold.seal.object();
    bench.order(pulls, Vec::new(), wide_open());
    bench.amend(|orders| {
        let hint = ClassMove { object: id, class: DiskClass::Hdd };
        orders.work.as_mut().unwrap().moves = vec![hint];
    });
    until("the move down", || {
        let (above, below) = (is_on(&ssd, &cold), is_on(&hdd, &cold));
        assert!(above || below, "the object was on no disk");
        (below && !above).then_some(())
    })
    .await;
    moved(&cold, &hdd, &ssd).await;

    // Heat brings the other up.
    let object = hot.seal.object();
    let entry = format!("{{\"object\":\"{object}\",\"heat\":9.5,\"bytes\":1,\"class\":\"hdd\"}}");
    let text = format!("{{\"at\":5,\"half_life_s\":86400,\"objects\":[{entry}]}}");
    std::fs::write(&heat, text).unwrap();
    moved(&hot, &ssd, &hdd).await;
    assert_eq!(origin.sent(), 2 * cold.payload.len() as u64, "moves fetch nothing");
    assert_eq!(agent.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_disk_loses_its_own_objects_which_come_back_to_the_others() {
    let mut bench = Bench::new().await;
    let [ssd, hdd] = bench.configure_two("");
    let [kept, lost] = [72, 73].map(|seed| sealed(seed, 2 * CHUNK));
    let origin = bench.source(Mood::Good, &[&kept, &lost]).await;
    let mut pulls = vec![pull(&kept, &[("origin", &origin)]), pull(&lost, &[("origin", &origin)])];
    pulls[1].class = DiskClass::Hdd;
    bench.order(pulls, Vec::new(), wide_open());
    let agent = bench.start();
    bench.reported(FillStateWord::Done).await;
    assert!(is_on(&hdd, &lost));
    std::fs::rename(&hdd, bench.folder.path().join("pulled-out")).unwrap();
    let report = bench
        .report_where("the disk told and its object back", |report| {
            !report.troubles.is_empty() && report.objects_done == 2
        })
        .await;
    assert!(report.troubles[0].contains("is lost"), "{report:?}");
    assert!(is_on(&ssd, &kept) && is_on(&ssd, &lost));
    assert_eq!(agent.stop().await, Some(0));

    // It starts without it, and says so.
    let agent = bench.start();
    let report = bench.report_where("told again", |report| !report.troubles.is_empty()).await;
    assert_eq!(report.objects_done, 2, "{report:?}");
    assert_eq!(agent.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scrub_finds_what_rotted_and_it_is_mended() {
    let mut bench = Bench::new().await;
    bench.configure_two("[store]\nscrub_bytes_per_s = 1000000000\n");
    let object = sealed(74, 2 * CHUNK + 9);
    let id: ObjectId = object.seal.object();
    let origin = bench.source(Mood::Good, &[&object]).await;
    bench.order(vec![pull(&object, &[("origin", &origin)])], Vec::new(), wide_open());
    let agent = bench.start();
    bench.reported(FillStateWord::Done).await;
    assert_eq!(agent.stop().await, Some(0));
    let path = object_path(&bench.volume(), &id);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096 + CHUNK + 7] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();
    // A round begins at the start: nobody asked for the object and nobody reported it.
    std::fs::remove_file(bench.folder.path().join("state/scrub.json")).unwrap();
    let agent = bench.start();
    let quarantined = bench.volume().join("quarantine").join(id.to_string());
    until("the rotten file in quarantine", || quarantined.exists().then_some(())).await;
    let payload = until("the object again", || bench.published(&id)).await;
    assert_eq!(payload, object.payload);
    assert_eq!(agent.stop().await, Some(0));
}
