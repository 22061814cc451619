//! The ring against the real kernel it runs on: sockets, files, waiting, and what becomes of
//! buffers. Every test drives its own ring on its own thread and counts the pools at the end.

mod behind;
mod files;
mod lend;
mod lent_to_networks;
mod page_cache;
mod patience;
mod pipes;
mod rig;
mod send_lent;
mod sockets;
mod waiting;
