//! Chunks onto disk: each is checked before it is written, written through io_uring, and made
//! durable with its object. Fetches nothing; what it is given is all it writes.

use std::io::{self, ErrorKind};
use std::rc::Rc;

use control_types::fill::Source;
use control_types::ids::ObjectId;
use oca_store::{Incoming, Seal};
use tokio_uring::buf::BoundedBuf;

use crate::block::Block;
use crate::error::is_of_the_disk;
use crate::ladder::Fault;
use crate::night::Night;
use crate::pen::Pen;
use crate::take::Cut;

/// An unfinished object's file, opened both ways.
pub(crate) struct Files {
    pub(crate) direct: Option<Rc<Pen>>,
    pub(crate) file: Rc<Pen>,
}

/// Checks and writes one chunk, and gives its buffer back empty.
pub(crate) async fn write(
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
    let refused = |error: &io::Error| error.kind() == ErrorKind::InvalidInput;
    if direct.is_some() && written.as_ref().is_err_and(refused) {
        // It opened and cannot write so: some file systems only say it here, and all of them when
        // a write that fell short is gone on with in the middle of a block.
        (written, chunk) = write_to(&files.file, chunk, at).await;
    }
    if let Err(error) = written {
        return Err(write_failed(night, object, &error));
    }
    let marked = night.vault.borrow_mut().opened(object).map(|open| {
        let marked = open.incoming.mark_done(index);
        marked.map_err(|error| (open.incoming.path().to_owned(), error))
    });
    match marked {
        Some(Ok(())) => {}
        Some(Err((path, error))) => return Err(Cut::Disk(night.disk_refused(&path, error))),
        // Its disk went meanwhile: it is nobody's chunk.
        None => return Err(Cut::Disk("its file was let go".to_owned())),
    }
    let now = night.clock.ticks();
    night.board.borrow_mut().chunk_done(object, &source.appliance, bytes, now);
    chunk.clear();
    Ok(chunk)
}

/// Writes all of it, however little goes at a time.
async fn write_to(pen: &Pen, chunk: Block, at: u64) -> (io::Result<()>, Block) {
    let (mut bytes, range) = chunk.into_parts();
    let mut from = range.start;
    let mut written = Ok(());
    while from < range.end {
        let place = at + (from - range.start) as u64;
        let (went, slice) = pen.write_at(bytes.slice(from..range.end), place).await;
        bytes = slice.into_inner();
        match went {
            Ok(0) => {
                written = Err(ErrorKind::WriteZero.into());
                break;
            }
            Ok(went) => from += went,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                written = Err(error);
                break;
            }
        }
    }
    (written, Block::back(bytes, &range))
}

/// A full disk is met at `begin` and is no fault of the disk; anything else is, and it rests.
fn write_failed(night: &Night, object: &ObjectId, error: &io::Error) -> Cut {
    let why = format!("cannot write a chunk: {error}");
    let mut vault = night.vault.borrow_mut();
    if is_of_the_disk(error)
        && let Some(path) = vault.opened(object).map(|open| open.incoming.path().to_owned())
    {
        vault.rest(&path, &why, night.clock.ticks());
    }
    Cut::Disk(why)
}

/// Makes a whole object durable and gives it its place; the error is for the report.
pub(crate) async fn publish(night: &Night, incoming: Incoming, file: &Pen) -> Result<(), String> {
    // Flushed here without a thread waiting for it; what publishing then flushes is little.
    if let Err(error) = file.sync().await {
        // The kernel says this once and then holds what it could not write for written.
        let why = format!("cannot make it durable: {error}");
        if is_of_the_disk(&error) {
            night.vault.borrow_mut().rest(incoming.path(), &why, night.clock.ticks());
        }
        let distrusted = incoming.distrust().err().map(|error| format!(", and {error}"));
        return Err(why + &distrusted.unwrap_or_default());
    }
    let path = incoming.path().to_owned();
    let published = tokio::task::spawn_blocking(move || incoming.publish()).await;
    let published = published.map_err(|error| error.to_string())?;
    published.map(drop).map_err(|error| night.disk_refused(&path, error))
}
