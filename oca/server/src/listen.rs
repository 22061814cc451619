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
