//! Who of a connection's streams may ask for a chunk that is not in memory: one at a time. A client
//! must not fill a disk's queue by itself, and a seat that is told something must know what about.
//! It reads nothing itself.

use oca_sys::Kernel;

use super::member::Member;
use crate::hot_set::{ChunkKey, Lookup};
use crate::library::Found;
use crate::worker::Station;

/// Who may ask for a chunk that is not in memory: the one that waits, when it was told something;
/// anybody, when none waits.
pub struct Queue<'m> {
    waiting: usize,
    may_ask: &'m mut bool,
}

impl<'m> Queue<'m> {
    /// Of these streams; `may_ask` is whether the seat was told something.
    pub fn of(members: &[Member], may_ask: &'m mut bool) -> Self {
        let waiting = members.iter().filter(|member| member.is_waiting()).count();
        Self { waiting, may_ask }
    }

    /// Whether `member` may ask now.
    pub fn lets<K: Kernel>(
        &mut self,
        member: &Member,
        station: &Station<K>,
        found: &Found,
        index: u32,
    ) -> bool {
        let key = ChunkKey { object: found.object, view: found.view, index };
        if matches!(station.hot.get(&key), Lookup::Ready(_)) {
            self.waiting -= usize::from(member.is_waiting());
            return true;
        }
        if member.is_waiting() {
            self.waiting -= usize::from(*self.may_ask);
            return std::mem::take(self.may_ask);
        }
        self.waiting == 0
    }

    /// The member that was let has asked.
    pub fn asked(&mut self, member: &Member) {
        self.waiting += usize::from(member.is_waiting());
    }
}
