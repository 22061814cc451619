//! Accepts connections and speaks HTTP/1.1 and HTTP/2 on them, over TLS or not.
//! Knows no route; what a request asks for is the router's.
//!
//! A connection: accept → seat → first bytes → turn → handshake within its bound → requests →
//! close.
//! Handshakes take turns: of a whole fleet that comes at once each is dealt with in time or waits,
//! where all at the same time would all be too late, again and again. At SIGTERM no more are
//! accepted, those under way are told to finish and given `DRAIN_MS_MAX`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use control_gateway::Proof;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls_pki_types::UnixTime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt;

use crate::limits::{
    ACCEPT_PAUSE_MS, APPLIANCE_CONNECTIONS_MAX, CONNECTIONS_MAX, DRAIN_MS_MAX, FILES_BESIDE_MAX,
    HANDSHAKE_MS_MAX, HANDSHAKE_TURN_MS_MAX, HANDSHAKES_MAX, HEAD_BYTES_MAX, HEAD_MS_MAX,
    STREAMS_MAX,
};
use crate::seats::{Seat, Seats, raise_open_files};
use crate::tls::Door;
use crate::trouble::Trouble;

/// Binds the address; a busy port is its own trouble, because its cure is.
pub(crate) async fn bind(addr: SocketAddr) -> Result<TcpListener, Trouble> {
    TcpListener::bind(addr).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Trouble::Busy { addr },
        _ => Trouble::Listen { addr, source },
    })
}

/// How a port speaks.
#[derive(Clone)]
pub(crate) enum Speech {
    /// In clear.
    Plain,
    /// TLS, to members and machines.
    Tls(TlsAcceptor),
    /// TLS, to appliances with their certificates.
    Appliances(Arc<Door>),
}

impl Speech {
    fn connections_max(&self) -> usize {
        match self {
            Self::Plain | Self::Tls(_) => CONNECTIONS_MAX,
            Self::Appliances(_) => APPLIANCE_CONNECTIONS_MAX,
        }
    }

    /// Its part of the files that may be open: a port that is full makes room by itself, a process
    /// without a descriptor can do nothing any more.
    fn seats(&self) -> usize {
        let all = CONNECTIONS_MAX + APPLIANCE_CONNECTIONS_MAX;
        let open = raise_open_files((all + FILES_BESIDE_MAX) as u64);
        let open = usize::try_from(open).unwrap_or(usize::MAX).saturating_sub(FILES_BESIDE_MAX);
        let most = self.connections_max();
        most.min(open.min(all).saturating_mul(most) / all).max(1)
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Host {
    router: Router,
    speech: Speech,
    builder: Builder<TokioExecutor>,
    /// Handshakes at once.
    turns: Arc<Semaphore>,
}

/// Serves until `stop` is ready, then drains.
pub(crate) async fn run(
    listener: TcpListener,
    speech: Speech,
    router: Router,
    stop: impl Future<Output = ()>,
) {
    let seats = Seats::new(speech.seats());
    let turns = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let host = Host { router, speech, builder: builder(), turns };
    let drain = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &seats) => accepted,
        };
        let (stream, peer, seat) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or a connection that died in the backlog: neither may end us.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                continue;
            }
        };
        let (host, watcher) = (host.clone(), drain.watcher());
        tokio::spawn(async move {
            tokio::select! {
                () = connection(host, watcher, stream, peer, &seat) => {}
                // Nothing is under way on it; its caller connects anew when it has to speak.
                () = seat.is_to_leave() => {}
            }
        });
    }
    drop(listener);
    let under_way = drain.count();
    tracing::info!(under_way, "stopped accepting; requests under way may finish");
    let bound = Duration::from_millis(DRAIN_MS_MAX);
    if tokio::time::timeout(bound, drain.shutdown()).await.is_err() {
        tracing::warn!(after_ms = DRAIN_MS_MAX, "some connections did not finish in time");
    }
}

async fn accept(
    listener: &TcpListener,
    seats: &Arc<Seats>,
) -> io::Result<(TcpStream, SocketAddr, Arc<Seat>)> {
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, seats.take().await))
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(HEAD_MS_MAX))
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_millis(HEAD_MS_MAX));
    builder
}

async fn connection(
    host: Host,
    watcher: Watcher,
    stream: TcpStream,
    peer: SocketAddr,
    seat: &Arc<Seat>,
) {
    // Answers are small: waiting to fill a packet only adds latency.
    let _ = stream.set_nodelay(true);
    let seat = Arc::clone(seat);
    let (acceptor, made) = match host.speech.clone() {
        Speech::Plain => return speak(host, watcher, stream, (peer, None), seat).await,
        Speech::Tls(acceptor) => (acceptor, None),
        Speech::Appliances(door) => {
            let made = door.now();
            (made.acceptor.clone(), Some(made))
        }
    };
    match handshake(&host.turns, &acceptor, stream).await {
        Ok(stream) => {
            let shown = stream.get_ref().1.peer_certificates();
            let proof = made.map(|made| made.judge.judge(shown, UnixTime::now()));
            speak(host, watcher, stream, (peer, proof), seat).await;
        }
        Err(error) => tracing::debug!(%peer, %error, "no TLS with this peer"),
    }
}

/// Who says nothing takes nobody's turn, and who has a turn has it for `HANDSHAKE_MS_MAX` at most.
async fn handshake(
    turns: &Semaphore,
    acceptor: &TlsAcceptor,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let within = |ms: u64| Duration::from_millis(ms);
    timeout(within(HANDSHAKE_MS_MAX), stream.readable()).await??;
    let turn = timeout(within(HANDSHAKE_TURN_MS_MAX), turns.acquire()).await?;
    let _turn = turn.map_err(io::Error::other)?;
    timeout(within(HANDSHAKE_MS_MAX), acceptor.accept(stream)).await?
}

async fn speak(
    host: Host,
    watcher: Watcher,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    (peer, proof): (SocketAddr, Option<Proof>),
    seat: Arc<Seat>,
) {
    let router = host.router;
    seat.rest();
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        if let Some(proof) = proof {
            request.extensions_mut().insert(proof);
        }
        let (busy, answer) = (seat.begin(), router.clone().oneshot(request.map(Body::new)));
        async move {
            let answer = answer.await;
            drop(busy);
            answer
        }
    });
    let serving = host.builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(serving.into_owned()).await {
        // A peer that went away is not an error of ours.
        tracing::debug!(%peer, %error, "a connection ended");
    }
}
