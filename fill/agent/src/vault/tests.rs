//! Room: what is promised to one is nobody else's, whoever asks and whenever it is taken.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oca_store::{MediaType, StoreError, seal_reader};

use super::small::Small;
use super::*;
use crate::limits::{KEEP_FREE_ONE_IN, PRUNES_REFUSED_MAX};

const CHUNK: usize = 256 << 10;
const MB: u64 = 1 << 20;

struct Place {
    /// Goes last.
    folder: tempfile::TempDir,
    small: Arc<Small>,
    volumes: Vec<(PathBuf, DiskClass)>,
}

impl Place {
    /// `free` bytes above the headroom, two volumes on them, one of each class.
    fn new(free: u64, is_sparse: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let classes = [("hdd", DiskClass::Hdd), ("ssd", DiskClass::Ssd)];
        let volumes = classes.map(|(name, class)| (folder.path().join(name), class)).to_vec();
        volumes.iter().for_each(|(path, _)| std::fs::create_dir(path).unwrap());
        let total = free * KEEP_FREE_ONE_IN / (KEEP_FREE_ONE_IN - 1) + KEEP_FREE_ONE_IN;
        let small = Arc::new(Small::new(folder.path(), total, is_sparse));
        Self { folder, small, volumes }
    }

    fn vault(&self, volumes: usize) -> Vault {
        let on: Arc<dyn oca_store::disk::Disk> = self.small.clone();
        Vault::open(&self.volumes[..volumes], Some(&on), 0).unwrap()
    }

    fn free_above_headroom(&self) -> i64 {
        use oca_store::disk::Disk as _;
        let room = self.small.room(self.folder.path()).unwrap();
        room.free_bytes as i64 - (room.total_bytes / KEEP_FREE_ONE_IN) as i64
    }
}

fn payload(seed: u64, bytes: usize) -> Vec<u8> {
    seed.to_le_bytes().into_iter().cycle().take(bytes).collect()
}

fn sealed(payload: &[u8]) -> Seal {
    seal_reader(payload, "t".parse().unwrap(), MediaType::VideoMp4).unwrap()
}

fn pull(seal: &Seal) -> Pull {
    Pull {
        object: seal.object(),
        bytes: seal.bytes(),
        title: seal.title().clone(),
        class: DiskClass::Hdd,
        sources: Vec::new(),
        why: String::new(),
    }
}

fn place(vault: &Vault, seal: &Seal, prunes: &[ObjectId]) -> Result<Placed, String> {
    vault.place(&pull(seal), prunes, |_| true, 1)
}

fn publish(writer: &Writer, payload: &[u8]) -> ObjectId {
    let seal = sealed(payload);
    let object = seal.object();
    let mut incoming = writer.begin(seal).unwrap();
    for (index, chunk) in (0..).zip(payload.chunks(CHUNK)) {
        incoming.write_chunk(index, chunk).unwrap();
    }
    incoming.publish().unwrap();
    object
}

#[test]
fn room_that_one_asked_for_is_not_given_to_another() {
    for is_sparse in [false, true] {
        let at = Place::new(3 * MB, is_sparse);
        let vault = at.vault(2);
        let bytes = payload(1, 2 * MB as usize);
        let (first, other) = (sealed(&bytes), sealed(&payload(2, 2 * MB as usize)));
        let placed = place(&vault, &first, &[]).unwrap();
        assert!(vault.has_room_of(&placed));
        // Neither for another pull, nor for a copy, nor on the other volume of this file system.
        let refused = place(&vault, &other, &[]).err().unwrap();
        assert!(refused.starts_with("no room"), "{refused}");
        assert!(vault.place_copy(other.object(), 2 * MB, DiskClass::Ssd, 1).is_none());
        let mut incoming = placed.writer.begin(first.clone()).unwrap();
        incoming.write_chunk(0, &bytes[..CHUNK]).unwrap();
        assert!(vault.has_room_of(&placed));
        assert!(place(&vault, &other, &[]).is_err(), "it is begun, and still all of it is its");
        // What is left is given out, and not twice.
        let small = sealed(&payload(3, MB as usize / 2));
        let third = place(&vault, &small, &[]).unwrap();
        assert!(place(&vault, &sealed(&payload(4, MB as usize / 2)), &[]).is_err());
        drop(third);
        incoming.discard().unwrap();
        drop(placed);
        assert!(place(&vault, &other, &[]).is_ok(), "handed back");
    }
}

#[test]
fn what_was_promised_before_a_kill_is_promised_to_nobody_after_it() {
    for is_sparse in [false, true] {
        let at = Place::new(3 * MB, is_sparse);
        let bytes = payload(1, 2 * MB as usize);
        let (first, other) = (sealed(&bytes), sealed(&payload(2, 2 * MB as usize)));
        {
            let vault = at.vault(1);
            let placed = place(&vault, &first, &[]).unwrap();
            let mut incoming = placed.writer.begin(first.clone()).unwrap();
            incoming.write_chunk(0, &bytes[..CHUNK]).unwrap();
        }
        let vault = at.vault(1);
        // Where room is taken at once, the unfinished file has it; where it is not, whoever comes
        // first takes it, and the other waits.
        assert_eq!(place(&vault, &other, &[]).is_ok(), is_sparse);
        let again = place(&vault, &first, &[]).unwrap();
        assert!(place(&vault, &other, &[]).is_err());
        drop(again);
        if is_sparse {
            let _placed = place(&vault, &other, &[]).unwrap();
            assert!(place(&vault, &first, &[]).is_err(), "begun is not yet room");
        }
    }
}

