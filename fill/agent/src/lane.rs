//! One lane: takes the next job, fetches it from its source, checks every chunk before it is
//! written, and writes it through io_uring. Decides neither order nor source; the board does.

use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::rc::Rc;
use std::time::Duration;

use control_types::fill::{Pull, Source};
use control_types::ids::ObjectId;
use oca_store::{Seal, StoreError};
use tokio_uring::buf::BoundedBuf;
use tokio_uring::fs::{File, OpenOptions};

use crate::block::Block;
use crate::board::{After, Job};
use crate::fetch::{Answer, Wires};
use crate::gate::Gate;
use crate::ladder::Fault;
use crate::limits::TICK_MS;
use crate::night::Night;
use crate::pass::Pass;

/// Why a job ended before its end.
enum Cut {
    /// The window closed, its bytes are spent, or the agent stops.
    Halt,
    /// The source failed.
    Fault(Fault),
    /// The disk failed; the text is for the report.
    Disk(String),
}

impl From<Fault> for Cut {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

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
    let after = match start_fetch(night, wires, job, pull, source).await {
        Ok(seal) => match begin(night, pull, seal).await {
            Ok(after) => after,
            Err(why) => {
                night.board.borrow_mut().disk_failed(&object, why, night.clock.ticks());
                After::Go
            }
        },
        Err(Cut::Halt) => night.board.borrow_mut().give_back(job, night.clock.ticks()),
        Err(Cut::Fault(fault)) => {
            night.fault(&object, source, fault);
            After::Go
        }
        Err(Cut::Disk(why)) => {
            night.board.borrow_mut().disk_failed(&object, why, night.clock.ticks());
            After::Go
        }
    };
    settle(night, &object, after).await;
}

async fn start_fetch(
    night: &Night,
    wires: &mut Wires,
    job: &Job,
    pull: &Pull,
    source: &Source,
) -> Result<Seal, Cut> {
    let region = Seal::region_bytes_for(pull.bytes);
    let mut pass = permit(night, job, region).await?;
    let path = format!("/t/{}/o/{}/seal", night.ticket(), pull.object);
    let halted = night.halted(job.is_repair());
    let bytes = tokio::select! {
        bytes = wires.whole(&source.media_url, &path, region) => bytes?,
        () = halted => return Err(Cut::Halt),
    };
    pass.arrived(bytes.len() as u64);
    night.came(source.kind, bytes.len() as u64);
    let seal = Seal::decode(&bytes).map_err(|_| Fault::Lied)?;
    if seal.object() != pull.object || seal.bytes() != pull.bytes {
        return Err(Fault::Lied.into());
    }
    // A source may know the object under a title of long ago; tickets are checked against the
    // plan's.
    let media_type = seal.media_type();
    Ok(seal.with_title(pull.title.clone(), media_type))
}

async fn begin(night: &Night, pull: &Pull, seal: Seal) -> Result<After, String> {
    let writer = night.place(pull)?;
    // Going on where an earlier run stopped reads every claimed chunk back; lanes go on meanwhile.
    let begun = tokio::task::spawn_blocking(move || writer.begin(seal)).await;
    let incoming = match begun.map_err(|error| error.to_string())? {
        Err(StoreError::AlreadyHeld { .. }) => {
            night.board.borrow_mut().published(&pull.object);
            return Ok(After::Go);
        }
        begun => begun.map_err(|error| error.to_string())?,
    };
    let opened = OpenOptions::new().write(true).open(incoming.path()).await;
    let file = opened.map_err(|error| format!("{}: {error}", incoming.path().display()))?;
    // Past the page cache, which is for members; not every file system can.
    let flags = nix::fcntl::OFlag::O_DIRECT.bits();
    let mut past_cache = OpenOptions::new();
    past_cache.write(true).custom_flags(flags);
    let direct = past_cache.open(incoming.path()).await;
    let missing = incoming.missing();
    let seal = incoming.seal();
    let left: u64 = missing
        .iter()
        .flat_map(Clone::clone)
        .filter_map(|chunk| seal.chunk_range(chunk))
        .map(|range| range.end - range.start)
        .sum();
    night.vault.borrow_mut().keep(incoming, direct.ok(), file);
    Ok(night.board.borrow_mut().began(&pull.object, missing, left))
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
    let cut = run_fetch(night, wires, job, source, chunks.clone(), &mut at).await.err();
    let rest = at..chunks.end;
    let now = night.clock.ticks();
    match cut {
        None | Some(Cut::Halt) => {}
        Some(Cut::Fault(fault)) => night.fault(&object, source, fault),
        Some(Cut::Disk(why)) => night.board.borrow_mut().disk_failed(&object, why, now),
    }
    let after = night.board.borrow_mut().run_ended(&object, rest, now);
    settle(night, &object, after).await;
}

