//! What each frame of the server means to the client: whether it may come now, what is answered to
//! it, and what is wrong with it. It sends nothing by itself: it fills the outbox.

use super::awaited::Came;
use super::frames::{
    ACK, CANCEL, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, GOAWAY, HEADERS,
    INTERNAL_ERROR, PING, REFUSED_STREAM, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame,
};
use super::{Conduct, Streamer};
use crate::agenda::Moment;
use crate::answer::Complaint;
use crate::client::{ClientSide, ServerEnd};
use crate::weather::SECOND;

/// Who has opened no window for this long may be left: what it takes the server to think so, less
/// what it takes a frame to arrive.
const SHUT_FAIR: Moment = 15 * SECOND;

impl Streamer {
    pub(super) fn take(&mut self, frame: &Frame, side: &mut ClientSide<'_>) {
        if !self.has_heard_settings && frame.kind != SETTINGS {
            return self.wrong(frame, "before the server's settings");
        }
        match frame.kind {
            SETTINGS => self.take_settings(frame),
            PING => self.take_ping(frame),
            WINDOW_UPDATE if frame.number(0).is_some_and(|by| by > 0) => {}
            GOAWAY => self.take_go_away(frame, side.now()),
            HEADERS | DATA | RST_STREAM => self.take_stream(frame, side),
            _ => self.wrong(frame, "of a kind that has no place here"),
        }
    }

    fn wrong(&mut self, frame: &Frame, what: &str) {
        let Frame { kind, flags, stream, payload } = frame;
        let bytes = payload.len();
        let text = format!("a frame {what}: {kind}, flags {flags}, stream {stream}, {bytes} bytes");
        self.complain(Complaint::Wrong(text));
    }

    fn take_settings(&mut self, heard: &Frame) {
        if heard.stream != 0 || !heard.payload.len().is_multiple_of(6) {
            return self.wrong(heard, "of settings that is none");
        }
        if !heard.has(ACK) {
            self.has_heard_settings = true;
            self.outbox.extend(frame(SETTINGS, ACK, 0, &[]));
        } else if matches!(self.conduct, Conduct::Floods(_)) {
        } else if self.settings_unheard == 0 {
            self.wrong(heard, "for settings that nobody sent");
        } else {
            self.settings_unheard -= 1;
        }
    }

    fn take_ping(&mut self, heard: &Frame) {
        if !heard.has(ACK) {
            return self.outbox.extend(frame(PING, ACK, 0, &heard.payload));
        }
        let is_flooding = matches!(self.conduct, Conduct::Floods(_));
        let sent = self.pings.pop_front();
        if !is_flooding && sent.is_none_or(|sent| sent[..] != heard.payload) {
            self.wrong(heard, "for a ping that nobody sent");
        }
    }

