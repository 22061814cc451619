//! Asks one source for one thing over HTTPS: a seal, or a range of an object. Every way it can go
//! wrong becomes a [`Fault`]. Decides nothing about which source, and never looks at the bytes.
//!
//! Connections are made when the caller says so and at no other time: their handshakes cross the
//! wire too, and the caller keeps the caps.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, HOST, RANGE};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::AgentError;
use crate::handshakes::{Broken, Handshakes};
use crate::ladder::Fault;
use crate::limits::{CONNECT_MS_MAX, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MIN, SOURCE_BPS_MIN};
use crate::meter::Wire;

/// An answer, or what broke the connection.
type Reply = Result<Response<hyper::body::Incoming>, hyper::Error>;

/// What all lanes share: how to believe a source and how long to wait for it.
pub(crate) struct Dialer {
    tls: TlsConnector,
    stall: Duration,
    /// Payload of a segment on the connections made so far: the smallest, as it costs most.
    segment_bytes: Cell<Option<u64>>,
    handshakes: Handshakes,
}

impl Dialer {
    /// # Errors
    /// A CA file that holds no usable certificate. One that is not there is no error when it is the
    /// machine's own: sources without TLS need none.
    pub(crate) fn new(ca: &Path, stall_ms: u64) -> Result<Self, AgentError> {
        let refused = |why: String| AgentError::Roots { path: ca.to_owned(), why };
        let mut roots = rustls::RootCertStore::empty();
        if ca.exists() {
            let pem = CertificateDer::pem_file_iter(ca).map_err(|e| refused(e.to_string()))?;
            roots.add_parsable_certificates(pem.flatten());
            if roots.is_empty() {
                return Err(refused("no certificate in it".to_owned()));
            }
        } else {
            tracing::warn!(ca = %ca.display(), "no roots: HTTPS sources will not be believed");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            stall: Duration::from_millis(stall_ms),
            segment_bytes: Cell::new(None),
            handshakes: Handshakes::default(),
        })
    }

    /// What bytes cost on the wires in use.
    pub(crate) fn wire(&self) -> Wire {
        Wire { segment_bytes: self.segment_bytes.get().unwrap_or(SEGMENT_BYTES_DEFAULT) }
    }

    /// What handshakes came to.
    pub(crate) fn handshakes(&self) -> &Handshakes {
        &self.handshakes
    }

    pub(crate) fn stall(&self) -> Duration {
        self.stall
    }

    /// Longest a request for `bytes` may take from its first byte to its last.
    pub(crate) fn patience(&self, bytes: u64) -> Duration {
        self.stall + Duration::from_millis(bytes.saturating_mul(8_000) / SOURCE_BPS_MIN)
    }

    /// The error says what broke; to whom it matters is the caller's to know.
    async fn dial(&self, url: &str) -> Result<SendRequest<Empty<Bytes>>, String> {
        let until = tokio::time::Instant::now() + Duration::from_millis(CONNECT_MS_MAX);
        let uri: Uri = url.parse().map_err(|error| format!("no URL: {error}"))?;
        let host = uri.host().ok_or("no host in the URL")?.trim_matches(['[', ']']).to_owned();
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let connect = TcpStream::connect((host.as_str(), port));
        let connected = tokio::time::timeout_at(until, connect).await;
        let tcp = connected.map_err(|_| "no connection in time")?.map_err(|e| e.to_string())?;
        // Requests are small and waited for; without this a delayed ACK holds each of them up.
        let _ = tcp.set_nodelay(true);
        if let Ok(segment) =
            nix::sys::socket::getsockopt(&tcp, nix::sys::socket::sockopt::TcpMaxSeg)
        {
            let least = self.segment_bytes.get().unwrap_or(u64::MAX).min(u64::from(segment));
            self.segment_bytes.set(Some(least.max(SEGMENT_BYTES_MIN)));
        }
        if !secure {
            return shake(tcp).await;
        }
        let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
        let shaking = self.handshakes.begin();
        match tokio::time::timeout_at(until, self.tls.connect(name, tcp)).await {
            Ok(Ok(stream)) => {
                shaking.done();
                shake(stream).await
            }
            Ok(Err(error)) => {
                shaking.broke(Broken::of(&error));
                Err(format!("TLS failed: {error}"))
            }
            Err(_) => {
                shaking.broke(Broken::TimedOut);
                Err("no TLS in time".to_owned())
            }
        }
    }
}

async fn shake<S>(stream: S) -> Result<SendRequest<Empty<Bytes>>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = shaken.map_err(|error| error.to_string())?;
    // Ends by itself when the sender is dropped or the source hangs up.
    tokio_uring::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// Connections of one lane, one a source.
pub(crate) struct Wires {
    dialer: std::rc::Rc<Dialer>,
    idle: HashMap<String, SendRequest<Empty<Bytes>>>,
}

/// Why there is no answer.
pub(crate) enum Missed {
    /// There is no connection, or the kept one broke under the request, which is nobody's fault:
    /// make one and ask again.
    Stale,
    /// The source failed.
    Fault(Fault),
}

