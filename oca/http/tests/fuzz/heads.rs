//! Request heads, with the ticket's place, conditions and range that they carry.

use std::fs;
use std::path::Path;

use oca_http::{Head, evaluate, resolve, split_ticket};

use crate::engine::{Rng, Target, run};

const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"%2e",
    b"..",
    b"//",
    b"?",
    b"#",
    b"&CAT=a",
    b"CAT=",
    b"/t/",
    b"Host: b\r\n",
    b"Host: [::1]:1\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"If-Match: \"x\"\r\n",
    b"If-None-Match: W/\"x\", \"y\"\r\n",
    b"If-Range: \"x\"\r\n",
    b"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    b"If-Unmodified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n",
    b"Range: bytes=0-1,-1\r\n",
    b"HTTP/1.1",
    b"CONNECT a:1 ",
    b"OPTIONS * ",
    b"http://b",
    b"\xff",
];

#[test]
fn heads_are_survived_and_keep_their_rules() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut seeds: Vec<_> = fs::read_dir(folder).expect("part of the source").collect();
    seeds.sort_by_key(|entry| entry.as_ref().map(fs::DirEntry::file_name).ok());
    let seeds = seeds.into_iter().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    run(&Target { name: "head", seeds, pieces: PIECES, reshape: |_, _| false, check });
}

fn check(bytes: &[u8], rng: &mut Rng) -> String {
    let whole = Head::parse(bytes);
    // However the head is cut into packets, nothing changes.
    let cut = rng.below(bytes.len() + 1);
    match (Head::parse(&bytes[..cut]), &whole) {
        (Ok(None), _) => {}
        (part, whole) => assert_eq!(part, *whole, "cut after {cut}"),
    }
    let (head, end) = match whole {
        Ok(None) => return "unfinished".to_owned(),
        Err(error) => return error.word().to_owned(),
        Ok(Some(taken)) => taken,
    };
    assert!(bytes[..end].ends_with(b"\r\n\r\n"));
    assert!(head.path.starts_with('/') || head.path == "*");
    let verdict = evaluate(&head, "x", Some(784_111_777));
    let kind = format!("{:?}", resolve(&head, true, 1000));
    let kind = kind.split([' ', '(']).next().unwrap_or_default().to_owned();
    let carrier = match split_ticket(&head) {
        Ok(carried) => format!("{:?}", carried.ticket.map(|(_, carrier)| carrier)),
        Err(error) => error.word().to_owned(),
    };
    let has = [
        head.host.is_some(),
        head.query.is_some(),
        head.range.is_some(),
        head.expect.is_some(),
        head.cookie.is_some(),
        head.cmcd.request.is_some(),
    ];
    format!("{:?} {} {verdict:?} {kind} {carrier} {has:?}", head.method, head.keep_alive)
}
