//! Third step: one CMAF track file a rendition, `ftyp moov sidx (moof mdat)*`, and its segments.
//! Copies media bytes as they are; writes the brands and the segment index itself and checks both.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use control_types::catalog::Segment;

use crate::boxes::{TopBox, be_u16, be_u32, be_u64, body, read_box, top_boxes, write_box};
use crate::error::IngestError;
use crate::track::TrackFacts;

/// A packaged track file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packaged {
    /// Size of the file, bytes.
    pub bytes: u64,
    /// `ftyp` and `moov` are `0..init_bytes`.
    pub init_bytes: u64,
    /// Where `sidx` is.
    pub index: Range<u64>,
    /// What the initialization section says.
    pub facts: TrackFacts,
    /// Segments, which tile the file from the end of `sidx` to its end.
    pub spans: Vec<Span>,
}

/// One segment: one `moof` and its `mdat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte in the file.
    pub start: u64,
    /// Length, bytes.
    pub bytes: u64,
    /// Duration, ticks of the track's time scale.
    pub ticks: u64,
}

impl Packaged {
    /// Duration of the track, milliseconds.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        self.millis(self.spans.iter().map(|span| span.ticks).sum())
    }

    /// Segments as the catalog writes them. Each duration is the difference of two rounded times,
    /// so that the rounding never adds up.
    #[must_use]
    pub fn segments(&self) -> Vec<Segment> {
        let mut ticks = 0u64;
        let segment = |span: &Span| {
            let from = self.millis(ticks);
            ticks += span.ticks;
            let duration_ms = u32::try_from(self.millis(ticks) - from).unwrap_or(u32::MAX);
            Segment { start: span.start, bytes: span.bytes, duration_ms }
        };
        self.spans.iter().map(segment).collect()
    }

    /// Highest and mean bit rate, bits per second, as RFC 8216 4.3.4.2 defines them: the peak is
    /// that of any run of segments that lasts 0.5 to 1.5 times the longest, so a last crumb is no
    /// peak.
    #[must_use]
    pub fn rates_bps(&self) -> (u64, u64) {
        let longest = self.spans.iter().map(|span| span.ticks).max().unwrap_or(0);
        let rate = |bytes: u64, ticks: u64| {
            let bits = u128::from(bytes) * 8 * u128::from(self.facts.timescale);
            u64::try_from(bits.div_ceil(u128::from(ticks.max(1)))).unwrap_or(u64::MAX)
        };
        let mut peak = 0;
        for first in 0..self.spans.len() {
            let (mut bytes, mut ticks) = (0, 0);
            for span in &self.spans[first..] {
                bytes += span.bytes;
                ticks += span.ticks;
                if ticks * 2 > longest * 3 {
                    break;
                }
                if ticks * 2 >= longest {
                    peak = peak.max(rate(bytes, ticks));
                }
            }
        }
        let bytes = self.spans.iter().map(|span| span.bytes).sum();
        let average = rate(bytes, self.spans.iter().map(|span| span.ticks).sum());
        (peak.max(average), average)
    }

    fn millis(&self, ticks: u64) -> u64 {
        let scale = u64::from(self.facts.timescale);
        (ticks * 1000 + scale / 2) / scale
    }
}

/// Packages ffmpeg's fragmented file `from` as `to`.
///
/// # Errors
/// [`IngestError::Encode`] when `from` is not one track whose every fragment starts with a sync
/// sample and follows the one before; [`IngestError::Io`].
pub fn package(from: &Path, to: &Path) -> Result<Packaged, IngestError> {
    let mut file = File::open(from).map_err(IngestError::io(from, "open the encode"))?;
    let tops = top_boxes(&mut file).map_err(|e| IngestError::encode(from, e.to_string()))?;
    let of_kind = |kind: &[u8; 4]| tops.iter().filter(|top| top.kind == *kind).collect::<Vec<_>>();
    let [moov] = of_kind(b"moov")[..] else {
        return Err(IngestError::encode(from, "it has not exactly one moov box"));
    };
    let moov = read_box(&mut file, &moov.range).map_err(IngestError::io(from, "read moov"))?;
    let facts = body(&moov)
        .and_then(TrackFacts::from_moov)
        .ok_or_else(|| IngestError::encode(from, "its moov is not that of one AVC or AAC track"))?;
    let (ranges, mut spans) = fragments(&mut file, from, &tops, &facts)?;

    let ftyp = write_box(b"ftyp", b"cmfc\0\0\0\0cmfciso6dashmp41");
    let init_bytes = (ftyp.len() + moov.len()) as u64;
    let sidx = write_sidx(&facts, &spans).ok_or_else(|| {
        IngestError::encode(from, "it has more or larger segments than an index can name")
    })?;
    let index = init_bytes..init_bytes + sidx.len() as u64;
    let mut start = index.end;
    for span in &mut spans {
        span.start = start;
        start += span.bytes;
    }
    let packaged = Packaged { bytes: start, init_bytes, index, facts, spans };
    let part = to.with_extension("part");
    let head = [ftyp, moov, sidx].concat();
    write_file(&mut file, &head, &ranges, &part).map_err(IngestError::io(&part, "write"))?;
    check(&part, &packaged)?;
    fs::rename(&part, to).map_err(IngestError::io(to, "put the track file in place"))?;
    Ok(packaged)
}

