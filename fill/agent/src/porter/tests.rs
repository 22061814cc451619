//! Doubles put in order, and what the porter says.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use oca_store::disk::Disk;
use oca_store::{MediaType, seal_reader};

use super::*;
use crate::lane::stepped::Steps;
use crate::limits::LOST_LOOK_MS;
use crate::vault::Vault;

fn publish(writer: &Writer, payload: &[u8]) -> ObjectId {
    let seal = seal_reader(payload, "t".parse().unwrap(), MediaType::VideoMp4).unwrap();
    let object = seal.object();
    let mut incoming = writer.begin(seal).unwrap();
    incoming.write_chunk(0, payload).unwrap();
    incoming.publish().unwrap();
    object
}

/// Goal: what was brought back while its disk was lost takes no room twice once the disk is
/// there again, without a restart. Method: a disk's folder goes and comes back.
#[test]
fn a_disk_that_comes_back_leaves_no_object_on_two() {
    let folder = tempfile::tempdir().unwrap();
    tokio_uring::start(async {
        let night = crate::night::on_folder(folder.path());
        let other = folder.path().join("hdd");
        std::fs::create_dir(&other).unwrap();
        let class = DiskClass::Hdd;
        let both = [(folder.path().join("ssd"), DiskClass::Ssd), (other.clone(), class)];
        // The night's own lock goes first.
        let spare = folder.path().join("spare");
        std::fs::create_dir(&spare).unwrap();
        let free = Vault::open(&[(spare, class)], None, 0).unwrap();
        drop(night.vault.replace(free));
        let vault = Vault::open(&both, None, 0).unwrap();
        drop(night.vault.replace(vault));
        let writers: Vec<Writer> = night.vault.borrow().writers().cloned().collect();
        let object = publish(&writers[1], &[3; 9_000]);
        drop(writers);
        let mut porter = Porter::default();
        porter.put_doubles_in_order(&night).await;

        let aside = folder.path().join("aside");
        std::fs::rename(&other, &aside).unwrap();
        assert!(night.vault.borrow_mut().look_after(1));
        assert!(!night.vault.borrow().holds(&object));
        let writer = night.vault.borrow().writers().next().unwrap().clone();
        assert_eq!(publish(&writer, &[3; 9_000]), object);
        porter.put_doubles_in_order(&night).await;
        std::fs::rename(&aside, &other).unwrap();
        assert!(night.vault.borrow_mut().look_after(1 + LOST_LOOK_MS));
        let copies = || {
            let vault = night.vault.borrow();
            vault.writers().filter(|writer| writer.holds(&object)).count()
        };
        assert_eq!(copies(), 2);
        porter.put_doubles_in_order(&night).await;
        assert_eq!(copies(), 1);
        porter.finish_retired(u64::MAX).await;
        assert!(night.vault.borrow().holds(&object));
    });
}

/// Goal: no copy is let go for one that went with its disk, though nobody has noticed that yet.
/// Method: the folder of the disk that is to keep the object goes.
#[test]
fn a_copy_stays_when_the_disk_of_the_other_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    tokio_uring::start(async {
        let night = crate::night::on_folder(folder.path());
        let classes = [("flash", DiskClass::Ssd), ("disk", DiskClass::Hdd)];
        let volumes = classes.map(|(name, class)| (folder.path().join(name), class));
        volumes.iter().for_each(|(path, _)| std::fs::create_dir(path).unwrap());
        let vault = Vault::open(&volumes, None, 0).unwrap();
        let writers: Vec<Writer> = vault.writers().cloned().collect();
        let objects: Vec<_> = writers.iter().map(|on| publish(on, &[3; 9_000])).collect();
        drop(night.vault.replace(vault));
        let (flash, aside) = (&volumes[0].0, folder.path().join("aside"));
        std::fs::rename(flash, &aside).unwrap();
        let mut porter = Porter::default();
        porter.put_doubles_in_order(&night).await;
        assert!(writers[1].holds(&objects[1]), "it was the last copy");
        // The disk went, and came again: a double like any other.
        assert!(night.vault.borrow_mut().look_after(1));
        std::fs::rename(&aside, flash).unwrap();
        drop(writers);
        assert!(night.vault.borrow_mut().look_after(1 + LOST_LOOK_MS));
        porter.put_doubles_in_order(&night).await;
        let held = night.vault.borrow().writers().filter(|on| on.holds(&objects[1])).count();
        assert_eq!(held, 1);
    });
}

/// Goal: however slow a disk is, putting doubles in order on it keeps nothing else waiting: windows
/// are to close meanwhile. Method: the disk's deeds wait for somebody on the agent's own thread.
#[test]
fn a_slow_disk_keeps_the_agents_thread_free_while_doubles_are_put_in_order() {
    let folder = tempfile::tempdir().unwrap();
    // Deeds of the thread that makes it never wait, and here those of the agent's own are to.
    let steps = std::thread::spawn(Steps::new).join().unwrap();
    tokio_uring::start(async {
        let night = crate::night::on_folder(folder.path());
        let classes = [("flash", DiskClass::Ssd), ("disk", DiskClass::Hdd)];
        let volumes = classes.map(|(name, class)| (folder.path().join(name), class));
        volumes.iter().for_each(|(path, _)| std::fs::create_dir(path).unwrap());
        let on: Arc<dyn Disk> = Arc::new(steps.clone());
        let vault = Vault::open(&volumes, Some(&on), 0).unwrap();
        for writer in vault.writers() {
            publish(writer, &[3; 9_000]);
        }
        drop(night.vault.replace(vault));
        let stepping = steps.begin_at("/disk/journal");
        let (meet, met) = mpsc::channel();
        // Who waits for the agent's thread on that very thread would wait for ever.
        let release = std::thread::spawn(move || {
            let was_free = met.recv_timeout(Duration::from_secs(20)).is_ok();
            drop(stepping);
            was_free
        });
        let mut porter = Porter::default();
        let others = async {
            while steps.waiting().is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let _ = meet.send(());
        };
        tokio::join!(porter.put_doubles_in_order(&night), others);
        assert!(release.join().unwrap(), "everything waited for the disk");
        assert_eq!(porter.retired.len(), 1);
    });
}

/// Goal: a heat file that is none is told of once in a while, and one that never ends is not waited
/// for.
#[test]
fn a_heat_file_that_cannot_be_read_is_told_of_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heat");
    assert!(heat_of(&path).is_ok(), "none was written yet");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(heat_of(&path).unwrap_err().contains("a pipe"));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "{").unwrap();
    tokio_uring::start(async {
        let mut night = crate::night::on_folder(folder.path());
        night.config.heat_file = Some(path);
        let mut porter = Porter::default();
        let mut turns = std::pin::pin!(async {
            for _ in 0..5 {
                porter.refresh(&night).await;
            }
        });
        let mut lines = Vec::new();
        let mut is_over = false;
        while !is_over {
            let turn = || {
                let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
                is_over = turns.as_mut().poll(context).is_ready();
            };
            lines.extend(crate::said::lines_of(turn));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(lines.len(), 1, "{lines:#?}");
    });
}
