//! What a track file's `moov` and `moof` boxes say: size, codecs, time scale, durations.
//! Pure: bytes in, facts out; `None` wherever a field is missing or does not fit.

use crate::boxes::{Kind, be_u16, be_u32, be_u64, children, find};

/// What an initialization section says of its one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackFacts {
    /// Ticks a second.
    pub timescale: u32,
    /// As `sidx` and `tfhd` name it.
    pub track: u32,
    /// RFC 6381.
    pub codecs: String,
    /// Picture or sound.
    pub shape: Shape,
    /// Ticks of a sample when a fragment does not say.
    default_ticks: u32,
}

/// The side of a track that only its kind has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Pixels.
    Picture {
        /// Across.
        width: u32,
        /// Down.
        height: u32,
    },
    /// Sound.
    Sound {
        /// Channels.
        channels: u32,
        /// Hz.
        sample_rate: u32,
    },
}

/// What one `moof` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentFacts {
    /// Decode time of its first sample, ticks.
    pub starts_at: u64,
    /// Duration of its samples together, ticks.
    pub ticks: u64,
    /// Presentation time of its earliest sample minus `starts_at`, ticks.
    pub earliest: i64,
    /// Whether its first sample can be decoded without any before it.
    pub starts_with_sync: bool,
}

/// Sample flags: this sample depends on others (`sample_is_non_sync_sample`).
const NON_SYNC: u32 = 0x0001_0000;

impl TrackFacts {
    /// Reads the body of a `moov` with exactly one track.
    #[must_use]
    pub fn from_moov(moov: &[u8]) -> Option<Self> {
        let mut traks = children(moov).filter(|(kind, _)| kind == b"trak");
        let (_, trak) = traks.next()?;
        if traks.next().is_some() {
            return None;
        }
        let tkhd = find(trak, &[b"tkhd"])?;
        let track = be_u32(tkhd, if tkhd.first()? == &1 { 20 } else { 12 })?;
        let mdhd = find(trak, &[b"mdia", b"mdhd"])?;
        let timescale = be_u32(mdhd, if mdhd.first()? == &1 { 20 } else { 12 })?;
        let stsd = find(trak, &[b"mdia", b"minf", b"stbl", b"stsd"])?;
        let (kind, entry) = children(stsd.get(8..)?).next()?;
        let (codecs, shape) = entry_of(&kind, entry)?;
        let trex = find(moov, &[b"mvex", b"trex"])?;
        let default_ticks = be_u32(trex, 12)?;
        (timescale > 0).then_some(Self { timescale, track, codecs, shape, default_ticks })
    }

    /// Reads the body of a `moof` of this track.
    #[must_use]
    pub fn fragment(&self, moof: &[u8]) -> Option<FragmentFacts> {
        let traf = find(moof, &[b"traf"])?;
        let tfhd = find(traf, &[b"tfhd"])?;
        let (default_ticks, default_flags) = self.fragment_defaults(tfhd)?;
        let tfdt = find(traf, &[b"tfdt"])?;
        let starts_at =
            if tfdt.first()? == &1 { be_u64(tfdt, 4)? } else { u64::from(be_u32(tfdt, 4)?) };
        let mut facts =
            FragmentFacts { starts_at, ticks: 0, earliest: i64::MAX, starts_with_sync: false };
        for (_, trun) in children(traf).filter(|(kind, _)| kind == b"trun") {
            add_run(&mut facts, trun, default_ticks, default_flags)?;
        }
        (facts.ticks > 0).then_some(facts)
    }

    /// A track with nothing in it, for tests of what is computed from segments.
    #[cfg(test)]
    pub(crate) fn for_test(timescale: u32, shape: Shape) -> Self {
        Self { timescale, track: 1, codecs: String::new(), shape, default_ticks: 0 }
    }

    fn fragment_defaults(&self, tfhd: &[u8]) -> Option<(u32, u32)> {
        let flags = be_u32(tfhd, 0)? & 0x00ff_ffff;
        let mut at = 8;
        let mut field = |bit: u32, bytes: usize| {
            let here = at;
            if flags & bit != 0 {
                at += bytes;
                Some(here)
            } else {
                None
            }
        };
        // In the order the box has them; the base offset and the description index are not needed.
        field(0x01, 8);
        field(0x02, 4);
        let ticks = field(0x08, 4);
        field(0x10, 4);
        let sample_flags = field(0x20, 4);
        let ticks = ticks.map_or(Some(self.default_ticks), |at| be_u32(tfhd, at))?;
        let sample_flags = sample_flags.map_or(Some(0), |at| be_u32(tfhd, at))?;
        Some((ticks, sample_flags))
    }
}

