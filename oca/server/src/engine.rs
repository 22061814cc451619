//! How the bytes of bodies reach a socket: a closed set, chosen for each socket, its reason kept.
//! Never sends anything: `connection::send` asks it which way to go.
//!
//! | engine | bytes come from | and go by |
//! |---|---|---|
//! | owned | registered buffers, read past the page cache | a send of the chunk's own memory |
//! | owned-zc | the same buffers | a send that lends the memory to the network |
//! | page-cache | resident pages, never waited for | sendfile, with reads ahead by the ring |
//! | user-tls | the same buffers | records sealed into a send buffer in one pass |
//! | kernel-tls | buffers or resident pages, as for a clear socket | a send that the kernel seals |
//!
//! Policy, where the bytes come from. A peer on this machine takes the page cache: there a send is
//! copied twice and zero-copy sends are copied as well, while pages are handed over as they are.
//! Any other takes owned buffers, because one fast disk fills a page cache in seconds and
//! reclaiming it then costs more than the copy.
//!
//! Policy, what is lent. A clear socket of owned buffers lends them, if the kernel was found able
//! to at boot and a chunk's memory is registered with it; a card then takes the bytes from where
//! the disk put them. What the kernel reports decides how long: a socket that it copies for goes on
//! as owned, and so do new ones of the same way out, for a while (`zero_copy`). A peer on this
//! machine is never lent to unless an operator asks for it: everything is copied for him.
//!
//! Policy, who seals. The kernel, if it was found able to at boot: the same memory then goes out
//! without a pass through a send buffer, pages without a copy, and a network card may do the
//! sealing. HTTP/2 stays in user space, where its frames are put together anyway, and so does a
//! cipher that the kernel has not. The key is offered when the handshake is over; a kernel that
//! refuses it leaves the socket to user space, and after `HAND_OVERS_FAILED_MAX` of those it is not
//! asked again. What it refuses of the page cache is not asked for again either.

mod kernel_tls;
mod known;
mod report;
mod zero_copy;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use oca_sys::Nanos;
use serde::Serialize;

pub use kernel_tls::KernelTls;
pub use known::Known;
pub use report::Report;
pub use zero_copy::ZeroCopy;

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
    /// Lends our own buffers to the network.
    #[serde(rename = "owned-zc")]
    OwnedZeroCopy,
}

impl Engine {
    /// All of them, in the order of `index`.
    pub const ALL: [Self; 5] =
        [Self::Owned, Self::PageCache, Self::UserTls, Self::KernelTls, Self::OwnedZeroCopy];

    /// The word for logs, metrics and people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Owned => "owned",
            Self::PageCache => "page-cache",
            Self::UserTls => "user-tls",
            Self::KernelTls => "kernel-tls",
            Self::OwnedZeroCopy => "owned-zc",
        }
    }

    /// Place in `ALL`.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What the operator wants. The first four leave TLS, and the last two clear sockets, to the
/// policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preference {
    /// The policy above.
    #[default]
    Auto,
    /// Owned buffers, whoever the peer is, and copied.
    Owned,
    /// Owned buffers, lent to the network whoever the peer is and whatever the kernel reports.
    #[serde(rename = "owned-zc")]
    OwnedZeroCopy,
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
            "owned-zc" => Ok(Self::OwnedZeroCopy),
            "page-cache" => Ok(Self::PageCache),
            "kernel-tls" => Ok(Self::KernelTls),
            "user-tls" => Ok(Self::UserTls),
            _ => Err(format!(
                "{word:?} is no engine: auto, owned, owned-zc, page-cache, kernel-tls or user-tls"
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
    /// The kernel lends no memory, or none of ours.
    NoZeroCopy,
    /// The kernel reported that it copied what this socket lent.
    CopiedByKernel,
    /// It reported so for other sockets of the same way out.
    WayOutCopies,
    /// The kernel would not lend for this socket.
    LendingRefused,
}

impl Why {
    /// All of them, in the order of `index`.
    pub const ALL: [Self; 13] = [
        Self::Configured,
        Self::LocalPeer,
        Self::RemotePeer,
        Self::NoResidency,
        Self::NoKernelTls,
        Self::KernelAble,
        Self::CipherNotInKernel,
        Self::HandOverFailed,
        Self::Multiplexed,
        Self::NoZeroCopy,
        Self::CopiedByKernel,
        Self::WayOutCopies,
        Self::LendingRefused,
    ];

    /// The word for metrics and people: as it is serialized.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::LocalPeer => "local_peer",
            Self::RemotePeer => "remote_peer",
            Self::NoResidency => "no_residency",
            Self::NoKernelTls => "no_kernel_tls",
            Self::KernelAble => "kernel_able",
            Self::CipherNotInKernel => "cipher_not_in_kernel",
            Self::HandOverFailed => "hand_over_failed",
            Self::Multiplexed => "multiplexed",
            Self::NoZeroCopy => "no_zero_copy",
            Self::CopiedByKernel => "copied_by_kernel",
            Self::WayOutCopies => "way_out_copies",
            Self::LendingRefused => "lending_refused",
        }
    }

    /// Place in `ALL`.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// A new socket, as far as its engine depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Newcomer {
    /// Who is at the other end.
    pub peer: SocketAddr,
    /// Our own address, if it was asked for: see `Engines::asks_for_own`.
    pub own: Option<IpAddr>,
    /// It speaks TLS.
    pub is_encrypted: bool,
}

