//! Whether the kernel lends memory to the network and says what became of it, found by trying it
//! once on the loopback. It decides nothing: the loopback copies, and saying so is what is tried.

use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::{IoUring, cqueue, opcode, types};

use crate::ring::{REPORT_USAGE, set_up};

/// Longest wait for one answer of the trial.
const TRIAL: Duration = Duration::from_secs(2);
/// What is sent.
static BYTES: [u8; 4096] = [7; 4096];

/// Whether memory can be lent, and the kernel tells when it is done with it.
///
/// # Errors
/// Why not, in words.
pub fn lending_known() -> Result<(), String> {
    let words = |error: io::Error| format!("zero-copy sends cannot be tried: {error}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(words)?;
    let mut reader = TcpStream::connect(listener.local_addr().map_err(words)?).map_err(words)?;
    reader.set_read_timeout(Some(TRIAL)).map_err(words)?;
    let (socket, _) = listener.accept().map_err(words)?;
    let (mut ring, _) = set_up(8).map_err(words)?;
    let bytes = u32::try_from(BYTES.len()).unwrap_or(u32::MAX);
    let entry = opcode::SendZc::new(types::Fd(socket.as_raw_fd()), BYTES.as_ptr(), bytes)
        .zc_flags(REPORT_USAGE)
        .build();
    // SAFETY: needed because the entry holds an address: that of a static, which nobody writes to
    // and which outlives the ring.
    let pushed = unsafe { ring.submission().push(&entry) };
    pushed.map_err(|_| "the ring of the trial has no room".to_owned())?;
    let (sent, flags) = next(&mut ring).map_err(words)?;
    if sent < 0 {
        let error = io::Error::from_raw_os_error(sent.saturating_neg());
        return Err(format!("no zero-copy sends: {error}; Linux 6.2 or later has them"));
    }
    if !cqueue::more(flags) {
        return Err("the kernel does not say when it is done with lent memory".to_owned());
    }
    reader.read_exact(&mut [0; BYTES.len()]).map_err(words)?;
    let (_, flags) = next(&mut ring).map_err(words)?;
    if cqueue::notif(flags) {
        return Ok(());
    }
    Err("the kernel does not say when it is done with lent memory".to_owned())
}

/// Result and flags of the next completion.
fn next(ring: &mut IoUring) -> io::Result<(i32, u32)> {
    loop {
        if let Some(entry) = ring.completion().next() {
            return Ok((entry.result(), entry.flags()));
        }
        let time = types::Timespec::from(TRIAL);
        let answer =
            ring.submitter().submit_with_args(1, &types::SubmitArgs::new().timespec(&time));
        match answer {
            Err(error) if error.raw_os_error() != Some(libc::EINTR) => return Err(error),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_answers_in_words() {
        match lending_known() {
            Ok(()) => {}
            Err(why) => assert!(why.len() > 10, "{why}"),
        }
    }
}
