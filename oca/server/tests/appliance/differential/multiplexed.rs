//! The same questions over HTTP/2, many at once on one connection, asked by a client that is not
//! ours. Heads that HTTP/2 cannot carry are left to the other tests.

use std::sync::Arc;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::ask::Ask;
use super::check::{Tally, check};
use super::world::{Rng, World};
use super::{CLIENTS, check_tally, context, seed};
use crate::encrypted::certificate;
use crate::kit::{Appliance, PATIENCE, Setup};
use crate::wire::Reply;

const REQUESTS: usize = 6_000;
/// Streams at once.
const STREAMS_MAX: u64 = 40;
/// Batches on one connection.
const BATCHES: usize = 30;

type Client = SendRequest<Empty<Bytes>>;

#[test]
fn every_answer_over_http_2_is_the_one_the_model_gives() {
    for version in [&TLS13, &TLS12] {
        let tls = "cert = \"edge.pem\"\nkey = \"edge.key\"\nalpn = [\"h2\", \"http/1.1\"]\n";
        let setup = Setup::new().section("tls", tls);
        let mut client = (*certificate(setup.dir.path(), version)).clone();
        client.alpn_protocols = vec![b"h2".to_vec()];
        let world = World::publish(&setup);
        let appliance = setup.start();
        let tally = ask_all(&world, &appliance, &Arc::new(client));
        check_tally(&appliance, &tally, REQUESTS);
    }
}

fn ask_all(world: &World, appliance: &Appliance, client: &Arc<ClientConfig>) -> Tally {
    let mut all = Tally::default();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread();
                    let runtime = { runtime }.enable_all().build().unwrap();
                    runtime.block_on(ask_many(world, appliance, client, number))
                })
            })
            .collect();
        for client in clients {
            all.join(&client.join().unwrap_or_else(|why| std::panic::resume_unwind(why)));
        }
    });
    all
}

async fn ask_many(
    world: &World,
    appliance: &Appliance,
    client: &Arc<ClientConfig>,
    number: u64,
) -> Tally {
    let mut rng = Rng::new(seed().wrapping_mul(131).wrapping_add(number));
    let mut tally = Tally::default();
    let mut asked = 0;
    while asked < REQUESTS / CLIENTS as usize {
        let connection = connect(appliance, client).await;
        for _ in 0..BATCHES {
            let batch: Vec<Ask> =
                (0..=rng.below(STREAMS_MAX)).map(|_| some_ask(world, &mut rng)).collect();
            asked += batch.len();
            let answers = batch.iter().map(|ask| answer(connection.clone(), ask));
            let replies = futures::future::join_all(answers);
            let replies = tokio::time::timeout(PATIENCE * 2, replies).await.unwrap();
            for (ask, reply) in batch.iter().zip(replies) {
                check(world, &ask.want, ask.is_head, &reply, &mut tally, || context(ask));
            }
        }
    }
    tally
}

async fn connect(appliance: &Appliance, client: &Arc<ClientConfig>) -> Client {
    let stream = TcpStream::connect(appliance.media).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let stream = TlsConnector::from(Arc::clone(client)).connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move { connection.await.unwrap() });
    sender
}

/// A sound request that says nothing about its connection.
fn some_ask(world: &World, rng: &mut Rng) -> Ask {
    loop {
        let ask = world.sound(rng);
        let text = String::from_utf8_lossy(&ask.text);
        if !ask.closes && text.split(' ').nth(1).is_some_and(|target| target.starts_with('/')) {
            return ask;
        }
    }
}

async fn answer(mut connection: Client, ask: &Ask) -> Reply {
    let reply = connection.send_request(request(ask)).await;
    let reply = reply.unwrap_or_else(|error| panic!("{error:?}; {}", context(ask)));
    let status = reply.status().as_u16();
    let value = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = reply.headers().iter();
    let headers = headers.map(|(name, text)| (name.as_str().to_owned(), value(text))).collect();
    let body = reply.into_body().collect().await;
    let body = body.unwrap_or_else(|error| panic!("{error:?}; {}", context(ask)));
    Reply { status, headers, body: body.to_bytes().to_vec(), is_whole: true }
}

fn request(ask: &Ask) -> Request<Empty<Bytes>> {
    let text = &ask.text[..ask.text.len() - 4];
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let line = std::str::from_utf8(lines.next().unwrap()).unwrap();
    let mut words = line.split(' ');
    let method = Method::from_bytes(words.next().unwrap().as_bytes()).unwrap();
    let uri = format!("https://edge.example{}", words.next().unwrap());
    let mut request = Request::new(Empty::new());
    *request.method_mut() = method;
    *request.uri_mut() = uri.parse().unwrap();
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':').unwrap();
        let name = HeaderName::from_bytes(&line[..colon]).unwrap();
        if name != "host" {
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).unwrap();
            request.headers_mut().append(name, value);
        }
    }
    request
}
