//! What disks do to members, and what the appliance says of it: other copies, next appliances,
//! devices, heat, and how soon a large index is served.

use std::io::{BufWriter, Write};
use std::time::Instant;

use control_types::ObjectId;
use control_types::fleet::DiskClass;
use oca::heat::HeatReport;
use oca_store::{Seal, Volume};

use crate::kit::{Appliance, Setup, eventually, flip, object_file, payload};
use crate::wire::Connection;

const CHUNK: usize = 262_144;
const NEXT: &str = "https://edge-a2.example, https://edge-a3.example:8443";

fn debug(appliance: &Appliance, path: &str) -> serde_json::Value {
    let reply = Connection::plain(appliance.admin).get(path, "Connection: close\r\n");
    assert_eq!(reply.status, 200, "{path}");
    serde_json::from_slice(&reply.body).unwrap()
}

#[test]
fn a_bad_copy_is_made_up_for_by_a_good_one_unseen() {
    let setup = Setup::with_volumes(&[DiskClass::Ssd, DiskClass::Hdd]);
    let bytes = payload(3 * CHUNK + 9, 31);
    let object = setup.publish(0, "night", &bytes);
    assert_eq!(setup.publish(1, "night", &bytes), object);
    let path = format!("/t/{}/v/night/{object}", setup.play("night"));
    let at = Seal::region_bytes_for(bytes.len() as u64) + 2 * CHUNK as u64 + 5;
    flip(&object_file(&setup.volumes[0], &object), at);
    let appliance = setup.start();
    for _ in 0..2 {
        let reply = appliance.get(&path);
        assert_eq!(reply.status, 200);
        assert!(reply.is_whole && reply.body == bytes, "{} bytes", reply.body.len());
    }
    appliance.counts("bad_chunks_total", "", 1.0);
    appliance.counts("answers_total", "ending=\"cut\"", 0.0);
    let marker = appliance.setup.path("disk0/suspect").join(object.to_string());
    eventually("the fill agent is told", || marker.exists());
}

#[test]
fn refusals_name_the_next_appliance_when_another_may_do_better() {
    let setup = Setup::new().section(
        "peers",
        "next = [\"https://edge-a2.example/\", \"https://edge-a3.example:8443\"]\n",
    );
    let broken = setup.publish(0, "night", &payload(1000, 32));
    let file = object_file(&setup.volumes[0], &broken);
    std::fs::remove_file(&file).unwrap();
    // Reading a directory fails as a bad sector does.
    std::fs::create_dir(&file).unwrap();
    let ticket = setup.play("night");
    let appliance = setup.start();
    let ask = |path: &str| {
        let reply = appliance.get(path);
        let next = reply.header("x-nightfill-next").map(str::to_owned);
        (reply.status, next, reply.header("retry-after").is_some())
    };
    let unknown = ObjectId([7; 32]);
    let named = Some(NEXT.to_owned());
    // Sent on as often as it may be, it meets a word and the same names.
    let sent_on = format!("/t/{ticket}/v/night/{unknown}?hop=2");
    assert_eq!(ask(&sent_on), (404, named.clone(), false));
    let sent_on = format!("/t/{ticket}/v/night/{broken}?hop=2");
    assert_eq!(ask(&sent_on), (503, named, true));
    assert_eq!(ask(&format!("/v/night/{unknown}")), (403, None, false), "a ticket is theirs too");
}

