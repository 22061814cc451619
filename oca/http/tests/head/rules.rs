//! What must hold for any bytes whatever, written without a look at how the parser does it.

use oca_http::{HEAD_BYTES_MAX, Head, HeadError, Method, split_ticket};

/// The answer as one word, tickets included: `ok`, `unfinished`, or an error's.
pub fn word_of(bytes: &[u8]) -> &'static str {
    match Head::parse(bytes) {
        Ok(None) => "unfinished",
        Err(error) => error.word(),
        Ok(Some((head, _))) => match split_ticket(&head) {
            Ok(_) => "ok",
            Err(error) => error.word(),
        },
    }
}

/// Checks everything that holds for all bytes; panics with a reason.
pub fn check(bytes: &[u8]) {
    match Head::parse(bytes) {
        Err(error) => check_refused(bytes, error),
        Ok(None) => {
            assert!(bytes.len() < HEAD_BYTES_MAX, "waits for more than the bound");
            let ended = bytes.windows(4).any(|four| four == b"\r\n\r\n");
            assert!(!ended, "waits although the blank line is there");
        }
        Ok(Some((head, end))) => check_taken(bytes, &head, end),
    }
}

/// An error is the same however the bytes arrive, and more bytes never cure it.
fn check_refused(bytes: &[u8], error: HeadError) {
    let more = [bytes, b"\r\n\r\n"].concat();
    assert_eq!(Head::parse(&more), Err(error), "more bytes changed the error");
    let mut cut = bytes.len();
    while cut > 0 {
        cut /= 2;
        match Head::parse(&bytes[..cut]) {
            Ok(None) => {}
            other => assert_eq!(other, Err(error), "the first {cut} bytes said otherwise"),
        }
    }
}

fn check_taken(bytes: &[u8], head: &Head<'_>, end: usize) {
    assert!(end <= HEAD_BYTES_MAX);
    let taken = &bytes[..end];
    assert!(taken.ends_with(b"\r\n\r\n"));
    assert_eq!(taken.windows(4).filter(|four| *four == b"\r\n\r\n").count(), 1);
    let feeds = taken.iter().filter(|byte| **byte == b'\n').count();
    let pairs = taken.windows(2).filter(|two| *two == b"\r\n").count();
    let returns = taken.iter().filter(|byte| **byte == b'\r').count();
    assert_eq!((feeds, returns), (pairs, pairs), "a bare line end passed");
    assert_eq!(Head::parse(taken), Ok(Some((*head, end))), "what follows changed the head");
    for cut in [0, 1, end / 2, end - 1] {
        assert_eq!(Head::parse(&bytes[..cut]), Ok(None), "a part of it is not waited for");
    }
    let text = String::from_utf8_lossy(taken).to_ascii_lowercase();
    let may_have_body = head.method == Method::Other && !head.keep_alive;
    assert!(may_have_body || !text.contains("\ntransfer-encoding:"), "a body coding passed");
    assert!(text.matches("\nhost:").count() <= 1, "two hosts passed");
    assert_eq!(head.host.is_some(), text.contains("\nhost:"));
    check_path(head);
    let carried = split_ticket(head);
    if let Ok(carried) = carried {
        assert!(carried.path.starts_with('/') || carried.path == "*");
        assert!(head.path.ends_with(carried.path) || carried.path == "/");
    }
}

fn check_path(head: &Head<'_>) {
    let path = head.path;
    assert!(path.starts_with('/') || path == "*", "{path:?}");
    assert!(!path.contains("//") && !path.contains(['%', '\\', '#', '?', '\0', ' ']), "{path:?}");
    assert!(path.split('/').all(|segment| segment != "." && segment != ".."), "{path:?}");
}
