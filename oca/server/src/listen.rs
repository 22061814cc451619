//! Listening sockets, one for each worker on one address. Never accepts.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, listen,
    setsockopt, socket, sockopt,
};

use crate::limits::BACKLOG;

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody has the port.
    #[error(
        "{addr} is in use by another program: stop it, or choose another port for {key} \
         (`ss -ltnp` shows who has it)"
    )]
    Busy {
        /// Which address.
        addr: SocketAddr,
        /// Key of the config.
        key: &'static str,
    },
    /// Low ports need a capability.
    #[error(
        "{addr} is a port that needs CAP_NET_BIND_SERVICE: grant it or choose {key} above 1023"
    )]
    Denied {
        /// Which address.
        addr: SocketAddr,
        /// Key of the config.
        key: &'static str,
    },
    /// Anything else.
    #[error("cannot listen on {addr} ({key})")]
    Other {
        /// Which address.
        addr: SocketAddr,
        /// Key of the config.
        key: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// `count` sockets that share `addr` (the kernel spreads connections over them) and the address
/// they got. With one, the port is not shared with anybody.
///
/// # Errors
/// Busy, forbidden, or not an address of this machine.
pub fn listen_all(
    addr: SocketAddr,
    count: usize,
    key: &'static str,
) -> Result<(Vec<TcpListener>, SocketAddr), ListenError> {
    let refused = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::Busy { addr, key },
        io::ErrorKind::PermissionDenied => ListenError::Denied { addr, key },
        _ => ListenError::Other { addr, key, source },
    };
    // A shared bind would succeed beside another program that shares too; an exclusive one tells.
    let first = listen_one(addr, Sharing::Exclusive).map_err(refused)?;
    let actual = first.local_addr().map_err(refused)?;
    if count <= 1 {
        return Ok((vec![first], actual));
    }
    drop(first);
    let all = (0..count).map(|_| listen_one(actual, Sharing::Shared)).collect::<io::Result<_>>();
    Ok((all.map_err(refused)?, actual))
}

/// The sockets for `addr`: those that were handed to us if they are for it, otherwise `count` new
/// ones. Handed-over sockets may be more or fewer than `count`; see [`shares`].
///
/// # Errors
/// Busy, forbidden, or not an address of this machine.
pub fn take_or_listen(
    handed: Vec<TcpListener>,
    addr: SocketAddr,
    count: usize,
    key: &'static str,
) -> Result<(Vec<TcpListener>, SocketAddr), ListenError> {
    let fits = |listener: &TcpListener| {
        let local = listener.local_addr().ok()?;
        // Port 0 means any, and the one that we had is one.
        let same = local.ip() == addr.ip() && (addr.port() == 0 || addr.port() == local.port());
        same.then_some(local)
    };
    match handed.first().map(fits) {
        Some(Some(local)) => Ok((handed, local)),
        Some(None) => {
            tracing::warn!(%addr, key, "the sockets handed to us are for another address");
            listen_all(addr, count, key)
        }
        None => listen_all(addr, count, key),
    }
}

/// Deals `listeners` out to `workers` workers: each has at least one, and none is left out. Two
/// workers may have the same socket, and then the kernel wakes either.
///
/// # Errors
/// No descriptor is free.
pub fn shares(listeners: &[TcpListener], workers: usize) -> io::Result<Vec<Vec<TcpListener>>> {
    let count = listeners.len();
    let share = |worker: usize| {
        let own = (0..count).filter(|at| at % workers == worker);
        let at: Vec<usize> =
            if worker < count { own.collect() } else { vec![worker % count.max(1)] };
        at.into_iter().filter_map(|at| listeners.get(at)).map(TcpListener::try_clone).collect()
    };
    (0..workers).map(share).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Exclusive,
    Shared,
}

fn listen_one(addr: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let family = if addr.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC;
    let fd = socket(family, SockType::Stream, flags, SockProtocol::Tcp)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    if sharing == Sharing::Shared {
        setsockopt(&fd, sockopt::ReusePort, &true)?;
    }
    // Inherited by accepted sockets: a head must not wait for an acknowledgement. Bodies say
    // MSG_MORE where more follows.
    setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(addr))?;
    listen(&fd, Backlog::new(BACKLOG)?)?;
    Ok(TcpListener::from(fd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_sockets_goes_round_any_number_of_workers() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        for (sockets, workers, wanted) in [
            (3, 3, vec![1, 1, 1]),
            (5, 2, vec![3, 2]),
            (1, 3, vec![1, 1, 1]),
            (2, 3, vec![1, 1, 1]),
        ] {
            let (listeners, _) = listen_all(any, sockets, "listen.media").unwrap();
            let shares = shares(&listeners, workers).unwrap();
            let sizes: Vec<usize> = shares.iter().map(Vec::len).collect();
            assert_eq!(sizes, wanted, "{sockets} sockets, {workers} workers");
        }
    }

    #[test]
    fn sockets_for_another_address_are_not_taken() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (handed, addr) = listen_all(any, 1, "listen.media").unwrap();
        let (taken, same) = take_or_listen(handed, any, 1, "listen.media").unwrap();
        assert_eq!(same, addr, "port 0 is any port, and so the one we had");
        let other: SocketAddr = "127.0.0.2:0".parse().unwrap();
        let (_, new) = take_or_listen(taken, other, 1, "listen.media").unwrap();
        assert_eq!(new.ip(), other.ip());
    }

    #[test]
    fn workers_share_one_port_and_strangers_are_told() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (listeners, addr) = listen_all(any, 3, "listen.media").unwrap();
        assert!(listeners.iter().all(|l| l.local_addr().unwrap() == addr) && listeners.len() == 3);
        for count in [1, 2] {
            let error = listen_all(addr, count, "listen.media").unwrap_err().to_string();
            assert!(error.contains(&addr.to_string()) && error.contains("listen.media"), "{error}");
        }
    }
}
