//! A small ring with one listener, driven step by step, with a bound on every wait.
//! It never sleeps: it waits for a completion, or fails.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use oca_sys::{
    Accepted, Access, Completion, Event, FileId, Kernel, KernelConfig, ListenerId, Op, RingKernel,
    RingWaker, SocketId, Token,
};

/// Longest wait for a completion that must come, milliseconds. Only a failing test lasts that long.
const PATIENCE_MS: u64 = 10_000;
pub const LISTENER: ListenerId = ListenerId(0);
pub const ACCEPT: Token = Token(1);

pub struct Rig {
    pub kernel: RingKernel,
    pub waker: RingWaker,
    pub addr: SocketAddr,
    /// Completions that came while another one was waited for.
    set_aside: Vec<Completion>,
}

pub fn small() -> KernelConfig {
    KernelConfig {
        operations_max: 64,
        sockets_max: 16,
        receive_buffers: 8,
        receive_bytes: 4096,
        chunk_buffers: 8,
        chunk_bytes: 256 * 1024,
        send_buffers: 8,
        send_bytes: 16 * 1024,
    }
}

impl Rig {
    pub fn new(config: KernelConfig) -> Self {
        Self::at(config, "127.0.0.1")
    }

    /// With its listener at `address`, on a port of its own.
    pub fn at(config: KernelConfig, address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let (kernel, waker) = RingKernel::new(config, vec![listener]).expect("io_uring here");
        Self { kernel, waker, addr, set_aside: Vec::new() }
    }

    /// Submits what must be taken.
    pub fn submit(&mut self, token: u64, op: Op) {
        self.kernel.submit(Token(token), op).expect("the queue has room");
    }

    /// The completion under `token`, however long others take.
    pub fn finish(&mut self, token: u64) -> Event {
        let found = |completion: &Completion| completion.token == Token(token);
        let deadline = self.kernel.now().plus_millis(PATIENCE_MS);
        loop {
            if let Some(at) = self.set_aside.iter().position(found) {
                return self.set_aside.remove(at).event;
            }
            while let Some(completion) = self.kernel.pop() {
                self.set_aside.push(completion);
            }
            if !self.set_aside.iter().any(found) {
                assert!(self.kernel.now() < deadline, "nothing completed under {token}");
                self.kernel.wait(Some(deadline));
            }
        }
    }

    /// One turn that waits for nothing; what came is set aside.
    pub fn turn(&mut self) {
        self.kernel.wait(Some(self.kernel.now()));
        while let Some(completion) = self.kernel.pop() {
            self.set_aside.push(completion);
        }
    }

    pub fn count(&self, token: u64) -> usize {
        self.set_aside.iter().filter(|completion| completion.token == Token(token)).count()
    }

    /// A client and the socket it arrived on. Accepting must have been started.
    pub fn connect(&mut self) -> (TcpStream, SocketId) {
        let client = TcpStream::connect(self.addr).expect("the backlog has room");
        client.set_read_timeout(Some(Duration::from_millis(PATIENCE_MS))).expect("not zero");
        (client, self.accepted().expect("accepted").socket)
    }

    pub fn start_accepting(&mut self) {
        self.submit(ACCEPT.0, Op::Accept { listener: LISTENER });
    }

    pub fn accepted(&mut self) -> std::io::Result<Accepted> {
        match self.finish(ACCEPT.0) {
            Event::Accepted(answer) => answer,
            other => panic!("not an accept: {other:?}"),
        }
    }

    pub fn open(&mut self, path: &Path) -> std::io::Result<FileId> {
        self.open_how(path, true)
    }

    pub fn open_how(&mut self, path: &Path, follows: bool) -> std::io::Result<FileId> {
        self.submit(500, Op::Open { path: path.to_owned(), follows });
        match self.finish(500) {
            Event::Opened(answer) => answer,
            other => panic!("not an open: {other:?}"),
        }
    }

    /// Reads one chunk at `at`.
    pub fn read(&mut self, file: FileId, at: u64) -> std::io::Result<Vec<u8>> {
        let into = self.kernel.chunk_buffer().expect("a free chunk");
        self.submit(501, Op::Read { file, at, into, access: Access::Direct });
        match self.finish(501) {
            Event::Read(answer, buffer) => answer.map(|bytes| buffer[..bytes].to_vec()),
            other => panic!("not a read: {other:?}"),
        }
    }

    pub fn close_file(&mut self, file: FileId) {
        self.submit(502, Op::CloseFile { file });
        assert!(matches!(self.finish(502), Event::FileClosed));
    }

    pub fn close_socket(&mut self, socket: SocketId) {
        self.submit(503, Op::CloseSocket { socket });
        assert!(matches!(self.finish(503), Event::SocketClosed));
    }

    /// Nothing the kernel lent is missing.
    pub fn assert_all_buffers_home(&mut self) {
        self.set_aside.clear();
        let levels = self.kernel.buffers();
        assert_eq!(levels.receive.out(), 0, "receive buffers");
        assert_eq!(levels.chunk.out(), 0, "chunk buffers");
        assert_eq!(levels.send.out(), 0, "send buffers");
    }
}

/// A file of `bytes` bytes that differ from place to place.
pub fn pattern_file(dir: &Path, bytes: usize) -> (std::path::PathBuf, Vec<u8>) {
    let content: Vec<u8> = (0..bytes).map(|at| (at.wrapping_mul(31) >> 3) as u8).collect();
    let path = dir.join(format!("pattern-{bytes}"));
    let mut file = std::fs::File::create(&path).expect("a writable directory");
    file.write_all(&content).expect("written");
    file.sync_all().expect("synced");
    (path, content)
}
