//! The one bottom trait of the server: submit operations, wait, pop completions, read two clocks.
//! It knows nothing of HTTP, TLS or objects; `oca-sys` implements it with a ring, `oca-sim` with a
//! seed.
//!
//! Operations carry handles and owned buffers, never addresses: memory the kernel may read or write
//! belongs to the operation until its completion hands it back. One `Kernel` lives on one thread.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;

use crate::buffer::{Buffer, PoolLevel};
use crate::ktls::SendKeys;

/// Given at `submit`, handed back by the completion. The server packs a slot and a generation in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// A listening socket given to the kernel at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u32);

/// A connected socket; valid from `Accepted` until `Op::CloseSocket` completes. A number is not
/// reused at once: an operation on a stale one completes with an error, on nobody else's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketId(pub u32);

/// An open file; valid from `Opened` until `Op::CloseFile` completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId(pub u32);

/// Nanoseconds on a monotonic clock whose zero means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// This moment plus `millis`, saturating.
    #[must_use]
    pub fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis.saturating_mul(1_000_000)))
    }

    /// Nanoseconds from `earlier` to here, 0 when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What the server may ask of the kernel: a closed set.
#[derive(Debug)]
pub enum Op {
    /// Keep accepting: one `Accepted` per connection until `StopAccepting`.
    Accept { listener: ListenerId },
    /// End `Accept`; a last `Accepted(Err(ECANCELED))` carries the accept's token.
    StopAccepting { listener: ListenerId },
    /// Read what has arrived, at most the buffer's length. 0 bytes: the peer is done sending.
    Receive { socket: SocketId, into: Buffer },
    /// The same into any free buffer of the receive size, picked when bytes are there: until then
    /// the operation holds none, and without a free one it waits.
    ReceiveAny { socket: SocketId },
    /// Send `range` of `from`; may be short. `more` promises that bytes follow at once (MSG_MORE).
    Send { socket: SocketId, from: Rc<Buffer>, range: Range<usize>, more: bool },
    /// Send `head` and, behind it, `range` of `from`, as one: neither is empty. May be short, in
    /// either.
    SendBehind { socket: SocketId, head: Head, from: Rc<Buffer>, range: Range<usize>, more: bool },
    /// Send `range` of `from`, as `Send` does, from where it lies: the network reads the memory
    /// until it has no more use for it. Two events come under this token, `Sent` and `Returned`;
    /// whatever becomes of the socket, the memory stays as it is until the second.
    SendLent { socket: SocketId, from: Rc<Buffer>, range: Range<usize>, more: bool },
    /// Send `head`, if there is one, and then bytes of a file straight from the page cache. May be
    /// short, and ends where the page cache does: it never waits for a disk.
    SendFile { socket: SocketId, head: Option<Head>, file: FileId, piece: Piece, more: bool },
    /// Send `range` of `from` as one TLS record of type `kind`, on a socket that the kernel seals
    /// for (`Kernel::seal_from_here`). All of it or nothing, behind everything sent before.
    SendRecord { socket: SocketId, kind: u8, from: Rc<Buffer>, range: Range<usize> },
    /// End the sending side (FIN), after all sends completed.
    Shutdown { socket: SocketId },
    /// Give the socket up. Its other operations complete first, with an error if they must.
    CloseSocket { socket: SocketId },
    /// Open an existing file read-only, past the page cache where the file system can. Unless it
    /// `follows` symbolic links, one anywhere in the path is the error ELOOP.
    Open { path: PathBuf, follows: bool },
    /// Read at byte `at`, a multiple of 4096, at most the buffer's length. Short only at the end.
    Read { file: FileId, at: u64, into: Buffer, access: Access },
    /// The same into several buffers, one behind the other, as one request to the disk.
    ReadMany { file: FileId, at: u64, into: Vec<Buffer> },
    /// Give the file up.
    CloseFile { file: FileId },
}

/// Bytes that go out in front of a file's.
#[derive(Clone, Debug)]
pub struct Head {
    /// Holds them.
    pub from: Rc<Buffer>,
    /// Where; empty is allowed.
    pub range: Range<usize>,
}

/// Bytes of a file: `bytes` (at least one) from `at` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First byte.
    pub at: u64,
    /// How many.
    pub bytes: usize,
}

/// Which way a file's bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Past the page cache where the file system can: memory is the server's own business.
    Direct,
    /// Through the page cache, where `Op::SendFile` finds them afterwards.
    Cached,
}

/// One finished operation, under the token it was submitted with.
#[derive(Debug)]
pub struct Completion {
    /// As given at `submit`.
    pub token: Token,
    /// How it ended.
    pub event: Event,
}

/// How an operation ended: a closed set of arms for each `Op` and one for `Waker::wake`.
#[derive(Debug)]
pub enum Event {
    /// A connection came in.
    Accepted(io::Result<Accepted>),
    /// Bytes received, in the buffer that was lent.
    Received(io::Result<usize>, Buffer),
    /// `ReceiveAny` ended without a buffer: the peer is done sending, or an error.
    ReceiveEnded(io::Result<()>),
    /// Bytes sent.
    Sent(io::Result<usize>, Rc<Buffer>),
    /// Memory given with `SendLent` is nobody's but ours again, and what it was used for.
    Returned(Lending, Rc<Buffer>),
    /// Bytes of the head and behind it sent, as one number; both buffers come back, the head's
    /// first.
    SentBehind(io::Result<usize>, Rc<Buffer>, Rc<Buffer>),
    /// Bytes of the head and of the file sent, as one number; the head's buffer comes back. 0: the
    /// first byte of the file is not in the page cache, or is not known to be.
    FileSent(io::Result<usize>, Option<Rc<Buffer>>),
    /// The sending side is closed.
    ShutDown(io::Result<()>),
    /// The socket is gone.
    SocketClosed,
    /// The file is open.
    Opened(io::Result<FileId>),
    /// Bytes read, in the buffer that was lent.
    Read(io::Result<usize>, Buffer),
    /// Bytes read, all buffers together, in the buffers that were lent.
    ReadMany(io::Result<usize>, Vec<Buffer>),
    /// The file is gone.
    FileClosed,
    /// Another thread called `Waker::wake`; its token is `Token(u64::MAX)`.
    Woken,
}

