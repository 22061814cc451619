//! One HTTP/2 connection, the server's end (RFC 9113): frames in, requests and resets out; heads
//! and bytes of answers in, frames out. It never does I/O, reads no clock and keeps no answer.
//!
//! Limits, all of them on what a peer can make us hold or do:
//! * a header block is at most [`HEADER_BLOCK_BYTES_MAX`] in [`CONTINUATIONS_MAX`] + 1 frames;
//! * frames that we owe (acknowledgements, resets) are at most [`CONTROL_BYTES_MAX`]: a peer that
//!   asks and does not read is let go;
//! * streams that end without an answer may outnumber answers by [`RESETS_MAX`];
//! * in a row, with nothing asked and no frame of [`TINY_FRAME_BYTES`] taken: [`IDLE_FRAMES_MAX`]
//!   frames of any kind, [`PINGS_MAX`] pings, [`SETTINGS_MAX`] changes of settings;
//! * a list of fields stands for at most `decode::LIST_BYTES_MAX`.
//!
//! Which of them was passed is a [`Breach`]; the peer hears ENHANCE_YOUR_CALM for all of them. A
//! window beyond 2^31-1 ends its stream or the connection with FLOW_CONTROL_ERROR.
//!
//! Priorities are read and ignored (section 5.3.2 took them back); bodies are read and thrown away.

mod breach;
mod frames;

pub use breach::{Breach, Resets};

use super::decode::Decoder;
use super::encode::{block_bytes_max, encode_head};
use super::frame::{self, Code, FRAME_BYTES_MAX, FRAME_HEAD_BYTES, FrameHead, PREFACE};
use super::streams::{Ended, STREAMS_MAX, Streams};
use crate::head::HEAD_BYTES_MAX;

/// Longest header block, bytes as sent.
pub const HEADER_BLOCK_BYTES_MAX: usize = 16 * 1024;

/// CONTINUATION frames of one header block.
pub const CONTINUATIONS_MAX: usize = 8;

/// Frames that wait to be sent besides answers, bytes.
pub const CONTROL_BYTES_MAX: usize = 16 * 1024;

/// Resets, by either side, beyond the number of answers.
pub const RESETS_MAX: u32 = 200;

/// Frames in a row that bring nothing forward.
pub const IDLE_FRAMES_MAX: u32 = 10_000;

/// Pings in a row to be answered, with nothing brought forward between them.
pub const PINGS_MAX: u32 = 500;

/// Changes of settings in a row, with nothing brought forward between them.
pub const SETTINGS_MAX: u32 = 100;

/// A frame of a body shorter than this, unless it is the last of its stream, brings nothing
/// forward: a peer that opens windows by a byte at a time makes a frame of each.
pub const TINY_FRAME_BYTES: usize = 256;

const WINDOW_BYTES: i64 = 65_535;

/// Room for frames that wait which an idle connection keeps, bytes: for an answer's head.
const CONTROL_BYTES_KEPT: usize = 2048;

/// What a peer's bytes came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A whole request: `head` is the text that HTTP/1.1 would have sent.
    Request {
        /// On which stream it is to be answered.
        stream: u32,
        /// For [`crate::Head::parse`].
        head: Vec<u8>,
    },
    /// The stream has ended without us: whatever is under way for it is not wanted.
    Reset {
        /// Which.
        stream: u32,
    },
}

/// What [`Session::take`] did.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    /// Bytes that are done with; 0 without an event: more must come first.
    pub bytes: usize,
    /// At most one; there may be more behind it.
    pub event: Option<Event>,
}

/// The connection cannot go on; the peer is told why by what [`Session::control`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed(pub Code);

/// A header block whose end has not come.
#[derive(Debug)]
struct Block {
    stream: u32,
    bytes: Vec<u8>,
    ends_stream: bool,
    continuations: usize,
    /// It depends on itself: to be reset, once it is decoded.
    is_poisoned: bool,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    decoder: Decoder,
    streams: Streams,
    block: Option<Box<Block>>,
    control: Vec<u8>,
    /// What the peer lets us send on all streams together.
    window: i64,
    /// What it gives each new stream.
    stream_window: i64,
    /// What of our own window the peer has used since we last opened it.
    used_window: i64,
    stage: Stage,
    resets: u32,
    idle: Idle,
    is_leaving: bool,
    breach: Option<Breach>,
    tally: Resets,
    opened_window: bool,
}