/// Walks a packaged file again and compares it with what `packaged` says of it.
///
/// # Errors
/// [`IngestError::Encode`] naming the first difference; [`IngestError::Io`].
pub fn check(path: &Path, packaged: &Packaged) -> Result<(), IngestError> {
    let wrong = |what: String| IngestError::encode(path, what);
    let mut file = File::open(path).map_err(IngestError::io(path, "open"))?;
    let tops = top_boxes(&mut file).map_err(|e| wrong(e.to_string()))?;
    let kinds: Vec<&[u8; 4]> = tops.iter().map(|top| &top.kind).collect();
    let media = kinds.get(3..).unwrap_or_default();
    if kinds.get(..3) != Some(&[b"ftyp", b"moov", b"sidx"])
        || media.chunks(2).any(|pair| pair != [b"moof", b"mdat"])
    {
        return Err(wrong("it is not ftyp moov sidx (moof mdat)*".to_owned()));
    }
    if tops[1].range.end != packaged.init_bytes || tops[2].range != packaged.index {
        return Err(wrong("its head is not where it should be".to_owned()));
    }
    let sidx = read_box(&mut file, &tops[2].range).map_err(IngestError::io(path, "read sidx"))?;
    let named =
        body(&sidx).and_then(read_sidx).ok_or_else(|| wrong("its sidx is cut".to_owned()))?;
    let mut start = packaged.index.end;
    let pairs: Vec<(u64, u64)> = tops[3..]
        .chunks(2)
        .map(|pair| (pair[0].range.start, pair[1].range.end - pair[0].range.start))
        .collect();
    for (n, span) in packaged.spans.iter().enumerate() {
        let here = (span.start, span.bytes);
        if start != span.start || pairs.get(n) != Some(&here) {
            return Err(wrong(format!("segment {n} is not at {here:?}")));
        }
        if named.get(n) != Some(&(span.bytes, span.ticks)) {
            return Err(wrong(format!("sidx names segment {n} wrongly")));
        }
        start += span.bytes;
    }
    let counts = [named.len(), pairs.len()];
    if counts != [packaged.spans.len(); 2] || start != packaged.bytes {
        return Err(wrong(format!("{counts:?} segments do not end at byte {start}")));
    }
    Ok(())
}

type Fragments = (Vec<Range<u64>>, Vec<Span>);

/// Where each fragment is in `file`, and what it will be as a segment (`start` is filled in later).
fn fragments(
    file: &mut File,
    from: &Path,
    tops: &[TopBox],
    facts: &TrackFacts,
) -> Result<Fragments, IngestError> {
    let wrong = |n: usize, what: &str| IngestError::encode(from, format!("fragment {n} {what}"));
    let (mut ranges, mut spans, mut time) = (Vec::new(), Vec::new(), 0u64);
    for (at, top) in tops.iter().enumerate().filter(|(_, top)| top.kind == *b"moof") {
        let n = spans.len();
        let mdat = tops.get(at + 1).filter(|next| next.kind == *b"mdat");
        let mdat = mdat.ok_or_else(|| wrong(n, "has no mdat behind it"))?;
        let moof = read_box(file, &top.range).map_err(IngestError::io(from, "read moof"))?;
        let said = body(&moof)
            .and_then(|moof| facts.fragment(moof))
            .ok_or_else(|| wrong(n, "cannot be read"))?;
        if said.starts_at != time {
            return Err(wrong(n, "does not begin where the one before ended"));
        }
        if !said.starts_with_sync {
            return Err(wrong(n, "does not begin with a frame that stands alone"));
        }
        if said.earliest != 0 {
            return Err(wrong(n, "is not shown from its own beginning"));
        }
        time += said.ticks;
        let range = top.range.start..mdat.range.end;
        spans.push(Span { start: 0, bytes: range.end - range.start, ticks: said.ticks });
        ranges.push(range);
    }
    if spans.is_empty() {
        return Err(IngestError::encode(from, "it has no fragments"));
    }
    Ok((ranges, spans))
}

