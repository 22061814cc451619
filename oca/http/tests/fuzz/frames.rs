//! HTTP/2: whatever comes, however it is cut, a session says the same, owes a bounded amount, and
//! never sends past a window.

use oca_http::h2::{
    CONTROL_BYTES_MAX, Event, FRAME_BYTES_MAX, FRAME_HEAD_BYTES, Failed, FrameHead, PREFACE,
    STREAMS_MAX, Session,
};

use crate::engine::{Rng, Target, run};

const PIECES: &[&[u8]] = &[
    b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"\x00\x00\x00\x04\x01\x00\x00\x00\x00",
    b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x10\x00",
    b"\x00\x00\x04\x08\x00\x00\x00\x00\x01\x00\x00\x10\x00",
    b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08",
    b"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678",
    b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x01",
    b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x7f\xff\xff\xff",
    b"\x00\x00\x05\x00\x01\x00\x00\x00\x01hello",
    b"\x82\x86\x84\x41\x01a",
    b"\x3f\xe1\x1f",
    b"\x40\x01a\x01b",
    b"\xbe",
    b"\x00\x01a\x81\x1f",
];

/// A request's fields, in a block without a table.
const BLOCK: &[u8] = b"\x82\x87\x84\x41\x01a\x00\x05range\x09bytes=0-1";

#[test]
fn h2_frames_are_survived_and_windows_kept() {
    run(&Target { name: "h2", seeds: seeds(), pieces: PIECES, reshape, check });
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let head = FrameHead { bytes: payload.len(), kind, flags, stream };
    [&head.to_bytes()[..], payload].concat()
}

fn seeds() -> Vec<Vec<u8>> {
    let settings = frame(4, 0, 0, &[0, 4, 0, 0, 0, 100, 0, 5, 0, 0, 0x40, 0]);
    let hello = [PREFACE, &settings[..]].concat();
    let with = |frames: &[Vec<u8>]| [hello.clone(), frames.concat()].concat();
    let (first, second) = BLOCK.split_at(4);
    let padded = [&[3][..], BLOCK, &[0, 0, 0]].concat();
    let weighted = [&[0, 0, 0, 0, 7][..], BLOCK].concat();
    vec![
        hello.clone(),
        with(&[frame(1, 5, 1, BLOCK), frame(1, 5, 3, BLOCK), frame(8, 0, 0, &[0, 1, 0, 0])]),
        with(&[frame(1, 1, 1, first), frame(9, 4, 1, second)]),
        with(&[frame(1, 4, 1, BLOCK), frame(0, 0, 1, b"abc"), frame(1, 5, 1, b"\x00\x01a\x01b")]),
        with(&[frame(1, 5 | 8, 1, &padded), frame(3, 0, 1, &[0, 0, 0, 8])]),
        with(&[frame(1, 5 | 32, 1, &weighted), frame(2, 0, 1, &[0, 0, 0, 0, 3])]),
        with(&[frame(6, 0, 0, b"12345678"), frame(7, 0, 0, &[0; 8]), frame(11, 9, 9, b"?")]),
        with(&[frame(1, 5, 1, BLOCK), frame(8, 0, 1, &[0x7f, 0xff, 0xff, 0xff])]),
    ]
}

/// Takes a frame out, doubles it, moves it, or changes one of its fields with its length kept
/// right.
fn reshape(bytes: &mut Vec<u8>, rng: &mut Rng) -> bool {
    let mut frames: Vec<Vec<u8>> = Vec::new();
    let mut left = bytes.strip_prefix(&PREFACE[..]).unwrap_or(bytes);
    while let Some(head) = FrameHead::read(left) {
        let Some(frame) = left.get(..FRAME_HEAD_BYTES + head.bytes) else { break };
        frames.push(frame.to_vec());
        left = &left[frame.len()..];
    }
    if frames.is_empty() {
        return false;
    }
    let (at, other) = (rng.below(frames.len()), rng.below(frames.len()));
    match rng.below(6) {
        0 => drop(frames.remove(at)),
        1 => frames.insert(other, frames[at].clone()),
        2 => frames.swap(at, other),
        3 => frames[at][3] = rng.below(11) as u8,
        4 => frames[at][4] ^= 1 << rng.below(6),
        _ => frames[at][8] = *rng.pick(&[0, 1, 2, 3, 5, 7, 9, 255]),
    }
    let again = [&PREFACE[..], &frames.concat(), left].concat();
    *bytes = again;
    true
}

