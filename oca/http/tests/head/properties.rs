//! Arbitrary bytes are survived, and a well-formed head gives back what was put in.

use oca_http::{Head, Method, evaluate, resolve};
use proptest::prelude::*;

use crate::rules;

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        rules::check(&bytes);
    }

    #[test]
    fn any_lines_are_survived(lines in proptest::collection::vec("[ -~]{0,40}", 1..8)) {
        rules::check(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes());
    }

    #[test]
    fn what_was_asked_is_what_is_read(
        path in "(/[A-Za-z0-9_~-]{1,12}){1,5}",
        query in proptest::option::of("[a-z0-9=&-]{0,20}"),
        range in proptest::option::of("bytes=[0-9]{1,4}-[0-9]{0,4}"),
        close: bool,
        len: u64,
    ) {
        let question = query.as_ref().map_or(String::new(), |query| format!("?{query}"));
        let mut text = format!("GET {path}{question} HTTP/1.1\r\nhOsT: a.b:1\r\n");
        if let Some(range) = &range {
            text += &format!("RANGE:{range}\r\n");
        }
        if close {
            text += "Connection: Close\r\n";
        }
        text += "\r\nrest";
        let (head, end) = Head::parse(text.as_bytes()).expect("well-formed").expect("complete");
        prop_assert_eq!(end, text.len() - 4);
        prop_assert_eq!(head.method, Method::Get);
        prop_assert_eq!(head.path, path);
        prop_assert_eq!(head.query, query.as_deref());
        prop_assert_eq!(head.range, range.as_deref());
        prop_assert_eq!(head.host, Some("a.b:1"));
        prop_assert_eq!(head.keep_alive, !close);
        let _ = (evaluate(&head, "x", Some(1)), resolve(&head, true, len));
    }
}
