//! The reading end of the journal: all of it, or what came since a place. Takes no lock and repairs
//! nothing.

use super::{Line, PIECE_BYTES, RECORD_BYTES, Record, decode_header};
use crate::disk::Opening;
use crate::error::StoreError;
use crate::volume::Volume;

/// What a journal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replay {
    /// Changes when the file is written anew.
    pub epoch: u64,
    /// Every whole record, in order.
    pub records: Vec<Record>,
    /// Length of the header and the whole records, bytes: a reader goes on from here.
    pub whole_bytes: u64,
}

/// How far a journal was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub epoch: u64,
    /// Whole records.
    pub records: u64,
    /// Length of the header and the whole records.
    pub whole_bytes: u64,
    /// There was something behind the whole records: the torn end of an append, or a record that
    /// rotted.
    pub is_torn: bool,
}

/// Reads a whole journal into records.
///
/// # Errors
/// [`StoreError::Journal`] when it is damaged, [`StoreError::Io`] when it cannot be read (with
/// `NotFound` as the source when there is none).
pub(crate) fn replay(volume: &Volume) -> Result<Replay, StoreError> {
    let mut records = Vec::new();
    let place = read(volume, |line| {
        let Some(title) = std::str::from_utf8(line.title).ok().and_then(|text| text.parse().ok())
        else {
            return false;
        };
        let Line { kind, object, bytes, media_type, .. } = *line;
        records.push(Record { kind, object, bytes, title, media_type });
        true
    })?;
    Ok(Replay { epoch: place.epoch, records, whole_bytes: place.whole_bytes })
}

/// Reads a whole journal and shows each whole line to `each`, which answers whether it is one; a
/// piece of the file is in memory at a time.
///
/// # Errors
/// As [`replay`]; lines shown before an error count for nothing.
pub(crate) fn read(
    volume: &Volume,
    mut each: impl FnMut(&Line<'_>) -> bool,
) -> Result<Place, StoreError> {
    let path = volume.journal_path();
    let io = |doing| StoreError::io(&path, doing);
    let damaged = |at: u64| StoreError::Journal { path: path.clone(), at };
    let file = volume.disk().open(&path, Opening::Read).map_err(io("open the journal"))?;
    let mut piece = vec![0u8; PIECE_BYTES];
    let got = file.fill_at(&mut piece[..RECORD_BYTES], 0).map_err(io("read the journal"))?;
    let epoch = decode_header(&piece[..got]).ok_or_else(|| damaged(0))?;
    let (mut records, mut slot) = (0u64, 0u64);
    let mut is_torn = false;
    loop {
        let at = (slot + 1) * RECORD_BYTES as u64;
        let got = file.fill_at(&mut piece, at).map_err(io("read the journal"))?;
        for block in piece[..got].chunks(RECORD_BYTES) {
            let line = Line::decode(block, slot);
            slot += 1;
            match line {
                Some(line) if !is_torn && each(&line) => records += 1,
                // A good record behind a bad one: the bad one is no torn end.
                Some(_) if is_torn => return Err(damaged((records + 1) * RECORD_BYTES as u64)),
                _ => is_torn = true,
            }
        }
        if got < piece.len() {
            let whole_bytes = (records + 1) * RECORD_BYTES as u64;
            return Ok(Place { epoch, records, whole_bytes, is_torn });
        }
    }
}

/// Reads the records that were appended after `from_bytes`, if the file is still of this `epoch`.
/// `None` means it was written anew: replay it.
///
/// # Errors
/// [`StoreError::Io`]. A record that is not whole yet is left for the next call.
pub(crate) fn replay_from(
    volume: &Volume,
    epoch: u64,
    from_bytes: u64,
) -> Result<Option<(Vec<Record>, u64)>, StoreError> {
    let path = volume.journal_path();
    let io = |doing| StoreError::io(&path, doing);
    let file = volume.disk().open(&path, Opening::Read).map_err(io("open the journal"))?;
    let mut header = [0u8; RECORD_BYTES];
    let got = file.fill_at(&mut header, 0).map_err(io("read the journal"))?;
    if decode_header(&header[..got]) != Some(epoch) {
        return Ok(None);
    }
    let length = file.length().map_err(io("size the journal"))?;
    let mut bytes = vec![0u8; length.saturating_sub(from_bytes) as usize];
    let got = file.fill_at(&mut bytes, from_bytes).map_err(io("read the journal"))?;
    bytes.truncate(got);
    let first_slot = from_bytes / RECORD_BYTES as u64 - 1;
    let mut records = Vec::new();
    for (slot, block) in (first_slot..).zip(bytes.chunks_exact(RECORD_BYTES)) {
        let Some(record) = Record::decode(block, slot) else { break };
        records.push(record);
    }
    let at = from_bytes + (records.len() * RECORD_BYTES) as u64;
    Ok(Some((records, at)))
}