    fn take_go_away(&mut self, heard: &Frame, now: Moment) {
        let (Some(last), Some(code)) = (heard.number(0), heard.number(4)) else {
            return self.wrong(heard, "of farewell that is none");
        };
        self.leaving = Some((last, code));
        let (kept, late): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.streams).into_iter().partition(|stream| stream.id <= last);
        self.streams = kept;
        self.given_up.extend(late.iter().map(|stream| stream.id));
        let late = !late.is_empty() || !self.plans.is_empty();
        self.plans.clear();
        if code == 0 {
            // What it has not begun, somebody else may be asked for.
            if late && self.conduct == Conduct::Polite {
                let text = format!("leaves after {} answers", self.answers);
                self.complain(Complaint::Busy(text));
            }
            return;
        }
        match self.conduct {
            Conduct::Floods(_) if code == ENHANCE_YOUR_CALM => {}
            // The server is right to.
            _ if code == ENHANCE_YOUR_CALM && self.may_seem_shut(self.opened_at, now) => {
                self.streams.clear();
            }
            // A machine that stood still may think so too.
            _ if code == ENHANCE_YOUR_CALM => {
                let said = "told to calm down".to_owned();
                self.complain(Complaint::Unanswered { sample: None, said });
            }
            _ => self.wrong(heard, &format!("that ends the connection with {code}")),
        }
    }

    fn take_stream(&mut self, frame: &Frame, side: &mut ClientSide<'_>) {
        let fields = match frame.kind {
            // The tables of both ends must not part, whoever it is for.
            HEADERS => match self.read_block(frame) {
                Some(fields) => fields,
                None => return self.wrong(frame, "whose header block cannot be read"),
            },
            DATA => {
                self.take_window(frame, side.now());
                Vec::new()
            }
            _ => Vec::new(),
        };
        let Some(at) = self.streams.iter().position(|stream| stream.id == frame.stream) else {
            let is_late = self.given_up.contains(&frame.stream);
            let is_flood = matches!(self.conduct, Conduct::Floods(_));
            if !is_late && !is_flood {
                self.wrong(frame, "for a stream that is not awaited");
            }
            return;
        };
        let ends = frame.has(END_STREAM);
        let came = match frame.kind {
            HEADERS => self.streams[at].head(&fields, ends, &self.shelf),
            DATA => self.streams[at].body(frame, ends, &self.shelf),
            _ => return self.take_reset(frame, at, side.now()),
        };
        match came {
            Came::Bad(complaint) => {
                self.streams.remove(at);
                self.given_up.push(frame.stream);
                self.complain(complaint);
            }
            Came::Done => {
                self.streams.remove(at);
                self.answers += 1;
                self.ask_at = side.now() + side.random().u64(..=self.pace.think);
            }
            Came::More => self.go_on(at, side.now()),
        }
    }

    fn read_block(&mut self, frame: &Frame) -> Option<Vec<(String, String)>> {
        if frame.flags & !(END_STREAM | END_HEADERS) != 0 || !frame.has(END_HEADERS) {
            return None;
        }
        let mut fields = Vec::new();
        let read = self.decoder.block(&frame.payload, &mut |name, value| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            fields.push((text(name), text(value)));
        });
        read.ok().map(|()| fields)
    }

    /// What any stream's bytes take of the connection's window, and when that is given back.
    fn take_window(&mut self, heard: &Frame, now: Moment) {
        let bytes = heard.payload.len();
        self.window -= bytes as i64;
        self.used += bytes;
        if self.window < 0 {
            return self.wrong(heard, "beyond the window of the connection");
        }
        if self.used >= self.windows.step {
            let by = u32::try_from(std::mem::take(&mut self.used)).expect("of a window");
            self.window += i64::from(by);
            self.was_shut |= now.saturating_sub(self.opened_at) > SHUT_FAIR;
            self.opened_at = now;
            self.outbox.extend(frame(WINDOW_UPDATE, 0, 0, &by.to_be_bytes()));
        }
    }

    /// The answer goes on: more of it is let come, or it is not wanted any more.
    fn go_on(&mut self, at: usize, now: Moment) {
        let stream = &mut self.streams[at];
        if stream.cancel_after.is_some_and(|after| stream.read >= after) {
            return self.give_up(at);
        }
        if stream.used >= self.windows.step && !stream.shuts {
            let by = u32::try_from(std::mem::take(&mut stream.used)).expect("of a window");
            stream.window += i64::from(by);
            stream.opened_at = now;
            let id = stream.id;
            self.outbox.extend(frame(WINDOW_UPDATE, 0, id, &by.to_be_bytes()));
        }
    }

    /// Whether the server may think that nobody opens a window. Its word may be long on its way to
    /// who reads in sips, behind all that the path holds.
    fn may_seem_shut(&self, opened_at: Moment, now: Moment) -> bool {
        now.saturating_sub(opened_at) > SHUT_FAIR || self.reads_in_sips()
    }

    fn reads_in_sips(&self) -> bool {
        self.pace.read_every > SECOND / 100
    }

    fn take_reset(&mut self, frame: &Frame, at: usize, now: Moment) {
        let stream = self.streams.remove(at);
        let Some(code) = frame.number(0) else { return self.wrong(frame, "of no error") };
        match code {
            // The server is right to.
            CANCEL if self.may_seem_shut(stream.opened_at, now) => {}
            CANCEL | INTERNAL_ERROR => {
                self.complain(stream.unanswered(&format!("reset with {code}")));
            }
            REFUSED_STREAM => self.complain(Complaint::Busy("a refused stream".to_owned())),
            _ => self.wrong(frame, &format!("that ends a stream with {code}")),
        }
    }

    /// The server has ended the connection: did it owe anything?
    pub(super) fn judge_end(&mut self, end: ServerEnd) {
        match self.conduct {
            // It was right to, and its word is lost behind what was never read.
            Conduct::Polite if self.was_shut && self.reads_in_sips() => {}
            Conduct::Polite => {
                if let Some(stream) = self.streams.first() {
                    self.complaint = Some(stream.unanswered("the connection ended"));
                } else if !self.plans.is_empty() && self.leaving.is_none() {
                    self.complaint = Some(Complaint::Unanswered {
                        sample: None,
                        said: format!("{} requests were to come", self.plans.len()),
                    });
                }
            }
            // A word behind thousands of answers does not reach who reads in sips before the end.
            Conduct::Floods(_) if self.reads_in_sips() => {}
            Conduct::Floods(flood) if end == ServerEnd::Finished && self.leaving.is_none() => {
                let said = format!("ended without a word after {flood:?}");
                self.complaint = Some(Complaint::Unanswered { sample: None, said });
            }
            _ => {}
        }
    }
}
