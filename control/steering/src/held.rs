//! What one appliance holds, as control keeps it: bits by the library's slots, the keys that have
//! no slot, and the digest. Believes what it is told; `complaints.rs` does not.

use std::sync::Arc;

use ahash::AHashMap;
use control_types::ObjectId;
use control_types::content::{HeldDigest, HeldKeys, fingerprint, held_key, key_class};
use control_types::fleet::{DiskClass, HeldObject, HeldUpdate};

use crate::library::{Library, Wanted, WantedSet};
use crate::limits::LOOSE_NAMED_MAX;

/// A content set.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// As the appliance computed it; empty when the set is not the whole truth.
    pub digest: String,
    /// Objects, as the appliance counts them.
    pub objects: u64,
    /// Bytes of all objects together.
    pub bytes: u64,
    running: HeldDigest,
    flash: Vec<u64>,
    /// Rotating disks; empty on a box without.
    rotating: Vec<u64>,
    /// Sorted keys of objects that the library does not know.
    loose: Vec<u64>,
    /// Names of loose keys, as the appliance gave them.
    named: Arc<AHashMap<u64, HeldObject>>,
}

/// A change that does not fit the set it was made for: ask for the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch;

impl Held {
    /// The whole set.
    #[must_use]
    pub fn whole(update: &HeldUpdate, digest: String, library: &Library) -> Self {
        let mut held = Self::of_keys(&update.added, library);
        (held.objects, held.bytes) = (update.objects, update.bytes);
        held.seal(digest);
        held
    }

    /// The set in a report's listing, whose digest is taken as it is.
    #[must_use]
    pub fn listed(digest: String, listing: &[HeldObject], library: &Library) -> Self {
        let mut held = Self::of_keys(&HeldKeys::of(listing), library);
        let mut seen = ahash::AHashSet::with_capacity(listing.len());
        let once = listing.iter().filter(|one| seen.insert(one.object));
        let (count, bytes) = once
            .fold((0, 0u64), |(count, bytes), one| (count + 1, bytes.saturating_add(one.bytes)));
        (held.objects, held.bytes, held.digest) = (count, bytes, digest);
        held.name(listing);
        held
    }

    fn of_keys(keys: &HeldKeys, library: &Library) -> Self {
        let mut held = Self { running: HeldDigest::of(keys), ..Self::default() };
        for key in keys.as_slice() {
            match library.slot_of(key >> 1) {
                Some(slot) => set(held.bits_mut(key_class(*key)), slot),
                None => held.loose.push(*key),
            }
        }
        held
    }

    /// The set after a change of it.
    ///
    /// # Errors
    /// [`Mismatch`] when it was made for another set.
    pub fn changed(
        &self,
        update: &HeldUpdate,
        digest: String,
        library: &Library,
    ) -> Result<Self, Mismatch> {
        if self.digest.is_empty() || update.base != self.digest {
            return Err(Mismatch);
        }
        let mut held = self.clone();
        held.loose = held.changed_loose(update, library)?;
        for key in update.removed.as_slice() {
            held.take(*key, library)?;
        }
        for key in update.added.as_slice() {
            held.put(*key, library)?;
        }
        (held.objects, held.bytes) = (update.objects, update.bytes);
        held.seal(digest);
        if held.digest.is_empty() { Err(Mismatch) } else { Ok(held) }
    }

    /// The loose keys after a change, in one pass over both: key by key, a change of a million
    /// would move a million keys a million times.
    fn changed_loose(&self, update: &HeldUpdate, library: &Library) -> Result<Vec<u64>, Mismatch> {
        let loose = |key: &u64| library.slot_of(*key >> 1).is_none();
        let mut removed = update.removed.as_slice().iter().copied().filter(loose).peekable();
        let mut added = update.added.as_slice().iter().copied().filter(loose).peekable();
        let mut next = Vec::with_capacity(self.loose.len());
        for key in &self.loose {
            while let Some(new) = added.next_if(|new| new < key) {
                next.push(new);
            }
            if removed.next_if_eq(key).is_some() {
                continue;
            }
            if added.peek() == Some(key) {
                return Err(Mismatch);
            }
            next.push(*key);
        }
        next.extend(added);
        // What is left was to be removed and is not there.
        if removed.peek().is_some() { Err(Mismatch) } else { Ok(next) }
    }

