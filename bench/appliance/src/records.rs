//! TLS answers for a load that must cost less than the server: the head of every answer is read
//! through the cipher, compared answers are opened record by record, and of all others only record
//! heads are read while the kernel throws the rest away. Never guesses unnoticed: a record passed
//! too many or too few puts the count wrong, and then the next answer's head does not read.

use std::net::TcpStream;

use nightfill_harness::Trouble;

use crate::answer::{Answer, Desk};
use crate::keys::{Keys, Kind, RECORD_EXTRA, RECORD_HEAD, TEXT_MAX};
use crate::line::{Seen, discard, read_some};

/// A response head fits; no more is read of an answer's first record.
const PEEK_BYTES: usize = 640;
/// How many full records are passed between two record heads that are read.
const PASS_MAX: u64 = 64;
/// Calls of one turn, so that one fast connection does not starve the others.
const CALLS: usize = 32;
const FULL_RECORD: usize = TEXT_MAX + RECORD_EXTRA;

/// The receiving side of one TLS connection.
pub struct Records {
    keys: Keys,
    /// Bytes that came and were not used yet; they begin at a record's head.
    came: Vec<u8>,
    /// Bytes of records already counted that are still to come, and body bytes in them.
    to_discard: u64,
    to_credit: u64,
}

impl Records {
    /// With the keys of a session of which every record has been read.
    #[must_use]
    pub fn with(keys: Keys) -> Self {
        Self { keys, came: Vec::new(), to_discard: 0, to_credit: 0 }
    }

    /// A request as it goes over the wire.
    ///
    /// # Errors
    /// When it is too long.
    pub fn seal(&mut self, request: &[u8]) -> Result<Vec<u8>, Trouble> {
        self.keys.seal(request)
    }

    /// Takes what has arrived. Gives the body bytes taken and how it stands.
    ///
    /// # Errors
    /// When the server closes, answers something else, or its records are not as assumed.
    pub fn look(
        &mut self,
        socket: &TcpStream,
        answer: &mut Answer,
        desk: &mut Desk,
    ) -> Result<(u64, Seen), Trouble> {
        let mut body = 0;
        let mut calls = 0;
        loop {
            // What is in the socket will be told of again, what was read from it never.
            if calls >= CALLS && self.came.is_empty() && !self.is_done(answer) {
                return Ok((body, Seen::More));
            }
            calls += 1;
            if self.to_discard > 0 {
                let Some(count) = discard(socket, &mut desk.scratch, self.to_discard)? else {
                    return Ok((body, Seen::Waiting));
                };
                body += self.discarded(count);
                continue;
            }
            if answer.is_whole() {
                self.came.shrink_to(PEEK_BYTES + RECORD_HEAD);
                return Ok((body, Seen::Whole));
            }
            let step = if answer.is_compared() {
                self.open_record(socket, answer, desk)?
            } else if answer.wants_head() {
                self.peek_head(socket, answer)?
            } else {
                self.pass_records(socket, answer, desk.full_records)?
            };
            let Some(bytes) = step else { return Ok((body, Seen::Waiting)) };
            body += bytes;
        }
    }

    fn is_done(&self, answer: &Answer) -> bool {
        self.to_discard == 0 && answer.is_whole()
    }

    fn discarded(&mut self, count: u64) -> u64 {
        self.to_discard -= count;
        // What a record has besides its text is counted last.
        let credit = self.to_credit.min(count);
        self.to_credit -= credit;
        credit
    }

    /// The length of the next record behind its head, once that is there.
    fn next_length(&mut self, socket: &TcpStream, want: usize) -> Result<Option<usize>, Trouble> {
        if !self.fill(socket, RECORD_HEAD, RECORD_HEAD + want)? {
            return Ok(None);
        }
        record_length(&self.came).map(Some)
    }

