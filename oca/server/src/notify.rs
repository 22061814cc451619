//! Says to systemd how we are (sd_notify): ready, another one is ready, ending, alive.
//! Never waits for an answer; without systemd it says nothing.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// What we are told the service manager's socket is.
#[derive(Debug, Default)]
pub struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
}

impl Notifier {
    /// From `NOTIFY_SOCKET`.
    #[must_use]
    pub fn from_environment() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(&name),
        };
        Self { to: UnixDatagram::unbound().ok().zip(address.ok()) }
    }

    /// This process serves from now on, and is the one to watch.
    pub fn ready(&self) {
        let pid = std::process::id();
        self.say(&format!("READY=1\nMAINPID={pid}\nSTATUS=serving"));
    }

    /// Another program is being started to take over.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| {
            time.tv_sec().saturating_mul(1_000_000).saturating_add(time.tv_nsec() / 1_000)
        });
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=starting another program"));
    }

    /// It could not; we go on.
    pub fn not_reloaded(&self, why: &str) {
        let why: String = why.chars().filter(|letter| !letter.is_control()).take(200).collect();
        self.say(&format!("READY=1\nSTATUS=serving; the other program did not start: {why}"));
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=draining");
    }

    /// All workers turn.
    pub fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    fn say(&self, text: &str) {
        if let Some((socket, to)) = &self.to {
            // A manager that does not listen must not stop us.
            let _ = socket.send_to_addr(text.as_bytes(), to);
        }
    }
}

/// How often `alive` is to be said: half of what systemd allows. Absent: nobody watches us.
#[must_use]
pub fn watchdog_every() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let micros = number("WATCHDOG_USEC").filter(|micros| *micros > 0)?;
    // After an upgrade it still names the program before us; then we are the one to watch all the
    // same, so it is not looked at.
    Some(Duration::from_micros(micros / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_arrives_and_a_reason_stays_on_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let to = UnixDatagram::unbound().ok().zip(SocketAddr::from_pathname(&path).ok());
        let notifier = Notifier { to };
        let mut heard = [0; 500];
        let mut next = || {
            let bytes = manager.recv(&mut heard).unwrap();
            String::from_utf8_lossy(&heard[..bytes]).into_owned()
        };
        notifier.ready();
        assert!(next().starts_with(&format!("READY=1\nMAINPID={}\n", std::process::id())));
        notifier.not_reloaded("no\nREADY=0");
        assert_eq!(next().lines().count(), 2, "a reason cannot add a line");
        notifier.reloading();
        assert!(next().contains("MONOTONIC_USEC="));
    }
}
