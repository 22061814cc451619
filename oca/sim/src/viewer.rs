//! A scripted client: asks, reads at its own pace, holds every byte against the shelf, and behaves
//! well or badly as its manners have it.

use std::collections::VecDeque;
use std::sync::Arc;

use fastrand::Rng;

use crate::agenda::Moment;
use crate::answer::{Complaint, Progress, Reader};
use crate::client::{Client, ClientSide, ServerEnd};
use crate::script::Ask;
use crate::shelf::Shelf;
use crate::weather::{MILLISECOND, SECOND};

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// Reads everything, then says goodbye.
    Polite,
    /// Says its last byte right after its last request, and reads on.
    HalfClosed,
    /// Tears the connection down after reading so many bytes.
    ResetsAfter(usize),
    /// Tears the connection down after sending so many bytes.
    ResetsAfterSending(usize),
    /// Neither reads nor sends after reading so many bytes, and never says so.
    Vanishes(usize),
    /// Sends a byte now and then and never finishes a head.
    Drips,
}

impl Manners {
    /// Any but polite ones.
    pub fn draw_rude(random: &mut Rng) -> Self {
        let some = random.usize(..200_000) >> random.u32(..18);
        match random.u8(..4) {
            0 => Self::ResetsAfter(some),
            1 => Self::ResetsAfterSending(random.usize(1..600)),
            2 => Self::Vanishes(some),
            _ => Self::Drips,
        }
    }

    /// Whether the server owes it every answer.
    #[must_use]
    pub fn is_polite(self) -> bool {
        matches!(self, Self::Polite | Self::HalfClosed)
    }
}

/// How fast a client takes and gives bytes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Bytes of one read.
    pub read_bytes: usize,
    /// Time between two reads.
    pub read_every: Moment,
    /// A request goes out in pieces with pauses up to this.
    pub send_pause: Moment,
    /// Longest pause before the next request.
    pub think: Moment,
    /// All requests go out without waiting for answers.
    pub pipelines: bool,
}

impl Pace {
    /// Any pace that no deadline of the server forbids.
    pub fn draw(random: &mut Rng) -> Self {
        let slow = random.u8(..3) == 0;
        Self {
            read_bytes: if slow { random.usize(2000..20_000) } else { 1 << 20 },
            read_every: if slow { random.u64(1..2 * SECOND) } else { random.u64(1..MILLISECOND) },
            send_pause: random.u64(1..50 * MILLISECOND),
            think: if random.bool() { random.u64(1..40 * SECOND) } else { MILLISECOND },
            pipelines: random.u8(..3) == 0,
        }
    }
}

/// The client.
pub struct Viewer {
    shelf: Arc<Shelf>,
    manners: Manners,
    pace: Pace,
    asks: VecDeque<Ask>,
    outbox: VecDeque<u8>,
    awaited: VecDeque<(Reader, bool)>,
    read_at: Moment,
    send_at: Moment,
    ask_at: Moment,
    read: usize,
    sent: usize,
    answers: usize,
    complaint: Option<Complaint>,
    /// When the request whose answer is awaited was all sent; absent once the answer begins.
    sent_at: Option<Moment>,
    longest_wait: Moment,
    /// It said its last byte and still reads.
    finished: bool,
    done: bool,
}

impl Viewer {
    /// A client that will ask `asks` in order.
    #[must_use]
    pub fn new(shelf: Arc<Shelf>, asks: Vec<Ask>, manners: Manners, pace: Pace) -> Self {
        Self {
            shelf,
            manners,
            pace,
            asks: asks.into(),
            outbox: VecDeque::new(),
            awaited: VecDeque::new(),
            read_at: 0,
            send_at: 0,
            ask_at: 0,
            read: 0,
            sent: 0,
            answers: 0,
            complaint: None,
            sent_at: None,
            longest_wait: 0,
            finished: false,
            done: false,
        }
    }

    fn ask(&mut self, side: &mut ClientSide<'_>) {
        while !self.asks.is_empty()
            && side.now() >= self.ask_at
            && (self.awaited.is_empty() || self.pace.pipelines)
        {
            let Some(ask) = self.asks.pop_front() else { return };
            self.outbox.extend(&ask.request);
            self.awaited.push_back((Reader::new(ask.expected), ask.last));
        }
    }

    fn send(&mut self, side: &mut ClientSide<'_>) {
        if self.outbox.is_empty() || self.holds_back() || side.now() < self.send_at {
            return;
        }
        let most = match self.manners {
            Manners::Drips => 1,
            _ => self.outbox.len(),
        };
        let piece = if side.random().bool() { most } else { side.random().usize(1..=most) };
        let bytes: Vec<u8> = self.outbox.drain(..piece).collect();
        self.sent += bytes.len();
        side.send(&bytes);
        if self.outbox.is_empty() && self.awaited.len() == 1 && !self.pace.pipelines {
            self.sent_at = Some(side.now());
        }
        let pause = match self.manners {
            Manners::Drips => SECOND,
            _ => side.random().u64(1..=self.pace.send_pause),
        };
        self.send_at = side.now() + pause;
    }

