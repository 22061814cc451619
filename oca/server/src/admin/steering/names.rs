//! Addresses of neighbours' names, looked up one after the other beside the looks themselves. A
//! name server that is silent, as in a partition it may be, costs one thread and no look: what was
//! known last is used on. Never asks for a name that is not wanted.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Notify;

use crate::limits::{NAMES_MAX, NAMES_MS};

/// A name without an address is asked for again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// What is known of names.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: Mutex<BTreeMap<String, Known>>,
    wanted: Notify,
}

#[derive(Debug, Default)]
struct Known {
    addresses: Vec<IpAddr>,
    asked_at: Option<Instant>,
}

impl Known {
    fn is_due(&self) -> bool {
        let after = match self.addresses.is_empty() {
            true => AGAIN_AFTER,
            false => Duration::from_millis(NAMES_MS),
        };
        self.asked_at.is_none_or(|at| at.elapsed() >= after)
    }
}

impl Names {
    /// The names of these URLs will be asked for.
    pub(super) fn want(&self, urls: &[String]) {
        let mut known = self.known();
        if known.len() > NAMES_MAX {
            // Those of bundles long gone are among them; the others are soon known again.
            known.clear();
        }
        for host in urls.iter().filter_map(|url| name_of(url)) {
            if !known.contains_key(host) {
                known.insert(host.to_owned(), Known::default());
            }
        }
        drop(known);
        self.wanted.notify_one();
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().expect("no holder of this lock panics")
    }

    fn next(&self) -> Option<String> {
        let mut known = self.known();
        let (host, one) = known.iter_mut().find(|(_, one)| one.is_due())?;
        one.asked_at = Some(Instant::now());
        Some(host.clone())
    }
}

/// Looks names up, one at a time. Woken by every round of looks; it ends with the runtime.
pub(super) async fn keep(names: Arc<Names>) {
    loop {
        names.wanted.notified().await;
        while let Some(host) = names.next() {
            // A port is part of what is asked, and of no use here.
            let Ok(found) = tokio::net::lookup_host((host.as_str(), 0)).await else { continue };
            let addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            if let Some(one) = names.known().get_mut(&host) {
                one.addresses = addresses;
            }
        }
    }
}

/// The host of a URL, unless it is an address.
fn name_of(url: &str) -> Option<&str> {
    let (_, authority) = url.split_once("://")?;
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    };
    let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    (!is_address).then_some(host)
}

/// For `reqwest`, which asks for a name when it has no connection.
impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let known = self.known();
        let addresses = known.get(name.as_str()).map(|one| one.addresses.clone());
        let found: Vec<SocketAddr> =
            addresses.unwrap_or_default().into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
        Box::pin(async move {
            if found.is_empty() {
                return Err("its name has no address, as far as is known".into());
            }
            let found: Addrs = Box::new(found.into_iter());
            Ok(found)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_asked_for() {
        for (url, wanted) in [
            ("https://edge.example:8443", Some("edge.example")),
            ("https://edge.example", Some("edge.example")),
            ("https://127.0.0.1:8443", None),
            ("https://[::1]:8443", None),
            ("https://[::1]", None),
        ] {
            assert_eq!(name_of(url), wanted, "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_is_asked_for_once_and_kept() {
        let names = Arc::<Names>::default();
        names.want(&["http://localhost:1".to_owned(), "http://127.0.0.1:1".to_owned()]);
        assert_eq!(names.known().len(), 1);
        assert_eq!(names.next().as_deref(), Some("localhost"));
        assert_eq!(names.next(), None, "it is under way");
        names.known().get_mut("localhost").unwrap().asked_at = None;
        let keeper = tokio::spawn(keep(Arc::clone(&names)));
        while names.known()["localhost"].addresses.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(names.next(), None, "it is fresh");
        assert!(names.known()["localhost"].addresses.iter().all(|address| address.is_loopback()));
        keeper.abort();
    }
}
