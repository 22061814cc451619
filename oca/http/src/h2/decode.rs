//! Header blocks to fields: HPACK (RFC 7541), the receiving half. One per connection, because both
//! ends keep a table of what was sent. Never lets a field or a list grow past its bound.

use super::huffman;
use super::table::Table;

/// Longest name or value, bytes, decoded.
pub const FIELD_BYTES_MAX: usize = 16 * 1024;

/// Largest list of fields, bytes as HPACK counts them; more is not a head but an attack: a few
/// bytes on the wire can stand for a table's worth each.
pub const LIST_BYTES_MAX: usize = 64 * 1024;

const ENTRY_OVERHEAD_BYTES: usize = 32;

/// Room for a name or a value that is kept from one request to the next, bytes: a path with a
/// ticket.
const KEPT_BYTES: usize = 1024;

/// Why a block cannot be read; the connection's tables are lost with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockError {
    /// It breaks the rules of HPACK.
    Malformed,
    /// It stands for more than [`LIST_BYTES_MAX`].
    TooLarge,
}

/// The receiving half.
#[derive(Debug, Default)]
pub struct Decoder {
    table: Table,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Decoder {
    /// Reads a whole block and hands out its fields in order.
    ///
    /// # Errors
    /// The block cannot be read; fields before that were handed out.
    pub fn block(
        &mut self,
        block: &[u8],
        field: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), BlockError> {
        let mut input = Input { left: block };
        let (mut list_bytes, mut may_resize) = (0, true);
        while let Some(first) = input.left.first().copied() {
            if first & 0xe0 == 0x20 {
                let bytes_max = input.number(5)?;
                if !may_resize || !self.table.resize(bytes_max) {
                    return Err(BlockError::Malformed);
                }
                continue;
            }
            may_resize = false;
            let (name, value) = self.field(&mut input, first)?;
            list_bytes += name.len() + value.len() + ENTRY_OVERHEAD_BYTES;
            if list_bytes > LIST_BYTES_MAX {
                return Err(BlockError::TooLarge);
            }
            field(name, value);
        }
        Ok(())
    }

    /// Gives back room that only an unusual field needed: it would be kept for as long as the
    /// connection is.
    pub fn rest(&mut self) {
        for room in [&mut self.name, &mut self.value] {
            if room.capacity() > KEPT_BYTES {
                room.clear();
                room.shrink_to(KEPT_BYTES);
            }
        }
    }

    /// One field, by any of the four ways to write it.
    fn field(&mut self, input: &mut Input<'_>, first: u8) -> Result<(&[u8], &[u8]), BlockError> {
        if first & 0x80 != 0 {
            let index = input.number(7)?;
            return self.table.get(index).ok_or(BlockError::Malformed);
        }
        let is_kept = first & 0x40 != 0;
        let index = input.number(if is_kept { 6 } else { 4 })?;
        self.name.clear();
        self.value.clear();
        if index == 0 {
            input.string(&mut self.name)?;
        } else {
            let (name, _) = self.table.get(index).ok_or(BlockError::Malformed)?;
            self.name.extend_from_slice(name);
        }
        input.string(&mut self.value)?;
        if is_kept {
            self.table.add(&self.name, &self.value);
        }
        Ok((&self.name, &self.value))
    }
}

/// What is left of a block.
struct Input<'a> {
    left: &'a [u8],
}

