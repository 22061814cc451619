//! Closed-loop load on loopback: keep-alive connections that ask for random objects until time is
//! up. Blocking threads on purpose: the load's own cost must not depend on a runtime of ours.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nightfill_harness::Trouble;
use rustls::{ClientConnection, StreamOwned};

use crate::peers::Server;

/// One run's shape.
pub struct Load<'a> {
    /// What to ask for.
    pub names: &'a [String],
    /// How many at once.
    pub connections: usize,
    /// For how long.
    pub seconds: u64,
}

/// What one run did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// Whole answers.
    pub requests: u64,
    /// Body bytes.
    pub bytes: u64,
}

trait Line: Read + Write + Send {}
impl<T: Read + Write + Send> Line for T {}

impl Load<'_> {
    /// Runs against `server`.
    ///
    /// # Errors
    /// When a connection cannot be made or an answer is not whole.
    pub fn run(&self, server: &Server) -> Result<Done, Trouble> {
        let until = Instant::now() + Duration::from_secs(self.seconds);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.connections)
                .map(|index| scope.spawn(move || self.ask(server, index as u64, until)))
                .collect();
            let mut sum = Done::default();
            for worker in workers {
                let done =
                    worker.join().map_err(|_| Trouble("a load thread panicked".to_owned()))??;
                sum.requests += done.requests;
                sum.bytes += done.bytes;
            }
            Ok(sum)
        })
    }

    fn ask(&self, server: &Server, seed: u64, until: Instant) -> Result<Done, Trouble> {
        let socket = TcpStream::connect(&server.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut line: Box<dyn Line> = match &server.trust {
            None => Box::new(socket),
            Some(config) => {
                let name = "localhost".try_into().map_err(|_| Trouble("bad name".to_owned()))?;
                let session = ClientConnection::new(Arc::clone(config), name);
                let session = session.map_err(|error| Trouble(error.to_string()))?;
                Box::new(StreamOwned::new(session, socket))
            }
        };
        let mut random = fastrand::Rng::with_seed(seed);
        let mut buffer = vec![0; 256 << 10];
        let mut done = Done::default();
        while Instant::now() < until {
            let name = &self.names[random.usize(..self.names.len())];
            let request = format!("GET /{name} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            line.write_all(request.as_bytes())?;
            done.bytes += answer(&mut *line, &mut buffer)?;
            done.requests += 1;
        }
        Ok(done)
    }
}

/// Reads one whole answer and returns its body's length.
fn answer(line: &mut dyn Line, buffer: &mut [u8]) -> Result<u64, Trouble> {
    let mut filled = 0;
    let head_end = loop {
        let count = line.read(&mut buffer[filled..])?;
        if count == 0 {
            return Err(Trouble("the server closed in the middle of a head".to_owned()));
        }
        filled += count;
        if let Some(at) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") {
        let first = head.lines().next().unwrap_or_default().to_owned();
        return Err(Trouble(format!("the server answered {first}")));
    }
    let length = head.lines().find_map(|field| field.strip_prefix("content-length:"));
    let length: u64 = length
        .and_then(|value| value.trim().parse().ok())
        .ok_or_else(|| Trouble("an answer without Content-Length".to_owned()))?;
    let mut left = length.saturating_sub((filled - head_end) as u64);
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = line.read(&mut buffer[..want])?;
        if count == 0 {
            return Err(Trouble(format!("the server closed with {left} bytes to go")));
        }
        left -= count as u64;
    }
    Ok(length)
}
