//! How the bytes of bodies reach a socket: a closed set, chosen for each socket, its reason kept.
//! Never sends anything: `connection::send` asks it which way to go.
//!
//! | engine | bytes come from | and go by |
//! |---|---|---|
//! | owned | registered buffers, read past the page cache | a send of the chunk's own memory |
//! | page-cache | resident pages, never waited for | sendfile, with reads ahead by the ring |
//! | user-tls | the same buffers | records sealed into a send buffer in one pass |
//! | kernel-tls | the same buffers | a send that the kernel seals |
//!
//! Policy. A socket with TLS seals in user space unless the kernel was found able to. A clear one
//! whose peer is on this machine takes the page cache: there a send is copied twice and zero-copy
//! sends are copied as well, while pages are handed over as they are. Any other clear socket takes
//! owned buffers, because one fast disk fills a page cache in seconds and reclaiming it then costs
//! more than the copy. What the kernel refuses at run time is not asked for again.

mod known;

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::Serialize;

use crate::counters::Counters;
pub use known::Known;

/// The ways a body can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Sends from our own buffers.
    Owned,
    /// Sends from the page cache.
    PageCache,
    /// Seals records from our own buffers.
    UserTls,
    /// The kernel seals.
    KernelTls,
}

impl Engine {
    /// All of them, in the order of `index`.
    pub const ALL: [Self; 4] = [Self::Owned, Self::PageCache, Self::UserTls, Self::KernelTls];

    /// The word for logs, metrics and people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Owned => "owned",
            Self::PageCache => "page-cache",
            Self::UserTls => "user-tls",
            Self::KernelTls => "kernel-tls",
        }
    }

    /// Place in `ALL`.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What the operator wants of clear sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preference {
    /// The policy above.
    #[default]
    Auto,
    /// Owned buffers, whoever the peer is.
    Owned,
    /// The page cache, whoever the peer is, if the kernel can say what is resident.
    PageCache,
}

impl FromStr for Preference {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "auto" => Ok(Self::Auto),
            "owned" => Ok(Self::Owned),
            "page-cache" => Ok(Self::PageCache),
            _ => Err(format!("{word:?} is no engine: auto, owned or page-cache")),
        }
    }
}

/// Why a socket has its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The operator said so.
    Configured,
    /// The peer is on this machine.
    LocalPeer,
    /// The peer is elsewhere.
    RemotePeer,
    /// The page cache was wanted, and the kernel cannot say what is in it.
    NoResidency,
    /// The socket has TLS, and the kernel does none.
    NoKernelTls,
}

/// One socket's engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// Which.
    pub engine: Engine,
    /// Why.
    pub why: Why,
}

/// What was wanted and what was found, on one worker.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Engines {
    preference: Preference,
    /// Why the page cache cannot be used; absent while it can.
    page_cache_refused: Option<String>,
}

impl Engines {
    /// Asks this machine what it can do.
    #[must_use]
    pub fn probe(preference: Preference) -> Self {
        Self { preference, page_cache_refused: oca_sys::residency_known().err() }
    }

    /// On a machine that can do everything.
    #[must_use]
    pub fn able(preference: Preference) -> Self {
        Self { preference, page_cache_refused: None }
    }

    /// The engine of a new socket.
    #[must_use]
    pub fn choose(&self, peer: SocketAddr, is_encrypted: bool) -> Choice {
        if is_encrypted {
            return Choice { engine: Engine::UserTls, why: Why::NoKernelTls };
        }
        let (wanted, why) = match self.preference {
            Preference::Owned => (Engine::Owned, Why::Configured),
            Preference::PageCache => (Engine::PageCache, Why::Configured),
            Preference::Auto if peer.ip().to_canonical().is_loopback() => {
                (Engine::PageCache, Why::LocalPeer)
            }
            Preference::Auto => (Engine::Owned, Why::RemotePeer),
        };
        if wanted == Engine::PageCache && self.page_cache_refused.is_some() {
            return Choice { engine: Engine::Owned, why: Why::NoResidency };
        }
        Choice { engine: wanted, why }
    }

    /// The kernel would not say what is resident: no further socket is sent from the page cache.
    pub fn refuse_page_cache(&mut self, why: String) {
        self.page_cache_refused.get_or_insert(why);
    }
}

/// What `/debug/datapath` says of one engine.
#[derive(Clone, Debug, Serialize)]
struct EngineLine {
    engine: Engine,
    sockets: u64,
    bytes: u64,
}

/// What `/debug/datapath` says.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    preference: Preference,
    /// As found at boot; what a worker found later shows as `no_residency` of its connections.
    page_cache: String,
    kernel_tls: &'static str,
    engines: Vec<EngineLine>,
}

impl Engines {
    /// What was found at boot, and what the workers of `counters` did with it.
    #[must_use]
    pub fn report<'a>(&self, counters: impl Iterator<Item = &'a Counters>) -> Report {
        let blank = |engine| EngineLine { engine, sockets: 0, bytes: 0 };
        let mut engines = Engine::ALL.map(blank);
        for worker in counters {
            for line in &mut engines {
                line.sockets += worker.engine_sockets[line.engine.index()].get();
                line.bytes += worker.engine_bytes[line.engine.index()].get();
            }
        }
        Report {
            preference: self.preference,
            page_cache: self.page_cache_refused.clone().unwrap_or_else(|| "usable".to_owned()),
            kernel_tls: "not used: records are sealed in user space",
            engines: engines.to_vec(),
        }
    }
}

impl fmt::Display for Engines {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.page_cache_refused {
            None => write!(out, "engine {:?}, page cache usable", self.preference),
            Some(why) => write!(out, "engine {:?}, no page cache: {why}", self.preference),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(engines: &Engines, peer: &str, is_encrypted: bool, wanted: (Engine, Why)) {
        let choice = engines.choose(peer.parse().unwrap(), is_encrypted);
        assert_eq!((choice.engine, choice.why), wanted, "{peer}");
    }

    #[test]
    fn the_policy_is_what_the_head_of_this_file_says() {
        let auto = Engines::able(Preference::Auto);
        check(&auto, "127.0.0.1:1", false, (Engine::PageCache, Why::LocalPeer));
        check(&auto, "[::ffff:127.0.0.1]:1", false, (Engine::PageCache, Why::LocalPeer));
        check(&auto, "192.0.2.1:1", false, (Engine::Owned, Why::RemotePeer));
        check(&auto, "127.0.0.1:1", true, (Engine::UserTls, Why::NoKernelTls));
        let owned = Engines::able(Preference::Owned);
        check(&owned, "127.0.0.1:1", false, (Engine::Owned, Why::Configured));
        let mut cache = Engines::able(Preference::PageCache);
        check(&cache, "192.0.2.1:1", false, (Engine::PageCache, Why::Configured));
        cache.refuse_page_cache("forbidden".to_owned());
        check(&cache, "192.0.2.1:1", false, (Engine::Owned, Why::NoResidency));
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        assert_eq!("page-cache".parse(), Ok(Preference::PageCache));
        assert!("sendfile".parse::<Preference>().is_err());
        assert!(Engine::ALL.iter().enumerate().all(|(at, engine)| engine.index() == at));
    }
}