/// A new connection.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    /// The connection.
    pub socket: SocketId,
    /// Who it is.
    pub peer: SocketAddr,
}

/// What became of memory that was lent to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lending {
    /// It was read where it lay.
    Used,
    /// It was copied after all, which costs more than a plain send.
    Copied,
    /// The kernel says so, as it does of any send that it joined to the packet of the one before.
    Unsure,
    /// Nothing was sent from it.
    Nothing,
}

/// How full the three pools are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferLevels {
    /// Receive buffers.
    pub receive: PoolLevel,
    /// Chunk buffers.
    pub chunk: PoolLevel,
    /// Send buffers.
    pub send: PoolLevel,
}

/// What a kernel has done so far, for the machine's keeper.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    /// Calls of `wait`.
    pub turns: u64,
    /// Sends from the page cache.
    pub file_sends: u64,
    /// Of those, sends that the ring did by itself.
    pub spliced: u64,
    /// Zero-copy sends that the network took from our memory.
    pub zero_copy: u64,
    /// Zero-copy sends that were copied after all.
    pub zero_copy_copied: u64,
    /// Sends that ended and whose memory is still lent.
    pub lent: u64,
}

/// Wakes a kernel that waits, from any thread.
pub trait Waker: Send + Sync {
    /// Makes the kernel's `wait` return and `pop` yield one `Event::Woken` (several may fold).
    fn wake(&self);
}

/// Submit, wait, pop, and two clocks. The server is generic over this and nothing below it.
pub trait Kernel {
    /// Queues `op`. When the queue is full the operation comes back untouched: wait, then retry.
    ///
    /// # Errors
    /// The refused operation itself.
    fn submit(&mut self, token: Token, op: Op) -> Result<(), Op>;

    /// Hands queued operations to the machine and returns when a completion is there, or at `until`
    /// (never, if absent). One system call at most.
    fn wait(&mut self, until: Option<Nanos>);

    /// The same, where nobody is in a hurry: completions gather for `gather_ns` before the first of
    /// them ends the wait, or until there are many. A connection that comes in ends it at once. A
    /// kernel that cannot gather returns with the first, or with nothing.
    fn wait_patiently(&mut self, until: Option<Nanos>, gather_ns: u64) {
        let _ = gather_ns;
        self.wait(until);
    }

    /// Next completion gathered by `wait`, if any.
    fn pop(&mut self) -> Option<Completion>;

    /// A free buffer of the receive size, or `None` when the pool is spent.
    fn receive_buffer(&mut self) -> Option<Buffer>;

    /// A free buffer of the chunk size (`CHUNK_BYTES`, 4096-aligned), or `None` when all are out.
    fn chunk_buffer(&mut self) -> Option<Buffer>;

    /// A free buffer of the send size (one batch of TLS records, or response heads), or `None`.
    fn send_buffer(&mut self) -> Option<Buffer>;

    /// Sends on `socket` at most so many bytes a second from now on, as the wire carries them;
    /// absent: as fast as it goes. At once, without a completion.
    ///
    /// # Errors
    /// This kernel cannot, or the socket is gone: whoever wants a pace has to wait by himself.
    fn pace(&mut self, socket: SocketId, bytes_per_second: Option<u64>) -> io::Result<()> {
        let _ = (socket, bytes_per_second);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Why `Op::SendLent` is not worth trying here; absent where it may be.
    fn lending_refused(&self) -> Option<String> {
        Some("this kernel lends nothing".to_owned())
    }

    /// Bytes that a socket took and its peer has not acknowledged; absent where that is not known.
    fn queued(&self, socket: SocketId) -> Option<u64> {
        let _ = socket;
        None
    }

    /// Our own address of a connection: which way its bytes leave. Absent for a stale socket.
    fn local_address(&self, socket: SocketId) -> Option<IpAddr> {
        let _ = socket;
        None
    }

    /// From here on the kernel seals what is sent on `socket`, as TLS records with `keys`. No send
    /// may be under way. At once, without a completion; what is received stays as it comes.
    ///
    /// # Errors
    /// This kernel cannot, or not with this cipher, or the socket is gone or going: it is as it
    /// was, and whoever sends seals by himself.
    fn seal_from_here(&mut self, socket: SocketId, keys: &SendKeys<'_>) -> io::Result<()>;

    /// How many buffers of each pool are out: metrics read it, and a drained server must show zero.
    fn buffers(&self) -> BufferLevels;

    /// How many bytes of `piece`, from its first on, are in the page cache: what `Op::SendFile`
    /// could send without a disk. 0 when that cannot be known.
    fn resident(&mut self, file: FileId, piece: Piece) -> usize;

    /// The pages of `file` need not be asked for before a send on a paced socket: bytes that come
    /// from the disk are as good as those that were there, and whoever waits for them there is a
    /// thread of the kernel's.
    fn trust_pages(&mut self, file: FileId) {
        let _ = file;
    }

    /// What it has done so far.
    fn tallies(&self) -> Tallies;

    /// Monotonic time as of the last `wait`.
    fn now(&self) -> Nanos;

    /// Milliseconds since 1970 as of the last `wait`. May jump.
    fn wall_ms(&self) -> u64;
}
