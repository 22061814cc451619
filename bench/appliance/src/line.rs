//! One client connection of the load: asks, and takes the answer as it arrives. Every head is read;
//! bodies are thrown away in the kernel without being copied, except those that are compared with
//! their source. How TLS is told apart without opening it is for `records`.

use std::io::{ErrorKind, IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nightfill_harness::Trouble;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::sockopt::{ReceiveTimestampns, TcpMaxSeg};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrIn, bind, connect,
    recv, recvmsg, setsockopt, socket,
};
use nix::sys::time::TimeSpec;
use rustls::ClientConnection;

use crate::answer::{ABSENT, Answer, Ask, Desk, whole_head};
use crate::keys::Keys;
use crate::peers::Server;
use crate::records::Records;

/// How much is read where a plain head is expected.
const PEEK_BYTES: usize = 640;
const ETHERNET_SEGMENT_BYTES: u32 = 1460;
/// How many connections come from one address.
const CONNECTIONS_OF_ONE_ADDRESS: usize = 16;
/// How long a handshake or a first answer may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection and the answer under way on it.
pub struct Line {
    socket: TcpStream,
    records: Option<Box<Records>>,
    answer: Option<Answer>,
}

/// How large the segments of a connection may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segments {
    /// As loopback has them: nearly 64 KiB.
    Loopback,
    /// As Ethernet has them. An answer a little above loopback's segment waits there for a delayed
    /// acknowledgement, 40 ms, under any server that leaves Nagle's algorithm on; on a network the
    /// acknowledgements of so many segments come at once.
    Ethernet,
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
    /// Connects as the `index`th, shakes hands, and hears one refusal, behind which no session
    /// ticket is left to come.
    ///
    /// # Errors
    /// When any of that fails.
    pub fn open(server: &Server, index: usize, segments: Segments) -> Result<Self, Trouble> {
        let (socket, session) = greet(server, connect_as(server, index, segments)?, ABSENT, 404)?;
        let keys = session.map(Keys::of).transpose()?;
        let records = keys.map(|keys| Box::new(Records::with(keys)));
        socket.set_nonblocking(true)?;
        Ok(Self { socket, records, answer: None })
    }

    /// The socket, to wait for.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Asks for the next body.
    ///
    /// # Errors
    /// When the socket is gone; a request is far smaller than any socket's buffer.
    pub fn ask(&mut self, ask: Ask) -> Result<(), Trouble> {
        match &mut self.records {
            None => self.socket.write_all(&ask.request)?,
            Some(records) => self.socket.write_all(&records.seal(&ask.request)?)?,
        }
        self.answer = Some(Answer::to(ask));
        Ok(())
    }

    /// Lets the kernel note when bytes arrive, for `arrival`.
    ///
    /// # Errors
    /// When it will not.
    pub fn note_arrivals(&self) -> Result<(), Trouble> {
        setsockopt(&self.socket, ReceiveTimestampns, &true).map_err(std::io::Error::from)?;
        Ok(())
    }

    /// When the first byte that nobody has taken yet arrived here, by the kernel's wall clock;
    /// `None` when there is none. A load that is busy with others looks later than that, which is
    /// no server's doing. The kernel begins to note a moment after it was told to: until then a
    /// byte arrives when it is looked at.
    ///
    /// # Errors
    /// When the socket is broken.
    pub fn arrival(&self) -> Result<Option<Duration>, Trouble> {
        let (mut byte, mut notes) = ([0], cmsg_space!(TimeSpec));
        let mut room = [IoSliceMut::new(&mut byte)];
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        let socket = self.socket.as_raw_fd();
        let got = match recvmsg::<()>(socket, &mut room, Some(&mut notes), flags) {
            Err(Errno::EAGAIN) => return Ok(None),
            other => other.map_err(std::io::Error::from)?,
        };
        let noted = got.cmsgs().map_err(std::io::Error::from)?.find_map(|note| match note {
            ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
            _ => None,
        });
        Ok(Some(noted.unwrap_or_else(wall)))
    }

    /// Takes what has arrived. Gives the body bytes taken and how it stands.
    ///
    /// # Errors
    /// When the server closes or answers something else.
    pub fn look(&mut self, desk: &mut Desk) -> Result<(u64, Seen), Trouble> {
        let Some(answer) = &mut self.answer else {
            let more = read_some(&self.socket, &mut desk.scratch)?;
            return match more {
                None => Ok((0, Seen::Waiting)),
                Some(bytes) => Err(Trouble(format!("{bytes} bytes that nobody asked for"))),
            };
        };
        let looked = match &mut self.records {
            Some(records) => records.look(&self.socket, answer, desk),
            None => look_plain(&self.socket, answer, desk),
        }?;
        if looked.1 == Seen::Whole {
            self.answer = None;
        }
        Ok(looked)
    }

    /// Hears one whole answer, every byte of it compared, and says whether a server that speaks
    /// TLS fills its records.
    ///
    /// # Errors
    /// As `look`.
    pub fn rehearse(&mut self, ask: Ask, desk: &mut Desk) -> Result<bool, Trouble> {
        let Some(records) = &mut self.records else { return Ok(false) };
        self.socket.set_nonblocking(false)?;
        self.socket.write_all(&records.seal(&ask.request)?)?;
        let full = records.rehearse(&self.socket, &mut Answer::to(ask), desk)?;
        self.socket.set_nonblocking(true)?;
        Ok(full)
    }
}

