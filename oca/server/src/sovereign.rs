//! Steering without control: a signed bundle says who could serve whom, and this box answers
//! `/steering` from it. Never asks control for a member's question, and never forwards bytes.
//!
//! ```text
//! control -> admin thread: fetch -> open (signed? ours? newer?) -> file, then Table
//! neighbours -> admin thread: looks, with hysteresis; what they say \
//! this box's own state and load                                     +-> Outlook -> Desk
//! worker: ticket checked -> Desk -> decide -> clones -> SteeringManifest
//! ```
//!
//! Workers read the desk; the admin thread writes it, whole. Neither waits for the other.

mod answer;
mod ask;
mod bundle;
mod contact;
mod decide;
mod desk;
mod elsewhere;
mod hint;
mod neighbours;
mod next;
mod office;
mod prefixes;
mod refused;
mod store;
mod table;
#[cfg(test)]
mod tests;

pub use answer::{Reply, answer};
pub use ask::{Ask, Dialect};
pub use bundle::{Believed, Pin, open};
pub use contact::{Away, Contact};
pub use decide::{Question, decide};
pub use desk::{Desk, Outlook, Own};
pub use elsewhere::holder;
pub use hint::{HEADER as LOAD_HEADER, Hint};
pub use neighbours::{LOOK_PATH, Look, Neighbour, Sighting, Watch};
pub use next::next;
pub use office::{Office, Shown, Tally};
pub use refused::Refused;
pub use store::Store;
pub use table::{Candidate, Table};
