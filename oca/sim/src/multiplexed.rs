//! A scripted client of HTTP/2: many streams at once, windows of its own making, resets in the
//! middle of answers, floods. It holds every byte against the shelf and every frame against RFC
//! 9113, and never sends a request after which a connection of HTTP/1.1 would end.

mod awaited;
mod floods;
mod frames;
mod hpack;
mod judge;

use std::collections::VecDeque;
use std::sync::Arc;

use fastrand::Rng;
use oca_http::h2::Decoder;

use crate::agenda::Moment;
use crate::answer::Complaint;
use crate::client::{Client, ClientSide, ServerEnd};
use crate::script;
use crate::shelf::Shelf;
use crate::viewer::Pace;
use crate::weather::SECOND;
use awaited::Awaited;
pub use awaited::Plan;
pub use floods::Flood;
use frames::{
    CANCEL, END_HEADERS, END_STREAM, Frame, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, fields_of, frame,
};
use hpack::Encoder;

/// A window of nothing but crumbs would take a frame a byte: an answer takes at most so many.
const FRAMES_MAX: usize = 300;
const WINDOW_BYTES: u32 = 65_535;

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// Reads everything it still wants, then says goodbye.
    Polite,
    /// Tears the connection down after reading so many bytes.
    ResetsAfter(usize),
    /// Neither reads nor sends after reading so many bytes, and never says so.
    Vanishes(usize),
    /// Sends a flood behind its first requests.
    Floods(Flood),
    /// Turns a bit of what it sends, this far from its first byte.
    Garbles(usize),
}

impl Conduct {
    /// Any but polite ones.
    pub fn draw_rude(random: &mut Rng) -> Self {
        let some = random.usize(..200_000) >> random.u32(..18);
        match random.u8(..4) {
            0 => Self::ResetsAfter(some),
            1 => Self::Vanishes(some),
            2 => Self::Floods(Flood::draw(random)),
            _ => Self::Garbles(PREFACE.len() + random.usize(..800)),
        }
    }
}

/// What a client lets the server send before it has read any of it.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// Of each stream, bytes.
    pub stream: u32,
    /// Of the connection beyond what it begins with, bytes.
    pub more: u32,
    /// Read this much, and it is given back.
    pub step: usize,
    /// Streams at once.
    pub at_once: usize,
}

impl Windows {
    /// Any that let everything in `plans` through in a bearable number of frames.
    pub fn draw(plans: &[Plan], pace: &Pace, random: &mut Rng) -> Self {
        let media = |plan: &Plan| {
            let body = plan
                .ask
                .expected
                .body
                .as_ref()
                .map_or(0, |body| body.ranges.iter().map(ExactSizeIterator::len).sum());
            body + 2_000
        };
        let least = plans.iter().map(media).sum::<usize>() / FRAMES_MAX + 1;
        let stream = match random.u8(..5) {
            0 => least + random.usize(..16),
            1 => least + random.usize(..20_000),
            2 => 1 << random.usize(16..24),
            _ => WINDOW_BYTES as usize,
        };
        // Who reads in sips gives back every sip: a window that stays shut for twenty seconds is
        // taken for one that nobody will open.
        let sips = pace.read_every > SECOND / 100;
        let most = stream.min(WINDOW_BYTES as usize / 2);
        let step = if sips { 1 } else { random.usize(1..=most) };
        Self {
            stream: u32::try_from(stream).expect("at most 2^24"),
            more: if random.bool() { 0 } else { random.u32(..1 << 24) },
            step: step.max(least.min(most)),
            at_once: random.usize(1..8),
        }
    }
}

/// The client.
pub struct Streamer {
    shelf: Arc<Shelf>,
    conduct: Conduct,
    pace: Pace,
    windows: Windows,
    plans: VecDeque<Plan>,
    streams: Vec<Awaited>,
    /// Streams that we reset: what comes for them is passed over.
    given_up: Vec<u32>,
    outbox: VecDeque<u8>,
    inbox: Vec<u8>,
    encoder: Encoder,
    decoder: Decoder,
    /// What the server may send on all streams together, and what it used of it.
    window: i64,
    used: usize,
    /// When that was given back last.
    opened_at: Moment,
    /// It was once so long ago that the server may have thought that nobody would.
    was_shut: bool,
    next_id: u32,
    settings_unheard: u32,
    pings: VecDeque<[u8; 8]>,
    has_heard_settings: bool,
    /// Of the server's GOAWAY: the last stream it answers, and why.
    leaving: Option<(u32, u32)>,
    has_flooded: bool,
    read_at: Moment,
    send_at: Moment,
    ask_at: Moment,
    read: usize,
    sent: usize,
    answers: usize,
    complaint: Option<Complaint>,
    sent_at: Option<Moment>,
    longest_wait: Moment,
    done: bool,
}

