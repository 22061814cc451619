//! What one worker counts of engines: why sockets have theirs, and what became of lent memory.
//! Decides nothing.

use super::{Counter, Counters};
use crate::engine::{Choice, Engine, Why};

/// Sockets by engine and reason.
#[derive(Debug)]
pub struct ChoiceCounters(Vec<Counter>);

impl Default for ChoiceCounters {
    fn default() -> Self {
        let pairs = Engine::ALL.len() * Why::ALL.len();
        Self(std::iter::repeat_with(Counter::default).take(pairs).collect())
    }
}

/// Zero-copy sends.
#[derive(Debug, Default)]
pub struct ZeroCopyCounters {
    /// Sends that lent a chunk.
    pub sends: Counter,
    /// Bytes that such sends took.
    pub bytes: Counter,
    /// Reports that lent memory was read where it lay.
    pub used: Counter,
    /// Reports that it was copied after all.
    pub copied: Counter,
    /// Reports of a copy that may be wrong.
    pub unsure: Counter,
    /// Memory that the network has now, bytes.
    pub lent_bytes: Counter,
    /// Sends that were worth lending for, and were copied because too much was lent.
    pub fallbacks: Counter,
}

impl Counters {
    /// Counts a socket that has an engine now; one that changes it is counted for each.
    pub fn choose(&self, choice: Choice) {
        let at = choice.engine.index() * Why::ALL.len() + choice.why.index();
        if let Some(counter) = self.choices.0.get(at) {
            counter.add(1);
        }
    }

    /// Sockets so far by engine and reason; pairs that never happened are left out.
    pub fn choices(&self) -> impl Iterator<Item = (Engine, Why, u64)> {
        let pairs = Engine::ALL.into_iter().flat_map(|e| Why::ALL.into_iter().map(move |w| (e, w)));
        pairs
            .zip(&self.choices.0)
            .map(|((engine, why), counter)| (engine, why, counter.get()))
            .filter(|(_, _, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Source;

    #[test]
    fn choices_are_listed_by_what_they_were() {
        let counters = Counters::default();
        let choice = |engine, why| Choice { engine, source: Source::Buffers, why };
        counters.choose(choice(Engine::OwnedZeroCopy, Why::RemotePeer));
        counters.choose(choice(Engine::Owned, Why::CopiedByKernel));
        counters.choose(choice(Engine::Owned, Why::CopiedByKernel));
        let listed: Vec<_> = counters.choices().collect();
        assert_eq!(
            listed,
            vec![
                (Engine::Owned, Why::CopiedByKernel, 2),
                (Engine::OwnedZeroCopy, Why::RemotePeer, 1)
            ]
        );
    }
}
