//! Takes BMP sessions of configured routers and feeds their routes to the route desk.
//! Decides nothing about a route; never sends a byte to a router.
//!
//! A session: accepted → known by its address → read → decoded → applied → over. Each of these may
//! end it, and it alone: its routes are then held as stale. A router that connects again replaces
//! its earlier session, whose end then changes nothing.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use control_gateway::{BmpEnd, RouteDesk, Services};
use control_routes::{BmpMessage, BmpStream, RouterPlace, RouterSession, SessionNote};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::clock::now;
use crate::config::RouterConfig;
use crate::limits::{ACCEPT_PAUSE_MS, BMP_KEEPALIVE_S, BMP_READ_BYTES, BMP_SESSIONS_MAX};

/// Accepts until it is dropped; dropping it ends every session.
pub(crate) async fn run(listener: TcpListener, routers: Vec<RouterConfig>, services: Services) {
    let mut sessions = JoinSet::new();
    let mut newest: HashMap<IpAddr, Newest> = HashMap::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = sessions.join_next() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a BMP session was not accepted");
                tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                continue;
            }
        };
        let address = peer.ip().to_canonical();
        let Some(place) = place(address, &routers, &services) else {
            services.routes.bmp.count_end(BmpEnd::Unknown);
            continue;
        };
        if sessions.len() >= BMP_SESSIONS_MAX {
            tracing::warn!(%peer, most = BMP_SESSIONS_MAX, "too many BMP sessions; closed");
            services.routes.bmp.count_end(BmpEnd::Crowded);
            continue;
        }
        let (replaced, is_replaced) = oneshot::channel();
        let (over, is_over) = oneshot::channel();
        let earlier = newest.insert(address, Newest { replaced, is_over });
        let session = Session {
            desk: services.routes.clone(),
            router: address,
            stream: BmpStream::new(),
            routes: RouterSession::new(place),
        };
        sessions.spawn(async move {
            if let Some(Newest { replaced, is_over }) = earlier {
                drop(replaced);
                // An error says the same: it is over.
                let _ = is_over.await;
            }
            session.run(stream, peer, is_replaced).await;
            drop(over);
        });
    }
}

/// What the router at this address speaks for; absent when nobody said, or its site is not there.
fn place(address: IpAddr, routers: &[RouterConfig], services: &Services) -> Option<RouterPlace> {
    let Some(router) = routers.iter().find(|router| router.address == address) else {
        tracing::warn!(router = %address, "a BMP session of a router nobody configured; closed: \
            add [[bgp.router]] to control.toml if it is yours");
        return None;
    };
    let sites = services.steering.sites();
    let Some(site) = sites.into_iter().find(|site| site.id == router.site) else {
        tracing::warn!(router = %address, site = %router.site, "a BMP session for a site that is \
            not registered; closed: register it with `ocactl site put`");
        return None;
    };
    Some(RouterPlace {
        name: address.to_string(),
        site: site.id,
        isp: site.isp,
        appliance: router.appliance.clone(),
        appliances: router.boxes.clone(),
        view: router.view,
    })
}

/// The last session of a router.
struct Newest {
    /// Dropping it tells the session that it is replaced.
    replaced: oneshot::Sender<()>,
    /// Ready when nothing of the session is applied any more.
    is_over: oneshot::Receiver<()>,
}

/// Ready when the router's next session began.
type Replaced = oneshot::Receiver<()>;

/// One session under way.
struct Session {
    desk: Arc<RouteDesk>,
    router: IpAddr,
    stream: BmpStream,
    routes: RouterSession,
}

impl Session {
    async fn run(mut self, stream: TcpStream, peer: SocketAddr, replaced: Replaced) {
        let (desk, router) = (self.desk.clone(), self.router);
        tracing::info!(%peer, "a BMP session began");
        desk.bmp.sessions.fetch_add(1, Ordering::Relaxed);
        let end = self.read(stream, replaced).await;
        let routes = desk.routes().clone();
        let mut session = self.routes;
        let ended = tokio::task::spawn_blocking(move || {
            routes.with(|rib| session.end(rib, now()));
        });
        let _ = ended.await;
        desk.bmp.sessions.fetch_sub(1, Ordering::Relaxed);
        desk.bmp.count_end(end);
        tracing::info!(%router, end = end.word(), "a BMP session is over; its routes are held");
    }

