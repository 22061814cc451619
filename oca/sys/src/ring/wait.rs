//! Waiting: for the first completion, or, where nobody is in a hurry, for those that gather.
//! One system call a wait; it looks at no completion itself.
//!
//! A thousand connections that the kernel paces would wake their thread for each of them, to do
//! next to nothing. Waiting for a few milliseconds from one look to the next, it does the same in a
//! tenth of the calls. Whoever comes in meanwhile waits for nobody: a time-out ends every wait,
//! however many completions that wants, and a very short one is chained to the listener's next
//! connection. (The accept's own completion would only be one of many.)

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::{opcode, squeue, types};

use super::pending::Work;
use super::{RingKernel, UNATTENDED};
use crate::kernel::{Nanos, Token};

/// Why entering the ring does not fail: the descriptor and both queues are ours and unchanged.
const USABLE: &str = "io_uring_enter refused a ring that it had set up";
/// Completions that end a patient wait before its time: more than a turn should bring.
const GATHERED_MAX: usize = 1024;
/// A time-out so short that nobody notices, and long enough for the wait to have begun: one that is
/// over before does not end it.
static SHORTLY: types::Timespec = types::Timespec::new().nsec(300_000);
/// The token of what nobody is told of.
const UNHEARD: Token = Token(u64::MAX - 1);

impl RingKernel {
    /// One turn of the ring. `gather_ns`: for how long completions may gather; 0: for none.
    pub(super) fn wait_once(&mut self, until: Option<Nanos>, gather_ns: u64) {
        self.read_clocks();
        self.tallies.turns += 1;
        let earliest = self.rest_accepts(until);
        self.splice_waiting();
        self.lend_free();
        while !self.push_later() {
            // More of our own than one queue holds: hand it over in pieces, without waiting.
            self.enter(Some(Duration::ZERO)).expect(USABLE);
            self.gather();
        }
        self.ready.append(&mut self.ready_next);
        let limit = if self.ready.is_empty() {
            earliest.map(|until| Duration::from_nanos(until.since(self.now)))
        } else {
            Some(Duration::ZERO)
        };
        match limit {
            Some(Duration::ZERO) if !self.has_work() => {}
            Some(limit) if gather_ns > 0 && !limit.is_zero() => {
                self.hurry_for_accepts();
                self.enter_patiently(limit, Duration::from_nanos(gather_ns)).expect(USABLE);
                self.read_clocks();
            }
            limit => {
                self.enter(limit).expect(USABLE);
                self.read_clocks();
            }
        }
        self.gather();
        // What gathering sent from files ended already: it belongs to this turn.
        self.ready.append(&mut self.ready_next);
    }

    /// One enter. `limit`: longest wait; `None` waits for as long as it takes.
    ///
    /// # Errors
    /// Our own queues are broken; no later turn can be right.
    pub(super) fn enter(&mut self, limit: Option<Duration>) -> io::Result<()> {
        bear(match limit {
            None => self.ring.submit_and_wait(1),
            Some(limit) => {
                let time = types::Timespec::from(limit);
                let arguments = types::SubmitArgs::new().timespec(&time);
                self.ring.submitter().submit_with_args(1, &arguments)
            }
        })
    }

    /// The same, for as many completions as come within `gather`, and for one from then on.
    fn enter_patiently(&mut self, limit: Duration, gather: Duration) -> io::Result<()> {
        let gather = gather.min(limit);
        // Without help from the kernel it returns with nothing when nothing came.
        let time = types::Timespec::from(if self.gathers { limit } else { gather });
        let mut arguments = types::SubmitArgs::new().timespec(&time);
        if self.gathers {
            let micros = u32::try_from(gather.as_micros()).unwrap_or(u32::MAX);
            arguments = arguments.min_wait_usec(micros);
        }
        let most = GATHERED_MAX.min(self.ring.params().cq_entries() as usize / 2).max(1);
        bear(self.ring.submitter().submit_with_args(most, &arguments))
    }

    /// Whether an enter that waits for nothing would do anything: entries to take, or completions
    /// to bring. A kernel that does not say so (no set-up with task work of its own) is always
    /// asked.
    fn has_work(&mut self) -> bool {
        let says_so = self.says_so;
        let queue = self.ring.submission();
        !says_so || !queue.is_empty() || queue.taskrun() || queue.cq_overflow()
    }

    /// Lets a connection that comes in end the wait that is about to begin.
    fn hurry_for_accepts(&mut self) {
        for listener in 0..self.listeners.len() {
            let Some(found) = self.listeners.get(listener).filter(|found| found.may_hurry()) else {
                continue;
            };
            let descriptor = types::Fd(found.descriptor().as_raw_fd());
            let poll = opcode::PollAdd::new(descriptor, libc::POLLIN as u32).build();
            let poll = poll.flags(squeue::Flags::IO_LINK).user_data(UNATTENDED);
            let key = self.pending.insert(UNHEARD, Work::Hurry { listener });
            let timeout = opcode::Timeout::new(&raw const SHORTLY).build();
            let entries = [poll, timeout.user_data(u64::from(key))];
            // SAFETY: needed because an entry holds an address: that of a static, which nobody
            // writes to.
            let pushed = unsafe { self.ring.submission().push_multiple(&entries) };
            match pushed {
                Ok(()) => self.set_hurries(listener, true),
                // It is tried again before the next wait.
                Err(_) => drop(self.pending.remove(key)),
            }
        }
    }

    /// A connection came in for listener number `listener`, or the watch for it was given up.
    pub(super) fn complete_hurry(&mut self, listener: usize) {
        self.set_hurries(listener, false);
    }

    fn set_hurries(&mut self, listener: usize, hurries: bool) {
        if let Some(listener) = self.listeners.get_mut(listener) {
            listener.hurries = hurries;
        }
    }
}

/// Time is up, a signal, or the machine is short for a moment (completions waiting to be gathered,
/// no memory for a request): what was not taken goes in with the next turn.
fn bear(answer: io::Result<usize>) -> io::Result<()> {
    match answer.as_ref().map_err(io::Error::raw_os_error) {
        Err(Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN)) => Ok(()),
        _ => answer.map(drop),
    }
}
