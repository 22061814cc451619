//! The streams of one connection: those under way, and what became of the last ones that ended.
//! It counts windows and knows no frame.

use super::draft::Asked;

/// Most streams at once; a client that opens more is told to try again.
pub const STREAMS_MAX: usize = 100;

/// Longest body of a request that is read (and thrown away), bytes: the default window, which is
/// never opened further. No request that is answered has one.
pub const BODY_BYTES_MAX: u64 = 65_535;

/// Ended streams that are remembered: frames for them may still be on their way.
const ENDED_MAX: usize = 64;

/// One stream under way.
#[derive(Debug)]
pub(super) struct Stream {
    pub id: u32,
    /// What the peer lets us send; below zero after it made its window smaller.
    pub window: i64,
    pub phase: Phase,
}

/// Where a stream stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// The head came, the end did not.
    Receiving { asked: Asked, body_bytes: u64 },
    /// The request is complete: only we have something to say.
    Answering,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By both, or by the peer's reset: it must send nothing more.
    ByPeer,
    /// By our reset: what it sent before it knew is ignored.
    ByUs,
}

/// What a stream's number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Never used.
    Idle,
    /// Under way, at this place.
    Open(usize),
    /// Not long ago.
    Ended(Ended),
    /// Long ago, or passed over.
    Forgotten,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: Vec<Stream>,
    /// A ring of the last that ended.
    ended: Vec<(u32, Ended)>,
    next_ended: usize,
    /// The highest number the peer used.
    pub highest: u32,
}

impl Streams {
    pub fn standing(&self, id: u32) -> Standing {
        if id > self.highest {
            return Standing::Idle;
        }
        if let Some(at) = self.open.iter().position(|stream| stream.id == id) {
            return Standing::Open(at);
        }
        match self.ended.iter().find(|(ended, _)| *ended == id) {
            Some((_, how)) => Standing::Ended(*how),
            None => Standing::Forgotten,
        }
    }

    pub fn count(&self) -> usize {
        self.open.len()
    }

    pub fn add(&mut self, stream: Stream) {
        debug_assert!(self.open.len() < STREAMS_MAX);
        self.open.push(stream);
    }

    pub fn at(&mut self, at: usize) -> Option<&mut Stream> {
        self.open.get_mut(at)
    }

    pub fn find(&self, id: u32) -> Option<&Stream> {
        self.open.iter().find(|stream| stream.id == id)
    }

    pub fn find_mut(&mut self, id: u32) -> Option<&mut Stream> {
        self.open.iter_mut().find(|stream| stream.id == id)
    }

    /// Adds to every window; false when one grew past what a window may be.
    #[must_use]
    pub fn widen(&mut self, by: i64) -> bool {
        self.open.iter_mut().all(|stream| {
            stream.window += by;
            stream.window <= i64::from(i32::MAX)
        })
    }

    /// Ends a stream; whether it was under way.
    pub fn end(&mut self, id: u32, how: Ended) -> bool {
        if self.ended.len() < ENDED_MAX {
            self.ended.push((id, how));
        } else if let Some(place) = self.ended.get_mut(self.next_ended) {
            *place = (id, how);
            self.next_ended = (self.next_ended + 1) % ENDED_MAX;
        }
        let Some(at) = self.open.iter().position(|stream| stream.id == id) else { return false };
        self.open.swap_remove(at);
        if self.open.is_empty() {
            // Connections idle for minutes: they keep no room for a burst that is over.
            self.open.shrink_to(4);
        }
        true
    }
}
