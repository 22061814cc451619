//! The kernel trait over a simulated world, for the real server to run on.
//! It refuses, delays, shortens and fails as the weather has it; it never loses a buffer.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::rc::Rc;

use oca_sys::{
    Buffer, BufferLevels, Completion, Event, FileId, Head, Kernel, Lending, Nanos, Op, Piece,
    SendKeys, SocketId, Tallies, Token,
};

use crate::network::{End, Receiving, Sending, Sent};
use crate::weather::{Weather, happens};
use crate::world::{Happening, POISON, World};

const EBADF: i32 = 9;
const EOPNOTSUPP: i32 = 95;

/// A kernel whose machine, disk and clients are simulated from one seed.
#[derive(Clone)]
pub struct SimKernel {
    world: Rc<RefCell<World>>,
}

impl SimKernel {
    /// A machine without files and clients.
    ///
    /// # Errors
    /// No memory for its buffers.
    pub fn new(weather: Weather, seed: u64) -> io::Result<Self> {
        Ok(Self { world: Rc::new(RefCell::new(World::new(weather, seed)?)) })
    }

    /// The world, to put things in and to look at. Not to be held while the server runs.
    pub fn world(&self) -> std::cell::RefMut<'_, World> {
        self.world.borrow_mut()
    }
}

impl Kernel for SimKernel {
    fn submit(&mut self, token: Token, op: Op) -> Result<(), Op> {
        let world = &mut *self.world.borrow_mut();
        let refuse = world.weather.queue_full;
        world.refusing = world.refusing || happens(&mut world.random, refuse);
        if world.refusing {
            return Err(op);
        }
        begin(world, token, op);
        Ok(())
    }

    fn wait(&mut self, until: Option<Nanos>) {
        self.world.borrow_mut().pass(until.map(|until| until.0));
    }

    fn wait_patiently(&mut self, until: Option<Nanos>, gather_ns: u64) {
        self.world.borrow_mut().pass_patiently(until.map(|until| until.0), gather_ns);
    }

    fn pop(&mut self) -> Option<Completion> {
        self.world.borrow_mut().ready.pop_front()
    }

    fn receive_buffer(&mut self) -> Option<Buffer> {
        self.world.borrow().receive_pool.take()
    }

    fn chunk_buffer(&mut self) -> Option<Buffer> {
        self.world.borrow().chunk_pool.take()
    }

    fn send_buffer(&mut self) -> Option<Buffer> {
        self.world.borrow().send_pool.take()
    }

    /// Every other socket is on a machine that paces; it takes what is sent on as fast as any.
    fn pace(&mut self, socket: SocketId, pace: Option<u64>) -> io::Result<()> {
        if !socket.0.is_multiple_of(2) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if let Some(wire) = self.world.borrow_mut().socket(socket) {
            wire.is_paced = pace.is_some();
        }
        Ok(())
    }

    fn lending_refused(&self) -> Option<String> {
        None
    }

    fn queued(&self, socket: SocketId) -> Option<u64> {
        self.world.borrow().queued(socket.0)
    }

    /// Two network cards.
    fn local_address(&self, socket: SocketId) -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1 + (socket.0 % 2) as u8)))
    }

    fn seal_from_here(&mut self, _: SocketId, _: &SendKeys<'_>) -> io::Result<()> {
        let why = "the simulated kernel seals nothing: its clients read what the server sealed";
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    fn buffers(&self) -> BufferLevels {
        let world = self.world.borrow();
        BufferLevels {
            receive: world.receive_pool.level(),
            chunk: world.chunk_pool.level(),
            send: world.send_pool.level(),
        }
    }

    fn resident(&mut self, file: FileId, piece: Piece) -> usize {
        self.world.borrow_mut().resident(file.0, piece)
    }

    fn tallies(&self) -> Tallies {
        Tallies::default()
    }

    fn now(&self) -> Nanos {
        Nanos(self.world.borrow().now)
    }

    fn wall_ms(&self) -> u64 {
        self.world.borrow().wall_ms()
    }
}

