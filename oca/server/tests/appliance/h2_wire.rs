//! A client of HTTP/2 that sends what it is told, frame by frame, right or wrong. It opens no
//! window by itself and judges nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use oca_http::h2::{FrameHead, PREFACE};

use crate::kit::PATIENCE;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Error codes of RFC 9113 section 7.
pub const NO_ERROR: u32 = 0;
pub const FLOW_CONTROL_ERROR: u32 = 3;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// One connection.
pub struct RawClient {
    wire: Box<dyn Wire>,
}

/// What the server sent.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// Of RST_STREAM and GOAWAY.
    pub fn code(&self) -> u32 {
        let bytes = self.payload.last_chunk::<4>().expect("an error code");
        u32::from_be_bytes(*bytes)
    }

    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & 1 == 1
    }
}

impl RawClient {
    pub fn tls(to: SocketAddr, config: &Arc<rustls::ClientConfig>) -> Self {
        let socket = TcpStream::connect(to).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let name = "localhost".try_into().unwrap();
        let session = rustls::ClientConnection::new(Arc::clone(config), name).unwrap();
        Self { wire: Box::new(rustls::StreamOwned::new(session, socket)) }
    }

    /// The preface and these settings.
    pub fn hello(&mut self, settings: &[(u16, u32)]) {
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend_from_slice(&name.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        self.send(&[PREFACE, &frame(SETTINGS, 0, 0, &payload)[..]].concat());
    }

    /// Bytes as they are; false when the server has gone.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.wire.write_all(bytes).and_then(|()| self.wire.flush()).is_ok()
    }

    pub fn send(&mut self, bytes: &[u8]) {
        assert!(self.try_send(bytes), "the server has gone");
    }

    pub fn get(&mut self, stream: u32, path: &str, fields: &[(&str, &str)]) {
        self.send(&frame(HEADERS, 5, stream, &block(path, fields)));
    }

    pub fn open_window(&mut self, stream: u32, bytes: u32) {
        self.send(&frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes()));
    }

    /// The next frame; absent when the connection has ended.
    pub fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.wire.read_exact(&mut head).ok()?;
        let head = FrameHead::read(&head).unwrap();
        let mut payload = vec![0; head.bytes];
        self.wire.read_exact(&mut payload).ok()?;
        Some(Frame { kind: head.kind, flags: head.flags, stream: head.stream, payload })
    }

    /// The next frame that `is_it`.
    pub fn until(&mut self, mut is_it: impl FnMut(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.next().expect("the server goes on");
            if is_it(&frame) {
                return frame;
            }
        }
    }
}

/// A whole frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let head = FrameHead { bytes: payload.len(), kind, flags, stream };
    [&head.to_bytes()[..], payload].concat()
}

/// A GET of `path` as a header block, without a table.
pub fn block(path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = b"\x82\x87\x41\x01a\x04".to_vec();
    put_text(&mut block, path);
    for (name, value) in fields {
        block.push(0);
        put_text(&mut block, name);
        put_text(&mut block, value);
    }
    block
}

fn put_text(block: &mut Vec<u8>, text: &str) {
    let mut left = text.len();
    if left < 127 {
        block.push(left as u8);
    } else {
        block.push(127);
        left -= 127;
        while left >= 128 {
            block.push(left as u8 | 128);
            left >>= 7;
        }
        block.push(left as u8);
    }
    block.extend_from_slice(text.as_bytes());
}
