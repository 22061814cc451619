//! How the bytes of bodies reach a socket: a closed set, chosen for each socket, its reason kept.
//! Never sends anything: `connection::send` asks it which way to go.
//!
//! | engine | bytes come from | and go by |
//! |---|---|---|
//! | owned | registered buffers, read past the page cache | a send of the chunk's own memory |
//! | page-cache | resident pages, never waited for | sendfile, with reads ahead by the ring |
//! | user-tls | the same buffers | records sealed into a send buffer in one pass |
//! | kernel-tls | buffers or resident pages, as for a clear socket | a send that the kernel seals |
//!
//! Policy, where the bytes come from. A peer on this machine takes the page cache: there a send is
//! copied twice and zero-copy sends are copied as well, while pages are handed over as they are.
//! Any other takes owned buffers, because one fast disk fills a page cache in seconds and
//! reclaiming it then costs more than the copy.
//!
//! Policy, who seals. The kernel, if it was found able to at boot: the same memory then goes out
//! without a pass through a send buffer, pages without a copy, and a network card may do the
//! sealing. HTTP/2 stays in user space, where its frames are put together anyway, and so does a
//! cipher that the kernel has not. The key is offered when the handshake is over; a kernel that
//! refuses it leaves the socket to user space, and after `HAND_OVERS_FAILED_MAX` of those it is not
//! asked again. What it refuses of the page cache is not asked for again either.

mod kernel_tls;
mod known;

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::Serialize;

use crate::counters::Counters;
pub use kernel_tls::KernelTls;
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

/// What the operator wants. The first three leave TLS, and the last two clear sockets, to the
/// policy.
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
    /// TLS by the kernel, if it can: what the policy does by itself, said aloud.
    KernelTls,
    /// TLS in user space, whatever the kernel can.
    UserTls,
}

impl FromStr for Preference {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "auto" => Ok(Self::Auto),
            "owned" => Ok(Self::Owned),
            "page-cache" => Ok(Self::PageCache),
            "kernel-tls" => Ok(Self::KernelTls),
            "user-tls" => Ok(Self::UserTls),
            _ => Err(format!(
                "{word:?} is no engine: auto, owned, page-cache, kernel-tls or user-tls"
            )),
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
    /// The socket has TLS, and the kernel can do it.
    KernelAble,
    /// The kernel does TLS, but not with this socket's version and cipher.
    CipherNotInKernel,
    /// The kernel does TLS, and would not take this socket's key.
    HandOverFailed,
    /// The socket speaks HTTP/2, whose frames are sealed where they are put together.
    Multiplexed,
}

/// Where the bytes of a body come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Our own buffers, read past the page cache.
    Buffers,
    /// The page cache.
    Pages,
}

/// One socket's engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// Which.
    pub engine: Engine,
    /// Where its bytes come from.
    pub source: Source,
    /// Why.
    pub why: Why,
}

impl Choice {
    /// Sealed in user space, and why.
    #[must_use]
    pub fn user_tls(why: Why) -> Self {
        Self { engine: Engine::UserTls, source: Source::Buffers, why }
    }

    /// The same without the page cache, which turned out not to be usable.
    #[must_use]
    pub fn without_pages(self) -> Self {
        let engine = if self.engine == Engine::PageCache { Engine::Owned } else { self.engine };
        Self { engine, source: Source::Buffers, why: Why::NoResidency }
    }
}

/// What was wanted and what was found, on one worker.
#[derive(Clone, Debug, Default)]
pub struct Engines {
    preference: Preference,
    /// Why the page cache cannot be used; absent while it can.
    page_cache_refused: Option<String>,
    kernel_tls: KernelTls,
}

impl Engines {
    /// Asks this machine what it can do.
    #[must_use]
    pub fn probe(preference: Preference) -> Self {
        Self {
            preference,
            page_cache_refused: oca_sys::residency_known().err(),
            kernel_tls: KernelTls::probe(),
        }
    }

    /// On a machine that can do everything.
    #[must_use]
    pub fn able(preference: Preference) -> Self {
        Self { preference, page_cache_refused: None, kernel_tls: KernelTls::able() }
    }

    /// The engine of a new socket. One with TLS that gets the kernel's keeps it only if the kernel
    /// takes its key, once it is known what was agreed on.
    #[must_use]
    pub fn choose(&self, peer: SocketAddr, is_encrypted: bool) -> Choice {
        let (wanted, why) = match self.preference {
            Preference::Owned => (Source::Buffers, Why::Configured),
            Preference::PageCache => (Source::Pages, Why::Configured),
            _ if peer.ip().to_canonical().is_loopback() => (Source::Pages, Why::LocalPeer),
            _ => (Source::Buffers, Why::RemotePeer),
        };
        let (source, why) = match wanted {
            Source::Pages if self.page_cache_refused.is_some() => {
                (Source::Buffers, Why::NoResidency)
            }
            _ => (wanted, why),
        };
        if is_encrypted {
            return self.choose_sealing(source);
        }
        let engine = match source {
            Source::Buffers => Engine::Owned,
            Source::Pages => Engine::PageCache,
        };
        Choice { engine, source, why }
    }

