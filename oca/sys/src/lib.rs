//! The kernel as safe types: a ring, its operations, owned buffers, files, sockets and a probe.
//! The only crate with `unsafe`; no safe function here takes or gives an address.

mod aead;
pub mod buffer;
pub mod config;
pub mod handover;
pub mod kernel;
mod ktls;
mod lending;
pub mod machine;
pub mod probe;
mod residency;
pub mod ring;
mod slab;

pub use aead::{AeadKey, Cipher, NONCE_BYTES, TAG_BYTES, Wrapping};
pub use buffer::{BUFFER_ALIGN_BYTES, Buffer, Pool, PoolLevel};
pub use config::{IO_THREADS_MAX, KernelConfig};
pub use kernel::{
    Accepted, Access, BufferLevels, Completion, Event, FileId, Head, Kernel, Lending, ListenerId,
    Nanos, Op, Piece, SocketId, Tallies, Token, Waker,
};
pub use ktls::{SendKeys, TlsVersion, kernel_seals};
pub use lending::lending_known;
pub use machine::{free_bytes, pin_to_core, raise_memlock, raise_open_files};
pub use probe::{Probe, probe};
pub use residency::residency_known;
pub use ring::{RingKernel, RingReport, RingWaker};
pub use slab::Pages;