    async fn read(&mut self, mut stream: TcpStream, mut replaced: Replaced) -> BmpEnd {
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(BMP_KEEPALIVE_S))
            .with_interval(Duration::from_secs(BMP_KEEPALIVE_S))
            .with_retries(3);
        if let Err(error) = SockRef::from(&stream).set_tcp_keepalive(&keepalive) {
            tracing::warn!(router = %self.router, %error, "a silent router will not be noticed");
        }
        let mut bytes = vec![0; BMP_READ_BYTES];
        loop {
            // Nothing but the waiting is given up: a change under way is applied whole.
            let read = tokio::select! {
                _ = &mut replaced => return BmpEnd::Replaced,
                read = stream.read(&mut bytes) => read,
            };
            let taken = match read {
                Ok(0) => return BmpEnd::Closed,
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return BmpEnd::Closed;
                }
                Err(error) => {
                    tracing::warn!(router = %self.router, %error, "a BMP session broke");
                    return BmpEnd::Broken;
                }
            };
            if let Some(end) = self.take_in(&bytes[..taken]).await {
                return end;
            }
        }
    }

    /// Decodes what came and applies it as one change; says when that ends the session.
    async fn take_in(&mut self, bytes: &[u8]) -> Option<BmpEnd> {
        self.stream.push(bytes);
        let mut messages = Vec::new();
        let garbage = loop {
            match self.stream.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        // Whole messages before a bad one are good: they are applied.
        let applied = self.apply(messages).await;
        if let Some(error) = garbage {
            tracing::warn!(router = %self.router, %error, "a BMP session brought garbage; closed");
            return Some(BmpEnd::Garbage);
        }
        applied
    }

    async fn apply(&mut self, messages: Vec<BmpMessage>) -> Option<BmpEnd> {
        if messages.is_empty() {
            return None;
        }
        let place = self.routes.place().clone();
        let mut session = std::mem::replace(&mut self.routes, RouterSession::new(place));
        let (desk, router) = (self.desk.clone(), self.router);
        let at = std::time::Instant::now();
        // The table is behind a lock that publishing may hold for long.
        let done = tokio::task::spawn_blocking(move || {
            let mut end = None;
            desk.routes().with(|rib| {
                for message in &messages {
                    desk.bmp.messages.fetch_add(1, Ordering::Relaxed);
                    match session.apply(rib, message, now()) {
                        Ok(note) => end = end.or(heard(&desk, router, note)),
                        Err(error) => {
                            tracing::warn!(%router, %error, "a BMP session is more than we hold");
                            end = Some(BmpEnd::Full);
                        }
                    }
                    if end.is_some() {
                        break;
                    }
                }
                desk.bmp.note_change(at);
            });
            (session, end)
        });
        match done.await {
            Ok((session, end)) => {
                self.routes = session;
                end
            }
            Err(error) => {
                tracing::error!(%router, %error, "applying routes failed");
                Some(BmpEnd::Broken)
            }
        }
    }
}

/// Says what happened; answers the end when the router said goodbye.
fn heard(desk: &RouteDesk, router: IpAddr, note: SessionNote) -> Option<BmpEnd> {
    match note {
        SessionNote::Quiet => {}
        SessionNote::Named(name) => tracing::info!(%router, name, "the router says who it is"),
        SessionNote::PeerUp(peer) => tracing::info!(%router, %peer, "a BGP peer is up"),
        SessionNote::PeerDown { peer, reason } => {
            tracing::warn!(%router, %peer, reason, "a BGP peer is down; its routes are held");
        }
        SessionNote::Mended(why) => {
            desk.bmp.mended.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%router, why, "an update was taken as a withdrawal");
        }
        SessionNote::Ended(reason) => {
            tracing::info!(%router, ?reason, "the router ends its session");
            return Some(BmpEnd::Closed);
        }
    }
    None
}
