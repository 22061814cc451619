//! What a hostile peer can make a session do, and for how long: each bound is reached and holds.
//! Conformance itself is held to by h2spec, in the tests of the server.

#![forbid(unsafe_code)]

mod bounds;

use oca_http::h2::{
    CONTINUATIONS_MAX, Code, Event, Failed, FrameHead, HEADER_BLOCK_BYTES_MAX, IDLE_FRAMES_MAX,
    PREFACE, RESETS_MAX, STREAMS_MAX, Session,
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// `GET https://a/`, without a table.
const BLOCK: &[u8] = b"\x82\x87\x84\x41\x01a";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let head = FrameHead { bytes: payload.len(), kind, flags, stream };
    [&head.to_bytes()[..], payload].concat()
}

/// A session past its preface, with nothing owed.
fn open() -> Session {
    let mut session = Session::new();
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])[..]].concat();
    assert_eq!(session.take(&hello).expect("well-formed").bytes, hello.len());
    session.control().clear();
    session
}

fn hear(session: &mut Session, bytes: &[u8]) -> Result<Option<Event>, Failed> {
    let taken = session.take(bytes)?;
    assert_eq!(taken.bytes, bytes.len(), "all of it");
    Ok(taken.event)
}

fn owed(session: &mut Session) -> Vec<(u8, u32)> {
    let control = std::mem::take(session.control());
    let (mut left, mut frames) = (&control[..], Vec::new());
    while let Some(head) = FrameHead::read(left) {
        frames.push((head.kind, head.stream));
        left = &left[9 + head.bytes..];
    }
    frames
}

/// Repeats `attack` until the session gives up; answers how often it took that, and why.
fn until_failure(
    session: &mut Session,
    mut attack: impl FnMut(&mut Session, u32) -> Result<(), Failed>,
) -> (u32, Code) {
    for round in 0..100_000 {
        if let Err(Failed(code)) = attack(session, round) {
            assert_eq!(owed(session).last(), Some(&(GOAWAY, 0)), "the peer is told");
            return (round, code);
        }
    }
    panic!("it never ended");
}

#[test]
fn rapid_resets_end_the_connection() {
    let mut session = open();
    let (rounds, code) = until_failure(&mut session, |session, round| {
        let id = round * 2 + 1;
        hear(session, &frame(HEADERS, 5, id, BLOCK))?;
        let event = hear(session, &frame(RST_STREAM, 0, id, &[0, 0, 0, 8]))?;
        assert_eq!(event, Some(Event::Reset { stream: id }));
        session.control().clear();
        Ok(())
    });
    assert_eq!((rounds, code), (RESETS_MAX, Code::EnhanceYourCalm));
}

#[test]
fn resets_that_we_are_made_to_send_count_as_well() {
    let mut session = open();
    let (rounds, code) = until_failure(&mut session, |session, round| {
        let id = round * 2 + 1;
        hear(session, &frame(HEADERS, 5, id, BLOCK))?;
        hear(session, &frame(WINDOW_UPDATE, 0, id, &[0; 4]))?;
        assert_eq!(owed(session), [(RST_STREAM, id)]);
        Ok(())
    });
    assert_eq!((rounds, code), (RESETS_MAX, Code::EnhanceYourCalm));
}

/// A viewer who skips about cancels often, and watches in between.
#[test]
fn resets_among_answers_are_nobodys_fault() {
    let mut session = open();
    for round in 0..2_000 {
        let id = round * 4 + 1;
        hear(&mut session, &frame(HEADERS, 5, id, BLOCK)).expect("well-formed");
        hear(&mut session, &frame(RST_STREAM, 0, id, &[0, 0, 0, 8])).expect("well-formed");
        hear(&mut session, &frame(HEADERS, 5, id + 2, BLOCK)).expect("well-formed");
        session.head(id + 2, b"HTTP/1.1 204 No Content\r\n\r\n", true);
        session.control().clear();
        assert_eq!(session.streams(), 0);
    }
}

#[test]
fn a_block_without_end_ends_the_connection() {
    for payload in [&[][..], &[0u8; 16_000]] {
        let mut session = open();
        hear(&mut session, &frame(HEADERS, 1, 1, BLOCK)).expect("well-formed");
        let (rounds, code) = until_failure(&mut session, |session, _| {
            hear(session, &frame(CONTINUATION, 0, 1, payload)).map(|_| ())
        });
        let rounds_max = match payload.len() {
            0 => CONTINUATIONS_MAX,
            bytes => HEADER_BLOCK_BYTES_MAX / bytes,
        };
        assert!(rounds as usize <= rounds_max, "{rounds} of {rounds_max}");
        assert_eq!(code, Code::EnhanceYourCalm);
    }
}