impl Input<'_> {
    /// A number whose first `prefix` bits share a byte with something else.
    fn number(&mut self, prefix: u32) -> Result<usize, BlockError> {
        let full = (1usize << prefix) - 1;
        let mut value = usize::from(self.byte()?) & full;
        if value < full {
            return Ok(value);
        }
        // Three more bytes reach two millions: nothing that may be named here is larger.
        for shift in [0, 7, 14] {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(BlockError::Malformed)
    }

    fn string(&mut self, into: &mut Vec<u8>) -> Result<(), BlockError> {
        let is_coded = self.left.first().ok_or(BlockError::Malformed)? & 0x80 != 0;
        let bytes = self.number(7)?;
        let (text, left) = self.left.split_at_checked(bytes).ok_or(BlockError::Malformed)?;
        self.left = left;
        if is_coded {
            return huffman::decode(text, into, FIELD_BYTES_MAX).map_err(|_| BlockError::Malformed);
        }
        if text.len() > FIELD_BYTES_MAX {
            return Err(BlockError::Malformed);
        }
        into.extend_from_slice(text);
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, BlockError> {
        let (first, left) = self.left.split_first().ok_or(BlockError::Malformed)?;
        self.left = left;
        Ok(*first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(decoder: &mut Decoder, block: &[u8]) -> Result<String, BlockError> {
        let mut text = String::new();
        decoder.block(block, &mut |name, value| {
            let name = String::from_utf8_lossy(name).into_owned();
            text += &format!("{name}={}|", String::from_utf8_lossy(value));
        })?;
        Ok(text)
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let hex: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let digits = |pair: &[u8]| {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).expect("hex")
        };
        hex.chunks(2).map(digits).collect()
    }

    /// Three requests on one connection, plain and Huffman-coded: RFC 7541 C.3 and C.4.
    #[test]
    fn the_examples_of_the_standard() {
        let plain = [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ];
        let coded = [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ];
        let wanted = [
            ":method=GET|:scheme=http|:path=/|:authority=www.example.com|",
            ":method=GET|:scheme=http|:path=/|:authority=www.example.com|cache-control=no-cache|",
            ":method=GET|:scheme=https|:path=/index.html|:authority=www.example.com|\
             custom-key=custom-value|",
        ];
        for blocks in [plain, coded] {
            let mut decoder = Decoder::default();
            for (block, wanted) in blocks.iter().zip(wanted) {
                assert_eq!(read(&mut decoder, &bytes(block)), Ok(wanted.to_owned()));
            }
        }
    }

    #[test]
    fn what_breaks_the_rules_is_refused() {
        for block in [
            "80",               // Index 0.
            "c6",               // An index past both tables.
            "8220",             // A new bound behind a field.
            "3fe21f",           // A bound of 4097 bytes.
            "0085ff",           // A string that ends early.
            "ffffffffffffff7f", // A number without end.
            "008164027ff000",   // A name whose padding is not ones.
            "41",
        ] {
            let end = read(&mut Decoder::default(), &bytes(block));
            assert_eq!(end, Err(BlockError::Malformed), "{block}");
        }
        assert_eq!(read(&mut Decoder::default(), &bytes("3fe11f82")), Ok(":method=GET|".into()));
    }

    #[test]
    fn the_longest_field_is_not_kept_for_ever() {
        let mut decoder = Decoder::default();
        let mut block = vec![0x00, 0x7f, 0xa1, 0x1e];
        block.extend_from_slice(&[b'n'; 4000]);
        block.extend_from_slice(&[0x7f, 0xa1, 0x1e]);
        block.extend_from_slice(&[b'x'; 4000]);
        assert!(read(&mut decoder, &block).is_ok());
        decoder.rest();
        let kept = decoder.name.capacity() + decoder.value.capacity();
        assert!(kept <= 2 * KEPT_BYTES, "{kept}");
        assert!(read(&mut decoder, &block).is_ok(), "it may come again");
    }

    #[test]
    fn a_few_bytes_cannot_stand_for_megabytes() {
        let mut decoder = Decoder::default();
        let mut block = vec![0x40, 1, b'a', 0x7f, 0xa1, 0x1e];
        block.extend_from_slice(&[b'x'; 4000]);
        assert!(read(&mut decoder, &block).is_ok());
        assert_eq!(read(&mut decoder, &[0xbe; 1000]), Err(BlockError::TooLarge));
    }
}
