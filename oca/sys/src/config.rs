//! Sizes of one kernel: how many operations, sockets and buffers a worker may have at once.
//! It holds numbers only; what they cost is a sum the server prints at boot.

/// Threads that the kernel may keep for one ring's blocking operations: of files, and of everything
/// else. Its own bound is four a processor for the first, which a hung disk fills by itself, and
/// for the second as many as the user may have.
pub const IO_THREADS_MAX: [u32; 2] = [160, 16];

/// Sizes of one worker's kernel, fixed for its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelConfig {
    /// Most operations under way at once, below a million. Rounded up to a power of two, and then
    /// also bounds one batch, up to the 32,768 entries that a queue of the kernel may have.
    ///
    /// An operation that waits for a peer (a receive of an idle connection) is under way too:
    /// anything below one for each socket lets idle peers stop everybody else.
    pub operations_max: u32,
    /// Accepting pauses at this many open sockets and resumes by itself below it. A burst already
    /// accepted by the kernel may exceed it for a moment.
    pub sockets_max: u32,
    /// Number and size of receive buffers: one per connection that is reading a head.
    pub receive_buffers: u32,
    /// Bytes of one receive buffer.
    pub receive_bytes: usize,
    /// Number of chunk buffers: the hot set plus the reads under way.
    pub chunk_buffers: u32,
    /// Bytes of one chunk buffer: `control_types::limits::CHUNK_BYTES`.
    pub chunk_bytes: usize,
    /// Number of send buffers: response heads and batches of TLS records.
    pub send_buffers: u32,
    /// Bytes of one send buffer.
    pub send_bytes: usize,
}

impl Default for KernelConfig {
    fn default() -> Self {
        Self {
            operations_max: 4096,
            sockets_max: 1024,
            receive_buffers: 1024,
            receive_bytes: 16 * 1024,
            chunk_buffers: 256,
            chunk_bytes: 256 * 1024,
            send_buffers: 1024,
            send_bytes: 64 * 1024,
        }
    }
}

impl KernelConfig {
    /// Memory its three pools map, bytes.
    #[must_use]
    pub fn buffer_bytes(&self) -> u64 {
        let piece = |count: u32, bytes: usize| u64::from(count).saturating_mul(bytes as u64);
        piece(self.receive_buffers, self.receive_bytes)
            .saturating_add(piece(self.chunk_buffers, self.chunk_bytes))
            .saturating_add(piece(self.send_buffers, self.send_bytes))
    }
}
