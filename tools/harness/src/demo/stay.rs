//! Stays up and says where everything is, until Ctrl-C.

use std::path::Path;

use nightfill_harness::{Trouble, World};
use tokio::signal::unix::{SignalKind, signal};

/// Prints the URLs and waits. `programs` is where `ocactl` and the others are.
///
/// # Errors
/// When the signal cannot be waited for.
pub async fn run(world: &World, dir: &Path, programs: &Path) -> Result<(), Trouble> {
    let key = std::fs::read_to_string(&world.control.operator_key)?;
    let url = world.control.url();
    println!("\nThe network is up.\n");
    println!("  member page     {url}/");
    println!("  operator page   {url}/console/   (operator key below)");
    println!("  API description {url}/openapi.json");
    println!("  operator key    {}", key.trim());
    for node in std::iter::once(&world.origin).chain(&world.edges) {
        let id = node.spec.id.as_str();
        println!("  {id:<15} {}   counters http://{}/metrics", node.media_url, node.admin);
    }
    println!("\nVideo comes over HTTPS from the appliances, under a demo certificate authority.");
    println!("Your browser must trust it once. Either import this file as an authority:");
    println!("  {}", world.ca.certificate.display());
    println!("or start a browser that trusts just these appliances:");
    let keys: Vec<&str> = world.edges.iter().map(|edge| edge.tls.spki.as_str()).collect();
    let keys = [keys.join(","), world.origin.tls.spki.clone()].join(",");
    let profile = dir.join("browser");
    println!("  chromium --user-data-dir={} \\", profile.display());
    println!("    --ignore-certificate-errors-spki-list={keys} {url}/");
    println!("\nFrom another terminal:");
    println!("  export PATH={}:$PATH", programs.display());
    println!("  export NIGHTFILL_CONTROL={url}");
    println!("  export NIGHTFILL_KEY_FILE={}", world.control.operator_key.display());
    println!("  ocactl appliance ls");
    if let Some(edge) = world.edges.first() {
        println!("  oca upgrade --config {}", edge.folder.join("oca.toml").display());
    }
    println!("\nCtrl-C stops everything. Logs and disks stay in {}.", world.folder.display());
    asked_to_stop().await?;
    println!("\nstopping");
    Ok(())
}

/// Ctrl-C or SIGTERM: either way the programs it started must go with it.
async fn asked_to_stop() -> Result<(), Trouble> {
    let mut term = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed?,
        _ = term.recv() => {}
    }
    Ok(())
}
