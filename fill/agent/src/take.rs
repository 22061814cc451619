//! Takes a seal or a run of chunks from one source, piece by piece under the caps. Writes nothing
//! itself; every way it can end early is a [`Cut`].
//!
//! Whatever is asked for is asked for in pieces that the caps allow at once, the seal too: that of
//! a large object is 8 MiB, more than a second of a small window.

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use control_types::fill::{Pull, Source};
use control_types::limits::OBJECT_BYTES_MAX;
use oca_store::Seal;

use crate::block::Block;
use crate::board::Job;
use crate::fetch::{Answer, Missed, Wires};
use crate::ink::{Files, write};
use crate::ladder::Fault;
use crate::limits::HANDSHAKE_BYTES;
use crate::night::Night;
use crate::pass::Pass;

/// Why a job ended before its end.
pub(crate) enum Cut {
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

/// Takes the seal and checks it against the object's name.
pub(crate) async fn take_seal(
    night: &Night,
    wires: &mut Wires,
    job: &Job,
    pull: &Pull,
    source: &Source,
) -> Result<Seal, Cut> {
    if pull.bytes > OBJECT_BYTES_MAX {
        // Its seal alone would be more than there is memory for.
        let (bytes, most) = (pull.bytes, OBJECT_BYTES_MAX);
        return Err(Cut::Disk(format!("{bytes} bytes in the plan: an object has at most {most}")));
    }
    let region = Seal::region_bytes_for(pull.bytes);
    let path = format!("/t/{}/o/{}/seal", night.ticket(), pull.object);
    let bytes = if region <= night.piece_bytes(job.is_repair()) {
        take_whole(night, wires, job, source, &path, region).await?
    } else {
        take_pieces(night, wires, job, source, &path, region).await?
    };
    let seal = Seal::decode(&bytes).map_err(|_| Fault::Lied)?;
    if seal.object() != pull.object || seal.bytes() != pull.bytes {
        return Err(Fault::Lied.into());
    }
    // A source may know the object under a title of long ago; tickets are checked against the
    // plan's.
    let media_type = seal.media_type();
    Ok(seal.with_title(pull.title.clone(), media_type))
}

/// A small thing in one answer.
async fn take_whole(
    night: &Night,
    wires: &mut Wires,
    job: &Job,
    source: &Source,
    path: &str,
    bytes_max: u64,
) -> Result<Vec<u8>, Cut> {
    let mut unspent = bytes_max;
    let (bytes, mut pass) = loop {
        let (pass, is_new) = permit(night, wires, job, source, bytes_max, &mut unspent).await?;
        let asked = tokio::select! {
            asked = wires.whole(&source.media_url, path, bytes_max) => asked,
            () = night.halted(job.is_repair()) => return Err(Cut::Halt),
        };
        match asked {
            Ok(bytes) => break (bytes, pass),
            Err(missed) => once_more(missed, is_new)?,
        }
    };
    pass.arrived(bytes.len() as u64);
    night.came(source.kind, bytes.len() as u64);
    Ok(bytes)
}

/// A thing of `whole` bytes in as many ranges as the caps make of it.
async fn take_pieces(
    night: &Night,
    wires: &mut Wires,
    job: &Job,
    source: &Source,
    path: &str,
    whole: u64,
) -> Result<Vec<u8>, Cut> {
    let mut taken = Vec::new();
    while (taken.len() as u64) < whole {
        let position = taken.len() as u64;
        let bytes = night.piece_bytes(job.is_repair()).min(whole - position);
        let asked = position..position + bytes;
        let mut piece = Piece::begin(night, wires, job, source, path, asked).await?;
        while let Some(bytes) = piece.next(wires).await? {
            taken.extend_from_slice(&bytes);
        }
        piece.end(wires);
    }
    Ok(taken)
}

/// Takes a run of chunks, each written once it is whole: `at` is the first chunk that is not on
/// disk yet, whatever happens.
pub(crate) async fn take_chunks(
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
        let bytes = night.piece_bytes(job.is_repair()).min(span(*at)?.end - position);
        let asked = position..position + bytes;
        let mut piece = Piece::begin(night, wires, job, source, &path, asked).await?;
        while let Some(bytes) = piece.next(wires).await? {
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
        piece.end(wires);
        position += bytes;
    }
    Ok(())
}

/// One range under way.
struct Piece<'a> {
    night: &'a Night,
    job: &'a Job,
    source: &'a Source,
    pass: Pass<'a>,
    answer: Answer,
    /// Slower than this is too slow.
    until: tokio::time::Instant,
    left: u64,
}

impl<'a> Piece<'a> {
    /// Asks for `range` once the caps allow it.
    async fn begin(
        night: &'a Night,
        wires: &mut Wires,
        job: &'a Job,
        source: &'a Source,
        path: &str,
        range: Range<u64>,
    ) -> Result<Self, Cut> {
        let bytes = range.end - range.start;
        let mut unspent = bytes;
        let (answer, pass) = loop {
            let (pass, is_new) = permit(night, wires, job, source, bytes, &mut unspent).await?;
            let asked = tokio::select! {
                asked = wires.range(&source.media_url, path, range.start, bytes) => asked,
                () = night.halted(job.is_repair()) => return Err(Cut::Halt),
            };
            match asked {
                Ok(answer) => break (answer, pass),
                Err(missed) => once_more(missed, is_new)?,
            }
        };
        let until = tokio::time::Instant::now() + wires.dialer().patience(bytes);
        Ok(Self { night, job, source, pass, answer, until, left: bytes })
    }

