//! Operations the kernel is working on, each owning the memory the kernel may touch.
//! Nothing leaves here before its completion has come.

use std::ffi::CString;
use std::ops::Range;
use std::rc::Rc;

use super::pace::Pacing;
use super::pipes::Pipe;
use super::read_many::ManyUnread;
use super::send_behind::BehindSend;
use super::send_file::FileSend;
use super::send_lent::LentSend;
use super::send_record::RecordSend;
use super::splice::Chain;
use super::start::Opening;
use super::table::Table;
use crate::buffer::Buffer;
use crate::kernel::{Access, FileId, SocketId, Token};

/// What one submission is for, and what it owns.
#[derive(Debug)]
pub(super) enum Work {
    /// Multishot: completes many times, for listener number `listener`.
    Accept { listener: usize },
    /// The kernel writes to `into`.
    Receive { socket: SocketId, into: Buffer },
    /// The kernel writes to a buffer that it picks when bytes are there.
    ReceiveAny { socket: SocketId },
    /// The kernel reads from `from`.
    Send { socket: SocketId, from: Rc<Buffer>, range: Range<usize> },
    /// The kernel reads from both of its buffers.
    SendBehind(Box<BehindSend>),
    /// The kernel, and the network after it, read from its buffer.
    SendLent(LentSend),
    /// The kernel says when the socket has room; the sending is ours.
    SendFile(Box<FileSend>),
    /// The kernel reads the numbers of `pacing`.
    Pace { socket: SocketId, pacing: Box<Pacing> },
    /// Ends a patient wait when a connection comes in for listener number `listener`.
    Hurry { listener: usize },
    /// The kernel moves the file's bytes by itself.
    Splice(Box<Chain>),
    /// The kernel throws away the `bytes` that are in `pipe`.
    EmptyPipe { pipe: Pipe, bytes: usize },
    /// The kernel reads `path`; a send waits for the file.
    OpenCached { path: CString, send: Box<FileSend> },
    /// As `SendFile`, for a record that is not content.
    SendRecord(Box<RecordSend>),
    /// The kernel touches nothing of ours.
    Shutdown { socket: SocketId },
    /// Waits for the socket's other operations, then closes it.
    CloseSocket,
    /// The kernel reads `path`.
    Open { path: CString, how: Opening },
    /// The kernel writes to `into`, from byte `done` on.
    Read { file: FileId, at: u64, into: Buffer, access: Access, done: usize },
    /// The kernel writes to its buffers, by its list of pieces.
    ReadMany(Box<ManyUnread>),
    /// Waits for the file's reads, then closes it.
    CloseFile,
    /// The kernel writes the event counter to `count`.
    Wake { count: Box<u64> },
}

/// One operation under way.
#[derive(Debug)]
pub(super) struct Operation {
    /// Under what token it completes.
    pub token: Token,
    /// What it is.
    pub work: Work,
}

/// All operations under way, keyed by the number that the kernel hands back.
#[derive(Debug)]
pub(super) struct Pending {
    table: Table<Operation>,
    operations_max: usize,
    /// Of those held, the sends that ended and whose memory is still lent.
    lent: usize,
}

impl Pending {
    pub(super) fn new(operations_max: usize) -> Self {
        Self { table: Table::new(operations_max), operations_max, lent: 0 }
    }

    /// Whether the server may add one more. Our own operations (accepts, the waker) are counted
    /// but never refused: there are a handful of them. Loans are not counted: who lends bounds
    /// them.
    pub(super) fn has_room(&self) -> bool {
        self.table.len().saturating_sub(self.lent) < self.operations_max
    }

    /// A send ended, and its memory is still lent.
    pub(super) fn lend(&mut self) {
        self.lent += 1;
    }

    /// The memory of such a send came back.
    pub(super) fn return_lent(&mut self) {
        self.lent = self.lent.saturating_sub(1);
    }

    /// Sends that ended and whose memory is still lent.
    pub(super) fn lent(&self) -> usize {
        self.lent
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    /// Whether nothing is left but memory that the network still has.
    pub(super) fn is_idle(&self) -> bool {
        self.table.len() <= self.lent
    }

    /// Takes ownership of an operation and names it.
    pub(super) fn insert(&mut self, token: Token, work: Work) -> u32 {
        let inserted = self.table.insert(Operation { token, work });
        inserted.unwrap_or_else(|_| unreachable!("operations_max is far below a million"))
    }

    pub(super) fn get_mut(&mut self, key: u32) -> Option<&mut Operation> {
        self.table.get_mut(key)
    }

    pub(super) fn remove(&mut self, key: u32) -> Option<Operation> {
        self.table.remove(key)
    }
}