/// ISO/IEC 14496-12 8.16.3, version 0: one reference a segment, each starting with a closed group.
fn write_sidx(facts: &TrackFacts, spans: &[Span]) -> Option<Vec<u8>> {
    let mut out = vec![0u8; 4];
    for word in [facts.track, facts.timescale, 0, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&u16::try_from(spans.len()).ok()?.to_be_bytes());
    for span in spans {
        // The top bit would say that the reference is to another index.
        let bytes = u32::try_from(span.bytes).ok().filter(|bytes| *bytes < 1 << 31)?;
        out.extend_from_slice(&bytes.to_be_bytes());
        out.extend_from_slice(&u32::try_from(span.ticks).ok()?.to_be_bytes());
        // Starts with a stream access point, of type 1, at its very beginning.
        out.extend_from_slice(&0x9000_0000u32.to_be_bytes());
    }
    Some(write_box(b"sidx", &out))
}

/// Size and duration of every reference in the body of a `sidx` whose first offset is 0.
fn read_sidx(sidx: &[u8]) -> Option<Vec<(u64, u64)>> {
    let long = *sidx.first()? == 1;
    let (first_offset, at) =
        if long { (be_u64(sidx, 20)?, 28) } else { (u64::from(be_u32(sidx, 16)?), 20) };
    if first_offset != 0 {
        return None;
    }
    let count = usize::from(be_u16(sidx, at + 2)?);
    let reference = |n: usize| {
        let at = at + 4 + n * 12;
        Some((u64::from(be_u32(sidx, at)? & 0x7fff_ffff), u64::from(be_u32(sidx, at + 4)?)))
    };
    (0..count).map(reference).collect()
}

fn write_file(file: &mut File, head: &[u8], ranges: &[Range<u64>], to: &Path) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(1 << 20, File::create(to)?);
    out.write_all(head)?;
    for range in ranges {
        file.seek(SeekFrom::Start(range.start))?;
        let wanted = range.end - range.start;
        if io::copy(&mut (&mut *file).take(wanted), &mut out)? != wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::Shape;

    fn packaged(sizes: &[(u64, u64)]) -> Packaged {
        let facts = TrackFacts::for_test(1000, Shape::Picture { width: 2, height: 2 });
        let spans =
            sizes.iter().map(|(bytes, ticks)| Span { start: 0, bytes: *bytes, ticks: *ticks });
        Packaged { bytes: 0, init_bytes: 0, index: 0..0, facts, spans: spans.collect() }
    }

    #[test]
    fn a_last_crumb_is_no_peak_but_counts_in_the_mean() {
        let (peak, average) = packaged(&[(1000, 2000), (3000, 2000), (900, 100)]).rates_bps();
        assert_eq!(average, 4900 * 8 * 1000 / 4100 + 1);
        // 3000 bytes and the crumb last 2.1 s, within 0.5 to 1.5 of 2 s.
        assert_eq!(peak, 3900 * 8 * 1000 / 2100 + 1);
        assert_eq!(packaged(&[(500, 1000)]).rates_bps(), (4000, 4000));
    }

    #[test]
    fn an_index_is_read_back_as_it_was_written() {
        let packaged = packaged(&[(1000, 2000), (77, 3)]);
        let sidx = write_sidx(&packaged.facts, &packaged.spans).unwrap();
        assert_eq!(read_sidx(&sidx[8..]), Some(vec![(1000, 2000), (77, 3)]));
        assert_eq!(read_sidx(&sidx[8..sidx.len() - 8]), None);
        let too_long = Span { start: 0, bytes: 1 << 31, ticks: 1 };
        assert_eq!(write_sidx(&packaged.facts, &[too_long]), None);
    }
}
