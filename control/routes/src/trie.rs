//! Longest-prefix match over bit strings of up to 128 bits: a tree of 6-bit steps whose nodes are
//! shared between versions, so that a snapshot costs one node and an update copies one path.
//! Knows no address family and no route.
//!
//! A node holds, as one bitmap, the prefixes of 0 to 5 bits that end in it (63 of them), and as
//! another which of its 64 children exist. Values and children lie in dense arrays in bitmap order;
//! an index is a count of ones.

use std::sync::Arc;

const STEP_BITS: u8 = 6;

/// For each 6-bit chunk, which of the 63 prefixes inside a node cover it.
const COVERING: [u64; 64] = covering();

const fn covering() -> [u64; 64] {
    let mut table = [0u64; 64];
    let mut chunk = 0;
    while chunk < 64 {
        let mut bits = 0;
        while bits < STEP_BITS as usize {
            table[chunk] |= 1 << place(bits as u32, chunk as u32);
            bits += 1;
        }
        chunk += 1;
    }
    table
}

/// Where the first `bits` bits of `chunk` stand among a node's prefixes: shorter ones first.
const fn place(bits: u32, chunk: u32) -> u32 {
    (1 << bits) - 1 + (chunk >> (6 - bits))
}

/// How many bits the prefix at a place has.
const fn place_bits(place: u32) -> u8 {
    (u32::BITS - 1 - (place + 1).leading_zeros()) as u8
}

#[derive(Clone, Debug)]
struct Node<V> {
    held: u64,
    below: u64,
    values: Arc<[V]>,
    /// Side by side in one block: a step down is one cache miss, not two.
    nodes: Arc<[Node<V>]>,
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self { held: 0, below: 0, values: Arc::default(), nodes: Arc::default() }
    }
}

/// A persistent map from bit strings to values.
#[derive(Clone, Debug)]
pub(crate) struct Trie<V> {
    root: Node<V>,
    len: usize,
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Self { root: Node::default(), len: 0 }
    }
}

/// Six bits of the string at a step, left-aligned ones; past the end they are zero.
const fn chunk_at(bits: u128, step: u8) -> u32 {
    ((bits << (STEP_BITS as u32 * step as u32)) >> (128 - STEP_BITS as u32)) as u32
}

const fn rank(bitmap: u64, at: u32) -> usize {
    (bitmap & ((1 << at) - 1)).count_ones() as usize
}

impl<V: Clone> Trie<V> {
    /// How many prefixes are held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Sets the value of a prefix; `bits` beyond `len` must be zero.
    pub fn insert(&mut self, bits: u128, len: u8, value: V) {
        let mut node = &mut self.root;
        for step in 0..len / STEP_BITS {
            node = node.child_or_new(chunk_at(bits, step));
        }
        let chunk = chunk_at(bits, len / STEP_BITS);
        let at = place(u32::from(len % STEP_BITS), chunk);
        let index = rank(node.held, at);
        if node.held & (1 << at) != 0 {
            Arc::make_mut(&mut node.values)[index] = value;
        } else {
            node.values = inserted(&node.values, index, value);
            node.held |= 1 << at;
            self.len += 1;
        }
    }

    /// Takes a prefix out; false when it was not there.
    pub fn remove(&mut self, bits: u128, len: u8) -> bool {
        // Looked up first, so that a miss copies nothing.
        if self.get(bits, len).is_none() {
            return false;
        }
        self.root.remove(bits, len, 0);
        self.len -= 1;
        true
    }

    /// The value of exactly this prefix.
    pub fn get(&self, bits: u128, len: u8) -> Option<&V> {
        let mut node = &self.root;
        for step in 0..len / STEP_BITS {
            node = node.child(chunk_at(bits, step))?;
        }
        let at = place(u32::from(len % STEP_BITS), chunk_at(bits, len / STEP_BITS));
        (node.held & (1 << at) != 0).then(|| &node.values[rank(node.held, at)])
    }

