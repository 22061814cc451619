//! What a connection costs that only stands there: memory of the server beside 50,000 of them, each
//! of which has had one answer. The kernel's own memory for sockets is told but not judged: it is
//! the same for every server.

use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::path::Path;

use nightfill_harness::Trouble;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use serde_json::{Value, json};

use crate::cases::{Case, Cover};
use crate::keep::Stamp;
use crate::line;
use crate::machine::{machine_bytes, resident_bytes};
use crate::peers::{Server, Stage};

/// One of the two tables.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// As it is printed and kept.
    pub name: &'static str,
    /// Plain or TLS.
    pub cover: Cover,
    /// Most bytes of the server for each connection.
    pub goal_bytes: u64,
}

/// Both.
pub const IDLE: &[Idle] = &[
    Idle { name: "idle connections, plain", cover: Cover::Plain, goal_bytes: 4 << 10 },
    Idle { name: "idle connections, TLS", cover: Cover::Aes256, goal_bytes: 16 << 10 },
];

/// As many, or as many as the kernel lets one process have open.
const CONNECTIONS: usize = 50_000;
/// Files of a server, and of the load, that are not connections.
const OTHER_FILES: usize = 1000;
/// Room beyond those that stand there.
const SPARE: usize = 256;
/// Room of the server that is measured to know what it weighs without them.
const FEW: usize = 256;
/// Who connects at a time, so that one's round trip is another's work.
const HANDS: usize = 4;

/// Bytes at one moment.
struct Weight {
    server: u64,
    kernel: u64,
}

/// Measures `oca` and nginx, one after the other, and prints a line each.
///
/// # Errors
/// When the machine does not allow so many connections, or a server closes one.
pub fn run(
    idle: &Idle,
    stage: &Stage,
    files: &Path,
    small: &Case,
    open_files: u64,
) -> Result<Value, Trouble> {
    let open_files = usize::try_from(open_files).unwrap_or(usize::MAX);
    let connections = CONNECTIONS.min(open_files.saturating_sub(OTHER_FILES));
    let stamp = Stamp::now();
    let mut servers = Vec::new();
    for name in ["oca", "nginx"] {
        let start = |room: usize| match name {
            "oca" => stage.oca(files, idle.cover, room, 0),
            // It closes idle connections to keep a sixteenth of its room free.
            _ => stage.nginx_for(files, idle.cover, room + room / 8),
        };
        let few = {
            let server = start(FEW)?;
            let _one = stand(&server, 1, small)?;
            weigh(&server)?
        };
        let server = start(connections + SPARE)?;
        let empty = weigh(&server)?;
        let standing = stand(&server, connections, small)?;
        let full = weigh(&server)?;
        let gone = standing.iter().filter(|socket| !stands(socket)).count();
        if gone > 0 {
            return Err(Trouble(format!("{name} closed {gone} of {connections} idle connections")));
        }
        let each = full.server.saturating_sub(few.server) as f64 / connections as f64;
        let kernel = full.kernel.saturating_sub(empty.kernel) as f64 / connections as f64;
        let goal = (name == "oca").then_some(idle.goal_bytes);
        let goal_text = goal.map_or(String::new(), |goal| format!("; goal <= {goal}"));
        println!(
            "{:<40} {name:<14} {each:.0} bytes of the server for each of {connections} idle \
             connections{goal_text}; the kernel's for both ends {kernel:.0}",
            if name == "oca" { idle.name } else { "" },
        );
        servers.push(json!({
            "server": name, "bytes_each": each.round(), "goal_bytes": goal,
            "reached": goal.map(|goal| each <= goal as f64),
            "resident_bytes_with_few": few.server, "resident_bytes": full.server,
            "kernel_bytes_each_both_ends": kernel.round(),
        }));
    }
    let mut row = json!({
        "case": idle.name, "connections": connections, "pairs": 1, "servers": servers,
        "answer_before_idle_bytes": small.object_bytes,
    });
    stamp.onto(&mut row);
    Ok(row)
}

/// Connections, each of which has had one answer.
fn stand(server: &Server, count: usize, small: &Case) -> Result<Vec<TcpStream>, Trouble> {
    let hand = |hand: usize| -> Result<Vec<TcpStream>, Trouble> {
        let mine = (hand..count).step_by(HANDS);
        mine.map(|index| {
            let name = index % small.objects;
            let request = format!("GET /{name}.mp4 HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let stood = line::idle(server, index, request.as_bytes());
            stood.map_err(|trouble| Trouble(format!("idle connection {index}: {trouble}")))
        })
        .collect()
    };
    let stood: Result<Vec<_>, Trouble> = std::thread::scope(|scope| {
        let hands: Vec<_> = (0..HANDS).map(|one| scope.spawn(move || hand(one))).collect();
        let gone = || Trouble("a thread of the load panicked".to_owned());
        hands.into_iter().map(|hand| hand.join().map_err(|_| gone())?).collect()
    });
    Ok(stood?.into_iter().flatten().collect())
}

/// Whether the other side has said nothing, not even goodbye.
fn stands(socket: &TcpStream) -> bool {
    let look = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    recv(socket.as_raw_fd(), &mut [0], look) == Err(Errno::EAGAIN)
}

fn weigh(server: &Server) -> Result<Weight, Trouble> {
    let unknown = || Trouble("the kernel does not say what memory is in use".to_owned());
    let server = resident_bytes(server.pid()).ok_or_else(unknown)?;
    Ok(Weight { server, kernel: machine_bytes("SUnreclaim").ok_or_else(unknown)? })
}
