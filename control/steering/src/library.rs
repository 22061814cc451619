//! Every object that steering knows by name, each with a number of its own, so that what an
//! appliance holds is a row of bits. Never knows what a title is called or who may see it.
//!
//! Mechanics: the objects of a title have neighbouring numbers (*slots*), so that the content test
//! of one decision reads one or two words of each candidate. Slots are given out once: a title
//! taken down keeps its slots until more than half are of such titles, when everything is numbered
//! anew.

use ahash::{AHashMap, AHashSet};
use control_types::content::fingerprint;
use control_types::{ObjectId, TitleId};

use crate::limits::RETIRED_SLOTS_MIN;

/// Names and numbers of objects.
#[derive(Clone, Debug, Default)]
pub struct Library {
    titles: AHashMap<TitleId, TitleSlots>,
    slots: AHashMap<u64, u32>,
    /// By slot.
    objects: Vec<LibraryObject>,
    retired: usize,
}

/// One object as the catalog knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LibraryObject {
    /// Its name.
    pub object: ObjectId,
    /// Its size.
    pub bytes: u64,
}

/// The name in the second slot of an object of two titles; its bytes are the first slot.
const NOBODY: ObjectId = ObjectId([0; 32]);

/// A title as the catalog has it.
#[derive(Clone, Debug)]
pub struct LibraryTitle {
    /// Which.
    pub title: TitleId,
    /// All of its objects, each once.
    pub objects: Vec<LibraryObject>,
    /// How many of them a box may lack and still have the title, see `control_types::presence`.
    pub optional: usize,
}

#[derive(Clone, Copy, Debug)]
struct TitleSlots {
    start: u32,
    count: u32,
    optional: u32,
    listed: bool,
}

/// One object of a question: by slot, or by fingerprint when no title known here has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Its bit.
    Slot(u32),
    /// Looked for among the keys that have no slot.
    Loose(u64),
}

impl Library {
    /// The library after the catalog became `titles`. Slots stay what they were, unless `None` of
    /// the old ones may be kept: then the second value says that everything is numbered anew.
    #[must_use]
    pub fn learned(&self, titles: &[LibraryTitle]) -> (Self, Renumbered) {
        let mut next = self.clone();
        let listed: AHashSet<&TitleId> = titles.iter().map(|title| &title.title).collect();
        for (id, slots) in &mut next.titles {
            slots.listed = listed.contains(id);
        }
        titles.iter().for_each(|title| next.put(title));
        let kept = next.titles.values().filter(|slots| slots.listed);
        let in_use: usize = kept.map(|slots| slots.count as usize).sum();
        next.retired = next.objects.len() - in_use.min(next.objects.len());
        if next.retired < RETIRED_SLOTS_MIN || next.retired * 2 < next.objects.len() {
            return (next, Renumbered::No);
        }
        let mut anew = Self::default();
        titles.iter().for_each(|title| anew.put(title));
        (anew, Renumbered::Yes)
    }

    fn put(&mut self, title: &LibraryTitle) {
        if let Some(slots) = self.titles.get_mut(&title.title) {
            let held = &self.objects[slots.start as usize..(slots.start + slots.count) as usize];
            let is_known = |(held, object): (&LibraryObject, &LibraryObject)| {
                held == object
                    || (held.object == NOBODY
                        && self.slots.contains_key(&fingerprint(&object.object)))
            };
            if held.len() == title.objects.len() && held.iter().zip(&title.objects).all(is_known) {
                slots.listed = true;
                slots.optional = title.optional as u32;
                return;
            }
        }
        // Fewer than 2^32: LIBRARY_OBJECTS_MAX is checked where titles come in.
        let start = self.objects.len() as u32;
        for object in &title.objects {
            // An object of two titles keeps the slot it had; its second one is never set, and is
            // told from the first by its empty name.
            let slot = self.objects.len() as u32;
            let first = *self.slots.entry(fingerprint(&object.object)).or_insert(slot);
            let second = LibraryObject { object: NOBODY, bytes: u64::from(first) };
            let known = if first == slot { *object } else { second };
            self.objects.push(known);
        }
        let (count, optional) = (title.objects.len() as u32, title.optional as u32);
        let slots = TitleSlots { start, count, optional, listed: true };
        self.titles.insert(title.title.clone(), slots);
    }

