//! HTTP/1.1 over kept connections, as little of it as a load needs: one request, one answer with a
//! length. Not a client for anybody else.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Longest wait for an answer.
const WAIT: Duration = Duration::from_secs(20);
/// Control closes what was idle for half a minute.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// Fewer than a listening socket's queue holds.
const CONNECTIONS_MAX: usize = 800;
/// Largest answer.
const BYTES_MAX: usize = 4 << 20;

/// Connections to one control; the last one given back is taken first.
pub struct Wire {
    addr: SocketAddr,
    idle: Mutex<Vec<(Instant, TcpStream)>>,
    /// One for each connection that may be open: beyond them a press waits here, and is late.
    seats: Semaphore,
}

/// A status and a body.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Who asks, and from where.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub bearer: &'a str,
    /// The member's address, as a trusted proxy tells it.
    pub from: &'a str,
}

impl Wire {
    pub fn to(addr: SocketAddr) -> Self {
        Self { addr, idle: Mutex::default(), seats: Semaphore::new(CONNECTIONS_MAX) }
    }

    pub async fn call(
        &self,
        method: &str,
        path: &str,
        caller: Caller<'_>,
        body: &[u8],
    ) -> Result<Answer, String> {
        let Caller { bearer, from } = caller;
        let mut bytes = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {bearer}\r\n\
             x-forwarded-for: {from}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            self.addr,
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(body);
        match tokio::time::timeout(WAIT, self.exchange(&bytes)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer in {WAIT:?}")),
        }
    }

    async fn exchange(&self, bytes: &[u8]) -> std::io::Result<Answer> {
        let _seat = self.seats.acquire().await.map_err(std::io::Error::other)?;
        let mut stream = match self.idle() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.addr).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        stream.write_all(bytes).await?;
        let answer = read(&mut stream).await?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push((Instant::now(), stream));
        Ok(answer)
    }

    /// The last one given back, unless control may have closed it by now.
    fn idle(&self) -> Option<TcpStream> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, stream) = idle.pop()?;
        if since.elapsed() > IDLE_MAX {
            idle.clear();
            return None;
        }
        Some(stream)
    }
}

/// Reads one answer with a length.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Answer> {
    let garbled = |what: &str| std::io::Error::other(what.to_owned());
    let mut bytes = Vec::with_capacity(4_096);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            // Not a word of an answer is another matter than half of one.
            let none = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "no answer at all");
            return Err(if bytes.is_empty() { none } else { garbled("control hung up") });
        }
        let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(Ok(0), str::parse).map_err(|_| garbled("no length"))?;
        if length > BYTES_MAX {
            return Err(garbled("an answer too long"));
        }
        let mut body = bytes.split_off(head + 4);
        while body.len() < length {
            if stream.read_buf(&mut body).await? == 0 {
                return Err(garbled("control hung up"));
            }
        }
        return Ok(Answer { status: status.ok_or_else(|| garbled("no status"))?, body });
    }
}
