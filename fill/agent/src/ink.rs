//! Chunks onto disk: each is checked before it is written, written through io_uring, and made
//! durable with its object. Fetches nothing; what it is given is all it writes.

use control_types::fill::Source;
use control_types::ids::ObjectId;
use oca_store::{Incoming, Seal};
use tokio_uring::buf::BoundedBuf;
use tokio_uring::fs::File;

use std::rc::Rc;

use crate::block::Block;
use crate::error::is_of_the_disk;
use crate::ladder::Fault;
use crate::night::Night;
use crate::take::Cut;

/// An unfinished object's file, opened both ways.
pub(crate) struct Files {
    pub(crate) direct: Option<Rc<File>>,
    pub(crate) file: Rc<File>,
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
    let refused = |error: &std::io::Error| error.kind() == std::io::ErrorKind::InvalidInput;
    if direct.is_some() && written.as_ref().is_err_and(refused) {
        // It opened and cannot write so: some file systems only say it here.
        (written, chunk) = write_to(&files.file, chunk, at).await;
    }
    if let Err(error) = written {
        return Err(write_failed(night, object, &error));
    }
    let marked = night.vault.borrow_mut().opened(object).map(|open| {
        let marked = open.incoming.mark_done(index);
        marked.map_err(|error| (open.incoming.path().to_owned(), error))
    });
    if let Some(Err((path, error))) = marked {
        return Err(Cut::Disk(night.disk_refused(&path, error)));
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
pub(crate) async fn publish(night: &Night, incoming: Incoming, file: &File) -> Result<(), String> {
    // Flushed here without a thread waiting for it; what publishing then flushes is little.
    if let Err(error) = file.sync_data().await {
        // The kernel says this once and then holds what it could not write for written.
        let why = format!("cannot make it durable: {error}");
        night.vault.borrow_mut().rest(incoming.path(), &why, night.clock.ticks());
        let distrusted = incoming.distrust().err().map(|error| format!(", and {error}"));
        return Err(why + &distrusted.unwrap_or_default());
    }
    let path = incoming.path().to_owned();
    let published = tokio::task::spawn_blocking(move || incoming.publish()).await;
    let published = published.map_err(|error| error.to_string())?;
    published.map(drop).map_err(|error| night.disk_refused(&path, error))
}