impl Streamer {
    /// A client that will ask for all of `plans`, in order, several at once.
    #[must_use]
    pub fn new(
        shelf: Arc<Shelf>,
        plans: Vec<Plan>,
        conduct: Conduct,
        (pace, windows): (Pace, Windows),
    ) -> Self {
        let mut settings = Vec::new();
        for (name, value) in [(2u16, 0u32), (4, windows.stream)] {
            settings.extend_from_slice(&name.to_be_bytes());
            settings.extend_from_slice(&value.to_be_bytes());
        }
        let mut outbox: VecDeque<u8> = PREFACE.iter().copied().collect();
        outbox.extend(frame(SETTINGS, 0, 0, &settings));
        if windows.more > 0 {
            outbox.extend(frame(WINDOW_UPDATE, 0, 0, &windows.more.to_be_bytes()));
        }
        Self {
            shelf,
            conduct,
            pace,
            windows,
            plans: plans.into(),
            streams: Vec::new(),
            given_up: Vec::new(),
            outbox,
            inbox: Vec::new(),
            encoder: Encoder::default(),
            decoder: Decoder::default(),
            window: i64::from(WINDOW_BYTES) + i64::from(windows.more),
            used: 0,
            opened_at: 0,
            was_shut: false,
            next_id: 1,
            settings_unheard: 1,
            pings: VecDeque::new(),
            has_heard_settings: false,
            leaving: None,
            has_flooded: false,
            read_at: 0,
            send_at: 0,
            ask_at: 0,
            read: 0,
            sent: 0,
            answers: 0,
            complaint: None,
            sent_at: None,
            longest_wait: 0,
            done: false,
        }
    }

    /// One by chance.
    pub fn draw(shelf: &Arc<Shelf>, is_rude: bool, random: &mut Rng) -> Self {
        let conduct = if is_rude { Conduct::draw_rude(random) } else { Conduct::Polite };
        let plan = |random: &mut Rng| {
            let ask = script::draw_kept(shelf, random);
            let some = random.usize(..400_000) >> random.u32(..16);
            Plan {
                ask,
                cancel_after: (random.u8(..6) == 0).then_some(some),
                shuts: random.u8(..12) == 0,
            }
        };
        let plans: Vec<Plan> = (0..random.u32(1..7)).map(|_| plan(random)).collect();
        let pace = Pace::draw(random);
        let windows = Windows::draw(&plans, &pace, random);
        Self::new(Arc::clone(shelf), plans, conduct, (pace, windows))
    }

    fn ask(&mut self, side: &mut ClientSide<'_>) {
        while self.streams.len() < self.windows.at_once
            && side.now() >= self.ask_at
            && self.leaving.is_none()
        {
            let Some(plan) = self.plans.pop_front() else { return };
            let id = self.next_id;
            // A number that is passed over is as good as used.
            self.next_id += 2 * side.random().u32(1..3);
            let block = self.encoder.block(&fields_of(&plan.ask.request), side.random());
            self.put_head(id, &block, side.random());
            if side.random().u8(..8) == 0 {
                let ping = side.random().u64(..).to_be_bytes();
                self.pings.push_back(ping);
                self.outbox.extend(frame(PING, 0, 0, &ping));
            }
            self.streams.push(Awaited::new(id, plan, i64::from(self.windows.stream), side.now()));
            if side.random().u8(..16) == 0 {
                self.widen(side.random());
            }
        }
    }

    /// A block in one frame or several.
    fn put_head(&mut self, id: u32, block: &[u8], random: &mut Rng) {
        let cut = if random.u8(..4) == 0 { random.usize(..=block.len()) } else { block.len() };
        let (first, rest) = block.split_at(cut);
        let ends = if rest.is_empty() { END_HEADERS } else { 0 };
        self.outbox.extend(frame(HEADERS, END_STREAM | ends, id, first));
        if !rest.is_empty() {
            self.outbox.extend(frame(frames::CONTINUATION, END_HEADERS, id, rest));
        }
    }

    /// Wider windows for all streams. Narrower ones would be used in good faith until they are
    /// heard.
    fn widen(&mut self, random: &mut Rng) {
        let by = random.u32(1..100_000);
        self.windows.stream += by;
        let value = self.windows.stream.to_be_bytes();
        self.outbox.extend(frame(SETTINGS, 0, 0, &[&[0, 4], &value[..]].concat()));
        self.settings_unheard += 1;
        for stream in &mut self.streams {
            stream.window += i64::from(by);
        }
    }

    fn flood(&mut self, side: &mut ClientSide<'_>) {
        let Conduct::Floods(flood) = self.conduct else { return };
        if self.plans.is_empty() && !self.has_flooded {
            self.has_flooded = true;
            let bytes = flood.bytes(self.next_id, side.random());
            self.outbox.extend(bytes);
        }
    }

