//! One client connection of the load: asks, and counts an answer's bytes as they arrive. Bodies are
//! thrown away in the kernel or unread by the cipher, so that the load costs less than the server;
//! that a body is right is for the tests to say.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use nightfill_harness::Trouble;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use rustls::{ClientConnection, ContentType};

use crate::peers::Server;

/// Every server says 404 to this, and keeps the connection.
const ABSENT: &[u8] = b"GET /absent HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// Longest response head.
const HEAD_BYTES: usize = 8192;
/// What a TLS 1.3 record has besides its text: the type and the tag.
const RECORD_EXTRA: u64 = 17;
const RECORD_HEAD: usize = 5;
/// How long a handshake or a first answer may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection and where it is in its answer.
pub struct Line {
    socket: TcpStream,
    cover: Option<Secret>,
    /// Body bytes of the answer under way still to come; none when it has not begun.
    left: Option<u64>,
    head: Vec<u8>,
    /// Body bytes of the answer under way, and its status.
    length: u64,
    status: u16,
}

struct Secret {
    session: ClientConnection,
    /// Text bytes of a head: servers write heads of one length for bodies of one length.
    head_bytes: u64,
    record_head: [u8; RECORD_HEAD],
    record_head_got: usize,
    record_left: u64,
}

/// What came of looking at a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing more for now.
    Waiting,
    /// More may be there, but others wait too.
    More,
    /// An answer is whole.
    Whole,
}

impl Line {
    /// Connects, shakes hands, and hears one refusal, behind which no session ticket is left to
    /// come. `head_bytes` is what `head_bytes_of` found for the bodies that will be asked for.
    ///
    /// # Errors
    /// When any of that fails.
    pub fn open(server: &Server, head_bytes: u64) -> Result<Self, Trouble> {
        let (socket, session, _) = greet(server, ABSENT, 404)?;
        let cover = session.map(|session| Secret {
            session,
            head_bytes,
            record_head: [0; RECORD_HEAD],
            record_head_got: 0,
            record_left: 0,
        });
        socket.set_nonblocking(true)?;
        Ok(Self { socket, cover, left: None, head: Vec::new(), length: 0, status: 0 })
    }

    /// The socket, to wait for.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Asks for the next body, of `length` bytes, to be answered with `status`.
    ///
    /// # Errors
    /// When the socket is gone; a request is far smaller than any socket's buffer.
    pub fn ask(&mut self, request: &[u8], length: u64, status: u16) -> Result<(), Trouble> {
        (self.left, self.length, self.status) = (None, length, status);
        self.head.clear();
        match &mut self.cover {
            None => self.socket.write_all(request)?,
            Some(secret) => {
                secret.session.writer().write_all(request)?;
                while secret.session.wants_write() {
                    secret.session.write_tls(&mut self.socket)?;
                }
                // In records there is no telling head from body: both are counted down together.
                self.left = Some(length + secret.head_bytes);
            }
        }
        Ok(())
    }

    /// Takes what has arrived. Gives the body bytes taken and how it stands.
    ///
    /// # Errors
    /// When the server closes or answers something else.
    pub fn look(&mut self, scratch: &mut [u8]) -> Result<(u64, Seen), Trouble> {
        if self.cover.is_some() {
            return self.look_at_records(scratch);
        }
        let mut taken = 0;
        if self.left.is_none() {
            match self.read_head(scratch)? {
                None => return Ok((0, Seen::Waiting)),
                Some(body) => taken += body,
            }
        }
        let left = self.left.unwrap_or(0);
        if left > 0 {
            let Some(count) = self.discard(scratch, left)? else {
                return Ok((taken, Seen::Waiting));
            };
            taken += count;
            self.left = Some(left - count);
        }
        Ok((taken, if self.left == Some(0) { Seen::Whole } else { Seen::More }))
    }

    /// Up to `most` bytes that are there, thrown away by the kernel without being copied.
    fn discard(&self, scratch: &mut [u8], most: u64) -> Result<Option<u64>, Trouble> {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(scratch.len());
        match recv(self.socket.as_raw_fd(), &mut scratch[..most], MsgFlags::MSG_TRUNC) {
            Ok(0) => Err(Trouble("the server closed in the middle of a body".to_owned())),
            Ok(count) => Ok(Some(count as u64)),
            Err(Errno::EAGAIN) => Ok(None),
            Err(error) => Err(Trouble(format!("receiving: {error}"))),
        }
    }

    fn read_head(&mut self, scratch: &mut [u8]) -> Result<Option<u64>, Trouble> {
        let count = match self.socket.read(&mut scratch[..HEAD_BYTES]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            other => other?,
        };
        if count == 0 {
            return Err(Trouble("the server closed instead of answering".to_owned()));
        }
        self.head.extend_from_slice(&scratch[..count]);
        let Some((head, length)) = whole_head(&self.head, self.status)? else { return Ok(None) };
        let body = (self.head.len() - head) as u64;
        if length != self.length {
            let wanted = self.length;
            return Err(Trouble(format!("a body of {length} bytes where {wanted} were asked")));
        }
        self.left = Some(length - body);
        Ok(Some(body))
    }