    /// The next bytes, counted; `None` when all that was asked for came.
    async fn next(&mut self, wires: &Wires) -> Result<Option<bytes::Bytes>, Cut> {
        let stall = self.until.min(tokio::time::Instant::now() + wires.dialer().stall());
        let next = tokio::select! {
            piece = self.answer.piece() => piece?,
            () = tokio::time::sleep_until(stall) => return Err(Fault::Slow.into()),
            () = self.night.halted(self.job.is_repair()) => return Err(Cut::Halt),
        };
        let Some(bytes) = next else {
            return if self.left == 0 { Ok(None) } else { Err(Fault::Away.into()) };
        };
        self.pass.arrived(bytes.len() as u64);
        self.night.came(self.source.kind, bytes.len() as u64);
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(Fault::Lied)?;
        Ok(Some(bytes))
    }

    /// Gives the connection back.
    fn end(self, wires: &mut Wires) {
        wires.done(self.answer);
    }
}

/// Waits until `bytes` may be asked for under the window's cap and budget, and makes a connection
/// where there is none to be used again; true when it did. `unspent` is what is still to be taken
/// off the budget.
async fn permit<'a>(
    night: &'a Night,
    wires: &mut Wires,
    job: &Job,
    source: &Source,
    bytes: u64,
    unspent: &mut u64,
) -> Result<(Pass<'a>, bool), Cut> {
    let is_connected = wires.is_connected(&source.media_url);
    // A handshake crosses the wire as well. It is asked for with what follows, and counts as under
    // way until that has come: a source may take seconds for it, and what was let go before would
    // come in a second that knows nothing of it.
    let handshake = if is_connected { 0 } else { HANDSHAKE_BYTES };
    let pass = wait_for_pass(night, job, handshake + bytes).await?;
    // Repairs are not the window's: a bad object is fetched again at any time.
    if !job.is_repair() && !night.spend(std::mem::take(unspent)) {
        return Err(Cut::Halt);
    }
    if !is_connected {
        tokio::select! {
            connected = wires.connect(&source.media_url) => connected.map_err(|why| {
                let (appliance, url) = (&source.appliance, &source.media_url);
                if night.is_passed_over(appliance) {
                    tracing::debug!(%appliance, url, why, "no connection to a source");
                } else {
                    tracing::warn!(%appliance, url, why, "no connection to a source");
                }
                Fault::Away
            })?,
            () = night.halted(job.is_repair()) => return Err(Cut::Halt),
        }
    }
    Ok((pass, !is_connected))
}

/// Whether to make a connection and ask again: a kept one may have been closed by the other side
/// meanwhile, a new one may not.
fn once_more(missed: Missed, is_new: bool) -> Result<(), Cut> {
    match missed {
        Missed::Stale if !is_new => Ok(()),
        Missed::Stale => Err(Fault::Away.into()),
        Missed::Fault(fault) => Err(fault.into()),
    }
}

/// Waits until `bytes` may be asked for under the caps.
async fn wait_for_pass<'a>(night: &'a Night, job: &Job, bytes: u64) -> Result<Pass<'a>, Cut> {
    let repair = job.is_repair();
    loop {
        if night.must_halt(repair) {
            return Err(Cut::Halt);
        }
        match night.pass(repair, bytes) {
            Ok(pass) => return Ok(pass),
            Err(wait_ms) => tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
                () = night.halted(repair) => return Err(Cut::Halt),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use control_types::fill::SourceKind;
    use control_types::fleet::DiskClass;
    use control_types::ids::ObjectId;

    use super::*;

    /// Goal: a plan that gives an object a size that none has costs no memory and asks nobody.
    #[test]
    fn an_object_larger_than_any_is_not_begun() {
        let folder = tempfile::tempdir().unwrap();
        tokio_uring::start(async {
            let night = crate::night::on_folder(folder.path());
            let source = Source {
                kind: SourceKind::Origin,
                appliance: "origin".parse().unwrap(),
                media_url: "nowhere".to_owned(),
                pending: false,
            };
            let pull = Rc::new(Pull {
                object: ObjectId([7; 32]),
                bytes: u64::MAX,
                title: "t".parse().unwrap(),
                class: DiskClass::Ssd,
                sources: vec![source.clone()],
                why: String::new(),
            });
            let job = Job::Start { pull: Rc::clone(&pull), repair: true, source: source.clone() };
            let mut wires = Wires::new(Rc::clone(&night.dialer));
            let took = take_seal(&night, &mut wires, &job, &pull, &source).await;
            assert!(matches!(took, Err(Cut::Disk(why)) if why.contains("at most")));
        });
    }
}
