//! Frames of HTTP/2 as a client writes and reads them. Its own small writer and reader: it shares
//! no line with the server's.

/// What every client says first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_BYTES: usize = 9;
/// Nobody told the server that it may send longer ones.
const PAYLOAD_BYTES_MAX: usize = 16_384;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// Takes the first frame off `bytes`, if all of it is there.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Result<Option<Self>, String> {
        let Some([a, b, c, kind, flags, d, e, f, g]) = bytes.first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        if length > PAYLOAD_BYTES_MAX || d & 0x80 != 0 {
            return Err(format!("a frame of {length} bytes, kind {kind}"));
        }
        let stream = u32::from_be_bytes([*d, *e, *f, *g]);
        let (kind, flags) = (*kind, *flags);
        let Some(payload) = bytes.get(HEAD_BYTES..HEAD_BYTES + length) else { return Ok(None) };
        let payload = payload.to_vec();
        bytes.drain(..HEAD_BYTES + length);
        Ok(Some(Self { kind, flags, stream, payload }))
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The four bytes at `at`.
    pub(crate) fn number(&self, at: usize) -> Option<u32> {
        let bytes = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    [&[a, b, c, kind, flags, d, e, f, g], payload].concat()
}

/// The head of a request as HTTP/1.1 has it, in fields of HTTP/2.
pub(crate) fn fields_of(request: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(request);
    let mut lines = text.split("\r\n").take_while(|line| !line.is_empty());
    let mut words = lines.next().unwrap_or_default().split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, path) = (word(), word());
    let mut fields = vec![
        (":method".to_owned(), method),
        (":scheme".to_owned(), "https".to_owned()),
        (":path".to_owned(), path),
    ];
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        match name {
            "Host" => fields.insert(1, (":authority".to_owned(), value.to_owned())),
            _ => fields.push((name.to_ascii_lowercase(), value.to_owned())),
        }
    }
    fields
}
