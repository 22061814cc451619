//! Files of routes that lie in a directory: taken into the ledger once, then set aside. Earlier
//! versions kept `networks.json` and `SITE.routes` there; a file too long for a request may still
//! be put there before control starts. Deletes nothing.

use std::path::{Path, PathBuf};

use control_store::ledger::AskedBy;
use control_types::fleet::Site;
use control_types::routes::IspNetworks;
use control_types::{SiteId, UnixMillis};

use super::{RouteDesk, RouteDeskError};

/// What a file is called once the ledger has it.
const TAKEN: &str = "in-ledger";

impl RouteDesk {
    /// Takes over what lies in `dir`; says what could not be, which stays there.
    pub async fn take_over(
        &self,
        dir: &Path,
        sites: impl Fn() -> Vec<Site>,
        now: UnixMillis,
    ) -> Vec<RouteDeskError> {
        let mut failed = Vec::new();
        let networks = dir.join("networks.json");
        if networks.exists() {
            failed.extend(self.take_networks(&networks, &sites, now).await);
        }
        let files = match route_files(dir) {
            Ok(files) => files,
            Err(error) => return failed.into_iter().chain([error]).collect(),
        };
        for (id, path) in files {
            // A site that is not registered yet may be at the next start.
            let known = sites();
            let Some(site) = known.iter().find(|site| site.id == id) else { continue };
            let by = AskedBy { who: "a file of the state directory", at: now };
            let taken = match std::fs::read(&path).map_err(disk(&path)) {
                Ok(file) => self.import(site, file, &sites, by).await.map(|_| ()),
                Err(error) => Err(error),
            };
            failed.extend(taken.and_then(|()| set_aside(&path)).err());
        }
        failed
    }

    async fn take_networks(
        &self,
        path: &Path,
        sites: &impl Fn() -> Vec<Site>,
        now: UnixMillis,
    ) -> Vec<RouteDeskError> {
        let read = std::fs::read(path).map_err(disk(path)).and_then(|text| {
            serde_json::from_slice::<Vec<IspNetworks>>(&text)
                .map_err(|error| disk(path)(error.into()))
        });
        let all = match read {
            Ok(all) => all,
            Err(error) => return vec![error],
        };
        let mut failed = Vec::new();
        for networks in all {
            // The ledger's word is the younger one.
            if self.turn().await.has_networks_of(&networks.isp) {
                continue;
            }
            let by = AskedBy { who: "networks.json of an earlier version", at: now };
            failed.extend(self.register(&networks, sites, by).await.err());
        }
        if failed.is_empty() {
            failed.extend(set_aside(path).err());
        }
        failed
    }
}

/// `SITE.routes`, by site.
fn route_files(dir: &Path) -> Result<Vec<(SiteId, PathBuf)>, RouteDeskError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(disk(dir)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(disk(dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(site) = name.strip_suffix(".routes").and_then(|site| site.parse().ok()) {
            found.push((site, path));
        }
    }
    found.sort();
    Ok(found)
}

fn set_aside(path: &Path) -> Result<(), RouteDeskError> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".");
    aside.push(TAKEN);
    std::fs::rename(path, aside).map_err(disk(path))
}

fn disk(path: &Path) -> impl Fn(std::io::Error) -> RouteDeskError {
    move |source| RouteDeskError::Disk { path: path.to_owned(), source }
}