/// The body of `run`: `at` is the first chunk that is not on disk yet, whatever happens.
async fn run_fetch(
    night: &Night,
    wires: &mut Wires,
    job: &Job,
    source: &Source,
    chunks: Range<u32>,
    at: &mut u32,
) -> Result<(), Cut> {
    let object = job.object();
    let gone = || Cut::Disk("its file was let go".to_owned());
    let (seal, files) = {
        let mut vault = night.vault.borrow_mut();
        let open = vault.opened(&object).ok_or_else(gone)?;
        let files = Files { direct: open.direct.clone(), file: Rc::clone(&open.file) };
        (Rc::clone(&open.seal), files)
    };
    let span = |chunk: u32| seal.chunk_range(chunk).ok_or_else(gone);
    let (mut position, end) = (span(chunks.start)?.start, span(chunks.end - 1)?.end);
    let path = format!("/t/{}/o/{object}", night.ticket());
    let mut chunk = Block::new();
    while position < end {
        // Never past the chunk at hand: what is asked for and not yet on disk is what a kill costs.
        let piece = night.piece_bytes(job.is_repair()).min(span(*at)?.end - position);
        let mut pass = permit(night, job, piece).await?;
        let mut answer = begin_answer(night, wires, job, source, &path, position, piece).await?;
        let until = tokio::time::Instant::now() + wires.dialer().patience(piece);
        let mut left = piece;
        while let Some(bytes) = next_bytes(night, wires, job, &mut answer, until).await? {
            pass.arrived(bytes.len() as u64);
            night.came(source.kind, bytes.len() as u64);
            left = left.checked_sub(bytes.len() as u64).ok_or(Fault::Lied)?;
            let mut bytes = bytes.as_ref();
            while !bytes.is_empty() {
                let range = span(*at)?;
                let room = (range.end - range.start) as usize - chunk.len();
                let (now, later) = bytes.split_at(room.min(bytes.len()));
                chunk.extend(now);
                bytes = later;
                if now.len() == room {
                    chunk = write(night, &object, source, &seal, &files, *at, chunk).await?;
                    *at += 1;
                }
            }
        }
        if left > 0 {
            return Err(Fault::Away.into());
        }
        wires.done(answer);
        position += piece;
    }
    Ok(())
}

async fn begin_answer(
    night: &Night,
    wires: &mut Wires,
    job: &Job,
    source: &Source,
    path: &str,
    start: u64,
    bytes: u64,
) -> Result<Answer, Cut> {
    tokio::select! {
        answer = wires.range(&source.media_url, path, start, bytes) => Ok(answer?),
        () = night.halted(job.is_repair()) => Err(Cut::Halt),
    }
}

async fn next_bytes(
    night: &Night,
    wires: &Wires,
    job: &Job,
    answer: &mut Answer,
    until: tokio::time::Instant,
) -> Result<Option<bytes::Bytes>, Cut> {
    let stall = until.min(tokio::time::Instant::now() + wires.dialer().stall());
    tokio::select! {
        piece = answer.piece() => Ok(piece?),
        () = tokio::time::sleep_until(stall) => Err(Fault::Slow.into()),
        () = night.halted(job.is_repair()) => Err(Cut::Halt),
    }
}

/// An unfinished object's file, opened both ways.
struct Files {
    direct: Option<Rc<File>>,
    file: Rc<File>,
}