    /// The digest stands only for the set it is of.
    fn seal(&mut self, digest: String) {
        self.digest = if self.running.to_string() == digest { digest } else { String::new() };
    }

    /// Loose keys are counted here and kept by `changed_loose`.
    fn put(&mut self, key: u64, library: &Library) -> Result<(), Mismatch> {
        match library.slot_of(key >> 1) {
            Some(slot) if has(self.bits(key_class(key)), slot) => return Err(Mismatch),
            Some(slot) => set(self.bits_mut(key_class(key)), slot),
            None => {}
        }
        self.running.toggle(key);
        Ok(())
    }

    /// As `put`.
    fn take(&mut self, key: u64, library: &Library) -> Result<(), Mismatch> {
        match library.slot_of(key >> 1) {
            Some(slot) if has(self.bits(key_class(key)), slot) => {
                let bits = self.bits_mut(key_class(key));
                bits[slot as usize / 64] &= !(1 << (slot % 64));
            }
            Some(_) => return Err(Mismatch),
            None => {}
        }
        self.running.toggle(key);
        Ok(())
    }

    /// The set without objects that were lost; its digest is then unknown, which asks for the
    /// whole set again.
    #[must_use]
    pub fn without(&self, lost: &[ObjectId], library: &Library) -> Self {
        let mut held = self.clone();
        let mut loose: Vec<u64> = Vec::new();
        for object in lost {
            let fingerprint = fingerprint(object);
            if library.slot_of(fingerprint).is_none() {
                loose.push(fingerprint);
                continue;
            }
            let mut gone = 0;
            for class in [DiskClass::Ssd, DiskClass::Hdd] {
                gone |= u64::from(held.take(held_key(object, class), library).is_ok());
            }
            held.objects = held.objects.saturating_sub(gone);
        }
        loose.sort_unstable();
        let (mut running, mut last) = (held.running, None);
        held.loose.retain(|key| {
            let stays = loose.binary_search(&(key >> 1)).is_err();
            if !stays {
                running.toggle(*key);
                // On both kinds of disk it is one object.
                if last.replace(key >> 1) != Some(key >> 1) {
                    held.objects = held.objects.saturating_sub(1);
                }
            }
            stays
        });
        held.running = running;
        if !lost.is_empty() {
            held.digest.clear();
        }
        held
    }

    /// Whether any of these is held.
    #[must_use]
    pub fn has_any(&self, objects: &[ObjectId], library: &Library) -> bool {
        let mut wanted = Vec::with_capacity(objects.len());
        library.want(objects, &mut wanted);
        wanted.iter().any(|one| self.has(*one))
    }

    /// Whether an object is held, as far as is known.
    #[must_use]
    pub fn has(&self, wanted: Wanted) -> bool {
        match wanted {
            Wanted::Slot(slot) => has(&self.flash, slot) || has(&self.rotating, slot),
            Wanted::Loose(key) => has_loose(&self.loose, key),
        }
    }

    /// How many of these are held, as far as is known.
    #[must_use]
    pub fn count(&self, wanted: &WantedSet) -> usize {
        self.rows().count(wanted)
    }