impl From<Fault> for Missed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// An answer with the right status and length; its bytes are still to come.
pub(crate) struct Answer {
    body: hyper::body::Incoming,
    url: String,
    sender: SendRequest<Empty<Bytes>>,
}

impl Wires {
    pub(crate) fn new(dialer: std::rc::Rc<Dialer>) -> Self {
        Self { dialer, idle: HashMap::new() }
    }

    pub(crate) fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// Makes a connection to `url`, to be used by the next that is asked there; or says why there
    /// is none.
    pub(crate) async fn connect(&mut self, url: &str) -> Result<(), String> {
        let sender = self.dialer.dial(url).await?;
        self.idle.insert(url.to_owned(), sender);
        Ok(())
    }

    /// Whether there is a connection to `url` to be used again.
    pub(crate) fn is_connected(&self, url: &str) -> bool {
        self.idle.get(url).is_some_and(|sender| !sender.is_closed())
    }

    /// A whole small thing of at most `bytes_max`.
    pub(crate) async fn whole(
        &mut self,
        url: &str,
        path: &str,
        bytes_max: u64,
    ) -> Result<Vec<u8>, Missed> {
        let within = self.dialer.patience(bytes_max);
        let read = async {
            let mut answer = self.ask(url, path, None).await?;
            let mut bytes = Vec::new();
            while let Some(piece) = answer.piece().await? {
                if (bytes.len() + piece.len()) as u64 > bytes_max {
                    return Err(Fault::Lied.into());
                }
                bytes.extend_from_slice(&piece);
            }
            self.done(answer);
            Ok(bytes)
        };
        tokio::time::timeout(within, read).await.unwrap_or(Err(Fault::Slow.into()))
    }

    /// Begins a range of `bytes` from `start`, both in payload bytes.
    pub(crate) async fn range(
        &mut self,
        url: &str,
        path: &str,
        start: u64,
        bytes: u64,
    ) -> Result<Answer, Missed> {
        self.ask(url, path, Some((start, bytes))).await
    }

    /// Gives a connection back whose answer was read to its end.
    pub(crate) fn done(&mut self, answer: Answer) {
        // Sources come and go with the plans; a lane lives for months.
        self.idle.retain(|_, sender| !sender.is_closed());
        self.idle.insert(answer.url, answer.sender);
    }

    async fn ask(
        &mut self,
        url: &str,
        path: &str,
        range: Option<(u64, u64)>,
    ) -> Result<Answer, Missed> {
        let Some(mut sender) = self.idle.remove(url) else { return Err(Missed::Stale) };
        match tokio::time::timeout(self.dialer.stall, sender.ready()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Missed::Stale),
            // The answer before came whole, so the connection is the source's to keep busy.
            Err(_) => return Err(Fault::Slow.into()),
        }
        let sent = self.send(&mut sender, url, path, range).await?;
        let answer = sent.map_err(|_| Missed::Stale)?;
        Ok(checked(answer, url, sender, range)?)
    }

    /// The outer error is a stall, the inner one a broken connection.
    fn send(
        &self,
        sender: &mut SendRequest<Empty<Bytes>>,
        url: &str,
        path: &str,
        range: Option<(u64, u64)>,
    ) -> impl Future<Output = Result<Reply, Fault>> + use<> {
        let host = url.split_once("://").map_or(url, |(_, host)| host);
        let mut request = Request::builder().uri(path).header(HOST, host);
        if let Some((start, bytes)) = range {
            request = request.header(RANGE, format!("bytes={start}-{}", start + bytes - 1));
        }
        let request = request.body(Empty::new()).map(|request| sender.send_request(request));
        let stall = self.dialer.stall;
        async move {
            let Ok(answer) = request else { return Err(Fault::Away) };
            tokio::time::timeout(stall, answer).await.map_err(|_| Fault::Slow)
        }
    }
}

impl Answer {
    /// The next bytes; `None` at the end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(_)) => return Err(Fault::Away),
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
            }
        }
    }
}

/// Status and lengths as asked for, or the fault they are.
fn checked(
    answer: Response<hyper::body::Incoming>,
    url: &str,
    sender: SendRequest<Empty<Bytes>>,
    range: Option<(u64, u64)>,
) -> Result<Answer, Fault> {
    let wanted = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    match answer.status() {
        status if status == wanted => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Fault::NotThere),
        StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
            return Err(Fault::Lied);
        }
        _ => return Err(Fault::Refused),
    }
    if let Some((start, bytes)) = range {
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let span = format!("bytes {start}-{}/", start + bytes - 1);
        if !header(CONTENT_RANGE).is_some_and(|said| said.starts_with(&span))
            || header(CONTENT_LENGTH).and_then(|said| said.parse().ok()) != Some(bytes)
        {
            return Err(Fault::Lied);
        }
    }
    Ok(Answer { body: answer.into_body(), url: url.to_owned(), sender })
}
