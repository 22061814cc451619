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
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use rustls::crypto::cipher::{AeadKey, Iv};
    use rustls::{ConnectionTrafficSecrets, ExtractedSecrets};

    use super::{FULL_RECORD, Records, record_length};
    use crate::answer::{Answer, Ask, Desk};
    use crate::keys::{Keys, TEXT_MAX};
    use crate::line::Seen;

    const BODY: usize = 5 * TEXT_MAX + 100;
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 82020\r\n\r\n";

    fn keys(from: u64) -> Keys {
        let secret = || ConnectionTrafficSecrets::Aes256Gcm {
            key: AeadKey::from([7; 32]),
            iv: Iv::new([9; 12]),
        };
        let secrets = ExtractedSecrets { tx: (from, secret()), rx: (from, secret()) };
        Keys::with(secrets).expect("keys")
    }

    fn body() -> Vec<u8> {
        (0..BODY).map(|at| (at % 251) as u8).collect()
    }

    /// Body bytes of `answers`, each a list of texts of records, for a reader that passes full
    /// records.
    fn check(answers: &[Vec<Vec<u8>>], compared: bool) -> Result<u64, String> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("0.mp4"), body()).expect("a file");
        let mut desk = Desk::over(folder.path(), 1).expect("a desk");
        desk.full_records = true;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let socket = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (mut server, _) = listener.accept().expect("accepted");
        let mut sealing = keys(3);
        let texts = answers.iter().flatten();
        let wire: Vec<u8> = texts.flat_map(|text| sealing.seal(text).expect("a record")).collect();
        // The reader may give up early; the socket is blocking, so nothing depends on who is first.
        let writer = std::thread::spawn(move || server.write_all(&wire).is_ok());
        let mut records = Records::with(keys(3));
        let read = (|| {
            let mut bytes = 0;
            for _ in answers {
                let (request, length) = (Vec::new(), BODY as u64);
                let ask = Ask { request, object: 0, from: 0, length, status: 200, compared };
                let mut answer = Answer::to(ask);
                loop {
                    let (some, seen) = records.look(&socket, &mut answer, &mut desk)?;
                    bytes += some;
                    if seen == Seen::Whole {
                        break;
                    }
                }
            }
            Ok(bytes)
        })();
        drop(socket);
        writer.join().expect("the writer ends");
        read.map_err(|trouble: nightfill_harness::Trouble| trouble.to_string())
    }

    /// Head and body cut into records of `most` bytes of text.
    fn answer(most: usize) -> Vec<Vec<u8>> {
        let text = [HEAD, &body()].concat();
        text.chunks(most).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn answers_of_full_records_are_counted_whether_opened_or_passed() {
        let mut apart = vec![HEAD.to_vec()];
        apart.extend(body().chunks(TEXT_MAX).map(<[u8]>::to_vec));
        let answers = [answer(TEXT_MAX), apart, answer(TEXT_MAX)];
        for compared in [false, true] {
            assert_eq!(check(&answers, compared), Ok(3 * BODY as u64), "compared: {compared}");
        }
    }

    #[test]
    fn records_that_are_not_as_assumed_are_told() {
        // The second of the full records is in truth two.
        let mut uneven = answer(TEXT_MAX);
        let second = uneven.remove(2);
        uneven.insert(2, second[..9000].to_vec());
        uneven.insert(3, second[9000..].to_vec());
        assert!(check(&[uneven, answer(TEXT_MAX)], false).is_err());
        let mut padded = answer(TEXT_MAX);
        padded.insert(1, Vec::new());
        let told = check(&[padded, answer(TEXT_MAX)], false);
        assert_eq!(told, Ok(2 * BODY as u64), "an empty record is a record and is counted");
        let mut missing = answer(TEXT_MAX);
        missing.remove(3);
        assert!(check(&[missing, answer(TEXT_MAX)], false).is_err());
        let wrong = vec![b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n".to_vec()];
        assert!(check(&[wrong], false).is_err_and(|told| told.contains("503")));
    }

    #[test]
    fn a_wrong_byte_is_told_where_bodies_are_compared() {
        let mut bad = answer(TEXT_MAX);
        bad[3][77] ^= 1;
        assert!(check(&[bad.clone()], true).is_err_and(|told| told.contains("wrong byte")));
        assert!(check(&[bad], false).is_ok(), "nobody looks into it");
    }

    #[test]
    fn only_a_record_of_the_right_kind_and_length_is_one() {
        let [high, low] = u16::try_from(FULL_RECORD).expect("fits").to_be_bytes();
        assert_eq!(record_length(&[23, 3, 3, high, low, 9]).expect("a record"), FULL_RECORD);
        for wrong in [[22, 3, 3, 0, 99], [23, 3, 1, 0, 99], [23, 3, 3, 0, 3], [23, 3, 3, 99, 0]] {
            assert!(record_length(&wrong).is_err(), "{wrong:?}");
        }
    }
}