/// Checks and writes one chunk, and gives its buffer back empty.
async fn write(
    night: &Night,
    object: &ObjectId,
    source: &Source,
    seal: &Seal,
    files: &Files,
    index: u32,
    chunk: Block,
) -> Result<Block, Cut> {
    if !seal.verify_chunk(index, chunk.as_slice()) {
        return Err(Fault::Lied.into());
    }
    let bytes = chunk.len() as u64;
    let start = seal.chunk_range(index).map_or(0, |range| range.start);
    let at = seal.payload_offset() + start;
    // The last chunk is rarely whole blocks: it goes through the page cache.
    let direct = files.direct.as_ref().filter(|_| chunk.is_whole_blocks());
    let (mut written, mut chunk) = write_to(direct.unwrap_or(&files.file), chunk, at).await;
    let refused = |error: &std::io::Error| error.kind() == std::io::ErrorKind::InvalidInput;
    if direct.is_some() && written.as_ref().is_err_and(refused) {
        // It opened and cannot write so: some file systems only say it here.
        (written, chunk) = write_to(&files.file, chunk, at).await;
    }
    if let Err(error) = written {
        return Err(write_failed(night, object, &error));
    }
    if let Some(open) = night.vault.borrow_mut().opened(object) {
        open.incoming.mark_done(index).map_err(|error| Cut::Disk(error.to_string()))?;
    }
    let now = night.clock.ticks();
    night.board.borrow_mut().chunk_done(object, &source.appliance, bytes, now);
    chunk.clear();
    Ok(chunk)
}

async fn write_to(file: &File, chunk: Block, at: u64) -> (std::io::Result<()>, Block) {
    let (bytes, range) = chunk.into_parts();
    let (written, bytes) = file.write_all_at(bytes.slice(range.clone()), at).await;
    (written, Block::back(bytes.into_inner(), &range))
}

/// A full disk is met at `begin` and is no fault of the disk; anything else is, and it rests.
fn write_failed(night: &Night, object: &ObjectId, error: &std::io::Error) -> Cut {
    let mut vault = night.vault.borrow_mut();
    if error.kind() != std::io::ErrorKind::StorageFull
        && let Some(path) = vault.opened(object).map(|open| open.incoming.path().to_owned())
    {
        vault.rest(&path, night.clock.ticks());
    }
    Cut::Disk(format!("cannot write a chunk: {error}"))
}

/// Does what the board says is to be done with an object that no lane is at work on.
async fn settle(night: &Night, object: &ObjectId, after: After) {
    match after {
        After::Go => {}
        After::LetGo => drop(night.vault.borrow_mut().take(object)),
        After::Publish => {
            let Some(open) = night.vault.borrow_mut().take(object) else { return };
            match publish(night, open.incoming, &open.file).await {
                Ok(()) => {
                    tracing::info!(%object, "published");
                    night.board.borrow_mut().published(object);
                }
                Err(why) => {
                    tracing::error!(%object, why, "cannot publish");
                    night.board.borrow_mut().disk_failed(object, why, night.clock.ticks());
                }
            }
        }
    }
}

async fn publish(night: &Night, incoming: oca_store::Incoming, file: &File) -> Result<(), String> {
    // Flushed here without a thread waiting for it; what publishing then flushes is little.
    if let Err(error) = file.sync_data().await {
        // The kernel says this once and then holds what it could not write for written.
        night.vault.borrow_mut().rest(incoming.path(), night.clock.ticks());
        let distrusted = incoming.distrust().err().map(|error| format!(", and {error}"));
        let more = distrusted.unwrap_or_default();
        return Err(format!("cannot make it durable: {error}{more}"));
    }
    let published = tokio::task::spawn_blocking(move || incoming.publish()).await;
    published.map_err(|error| error.to_string())?.map(drop).map_err(|error| error.to_string())
}

/// Waits until `bytes` may be asked for under the window's cap and budget.
async fn permit<'a>(night: &'a Night, job: &Job, bytes: u64) -> Result<Pass<'a>, Cut> {
    let repair = job.is_repair();
    loop {
        if night.must_halt(repair) {
            return Err(Cut::Halt);
        }
        match night.pass(repair, bytes) {
            // Repairs are not the window's: a bad object is fetched again at any time.
            Ok(pass) if repair || night.spend(bytes) => return Ok(pass),
            Ok(_) => return Err(Cut::Halt),
            Err(wait_ms) => tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
                () = night.halted(repair) => return Err(Cut::Halt),
            },
        }
    }
}

/// Whether `gate` stops a job.
pub(crate) fn stops(gate: &Gate, repair: bool) -> bool {
    !repair && !gate.is_open()
}