impl Newcomer {
    fn is_local(&self) -> bool {
        let peer = self.peer.ip().to_canonical();
        peer.is_loopback() || (self.own == Some(peer) && !peer.is_unspecified())
    }
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
    zero_copy: ZeroCopy,
}

impl Engines {
    /// Asks this machine what it can do.
    #[must_use]
    pub fn probe(preference: Preference) -> Self {
        Self {
            preference,
            page_cache_refused: oca_sys::residency_known().err(),
            kernel_tls: KernelTls::probe(),
            zero_copy: match preference {
                Preference::Owned => ZeroCopy::default(),
                _ => ZeroCopy::probe(),
            },
        }
    }

    /// On a machine that can do everything.
    #[must_use]
    pub fn able(preference: Preference) -> Self {
        Self {
            preference,
            page_cache_refused: None,
            kernel_tls: KernelTls::able(),
            zero_copy: ZeroCopy::able(),
        }
    }

    /// Whether the engine of a new socket depends on its own address.
    #[must_use]
    pub fn asks_for_own(&self, peer: SocketAddr, is_encrypted: bool) -> bool {
        let lends = !is_encrypted && self.zero_copy.is_usable();
        lends
            && match self.preference {
                Preference::Owned | Preference::PageCache => false,
                Preference::OwnedZeroCopy => true,
                _ => !peer.ip().to_canonical().is_loopback(),
            }
    }

    /// The engine of a new socket. One with TLS that gets the kernel's keeps it only if the kernel
    /// takes its key, once it is known what was agreed on.
    #[must_use]
    pub fn choose(&mut self, newcomer: Newcomer, now: Nanos) -> Choice {
        let (wanted, why) = match self.preference {
            Preference::Owned | Preference::OwnedZeroCopy => (Source::Buffers, Why::Configured),
            Preference::PageCache => (Source::Pages, Why::Configured),
            _ if newcomer.is_local() => (Source::Pages, Why::LocalPeer),
            _ => (Source::Buffers, Why::RemotePeer),
        };
        let (source, why) = match wanted {
            Source::Pages if self.page_cache_refused.is_some() => {
                (Source::Buffers, Why::NoResidency)
            }
            _ => (wanted, why),
        };
        if newcomer.is_encrypted {
            return self.choose_sealing(source);
        }
        match source {
            Source::Buffers => self.choose_lending(newcomer, why, now),
            Source::Pages => Choice { engine: Engine::PageCache, source, why },
        }
    }

    /// What a socket accepted at `listening` has as a rule: one from elsewhere, unless that is an
    /// address that nobody else can reach.
    #[must_use]
    pub fn typical(&self, listening: SocketAddr, is_encrypted: bool) -> Choice {
        let own = Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        self.clone().choose(Newcomer { peer: listening, own, is_encrypted }, Nanos(0))
    }

