//! What a connection of the load asks for and what must come back: the head's status and length of
//! every answer, and every byte of those that are compared with their source. Reads only files.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nightfill_harness::Trouble;

/// Longest response head.
pub const HEAD_BYTES: usize = 8192;
/// Every server says 404 to this, and keeps the connection.
pub const ABSENT: &[u8] = b"GET /absent HTTP/1.1\r\nHost: localhost\r\n\r\n";
const SCRATCH_BYTES: usize = 1 << 20;

/// One request and what must come of it.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The head as it is sent.
    pub request: Vec<u8>,
    /// Which of the sources the body is of.
    pub object: usize,
    /// Where in it the body begins.
    pub from: u64,
    /// Bytes of the body.
    pub length: u64,
    /// The status that must come.
    pub status: u16,
    /// Whether every byte of the body is compared with its source.
    pub compared: bool,
}

/// An answer under way.
pub struct Answer {
    ask: Ask,
    head: Vec<u8>,
    /// Body bytes still to come; none until the head is whole.
    left: Option<u64>,
}

/// What all connections to a server share: memory to read into, and where the truth is.
pub struct Desk {
    /// To read or to throw away into.
    pub scratch: Vec<u8>,
    sources: Vec<File>,
    truth: Vec<u8>,
    /// The server fills each record of a body but the last, so that runs of them can be passed.
    pub full_records: bool,
}

impl Desk {
    /// Over the files `0.mp4`, `1.mp4` and so on of `folder`; none if bodies are never compared.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub fn over(folder: &Path, objects: usize) -> Result<Self, Trouble> {
        let open = |index| File::open(folder.join(format!("{index}.mp4")));
        let sources = (0..objects).map(open).collect::<Result<Vec<_>, _>>()?;
        let (scratch, truth) = (vec![0; SCRATCH_BYTES], Vec::new());
        Ok(Self { scratch, sources, truth, full_records: false })
    }

    /// Compares `bytes` with those at `offset` of a source.
    fn compare(&mut self, object: usize, offset: u64, bytes: &[u8]) -> Result<(), Trouble> {
        let source = self.sources.get(object);
        let source = source.ok_or_else(|| Trouble(format!("object {object} has no source")))?;
        self.truth.resize(bytes.len(), 0);
        source.read_exact_at(&mut self.truth, offset)?;
        match self.truth.iter().zip(bytes).position(|(right, here)| right != here) {
            None => Ok(()),
            Some(at) => {
                let at = offset + at as u64;
                Err(Trouble(format!("a wrong byte at {at} of object {object}")))
            }
        }
    }
}

impl Answer {
    /// Nothing of it has come.
    #[must_use]
    pub fn to(ask: Ask) -> Self {
        Self { ask, head: Vec::new(), left: None }
    }

    /// Whether the body is compared.
    #[must_use]
    pub fn is_compared(&self) -> bool {
        self.ask.compared
    }

    /// Whether the head has not come yet.
    #[must_use]
    pub fn wants_head(&self) -> bool {
        self.left.is_none()
    }