    /// Reads until `need` bytes are there, never more than `want`.
    fn fill(&mut self, socket: &TcpStream, need: usize, want: usize) -> Result<bool, Trouble> {
        while self.came.len() < need {
            let at = self.came.len();
            self.came.resize(want.max(need), 0);
            let count = read_some(socket, &mut self.came[at..]);
            self.came.truncate(at + *count.as_ref().ok().and_then(Option::as_ref).unwrap_or(&0));
            if count?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Leaves `bytes` of records, of which `text` body bytes may not have come yet. Gives how many
    /// body bytes are there already.
    fn leave(&mut self, bytes: u64, text: u64) -> u64 {
        let here = self.came.len() as u64;
        if here >= bytes {
            self.came.drain(..usize::try_from(bytes).unwrap_or(usize::MAX));
            return text;
        }
        self.came.clear();
        (self.to_discard, self.to_credit) = (bytes - here, text.min(bytes - here));
        text - self.to_credit
    }

    fn peek_head(
        &mut self,
        socket: &TcpStream,
        answer: &mut Answer,
    ) -> Result<Option<u64>, Trouble> {
        let Some(length) = self.next_length(socket, PEEK_BYTES)? else { return Ok(None) };
        let seen = PEEK_BYTES.min(length - RECORD_EXTRA);
        if !self.fill(socket, RECORD_HEAD + seen, RECORD_HEAD + PEEK_BYTES)? {
            return Ok(None);
        }
        let mut text = [0; PEEK_BYTES];
        let text = &mut text[..seen];
        text.copy_from_slice(&self.came[RECORD_HEAD..RECORD_HEAD + seen]);
        self.keys.peek(text)?;
        let head = answer.check_head(text)?;
        let body = (length - RECORD_EXTRA - head) as u64;
        answer.pass(body)?;
        Ok(Some(self.leave((RECORD_HEAD + length) as u64, body)))
    }

    fn pass_records(
        &mut self,
        socket: &TcpStream,
        answer: &mut Answer,
        full: bool,
    ) -> Result<Option<u64>, Trouble> {
        let Some(length) = self.next_length(socket, 0)? else { return Ok(None) };
        let text = (length - RECORD_EXTRA) as u64;
        let mut records = 1;
        if full && length == FULL_RECORD {
            records = (answer.left() / text).clamp(1, PASS_MAX);
        }
        self.keys.pass(records);
        answer.pass(records * text)?;
        Ok(Some(self.leave(records * (RECORD_HEAD + length) as u64, records * text)))
    }

    fn open_record(
        &mut self,
        socket: &TcpStream,
        answer: &mut Answer,
        desk: &mut Desk,
    ) -> Result<Option<u64>, Trouble> {
        let Some(length) = self.next_length(socket, 0)? else { return Ok(None) };
        let end = RECORD_HEAD + length;
        if !self.fill(socket, end, end)? {
            return Ok(None);
        }
        let (kind, count) = self.keys.open(&mut self.came[..end])?;
        let mut body = 0;
        if kind == Kind::Text {
            body = answer.take(&self.came[RECORD_HEAD..RECORD_HEAD + count], desk)?;
        }
        self.came.drain(..end);
        Ok(Some(body))
    }

    /// Opens a whole answer and says whether each record of it but the last was full, or at least
    /// each behind the one with the head.
    ///
    /// # Errors
    /// As `look`; the socket must be blocking.
    pub fn rehearse(
        &mut self,
        socket: &TcpStream,
        answer: &mut Answer,
        desk: &mut Desk,
    ) -> Result<bool, Trouble> {
        let mut full = true;
        while !answer.is_whole() {
            let (began, before) = (!answer.wants_head(), answer.left());
            let body = self.open_record(socket, answer, desk)?;
            let body = body.ok_or_else(|| Trouble("an answer that does not come".to_owned()))?;
            full &= !began || body == before.min(TEXT_MAX as u64);
        }
        Ok(full)
    }
}

/// The length behind a record's head.
fn record_length(head: &[u8]) -> Result<usize, Trouble> {
    match head {
        [23, 3, 3, high, low, ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if (RECORD_EXTRA..=FULL_RECORD).contains(&length) {
                return Ok(length);
            }
            Err(Trouble(format!("a TLS record of {length} bytes")))
        }
        _ => Err(Trouble("no TLS record where one must begin".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::{FULL_RECORD, record_length};

    #[test]
    fn only_a_record_of_the_right_kind_and_length_is_one() {
        let [high, low] = u16::try_from(FULL_RECORD).expect("fits").to_be_bytes();
        assert_eq!(record_length(&[23, 3, 3, high, low, 9]).expect("a record"), FULL_RECORD);
        for wrong in [[22, 3, 3, 0, 99], [23, 3, 1, 0, 99], [23, 3, 3, 0, 3], [23, 3, 3, 99, 0]] {
            assert!(record_length(&wrong).is_err(), "{wrong:?}");
        }
    }
}
