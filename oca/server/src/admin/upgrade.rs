//! The program's own file, started anew, takes over: by SIGUSR2, `POST /upgrade` or `oca upgrade`.
//! Never stops serving for it: as long as the new program is not ready, nothing has changed.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};

use super::Admin;
use crate::limits::TAKE_OVER_MS_MAX;

/// Time beyond the new program's own for an answer to `oca upgrade`.
const ANSWER_MS: u64 = 5_000;
/// Longest answer that is read, bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// Somebody who wants an upgrade, and hears how it went: the new process, or why there is none.
pub(super) type Wish = oneshot::Sender<Result<u32, String>>;

/// Upgrades when asked to; returns once another program has taken over.
pub(super) async fn run(admin: &Arc<Admin>, wishes: &mut mpsc::Receiver<Wish>, asked: &mut Signal) {
    loop {
        let wish = tokio::select! {
            wish = wishes.recv() => wish,
            _ = asked.recv() => None,
        };
        tracing::info!("starting another program to take over");
        admin.notifier.reloading();
        // What is warm here is worth knowing there.
        super::heat::write(admin).await;
        let starter = Arc::clone(admin);
        // Not taken back when we are told to end meanwhile: the other program may still come up.
        admin.handing_over.store(true, Ordering::Relaxed);
        // Blocks until it is ready, on a thread of its own.
        let started = tokio::task::spawn_blocking(move || {
            starter.invocation.hand_over(&starter.doors.sockets)
        });
        let result = match started.await {
            Ok(Ok(pid)) => Ok(pid),
            Ok(Err(error)) => Err(with_source(&error)),
            Err(error) => Err(error.to_string()),
        };
        match &result {
            Ok(pid) => tracing::info!(pid, "another program has taken over"),
            Err(why) => {
                tracing::error!(why, "no upgrade: this program goes on");
                admin.handing_over.store(false, Ordering::Relaxed);
                admin.upgrades_failed.fetch_add(1, Ordering::Relaxed);
                admin.notifier.not_reloaded(why);
            }
        }
        let has_successor = result.is_ok();
        if let Some(wish) = wish {
            // Whoever asked may have gone.
            let _ = wish.send(result);
        }
        if has_successor {
            return;
        }
    }
}

fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Asks the program whose admin port `find` finds to start itself anew; answers its JSON. A program
/// that is just giving way to another is asked again, under whatever address `find` says then.
///
/// # Errors
/// Nobody answers there, or the upgrade failed: the message says why.
pub fn ask_to_upgrade(find: impl Fn() -> io::Result<SocketAddr>) -> io::Result<String> {
    let until = Instant::now() + Duration::from_millis(ANSWER_MS);
    loop {
        let answer = find().and_then(ask_once);
        match answer {
            Ok(Answer::Done(body)) => return Ok(body),
            Ok(Answer::Failed(body)) => return Err(io::Error::other(body)),
            Ok(Answer::GivesWay) | Err(_) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(Answer::GivesWay) => return Err(io::Error::other("it is giving way to another")),
            Err(error) => return Err(error),
        }
    }
}

enum Answer {
    Done(String),
    Failed(String),
    /// It hands over, or ends.
    GivesWay,
}

fn ask_once(admin: SocketAddr) -> io::Result<Answer> {
    let reachable = match admin.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    };
    let mut stream = TcpStream::connect(SocketAddr::new(reachable, admin.port()))?;
    stream.set_read_timeout(Some(Duration::from_millis(TAKE_OVER_MS_MAX + ANSWER_MS)))?;
    let request = "POST /upgrade HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\
                   Connection: close\r\n\r\n";
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    Ok(match status {
        "200" => Answer::Done(body.trim().to_owned()),
        "" | "409" | "503" => Answer::GivesWay,
        _ => Answer::Failed(body.trim().to_owned()),
    })
}