fn look_plain(
    socket: &TcpStream,
    answer: &mut Answer,
    desk: &mut Desk,
) -> Result<(u64, Seen), Trouble> {
    let mut body = 0;
    if answer.wants_head() || answer.is_compared() {
        let mut scratch = std::mem::take(&mut desk.scratch);
        let most = if answer.wants_head() { PEEK_BYTES } else { scratch.len() };
        let read = read_some(socket, &mut scratch[..most]);
        let taken = match read {
            Ok(Some(count)) => answer.take(&scratch[..count], desk).map(Some),
            other => other.map(|_| None),
        };
        desk.scratch = scratch;
        let Some(bytes) = taken? else { return Ok((0, Seen::Waiting)) };
        body = bytes;
    }
    if !answer.wants_head() && !answer.is_compared() && !answer.is_whole() {
        let Some(count) = discard(socket, &mut desk.scratch, answer.left())? else {
            return Ok((body, Seen::Waiting));
        };
        answer.pass(count)?;
        body += count;
    }
    Ok((body, if answer.is_whole() { Seen::Whole } else { Seen::More }))
}

/// The wall clock, since 1970: what arrivals are noted by.
pub fn wall() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Bytes that are there, or none for now.
///
/// # Errors
/// When the server has closed.
pub fn read_some(mut socket: &TcpStream, bytes: &mut [u8]) -> Result<Option<usize>, Trouble> {
    match socket.read(bytes) {
        Ok(0) => Err(Trouble("the server closed a connection that was asked".to_owned())),
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Up to `most` bytes that are there, thrown away by the kernel without being copied.
///
/// # Errors
/// As `read_some`.
pub fn discard(socket: &TcpStream, room: &mut [u8], most: u64) -> Result<Option<u64>, Trouble> {
    let most = usize::try_from(most).unwrap_or(usize::MAX).min(room.len());
    match recv(socket.as_raw_fd(), &mut room[..most], MsgFlags::MSG_TRUNC) {
        Ok(0) => Err(Trouble("the server closed in the middle of a body".to_owned())),
        Ok(count) => Ok(Some(count as u64)),
        Err(Errno::EAGAIN) => Ok(None),
        Err(error) => Err(Trouble(format!("receiving: {error}"))),
    }
}

/// The `index`th connection, which has had one answer to `request` and now only stands there.
///
/// # Errors
/// When it cannot be made or the answer is another.
pub fn idle(server: &Server, index: usize, request: &[u8]) -> Result<TcpStream, Trouble> {
    greet(server, connect_as(server, index, Segments::Loopback)?, request, 200)
        .map(|(socket, _)| socket)
}

/// Connects from one of many addresses of loopback: members do not share one either, and one has
/// only so many ports and so much of a server.
fn connect_as(server: &Server, index: usize, segments: Segments) -> Result<TcpStream, Trouble> {
    let place = index / CONNECTIONS_OF_ONE_ADDRESS;
    let [.., high, low] = (place + 1).to_be_bytes();
    let source = Ipv4Addr::new(127, 1, high, low);
    let open = || -> Result<OwnedFd, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let made = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
        if segments == Segments::Ethernet {
            setsockopt(&made, TcpMaxSeg, &ETHERNET_SEGMENT_BYTES)?;
        }
        bind(made.as_raw_fd(), &SockaddrIn::from(std::net::SocketAddrV4::new(source, 0)))?;
        let to: std::net::SocketAddrV4 = server.address.parse().map_err(|_| Errno::EINVAL)?;
        connect(made.as_raw_fd(), &SockaddrIn::from(to))?;
        Ok(made)
    };
    let made = open().map_err(|error| Trouble(format!("connecting from {source}: {error}")))?;
    Ok(made.into())
}

/// Shakes hands and reads one whole answer.
fn greet(
    server: &Server,
    mut socket: TcpStream,
    request: &[u8],
    status: u16,
) -> Result<(TcpStream, Option<ClientConnection>), Trouble> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let Some(config) = &server.trust else {
        socket.write_all(request)?;
        first_answer(&mut socket, status)?;
        return Ok((socket, None));
    };
    let name = "localhost".try_into().map_err(|_| Trouble("bad name".to_owned()))?;
    let session = ClientConnection::new(Arc::clone(config), name);
    let mut session = session.map_err(|error| Trouble(error.to_string()))?;
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    stream.write_all(request)?;
    first_answer(&mut stream, status)?;
    Ok((socket, Some(session)))
}

/// Reads one answer to its end, and not a byte more.
fn first_answer(stream: &mut dyn Read, status: u16) -> Result<(), Trouble> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 16 << 10];
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
    Ok(())
}
