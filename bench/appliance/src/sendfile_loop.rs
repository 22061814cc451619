//! A peer with nothing in it but the kernel's work: epoll, `read`, `sendfile`. It takes any request
//! for `/NAME`, answers 200 with a fixed head, and knows no ranges and no limits.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::Path;

use nightfill_harness::Trouble;
use nix::libc::off_t;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::sendfile::sendfile;

/// What it says of a name that it has not.
const ABSENT: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
/// Longest request head that it looks at.
const HEAD_BYTES: usize = 4096;
/// The most it gives one socket before it turns to the next, as nginx's `sendfile_max_chunk`.
const TURN_BYTES: usize = 2 << 20;

/// Every file of the folder, by its place in a list.
struct Shelf {
    names: HashMap<String, usize>,
    files: Vec<(File, u64)>,
}

struct Guest {
    socket: TcpStream,
    file: Option<usize>,
    offset: off_t,
}

/// Serves the files of `folder` until it is killed. Prints where it listens as one JSON line.
///
/// # Errors
/// When the folder cannot be read or the socket cannot be made.
pub fn serve(folder: &Path) -> Result<(), Trouble> {
    let shelf = Shelf::open(folder)?;
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    listener.set_nonblocking(true)?;
    println!("{}", serde_json::json!({ "listening": listener.local_addr()?.to_string() }));
    let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(std::io::Error::from)?;
    let door = u64::MAX;
    poll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, door))
        .map_err(std::io::Error::from)?;
    let mut guests: HashMap<u64, Guest> = HashMap::new();
    let mut events = [EpollEvent::empty(); 512];
    loop {
        let count = match poll.wait(&mut events, EpollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            other => other.map_err(std::io::Error::from)?,
        };
        for event in &events[..count] {
            if event.data() == door {
                while let Ok((socket, _)) = listener.accept() {
                    socket.set_nonblocking(true)?;
                    socket.set_nodelay(true)?;
                    let key = socket.as_raw_fd() as u64;
                    let want = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
                    poll.add(&socket, EpollEvent::new(want, key)).map_err(std::io::Error::from)?;
                    guests.insert(key, Guest { socket, file: None, offset: 0 });
                }
            } else if let Some(guest) = guests.get_mut(&event.data())
                && !guest.step(&shelf)
            {
                guests.remove(&event.data());
            }
        }
    }
}

impl Shelf {
    fn open(folder: &Path) -> Result<Self, Trouble> {
        let (mut names, mut files) = (HashMap::new(), Vec::new());
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let file = File::open(entry.path())?;
            let bytes = file.metadata()?.len();
            names.insert(entry.file_name().to_string_lossy().into_owned(), files.len());
            files.push((file, bytes));
        }
        Ok(Self { names, files })
    }

    fn asked(&self, head: &[u8]) -> Option<usize> {
        let text = std::str::from_utf8(head).ok()?;
        let name = text.strip_prefix("GET /")?.split(' ').next()?;
        self.names.get(name).copied()
    }
}

impl Guest {
    /// Goes on until the socket is full or there is nothing to do; false when it is over. The
    /// socket is edge-triggered: whoever stops early must have seen it full or empty.
    fn step(&mut self, shelf: &Shelf) -> bool {
        loop {
            if let Some(index) = self.file {
                let (file, bytes) = &shelf.files[index];
                let left = (*bytes as usize).saturating_sub(self.offset as usize);
                if left == 0 {
                    self.file = None;
                    continue;
                }
                let want = left.min(TURN_BYTES);
                match sendfile(&self.socket, file, Some(&mut self.offset), want) {
                    Ok(0) => return false,
                    Ok(_) => {}
                    Err(nix::errno::Errno::EAGAIN) => return true,
                    Err(_) => return false,
                }
            } else {
                let mut head = [0; HEAD_BYTES];
                match self.socket.read(&mut head) {
                    Ok(0) => return false,
                    Ok(count) => {
                        let Some(index) = shelf.asked(&head[..count]) else {
                            if self.socket.write_all(ABSENT).is_err() {
                                return false;
                            }
                            continue;
                        };
                        let bytes = shelf.files[index].1;
                        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
                        if self.socket.write_all(answer.as_bytes()).is_err() {
                            return false;
                        }
                        (self.file, self.offset) = (Some(index), 0);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                    Err(_) => return false,
                }
            }
        }
    }
}
