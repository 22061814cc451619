//! A `multipart/byteranges` body (RFC 9110 section 14.6), read as it arrives and held against what
//! was asked for, byte by byte. Its own small reader: it shares no line with the server's writer.

use std::ops::Range;

/// Longest head of a part that is taken for one.
const HEAD_BYTES_MAX: usize = 512;

/// One body being read.
#[derive(Debug)]
pub(crate) struct Parts {
    boundary: String,
    ranges: Vec<Range<usize>>,
    /// Length of the whole.
    total: usize,
    /// The part under way, or the next one.
    part: usize,
    /// What came of a head, or of the end.
    head: Vec<u8>,
    /// The next byte of the part; absent while its head is awaited.
    at: Option<usize>,
}

impl Parts {
    /// The body of an answer with this `Content-Type`.
    pub(crate) fn new(kind: &str, ranges: &[Range<usize>], total: usize) -> Result<Self, String> {
        let boundary = kind
            .strip_prefix("multipart/byteranges; boundary=")
            .ok_or_else(|| format!("several ranges as {kind:?}"))?;
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if boundary.is_empty() || boundary.len() > 70 || !boundary.bytes().all(is_token) {
            return Err(format!("a boundary {boundary:?}"));
        }
        Ok(Self {
            boundary: boundary.to_owned(),
            ranges: ranges.to_vec(),
            total,
            part: 0,
            head: Vec::new(),
            at: None,
        })
    }

    /// Takes the next bytes of the body; `all` is the object.
    pub(crate) fn take(&mut self, mut bytes: &[u8], all: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            let Some(at) = self.at else {
                let Some((byte, rest)) = bytes.split_first() else { break };
                bytes = rest;
                self.take_head(*byte)?;
                continue;
            };
            let end = self.ranges[self.part].end;
            let (now, rest) = bytes.split_at(bytes.len().min(end - at));
            let wanted = &all[at..at + now.len()];
            if now != wanted {
                let off = now.iter().zip(wanted).take_while(|(a, b)| a == b).count();
                return Err(format!("byte {} of part {} is not its own", at + off, self.part));
            }
            bytes = rest;
            self.at = (at + now.len() < end).then_some(at + now.len());
            self.part += usize::from(self.at.is_none());
        }
        Ok(())
    }

    fn take_head(&mut self, byte: u8) -> Result<(), String> {
        self.head.push(byte);
        if self.head.len() > HEAD_BYTES_MAX {
            return Err(format!("a head of part {} without end", self.part));
        }
        if self.part == self.ranges.len() || !self.head.ends_with(b"\r\n\r\n") {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&self.head).into_owned();
        let start = if self.part == 0 { "--" } else { "\r\n--" };
        let Range { start: first, end } = self.ranges[self.part];
        let range = format!("Content-Range: bytes {first}-{}/{}", end - 1, self.total);
        let mut lines = text.trim_start().trim_end().split("\r\n");
        let opens = text.starts_with(start)
            && lines.next().is_some_and(|line| line.strip_prefix("--") == Some(&self.boundary));
        let fields: Vec<&str> = lines.collect();
        let has = |wanted: &dyn Fn(&str) -> bool| fields.iter().filter(|l| wanted(l)).count() == 1;
        let is_range = |line: &str| line.eq_ignore_ascii_case(&range);
        let is_type = |line: &str| line.to_ascii_lowercase().starts_with("content-type: ");
        if !opens || fields.len() != 2 || !has(&is_range) || !has(&is_type) {
            return Err(format!("a head {text:?} where {range} is due"));
        }
        self.head.clear();
        self.at = Some(first);
        Ok(())
    }

    /// Whether all of it came, the end included.
    pub(crate) fn is_whole(&self) -> Result<(), String> {
        let end = format!("\r\n--{}--", self.boundary);
        let text = String::from_utf8_lossy(&self.head);
        let tail = text.strip_prefix(&end);
        if self.part == self.ranges.len() && matches!(tail, Some("" | "\r\n")) {
            return Ok(());
        }
        Err(format!("part {} of {}, and {text:?} at the end", self.part, self.ranges.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "--b\r\nContent-Type: video/mp4\r\nContent-Range: bytes 6-7/10\r\n\r\n67\
                        \r\n--b\r\nContent-Type: video/mp4\r\nContent-Range: bytes 0-2/10\r\n\
                        \r\n012\r\n--b--\r\n";

    fn check(body: &str) -> Result<(), String> {
        let mut whole = Ok(());
        for piece in [1, 7, 1000] {
            let ranges = [6..8, 0..3];
            let mut parts = Parts::new("multipart/byteranges; boundary=b", &ranges, 10)?;
            let taken = body
                .as_bytes()
                .chunks(piece)
                .try_for_each(|piece| parts.take(piece, b"0123456789"));
            whole = taken.and_then(|()| parts.is_whole());
        }
        whole
    }

    #[test]
    fn a_right_body_is_right_and_any_other_is_not() {
        assert_eq!(check(BODY), Ok(()));
        for (from, to) in [
            ("67", "68"),
            ("012", "01"),
            ("--b--", "--b"),
            ("6-7", "6-8"),
            ("/10", "/11"),
            ("\r\n--b\r\n", "--b\r\n"),
            ("Content-Type: video/mp4\r\n", ""),
            ("--b\r\nContent-T", "--c\r\nContent-T"),
        ] {
            assert!(check(&BODY.replace(from, to)).is_err(), "{from} as {to}");
        }
        assert!(Parts::new("video/mp4", &[], 10).is_err());
    }
}