    fn look_at_records(&mut self, scratch: &mut [u8]) -> Result<(u64, Seen), Trouble> {
        let Some(mut secret) = self.cover.take() else { return Ok((0, Seen::Waiting)) };
        let seen = self.skim(&mut secret, scratch);
        self.cover = Some(secret);
        let (text, seen) = seen?;
        // The head is not body; it is some hundred bytes in whichever answer this is.
        Ok((text, seen))
    }

    fn skim(&mut self, secret: &mut Secret, scratch: &mut [u8]) -> Result<(u64, Seen), Trouble> {
        let mut text = 0;
        // A bounded turn, so that one fast connection does not starve the others.
        for _ in 0..64 {
            if secret.record_left == 0 {
                let got = secret.record_head_got;
                match (&self.socket).read(&mut secret.record_head[got..]) {
                    Ok(0) => return Err(Trouble("the server closed within TLS".to_owned())),
                    Ok(count) => secret.record_head_got += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        return Ok((text, Seen::Waiting));
                    }
                    Err(error) => return Err(error.into()),
                }
                if secret.record_head_got < RECORD_HEAD {
                    continue;
                }
                secret.record_head_got = 0;
                let [kind, _, _, high, low] = secret.record_head;
                if kind != u8::from(ContentType::ApplicationData) {
                    return Err(Trouble(format!("a TLS record of type {kind} in an answer")));
                }
                let bytes = u64::from(u16::from_be_bytes([high, low]));
                secret.record_left = bytes;
                let plain = bytes.saturating_sub(RECORD_EXTRA);
                text += plain;
                let left = self.left.unwrap_or(0);
                if plain > left {
                    let more = plain - left;
                    return Err(Trouble(format!("an answer {more} bytes longer than the first")));
                }
                self.left = Some(left - plain);
            } else {
                let Some(count) = self.discard(scratch, secret.record_left)? else {
                    return Ok((text, Seen::Waiting));
                };
                secret.record_left -= count;
                if secret.record_left == 0 && self.left == Some(0) {
                    return Ok((text, Seen::Whole));
                }
            }
        }
        Ok((text, Seen::More))
    }
}

/// The length of the head that `server` writes before what `request` asks for.
///
/// # Errors
/// When it cannot be asked or does not answer with `status`.
pub fn head_bytes_of(server: &Server, request: &[u8], status: u16) -> Result<u64, Trouble> {
    greet(server, request, status).map(|(_, _, head)| head)
}

/// Connects, shakes hands, and reads one whole answer.
fn greet(
    server: &Server,
    request: &[u8],
    status: u16,
) -> Result<(TcpStream, Option<ClientConnection>, u64), Trouble> {
    let mut socket = TcpStream::connect(&server.address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let Some(config) = &server.trust else {
        socket.write_all(request)?;
        let head = first_answer(&mut socket, status)?;
        return Ok((socket, None, head));
    };
    let name = "localhost".try_into().map_err(|_| Trouble("bad name".to_owned()))?;
    let session = ClientConnection::new(Arc::clone(config), name);
    let mut session = session.map_err(|error| Trouble(error.to_string()))?;
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    stream.write_all(request)?;
    let head = first_answer(&mut stream, status)?;
    Ok((socket, Some(session), head))
}

/// Reads one answer to its end and gives the length of its head.
fn first_answer(stream: &mut dyn Read, status: u16) -> Result<u64, Trouble> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 256 << 10];
    let (head, length) = loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(Trouble("the server closed in the middle of a head".to_owned()));
        }
        bytes.extend_from_slice(&buffer[..count]);
        if let Some(found) = whole_head(&bytes, status)? {
            break found;
        }
    };
    let mut left = length.saturating_sub((bytes.len() - head) as u64);
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = stream.read(&mut buffer[..want])?;
        if count == 0 {
            return Err(Trouble(format!("the server closed with {left} bytes to go")));
        }
        left -= count as u64;
    }
    Ok(head as u64)
}

/// The length of the head and of its body, once the head is whole.
fn whole_head(bytes: &[u8], status: u16) -> Result<Option<(usize, u64)>, Trouble> {
    let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        let long = bytes.len() > HEAD_BYTES;
        return if long { Err(Trouble("an endless head".to_owned())) } else { Ok(None) };
    };
    let head = String::from_utf8_lossy(&bytes[..at + 2]).to_ascii_lowercase();
    if !head.starts_with(&format!("http/1.1 {status} ")) {
        let first = head.lines().next().unwrap_or_default().to_owned();
        return Err(Trouble(format!("the server answered {first}")));
    }
    let length = head.lines().find_map(|field| field.strip_prefix("content-length:"));
    let length = length.and_then(|value| value.trim().parse().ok());
    let length = length.ok_or_else(|| Trouble("an answer without Content-Length".to_owned()))?;
    Ok(Some((at + 4, length)))
}
