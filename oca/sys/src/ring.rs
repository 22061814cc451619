//! The kernel trait on a real machine: one io_uring per worker thread.
//! It knows no protocol and starts no thread.

use std::io;
use std::net::TcpListener;

use crate::buffer::Buffer;
use crate::config::KernelConfig;
use crate::kernel::{BufferLevels, Completion, Kernel, Nanos, Op, Token, Waker};

/// One thread's ring. Made on the thread that will use it, and never sent to another.
#[derive(Debug)]
pub struct RingKernel {
    _config: KernelConfig,
}

/// Wakes the ring's thread from any other.
#[derive(Clone, Debug)]
pub struct RingWaker {}

impl RingKernel {
    /// Sets the ring up on the calling thread, which becomes the only one that may use it.
    /// `ListenerId(n)` is the n-th of `listeners`; none is accepted from before `Op::Accept`.
    ///
    /// # Errors
    /// The machine has no io_uring for us, or not the memory.
    pub fn new(
        _config: KernelConfig,
        _listeners: Vec<TcpListener>,
    ) -> io::Result<(Self, RingWaker)> {
        Err(io::Error::other("being built"))
    }
}

impl Waker for RingWaker {
    fn wake(&self) {}
}

impl Kernel for RingKernel {
    fn submit(&mut self, _token: Token, op: Op) -> Result<(), Op> {
        Err(op)
    }
    fn wait(&mut self, _until: Option<Nanos>) {}
    fn pop(&mut self) -> Option<Completion> {
        None
    }
    fn receive_buffer(&mut self) -> Option<Buffer> {
        None
    }
    fn chunk_buffer(&mut self) -> Option<Buffer> {
        None
    }
    fn send_buffer(&mut self) -> Option<Buffer> {
        None
    }
    fn buffers(&self) -> BufferLevels {
        BufferLevels::default()
    }
    fn now(&self) -> Nanos {
        Nanos(0)
    }
    fn wall_ms(&self) -> u64 {
        0
    }
}