#[test]
fn frames_that_bring_nothing_forward_are_counted() {
    for idle in [frame(PING, 1, 0, b"12345678"), frame(0x77, 0, 0, b"x"), frame(DATA, 0, 1, b"")] {
        let mut session = open();
        // The stream's request has no end yet.
        hear(&mut session, &frame(HEADERS, 4, 1, BLOCK)).expect("well-formed");
        let (rounds, code) =
            until_failure(&mut session, |session, _| hear(session, &idle).map(|_| ()));
        assert!(rounds <= IDLE_FRAMES_MAX, "{rounds}");
        assert_eq!(code, Code::EnhanceYourCalm);
    }
}

#[test]
fn one_stream_too_many_is_told_to_try_again() {
    let mut session = open();
    for at in 0..STREAMS_MAX as u32 {
        let event = hear(&mut session, &frame(HEADERS, 5, at * 2 + 1, BLOCK));
        assert!(matches!(event, Ok(Some(Event::Request { .. }))), "{event:?}");
    }
    let id = STREAMS_MAX as u32 * 2 + 1;
    assert_eq!(hear(&mut session, &frame(HEADERS, 5, id, BLOCK)), Ok(None));
    assert_eq!(owed(&mut session), [(RST_STREAM, id)]);
    session.head(1, b"HTTP/1.1 204 No Content\r\n\r\n", true);
    let event = hear(&mut session, &frame(HEADERS, 5, id + 2, BLOCK));
    assert!(matches!(event, Ok(Some(Event::Request { .. }))), "{event:?}");
}

#[test]
fn windows_of_stream_and_connection_both_bound_what_is_sent() {
    let mut session = open();
    // Small windows for streams, then a large one for the first.
    hear(&mut session, &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 10])).expect("well-formed");
    hear(&mut session, &frame(HEADERS, 5, 1, BLOCK)).expect("well-formed");
    hear(&mut session, &frame(HEADERS, 5, 3, BLOCK)).expect("well-formed");
    assert_eq!((session.room(1), session.room(3), session.room(5)), (10, 10, 0));
    hear(&mut session, &frame(WINDOW_UPDATE, 0, 1, &[0, 1, 0, 0])).expect("well-formed");
    assert_eq!(session.room(1), 16_384, "no frame is longer than every peer takes");
    let mut sent = 0;
    while session.room(1) > 0 {
        let bytes = session.room(1);
        session.body_head(1, bytes, false);
        sent += bytes;
    }
    assert_eq!(sent, 65_535, "the connection's window");
    assert_eq!(session.room(3), 0);
    hear(&mut session, &frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 4])).expect("well-formed");
    assert_eq!((session.room(1), session.room(3)), (4, 4));
    // A smaller setting takes back what was given; the window is below zero until it is paid.
    hear(&mut session, &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).expect("well-formed");
    assert_eq!(session.room(3), 0);
}

#[test]
fn after_leaving_the_old_streams_finish_and_new_ones_go_elsewhere() {
    let mut session = open();
    hear(&mut session, &frame(HEADERS, 5, 1, BLOCK)).expect("well-formed");
    session.leave();
    session.leave();
    assert_eq!(owed(&mut session), [(GOAWAY, 0)], "said once");
    assert_eq!(hear(&mut session, &frame(HEADERS, 5, 3, BLOCK)), Ok(None));
    assert_eq!(owed(&mut session), [(RST_STREAM, 3)]);
    session.head(1, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", false);
    session.body_head(1, 1, true);
    assert_eq!((owed(&mut session), session.streams()), (vec![(HEADERS, 1)], 0));
}

#[test]
fn a_body_is_read_and_thrown_away_up_to_its_window() {
    let mut session = open();
    let post = b"\x83\x87\x84\x41\x01a";
    hear(&mut session, &frame(HEADERS, 4, 1, post)).expect("well-formed");
    let mut event = None;
    for _ in 0..5 {
        event = hear(&mut session, &frame(DATA, 0, 1, &[0; 16_000])).expect("well-formed");
        if event.is_some() {
            break;
        }
    }
    assert_eq!(event, Some(Event::Reset { stream: 1 }), "more than the window");
    let opened = owed(&mut session);
    assert!(opened.contains(&(WINDOW_UPDATE, 0)), "others have the connection's window back");
    assert_eq!(opened.last(), Some(&(RST_STREAM, 1)));
    // What was on its way is passed over.
    assert_eq!(hear(&mut session, &frame(DATA, 1, 1, b"rest")), Ok(None));
}