    /// Every prefix of at most `len_max` bits that holds `bits`, shortest first.
    pub fn covers<'a>(&'a self, bits: u128, len_max: u8, mut each: impl FnMut(u8, &'a V)) {
        let mut node = &self.root;
        let mut step = 0u8;
        loop {
            let chunk = chunk_at(bits, step);
            let mut hits = node.held & COVERING[chunk as usize];
            while hits != 0 {
                let at = hits.trailing_zeros();
                let len = step * STEP_BITS + place_bits(at);
                if len > len_max {
                    return;
                }
                each(len, &node.values[rank(node.held, at)]);
                hits &= hits - 1;
            }
            match node.child(chunk) {
                Some(child) => node = child,
                None => return,
            }
            step += 1;
        }
    }

    /// Every prefix inside `bits/len`, itself among them; `each` says whether to go on.
    pub fn inside<'a>(
        &'a self,
        bits: u128,
        len: u8,
        each: &mut impl FnMut(u128, u8, &'a V) -> bool,
    ) {
        let mut node = &self.root;
        for step in 0..len / STEP_BITS {
            match node.child(chunk_at(bits, step)) {
                Some(child) => node = child,
                None => return,
            }
        }
        let start = STEP_BITS * (len / STEP_BITS);
        let base = if start == 0 { 0 } else { bits & (u128::MAX << (128 - u32::from(start))) };
        node.inside(base, start, Within { bits, len }, each);
    }
}

/// The prefix a walk stays in.
#[derive(Clone, Copy)]
struct Within {
    bits: u128,
    len: u8,
}

impl Within {
    fn holds(self, bits: u128, len: u8) -> bool {
        let mask = if self.len == 0 { 0 } else { u128::MAX << (128 - u32::from(self.len)) };
        len >= self.len && (bits ^ self.bits) & mask == 0
    }

    /// Whether the walk's prefix and this one have anything in common.
    fn meets(self, bits: u128, len: u8) -> bool {
        let common = self.len.min(len);
        let mask = if common == 0 { 0 } else { u128::MAX << (128 - u32::from(common)) };
        (bits ^ self.bits) & mask == 0
    }
}

impl<V> Node<V> {
    fn child(&self, chunk: u32) -> Option<&Self> {
        let bit = 1u64 << chunk;
        (self.below & bit != 0).then(|| &self.nodes[rank(self.below, chunk)])
    }

    fn inside<'a>(
        &'a self,
        base: u128,
        start: u8,
        within: Within,
        each: &mut impl FnMut(u128, u8, &'a V) -> bool,
    ) -> bool {
        let shifted = |chunk: u32| u128::from(chunk) << 122 >> start;
        let mut held = self.held;
        while held != 0 {
            let at = held.trailing_zeros();
            held &= held - 1;
            let own = place_bits(at);
            let chunk = (at + 1 - (1 << own)) << (STEP_BITS - own);
            let (bits, len) = (base | shifted(chunk), start + own);
            if within.holds(bits, len) && !each(bits, len, &self.values[rank(self.held, at)]) {
                return false;
            }
        }
        let mut below = self.below;
        while below != 0 {
            let chunk = below.trailing_zeros();
            below &= below - 1;
            let bits = base | shifted(chunk);
            let node = &self.nodes[rank(self.below, chunk)];
            if within.meets(bits, start + STEP_BITS)
                && !node.inside(bits, start + STEP_BITS, within, each)
            {
                return false;
            }
        }
        true
    }
}

impl<V: Clone> Node<V> {
    fn child_or_new(&mut self, chunk: u32) -> &mut Self {
        let index = rank(self.below, chunk);
        if self.below & (1 << chunk) == 0 {
            self.nodes = inserted(&self.nodes, index, Self::default());
            self.below |= 1 << chunk;
        }
        &mut Arc::make_mut(&mut self.nodes)[index]
    }

