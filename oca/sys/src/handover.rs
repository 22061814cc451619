//! Open sockets from one process to another: passed by systemd at start, or sent over a pair.
//! It opens none and closes none but what nobody asked for.

use std::env;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::cmsg_space;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, getsockopt,
    recvmsg, sendmsg, setsockopt, socketpair, sockopt,
};
use nix::sys::time::TimeVal;

/// First descriptor that systemd passes.
const FIRST_PASSED: RawFd = 3;
/// Most descriptors that systemd may pass us.
const PASSED_MAX: RawFd = 1024;
/// Descriptors in one message, below the kernel's 253.
const SENT_MAX: usize = 128;

/// Taken once: the second owner of a descriptor would close it under the first.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The listening sockets that systemd opened for this process (`LISTEN_FDS`), each with its name
/// (`LISTEN_FDNAMES`, empty when it has none). Empty when there are none, and at a second call.
///
/// # Errors
/// A passed descriptor is not a listening TCP socket.
pub fn passed_listeners() -> io::Result<Vec<(String, TcpListener)>> {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<RawFd>().ok());
    let is_ours = number("LISTEN_PID") == RawFd::try_from(std::process::id()).ok();
    let count = number("LISTEN_FDS").unwrap_or(0).clamp(0, PASSED_MAX);
    if !is_ours || count == 0 || TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(str::to_owned);
    let mut listeners = Vec::new();
    for descriptor in FIRST_PASSED..FIRST_PASSED + count {
        // SAFETY: needed to look at a descriptor before it is owned. The borrow ends with this
        // statement; a number that is not open makes the call fail and nothing else.
        let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
        fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        // SAFETY: needed to own what systemd passed. The descriptor is open (the call above said
        // so), was passed to this very process (`LISTEN_PID`), and is taken once (`TAKEN`).
        let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
        listeners.push((names.next().unwrap_or_default(), as_listener(owned)?));
    }
    Ok(listeners)
}

/// Both ends of a connection that keeps messages apart.
///
/// # Errors
/// No descriptor is free.
pub fn message_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?)
}

/// How long a receive on `end` waits.
///
/// # Errors
/// It is not a socket.
pub fn set_patience(end: impl AsFd, seconds: u32) -> io::Result<()> {
    Ok(setsockopt(&end.as_fd(), sockopt::ReceiveTimeout, &TimeVal::new(i64::from(seconds), 0))?)
}

/// Sends one message, with listening sockets beside it; ours stay open.
///
/// # Errors
/// The other end is gone, or too many sockets at once.
pub fn send_message(to: impl AsFd, text: &[u8], sockets: &[TcpListener]) -> io::Result<()> {
    if sockets.len() > SENT_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many sockets in a message"));
    }
    let descriptors: Vec<RawFd> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let beside = if descriptors.is_empty() { &[][..] } else { &rights[..] };
    let parts = [IoSlice::new(text)];
    sendmsg::<()>(to.as_fd().as_raw_fd(), &parts, beside, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// The next message, at most `bytes_max` long, and the listening sockets beside it. An empty text
/// means that the other end is gone.
///
/// # Errors
/// Patience is over, or something beside the message is not a listening socket.
pub fn receive_message(
    from: impl AsFd,
    bytes_max: usize,
) -> io::Result<(Vec<u8>, Vec<TcpListener>)> {
    let mut text = vec![0; bytes_max];
    let mut beside = cmsg_space!([RawFd; SENT_MAX]);
    let mut descriptors = Vec::new();
    let bytes = {
        let mut parts = [IoSliceMut::new(&mut text)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let raw = from.as_fd().as_raw_fd();
        let message = recvmsg::<()>(raw, &mut parts, Some(&mut beside), flags)?;
        for one in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(passed) = one {
                descriptors.extend(passed);
            }
        }
        message.bytes
    };
    text.truncate(bytes);
    let own = |descriptor| {
        // SAFETY: needed to own what was sent. The kernel made this descriptor for this message
        // and told it to us alone, once.
        unsafe { OwnedFd::from_raw_fd(descriptor) }
    };
    let owned: Vec<OwnedFd> = descriptors.into_iter().map(own).collect();
    let listeners = owned.into_iter().map(as_listener).collect::<io::Result<_>>()?;
    Ok((text, listeners))
}

fn as_listener(descriptor: OwnedFd) -> io::Result<TcpListener> {
    let refused = |why| io::Error::new(io::ErrorKind::InvalidInput, why);
    if !getsockopt(&descriptor, sockopt::AcceptConn).unwrap_or(false) {
        return Err(refused("a descriptor that was passed is not a listening socket"));
    }
    let listener = TcpListener::from(descriptor);
    listener.local_addr().map_err(|_| refused("a socket that was passed is not a TCP socket"))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_listener_that_was_sent_accepts_what_connected_before() {
        let (here, there) = message_pair().expect("two descriptors");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("backlog");
        send_message(&here, b"media", std::slice::from_ref(&listener)).expect("sent");
        drop(listener);
        let (text, sockets) = receive_message(&there, 100).expect("received");
        assert_eq!((text.as_slice(), sockets.len()), (&b"media"[..], 1));
        let (_, peer) = sockets[0].accept().expect("the connection is still there");
        assert_eq!(peer, client.local_addr().expect("connected"));
        drop(here);
        assert_eq!(receive_message(&there, 100).expect("the end").0, b"");
    }

    #[test]
    fn patience_ends_and_strangers_are_refused() {
        let (here, there) = message_pair().expect("two descriptors");
        set_patience(&there, 1).expect("a socket");
        assert!(receive_message(&there, 100).is_err(), "nothing came");
        let raw = [here.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&raw)];
        let parts = [IoSlice::new(b"x")];
        sendmsg::<()>(here.as_raw_fd(), &parts, &rights, MsgFlags::empty(), None).expect("sent");
        let error = receive_message(&there, 100).expect_err("not a listener").to_string();
        assert!(error.contains("listening"), "{error}");
    }
}
