//! Header blocks of a client: HPACK (RFC 7541), the sending half, with a table, every way of saying
//! a field drawn by chance. No Huffman codes: those are the fuzzers' and h2spec's.

use std::collections::VecDeque;

use fastrand::Rng;

const TABLE_BYTES_MAX: usize = 4096;
const ENTRY_OVERHEAD_BYTES: usize = 32;
/// Entries of the fixed table come first.
const FIXED: usize = 61;
/// Names that the fixed table has, and where.
const NAMES: [(&str, usize); 10] = [
    (":authority", 1),
    (":method", 2),
    (":path", 4),
    (":scheme", 7),
    ("content-length", 28),
    ("cookie", 32),
    ("if-match", 39),
    ("if-none-match", 41),
    ("if-range", 42),
    ("range", 50),
];
/// Fields that it has whole.
const WHOLE: [(&str, &str, usize); 2] = [(":method", "GET", 2), (":scheme", "https", 7)];

/// One connection's.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    /// Newest first.
    table: VecDeque<(String, String)>,
    bytes: usize,
    /// A table that was made small has to be told so at the start of a block.
    resizes: Vec<usize>,
}

impl Encoder {
    /// A block that says `fields`.
    pub(crate) fn block(&mut self, fields: &[(String, String)], random: &mut Rng) -> Vec<u8> {
        let mut block = Vec::new();
        if random.u8(..16) == 0 {
            self.table.clear();
            self.bytes = 0;
            self.resizes = vec![0, TABLE_BYTES_MAX];
        }
        for bytes in std::mem::take(&mut self.resizes) {
            put_number(bytes, 5, 0x20, &mut block);
        }
        for (name, value) in fields {
            self.field(name, value, random, &mut block);
        }
        block
    }

    fn field(&mut self, name: &str, value: &str, random: &mut Rng, block: &mut Vec<u8>) {
        let kept = self.table.iter().position(|(n, v)| n == name && v == value);
        let fixed = WHOLE.iter().find(|(n, v, _)| (*n, *v) == (name, value)).map(|known| known.2);
        if let Some(at) = fixed.or(kept.map(|at| FIXED + 1 + at)).filter(|_| random.u8(..8) > 0) {
            return put_number(at, 7, 0x80, block);
        }
        let kept_name = self.table.iter().position(|(n, _)| n == name).map(|at| FIXED + 1 + at);
        let fixed_name = NAMES.iter().find(|(n, _)| *n == name).map(|known| known.1);
        let index = match random.bool() {
            true => fixed_name.or(kept_name),
            false => kept_name.or(fixed_name),
        };
        let index = index.filter(|_| random.u8(..8) > 0).unwrap_or(0);
        let (prefix, flags) = match random.u8(..3) {
            0 => (6, 0x40),
            1 => (4, 0),
            _ => (4, 0x10),
        };
        put_number(index, prefix, flags, block);
        if index == 0 {
            put_text(name, block);
        }
        put_text(value, block);
        if flags == 0x40 {
            self.keep(name, value);
        }
    }

    fn keep(&mut self, name: &str, value: &str) {
        let bytes = name.len() + value.len() + ENTRY_OVERHEAD_BYTES;
        while self.bytes + bytes > TABLE_BYTES_MAX {
            let Some((name, value)) = self.table.pop_back() else { return };
            self.bytes -= name.len() + value.len() + ENTRY_OVERHEAD_BYTES;
        }
        self.table.push_front((name.to_owned(), value.to_owned()));
        self.bytes += bytes;
    }
}

fn put_text(text: &str, block: &mut Vec<u8>) {
    put_number(text.len(), 7, 0, block);
    block.extend_from_slice(text.as_bytes());
}

fn put_number(value: usize, prefix: u32, flags: u8, block: &mut Vec<u8>) {
    let full = (1usize << prefix) - 1;
    if value < full {
        return block.push(flags | value as u8);
    }
    block.push(flags | full as u8);
    let mut left = value - full;
    while left >= 128 {
        block.push(left as u8 | 128);
        left >>= 7;
    }
    block.push(left as u8);
}

#[cfg(test)]
mod tests {
    use oca_http::h2::Decoder;

    use super::*;

    /// Goal: what is said in any way is what is read. Method: many blocks through one table, read
    /// by the server's decoder, which h2spec holds to the standard.
    #[test]
    fn every_way_of_saying_a_field_is_understood() {
        let random = &mut Rng::with_seed(7);
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        for round in 0..3_000 {
            let mut fields = vec![(":method".to_owned(), "GET".to_owned())];
            for _ in 0..random.usize(..8) {
                let name = NAMES[random.usize(..NAMES.len())].0.trim_start_matches(':');
                let name = if random.bool() { name.to_owned() } else { format!("x-{name}") };
                fields.push((name, "v".repeat(random.usize(..900) >> random.u32(..8))));
            }
            let block = encoder.block(&fields, random);
            let mut read = Vec::new();
            let taken = decoder.block(&block, &mut |name, value| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                read.push((text(name), text(value)));
            });
            assert_eq!((taken, &read), (Ok(()), &fields), "block {round}");
        }
    }
}
