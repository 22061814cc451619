//! A source that serves sealed objects over HTTPS, with faults, and counts the payload it sends.
//! Not an appliance: it checks no ticket.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use control_types::ids::ObjectId;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use oca_store::{MediaType, Seal, seal_reader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// How long a source dawdles.
const DAWDLES: Duration = Duration::from_millis(1_500);
/// How often a source drips.
const DRIPS: Duration = Duration::from_millis(50);
/// How long a source that restarts is away.
const RESTARTS: Duration = Duration::from_millis(500);
/// What the agent takes a handshake for, bytes.
const HANDSHAKE_BYTES: u64 = 6_144;

/// How a source misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Good,
    /// Flips one bit of every range.
    Lies,
    /// Breaks off in the middle of a body.
    Truncates,
    /// Stops sending in the middle of a body and keeps the connection.
    Stalls,
    /// Answers 200 and the whole object to a range.
    IgnoresRanges,
    /// Seals another object under this name.
    LiesInSeal,
    /// Answers 503.
    Busy,
    /// Takes a second and a half before it shakes hands.
    Dawdles,
    /// Hangs up after each answer.
    HangsUp,
    /// Answers 206 and the bytes asked for as if they were those after them.
    OtherRange,
    /// Half of what was asked for, and says so in its length alone.
    WrongLength,
    /// Sends the asker elsewhere.
    Redirects,
    /// Says that its bytes are packed.
    Packs,
    /// More headers than anybody reads.
    ManyHeaders,
    /// Hangs up on whoever connects within `RESTARTS` of the first who does; good from then on.
    Restarts,
    /// A little at a time: a chunk takes seconds.
    Drips,
}

/// One sealed object.
#[derive(Clone)]
pub struct Sealed {
    pub seal: Seal,
    pub payload: Bytes,
}

