//! Floods and windows: each named bound is reached by a peer that does everything else right, the
//! session names it, and one less is let pass.

use oca_http::h2::{
    Breach, CONTROL_BYTES_MAX, Code, Event, Failed, IDLE_FRAMES_MAX, LIST_BYTES_MAX, PINGS_MAX,
    RESETS_MAX, Resets, SETTINGS_MAX, TINY_FRAME_BYTES,
};

use crate::{
    BLOCK, CONTINUATION, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, hear,
    open, owed, until_failure,
};

const TELLS_NOTHING: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// A peer that reads all it is owed is still asked to stop.
#[test]
fn a_flood_of_pings_or_settings_ends_the_connection() {
    let floods = [
        (frame(PING, 0, 0, b"12345678"), PINGS_MAX, Breach::Pings),
        (frame(SETTINGS, 0, 0, &[]), SETTINGS_MAX - 1, Breach::Settings),
    ];
    for (asks, rounds_max, breach) in floods {
        let mut session = open();
        let (rounds, code) = until_failure(&mut session, |session, _| {
            hear(session, &asks)?;
            session.control().clear();
            Ok(())
        });
        // The settings of the preface were the first.
        assert_eq!((rounds, code), (rounds_max, Code::EnhanceYourCalm));
        assert_eq!(session.breach(), Some(breach));
    }
}

/// Who asks for something between his pings may go on: a connection that lives for hours has many.
#[test]
fn pings_and_settings_among_requests_are_nobodys_fault() {
    let mut session = open();
    for round in 0..50 {
        for _ in 0..SETTINGS_MAX / 2 {
            hear(&mut session, &frame(PING, 0, 0, b"12345678")).expect("well-formed");
            hear(&mut session, &frame(SETTINGS, 0, 0, &[])).expect("well-formed");
            session.control().clear();
        }
        let id = round * 2 + 1;
        hear(&mut session, &frame(HEADERS, 5, id, BLOCK)).expect("well-formed");
        session.head(id, TELLS_NOTHING, true);
        session.control().clear();
    }
    assert_eq!(session.breach(), None);
}

#[test]
fn who_asks_and_does_not_read_is_let_go() {
    let mut session = open();
    let (_, code) = until_failure(&mut session, |session, round| {
        assert!(session.control().len() <= CONTROL_BYTES_MAX);
        // Something is brought forward again and again, so that no flood is seen in it.
        if round % 100 == 99 {
            hear(session, &frame(HEADERS, 5, round * 2 + 1, BLOCK))?;
        }
        hear(session, &frame(PING, 0, 0, b"12345678")).map(|_| ())
    });
    assert_eq!((code, session.breach()), (Code::EnhanceYourCalm, Some(Breach::Unread)));
}

/// What waits to be read takes room; once it is read, an idle connection does not keep that.
#[test]
fn room_for_a_burst_is_given_back() {
    let mut session = open();
    for _ in 0..PINGS_MAX / 2 {
        hear(&mut session, &frame(PING, 0, 0, b"12345678")).expect("well-formed");
    }
    let waiting = session.control().len();
    session.rest();
    assert_eq!(session.control().len(), waiting, "what waits is not given up");
    session.control().clear();
    session.rest();
    assert!(session.control().capacity() <= waiting / 2, "{}", session.control().capacity());
}

/// A window opened by a byte at a time: each makes us send a frame of one byte.
#[test]
fn windows_in_crumbs_are_counted_as_what_brings_nothing_forward() {
    for (crumb, ends) in [(1, true), (TINY_FRAME_BYTES, false)] {
        let mut session = open();
        hear(&mut session, &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).expect("well-formed");
        hear(&mut session, &frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0])).expect("well-formed");
        hear(&mut session, &frame(HEADERS, 5, 1, BLOCK)).expect("well-formed");
        session.head(1, b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", false);
        let opened = frame(WINDOW_UPDATE, 0, 1, &u32::to_be_bytes(crumb as u32));
        let mut last = Ok(None);
        for _ in 0..2 * IDLE_FRAMES_MAX {
            last = hear(&mut session, &opened);
            session.control().clear();
            if last.is_err() {
                break;
            }
            assert_eq!(session.room(1), crumb);
            session.body_head(1, crumb, false);
        }
        assert_eq!(last.is_err(), ends, "{crumb}: {last:?}");
        assert_eq!(session.breach(), ends.then_some(Breach::IdleFrames));
    }
}

