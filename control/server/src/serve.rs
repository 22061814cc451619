//! One run of control: lock the state, bind, wire, say ready, serve, drain.
//! The order matters: mistakes that need no work show first, and nothing is said before it is true.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use control_gateway::{appliance_router, router};
use control_store::Ports;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::background::Background;
use crate::config::Config;
use crate::listen::Speech;
use crate::trouble::Trouble;
use crate::{bmp, listen, tls, wiring};

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// [`Trouble`] when it cannot start.
pub async fn serve(config: Config) -> Result<(), Trouble> {
    serve_over(config, |ports| ports).await
}

/// The same over adapters that `wrap` was handed: how a measurement makes one of them slow without
/// a switch for it in here.
///
/// # Errors
/// As [`serve`].
pub async fn serve_over(config: Config, wrap: impl FnOnce(Ports) -> Ports) -> Result<(), Trouble> {
    let _lock = lock_state(&config.state_dir)?;
    let speech = match &config.tls {
        Some((cert, key)) => Speech::Tls(tls::acceptor(cert, key)?),
        None => Speech::Plain,
    };
    let listener = listen::bind(config.addr).await?;
    let appliances = match config.appliances.listen {
        Some(addr) => Some(listen::bind(addr).await?),
        None => None,
    };
    let appliances_addr = appliances.as_ref().and_then(|listener| listener.local_addr().ok());
    let addr =
        listener.local_addr().map_err(|source| Trouble::Listen { addr: config.addr, source })?;
    let bmp = match config.bgp.bmp_listen {
        Some(addr) => Some(listen::bind(addr).await?),
        None => None,
    };
    let bmp_addr = bmp.as_ref().and_then(|listener| listener.local_addr().ok());
    let wired = wiring::wire(&config, wrap).await?;
    let stop = stop_signal()?;
    let background = Background::start(&wired);
    let sessions = bmp.map(|listener| {
        let (routers, services) = (config.bgp.routers.clone(), wired.services.clone());
        tokio::spawn(bmp::run(listener, routers, services))
    });
    let to_boxes = match appliances {
        Some(listener) => Some((listener, appliances_speech(&config, &wired)?)),
        None => None,
    };
    serve_say(&config);

    println!("{}", serve_say_ready(addr, bmp_addr, appliances_addr));
    tell_systemd(NotifyState::Ready);
    let (stopping, stopped) = watch::channel(false);
    let stops = |mut stopped: watch::Receiver<bool>| async move {
        // A sender that is gone stops too.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let for_boxes = async {
        if let Some((listener, speech)) = to_boxes {
            let router = appliance_router(wired.gateway.clone());
            listen::run(listener, speech, router, stops(stopped.clone())).await;
        }
    };
    let for_all =
        listen::run(listener, speech, router(wired.gateway.clone()), stops(stopped.clone()));
    let stop = async {
        stop.await;
        stopping.send_replace(true);
    };
    tokio::join!(for_all, for_boxes, stop);

    tell_systemd(NotifyState::Stopping);
    if let Some(sessions) = sessions {
        sessions.abort();
    }
    background.stop().await;
    wired.services.telemetry.flush().await;
    tracing::info!("stopped");
    Ok(())
}

/// How the appliances' port speaks, under every name that boxes know it by.
fn appliances_speech(config: &Config, wired: &wiring::Wired) -> Result<Speech, Trouble> {
    let names = config.appliances.all_names(config.public_url.as_deref());
    let door = tls::Door::new(wired.services.authority.clone(), names)?;
    Ok(Speech::Appliances(Arc::new(door)))
}

/// Nobody to tell, or nobody who listens, must not stop us.
fn tell_systemd(state: NotifyState) {
    let _ = sd_notify::notify(&[state]);
}

/// The one line on standard output that whoever started us waits for.
fn serve_say_ready(
    addr: SocketAddr,
    bmp: Option<SocketAddr>,
    appliances: Option<SocketAddr>,
) -> serde_json::Value {
    let mut ready = serde_json::json!({"listening": addr.to_string()});
    for (name, addr) in [("bmp", bmp), ("appliances", appliances)] {
        if let Some(addr) = addr {
            ready[name] = addr.to_string().into();
        }
    }
    ready
}

/// Each process says at boot what it is missing and what it does without it.
fn serve_say(config: &Config) {
    if config.tls.is_none() {
        tracing::warn!("no [tls]: passwords and keys travel in clear; put a TLS proxy in front");
    }
    if config.appliances.listen.is_none() {
        tracing::info!("no appliances.listen: boxes are known by bearer keys, not by certificates");
    }
    if config.web_dir.is_none() {
        tracing::info!("no [web]: no pages are served, only the API");
    }
    if config.bgp.bmp_listen.is_none() {
        tracing::info!("no bgp.bmp_listen: routes are the sites' own prefixes and imported files");
    }
    if config.region.is_none() {
        tracing::info!("no plays.region: only titles licensed everywhere can be played");
    }
    tracing::info!(?config, "serving");
}

/// The state directory, private and ours alone until the file is dropped.
fn lock_state(state_dir: &Path) -> Result<File, Trouble> {
    let broken = |why: std::io::Error| Trouble::StateDir {
        path: state_dir.to_owned(),
        why: why.to_string(),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(broken)?;
    let path = state_dir.join("control.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(broken)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Trouble::StateDirTaken { path: state_dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(broken(error)),
    }
}

/// Ready at the first SIGTERM or SIGINT.
fn stop_signal() -> Result<impl Future<Output = ()>, Trouble> {
    let hear = |kind| signal(kind).map_err(|source| Trouble::Runtime { source });
    let mut terminate = hear(SignalKind::terminate())?;
    let mut interrupt = hear(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
