//! Where a ticket is found, and the path without it.

use oca_http::{Carrier, Head, split_ticket};

/// Target and further header lines; then the ticket, its carrier, and the path that is left.
fn check(target: &str, lines: &str, ticket: Option<(&str, Carrier)>, path: &str) {
    let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    let (head, _) = Head::parse(text.as_bytes()).expect("valid").expect("complete");
    let carried = split_ticket(&head).expect("at most one");
    assert_eq!((carried.ticket, carried.path), (ticket, path), "{target} {lines:?}");
}

#[test]
fn four_carriers() {
    check("/t/abc/v/x/y.m4s", "", Some(("abc", Carrier::Path)), "/v/x/y.m4s");
    check("/v/x/y?a=b&CAT=abc", "", Some(("abc", Carrier::Query)), "/v/x/y");
    let header = "CTA-Common-Access-Token: abc\r\n";
    check("/v/x/y", header, Some(("abc", Carrier::Header)), "/v/x/y");
    let cookie = "Cookie: a=b; CTA-Common-Access-Token=\"abc\"; c=d\r\n";
    check("/v/x/y", cookie, Some(("abc", Carrier::Cookie)), "/v/x/y");
}

#[test]
fn nearer_carriers_win() {
    let both = "CTA-Common-Access-Token: header\r\nCookie: CTA-Common-Access-Token=cookie\r\n";
    check("/t/path/v?CAT=query", both, Some(("path", Carrier::Path)), "/v");
    check("/v?CAT=query", both, Some(("query", Carrier::Query)), "/v");
    check("/v", both, Some(("header", Carrier::Header)), "/v");
}

#[test]
fn what_comes_beside_the_url_is_the_renewed_one() {
    fn check(target: &str, lines: &str, renewed: Option<(&str, Carrier)>) {
        let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let (head, _) = Head::parse(text.as_bytes()).expect("valid").expect("complete");
        let carried = split_ticket(&head).expect("at most one");
        assert_eq!(carried.renewed, renewed, "{target} {lines:?}");
    }
    let cookie = "Cookie: CTA-Common-Access-Token=cookie\r\n";
    let both = format!("CTA-Common-Access-Token: header\r\n{cookie}");
    for target in ["/t/path/v", "/v?CAT=query", "/t/path/v?CAT=query"] {
        check(target, &both, Some(("header", Carrier::Header)));
        let beside = match target {
            "/t/path/v?CAT=query" => Some(("query", Carrier::Query)),
            _ => None,
        };
        check(target, cookie, beside.or(Some(("cookie", Carrier::Cookie))));
        check(target, "", beside);
    }
    check("/v", &both, None);
}

#[test]
fn no_ticket() {
    check("/v/x/y", "", None, "/v/x/y");
    check("/v?cat=abc&XCAT=abc", "Cookie: CTA=abc\r\n", None, "/v");
    check("/t", "", None, "/t");
    check("/t/", "", None, "/");
    check("/t/abc", "", Some(("abc", Carrier::Path)), "/");
    check("/v/t/abc", "", None, "/v/t/abc");
}