fn begin(world: &mut World, token: Token, op: Op) {
    match op {
        Op::Accept { .. } => {
            assert!(world.accepting.is_none(), "the server accepts twice from one listener");
            world.accepting = Some(token);
            world.offer_accept();
        }
        Op::StopAccepting { .. } => {
            if let Some(accept) = world.accepting.take() {
                world.soon(Happening::StopsAccepting(accept));
            }
        }
        Op::Receive { socket, mut into } => {
            into.fill(POISON);
            let Some(wire) = world.socket(socket) else {
                return world.tell(token, Event::Received(Err(given_up()), into));
            };
            assert!(wire.receiving.is_none(), "two receives under way on {socket:?}");
            wire.receiving = Some(Receiving { token, into: Some(into) });
            world.offer_receive(socket.0);
        }
        Op::ReceiveAny { socket } => {
            let Some(wire) = world.socket(socket) else {
                return world.tell(token, Event::ReceiveEnded(Err(given_up())));
            };
            assert!(wire.receiving.is_none(), "two receives under way on {socket:?}");
            wire.receiving = Some(Receiving { token, into: None });
            world.offer_receive(socket.0);
        }
        Op::Send { socket, from, range, .. } => {
            assert!(!range.is_empty(), "the server sent nothing on {socket:?}");
            assert!(range.end <= from.len(), "the server sent past its buffer on {socket:?}");
            let Some(wire) = world.socket(socket) else {
                return world.tell(token, Event::Sent(Err(given_up()), from));
            };
            assert!(wire.sending.is_none(), "two sends under way on {socket:?}: order is lost");
            assert!(wire.shutting.is_none(), "a send behind a shutdown on {socket:?}");
            assert!(wire.server == End::Open, "a send behind FIN on {socket:?}");
            wire.sending = Some(Sending { token, what: Sent::Buffer(from, range) });
            world.offer_send(socket.0);
        }
        Op::SendBehind { socket, head, from, range, .. } => {
            begin_send_behind(world, token, socket, head, (from, range));
        }
        Op::SendFile { socket, head, file, piece, .. } => {
            begin_send_file(world, token, socket, head, (file.0, piece));
        }
        Op::SendLent { socket, from, range, .. } => {
            begin_send_lent(world, token, socket, (from, range));
        }
        Op::SendRecord { socket, .. } => {
            unreachable!("no socket has keys, and the server sent a record on {socket:?}")
        }
        Op::Shutdown { socket } => {
            let Some(wire) = world.socket(socket) else {
                return world.tell(token, Event::ShutDown(Err(given_up())));
            };
            assert!(wire.sending.is_none(), "a shutdown cuts a send off on {socket:?}");
            wire.shutting = Some(token);
            world.soon(Happening::ShutsDown(socket.0));
        }
        Op::CloseSocket { socket } => begin_close(world, token, socket),
        Op::Open { path, follows: _ } => world.begin_open(token, path),
        Op::Read { file, at, mut into, access } => {
            into.fill(POISON);
            world.begin_read(token, file.0, at, into, access);
        }
        Op::ReadMany { file, at, into } => world.begin_read_many(token, file.0, at, into),
        Op::CloseFile { file } => world.soon(Happening::ClosesFile(token, file.0)),
    }
}

fn begin_send_behind(
    world: &mut World,
    token: Token,
    socket: SocketId,
    head: Head,
    (from, range): (Rc<Buffer>, Range<usize>),
) {
    let first = &head.from[head.range.clone()];
    let behind = &from[range];
    assert!(!first.is_empty() && !behind.is_empty(), "the server sent nothing on {socket:?}");
    let bytes = [first, behind].concat();
    let Some(wire) = world.socket(socket) else {
        return world.tell(token, Event::SentBehind(Err(given_up()), head.from, from));
    };
    assert!(wire.sending.is_none(), "two sends under way on {socket:?}: order is lost");
    assert!(wire.shutting.is_none(), "a send behind a shutdown on {socket:?}");
    assert!(wire.server == End::Open, "a send behind FIN on {socket:?}");
    wire.sending = Some(Sending { token, what: Sent::Behind(head.from, from, bytes) });
    world.offer_send(socket.0);
}

fn begin_send_lent(
    world: &mut World,
    token: Token,
    socket: SocketId,
    (from, range): (Rc<Buffer>, Range<usize>),
) {
    assert!(!range.is_empty(), "the server lent nothing on {socket:?}");
    assert!(range.end <= from.len(), "the server lent past its buffer on {socket:?}");
    let refuses = world.weather.refuses_to_lend;
    let refused = happens(&mut world.random, refuses).then_some(EOPNOTSUPP);
    let refused = refused.or(world.socket(socket).is_none().then_some(EBADF));
    if let Some(code) = refused {
        let error = io::Error::from_raw_os_error(code);
        world.tell(token, Event::Sent(Err(error), Rc::clone(&from)));
        return world.tell(token, Event::Returned(Lending::Nothing, from));
    }
    let wire = world.wire(socket.0);
    assert!(wire.sending.is_none(), "two sends under way on {socket:?}: order is lost");
    assert!(wire.shutting.is_none(), "a send behind a shutdown on {socket:?}");
    assert!(wire.server == End::Open, "a send behind FIN on {socket:?}");
    wire.sending = Some(Sending { token, what: Sent::Lent(from, range) });
    world.offer_send(socket.0);
}

fn begin_send_file(
    world: &mut World,
    token: Token,
    socket: SocketId,
    head: Option<Head>,
    (file, piece): (u32, Piece),
) {
    assert!(piece.bytes > 0, "the server sent nothing of a file on {socket:?}");
    let mut bytes = head.as_ref().map_or(Vec::new(), |head| head.from[head.range.clone()].to_vec());
    let head = head.map(|head| head.from);
    let Some(wire) = world.socket(socket) else {
        return world.tell(token, Event::FileSent(Err(given_up()), head));
    };
    assert!(wire.sending.is_none(), "two sends under way on {socket:?}: order is lost");
    assert!(wire.shutting.is_none(), "a send behind a shutdown on {socket:?}");
    assert!(wire.server == End::Open, "a send behind FIN on {socket:?}");
    if wire.is_paced {
        let begun = world.begin_chain(token, socket, (head, bytes), (file, piece));
        return begun.unwrap_or_else(|head| world.tell(token, Event::FileSent(Ok(0), head)));
    }
    bytes.extend(world.cached(file, piece));
    let wire = world.wire(socket.0);
    if bytes.is_empty() {
        return world.tell(token, Event::FileSent(Ok(0), head));
    }
    wire.sending = Some(Sending { token, what: Sent::File(head, bytes) });
    world.offer_send(socket.0);
}

fn begin_close(world: &mut World, token: Token, socket: SocketId) {
    let wire = world.socket(socket).expect("the server closed a socket twice");
    wire.closing = Some(token);
    // What is under way is cancelled: it ends on its own, then the socket.
    world.offer_receive(socket.0);
    world.offer_send(socket.0);
    world.offer_close(socket.0);
}

fn given_up() -> io::Error {
    io::Error::from_raw_os_error(EBADF)
}