    /// The end of a head never goes out from one who drips.
    fn holds_back(&self) -> bool {
        self.manners == Manners::Drips && self.outbox.len() <= 2
    }

    /// Says the last byte as soon as the last request is really out.
    fn half_close(&mut self, side: &mut ClientSide<'_>) {
        let all_out = self.outbox.is_empty() && self.asks.is_empty() && !side.is_handshaking();
        if self.manners == Manners::HalfClosed && all_out && !self.finished {
            self.finished = true;
            side.finish();
        }
    }

    /// What arrived counts, however late it is read.
    fn note_wait(&mut self, side: &mut ClientSide<'_>) {
        if side.arrived() > 0
            && let Some(sent_at) = self.sent_at.take()
        {
            self.longest_wait = self.longest_wait.max(side.now() - sent_at);
        }
    }

    fn read(&mut self, side: &mut ClientSide<'_>) {
        if side.now() < self.read_at || side.arrived() == 0 {
            return;
        }
        let bytes = side.read(self.pace.read_bytes);
        self.read += bytes.len();
        self.read_at = side.now() + self.pace.read_every;
        if let Some(trouble) = side.tls_trouble() {
            self.complaint = Some(Complaint::Wrong(format!("not TLS: {trouble}")));
            return;
        }
        let mut left = bytes.as_slice();
        while !left.is_empty() && self.complaint.is_none() {
            let Some((reader, last)) = self.awaited.front_mut() else {
                let text = format!("{} bytes that nobody asked for", left.len());
                self.complaint = Some(Complaint::Wrong(text));
                return;
            };
            let last = *last;
            match reader.take(&mut left, &self.shelf) {
                Progress::More => {}
                Progress::Bad(complaint) => self.complaint = Some(complaint),
                Progress::Done { closes } => self.answered(closes, last, side),
            }
        }
    }

    fn answered(&mut self, closes: bool, last: bool, side: &mut ClientSide<'_>) {
        self.answers += 1;
        self.awaited.pop_front();
        self.ask_at = side.now() + side.random().u64(..=self.pace.think);
        if last && !closes {
            let text = "keeps a connection that it must close".to_owned();
            self.complaint = Some(Complaint::Wrong(text));
        } else if closes && !last && !(self.awaited.is_empty() && self.asks.is_empty()) {
            let text = format!("closes after {} answers", self.answers);
            self.complaint = Some(Complaint::Busy(text));
        } else if closes {
            self.asks.clear();
            self.outbox.clear();
            self.awaited.clear();
        }
    }

    /// What bad manners do at this moment; true when that was the last of this client.
    fn misbehave(&mut self, side: &mut ClientSide<'_>) -> bool {
        match self.manners {
            Manners::ResetsAfter(bytes) if self.read >= bytes => side.reset(),
            Manners::ResetsAfterSending(bytes) if self.sent >= bytes => side.reset(),
            Manners::Vanishes(bytes) if self.read >= bytes => {}
            _ => return false,
        }
        true
    }

    fn end(&mut self, side: &mut ClientSide<'_>) {
        if self.complaint.is_some() {
            side.reset();
            self.done = true;
            return;
        }
        match side.server_end() {
            ServerEnd::Open => {}
            ServerEnd::Finished | ServerEnd::Reset => {
                self.done = true;
                if let Some((reader, _)) = self.awaited.front()
                    && self.manners.is_polite()
                {
                    self.complaint = Some(reader.unanswered());
                }
                return side.finish();
            }
        }
        if self.asks.is_empty() && self.outbox.is_empty() && self.awaited.is_empty() {
            self.done = true;
            side.finish();
        }
    }
}

impl Client for Viewer {
    fn wake(&mut self, side: &mut ClientSide<'_>) {
        self.ask(side);
        self.send(side);
        self.note_wait(side);
        self.read(side);
        self.half_close(side);
        if self.misbehave(side) {
            self.done = true;
            return;
        }
        self.end(side);
        if self.done {
            return;
        }
        let now = side.now();
        let wants = [
            (!self.holds_back() && !self.outbox.is_empty()).then_some(self.send_at),
            (side.arrived() > 0).then_some(self.read_at),
            (!self.asks.is_empty() && self.awaited.is_empty()).then_some(self.ask_at),
        ];
        if let Some(at) = wants.into_iter().flatten().min() {
            side.wake_after(at.saturating_sub(now));
        }
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn is_polite(&self) -> bool {
        self.manners.is_polite()
    }

    fn complaint(&self) -> Option<&Complaint> {
        self.complaint.as_ref()
    }

    fn describe(&self) -> String {
        let Self { manners, pace, asks, outbox, awaited, read, sent, answers, .. } = self;
        format!(
            "{manners:?}, {pace:?}: {answers} answers, {read} bytes read, {sent} sent, {} to send, \
             {} requests waiting and {} to come; next: {:?}",
            outbox.len(),
            awaited.len(),
            asks.len(),
            awaited.front().map(|(reader, _)| reader.unanswered()),
        )
    }

    fn longest_wait(&self) -> Moment {
        self.longest_wait
    }

    fn answers(&self) -> usize {
        self.answers
    }
}