#[test]
fn a_window_beyond_two_gigabytes_ends_what_it_belongs_to() {
    let most = 0x7fff_ffff_u32.to_be_bytes();
    let mut session = open();
    hear(&mut session, &frame(HEADERS, 5, 1, BLOCK)).expect("well-formed");
    hear(&mut session, &frame(HEADERS, 5, 3, BLOCK)).expect("well-formed");
    let event = hear(&mut session, &frame(WINDOW_UPDATE, 0, 1, &most));
    assert_eq!(event, Ok(Some(Event::Reset { stream: 1 })), "the stream alone");
    assert_eq!(session.take_resets(), Resets { flow_control: 1, ..Resets::default() });
    assert_eq!((owed(&mut session), session.streams()), (vec![(RST_STREAM, 1)], 1));
    // By a setting it is every stream's window, and by an update of the connection it is its own.
    let too_wide = frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
    hear(&mut session, &frame(WINDOW_UPDATE, 0, 3, &[0, 0, 0, 1])).expect("well-formed");
    assert_eq!(hear(&mut session, &too_wide), Err(Failed(Code::FlowControl)));
    let mut session = open();
    assert_eq!(
        hear(&mut session, &frame(WINDOW_UPDATE, 0, 0, &most)),
        Err(Failed(Code::FlowControl))
    );
    assert_eq!(owed(&mut session), [(GOAWAY, 0)]);
}

/// A few bytes that stand for a table's worth each.
#[test]
fn a_list_of_fields_that_grows_out_of_little_ends_the_connection() {
    let mut session = open();
    let long = vec![b'v'; 3_000];
    // Kept in the table, then named by its number over and over.
    let mut block = [BLOCK, b"\x40\x01x\x7f\xb9\x16", &long].concat();
    block.resize(block.len() + LIST_BYTES_MAX / 3_000 + 1, 0x80 | 62);
    assert_eq!(
        hear(&mut session, &frame(HEADERS, 5, 1, &block)),
        Err(Failed(Code::EnhanceYourCalm))
    );
    assert_eq!(session.breach(), Some(Breach::FieldList));
}

#[test]
fn each_bound_has_its_word() {
    let mut session = open();
    let (_, code) = until_failure(&mut session, |session, round| {
        let id = round * 2 + 1;
        hear(session, &frame(HEADERS, 5, id, BLOCK))?;
        hear(session, &frame(RST_STREAM, 0, id, &[0, 0, 0, 8]))?;
        session.control().clear();
        Ok(())
    });
    assert_eq!((code, session.breach()), (Code::EnhanceYourCalm, Some(Breach::RapidReset)));
    assert_eq!(session.take_resets().by_peer, RESETS_MAX + 1);
    let mut session = open();
    hear(&mut session, &frame(HEADERS, 1, 1, BLOCK)).expect("well-formed");
    until_failure(&mut session, |session, _| {
        hear(session, &frame(CONTINUATION, 0, 1, &[0; 9_000])).map(|_| ())
    });
    assert_eq!(session.breach(), Some(Breach::HeaderBlock));
}

/// What we end ourselves is heard by the peer, once, and nothing is taken from it after.
#[test]
fn a_connection_that_we_end_takes_nothing_more() {
    let mut session = open();
    hear(&mut session, &frame(HEADERS, 5, 1, BLOCK)).expect("well-formed");
    session.end(Code::EnhanceYourCalm);
    session.end(Code::EnhanceYourCalm);
    session.leave();
    assert_eq!(owed(&mut session), [(GOAWAY, 0)]);
    let failed = session.take(&frame(HEADERS, 5, 3, BLOCK));
    assert_eq!(failed, Err(Failed(Code::EnhanceYourCalm)));
    assert_eq!(owed(&mut session), [], "said once");
}