    /// Whether a clear socket of owned buffers lends them.
    fn choose_lending(&mut self, newcomer: Newcomer, why: Why, now: Nanos) -> Choice {
        let lends = match (self.preference, newcomer.own) {
            (Preference::Owned | Preference::PageCache, _) => Err(why),
            (Preference::OwnedZeroCopy, _) if self.zero_copy.is_usable() => Ok(()),
            (Preference::OwnedZeroCopy, _) => Err(Why::NoZeroCopy),
            // The page cache would have been the way for this one.
            _ if newcomer.is_local() => Err(why),
            (_, Some(own)) => self.zero_copy.may_begin(own, now),
            (_, None) => Err(Why::NoZeroCopy),
        };
        let (engine, why) = match lends {
            Ok(()) => (Engine::OwnedZeroCopy, why),
            Err(why) => (Engine::Owned, why),
        };
        Choice { engine, source: Source::Buffers, why }
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

    /// What is lent, as this worker found.
    pub fn zero_copy(&mut self) -> &mut ZeroCopy {
        &mut self.zero_copy
    }

    /// The kernel would not say what is resident: no further socket is sent from the page cache.
    pub fn refuse_page_cache(&mut self, why: String) {
        self.page_cache_refused.get_or_insert(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "198.51.100.7";

    fn choose(engines: &Engines, peer: &str, is_encrypted: bool) -> Choice {
        let peer = peer.parse().unwrap();
        let own = engines.asks_for_own(peer, is_encrypted).then(|| OWN.parse().unwrap());
        engines.clone().choose(Newcomer { peer, own, is_encrypted }, Nanos(0))
    }

    fn check(engines: &Engines, peer: &str, is_encrypted: bool, wanted: (Engine, Why)) {
        let choice = choose(engines, peer, is_encrypted);
        assert_eq!((choice.engine, choice.why), wanted, "{peer}");
    }

    #[test]
    fn the_policy_is_what_the_head_of_this_file_says() {
        let auto = Engines::able(Preference::Auto);
        check(&auto, "127.0.0.1:1", false, (Engine::PageCache, Why::LocalPeer));
        check(&auto, "[::ffff:127.0.0.1]:1", false, (Engine::PageCache, Why::LocalPeer));
        check(&auto, "192.0.2.1:1", false, (Engine::OwnedZeroCopy, Why::RemotePeer));
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
    fn what_is_lent_is_asked_for_found_and_learned() {
        let forced = Engines::able(Preference::OwnedZeroCopy);
        check(&forced, "127.0.0.1:1", false, (Engine::OwnedZeroCopy, Why::Configured));
        check(&forced, "127.0.0.1:1", true, (Engine::KernelTls, Why::KernelAble));
        let mut auto = Engines::able(Preference::Auto);
        check(&auto, &format!("{OWN}:1"), false, (Engine::PageCache, Why::LocalPeer));
        for _ in 0..crate::limits::DOUBTS_BY_WAY_MAX {
            check(&auto, "192.0.2.1:1", false, (Engine::OwnedZeroCopy, Why::RemotePeer));
            auto.zero_copy().doubted(OWN.parse().unwrap(), 1, Nanos(0));
        }
        check(&auto, "192.0.2.1:1", false, (Engine::Owned, Why::WayOutCopies));
        auto.zero_copy().refuse("no memory may be locked".to_owned());
        check(&auto, "192.0.2.1:1", false, (Engine::Owned, Why::NoZeroCopy));
        let nothing = Engines { preference: Preference::OwnedZeroCopy, ..Engines::default() };
        check(&nothing, "192.0.2.1:1", false, (Engine::Owned, Why::NoZeroCopy));
    }

    #[test]
    fn what_a_listener_will_mostly_have_is_said_at_boot() {
        let auto = Engines::able(Preference::Auto);
        let engine = |listening: &str| auto.typical(listening.parse().unwrap(), false).engine;
        assert_eq!(engine("127.0.0.1:80"), Engine::PageCache);
        assert_eq!(engine("0.0.0.0:80"), Engine::OwnedZeroCopy);
        assert_eq!(engine("[::]:80"), Engine::OwnedZeroCopy);
        assert_eq!(engine("192.0.2.5:80"), Engine::OwnedZeroCopy);
    }

    #[test]
    fn who_seals_is_asked_for_and_found() {
        let user = Engines::able(Preference::UserTls);
        check(&user, "127.0.0.1:1", true, (Engine::UserTls, Why::Configured));
        check(&user, "127.0.0.1:1", false, (Engine::PageCache, Why::LocalPeer));
        let kernel = Engines::able(Preference::KernelTls);
        check(&kernel, "192.0.2.1:1", true, (Engine::KernelTls, Why::Configured));
        check(&kernel, "192.0.2.1:1", false, (Engine::OwnedZeroCopy, Why::RemotePeer));
        // Nothing was found: the default.
        for preference in [Preference::Auto, Preference::KernelTls, Preference::PageCache] {
            let unable = Engines { preference, ..Engines::default() };
            check(&unable, "127.0.0.1:1", true, (Engine::UserTls, Why::NoKernelTls));
        }
    }

    #[test]
    fn what_the_kernel_seals_comes_from_where_a_clear_socket_would_take_it() {
        let source = |engines: &Engines, peer: &str| choose(engines, peer, true).source;
        let mut auto = Engines::able(Preference::Auto);
        assert_eq!(source(&auto, "127.0.0.1:1"), Source::Pages);
        assert_eq!(source(&auto, "192.0.2.1:1"), Source::Buffers);
        assert_eq!(source(&Engines::able(Preference::Owned), "127.0.0.1:1"), Source::Buffers);
        assert_eq!(source(&Engines::able(Preference::UserTls), "127.0.0.1:1"), Source::Buffers);
        auto.refuse_page_cache("forbidden".to_owned());
        let choice = choose(&auto, "127.0.0.1:1", true);
        assert_eq!((choice.engine, choice.source), (Engine::KernelTls, Source::Buffers));
        assert_eq!(choice.without_pages().engine, Engine::KernelTls);
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        assert_eq!("owned-zc".parse(), Ok(Preference::OwnedZeroCopy));
        assert_eq!("page-cache".parse(), Ok(Preference::PageCache));
        assert_eq!("kernel-tls".parse(), Ok(Preference::KernelTls));
        assert_eq!("user-tls".parse(), Ok(Preference::UserTls));
        assert!("sendfile".parse::<Preference>().is_err());
        assert!(Why::ALL.iter().enumerate().all(|(at, why)| why.index() == at));
        let as_serialized = |why: Why| serde_json::to_value(why).unwrap() == why.word();
        assert!(Why::ALL.into_iter().all(as_serialized));
        let as_serialized = |engine: Engine| serde_json::to_value(engine).unwrap() == engine.word();
        assert!(Engine::ALL.into_iter().all(as_serialized));
        assert!(Engine::ALL.iter().enumerate().all(|(at, engine)| engine.index() == at));
    }
}