    /// The slot of a fingerprint.
    #[must_use]
    pub fn slot_of(&self, fingerprint: u64) -> Option<u32> {
        self.slots.get(&fingerprint).copied()
    }

    /// What stands in a slot.
    #[must_use]
    pub fn object_in(&self, slot: u32) -> Option<&LibraryObject> {
        self.objects.get(slot as usize)
    }

    /// Slots given out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether no object is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Finds all that a question wants. Its objects mostly stand side by side, so that one look in
    /// the table finds them all.
    #[must_use]
    pub fn want_all(&self, objects: &[ObjectId]) -> WantedSet {
        let mut wanted = WantedSet { words: Vec::with_capacity(2), ..WantedSet::default() };
        let mut next = 0u32;
        for object in objects {
            let beside = self.objects.get(next as usize).is_some_and(|one| one.object == *object);
            let slot = match beside {
                true if next > 0 => Some(next),
                _ => self.slot_of(fingerprint(object)),
            };
            match slot {
                Some(slot) => {
                    wanted.add(slot);
                    next = slot + 1;
                }
                None => {
                    let key = fingerprint(object);
                    if !wanted.loose.contains(&key) {
                        wanted.loose.push(key);
                    }
                }
            }
        }
        wanted
    }

    /// Every title of the catalog with all that it wants, by id.
    #[must_use]
    pub fn wants(&self) -> Vec<(TitleId, WantedSet)> {
        let listed = self.titles.iter().filter(|(_, slots)| slots.listed);
        let mut wants: Vec<(TitleId, WantedSet)> = listed
            .map(|(id, slots)| {
                let mut wanted =
                    WantedSet { optional: slots.optional as usize, ..WantedSet::default() };
                for slot in slots.start..slots.start + slots.count {
                    wanted.add(match &self.objects[slot as usize] {
                        // Slots are fewer than 2^32, see `put`.
                        second if second.object == NOBODY => second.bytes as u32,
                        _ => slot,
                    });
                }
                (id.clone(), wanted)
            })
            .collect();
        wants.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        wants
    }

    /// Finds what a question wants, one by one.
    pub fn want(&self, objects: &[ObjectId], wanted: &mut Vec<Wanted>) {
        wanted.extend(objects.iter().map(|object| {
            let key = fingerprint(object);
            self.slot_of(key).map_or(Wanted::Loose(key), Wanted::Slot)
        }));
    }
}

/// All that one question wants, each object once: bits of a few neighbouring words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedSet {
    /// Numbers of words, and the bits wanted of each.
    pub(crate) words: Vec<(u32, u64)>,
    /// Fingerprints without a slot.
    pub(crate) loose: Vec<u64>,
    /// How many of them may lack.
    pub(crate) optional: usize,
}

impl WantedSet {
    /// How many objects.
    #[must_use]
    pub fn len(&self) -> usize {
        let bits = self.words.iter().map(|(_, mask)| mask.count_ones() as usize);
        bits.sum::<usize>() + self.loose.len()
    }

    /// How many a box must hold to have the title.
    #[must_use]
    pub fn needed(&self) -> usize {
        self.len().saturating_sub(self.optional)
    }

    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && self.loose.is_empty()
    }

    /// How many of these slots are among them.
    pub(crate) fn count_in(&self, slots: &[u32]) -> usize {
        let has = |slot: &&u32| {
            let (word, bit) = (**slot / 64, 1u64 << (**slot % 64));
            self.words.iter().any(|(number, mask)| *number == word && mask & bit != 0)
        };
        slots.iter().filter(has).count()
    }

    fn add(&mut self, slot: u32) {
        let (word, bit) = (slot / 64, 1u64 << (slot % 64));
        match self.words.iter_mut().rev().find(|(number, _)| *number == word) {
            Some((_, mask)) => *mask |= bit,
            None => self.words.push((word, bit)),
        }
    }
}

/// Whether slots mean what they meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renumbered {
    /// All that were given out do.
    No,
    /// None does: sets must be read again from their keys.
    Yes,
}