    /// The prefix must be there.
    fn remove(&mut self, bits: u128, len: u8, step: u8) {
        let chunk = chunk_at(bits, step);
        if step < len / STEP_BITS {
            let index = rank(self.below, chunk);
            let child = &mut Arc::make_mut(&mut self.nodes)[index];
            child.remove(bits, len, step + 1);
            if child.held == 0 && child.below == 0 {
                self.nodes = removed(&self.nodes, index);
                self.below &= !(1 << chunk);
            }
            return;
        }
        let at = place(u32::from(len % STEP_BITS), chunk);
        self.values = removed(&self.values, rank(self.held, at));
        self.held &= !(1 << at);
    }
}

fn inserted<T: Clone>(items: &[T], index: usize, item: T) -> Arc<[T]> {
    let mut grown = Vec::with_capacity(items.len() + 1);
    grown.extend_from_slice(&items[..index]);
    grown.push(item);
    grown.extend_from_slice(&items[index..]);
    Arc::from(grown)
}

fn removed<T: Clone>(items: &[T], index: usize) -> Arc<[T]> {
    let mut left = Vec::with_capacity(items.len() - 1);
    left.extend_from_slice(&items[..index]);
    left.extend_from_slice(&items[index + 1..]);
    Arc::from(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    type Plain = BTreeMap<(u128, u8), u32>;

    fn mask(len: u8) -> u128 {
        if len == 0 { 0 } else { u128::MAX << (128 - u32::from(len)) }
    }

    /// Goal: the trie equals a plain map under random changes, and old snapshots do not change.
    /// Method: few distinct bits, so that prefixes nest; every question asked of both.
    #[test]
    fn it_equals_a_plain_map() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let mut trie = Trie::default();
        let mut plain = Plain::new();
        let mut old: Option<(Trie<u32>, Plain)> = None;
        for turn in 0..4_000u32 {
            let len = random.u8(0..=128);
            let sparse = random.u128(..) & random.u128(..) & random.u128(..) & random.u128(..);
            let bits = sparse & mask(len);
            if random.bool() {
                trie.insert(bits, len, turn);
                plain.insert((bits, len), turn);
            } else {
                let victim = plain.range((bits, 0)..).next().map(|(key, _)| *key);
                let (bits, len) = victim.unwrap_or((bits, len));
                assert_eq!(trie.remove(bits, len), plain.remove(&(bits, len)).is_some());
            }
            if turn == 2_000 {
                old = Some((trie.clone(), plain.clone()));
            }
            if turn % 16 == 0 {
                check(&trie, &plain, sparse, random.u8(0..=128));
            }
        }
        let (trie, plain) = old.expect("turn 2000 was reached");
        check(&trie, &plain, 0, 128);
        assert!(plain.iter().all(|((bits, len), value)| trie.get(*bits, *len) == Some(value)));
    }

    fn check(trie: &Trie<u32>, plain: &Plain, bits: u128, len: u8) {
        assert_eq!(trie.len(), plain.len());
        let mut found = Vec::new();
        trie.covers(bits, len, |len, value| found.push((len, *value)));
        let mut wanted: Vec<(u8, u32)> = plain
            .iter()
            .filter(|((held, held_len), _)| *held_len <= len && bits & mask(*held_len) == *held)
            .map(|((_, len), value)| (*len, *value))
            .collect();
        wanted.sort_unstable();
        assert_eq!(found, wanted);
        let len = len / 8;
        let base = bits & mask(len);
        let mut found = Vec::new();
        trie.inside(base, len, &mut |bits, len, value| {
            found.push((bits, len, *value));
            true
        });
        found.sort_unstable();
        let wanted: Vec<_> = plain
            .iter()
            .filter(|((held, held_len), _)| *held_len >= len && held & mask(len) == base)
            .map(|((bits, len), value)| (*bits, *len, *value))
            .collect();
        assert_eq!(found, wanted);
    }
}