    fn send(&mut self, side: &mut ClientSide<'_>) {
        if self.outbox.is_empty() || side.now() < self.send_at {
            return;
        }
        let most = self.outbox.len();
        let piece = if side.random().bool() { most } else { side.random().usize(1..=most) };
        let mut bytes: Vec<u8> = self.outbox.drain(..piece).collect();
        if let Conduct::Garbles(at) = self.conduct
            && let Some(byte) = at.checked_sub(self.sent).and_then(|at| bytes.get_mut(at))
        {
            *byte ^= 1 << side.random().u32(..8);
        }
        if self.sent == 0 {
            self.opened_at = side.now();
        }
        self.sent += bytes.len();
        side.send(&bytes);
        let first_awaited = self.streams.first().is_some_and(|stream| !stream.has_begun());
        // A bit turned in a length: the server rightly waits for the rest of a longer frame.
        let asks_clearly = !matches!(self.conduct, Conduct::Garbles(_));
        if self.outbox.is_empty() && first_awaited && self.windows.at_once == 1 && asks_clearly {
            self.sent_at.get_or_insert(side.now());
        }
        self.send_at = side.now() + side.random().u64(1..=self.pace.send_pause);
    }

    /// What arrived counts, however late it is read.
    fn note_wait(&mut self, side: &mut ClientSide<'_>) {
        if self.streams.is_empty() {
            self.sent_at = None;
        }
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
            return self.complain(Complaint::Wrong(format!("not TLS: {trouble}")));
        }
        self.inbox.extend_from_slice(&bytes);
        while self.complaint.is_none() {
            match Frame::take(&mut self.inbox) {
                Ok(None) => break,
                Ok(Some(frame)) => self.take(&frame, side),
                Err(text) => return self.complain(Complaint::Wrong(text)),
            }
        }
    }

    fn complain(&mut self, complaint: Complaint) {
        // Who sends nonsense may be told anything, as long as it is no other's bytes.
        if !matches!(self.conduct, Conduct::Garbles(_)) {
            self.complaint.get_or_insert(complaint);
        }
    }

    fn give_up(&mut self, at: usize) {
        let stream = self.streams.remove(at);
        self.given_up.push(stream.id);
        self.outbox.extend(frame(RST_STREAM, 0, stream.id, &CANCEL.to_be_bytes()));
    }

    fn end(&mut self, side: &mut ClientSide<'_>) {
        if self.complaint.is_some() {
            side.reset();
            self.done = true;
            return;
        }
        if side.server_end() != ServerEnd::Open {
            self.done = true;
            self.judge_end(side.server_end());
            return side.finish();
        }
        let has_all = self.plans.is_empty() && self.streams.is_empty();
        if self.has_to_be_told_to_go() {
            return;
        }
        if has_all && self.outbox.is_empty() {
            self.done = true;
            side.finish();
        }
    }

    fn has_to_be_told_to_go(&self) -> bool {
        matches!(self.conduct, Conduct::Floods(_)) && self.leaving.is_none()
    }

    /// What bad manners do at this moment; true when that was the last of this client.
    fn misbehave(&mut self, side: &mut ClientSide<'_>) -> bool {
        match self.conduct {
            Conduct::ResetsAfter(bytes) if self.read >= bytes => side.reset(),
            Conduct::Vanishes(bytes) if self.read >= bytes => {}
            _ => return false,
        }
        true
    }
}

impl Client for Streamer {
    fn wake(&mut self, side: &mut ClientSide<'_>) {
        self.ask(side);
        self.flood(side);
        self.send(side);
        self.note_wait(side);
        self.read(side);
        if self.misbehave(side) {
            self.done = true;
            return;
        }
        self.end(side);
        if self.done {
            return;
        }
        let now = side.now();
        let may_ask = !self.plans.is_empty() && self.streams.len() < self.windows.at_once;
        let wants = [
            (!self.outbox.is_empty()).then_some(self.send_at),
            (side.arrived() > 0).then_some(self.read_at),
            may_ask.then_some(self.ask_at),
        ];
        if let Some(at) = wants.into_iter().flatten().min() {
            side.wake_after(at.saturating_sub(now));
        }
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn is_polite(&self) -> bool {
        self.conduct == Conduct::Polite
    }

    fn complaint(&self) -> Option<&Complaint> {
        self.complaint.as_ref()
    }

    fn describe(&self) -> String {
        let Self { conduct, pace, windows, plans, outbox, read, sent, answers, .. } = self;
        let streams: Vec<_> =
            self.streams.iter().map(|s| (s.window, s.used, s.unanswered("open"))).collect();
        format!(
            "{conduct:?}, {pace:?}, {windows:?}: {answers} answers, {read} bytes read, {sent} sent, \
             {} to send, {} requests to come; the window is {} with {} to give back, left: {:?}; \
             streams: {streams:?}",
            outbox.len(),
            plans.len(),
            self.window,
            self.used,
            self.leaving,
        )
    }

    fn speaks_h2(&self) -> bool {
        true
    }

    fn longest_wait(&self) -> Moment {
        self.longest_wait
    }

    fn answers(&self) -> usize {
        self.answers
    }
}
