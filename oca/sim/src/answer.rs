//! Answers, read as they arrive and held against what was expected, byte by byte.
//! Its own small reader on purpose: it shares no line with the server's writer.

use crate::parts::Parts;
use crate::script::{Body, Expected, Part};
use crate::shelf::Shelf;

/// What is wrong with what came, if anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// Nobody may ever send this: wrong bytes, wrong framing, a wrong status.
    Wrong(String),
    /// Refused for trouble with this sample: fair if there was trouble.
    Troubled {
        /// Place on the shelf.
        sample: usize,
        /// Status and word.
        said: String,
    },
    /// Refused because the appliance is busy or going away: fair if it is.
    Busy(String),
    /// The connection ended before the answer did: fair if somebody broke it.
    Unanswered {
        /// Place on the shelf.
        sample: Option<usize>,
        /// How far it came.
        said: String,
    },
}

/// How reading one answer goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    More,
    /// Complete and right; the server keeps the connection or not.
    Done {
        /// It said `Connection: close`.
        closes: bool,
    },
    /// Complaint; nothing after it can be trusted.
    Bad(Complaint),
}

/// One answer being read.
#[derive(Debug)]
pub struct Reader {
    expected: Expected,
    head: Vec<u8>,
    /// Set once the head is complete and right.
    body: Option<Awaited>,
}

#[derive(Debug)]
struct Awaited {
    got: usize,
    total: usize,
    closes: bool,
    /// The word of a refusal, with its line end; absent for media.
    text: Option<String>,
    /// A refusal that is not the expected answer, judged when its word is complete.
    unexpected: bool,
    /// A body of several ranges.
    parts: Option<Parts>,
}

impl Reader {
    /// Reads the answer that must be `expected`.
    #[must_use]
    pub fn new(expected: Expected) -> Self {
        Self { expected, head: Vec::new(), body: None }
    }

    /// What is missing, for when the connection ends here.
    #[must_use]
    pub fn unanswered(&self) -> Complaint {
        let said = match &self.body {
            None => format!("{} bytes of a head for {:?}", self.head.len(), self.expected),
            Some(body) => format!("{} of {} body bytes", body.got, body.total),
        };
        Complaint::Unanswered { sample: self.expected.sample, said }
    }

