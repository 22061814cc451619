//! The pipes of a ring, for chains: made when they are wanted, kept, and emptied by the ring.
//! Never more than their bound, and never one that has bytes in it among the free ones.
//!
//! ```text
//! made -> free -chain-> busy -all went-> free
//!                        |-rest, few kept-> kept by its socket -next chain-> busy
//!                        '-rest, many kept-> SPLICE(pipe to /dev/null) -> free
//! ```
//! A machine gives an unprivileged user so many large pipes and then only tiny ones. A pipe kept
//! until its socket has room again is one that a thousand paced sockets need meanwhile.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::{opcode, types};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use super::RingKernel;
use super::pending::Work;
use super::send_file::FileSend;
use crate::kernel::{FileId, Piece, Token};

/// Pipes of one ring, in chains or kept by sockets.
const PIPES_MAX: usize = 128;
/// Of them, those kept by sockets.
const KEPT_MAX: usize = PIPES_MAX / 8;
/// Room of a pipe, bytes: a segment of some seconds. Below what an unprivileged user may have.
pub(super) const PIPE_BYTES: usize = 512 << 10;
/// The token of what nobody is told of.
const UNHEARD: Token = Token(u64::MAX - 1);

/// The two ends of a pipe.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) reader: OwnedFd,
    pub(super) writer: OwnedFd,
}

/// Bytes of a file that are in a pipe and did not find room in a socket.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) pipe: Pipe,
    pub(super) file: FileId,
    pub(super) piece: Piece,
}

/// The pipes of a ring.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    free: Vec<Pipe>,
    /// Free, in a chain, kept, or being emptied.
    made: usize,
    /// In a chain, or being emptied: about to be free.
    busy: usize,
    /// With sockets.
    kept: usize,
    /// The machine gave none, or none of that size: it is not asked again.
    refused: bool,
    /// Where pipes are emptied to, once one was.
    nowhere: Option<File>,
    /// Sends that found no pipe: one a socket at most. They wait for the end of the turn, when
    /// those of others are free again, so that no more are made than are needed at once.
    pub(super) waiting: VecDeque<(Token, FileSend)>,
}

impl Pipes {
    /// A pipe for a chain, if one is free.
    pub(super) fn take(&mut self) -> Option<Pipe> {
        let pipe = self.free.pop()?;
        self.busy += 1;
        Some(pipe)
    }

    /// Whether a send that found none is to wait: one may be made, or is about to be free.
    pub(super) fn may_come(&self) -> bool {
        self.may_make() || self.busy > 0
    }

    fn may_make(&self) -> bool {
        !self.refused && self.made < PIPES_MAX
    }

    /// Makes one if none is free. Answers whether it is any use to try again: there is one, or none
    /// will come.
    pub(super) fn prepare(&mut self) -> bool {
        if self.free.is_empty() && self.may_make() {
            match make() {
                Ok(pipe) => {
                    self.made += 1;
                    self.free.push(pipe);
                }
                Err(_) => self.refused = true,
            }
        }
        !self.free.is_empty() || self.busy == 0
    }

    /// A chain's pipe, empty.
    pub(super) fn give_back(&mut self, pipe: Pipe) {
        self.busy -= 1;
        self.free.push(pipe);
    }

    /// A chain's pipe that goes with what is in it.
    pub(super) fn lose(&mut self, pipe: Pipe) {
        self.busy -= 1;
        self.made -= 1;
        drop(pipe);
    }

    /// Whether a socket may keep a pipe of a chain: there are enough for the others.
    pub(super) fn may_keep(&self) -> bool {
        self.kept < KEPT_MAX
    }

    /// A socket keeps a chain's pipe.
    pub(super) fn keep(&mut self) {
        self.busy -= 1;
        self.kept += 1;
    }

    /// What a socket kept goes into a chain.
    pub(super) fn take_kept(&mut self) {
        self.kept -= 1;
        self.busy += 1;
    }
}

fn make() -> io::Result<Pipe> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    let bytes = i32::try_from(PIPE_BYTES).expect("512 KiB");
    let got = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(bytes))?;
    match usize::try_from(got) {
        Ok(got) if got >= PIPE_BYTES => Ok(Pipe { reader, writer }),
        _ => Err(io::ErrorKind::OutOfMemory.into()),
    }
}

impl RingKernel {
    /// What a socket kept is not wanted any more.
    pub(super) fn forget_kept(&mut self, kept: Option<Kept>) {
        if let Some(Kept { pipe, piece, .. }) = kept {
            self.pipes.take_kept();
            self.empty_pipe(pipe, piece.bytes);
        }
    }

    /// Throws away the `bytes` that are in a chain's pipe.
    pub(super) fn empty_pipe(&mut self, pipe: Pipe, bytes: usize) {
        if self.ending {
            return self.pipes.lose(pipe);
        }
        if self.pipes.nowhere.is_none() {
            self.pipes.nowhere = OpenOptions::new().write(true).open("/dev/null").ok();
        }
        let (Some(nowhere), Ok(length)) = (&self.pipes.nowhere, u32::try_from(bytes)) else {
            return self.pipes.lose(pipe);
        };
        let (reader, nowhere) = (types::Fd(pipe.reader.as_raw_fd()), nowhere.as_raw_fd());
        let entry = opcode::Splice::new(reader, -1, types::Fd(nowhere), -1, length).build();
        let key = self.pending.insert(UNHEARD, Work::EmptyPipe { pipe, bytes });
        self.later.push_back(entry.user_data(u64::from(key)));
    }

    /// It was emptied, or was not.
    pub(super) fn complete_empty_pipe(&mut self, pipe: Pipe, bytes: usize, result: i32) {
        match usize::try_from(result) {
            Ok(gone) if gone == bytes => self.pipes.give_back(pipe),
            _ => self.pipes.lose(pipe),
        }
    }
}