/// What came since something was brought forward.
#[derive(Clone, Copy, Debug, Default)]
struct Idle {
    frames: u32,
    pings: u32,
    settings: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Preface,
    FirstSettings,
    Open,
    Failed(Code),
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// A connection whose first bytes are still to come. Our settings wait in `control`.
    #[must_use]
    pub fn new() -> Self {
        let mut control = Vec::new();
        let settings = [(3, STREAMS_MAX as u32), (6, HEAD_BYTES_MAX as u32)];
        let mut payload = Vec::with_capacity(12);
        for (name, value) in settings {
            payload.extend_from_slice(&u16::to_be_bytes(name));
            payload.extend_from_slice(&u32::to_be_bytes(value));
        }
        frame::put(&mut control, frame::SETTINGS, 0, 0, &payload);
        Self {
            decoder: Decoder::default(),
            streams: Streams::default(),
            block: None,
            control,
            window: WINDOW_BYTES,
            stream_window: WINDOW_BYTES,
            used_window: 0,
            stage: Stage::Preface,
            resets: 0,
            idle: Idle::default(),
            is_leaving: false,
            breach: None,
            tally: Resets::default(),
            opened_window: false,
        }
    }

    /// Takes in the bytes at the start of `bytes`, up to the next event.
    ///
    /// # Errors
    /// The peer broke a rule that the whole connection hangs on, or a limit. Further calls say the
    /// same.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Taken, Failed> {
        let mut taken = 0;
        loop {
            let left = bytes.get(taken..).unwrap_or_default();
            match self.step(left) {
                Ok((0, event)) => return Ok(Taken { bytes: taken, event }),
                Ok((used, None)) => taken += used,
                Ok((used, event)) => return Ok(Taken { bytes: taken + used, event }),
                Err(code) => {
                    if !matches!(self.stage, Stage::Failed(_)) {
                        self.stage = Stage::Failed(code);
                        self.put_go_away(code);
                    }
                    return Err(Failed(code));
                }
            }
        }
    }

    fn step(&mut self, bytes: &[u8]) -> Result<(usize, Option<Event>), Code> {
        match self.stage {
            Stage::Failed(code) => return Err(code),
            Stage::Preface => {
                let common = bytes.len().min(PREFACE.len());
                if bytes.get(..common) != PREFACE.get(..common) {
                    return Err(Code::Protocol);
                }
                if common < PREFACE.len() {
                    return Ok((0, None));
                }
                self.stage = Stage::FirstSettings;
                return Ok((PREFACE.len(), None));
            }
            Stage::FirstSettings | Stage::Open => {}
        }
        let Some(head) = FrameHead::read(bytes) else { return Ok((0, None)) };
        if head.bytes > FRAME_BYTES_MAX {
            return Err(Code::FrameSize);
        }
        let end = FRAME_HEAD_BYTES + head.bytes;
        let Some(payload) = bytes.get(FRAME_HEAD_BYTES..end) else { return Ok((0, None)) };
        self.idle.frames += 1;
        let event = self.frame(head, payload)?;
        let beyond = [
            (self.control.len() > CONTROL_BYTES_MAX, Breach::Unread),
            (self.resets > RESETS_MAX, Breach::RapidReset),
            (self.idle.pings > PINGS_MAX, Breach::Pings),
            (self.idle.settings > SETTINGS_MAX, Breach::Settings),
            (self.idle.frames > IDLE_FRAMES_MAX, Breach::IdleFrames),
        ];
        match beyond.into_iter().find(|(is_beyond, _)| *is_beyond) {
            Some((_, breach)) => Err(self.calm(breach)),
            None => Ok((end, event)),
        }
    }

    /// A bound is passed: notes which.
    fn calm(&mut self, breach: Breach) -> Code {
        self.breach = Some(breach);
        Code::EnhanceYourCalm
    }

    /// Which bound the peer passed, once it has.
    #[must_use]
    pub fn breach(&self) -> Option<Breach> {
        self.breach
    }

    /// Resets since the last call that the session saw or made by itself; those of
    /// [`Session::reset`] are the caller's own to count.
    pub fn take_resets(&mut self) -> Resets {
        std::mem::take(&mut self.tally)
    }

    fn frame(&mut self, head: FrameHead, payload: &[u8]) -> Result<Option<Event>, Code> {
        if self.stage == Stage::FirstSettings {
            if head.kind != frame::SETTINGS || head.has(frame::ACK) {
                return Err(Code::Protocol);
            }
            self.stage = Stage::Open;
        }
        if self.block.is_some() && head.kind != frame::CONTINUATION {
            return Err(Code::Protocol);
        }
        match head.kind {
            frame::DATA => self.body(head, payload),
            frame::HEADERS => self.headers(head, payload),
            frame::PRIORITY => self.priority(head, payload),
            frame::RST_STREAM => self.reset_by_peer(head, payload),
            frame::SETTINGS => self.settings(head, payload),
            frame::PUSH_PROMISE => Err(Code::Protocol),
            frame::PING => self.ping(head, payload),
            frame::GOAWAY if head.stream != 0 => Err(Code::Protocol),
            frame::GOAWAY if payload.len() < 8 => Err(Code::FrameSize),
            frame::WINDOW_UPDATE => self.window_update(head, payload),
            frame::CONTINUATION => self.continuation(head, payload),
            // The peer opens no more streams by itself; kinds we do not know mean nothing to us.
            _ => Ok(None),
        }
    }

    /// Whether the peer opened a window since the last call: it is still reading what was sent long
    /// ago, though it asks for nothing.
    pub fn take_opened_window(&mut self) -> bool {
        std::mem::take(&mut self.opened_window)
    }

    /// Ends a stream because a rule says so.
    fn reset_by_rule(&mut self, stream: u32, code: Code) -> Option<Event> {
        self.tally.note(code);
        self.reset(stream, code)
    }

    /// Ends a stream from our side; the event says so to whoever answers it.
    pub fn reset(&mut self, stream: u32, code: Code) -> Option<Event> {
        self.resets += 1;
        let was_open = self.streams.end(stream, Ended::ByUs);
        frame::put(&mut self.control, frame::RST_STREAM, 0, stream, &(code as u32).to_be_bytes());
        was_open.then_some(Event::Reset { stream })
    }

    /// Says that no new stream will be answered; those under way will.
    pub fn leave(&mut self) {
        if !self.is_leaving && !matches!(self.stage, Stage::Failed(_)) {
            self.is_leaving = true;
            self.put_go_away(Code::NoError);
        }
    }

    /// Ends the connection because of `code`: nothing that the peer says is taken from here on, and
    /// what waits in `control` is all that it will hear.
    pub fn end(&mut self, code: Code) {
        if !matches!(self.stage, Stage::Failed(_)) {
            self.stage = Stage::Failed(code);
            self.put_go_away(code);
        }
    }

    /// Whether [`Session::leave`] was called.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    fn put_go_away(&mut self, code: Code) {
        let mut payload = [0; 8];
        let (last, why) = payload.split_at_mut(4);
        last.copy_from_slice(&self.streams.highest.to_be_bytes());
        why.copy_from_slice(&(code as u32).to_be_bytes());
        frame::put(&mut self.control, frame::GOAWAY, 0, 0, &payload);
    }

    /// Frames to be sent before anything else; whoever sends some of it takes that away.
    pub fn control(&mut self) -> &mut Vec<u8> {
        &mut self.control
    }

    /// Nothing is under way: gives back room that only a burst needed.
    pub fn rest(&mut self) {
        if self.control.is_empty() && self.control.capacity() > CONTROL_BYTES_KEPT {
            self.control.shrink_to(CONTROL_BYTES_KEPT);
        }
        self.decoder.rest();
    }

    /// Streams under way.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.count()
    }

    /// Whether a frame or a header block has begun, or the first bytes are still awaited.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.block.is_none() && self.stage == Stage::Open
    }

    /// Adds the head of an answer, as [`crate::write_head`] wrote it, to `control`. With `ends`,
    /// nothing follows it. A stream that has ended is passed over.
    pub fn head(&mut self, stream: u32, head: &[u8], ends: bool) {
        if self.streams.find(stream).is_none() {
            return;
        }
        let mut block = Vec::with_capacity(block_bytes_max(head.len()));
        encode_head(head, &mut block);
        let flags = frame::END_HEADERS | if ends { frame::END_STREAM } else { 0 };
        frame::put(&mut self.control, frame::HEADERS, flags, stream, &block);
        if ends {
            self.answered(stream);
        }
    }

    /// Bytes of an answer's body that may be sent on `stream` now, in one frame.
    #[must_use]
    pub fn room(&self, stream: u32) -> usize {
        let Some(stream) = self.streams.find(stream) else { return 0 };
        let window = stream.window.min(self.window).max(0);
        usize::try_from(window).unwrap_or(0).min(FRAME_BYTES_MAX)
    }

    /// Whether the peer's window for the whole connection has no room: no stream can go on.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        self.window <= 0
    }

    /// The nine bytes before `bytes` bytes of a body, at most [`Session::room`]; they count as
    /// sent. With `ends`, nothing follows them.
    pub fn body_head(&mut self, stream: u32, bytes: usize, ends: bool) -> [u8; FRAME_HEAD_BYTES] {
        debug_assert!(bytes <= self.room(stream) || bytes == 0);
        self.window -= bytes as i64;
        if let Some(stream) = self.streams.find_mut(stream) {
            stream.window -= bytes as i64;
        }
        if ends || bytes >= TINY_FRAME_BYTES {
            self.idle = Idle::default();
        }
        if ends {
            self.answered(stream);
        }
        let flags = if ends { frame::END_STREAM } else { 0 };
        FrameHead { bytes, kind: frame::DATA, flags, stream }.to_bytes()
    }

    fn answered(&mut self, stream: u32) {
        self.resets = self.resets.saturating_sub(1);
        self.streams.end(stream, Ended::ByPeer);
    }
}
