//! Lanes at the two moments that matter: when an object's disk goes, and when it is told published.

use std::sync::Arc;

use control_types::fill::SourceKind;
use control_types::fleet::DiskClass;
use oca_store::disk::Disk;
use oca_store::{Index, MediaType, Volume, seal_reader};

use super::stepped::Steps;
use super::*;
use crate::limits::ROOM_AGAIN_MS;
use crate::vault::Vault;

fn pull(object: ObjectId, bytes: u64) -> Pull {
    let source = Source {
        kind: SourceKind::Origin,
        appliance: "origin".parse().unwrap(),
        media_url: String::new(),
        pending: false,
    };
    Pull {
        object,
        bytes,
        title: "t".parse().unwrap(),
        class: DiskClass::Ssd,
        sources: vec![source],
        why: String::new(),
    }
}

/// Goal: an object whose disk goes between its last chunk and its publishing is begun again,
/// and not left to nobody until the agent is restarted. Method: the board says publish, and the
/// vault has nothing, as after a look that found the disk gone.
#[test]
fn what_was_let_go_before_it_was_published_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    tokio_uring::start(async {
        let night = crate::night::on_folder(folder.path());
        let pull = pull(ObjectId([7; 32]), 1 << 20);
        night.board.borrow_mut().set(&[], std::slice::from_ref(&pull), |_| false);
        let next = |now| night.board.borrow_mut().next(now, true, 1, 2);
        assert!(matches!(next(0), Some(Job::Start { .. })));
        let after = night.board.borrow_mut().began(&pull.object, Vec::new(), 0);
        assert_eq!(after, After::Publish);
        settle(&night, &pull.object, after).await;
        assert_eq!(night.board.borrow().tally().failed, 1);
        let later = night.clock.ticks() + ROOM_AGAIN_MS;
        assert!(matches!(next(later), Some(Job::Start { .. })));
    });
}

/// Goal: nobody is told of an object, and no reader is shown it, before all of it would outlive a
/// power cut. Method: each deed on the disk waits, and while it does the board and a reader are
/// asked; then the order of the deeds is looked at.
#[test]
fn nothing_is_told_published_before_it_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    tokio_uring::start(async {
        let night = Rc::new(crate::night::on_folder(folder.path()));
        let (path, steps) = (folder.path().join("stepped"), Steps::new());
        std::fs::create_dir(&path).unwrap();
        let on: Arc<dyn Disk> = Arc::new(steps.clone());
        let vault = Vault::open(&[(path.clone(), DiskClass::Ssd)], Some(&on), 0).unwrap();
        drop(night.vault.replace(vault));

        let payload = [5; 9_000];
        let seal = seal_reader(&payload[..], "t".parse().unwrap(), MediaType::VideoMp4).unwrap();
        let pull = pull(seal.object(), seal.bytes());
        let object = pull.object;
        night.board.borrow_mut().set(&[], std::slice::from_ref(&pull), |_| false);
        assert!(night.board.borrow_mut().next(0, true, 1, 2).is_some());
        let Placed { writer, claim } = night.place(&pull).unwrap();
        let mut incoming = writer.begin(seal).unwrap();
        incoming.write_chunk(0, &payload).unwrap();
        let file = Pen::open(writer.volume(), incoming.path(), Way::Cached).await.unwrap();
        night.vault.borrow_mut().keep(incoming, None, file, claim);
        let after = night.board.borrow_mut().began(&object, Vec::new(), 0);

        let _stepping = steps.begin();
        let ours = Rc::clone(&night);
        let settled = tokio_uring::spawn(async move { settle(&ours, &object, after).await });
        let volume = Volume::open(&path, DiskClass::Ssd).unwrap();
        let mut deeds: Vec<String> = Vec::new();
        while !settled.is_finished() {
            let Some(deed) = steps.waiting() else {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            };
            assert_eq!(night.board.borrow().tally().done, 0, "told before: {deed}");
            if deeds.iter().all(|deed| !deed.starts_with("write ")) {
                let index = Index::load(std::slice::from_ref(&volume)).index;
                assert!(index.find(&object).is_none(), "shown to readers before: {deed}");
            }
            deeds.push(deed);
            steps.go();
        }
        assert_eq!(night.board.borrow().tally().done, 1);
        let at = |deed: &str, end: &str| {
            let found = deeds.iter().position(|done| done.starts_with(deed) && done.ends_with(end));
            found.unwrap_or_else(|| panic!("never: {deed} …{end} in {deeds:#?}"))
        };
        let hex = object.to_string();
        let order = [
            at("sync ", ".part"),
            at("rename ", ".part"),
            at("sync the folder ", &hex[2..4]),
            at("sync the folder ", &hex[..2]),
            at("sync the folder ", "objects"),
            // The name that the journal had when it was opened.
            at("write ", "journal.new"),
            at("sync ", "journal.new"),
            at("unlink ", ".part.done"),
        ];
        assert!(order.is_sorted(), "{deeds:#?}");
    });
}
