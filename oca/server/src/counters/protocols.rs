//! What one worker counts of each protocol, and of how HTTP/2 goes. Plain numbers with one writer,
//! as in `counters`.

use oca_http::h2::Resets;

use super::Counter;
use crate::protocol::{GoAway, Protocol, StreamReset, Window};

/// By protocol, and of HTTP/2 alone.
#[derive(Debug, Default)]
pub struct ProtocolCounters {
    connections: [Counter; Protocol::ALL.len()],
    requests: [Counter; Protocol::ALL.len()],
    /// Streams under way now.
    pub streams: Counter,
    go_aways: [Counter; GoAway::ALL.len()],
    resets: [Counter; StreamReset::ALL.len()],
    stalls: [Counter; Window::ALL.len()],
}

impl ProtocolCounters {
    /// A connection is found to speak `protocol`: with its first request, or its keys.
    pub fn connection(&self, protocol: Protocol) {
        self.connections[protocol as usize].add(1);
    }

    /// A request was answered.
    pub fn request(&self, protocol: Protocol) {
        self.requests[protocol as usize].add(1);
    }

    /// A GOAWAY is on its way.
    pub fn go_away(&self, why: GoAway) {
        self.go_aways[why as usize].add(1);
    }

    /// We reset a stream.
    pub fn reset(&self, why: StreamReset) {
        self.resets[why as usize].add(1);
    }

    /// What a session saw of resets.
    pub fn resets(&self, resets: Resets) {
        if resets != Resets::default() {
            StreamReset::each(resets)
                .for_each(|(why, count)| self.resets[why as usize].add(count.into()));
        }
    }

    /// An answer that could go on has to wait for a window.
    pub fn stall(&self, window: Window) {
        self.stalls[window as usize].add(1);
    }

    /// Connections by word.
    pub fn connections(&self) -> impl Iterator<Item = (&'static str, u64)> {
        listed(Protocol::ALL.iter().map(|one| one.word()), &self.connections)
    }

    /// Requests by word.
    pub fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> {
        listed(Protocol::ALL.iter().map(|one| one.word()), &self.requests)
    }

    /// GOAWAYs that we sent, by word.
    pub fn go_aways(&self) -> impl Iterator<Item = (&'static str, u64)> {
        listed(GoAway::ALL.iter().map(|one| one.word()), &self.go_aways)
    }

    /// Streams that were reset, by word.
    pub fn stream_resets(&self) -> impl Iterator<Item = (&'static str, u64)> {
        listed(StreamReset::ALL.iter().map(|one| one.word()), &self.resets)
    }

    /// Waits for windows, by word.
    pub fn stalls(&self) -> impl Iterator<Item = (&'static str, u64)> {
        listed(Window::ALL.iter().map(|one| one.word()), &self.stalls)
    }
}

fn listed(
    words: impl Iterator<Item = &'static str>,
    counters: &[Counter],
) -> impl Iterator<Item = (&'static str, u64)> {
    words.zip(counters.iter().map(Counter::get))
}
