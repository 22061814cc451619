//! One read into several buffers: a rotating disk is asked once for what lies side by side.
//! Nothing here knows what is read; the buffers belong to the operation until it completes.

use std::os::fd::AsRawFd;

use io_uring::{opcode, squeue, types};

use super::pending::Work;
use super::{RingKernel, complete::outcome};
use crate::buffer::{BUFFER_ALIGN_BYTES, Buffer};
use crate::kernel::{Event, FileId, Token};

/// A read into several buffers that is under way.
#[derive(Debug)]
pub(super) struct ManyUnread {
    file: FileId,
    at: u64,
    into: Vec<Buffer>,
    /// Bytes that are there already.
    done: usize,
    /// What the kernel reads by: pieces of `into` behind `done`. It stays until the completion.
    pieces: Vec<libc::iovec>,
}

impl RingKernel {
    pub(super) fn start_read_many(
        &mut self,
        token: Token,
        file: FileId,
        at: u64,
        into: Vec<Buffer>,
    ) {
        if !at.is_multiple_of(BUFFER_ALIGN_BYTES as u64) || into.is_empty() {
            let error = std::io::Error::from_raw_os_error(libc::EINVAL);
            return self.ready(token, Event::ReadMany(Err(error), into));
        }
        let mut unread = ManyUnread { file, at, into, done: 0, pieces: Vec::new() };
        let Some(entry) = self.read_many_entry(&mut unread) else {
            let error = std::io::Error::from_raw_os_error(libc::EBADF);
            return self.ready(token, Event::ReadMany(Err(error), unread.into));
        };
        if let Some(file) = self.files.get_mut(file.0) {
            file.under_way += 1;
        }
        let key = self.pending.insert(token, Work::ReadMany(Box::new(unread)));
        self.later.push_back(entry.user_data(u64::from(key)));
    }

    /// Reads what is missing; `None` when the file is stale, or closing with nothing under way.
    fn read_many_entry(&mut self, unread: &mut ManyUnread) -> Option<squeue::Entry> {
        let file = self.files.get_mut(unread.file.0)?;
        if file.closing.is_some() && file.under_way == 0 {
            return None;
        }
        let descriptor = types::Fd(file.file.as_raw_fd());
        let mut skip = unread.done;
        unread.pieces.clear();
        for buffer in &mut unread.into {
            let from = skip.min(buffer.len());
            skip -= from;
            let rest = buffer.get_mut(from..).filter(|rest| !rest.is_empty());
            unread.pieces.extend(rest.map(|rest| libc::iovec {
                iov_base: rest.as_mut_ptr().cast(),
                iov_len: rest.len(),
            }));
        }
        let count = u32::try_from(unread.pieces.len()).ok()?;
        let at = unread.at.saturating_add(unread.done as u64);
        Some(opcode::Readv::new(descriptor, unread.pieces.as_ptr(), count).offset(at).build())
    }

    pub(super) fn complete_read_many(
        &mut self,
        token: Token,
        mut unread: Box<ManyUnread>,
        result: i32,
    ) {
        let go_on = match result {
            _ if self.ending => false,
            result if result == -libc::EINTR || result == -libc::EAGAIN => true,
            result if result == -libc::EINVAL => self.use_page_cache(unread.file),
            // Short inside the file: the rest may still be there. A tail that is not a multiple of
            // the alignment can only be the end.
            result if result > 0 => {
                unread.done += usize::try_from(result).unwrap_or(0);
                let wanted: usize = unread.into.iter().map(|buffer| buffer.len()).sum();
                unread.done < wanted && unread.done.is_multiple_of(BUFFER_ALIGN_BYTES)
            }
            _ => false,
        };
        if go_on && let Some(entry) = self.read_many_entry(&mut unread) {
            let key = self.pending.insert(token, Work::ReadMany(unread));
            return self.later.push_back(entry.user_data(u64::from(key)));
        }
        let (file, done) = (unread.file, unread.done);
        let answer = outcome(result).map(|_| done);
        self.ready(token, Event::ReadMany(answer, unread.into));
        self.leave_file(file);
    }
}
