//! HTTP/2 without I/O: bytes to requests, answers to frames, windows, limits on both sides. It
//! knows no file and no socket, and what a request means is judged by the same parser as HTTP/1.1.
//!
//! ```text
//! bytes -> frame -> decode (HPACK) -> draft (a head as HTTP/1.1 text) -> session -> Event::Request
//! write_head -> encode (HPACK) -> session -> HEADERS;  bytes of an object -> session -> DATA
//! ```
//!
//! Unlike the rest of this crate it allocates: a table of what was sent and the streams under way.
//! All of it is bounded by the constants of `session`.

mod decode;
mod draft;
mod encode;
mod frame;
mod huffman;
mod session;
mod streams;
mod table;

pub use decode::{BlockError, Decoder, LIST_BYTES_MAX};
pub use encode::encode_head;
pub use frame::{Code, FRAME_BYTES_MAX, FRAME_HEAD_BYTES, FrameHead, PREFACE};
pub use session::{
    Breach, CONTINUATIONS_MAX, CONTROL_BYTES_MAX, Event, Failed, HEADER_BLOCK_BYTES_MAX,
    IDLE_FRAMES_MAX, PINGS_MAX, RESETS_MAX, Resets, SETTINGS_MAX, Session, TINY_FRAME_BYTES, Taken,
};
pub use streams::{BODY_BYTES_MAX, STREAMS_MAX};
