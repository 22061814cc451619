//! One stream as the client sees it: what came of its answer, and how much more it lets come.
//! It knows nothing of the other streams.

use super::frames::Frame;
use crate::agenda::Moment;
use crate::answer::{Complaint, Progress, Reader};
use crate::script::Ask;
use crate::shelf::Shelf;

/// What a client wants of one stream.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The request and its answer.
    pub ask: Ask,
    /// It is not wanted any more after so many bytes of the body.
    pub cancel_after: Option<usize>,
    /// Its window is never opened beyond what it begins with.
    pub shuts: bool,
}

/// A stream whose answer is awaited.
#[derive(Debug)]
pub(super) struct Awaited {
    pub id: u32,
    reader: Reader,
    /// What we let the server send.
    pub window: i64,
    /// What it used of that and was not given back.
    pub used: usize,
    /// Bytes of the body so far.
    pub read: usize,
    pub cancel_after: Option<usize>,
    pub shuts: bool,
    /// When its window was opened last.
    pub opened_at: Moment,
    has_head: bool,
    /// The reader has all it wants: only the end of the stream may follow.
    is_whole: bool,
}

/// What a frame came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    More,
    Done,
    Bad(Complaint),
}

fn wrong(text: String) -> Came {
    Came::Bad(Complaint::Wrong(text))
}

impl Awaited {
    pub(super) fn new(id: u32, plan: Plan, window: i64, now: Moment) -> Self {
        Self {
            id,
            reader: Reader::new(plan.ask.expected),
            window,
            used: 0,
            read: 0,
            cancel_after: plan.cancel_after,
            shuts: plan.shuts,
            opened_at: now,
            has_head: false,
            is_whole: false,
        }
    }

    /// What is missing, if the answer ends here.
    pub(super) fn unanswered(&self, how: &str) -> Complaint {
        match self.reader.unanswered() {
            Complaint::Unanswered { sample, said } => {
                let said = format!("{how}, stream {}: {said}", self.id);
                Complaint::Unanswered { sample, said }
            }
            other => other,
        }
    }

    /// Whether any of its answer has come.
    pub(super) fn has_begun(&self) -> bool {
        self.has_head
    }

    /// The head of the answer, as the fields of its block.
    pub(super) fn head(&mut self, fields: &[(String, String)], ends: bool, shelf: &Shelf) -> Came {
        if std::mem::replace(&mut self.has_head, true) {
            return wrong(format!("two heads on stream {}", self.id));
        }
        let Some((name, status)) = fields.first().filter(|(name, _)| name == ":status") else {
            return wrong(format!("a head without status: {fields:?}"));
        };
        let is_plain = |(name, value): &(String, String)| {
            !name.is_empty()
                && !name.starts_with(':')
                && !name.bytes().any(|byte| byte.is_ascii_uppercase())
                && !matches!(name.as_str(), "connection" | "keep-alive" | "transfer-encoding")
                && !value.contains(['\r', '\n'])
        };
        if !fields.iter().skip(1).all(is_plain) {
            return wrong(format!("{name}: {status} with {fields:?}"));
        }
        let mut text = format!("HTTP/1.1 {status} as it is\r\n");
        for (name, value) in fields.iter().skip(1) {
            text += &format!("{name}: {value}\r\n");
        }
        self.take((text + "\r\n").as_bytes(), ends, shelf)
    }

    /// A frame of the body.
    pub(super) fn body(&mut self, frame: &Frame, ends: bool, shelf: &Shelf) -> Came {
        let bytes = frame.payload.len();
        self.window -= bytes as i64;
        self.used += bytes;
        self.read += bytes;
        if self.window < 0 || !self.has_head {
            return wrong(format!("{bytes} bytes leave a window of {}", self.window));
        }
        self.take(&frame.payload, ends, shelf)
    }

    fn take(&mut self, bytes: &[u8], ends: bool, shelf: &Shelf) -> Came {
        let mut left = bytes;
        if self.is_whole && !left.is_empty() {
            return wrong(format!("{} bytes behind the answer on {}", left.len(), self.id));
        }
        if !self.is_whole {
            match self.reader.take(&mut left, shelf) {
                Progress::More => {}
                Progress::Bad(complaint) => return Came::Bad(complaint),
                Progress::Done { closes: true } => {
                    return wrong(format!("stream {} closes the connection", self.id));
                }
                Progress::Done { closes: false } if left.is_empty() => self.is_whole = true,
                Progress::Done { .. } => {
                    return wrong(format!("{} bytes behind the answer", left.len()));
                }
            }
        }
        match (ends, self.is_whole) {
            (false, _) => Came::More,
            (true, true) => Came::Done,
            (true, false) => wrong(format!("an end too early: {:?}", self.reader.unanswered())),
        }
    }
}