/// `bytes` of noise from `seed`, sealed.
pub fn sealed(seed: u64, bytes: usize) -> Sealed {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let payload: Vec<u8> = (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect();
    let title = "harbour".parse().unwrap();
    let seal = seal_reader(payload.as_slice(), title, MediaType::VideoMp4).unwrap();
    Sealed { seal, payload: payload.into() }
}

pub struct Shelf {
    pub objects: Mutex<HashMap<ObjectId, Sealed>>,
    pub mood: Mutex<Mood>,
    pub sent: AtomicU64,
    pub requests: AtomicU64,
    /// When payload or seals went out, and how much.
    pub log: Mutex<Vec<(Instant, u64)>>,
    /// The same of handshakes, when they ended.
    pub handshakes: Mutex<Vec<(Instant, u64)>>,
    /// When somebody first connected.
    first: Mutex<Option<Instant>>,
    /// When the last connection ended.
    pub closed: Mutex<Option<Instant>>,
    /// The only ticket that opens anything.
    pub ticket: Mutex<String>,
}

/// A running source.
#[derive(Clone)]
pub struct Source {
    pub shelf: Arc<Shelf>,
    pub url: String,
}

impl Source {
    pub async fn start(tls: Arc<rustls::ServerConfig>, mood: Mood, objects: &[&Sealed]) -> Self {
        let shelf = Arc::new(Shelf {
            objects: Mutex::default(),
            mood: Mutex::new(mood),
            sent: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            log: Mutex::default(),
            handshakes: Mutex::default(),
            first: Mutex::default(),
            closed: Mutex::default(),
            ticket: Mutex::new("the-ticket".to_owned()),
        });
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let source = Self { shelf, url };
        objects.iter().for_each(|object| source.put(object));
        let shelf = Arc::clone(&source.shelf);
        tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(tls);
            loop {
                // One connection that cannot be had is not the end of the source.
                let Ok((tcp, _)) = listener.accept().await else {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                let (acceptor, shelf) = (acceptor.clone(), Arc::clone(&shelf));
                let first = *shelf.first.lock().unwrap().get_or_insert_with(Instant::now);
                let is_restarting = *shelf.mood.lock().unwrap() == Mood::Restarts;
                if is_restarting && first.elapsed() < RESTARTS {
                    continue;
                }
                tokio::spawn(async move {
                    let mood = *shelf.mood.lock().unwrap();
                    if mood == Mood::Dawdles {
                        tokio::time::sleep(DAWDLES).await;
                    }
                    let Ok(stream) = acceptor.accept(tcp).await else { return };
                    // As the agent counts it: what it cannot see, it takes as this much.
                    shelf.handshakes.lock().unwrap().push((Instant::now(), HANDSHAKE_BYTES));
                    let served = Arc::clone(&shelf);
                    let service = hyper::service::service_fn(move |request| {
                        let shelf = Arc::clone(&served);
                        async move {
                            let hangs_up = *shelf.mood.lock().unwrap() == Mood::HangsUp;
                            let answer = answer(&shelf, &request);
                            Ok::<_, Infallible>(if hangs_up { hung_up(answer) } else { answer })
                        }
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                    *shelf.closed.lock().unwrap() = Some(Instant::now());
                });
            }
        });
        source
    }

    pub fn put(&self, object: &Sealed) {
        self.shelf.objects.lock().unwrap().insert(object.seal.object(), object.clone());
    }

    pub fn sent(&self) -> u64 {
        self.shelf.sent.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> u64 {
        self.shelf.requests.load(Ordering::SeqCst)
    }

    /// Most bytes of payload and seals in any second, wherever it begins.
    pub fn busiest_second(&self) -> u64 {
        let log = self.shelf.log.lock().unwrap().clone();
        busiest(&log)
    }

    /// The same with handshakes.
    #[allow(dead_code, reason = "each program of tests uses its own part")]
    pub fn busiest_second_with_handshakes(&self) -> u64 {
        let mut log = self.shelf.log.lock().unwrap().clone();
        log.extend(self.shelf.handshakes.lock().unwrap().iter());
        log.sort();
        busiest(&log)
    }

    /// Whether anybody ever connected.
    #[allow(dead_code, reason = "each program of tests uses its own part")]
    pub fn was_called(&self) -> bool {
        self.shelf.first.lock().unwrap().is_some()
    }

    pub fn last_sent_at(&self) -> Option<Instant> {
        self.shelf.log.lock().unwrap().last().map(|(at, _)| *at)
    }
}

fn busiest(log: &[(Instant, u64)]) -> u64 {
    let from = |start: usize| {
        let soon = |at: &Instant| at.duration_since(log[start].0).as_millis() < 1000;
        let within = log[start..].iter().take_while(|(at, _)| soon(at));
        within.map(|(_, bytes)| bytes).sum::<u64>()
    };
    (0..log.len()).map(from).max().unwrap_or(0)
}

fn answer(shelf: &Arc<Shelf>, request: &Request<hyper::body::Incoming>) -> Response<Sending> {
    shelf.requests.fetch_add(1, Ordering::SeqCst);
    let mood = *shelf.mood.lock().unwrap();
    let status = |status| {
        let mut answer = Response::new(sending(shelf, Bytes::new(), Mood::Good, Counts::Time));
        *answer.status_mut() = status;
        answer
    };
    if mood == Mood::Busy {
        return status(StatusCode::SERVICE_UNAVAILABLE);
    }
    let path = request.uri().path();
    let asked = path.strip_prefix("/t/").and_then(|rest| rest.split_once("/o/"));
    let (ticket, name) = asked.unwrap_or_else(|| panic!("asked for {path}"));
    if ticket != *shelf.ticket.lock().unwrap() {
        return status(StatusCode::FORBIDDEN);
    }
    let (hex, wants_seal) = match name.strip_suffix("/seal") {
        Some(hex) => (hex, true),
        None => (name, false),
    };
    let object = ObjectId::from_hex(hex.as_bytes());
    let found = object.and_then(|object| shelf.objects.lock().unwrap().get(&object).cloned());
    let Some(found) = found else { return status(StatusCode::NOT_FOUND) };
    if wants_seal {
        let seal = match mood {
            Mood::LiesInSeal => sealed(99, found.payload.len()).seal,
            _ => found.seal,
        };
        let seal = Bytes::from(seal.encode());
        return match asked_range(request) {
            Some((first, last)) => {
                let part = seal.slice(first..=last);
                ranged(sending(shelf, part, Mood::Good, Counts::Time), first, last, seal.len())
            }
            None => Response::new(sending(shelf, seal, Mood::Good, Counts::Time)),
        };
    }
    let (first, last) = asked_range(request).unwrap();
    if mood == Mood::IgnoresRanges {
        return Response::new(sending(shelf, found.payload, Mood::Good, Counts::All));
    }
    let mut payload = found.payload.slice(first..=last);
    if matches!(mood, Mood::Lies | Mood::Packs) {
        let mut flipped = payload.to_vec();
        flipped[0] ^= 1;
        payload = flipped.into();
    }
    let whole = found.payload.len();
    let half = payload.len().div_ceil(2);
    if mood == Mood::WrongLength {
        payload.truncate(half);
    }
    let mut answer = ranged(sending(shelf, payload, mood, Counts::All), first, last, whole);
    spoil(mood, answer.headers_mut(), (first, last, whole));
    if mood == Mood::WrongLength {
        answer.headers_mut().insert("content-length", half.into());
    } else if mood == Mood::Redirects {
        *answer.status_mut() = StatusCode::FOUND;
    }
    answer
}

/// Headers that a source of this mood has no business to send.
fn spoil(mood: Mood, headers: &mut hyper::HeaderMap, (first, last, whole): (usize, usize, usize)) {
    match mood {
        Mood::OtherRange => {
            let after = format!("bytes {}-{}/{whole}", first + 1, last + 1);
            headers.insert("content-range", after.parse().unwrap());
        }
        Mood::Redirects => {
            headers.insert("location", "https://127.0.0.1:1/o/elsewhere".parse().unwrap());
        }
        Mood::Packs => {
            headers.insert("content-encoding", "gzip".parse().unwrap());
        }
        Mood::ManyHeaders => {
            for _ in 0..1_000 {
                headers.append("x-more", "more".parse().unwrap());
            }
        }
        _ => {}
    }
}

/// First and last byte asked for.
fn asked_range(request: &Request<hyper::body::Incoming>) -> Option<(usize, usize)> {
    let range = request.headers().get("range")?.to_str().unwrap().strip_prefix("bytes=").unwrap();
    let (first, last) = range.split_once('-').unwrap();
    Some((first.parse().unwrap(), last.parse().unwrap()))
}

fn hung_up(mut answer: Response<Sending>) -> Response<Sending> {
    answer.headers_mut().insert("connection", "close".parse().unwrap());
    answer
}

fn ranged(body: Sending, first: usize, last: usize, whole: usize) -> Response<Sending> {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    let headers = answer.headers_mut();
    headers.insert("content-range", format!("bytes {first}-{last}/{whole}").parse().unwrap());
    headers.insert("content-length", (last - first + 1).into());
    answer
}

/// What of a body is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    /// When it went out.
    Time,
    /// That, and as payload sent.
    All,
}

type Sending = BoxBody<Bytes, std::io::Error>;

/// A body that goes out in small pieces and counts itself.
fn sending(shelf: &Arc<Shelf>, bytes: Bytes, mood: Mood, counts: Counts) -> Sending {
    let shelf = Arc::clone(shelf);
    let mut at = 0;
    let mut pause = Box::pin(tokio::time::sleep(Duration::ZERO));
    let most = if mood == Mood::Drips { 2_048 } else { 16_384 };
    let pieces = futures::stream::poll_fn(move |context| {
        if mood == Mood::Drips {
            std::task::ready!(pause.as_mut().poll(context));
            pause.as_mut().reset(tokio::time::Instant::now() + DRIPS);
        }
        let half = at > 0 && at * 2 >= bytes.len();
        match mood {
            Mood::Truncates if half => return Poll::Ready(Some(Err(std::io::Error::other("cut")))),
            // Never woken: the connection stays and nothing comes.
            Mood::Stalls if half => return Poll::Pending,
            _ => {}
        }
        let end = bytes.len().min(at + most);
        if end == at {
            return Poll::Ready(None);
        }
        let piece = bytes.slice(at..end);
        at = end;
        let bytes = piece.len() as u64;
        if counts == Counts::All {
            shelf.sent.fetch_add(bytes, Ordering::SeqCst);
        }
        shelf.log.lock().unwrap().push((Instant::now(), bytes));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    });
    StreamBody::new(pieces).boxed()
}
