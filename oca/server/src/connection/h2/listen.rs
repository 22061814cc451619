//! Frames in: requests become members, streams that ended lose theirs. It sends nothing.

use oca_http::h2::{Event, Failed};
use oca_http::{HeadError, Outcome};
use oca_sys::Kernel;

use super::Multiplex;
use super::lane::Lane;
use super::member::{Answer, Member};
use crate::connection::read::{self, Refusal};
use crate::connection::send::refused;
use crate::connection::{Connection, turn};
use crate::outcome::{CloseReason, Ending};
use crate::protocol::GoAway;
use crate::worker::Station;

impl Multiplex {
    /// Takes in the frames that have come; true when there were any bytes of them.
    pub(super) fn listen<K: Kernel>(
        &mut self,
        connection: &mut Connection,
        station: &mut Station<K>,
    ) -> bool {
        let mut plain = std::mem::take(&mut connection.plain);
        let mut at = 0;
        while self.failed.is_none() {
            let taken = match self.session.take(&plain[at..]) {
                Ok(taken) => taken,
                Err(Failed(code)) => {
                    self.failed = Some(CloseReason::Malformed);
                    let why = GoAway::of(code, self.session.breach());
                    station.counters.protocols.go_away(why);
                    self.abandon(connection, station, Ending::ClientGone);
                    at = plain.len();
                    break;
                }
            };
            at += taken.bytes;
            match taken.event {
                None => break,
                Some(Event::Request { stream, head }) => {
                    self.begin(connection, station, stream, head);
                }
                Some(Event::Reset { stream }) => {
                    self.lose(connection, station, stream, Ending::ClientGone);
                }
            }
        }
        station.counters.protocols.resets(self.session.take_resets());
        if self.session.take_opened_window() {
            self.idle_since = station.now();
        }
        plain.drain(..at);
        connection.plain = plain;
        let is_half = self.session.streams() > self.members.len();
        self.half_since = is_half.then(|| self.half_since.unwrap_or(station.now()));
        // A frame that was begun behind another has its own time.
        let same = self.begun_since.filter(|_| at == 0 || !self.session.is_between_frames());
        self.begun_since = self.has_begun(connection).then(|| same.unwrap_or(station.now()));
        at > 0
    }

    /// Whether a frame, a block of fields or the preface has no end yet.
    fn has_begun(&self, connection: &Connection) -> bool {
        !self.session.is_between_frames() || !connection.plain.is_empty()
    }

    /// The life of a request, in the same order as in HTTP/1.1.
    fn begin<K: Kernel>(
        &mut self,
        connection: &mut Connection,
        station: &mut Station<K>,
        stream: u32,
        head: Vec<u8>,
    ) {
        let turned = match read::request(&head, station) {
            Ok(Some(request)) => turn(request, connection.peer, station),
            // A session hands out whole heads; half of one is as malformed as any.
            Ok(None) => {
                let note = read::Note::blank(head.len(), station.now());
                Err(Refusal::new(note, Outcome::BadHead(HeadError::RequestLine)))
            }
            Err(refusal) => Err(refusal),
        };
        connection.requests += 1;
        self.idle_since = station.now();
        let answer = match turned {
            Ok(mut turn) => {
                let rules = &station.shared.rules;
                let lane = Lane::take(&mut turn, &head, rules, station.now());
                (Answer::Fetching(Box::new(turn)), lane)
            }
            Err(refusal) => (Answer::Sending(Box::new(refused(*refusal))), None),
        };
        station.counters.protocols.streams.add(1);
        self.members.push(Member::new(stream, head, answer, station.now()));
    }
}
