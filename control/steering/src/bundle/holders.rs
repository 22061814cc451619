//! Who of a bundle's appliances holds which title, as bits. Believes what `complaints.rs` left of
//! what they say; knows no network.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_types::TitleId;
use control_types::bundle::TitleHolders;
use control_types::fleet::Role;

use crate::fleet::{Fleet, State};
use crate::held::Held;
use crate::library::{Library, Wanted, WantedSet};

/// A title that a bundle lists, and how many appliances hold something of it.
pub(crate) struct Listed<'a> {
    pub title: &'a TitleId,
    pub holders: TitleHolders,
    pub count: usize,
}

struct Holder<'a> {
    held: Option<&'a Held>,
    is_edge: bool,
    /// Slots it is not believed to hold though it says so.
    denied: Vec<u32>,
}

/// The titles to list: held by an edge, or not wholly by a tier or origin. `named` are the bundle's
/// appliances by the fleet's numbers, in its order; `wants` is of the fleet's library.
pub(crate) fn listed<'a>(
    fleet: &Fleet,
    named: &[u32],
    wants: &'a [(TitleId, WantedSet)],
) -> Vec<Listed<'a>> {
    let holders: Vec<Holder<'_>> = named.iter().map(|number| holder(fleet, *number)).collect();
    let [mut full, mut whole, mut part] = [(); 3].map(|()| Bits::of(named.len()));
    let mut listed = Vec::with_capacity(wants.len());
    for (title, wanted) in wants {
        for bits in [&mut full, &mut whole, &mut part] {
            bits.clear();
        }
        let (mut count, mut is_news) = (0, false);
        for (at, holder) in holders.iter().enumerate() {
            let held = holder.count(wanted);
            let is_whole = held >= wanted.len();
            is_news |= if holder.is_edge { held > 0 } else { !is_whole };
            count += usize::from(held > 0);
            if is_whole {
                whole.set(at);
            }
            if held >= wanted.needed() && !holder.denies(wanted) {
                full.set(at);
            } else if held > 0 {
                part.set(at);
            }
        }
        if is_news && !wanted.is_empty() {
            let (full, whole) = (full.text(), whole.text());
            let whole = Some(whole).filter(|whole| *whole != full);
            let holders = TitleHolders { full, whole, part: part.text() };
            listed.push(Listed { title, holders, count });
        }
    }
    listed
}

fn holder(fleet: &Fleet, number: u32) -> Holder<'_> {
    let (brief, state) = (&fleet.brief[number as usize], &fleet.states[number as usize]);
    let held = brief.held.as_deref();
    let denied = held.map_or_else(Vec::new, |held| denied(state, held, &fleet.library));
    Holder { held, is_edge: brief.role == Role::Edge, denied }
}

fn denied(state: &State, held: &Held, library: &Library) -> Vec<u32> {
    let slots = state.denied.iter().filter_map(|fingerprint| library.slot_of(*fingerprint));
    slots.filter(|slot| held.has(Wanted::Slot(*slot))).collect()
}

impl Holder<'_> {
    /// Whether a player missed some of it there: that is not among what may lack.
    fn denies(&self, wanted: &WantedSet) -> bool {
        !self.denied.is_empty() && wanted.count_in(&self.denied) > 0
    }

    fn count(&self, wanted: &WantedSet) -> usize {
        let held = self.held.map_or(0, |held| held.count(wanted));
        if self.denied.is_empty() { held } else { held - wanted.count_in(&self.denied).min(held) }
    }
}

/// One bit an appliance, the first the lowest of the first byte.
struct Bits(Vec<u8>);

impl Bits {
    fn of(appliances: usize) -> Self {
        Self(vec![0; appliances.div_ceil(8)])
    }

    fn clear(&mut self) {
        self.0.fill(0);
    }

    fn set(&mut self, at: usize) {
        self.0[at / 8] |= 1 << (at % 8);
    }

    /// Base64url without trailing zero bytes.
    fn text(&self) -> String {
        let len = self.0.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        URL_SAFE_NO_PAD.encode(&self.0[..len])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_begin_at_the_lowest_and_end_at_the_last_that_is_set() {
        let mut bits = Bits::of(20);
        assert_eq!(bits.text(), "");
        bits.set(0);
        bits.set(9);
        assert_eq!(bits.text(), URL_SAFE_NO_PAD.encode([0b1, 0b10]));
        bits.set(19);
        assert_eq!(bits.text(), URL_SAFE_NO_PAD.encode([0b1, 0b10, 0b1000]));
    }
}
