//! Heads that are wrong in one way each, and the word that each must be answered with.
//! `{path}` and `{ticket}` are right ones; a number in braces is so much of something.

/// One way to be wrong.
pub struct Way {
    pub before: &'static str,
    pub target: &'static str,
    pub after: &'static str,
    pub headers: &'static str,
    pub body: &'static str,
    pub status: u16,
    pub word: &'static str,
}

const fn target(target: &'static str, status: u16, word: &'static str) -> Way {
    let (after, headers) = (" HTTP/1.1\r\n", "Host: edge.example\r\n");
    Way { before: "GET ", target, after, headers, body: "", status, word }
}

const fn head(headers: &'static str, body: &'static str, status: u16, word: &'static str) -> Way {
    let (before, after) = ("GET ", " HTTP/1.1\r\n");
    Way { before, target: "/t/{ticket}{path}", after, headers, body, status, word }
}

const fn line(before: &'static str, after: &'static str, status: u16, word: &'static str) -> Way {
    let headers = "Host: edge.example\r\n";
    Way { before, target: "/t/{ticket}{path}", after, headers, body: "", status, word }
}

const HIDDEN: &str = "GET /metrics HTTP/1.1\r\nHost: edge.example\r\n\r\n";

const fn method(before: &'static str, headers: &'static str, body: &'static str) -> Way {
    let (target, after) = ("{path}", " HTTP/1.1\r\n");
    Way { before, target, after, headers, body, status: 405, word: "method_not_allowed" }
}

pub const WAYS: [Way; 52] = [
    method("POST ", "Host: a\r\nContent-Length: 49\r\n", HIDDEN),
    method("PUT ", "Host: a\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    method("TRACE ", "Host: a\r\nContent-Length: 0\r\nConnection: close\r\n", ""),
    line("CONNECT ", " HTTP/1.1\r\n", 400, "target_form"),
    head("Host: a:1:2\r\n", "", 400, "host_malformed"),
    head("Host: [::1\r\n", "", 400, "host_malformed"),
    head("Host: a:\r\n", "", 400, "host_malformed"),
    head("Host: a\r\nIf-Match: \"a\"\r\nIf-Match: \"a\"\r\n", "", 400, "header_twice"),
    line("GET ", " HTTP/1.1\n", 400, "bare_line_feed"),
    line("\r\nGET ", " HTTP/1.1\r\n", 400, "blank_first_line"),
    line("GET ", " HTTP/1.2\r\n", 505, "version"),
    line("GET ", " HTTP/2.0\r\n", 505, "version"),
    line("GET ", "\r\n", 400, "request_line"),
    line("GET  ", " HTTP/1.1\r\n", 400, "request_line"),
    line("GET ", " HTTP/1.1\r\n folded\r\n", 400, "folded_line"),
    line("GET ", " HTTP/1.1\rX\r\n", 400, "bare_carriage_return"),
    target("/t/{ticket}/v/night/../{path}", 400, "path_segment"),
    target("/t/{ticket}/v/./night", 400, "path_segment"),
    target("/t/{ticket}/{path}", 400, "path_segment"),
    target("/t//{path}", 400, "path_segment"),
    target("/t/{ticket}/v/night/%2e%2e{path}", 400, "path_percent"),
    target("/t/{ticket}/v%2fnight", 400, "path_percent"),
    target("{path}%00?CAT={ticket}", 400, "path_percent"),
    target("{path}#?CAT={ticket}", 400, "target_character"),
    target("{path}\\..?CAT={ticket}", 400, "target_character"),
    target("{path}?CAT={ticket}&CAT={ticket}", 400, "two_tickets"),
    target("{path}?CAT={ticket}&x=%4", 400, "query_percent"),
    target("{path}?CAT={ticket}&x={5000}", 414, "target_too_long"),
    target("http://other.example{path}?CAT={ticket}", 400, "host_mismatch"),
    target("http://a@edge.example{path}?CAT={ticket}", 400, "target_form"),
    target("ftp://edge.example{path}?CAT={ticket}", 400, "target_form"),
    target("edge.example:443", 400, "target_form"),
    target("*", 400, "target_form"),
    head("", "", 400, "host_absent"),
    head("Host: a\r\nHost: a\r\n", "", 400, "host_twice"),
    head("Host: a/b\r\n", "", 400, "host_malformed"),
    head("Host:\r\n", "", 400, "host_malformed"),
    head("Host: a\r\nRange : bytes=0-1\r\n", "", 400, "header_name"),
    head("Host: a\r\n: b\r\n", "", 400, "header_name"),
    head("Host: a\r\nX-A: b\0c\r\n", "", 400, "header_value"),
    head("Host: a\r\nRange: bytes=0-1\r\nrange: bytes=0-1\r\n", "", 400, "header_twice"),
    head("Host: a\r\nX-A: b\r\n\tc\r\n", "", 400, "folded_line"),
    head("Host: a\r\nContent-Length: 49\r\n", HIDDEN, 400, "body_length"),
    head("Host: a\r\nContent-Length: 00\r\n", "", 400, "body_length"),
    head("Host: a\r\nContent-Length: +0\r\n", "", 400, "body_length"),
    head("Host: a\r\nContent-Length: 0, 0\r\n", "", 400, "body_length"),
    head("Host: a\r\ncontent-length: 0\r\nContent-Length: 0\r\n", "", 400, "header_twice"),
    head(
        "Host: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        HIDDEN,
        400,
        "body_coding",
    ),
    head("Host: a\r\nTRANSFER-ENCODING: identity\r\n", HIDDEN, 400, "body_coding"),
    head("Host: a\r\nTransfer-Encoding\r\n: chunked\r\n", "0\r\n\r\n", 400, "header_name"),
    head("Host: a\r\nX-A: {9000}\r\n", "", 431, "head_too_long"),
    head("Host: a\r\n{70}", "", 431, "too_many_headers"),
];
