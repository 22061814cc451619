//! The fields of an HTTP/2 request become the head that HTTP/1.1 would have sent, so that one
//! parser judges both. It decides only what that parser cannot see: form that HTTP/2 alone has
//! rules for.

use crate::head::HEAD_BYTES_MAX;

/// A request whose form breaks RFC 9113 section 8: the stream is reset, and not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A head in the making.
#[derive(Debug, Default)]
pub struct Draft {
    method: Option<Vec<u8>>,
    path: Option<Vec<u8>>,
    authority: Option<Vec<u8>>,
    has_scheme: bool,
    /// `Host`, where a client sends that too.
    host: Option<Vec<u8>>,
    /// Ordinary lines.
    lines: Vec<u8>,
    /// Crumbs of the one cookie, joined (section 8.2.3).
    cookie: Vec<u8>,
    length: Option<u64>,
    /// An ordinary field has come: no pseudo-header may follow.
    is_past_pseudo: bool,
    malformed: bool,
}

/// A head as text, and the length of the body it announces.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// Without the blank line, so that a body's length can still be added.
    pub text: Vec<u8>,
    /// `content-length`
    pub length: Option<u64>,
}

impl Draft {
    /// Takes the next field.
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        let taken = match name.strip_prefix(b":") {
            Some(name) => self.take_pseudo(name, value),
            None => self.take(name, value),
        };
        self.malformed |= taken.is_none();
    }

    fn take_pseudo(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        if self.is_past_pseudo || !is_value(value) {
            return None;
        }
        let slot = match name {
            b"method" if !value.is_empty() && value.iter().all(is_name_byte) => &mut self.method,
            b"path" if !value.is_empty() && value.iter().all(u8::is_ascii_graphic) => {
                &mut self.path
            }
            b"authority" => &mut self.authority,
            b"scheme" if !self.has_scheme => {
                self.has_scheme = true;
                return Some(());
            }
            _ => return None,
        };
        slot.replace(value.to_vec()).is_none().then_some(())
    }

    fn take(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        self.is_past_pseudo = true;
        let is_lower = |byte: &u8| is_name_byte(byte) && !byte.is_ascii_uppercase();
        if name.is_empty() || !name.iter().all(is_lower) || !is_value(value) {
            return None;
        }
        match name {
            b"connection" | b"proxy-connection" | b"keep-alive" | b"transfer-encoding"
            | b"upgrade" => return None,
            b"te" if value != b"trailers" => return None,
            b"host" => return self.host.replace(value.to_vec()).is_none().then_some(()),
            b"cookie" => {
                let between: &[u8] = if self.cookie.is_empty() { b"" } else { b"; " };
                put(&mut self.cookie, &[between, value]);
                return Some(());
            }
            b"content-length" => {
                let text = std::str::from_utf8(value).ok()?;
                let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
                let length = is_number.then(|| text.parse().ok()).flatten()?;
                if self.length.replace(length).is_some() {
                    return None;
                }
            }
            _ => {}
        }
        put(&mut self.lines, &[name, b": ", value, b"\r\n"]);
        Some(())
    }

    /// The head, unless its form is wrong.
    ///
    /// # Errors
    /// The stream must be reset.
    pub fn finish(self) -> Result<Asked, Malformed> {
        let method = self.method.filter(|_| !self.malformed).ok_or(Malformed)?;
        let target = match (&method[..], self.path, self.has_scheme) {
            (b"CONNECT", None, false) => self.authority.clone().ok_or(Malformed)?,
            (b"CONNECT", ..) | (_, None, _) | (_, _, false) => return Err(Malformed),
            // Anything else would be read as a URL of its own.
            (_, Some(path), true) if path.starts_with(b"/") || path == b"*" => path,
            _ => return Err(Malformed),
        };
        let host = match (self.authority, self.host) {
            (Some(authority), Some(host)) if authority != host => return Err(Malformed),
            (authority, host) => authority.or(host),
        };
        let mut text = Vec::with_capacity(256);
        put(&mut text, &[&method, b" ", &target, b" HTTP/1.1\r\n"]);
        if let Some(host) = host {
            put(&mut text, &[b"host: ", &host, b"\r\n"]);
        }
        if !self.cookie.is_empty() {
            put(&mut text, &[b"cookie: ", &self.cookie, b"\r\n"]);
        }
        put(&mut text, &[&self.lines]);
        Ok(Asked { text, length: self.length })
    }

    /// Whether these fields may follow a body.
    pub fn is_trailer(&self) -> bool {
        !self.malformed
            && self.method.is_none()
            && self.path.is_none()
            && self.authority.is_none()
            && !self.has_scheme
    }
}