#[test]
fn devices_and_heat_are_shown_and_heat_outlives_the_program() {
    let setup = Setup::with_volumes(&[DiskClass::Ssd, DiskClass::Hdd]);
    let (hot, cold) = (payload(CHUNK, 33), payload(2 * CHUNK, 34));
    let hot_object = setup.publish(0, "night", &hot);
    let cold_object = setup.publish(1, "night", &cold);
    let ticket = setup.play("night");
    let mut appliance = setup.start();
    for _ in 0..3 {
        assert_eq!(appliance.get(&format!("/t/{ticket}/v/night/{hot_object}")).status, 200);
    }
    assert_eq!(appliance.get(&format!("/t/{ticket}/v/night/{cold_object}")).status, 200);
    appliance.counts("answers_total", "outcome=\"whole\"", 4.0);
    appliance.counts("device_reads_total", "class=\"ssd\"", 1.0);
    appliance.counts("device_bytes_total", "class=\"hdd\"", 2.0 * CHUNK as f64);
    appliance.counts("device_in_rotation", "", 2.0);
    appliance.counts("first_byte_from_seconds_count", "tier=\"memory\"", 2.0);
    appliance.counts("first_byte_from_seconds_count", "tier=\"hdd\"", 1.0);
    let devices = debug(&appliance, "/debug/devices");
    assert_eq!(devices["devices"][1]["class"], "hdd");
    assert_eq!(devices["devices"][0]["in_rotation"], true);
    let heat = debug(&appliance, "/debug/heat?n=1");
    assert_eq!(heat["objects"].as_array().unwrap().len(), 1);
    assert_eq!(heat["objects"][0]["object"], hot_object.to_string());

    appliance.terminate();
    assert!(appliance.ended().success());
    let report = HeatReport::load(&appliance.setup.path("state"));
    let lines: Vec<_> = report.objects.iter().map(|l| (l.object, l.heat, l.class)).collect();
    let near = |heat: f64, wanted: f64| (heat - wanted).abs() < 0.01;
    assert_eq!(lines.len(), 2);
    assert!(lines[0].0 == hot_object && near(lines[0].1, 3.0), "{lines:?}");
    assert!(lines[1].0 == cold_object && near(lines[1].1, 1.0), "{lines:?}");
    assert_eq!(lines[1].2, DiskClass::Hdd);

    appliance.restart();
    let heat = debug(&appliance, "/debug/heat");
    let first = heat["objects"][0]["heat"].as_f64().unwrap();
    assert!(near(first, 3.0), "{first}: what the last run left");
}

/// Writes the journal of a volume with many objects of which one is there, as the store does.
fn large_journal(volume: &Volume, title: &str, objects: u32) {
    let path = volume.path().join("journal");
    let real = std::fs::read(&path).unwrap();
    let (head, line) = (&real[..128], &real[128..256]);
    let mut out = BufWriter::new(std::fs::File::create(&path).unwrap());
    out.write_all(head).unwrap();
    for slot in 0..u64::from(objects) {
        let mut record: [u8; 128] = line.try_into().unwrap();
        if slot > 0 {
            record[16..48].copy_from_slice(blake3::hash(&slot.to_le_bytes()).as_bytes());
            let title = format!("{title}-{}", slot / 1200);
            record[6] = u8::try_from(title.len()).unwrap();
            record[48..48 + title.len()].copy_from_slice(title.as_bytes());
        }
        record[112..120].copy_from_slice(&slot.to_le_bytes());
        let sum = crc32c::crc32c(&record[4..]);
        record[..4].copy_from_slice(&sum.to_le_bytes());
        out.write_all(&record).unwrap();
    }
    out.flush().unwrap();
}

/// Processor time of a process so far, all threads.
fn cpu_ms(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = |at: usize| fields.split_whitespace().nth(at).unwrap().parse::<u64>().unwrap();
    // Hundredths of a second, in user and kernel mode.
    (ticks(11) + ticks(12)) * 10
}

/// Goal: a large index is served soon after the start. Method: a journal with that many lines, one
/// of them real; the time from the start of the program to the first byte is printed, not judged.
/// Of a release build: `NIGHTFILL_OBJECTS=1000000 NIGHTFILL_OCA=$PWD/target/release/oca cargo test
/// -p oca --test appliance large -- --nocapture`
#[test]
fn a_large_index_is_served_soon_after_the_start() {
    let objects: u32 = std::env::var("NIGHTFILL_OBJECTS").map_or(50_000, |n| n.parse().unwrap());
    let setup = Setup::new();
    let bytes = payload(1000, 35);
    let object = setup.publish(0, "night", &bytes);
    large_journal(&setup.volumes[0], "night", objects);
    let path = format!("/t/{}/v/night/{object}", setup.play("night"));
    let began = Instant::now();
    let appliance = setup.start();
    let ready = began.elapsed();
    let reply = appliance.get(&path);
    let first_byte = began.elapsed();
    assert!(reply.status == 200 && reply.body == bytes);
    let cpu_ms = cpu_ms(appliance.child.id());
    println!(
        "{objects} objects: ready in {ready:?}, first byte in {first_byte:?}, CPU {cpu_ms} ms"
    );
    appliance.counts("objects", "", f64::from(objects));
    // A change of the index later is seen as well, and what was served before still is.
    let more = payload(2000, 36);
    let added = appliance.setup.publish(0, "night", &more);
    let ticket = appliance.setup.play("night");
    eventually("the new object is served", || {
        appliance.get(&format!("/t/{ticket}/v/night/{added}")).body == more
    });
    assert_eq!(appliance.get(&path).status, 200);
}