    fn choose_sealing(&self, source: Source) -> Choice {
        let why = match self.preference {
            Preference::UserTls => return Choice::user_tls(Why::Configured),
            Preference::KernelTls => Why::Configured,
            _ => Why::KernelAble,
        };
        match self.kernel_tls.seals_any() {
            true => Choice { engine: Engine::KernelTls, source, why },
            false => Choice::user_tls(Why::NoKernelTls),
        }
    }

    /// Who seals, as the machine's keeper and as this worker found it.
    pub fn kernel_tls(&mut self) -> &mut KernelTls {
        &mut self.kernel_tls
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
    kernel_tls: String,
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
            kernel_tls: match self.preference {
                Preference::UserTls => format!("not wanted; {}", self.kernel_tls),
                _ => self.kernel_tls.to_string(),
            },
            engines: engines.to_vec(),
        }
    }
}

impl fmt::Display for Engines {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.page_cache_refused {
            None => write!(out, "engine {:?}, page cache usable", self.preference)?,
            Some(why) => write!(out, "engine {:?}, no page cache: {why}", self.preference)?,
        }
        write!(out, ", kernel TLS {}", self.kernel_tls)
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
        check(&auto, "127.0.0.1:1", true, (Engine::KernelTls, Why::KernelAble));
        check(&auto, "192.0.2.1:1", true, (Engine::KernelTls, Why::KernelAble));
        let owned = Engines::able(Preference::Owned);
        check(&owned, "127.0.0.1:1", false, (Engine::Owned, Why::Configured));
        let mut cache = Engines::able(Preference::PageCache);
        check(&cache, "192.0.2.1:1", false, (Engine::PageCache, Why::Configured));
        cache.refuse_page_cache("forbidden".to_owned());
        check(&cache, "192.0.2.1:1", false, (Engine::Owned, Why::NoResidency));
    }

    #[test]
    fn who_seals_is_asked_for_and_found() {
        let user = Engines::able(Preference::UserTls);
        check(&user, "127.0.0.1:1", true, (Engine::UserTls, Why::Configured));
        check(&user, "127.0.0.1:1", false, (Engine::PageCache, Why::LocalPeer));
        let kernel = Engines::able(Preference::KernelTls);
        check(&kernel, "192.0.2.1:1", true, (Engine::KernelTls, Why::Configured));
        check(&kernel, "192.0.2.1:1", false, (Engine::Owned, Why::RemotePeer));
        // Nothing was found: the default.
        for preference in [Preference::Auto, Preference::KernelTls, Preference::PageCache] {
            let unable = Engines { preference, ..Engines::default() };
            check(&unable, "127.0.0.1:1", true, (Engine::UserTls, Why::NoKernelTls));
        }
    }

    #[test]
    fn what_the_kernel_seals_comes_from_where_a_clear_socket_would_take_it() {
        let source =
            |engines: &Engines, peer: &str| engines.choose(peer.parse().unwrap(), true).source;
        let mut auto = Engines::able(Preference::Auto);
        assert_eq!(source(&auto, "127.0.0.1:1"), Source::Pages);
        assert_eq!(source(&auto, "192.0.2.1:1"), Source::Buffers);
        assert_eq!(source(&Engines::able(Preference::Owned), "127.0.0.1:1"), Source::Buffers);
        assert_eq!(source(&Engines::able(Preference::UserTls), "127.0.0.1:1"), Source::Buffers);
        auto.refuse_page_cache("forbidden".to_owned());
        let choice = auto.choose("127.0.0.1:1".parse().unwrap(), true);
        assert_eq!((choice.engine, choice.source), (Engine::KernelTls, Source::Buffers));
        assert_eq!(choice.without_pages().engine, Engine::KernelTls);
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        assert_eq!("page-cache".parse(), Ok(Preference::PageCache));
        assert_eq!("kernel-tls".parse(), Ok(Preference::KernelTls));
        assert_eq!("user-tls".parse(), Ok(Preference::UserTls));
        assert!("sendfile".parse::<Preference>().is_err());
        assert!(Engine::ALL.iter().enumerate().all(|(at, engine)| engine.index() == at));
    }
}