impl Asked {
    /// The whole head, as it would have been sent with a body of `body_bytes` bytes.
    ///
    /// # Errors
    /// That is not as long as it was said to be.
    pub fn complete(self, body_bytes: u64) -> Result<Vec<u8>, Malformed> {
        let Self { mut text, length } = self;
        if length.is_some_and(|length| length != body_bytes) {
            return Err(Malformed);
        }
        if length.is_none() && body_bytes > 0 {
            put(&mut text, &[b"content-length: ", body_bytes.to_string().as_bytes(), b"\r\n"]);
        }
        // A text over the bound has lost its end: then there is no blank line that could be found.
        if text.len() <= HEAD_BYTES_MAX {
            text.extend_from_slice(b"\r\n");
        }
        Ok(text)
    }
}

/// Adds to `text` until it is over the bound of a head: what is longer is refused anyway.
fn put(text: &mut Vec<u8>, pieces: &[&[u8]]) {
    for piece in pieces {
        let room = (HEAD_BYTES_MAX + 1).saturating_sub(text.len());
        text.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }
}

fn is_name_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// No byte that ends a line, and no blank at either end (section 8.2.1).
fn is_value(value: &[u8]) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    !value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n'))
        && !is_blank(value.first())
        && !is_blank(value.last())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Head, HeadError, Method};

    /// `name value` a line.
    fn draft(fields: &str) -> Result<Vec<u8>, Malformed> {
        let mut draft = Draft::default();
        for field in fields.split('|') {
            let (name, value) = field.split_once('=').expect("name=value");
            draft.field(name.as_bytes(), value.as_bytes());
        }
        draft.finish()?.complete(0)
    }

    const SOUND: &str = ":method=GET|:scheme=https|:path=/v/a?b=c|:authority=a.b";

    #[test]
    fn a_request_reads_as_if_it_had_come_the_old_way() {
        let text = draft(&format!("{SOUND}|range=bytes=0-1|cookie=a=b|te=trailers|cookie=c=d"));
        let text = text.expect("well-formed");
        let (head, end) = Head::parse(&text).expect("sound").expect("complete");
        assert_eq!(end, text.len());
        assert_eq!((head.method, head.path, head.query), (Method::Get, "/v/a", Some("b=c")));
        assert_eq!((head.host, head.range), (Some("a.b"), Some("bytes=0-1")));
        assert_eq!(head.cookie, Some("a=b; c=d"));
    }

    #[test]
    fn wrong_form_is_not_answered() {
        for fields in [
            "a=b",
            ":method=GET|:scheme=https",
            ":method=GET|:path=/",
            ":scheme=https|:path=/",
            ":method=GET|:scheme=https|:path=",
            ":method=GET|:scheme=https|:path=http://other/",
            ":method=GET|:scheme=https|:path=/a b",
            ":method=G T|:scheme=https|:path=/",
            ":method=CONNECT|:scheme=https|:path=/|:authority=a",
            ":method=GET|:method=GET|:scheme=https|:path=/",
            ":method=GET|:scheme=https|:scheme=https|:path=/",
            ":method=GET|a=b|:scheme=https|:path=/",
            ":status=200|:method=GET|:scheme=https|:path=/",
        ] {
            assert_eq!(draft(fields), Err(Malformed), "{fields}");
        }
        for field in [
            "Range=bytes=0-1",
            "connection=close",
            "transfer-encoding=chunked",
            "te=gzip",
            "a b=c",
            "=x",
            "a=b\r\nc: d",
            "a=b\0",
            "a= b",
            "a=b\t",
            "host=other",
            "content-length=1",
            "content-length=+0",
            "content-length=0|content-length=0",
        ] {
            assert_eq!(draft(&format!("{SOUND}|{field}")), Err(Malformed), "{field}");
        }
    }

    #[test]
    fn what_is_only_refused_keeps_its_word() {
        let word = |fields: &str| {
            let text = draft(fields).expect("well-formed");
            Head::parse(&text).map(|head| head.is_some())
        };
        assert_eq!(word(":method=GET|:scheme=https|:path=/"), Err(HeadError::HostAbsent));
        assert_eq!(word(&format!("{SOUND}|range=x|range=x")), Err(HeadError::HeaderTwice));
        let long = "x".repeat(HEAD_BYTES_MAX);
        assert_eq!(word(&format!("{SOUND}|a={long}")), Err(HeadError::HeadTooLong));
        assert_eq!(word(":method=CONNECT|:authority=a:443"), Ok(true));
        assert_eq!(word(":method=OPTIONS|:scheme=http|:path=*|:authority=a"), Ok(true));
    }

    #[test]
    fn a_body_has_the_length_it_was_said_to_have() {
        let asked = |length| {
            let mut draft = Draft::default();
            for field in SOUND.split('|') {
                let (name, value) = field.split_once('=').expect("name=value");
                draft.field(name.as_bytes(), value.as_bytes());
            }
            if let Some(length) = length {
                draft.field(b"content-length", length);
            }
            draft.finish().expect("well-formed")
        };
        assert_eq!(asked(Some(b"4")).complete(5), Err(Malformed));
        for text in [asked(Some(b"5")).complete(5), asked(None).complete(5)] {
            let text = text.expect("well-formed");
            assert_eq!(Head::parse(&text), Err(HeadError::BodyLength));
        }
    }
}
