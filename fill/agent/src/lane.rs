//! One lane: takes the next job, has it fetched, checked and written (`take.rs`, `ink.rs`), and
//! tells the board what came of it. Decides neither order nor source; the board does.

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use control_types::fill::{Pull, Source};
use control_types::ids::ObjectId;
use oca_store::{Seal, StoreError};

use crate::board::{After, Job};
use crate::fetch::Wires;
use crate::gate::Gate;
use crate::ink::publish;
use crate::limits::{ROOM_BACK_MS, TICK_MS};
use crate::night::Night;
use crate::pen::{Pen, Way};
use crate::take::{Cut, take_chunks, take_seal};
use crate::vault::{Open, Placed};

/// Works until the night is stopped.
pub(crate) async fn lane(night: Rc<Night>) {
    let mut wires = Wires::new(Rc::clone(&night.dialer));
    while !night.stopping() {
        let Some(job) = night.next_job() else {
            let pause = Duration::from_millis(TICK_MS);
            // Woken early when another lane begins an object that has chunks to share.
            let _ = tokio::time::timeout(pause, night.changed.notified()).await;
            continue;
        };
        night.lanes_busy.set(night.lanes_busy.get() + 1);
        match &job {
            Job::Start { pull, source, .. } => start(&night, &mut wires, &job, pull, source).await,
            Job::Chunks { pull, source, chunks, .. } => {
                run(&night, &mut wires, &job, pull, source, chunks.clone()).await;
            }
        }
        night.lanes_busy.set(night.lanes_busy.get() - 1);
        night.changed.notify_waiters();
    }
}

/// Fetches the seal, checks it against the name, finds room and begins the object.
async fn start(night: &Night, wires: &mut Wires, job: &Job, pull: &Rc<Pull>, source: &Source) {
    let object = pull.object;
    let after = match take_seal(night, wires, job, pull, source).await {
        Ok(seal) => match begin(night, pull, seal).await {
            Ok(after) => after,
            Err(why) => {
                night.disk_failed(&object, why);
                After::Go
            }
        },
        Err(Cut::Halt) => night.board.borrow_mut().give_back(job, night.clock.ticks()),
        Err(Cut::Fault(fault)) => {
            night.fault(&object, source, fault);
            After::Go
        }
        Err(Cut::Disk(why)) => {
            night.disk_failed(&object, why);
            After::Go
        }
    };
    settle(night, &object, after).await;
}

async fn begin(night: &Night, pull: &Pull, seal: Seal) -> Result<After, String> {
    let placed = night.place(pull)?;
    room_comes(night, &placed).await?;
    let Placed { writer, claim } = placed;
    let volume = writer.volume().clone();
    // Going on where an earlier run stopped reads every claimed chunk back; lanes go on meanwhile.
    let begun = tokio::task::spawn_blocking(move || writer.begin(seal)).await;
    let incoming = match begun.map_err(|error| error.to_string())? {
        Err(StoreError::AlreadyHeld { .. }) => {
            night.board.borrow_mut().published(&pull.object);
            return Ok(After::Go);
        }
        begun => begun.map_err(|error| night.disk_refused(volume.path(), error))?,
    };
    let opened = Pen::open(&volume, incoming.path(), Way::Cached).await;
    let file = opened.map_err(|source| {
        let path = incoming.path();
        let error = StoreError::Io { path: path.to_owned(), doing: "open", source };
        night.disk_refused(path, error)
    })?;
    // Past the page cache, which is for members.
    let direct = Pen::open(&volume, incoming.path(), Way::Direct).await;
    let missing = incoming.missing();
    let seal = incoming.seal();
    let left: u64 = missing
        .iter()
        .flat_map(Clone::clone)
        .filter_map(|chunk| seal.chunk_range(chunk))
        .map(|range| range.end - range.start)
        .sum();
    night.vault.borrow_mut().keep(incoming, direct.ok(), file, claim);
    Ok(night.board.borrow_mut().began(&pull.object, missing, left))
}

/// What was pruned for an object gives its room back when the last reader has let go of it.
async fn room_comes(night: &Night, placed: &Placed) -> Result<(), String> {
    let until = night.clock.ticks() + ROOM_BACK_MS;
    while !night.vault.borrow().has_room_of(placed) {
        if night.stopping() || night.clock.ticks() >= until {
            return Err("no room yet: something still reads what was pruned for it".to_owned());
        }
        night.pause(TICK_MS).await;
    }
    Ok(())
}

/// Fetches one run of chunks.
async fn run(
    night: &Night,
    wires: &mut Wires,
    job: &Job,
    pull: &Pull,
    source: &Source,
    chunks: Range<u32>,
) {
    let object = pull.object;
    let mut at = chunks.start;
    let cut = take_chunks(night, wires, job, source, chunks.clone(), &mut at).await.err();
    let rest = at..chunks.end;
    let now = night.clock.ticks();
    match cut {
        None | Some(Cut::Halt) => {}
        Some(Cut::Fault(fault)) => night.fault(&object, source, fault),
        Some(Cut::Disk(why)) => night.disk_failed(&object, why),
    }
    let after = night.board.borrow_mut().run_ended(&object, rest, now);
    settle(night, &object, after).await;
}

/// Does what the board says is to be done with an object that no lane is at work on.
async fn settle(night: &Night, object: &ObjectId, after: After) {
    match after {
        After::Go => {}
        After::LetGo => drop(night.vault.borrow_mut().take(object)),
        After::Publish => {
            let Some(open) = night.vault.borrow_mut().take(object) else {
                // Its disk went meanwhile. Left as it is it would be published by nobody, ever.
                night.disk_failed(object, "its file was let go".to_owned());
                return;
            };
            let Open { incoming, file, claim, .. } = open;
            // All of it is written: from here on it is its file's room.
            drop(claim);
            match publish(night, incoming, &file).await {
                Ok(()) => {
                    tracing::info!(%object, "published");
                    night.board.borrow_mut().published(object);
                }
                Err(why) => {
                    tracing::error!(%object, why, "cannot publish");
                    night.disk_failed(object, why);
                }
            }
        }
    }
}

/// Whether `gate` stops a job.
pub(crate) fn stops(gate: &Gate, repair: bool) -> bool {
    !repair && !gate.is_open()
}

#[cfg(test)]
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../../oca/store/tests/kit/stepped.rs"]
pub(crate) mod stepped;
#[cfg(test)]
mod tests;
