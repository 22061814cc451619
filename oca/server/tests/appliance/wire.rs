//! A client that sees every byte: clear or TLS, one request at a time or several at once.
//! It parses only as much of an answer as its end needs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::kit::PATIENCE;

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// One connection.
pub struct Connection {
    stream: Box<dyn Stream>,
    /// Read and not yet part of an answer.
    ahead: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// False when the connection ended before `Content-Length` bytes were there.
    pub is_whole: bool,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap().trim()
    }
}

impl Connection {
    pub fn plain(to: SocketAddr) -> Self {
        Self { stream: Box::new(dial(to)), ahead: Vec::new() }
    }

    pub fn tls(to: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::clone(config), name).unwrap();
        Self { stream: Box::new(StreamOwned::new(session, dial(to))), ahead: Vec::new() }
    }

    /// Whether a client with `config` believes the server at `to`.
    pub fn believes(to: SocketAddr, config: &Arc<ClientConfig>) -> bool {
        let name = ServerName::try_from("localhost").unwrap();
        let mut session = ClientConnection::new(Arc::clone(config), name).unwrap();
        session.complete_io(&mut dial(to)).is_ok()
    }

    pub fn get(&mut self, path: &str, headers: &str) -> Reply {
        self.ask("GET", path, headers)
    }

    pub fn ask(&mut self, method: &str, path: &str, headers: &str) -> Reply {
        self.send(request(method, path, headers).as_bytes());
        self.reply(method)
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
        self.stream.flush().unwrap();
    }

    /// The next answer.
    pub fn reply(&mut self, method: &str) -> Reply {
        self.reply_unless_ended(method).expect("an answer before the connection ends")
    }

    /// The next answer, or `None` when the connection ends between two.
    pub fn reply_unless_ended(&mut self, method: &str) -> Option<Reply> {
        let end = loop {
            if let Some(at) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more() {
                assert!(self.ahead.is_empty(), "cut within a head: {:?}", self.ahead);
                return None;
            }
        };
        let head = String::from_utf8(self.ahead.drain(..end).collect()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
        let length = if method == "HEAD" || status == 304 { 0 } else { length };
        while self.ahead.len() < length {
            if !self.more() {
                let body = std::mem::take(&mut self.ahead);
                return Some(Reply { status, headers, body, is_whole: false });
            }
        }
        let body = self.ahead.drain(..length).collect();
        Some(Reply { status, headers, body, is_whole: true })
    }

    /// Whether the server ends the connection without another byte.
    pub fn is_ended(&mut self) -> bool {
        self.ahead.is_empty() && !self.more()
    }

    fn more(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(got) => {
                self.ahead.extend_from_slice(&piece[..got]);
                true
            }
            Err(error) if is_end(error.kind()) => false,
            Err(error) => panic!("reading an answer: {error}"),
        }
    }
}

fn is_end(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

pub fn request(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: edge.example\r\n{headers}\r\n")
}

fn dial(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}