    /// Whether any byte of it has come.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !self.head.is_empty()
    }

    /// Takes what belongs to this answer from the front of `bytes`.
    pub fn take(&mut self, bytes: &mut &[u8], shelf: &Shelf) -> Progress {
        while self.body.is_none() {
            let Some((byte, rest)) = bytes.split_first() else { return Progress::More };
            *bytes = rest;
            self.head.push(*byte);
            if self.head.ends_with(b"\r\n\r\n") {
                match self.judge_head(shelf) {
                    Ok(body) => self.body = Some(body),
                    Err(complaint) => return Progress::Bad(complaint),
                }
            } else if self.head.len() > 4096 {
                return Progress::Bad(Complaint::Wrong("a head without end".into()));
            }
        }
        self.take_body(bytes, shelf)
    }

    fn take_body(&mut self, bytes: &mut &[u8], shelf: &Shelf) -> Progress {
        let Some(body) = &mut self.body else { return Progress::More };
        let (now, rest) = bytes.split_at(bytes.len().min(body.total - body.got));
        *bytes = rest;
        match (&mut body.text, &self.expected.body) {
            (Some(text), _) => text.push_str(&String::from_utf8_lossy(now)),
            (None, Some(media)) if let Some(parts) = &mut body.parts => {
                if let Err(text) = parts.take(now, media_all(media, shelf)) {
                    return Progress::Bad(Complaint::Wrong(format!("{text}: {media:?}")));
                }
            }
            (None, Some(media)) => {
                let wanted = &media_bytes(media, shelf)[body.got..body.got + now.len()];
                if now != wanted {
                    let off = now.iter().zip(wanted).take_while(|(a, b)| a == b).count();
                    let at = body.got + off;
                    let text = format!("byte {at} of {media:?} is not the object's");
                    return Progress::Bad(Complaint::Wrong(text));
                }
            }
            (None, None) => {}
        }
        body.got += now.len();
        if body.got < body.total {
            return Progress::More;
        }
        if let Some(Err(text)) = body.parts.as_ref().map(Parts::is_whole) {
            return Progress::Bad(Complaint::Wrong(format!("{text}: {:?}", self.expected)));
        }
        match body.text.take() {
            Some(text) => judge_word(&self.expected, text.trim_end(), body),
            None => Progress::Done { closes: body.closes },
        }
    }

    fn judge_head(&self, shelf: &Shelf) -> Result<Awaited, Complaint> {
        let wrong =
            |text: String| Complaint::Wrong(format!("{text}; expected {:?}", self.expected));
        let text =
            std::str::from_utf8(&self.head).map_err(|_| wrong("a head in no text".into()))?;
        let mut lines = text.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
        let status: u16 = status
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or_else(|| wrong(format!("no status line: {text:?}")))?;
        let lines: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
        let one = |name: &str| -> Result<Option<&str>, Complaint> {
            let mut found = lines.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
            let first = found.next().map(|(_, value)| *value);
            let again = found.next().is_some();
            if again { Err(wrong(format!("two {name}: {text}"))) } else { Ok(first) }
        };
        if one("Transfer-Encoding")?.is_some() || one("Date")?.is_none_or(|d| d.len() != 29) {
            return Err(wrong(format!("framing or date: {text}")));
        }
        let length: Option<usize> = one("Content-Length")?.and_then(|value| value.parse().ok());
        let closes = one("Connection")?.is_some_and(|value| value == "close");
        let refused = status >= 400;
        let awaited =
            |total, text| Awaited { got: 0, total, closes, text, unexpected: false, parts: None };
        if status != self.expected.status {
            if !refused || self.expected.head_only {
                return Err(self.troubled(status, "?"));
            }
            let total = length.ok_or_else(|| wrong("a refusal without length".into()))?;
            let unexpected = Awaited { unexpected: true, ..awaited(total, Some(String::new())) };
            return Ok(unexpected);
        }
        let Some(media) = &self.expected.body else {
            return match (status, length) {
                (204 | 304, None) => Ok(awaited(0, None)),
                (400.., Some(_)) if self.expected.head_only => Ok(awaited(0, None)),
                (400.., Some(total)) => Ok(awaited(total, Some(String::new()))),
                _ => Err(wrong(format!("length {length:?}"))),
            };
        };
        let total = media_total(media, shelf);
        let several = media.ranges.len() > 1;
        let one_range = media.ranges.first().filter(|_| status == 206 && !several);
        let wanted_range = one_range.map(|r| format!("bytes {}-{}/{total}", r.start, r.end - 1));
        let given_range = one("Content-Range")?;
        let bytes: usize = media.ranges.iter().map(ExactSizeIterator::len).sum();
        // With heads between its parts a body is longer than they are.
        let fits = length.is_some_and(|length| length == bytes || (several && length > bytes));
        if !fits || given_range != wanted_range.as_deref() {
            return Err(wrong(format!("length and range {:?}", (length, given_range))));
        }
        let kind = one("Content-Type")?.unwrap_or_default();
        let parts = several.then(|| Parts::new(kind, &media.ranges, total)).transpose();
        let parts = parts.map_err(wrong)?;
        let tag = format!("\"{}\"", shelf.samples[media.sample].object);
        if media.part == Part::Payload && one("ETag")? != Some(tag.as_str()) {
            return Err(wrong(format!("tag {:?}", one("ETag")?)));
        }
        let length = length.filter(|_| !self.expected.head_only).unwrap_or(0);
        Ok(Awaited { parts, ..awaited(length, None) })
    }

    fn troubled(&self, status: u16, word: &str) -> Complaint {
        unexpected(&self.expected, status, word)
    }
}

fn media_bytes<'a>(media: &Body, shelf: &'a Shelf) -> &'a [u8] {
    let range = media.ranges.first().cloned().unwrap_or(0..0);
    &media_all(media, shelf)[range]
}

fn media_all<'a>(media: &Body, shelf: &'a Shelf) -> &'a [u8] {
    let sample = &shelf.samples[media.sample];
    if media.part == Part::Seal { sample.seal() } else { sample.payload() }
}

fn media_total(media: &Body, shelf: &Shelf) -> usize {
    media_all(media, shelf).len()
}

fn judge_word(expected: &Expected, word: &str, body: &Awaited) -> Progress {
    if body.unexpected {
        return Progress::Bad(unexpected(expected, 0, word));
    }
    if expected.word == Some(word) {
        return Progress::Done { closes: body.closes };
    }
    Progress::Bad(Complaint::Wrong(format!("the word {word:?}; expected {expected:?}")))
}

/// What an answer with another status means.
fn unexpected(expected: &Expected, status: u16, word: &str) -> Complaint {
    let said = format!("{status} {word} instead of {expected:?}");
    match (word, expected.sample) {
        ("disk_failed" | "chunk_bad" | "quarantined" | "unknown_object", Some(sample)) => {
            Complaint::Troubled { sample, said }
        }
        ("over_budget" | "no_buffer" | "draining", _) => Complaint::Busy(said),
        ("?", Some(sample)) if matches!(status, 404 | 500) => Complaint::Troubled { sample, said },
        // A HEAD's refusal has no word to tell a busy appliance from a bad disk by.
        ("?", _) if status == 503 => Complaint::Busy(said),
        _ => Complaint::Wrong(said),
    }
}