fn check(bytes: &[u8], rng: &mut Rng) -> String {
    let mut whole = Peer::new();
    whole.hear(bytes);
    let mut cut = Peer::new();
    let mut left = bytes;
    while !left.is_empty() {
        let (piece, rest) = left.split_at(1 + rng.below(left.len()));
        cut.hear(piece);
        left = rest;
    }
    assert_eq!(whole.said, cut.said, "a cut changed what was heard");
    whole.said.truncate(64);
    whole.said
}

/// A session, and whoever answers its requests, with the windows counted once more.
struct Peer {
    session: Session,
    /// Heard and not yet taken.
    heard: Vec<u8>,
    said: String,
}

impl Peer {
    fn new() -> Self {
        Self { session: Session::new(), heard: Vec::new(), said: String::new() }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
        let heard = std::mem::take(&mut self.heard);
        let mut at = 0;
        loop {
            let taken = match self.session.take(&heard[at..]) {
                Ok(taken) => taken,
                Err(Failed(code)) => {
                    if !self.said.contains("failed") {
                        self.owes(&format!("failed {code:?}"));
                    }
                    assert_eq!(self.session.take(b""), Err(Failed(code)), "it stays failed");
                    return;
                }
            };
            assert!(taken.bytes <= heard.len() - at);
            at += taken.bytes;
            match taken.event {
                None => break,
                Some(Event::Reset { stream }) => self.owes(&format!("reset {stream}")),
                Some(Event::Request { stream, head }) => self.answer(stream, &head),
            }
        }
        assert!(heard.len() - at <= FRAME_BYTES_MAX + FRAME_HEAD_BYTES, "more than a frame waits");
        self.heard = heard[at..].to_vec();
        assert!(self.session.streams() <= STREAMS_MAX);
    }

    /// Every request is answered at once, as far as the windows go.
    fn answer(&mut self, stream: u32, head: &[u8]) {
        let bytes = head.len();
        let word = match oca_http::Head::parse(head) {
            Ok(Some((head, end))) => {
                assert_eq!(end, bytes, "a head is taken to its end");
                format!("{:?}", head.method)
            }
            Ok(None) => panic!("half a head: {:?}", head.escape_ascii().to_string()),
            Err(error) => error.word().to_owned(),
        };
        self.session.head(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", false);
        let room = self.session.room(stream);
        assert!(room <= FRAME_BYTES_MAX);
        let sent = room.min(5);
        self.session.body_head(stream, sent, false);
        assert!(self.session.room(stream) <= FRAME_BYTES_MAX);
        if sent < 5 {
            assert_eq!(self.session.room(stream), 0, "past a window");
        } else {
            self.session.body_head(stream, 0, true);
        }
        self.owes(&format!("{stream} {word} {}", sent == 5));
    }

    /// What waits to be sent is whole frames and not too much; it is taken away.
    fn owes(&mut self, what: &str) {
        let control = std::mem::take(self.session.control());
        assert!(control.len() <= CONTROL_BYTES_MAX + FRAME_BYTES_MAX, "{}", control.len());
        let mut left = &control[..];
        let mut kinds = String::new();
        while let Some(head) = FrameHead::read(left) {
            left = left.get(FRAME_HEAD_BYTES + head.bytes..).expect("whole frames");
            if kinds.len() < 12 {
                kinds.push(char::from(b'0' + head.kind));
            }
        }
        assert!(left.is_empty(), "half a frame is owed");
        self.said += &format!("{what} [{kinds}];");
    }
}
