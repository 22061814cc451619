//! Where a client that is refused here can go: the operator's list of next appliances, as one text.
//! Knows nothing of their health, and never asks them.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use oca_http::Outcome;
use oca_http::answer::NEXT_BYTES_MAX;

/// The next appliances, nearest first.
#[derive(Debug, Default)]
pub struct Peers {
    text: ArcSwapOption<String>,
}

impl Peers {
    /// These, each `scheme://host[:port]`.
    #[must_use]
    pub fn new(urls: &[String]) -> Self {
        let peers = Self::default();
        peers.swap(urls);
        peers
    }

    /// Names these from now on. Those that a refusal's head has no room for are left out.
    pub fn swap(&self, urls: &[String]) {
        self.text.store(in_one_text(urls, NEXT_BYTES_MAX).map(Arc::new));
    }

    /// The one at `position` in the list, nearest first.
    #[must_use]
    pub fn at(&self, position: u32) -> Option<String> {
        let text = self.text.load_full()?;
        text.split(", ").nth(position as usize).map(str::to_owned)
    }

    /// What a refusal with `outcome` names, if it should: where the same path and ticket may do.
    #[must_use]
    pub fn next_for(&self, outcome: Outcome) -> Option<Arc<String>> {
        if may_do_elsewhere(outcome) { self.text.load_full() } else { None }
    }
}

/// Whether the same path and ticket may do at another appliance.
#[must_use]
pub fn may_do_elsewhere(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::UnknownObject
            | Outcome::Quarantined
            | Outcome::DiskFailed
            | Outcome::ChunkBad
            | Outcome::Draining
            | Outcome::OverBudget
            | Outcome::NoBuffer
    )
}

/// URLs as a refusal names them, as many as `bytes_max` has room for; `None` for none.
#[must_use]
pub fn in_one_text(urls: &[String], bytes_max: usize) -> Option<String> {
    let mut text = String::new();
    for url in urls {
        let separator = if text.is_empty() { "" } else { ", " };
        if text.len() + separator.len() + url.len() <= bytes_max {
            text.push_str(separator);
            text.push_str(url);
        }
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_that_another_appliance_may_not_repeat_name_one() {
        let peers = Peers::new(&["https://b.example".into(), "https://c.example".into()]);
        let named = peers.next_for(Outcome::UnknownObject).unwrap();
        assert_eq!(*named, "https://b.example, https://c.example");
        assert!(peers.next_for(Outcome::TicketStale).is_none());
        assert!(Peers::default().next_for(Outcome::UnknownObject).is_none());
        peers.swap(&["x".repeat(NEXT_BYTES_MAX + 1), "https://d.example".into()]);
        assert_eq!(*peers.next_for(Outcome::DiskFailed).unwrap(), "https://d.example");
    }
}