    /// What `Rows::count` reads: found first, so that the memory of several sets comes at once.
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows { flash: &self.flash, rotating: &self.rotating, loose: &self.loose }
    }

    /// Names of keys, for those that are loose and held.
    pub fn name(&mut self, objects: &[HeldObject]) {
        if self.loose.is_empty() {
            return;
        }
        let mut named = AHashMap::clone(&self.named);
        for object in objects {
            let key = held_key(&object.object, object.class);
            if named.len() < LOOSE_NAMED_MAX && self.loose.binary_search(&key).is_ok() {
                named.insert(key, *object);
            }
        }
        named.retain(|key, _| self.loose.binary_search(key).is_ok());
        self.named = Arc::new(named);
    }

    /// Loose keys without a name, at most `max`.
    #[must_use]
    pub fn unnamed(&self, max: usize) -> HeldKeys {
        if self.named.len() >= LOOSE_NAMED_MAX {
            return HeldKeys::default();
        }
        let nameless = self.loose.iter().filter(|key| !self.named.contains_key(key));
        nameless.take(max).copied().collect()
    }

    /// Whether the library knows more of this set than when it was read.
    #[must_use]
    pub fn is_behind(&self, library: &Library) -> bool {
        self.loose.iter().any(|key| library.slot_of(key >> 1).is_some())
    }

    /// The same set under another library; `from` is the one it was read under.
    #[must_use]
    pub fn under(&self, from: &Library, library: &Library) -> Self {
        let mut keys = self.loose.clone();
        for (bits, class) in [(&self.flash, DiskClass::Ssd), (&self.rotating, DiskClass::Hdd)] {
            keys.extend(slots_in(bits).filter_map(|slot| {
                from.object_in(slot).map(|object| held_key(&object.object, class))
            }));
        }
        let mut next = Self::of_keys(&keys.into_iter().collect(), library);
        next.digest.clone_from(&self.digest);
        (next.objects, next.bytes) = (self.objects, self.bytes);
        next.named = Arc::clone(&self.named);
        // Those that the library left out are known by name from it.
        let orphans: Vec<HeldObject> = next
            .loose
            .iter()
            .filter_map(|key| {
                let known = from.object_in(from.slot_of(key >> 1)?)?;
                let (object, bytes) = (known.object, known.bytes);
                Some(HeldObject { object, bytes, class: key_class(*key) })
            })
            .collect();
        next.name(&orphans);
        next
    }

    /// Every object that has a name, for the planner; on flash and on a rotating disk it is one, on
    /// flash.
    #[must_use]
    pub fn listing(&self, library: &Library) -> Vec<HeldObject> {
        let classes = [(&self.flash, DiskClass::Ssd), (&self.rotating, DiskClass::Hdd)];
        let known = classes.into_iter().flat_map(|(bits, class)| {
            slots_in(bits).filter_map(move |slot| {
                if class == DiskClass::Hdd && has(&self.flash, slot) {
                    return None;
                }
                let known = library.object_in(slot)?;
                Some(HeldObject { object: known.object, bytes: known.bytes, class })
            })
        });
        let mut listing: Vec<HeldObject> = known.collect();
        let flash = |object: &ObjectId| self.loose.binary_search(&(fingerprint(object) << 1));
        let named = self
            .named
            .values()
            .filter(|one| one.class == DiskClass::Ssd || flash(&one.object).is_err());
        listing.extend(named);
        listing.sort_unstable_by_key(|one| one.object);
        listing
    }

    /// Bytes of memory, about.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let words = self.flash.len() + self.rotating.len() + self.loose.len();
        words * 8 + self.named.len() * 64 + size_of::<Self>()
    }

    fn bits(&self, class: DiskClass) -> &[u64] {
        match class {
            DiskClass::Ssd => &self.flash,
            DiskClass::Hdd => &self.rotating,
        }
    }

    fn bits_mut(&mut self, class: DiskClass) -> &mut Vec<u64> {
        match class {
            DiskClass::Ssd => &mut self.flash,
            DiskClass::Hdd => &mut self.rotating,
        }
    }
}

/// A set as a question reads it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rows<'a> {
    flash: &'a [u64],
    rotating: &'a [u64],
    loose: &'a [u64],
}

impl Rows<'_> {
    /// How many of these are held, as far as is known.
    pub fn count(self, wanted: &WantedSet) -> usize {
        let word = |bits: &[u64], number: u32| bits.get(number as usize).copied().unwrap_or(0);
        let mut known = 0;
        for (number, mask) in &wanted.words {
            let held = word(self.flash, *number) | word(self.rotating, *number);
            known += (held & mask).count_ones() as usize;
        }
        if wanted.loose.is_empty() {
            return known;
        }
        known + wanted.loose.iter().filter(|key| has_loose(self.loose, **key)).count()
    }
}

/// Whether a fingerprint is among sorted keys.
fn has_loose(loose: &[u64], fingerprint: u64) -> bool {
    let at = loose.partition_point(|held| held >> 1 < fingerprint);
    loose.get(at).is_some_and(|held| held >> 1 == fingerprint)
}

fn has(bits: &[u64], slot: u32) -> bool {
    bits.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
}

fn set(bits: &mut Vec<u64>, slot: u32) {
    let word = slot as usize / 64;
    if bits.len() <= word {
        bits.resize(word + 1, 0);
    }
    bits[word] |= 1 << (slot % 64);
}

fn slots_in(bits: &[u64]) -> impl Iterator<Item = u32> + '_ {
    bits.iter().enumerate().flat_map(|(at, word)| {
        (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at as u32 * 64 + bit)
    })
}
