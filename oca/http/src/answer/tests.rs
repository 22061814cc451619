//! Heads as they go out, line by line. Nothing here decides which answer it is.

use super::*;

const TAG: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const MEDIA: Media<'_> = Media { etag: TAG, media_type: "video/mp4", total: 1000, modified: None };

fn write(answer: &Answer<'_>, method: Method, keep_alive: bool) -> String {
    let mut into = [0u8; ANSWER_BYTES_MAX];
    let date = HttpDate::from_unix_seconds(0);
    let frame = Frame { method, keep_alive, date: &date };
    let bytes = write_head(&mut into, answer, &frame).expect("every answer fits");
    String::from_utf8(into[..bytes].to_vec()).expect("ASCII")
}

/// The status line and these lines are there; after the blank line comes exactly `body`.
fn check(answer: &Answer<'_>, status: &str, lines: &[&str], body: &str) {
    let text = write(answer, Method::Get, true);
    let (head, after) = text.split_once("\r\n\r\n").expect("a blank line");
    assert_eq!(after, body);
    let mut given = head.split("\r\n");
    assert_eq!(given.next(), Some(status));
    let given: Vec<&str> = given.collect();
    for line in lines {
        assert!(given.contains(line), "{line:?} missing in {text}");
    }
}

#[test]
fn the_whole_and_a_part() {
    let lines = ["Content-Length: 1000", "Content-Type: video/mp4", "Accept-Ranges: bytes"];
    check(&Answer::Whole(MEDIA), "HTTP/1.1 200 OK", &lines, "");
    let lines = ["Content-Length: 90", "Content-Range: bytes 10-99/1000"];
    let part = Answer::Part { media: MEDIA, start: 10, end: 100 };
    check(&part, "HTTP/1.1 206 Partial Content", &lines, "");
}

#[test]
fn a_steering_answer_is_for_this_moment_only() {
    let lines = [
        "Content-Type: application/json",
        "Cache-Control: no-store",
        "Access-Control-Allow-Origin: *",
        "Content-Length: 17",
    ];
    check(&Answer::Steering { bytes: 17 }, "HTTP/1.1 200 OK", &lines, "");
}

#[test]
fn a_redirect_names_one_place_and_is_kept_by_nobody() {
    let location = "https://b.example:8443/t/TICKET/v/night/00.mp4?hop=1";
    let lines = [
        "Location: https://b.example:8443/t/TICKET/v/night/00.mp4?hop=1",
        "Cache-Control: no-store",
        "Access-Control-Allow-Origin: *",
        "Content-Length: 0",
    ];
    check(&Answer::Elsewhere { location }, "HTTP/1.1 307 Temporary Redirect", &lines, "");
    for forged in ["https://b/\r\nSet-Cookie: x", "https://b/ x"] {
        let text = write(&Answer::Elsewhere { location: forged }, Method::Get, true);
        assert!(!text.contains("Location"), "{text}");
    }
    let longest = "u".repeat(LOCATION_BYTES_MAX);
    let text = write(&Answer::Elsewhere { location: &longest }, Method::Get, false);
    assert!(text.contains(&longest));
}

#[test]
fn answers_without_a_body_name_no_length() {
    let looked = Answer::Preflight { load: Some("430") };
    assert!(write(&looked, Method::Options, true).contains("\r\nNightfill-Load: 430\r\n"));
    for answer in [Answer::NotModified(MEDIA), Answer::Preflight { load: None }] {
        let text = write(&answer, Method::Get, true);
        assert!(!text.contains("Content-Length"), "{text}");
        assert!(text.ends_with("\r\n\r\n"));
    }
}

#[test]
fn a_refusal_says_its_word_but_not_to_head() {
    let outcome = Outcome::Unsatisfiable;
    let answer = Answer::Refusal { outcome, total: Some(10), retry_after_s: None, next: None };
    let lines = ["Content-Range: bytes */10", "Content-Length: 14", "Cache-Control: no-store"];
    check(&answer, "HTTP/1.1 416 Range Not Satisfiable", &lines, "unsatisfiable\n");
    assert!(write(&answer, Method::Head, true).ends_with("\r\n\r\n"));
    let outcome = Outcome::OverBudget;
    let next = Some("https://b.example, https://c.example:8443");
    let busy = Answer::Refusal { outcome, total: None, retry_after_s: Some(2), next };
    let lines = ["Retry-After: 2", "X-Nightfill-Next: https://b.example, https://c.example:8443"];
    check(&busy, "HTTP/1.1 503 Service Unavailable", &lines, "over_budget\n");
    let alone = Answer::Refusal { outcome, total: None, retry_after_s: Some(2), next: None };
    for directed in [answer, busy, alone] {
        let exposed = "Access-Control-Expose-Headers: Content-Range, Retry-After, X-Nightfill-Next";
        let text = write(&directed, Method::Get, true);
        assert!(text.contains(exposed), "a page cannot read {text}");
    }
    let forged =
        Answer::Refusal { outcome, total: None, retry_after_s: None, next: Some("a\r\nb: c") };
    assert!(!write(&forged, Method::Get, true).contains("b: c"), "no header of others");
}

#[test]
fn closing_is_announced() {
    let answer = Answer::refusal(Outcome::NoRoute);
    assert!(write(&answer, Method::Get, false).contains("\r\nConnection: close\r\n"));
    assert!(!write(&answer, Method::Get, true).contains("Connection"));
}

#[test]
fn a_media_type_from_a_bad_disk_cannot_add_a_header() {
    let media = Media { media_type: "a/b\r\nSet-Cookie: x", ..MEDIA };
    let text = write(&Answer::Whole(media), Method::Get, true);
    assert!(text.contains("Content-Type: application/octet-stream\r\n"));
    assert!(!text.contains("Set-Cookie"));
}

#[test]
fn the_largest_answers_keep_the_promise_and_smaller_room_is_an_error() {
    let long = "v".repeat(MEDIA_TYPE_BYTES_MAX);
    let long_next = "n".repeat(NEXT_BYTES_MAX);
    let media = Media { etag: TAG, media_type: &long, total: u64::MAX, modified: Some(u64::MAX) };
    let part = Answer::Part { media, start: u64::MAX - 1, end: u64::MAX };
    write(&part, Method::Get, false);
    for outcome in Outcome::all() {
        let total = Some(u64::MAX);
        let next = Some(long_next.as_str());
        let answer = Answer::Refusal { outcome, total, retry_after_s: Some(u32::MAX), next };
        write(&answer, Method::Get, false);
    }
    let date = HttpDate::from_unix_seconds(0);
    let frame = Frame { method: Method::Get, keep_alive: true, date: &date };
    let whole = write(&Answer::Whole(MEDIA), Method::Get, true).len();
    for room in 0..whole {
        assert_eq!(write_head(&mut vec![0; room], &Answer::Whole(MEDIA), &frame), Err(HeadRoom));
    }
}
