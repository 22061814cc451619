//! Objects on disk: sealed files in volumes, the journal that lists them, one writer, many readers.
//! Never opens a socket and never decides what to keep: that is the fill plan's business.
//!
//! One volume is one directory:
//!
//! ```text
//! VOLUME/
//!   lock                       held by the one writer; names it
//!   journal                    what is published here: the index is its replay (journal.new while
//!                              it is written anew)
//!   objects/ab/cd/<64 hex>     seal region, then payload; never changes once it is here
//!   incoming/<64 hex>.part     a pull under way, same layout as an object
//!   incoming/<64 hex>.part.done   one byte a chunk: 1 when it is on disk
//!   incoming/<64 hex>.remove   a removal under way (also .quarantine), so that a crash finishes it
//!   quarantine/<64 hex>        bad objects, kept for people to look at
//!   suspect/<64 hex>           dropped by a reader that met a bad chunk; the writer acts on it
//! ```
//!
//! The life of an object:
//!
//! ```text
//! begin -> incoming -> (all chunks verified) -> publish -> objects -> remove
//!                                                             `-----> suspect -> quarantine
//! ```

#![forbid(unsafe_code)]

pub mod adopt;
pub mod disk;
pub mod error;
pub mod incoming;
pub mod index;
pub mod journal;
mod media_type;
pub mod quarantine;
pub mod scan;
pub mod scrub;
pub mod seal;
pub mod sweep;
pub mod tail;
pub mod volume;
pub mod writer;

pub use adopt::Adopted;
pub use error::StoreError;
pub use incoming::Incoming;
pub use index::{Entry, Index, Loaded};
pub use journal::{Kind, Record};
pub use media_type::MediaType;
pub use quarantine::{Emptied, QuarantineBound};
pub use scan::seal_of_file;
pub use scrub::{CheckReport, Depth, Finding, ObjectReader, Scrub, Verdict, check};
pub use seal::{SEAL_ALIGN_BYTES, Seal, SealError, seal_reader};
pub use sweep::Swept;
pub use tail::{Change, Polled, Tail};
pub use volume::{Room, Volume, object_path, report_bad};
pub use writer::{Imported, Retired, Writer};
