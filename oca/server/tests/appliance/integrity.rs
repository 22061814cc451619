//! Bytes that are not the object's are never served: not one, not once, not from a seal either.

use control_types::fleet::DiskClass;
use oca_store::Seal;

use crate::kit::{Setup, eventually, flip, object_file, payload};

const CHUNK: usize = 262_144;

#[test]
fn a_bit_turned_in_the_first_chunk_is_answered_without_a_byte_of_it() {
    let setup = Setup::new();
    let bytes = payload(2 * CHUNK, 11);
    let object = setup.publish(0, "night", &bytes);
    let path = format!("/t/{}/v/night/{object}", setup.play("night"));
    let at = Seal::region_bytes_for(bytes.len() as u64) + 1000;
    flip(&object_file(&setup.volumes[0], &object), at);
    let appliance = setup.start();
    let reply = appliance.get(&path);
    assert_eq!((reply.status, reply.text()), (500, "chunk_bad"));
    let again = appliance.get(&path);
    assert_eq!(again.status, 404, "taken out at once");
    appliance.counts("bad_chunks_total", "", 1.0);
    let marker = appliance.setup.path("disk0/suspect").join(object.to_string());
    eventually("the fill agent is told", || marker.exists());
}

#[test]
fn a_bit_turned_later_cuts_the_connection_before_it() {
    let setup = Setup::new();
    let bytes = payload(3 * CHUNK, 12);
    let object = setup.publish(0, "night", &bytes);
    let path = format!("/t/{}/v/night/{object}", setup.play("night"));
    let at = Seal::region_bytes_for(bytes.len() as u64) + 2 * CHUNK as u64 + 5;
    flip(&object_file(&setup.volumes[0], &object), at);
    let appliance = setup.start();
    let reply = appliance.get(&path);
    assert_eq!(reply.status, 200, "the head was out before");
    assert!(!reply.is_whole, "the client can tell");
    assert!(reply.body.len() <= 2 * CHUNK && reply.body == bytes[..reply.body.len()]);
    appliance.counts("answers_total", "ending=\"cut\"", 1.0);
    assert_eq!(appliance.get(&path).status, 404);
}

#[test]
fn a_damaged_seal_and_a_short_file_are_as_bad() {
    let setup = Setup::new();
    let bytes = payload(CHUNK + 10, 13);
    let sealed = setup.publish(0, "night", &bytes);
    let other = payload(CHUNK + 11, 14);
    let short = setup.publish(0, "night", &other);
    let ticket = setup.play("night");
    flip(&object_file(&setup.volumes[0], &sealed), 130);
    let file =
        std::fs::File::options().write(true).open(object_file(&setup.volumes[0], &short)).unwrap();
    file.set_len(Seal::region_bytes_for(other.len() as u64) + 100).unwrap();
    // Cut inside its seal, at a length that no aligned read can end on.
    let cut = setup.publish(0, "night", &payload(CHUNK + 12, 15));
    let file =
        std::fs::File::options().write(true).open(object_file(&setup.volumes[0], &cut)).unwrap();
    file.set_len(1000).unwrap();
    let appliance = setup.start();
    for object in [sealed, short, cut] {
        let path = format!("/t/{ticket}/v/night/{object}");
        assert_eq!(appliance.get(&path).status, 500, "{object}");
        assert_eq!(appliance.get(&path).status, 404, "{object}");
    }
}

#[test]
fn a_seal_that_rots_after_it_was_checked_is_not_passed_on() {
    let setup = Setup::new();
    let bytes = payload(CHUNK + 10, 17);
    let object = setup.publish(0, "night", &bytes);
    let (play, fill) = (setup.play("night"), setup.fill());
    let file = object_file(&setup.volumes[0], &object);
    let appliance = setup.start();
    // From here on the file is open and its seal decoded.
    assert!(appliance.get(&format!("/t/{play}/v/night/{object}")).body == bytes);
    flip(&file, 140);
    let reply = appliance.get(&format!("/t/{fill}/o/{object}/seal"));
    assert_eq!((reply.status, reply.text()), (500, "chunk_bad"));
    appliance.counts("bad_chunks_total", "", 1.0);
}

#[test]
fn another_copy_takes_the_place_of_a_bad_one_and_a_mended_one_is_served_again() {
    let setup = Setup::with_volumes(&[DiskClass::Ssd, DiskClass::Hdd]);
    let bytes = payload(CHUNK + 1, 15);
    let object = setup.publish(0, "night", &bytes);
    assert_eq!(setup.publish(1, "night", &bytes), object);
    let only = setup.publish(0, "night", &payload(900, 16));
    let ticket = setup.play("night");
    let path = |object| format!("/t/{ticket}/v/night/{object}");
    for object in [object, only] {
        let bytes = if object == only { 900 } else { CHUNK as u64 + 1 };
        flip(&object_file(&setup.volumes[0], &object), Seal::region_bytes_for(bytes) + 7);
    }
    let appliance = setup.start();
    assert!(appliance.get(&path(object)).body == bytes, "the copy on the other disk is served");
    assert_eq!(appliance.get(&path(only)).status, 500);
    let writer = oca_store::Writer::open(&appliance.setup.volumes[0], "test").unwrap();
    writer.quarantine(&only).unwrap();
    drop(writer);
    appliance.setup.publish(0, "night", &payload(900, 16));
    eventually("the mended object is served", || {
        let reply = appliance.get(&path(only));
        reply.status == 200 && reply.body == payload(900, 16)
    });
}

#[test]
fn a_file_that_went_away_is_not_found_and_a_disk_that_fails_says_so() {
    let setup = Setup::new();
    let gone = setup.publish(0, "night", &payload(1000, 17));
    let broken = setup.publish(0, "night", &payload(1000, 18));
    let ticket = setup.play("night");
    std::fs::remove_file(object_file(&setup.volumes[0], &gone)).unwrap();
    let file = object_file(&setup.volumes[0], &broken);
    std::fs::remove_file(&file).unwrap();
    // Reading a directory fails as a bad disk does.
    std::fs::create_dir(&file).unwrap();
    let appliance = setup.start();
    assert_eq!(appliance.get(&format!("/t/{ticket}/v/night/{gone}")).status, 404);
    let reply = appliance.get(&format!("/t/{ticket}/v/night/{broken}"));
    assert_eq!((reply.status, reply.text()), (503, "disk_failed"));
    appliance.counts("volumes_sick", "", 1.0);
    appliance.counts("disk_errors_total", "ssd", 1.0);
}
