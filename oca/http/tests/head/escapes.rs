//! Percent-encoding in paths: refused as a rule, and what a server of plain files takes.

use oca_http::{Head, HeadError, Spelling, decode_path};

fn parse(path: &str, spelling: Spelling) -> Result<String, HeadError> {
    let text = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let (head, _) = Head::parse_spelt(text.as_bytes(), spelling)?.expect("complete");
    assert_eq!(head.path, path, "the path stays as it was spelled");
    Ok(head.path.to_owned())
}

#[test]
fn as_a_rule_no_escape_is_taken() {
    for path in ["/%41", "/a/%2e", "/%zz", "/a%"] {
        assert_eq!(parse(path, Spelling::Plain), Err(HeadError::PathPercent), "{path}");
    }
}

#[test]
fn sound_escapes_are_decoded_once() {
    let check = |path: &str, decoded: Option<&str>| {
        let path = parse(path, Spelling::Escaped).expect("sound");
        assert_eq!(decode_path(&path).as_deref(), decoded, "{path}");
    };
    check("/plain", Some("/plain"));
    check("/", Some("/"));
    check("/a%20b/%C3%BC", Some("/a b/ü"));
    check("/%c3%bc", Some("/ü"));
    check("/%25", Some("/%"));
    check("/%2541", Some("/%41"));
    check("/%252e%252e/x", Some("/%2e%2e/x"));
    check("/...%2e", Some("/...."));
    check("/a%5Cb%3Fc%23", Some("/a\\b?c#"));
    // Not text, or text that a terminal would obey.
    check("/%FC", None);
    check("/%C0%AF", None);
    check("/%ED%A0%80", None);
    check("/%C2%85", None);
}

#[test]
fn no_escape_hides_what_shapes_a_path() {
    let check = |path: &str, error: HeadError| {
        assert_eq!(parse(path, Spelling::Escaped), Err(error), "{path}");
    };
    for path in ["/%2e", "/%2E%2e", "/.%2e", "/a/%2e./b", "/a/..", "/a//b"] {
        check(path, HeadError::PathSegment);
    }
    for path in ["/a%2Fb", "/%2f", "/%00", "/a%0d%0aB", "/%1b", "/%7F"] {
        check(path, HeadError::PathPercent);
    }
    for path in ["/%", "/a%2", "/%2/a", "/%zz", "/%+1", "/%-1"] {
        check(path, HeadError::PathPercent);
    }
}
