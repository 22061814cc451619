//! Bytes to request heads and answers to bytes: the strict little HTTP/1.1 that an appliance
//! speaks. No I/O, no clock, and no allocation; what is ambiguous is refused, never guessed.

#![forbid(unsafe_code)]

pub mod answer;
pub mod condition;
pub mod date;
mod escape;
mod fields;
pub mod h2;
pub mod head;
mod out;
pub mod outcome;
pub mod parts;
pub mod range;
pub mod ticket;

pub use answer::{ANSWER_BYTES_MAX, Answer, Frame, MEDIA_TYPE_BYTES_MAX, Media, write_head};
pub use condition::{Verdict, evaluate, is_conditional};
pub use date::{HttpDate, parse_http_date};
pub use escape::decode_path;
pub use head::{
    Cmcd, HEAD_BYTES_MAX, HEADERS_MAX, Head, HeadError, Method, Spelling, TARGET_BYTES_MAX,
};
pub use out::HeadRoom;
pub use outcome::Outcome;
pub use parts::{PART_BYTES_MAX, write_part_head};
pub use range::{RANGES_MAX, Selection, Span, Spans, resolve};
pub use ticket::{Carried, Carrier, split_ticket};