    /// Body bytes still to come; all of them while there is no head.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left.unwrap_or(self.ask.length)
    }

    /// Whether all has come.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.left == Some(0)
    }

    /// Takes text of the connection, head or body. Gives how many bytes of it were body.
    ///
    /// # Errors
    /// When it is not what was asked for.
    pub fn take(&mut self, text: &[u8], desk: &mut Desk) -> Result<u64, Trouble> {
        let mut body = text;
        if self.left.is_none() {
            let before = self.head.len();
            self.head.extend_from_slice(text);
            let Some((head, length)) = whole_head(&self.head, self.ask.status)? else {
                return Ok(0);
            };
            self.check_length(length)?;
            self.left = Some(length);
            body = &text[head - before..];
        }
        if self.ask.compared {
            let at = self.ask.from + (self.ask.length - self.left());
            desk.compare(self.ask.object, at, body)?;
        }
        self.pass(body.len() as u64)?;
        Ok(body.len() as u64)
    }

    /// Checks the head that `text` begins with and gives its length; the body stays uncounted.
    ///
    /// # Errors
    /// When it is not what was asked for, or not whole.
    pub fn check_head(&self, text: &[u8]) -> Result<usize, Trouble> {
        let found = whole_head(text, self.ask.status)?;
        let (head, length) = found.ok_or_else(|| Trouble("a head of many bytes".to_owned()))?;
        self.check_length(length)?;
        Ok(head)
    }

    fn check_length(&self, length: u64) -> Result<(), Trouble> {
        let wanted = self.ask.length;
        if length == wanted {
            return Ok(());
        }
        Err(Trouble(format!("a body of {length} bytes where {wanted} were asked for")))
    }

    /// Counts body bytes that nobody looked at.
    ///
    /// # Errors
    /// When there are more than were asked for.
    pub fn pass(&mut self, bytes: u64) -> Result<(), Trouble> {
        let left = self.left().checked_sub(bytes);
        let left = left.ok_or_else(|| Trouble("an answer longer than its length".to_owned()))?;
        self.left = Some(left);
        Ok(())
    }
}

/// The length of the head and of its body, once the head is whole.
///
/// # Errors
/// When the status is another, or the length is missing.
pub fn whole_head(bytes: &[u8], status: u16) -> Result<Option<(usize, u64)>, Trouble> {
    let bad = || {
        let first = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
        Trouble(format!("the server answered {:?}", first.lines().next().unwrap_or_default()))
    };
    let begins = format!("HTTP/1.1 {status} ");
    if bytes.len() >= begins.len() && !bytes.starts_with(begins.as_bytes()) {
        return Err(bad());
    }
    let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        let long = bytes.len() > HEAD_BYTES;
        return if long { Err(Trouble("an endless head".to_owned())) } else { Ok(None) };
    };
    let mut lines = bytes[..at].split(|byte| *byte == b'\n');
    let length = lines.find_map(|line| {
        let (name, value) = line.split_at_checked("content-length:".len())?;
        name.eq_ignore_ascii_case(b"content-length:").then_some(value)
    });
    let length = length.and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
    let length = length.ok_or_else(|| Trouble("an answer without Content-Length".to_owned()))?;
    Ok(Some((at + 4, length)))
}

#[cfg(test)]
mod tests {
    use super::{Answer, Ask, Desk, whole_head};

    fn ask(from: u64, length: u64) -> Ask {
        Ask { request: Vec::new(), object: 0, from, length, status: 206, compared: true }
    }

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let head = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 12\r\n\r\nbody";
        assert_eq!(whole_head(&head[..40], 206).expect("so far"), None);
        assert_eq!(whole_head(head, 206).expect("whole"), Some((head.len() - 4, 12)));
        assert!(whole_head(head, 200).is_err());
        assert!(whole_head(b"\x17\x03\x03\x40\x11nonsense", 206).is_err());
        assert!(whole_head(b"HTTP/1.1 206 x\r\n\r\n", 206).is_err());
    }

    #[test]
    fn a_wrong_byte_a_wrong_length_and_a_byte_too_many_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("0.mp4"), b"0123456789").expect("a file");
        let mut desk = Desk::over(folder.path(), 1).expect("a desk");
        let head = b"HTTP/1.1 206 x\r\nContent-Length: 4\r\n\r\n";
        let mut answer = Answer::to(ask(3, 4));
        assert_eq!(answer.take(&head[..20], &mut desk).expect("half a head"), 0);
        let rest = [&head[20..], b"34"].concat();
        assert_eq!(answer.take(&rest, &mut desk).expect("head and body"), 2);
        assert!(answer.take(b"5x", &mut desk).is_err());
        assert!(!answer.is_whole());
        assert_eq!(answer.take(b"56", &mut desk).expect("the rest"), 2);
        assert!(answer.is_whole() && answer.pass(1).is_err());
        assert!(Answer::to(ask(3, 5)).take(head, &mut desk).is_err());
    }
}