/// Goal: a reader that has a pruned file open costs a moment, not everything that may go. Method:
/// unlinked files keep their room until the last reader lets go.
#[test]
fn no_more_is_pruned_than_is_needed_though_room_comes_late() {
    let at = Place::new(6 * MB, false);
    let vault = at.vault(1);
    let writer = vault.writers().next().unwrap().clone();
    let held: Vec<ObjectId> =
        (0..11).map(|seed| publish(&writer, &payload(seed, MB as usize / 2))).collect();
    at.small.is_read.store(true, Ordering::SeqCst);
    let pulls = [20, 21].map(|seed| sealed(&payload(seed, MB as usize - 8192)));
    let prune = |seal| vault.place(&pull(seal), &held, |object| !held.contains(object), 1);
    let first = prune(&pulls[0]).unwrap();
    let count = || held.iter().filter(|object| writer.holds(object)).count();
    assert_eq!(count(), 9, "two make its room, with what is free");
    let second = prune(&pulls[1]).unwrap();
    assert_eq!(count(), 7, "and two the other's");
    assert!(!vault.has_room_of(&first) && !vault.has_room_of(&second));
    assert!(place(&vault, &sealed(b"small"), &[]).is_err(), "what comes back is theirs");
    at.small.let_go();
    assert!(vault.has_room_of(&first) && vault.has_room_of(&second));
}

/// Goal: a disk that turned read-only is not asked to let go of a whole list for each pull, nor
/// told of for each. Method: there is no place for the marks that a removal leaves first.
#[test]
fn a_disk_that_lets_nothing_go_is_left_after_a_few() {
    let at = Place::new(6 * MB, false);
    let vault = at.vault(1);
    let writer = vault.writers().next().unwrap().clone();
    let held: Vec<ObjectId> =
        (0..11).map(|seed| publish(&writer, &payload(seed, MB as usize / 2))).collect();
    std::fs::remove_dir(at.volumes[0].0.join("incoming")).unwrap();
    let pull = pull(&sealed(&payload(20, 2 * MB as usize)));
    let lines = crate::said::lines_of(|| {
        let placed = vault.place(&pull, &held, |object| !held.contains(object), 1);
        assert!(placed.err().unwrap().starts_with("no room"));
    });
    assert_eq!(lines.len(), PRUNES_REFUSED_MAX as usize, "{lines:#?}");
    assert!(held.iter().all(|object| writer.holds(object)));
}

/// Goal: however many ask at once, and whenever a file takes its room, the headroom is left alone.
/// Method: tasks place, begin on other threads, write, publish and give up by chance, and each
/// looks at the disk after each step. `NIGHTFILL_SEED` is the seed.
#[test]
fn any_number_at_once_leave_the_headroom_alone() {
    let seed = std::env::var("NIGHTFILL_SEED").map_or(1u64, |text| text.parse().unwrap());
    println!("seed {seed}");
    for is_sparse in [false, true] {
        let at = Rc::new(Place::new(5 * MB, is_sparse));
        let local = tokio::task::LocalSet::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        local.block_on(&runtime, async {
            let vault = Rc::new(at.vault(2));
            let placed = Rc::new(Cell::new(0));
            let tasks: Vec<_> = (0..6)
                .map(|task| {
                    let (at, vault, placed) = (at.clone(), vault.clone(), placed.clone());
                    tokio::task::spawn_local(async move {
                        for turn in 0..4 {
                            let seed = seed << 16 | task << 8 | turn;
                            placed.set(placed.get() + u32::from(one(&at, &vault, seed).await));
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert!(placed.get() > 0, "seed {seed}: nobody got room");
        });
    }
}

/// One object from its room to its end; false when there is no room.
async fn one(at: &Place, vault: &Vault, seed: u64) -> bool {
    let bytes = payload(seed, (256 << 10) * (2 + seed as usize % 9) + 77);
    let seal = sealed(&bytes);
    let check = |when: &str| {
        let free = at.free_above_headroom();
        assert!(free >= 0, "seed {seed}, {when}: {} bytes of the headroom", -free);
    };
    let Ok(placed) = place(vault, &seal, &[]) else {
        tokio::time::sleep(Duration::from_millis(seed % 3)).await;
        return false;
    };
    let (writer, begun) = (placed.writer.clone(), seal.clone());
    let begun = tokio::task::spawn_blocking(move || writer.begin(begun)).await.unwrap();
    check("begun");
    let mut incoming = match begun {
        Err(StoreError::AlreadyHeld { .. }) => return true,
        begun => begun.unwrap(),
    };
    for (index, chunk) in (0..).zip(bytes.chunks(CHUNK)) {
        incoming.write_chunk(index, chunk).unwrap();
        check("written");
        tokio::task::yield_now().await;
    }
    let Placed { writer, claim } = placed;
    if seed.is_multiple_of(5) {
        incoming.discard().unwrap();
        return true;
    }
    drop(claim);
    let published = tokio::task::spawn_blocking(move || incoming.publish()).await.unwrap();
    published.unwrap();
    check("published");
    if seed.is_multiple_of(2) {
        writer.remove(&seal.object()).unwrap();
    }
    true
}