fn add_run(facts: &mut FragmentFacts, trun: &[u8], ticks: u32, sample_flags: u32) -> Option<()> {
    let head = be_u32(trun, 0)?;
    let (version, flags) = (head >> 24, head & 0x00ff_ffff);
    let samples = be_u32(trun, 4)?;
    let mut at = 8 + if flags & 0x01 != 0 { 4 } else { 0 };
    let mut first_flags = sample_flags;
    if flags & 0x04 != 0 {
        first_flags = be_u32(trun, at)?;
        at += 4;
    }
    for index in 0..samples {
        let mut own_ticks = ticks;
        let mut own_flags = if index == 0 { first_flags } else { sample_flags };
        if flags & 0x100 != 0 {
            own_ticks = be_u32(trun, at)?;
            at += 4;
        }
        if flags & 0x200 != 0 {
            at += 4;
        }
        if flags & 0x400 != 0 {
            own_flags = be_u32(trun, at)?;
            at += 4;
        }
        let mut shift = 0i64;
        if flags & 0x800 != 0 {
            let raw = be_u32(trun, at)?;
            // Version 1 is signed: the same four bytes, read as two's complement.
            shift = if version == 0 { i64::from(raw) } else { i64::from(raw as i32) };
            at += 4;
        }
        if facts.ticks == 0 {
            facts.starts_with_sync = own_flags & NON_SYNC == 0;
        }
        facts.earliest = facts.earliest.min(facts.ticks as i64 + shift);
        facts.ticks += u64::from(own_ticks);
    }
    Some(())
}

fn entry_of(kind: &Kind, entry: &[u8]) -> Option<(String, Shape)> {
    match kind {
        b"avc1" => {
            let (width, height) = (be_u16(entry, 24)?, be_u16(entry, 26)?);
            let avcc = find(entry.get(78..)?, &[b"avcC"])?;
            let codecs =
                format!("avc1.{:02x}{:02x}{:02x}", avcc.get(1)?, avcc.get(2)?, avcc.get(3)?);
            Some((codecs, Shape::Picture { width: width.into(), height: height.into() }))
        }
        b"mp4a" => {
            let (channels, sample_rate) = (be_u16(entry, 16)?, be_u32(entry, 24)? >> 16);
            let object_type = aac_object_type(find(entry.get(28..)?, &[b"esds"])?)?;
            let shape = Shape::Sound { channels: channels.into(), sample_rate };
            Some((format!("mp4a.40.{object_type}"), shape))
        }
        _ => None,
    }
}

/// The audio object type inside an `esds` body: descriptors 3 (stream) > 4 (decoder) > 5 (its
/// setup).
fn aac_object_type(esds: &[u8]) -> Option<u8> {
    let stream = descriptor(esds.get(4..)?, 3)?;
    let stream_flags = *stream.get(2)?;
    // Optional fields of the stream descriptor: a dependency, a URL, a clock.
    if stream_flags & 0xe0 != 0 {
        return None;
    }
    let decoder = descriptor(stream.get(3..)?, 4)?;
    if *decoder.first()? != 0x40 {
        return None;
    }
    let setup = descriptor(decoder.get(13..)?, 5)?;
    match setup.first()? >> 3 {
        31 => Some(32 + ((setup[0] & 7) << 3 | setup.get(1)? >> 5)),
        object_type => Some(object_type),
    }
}

/// The body of the descriptor that `from` starts with, if it has this tag. Lengths are seven bits a
/// byte, at most four bytes.
fn descriptor(from: &[u8], tag: u8) -> Option<&[u8]> {
    if *from.first()? != tag {
        return None;
    }
    let mut length = 0usize;
    for at in 1..=4 {
        let byte = *from.get(at)?;
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return from.get(at + 1..at + 1 + length);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_type_is_read_from_long_and_short_descriptor_lengths() {
        let setup = [5, 2, 0x11, 0x90];
        let mut decoder = vec![4, 13 + 4, 0x40];
        decoder.extend_from_slice(&[0; 12]);
        decoder.extend_from_slice(&setup);
        let mut short = vec![0, 0, 0, 0, 3, 3 + decoder.len() as u8, 0, 1, 0];
        short.extend_from_slice(&decoder);
        assert_eq!(aac_object_type(&short), Some(2));
        let mut long = vec![0, 0, 0, 0, 3, 0x80, 0x80, 0x80, 3 + decoder.len() as u8, 0, 1, 0];
        long.extend_from_slice(&decoder);
        assert_eq!(aac_object_type(&long), Some(2));
        for cut in 0..short.len() {
            assert_eq!(aac_object_type(&short[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn a_run_adds_its_samples_and_finds_the_earliest() {
        let mut facts =
            FragmentFacts { starts_at: 0, ticks: 0, earliest: i64::MAX, starts_with_sync: false };
        let words: [u32; 10] = [0x0100_0a05, 3, 0, 0x0200_0000, 10, 0, 11, 1536, 12, 0xffff_fc00];
        let trun: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
        add_run(&mut facts, &trun, 512, 0x0101_0000).unwrap();
        assert_eq!((facts.ticks, facts.earliest, facts.starts_with_sync), (1536, 0, true));
        assert_eq!(add_run(&mut facts, &trun[..trun.len() - 1], 512, 0), None);
    }
}
