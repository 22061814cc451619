//! An answer's head as a header block: HPACK (RFC 7541), the sending half, without a table.
//! It takes the head that HTTP/1.1 would get, so that both say the same, and adds nothing.

use super::table::FIXED;

/// Room that is enough for the block of every head of `head_bytes` bytes.
#[must_use]
pub const fn block_bytes_max(head_bytes: usize) -> usize {
    // A line is a name, `: `, a value and a line end: four bytes of frame, as here, but for values
    // beyond 126 bytes, which take two more; and the status.
    head_bytes + head_bytes / 64 + 16
}

/// Adds `head`, an answer's head as [`crate::write_head`] wrote it, to `into`. What is about the
/// connection is left out; a refusal's body behind the blank line is not looked at.
///
/// Nothing is entered into the peer's table: our heads differ in what they share little of, and a
/// table costs both ends memory for each connection.
pub fn encode_head(head: &[u8], into: &mut Vec<u8>) {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    if let Some(status) = lines.next().and_then(|line| line.get(9..12)) {
        put_status(status, into);
    }
    for line in lines.take_while(|line| !line.is_empty()) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if !name.eq_ignore_ascii_case(b"connection") {
            put_field(name, value, into);
        }
    }
}

/// Entries 8 to 14 are the statuses that are asked for most.
fn put_status(status: &[u8], into: &mut Vec<u8>) {
    let known = (8u8..15).zip(FIXED.iter().skip(7));
    match known.into_iter().find(|(_, (_, value))| value.as_bytes() == status) {
        Some((index, _)) => into.push(0x80 | index),
        None => {
            into.push(8);
            put_string(status, into);
        }
    }
}

/// A literal that is not kept, its name by number where the fixed table has it.
fn put_field(name: &[u8], value: &[u8], into: &mut Vec<u8>) {
    let known = FIXED.iter().position(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
    match known {
        Some(at) => put_number(at + 1, 4, 0, into),
        None => {
            into.push(0);
            put_number(name.len(), 7, 0, into);
            into.extend(name.iter().map(u8::to_ascii_lowercase));
        }
    }
    put_string(value, into);
}

fn put_string(text: &[u8], into: &mut Vec<u8>) {
    put_number(text.len(), 7, 0, into);
    into.extend_from_slice(text);
}

fn put_number(value: usize, prefix: u32, flags: u8, into: &mut Vec<u8>) {
    let full = (1usize << prefix) - 1;
    if value < full {
        into.push(flags | value as u8);
        return;
    }
    into.push(flags | full as u8);
    let mut left = value - full;
    while left >= 0x80 {
        into.push(left as u8 | 0x80);
        left >>= 7;
    }
    into.push(left as u8);
}

#[cfg(test)]
mod tests {
    use super::super::decode::Decoder;
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let long = "v".repeat(300);
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nDate: now\r\nConnection: close\r\nX-Odd: {long}\r\n\
             ETag: \"a: b\"\r\n\r\nbody: x\n"
        );
        let mut block = Vec::new();
        encode_head(head.as_bytes(), &mut block);
        assert!(block.len() <= block_bytes_max(head.len()), "{}", block.len());
        let mut fields = Vec::new();
        let read = Decoder::default().block(&block, &mut |name, value| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            fields.push((text(name), text(value)));
        });
        assert_eq!(read, Ok(()));
        let wanted =
            [(":status", "206"), ("date", "now"), ("x-odd", long.as_str()), ("etag", "\"a: b\"")];
        assert_eq!(fields, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let mut block = Vec::new();
        encode_head(b"HTTP/1.1 431 Too Large\r\n\r\n", &mut block);
        assert_eq!(block, [8, 3, b'4', b'3', b'1']);
    }
}
