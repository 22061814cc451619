//! Story: config files with several mistakes, and a port that somebody else has.
//! Every mistake is said in one run, each by the name of its key.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use nightfill_harness::{Binaries, Trouble};

fn refusal(program: &Path, arguments: &[&str], config: &Path) -> Result<String, Trouble> {
    let answer = Command::new(program).args(arguments).arg(config).output()?;
    assert!(!answer.status.success(), "{} took {}", program.display(), config.display());
    let said = String::from_utf8_lossy(&answer.stderr).into_owned();
    Ok(said + &String::from_utf8_lossy(&answer.stdout))
}

#[test]
fn every_mistake_is_named_at_once() -> Result<(), Trouble> {
    let folder = tempfile::tempdir()?;
    let binaries = Binaries::find()?;
    let config = folder.path().join("bad.toml");
    let text = "state_dir = \"/tmp\"\ncolour = \"blue\"\n[listen]\naddr = \"not an address\"\n\
                media = \"not an address\"\nfrobnicate = 1\n";
    std::fs::write(&config, text)?;
    for program in ["oca", "control"] {
        let said = refusal(&binaries.path(program)?, &["check-config"], &config)?;
        for key in ["colour", "frobnicate", "not an address"] {
            assert!(said.contains(key), "{program} names {key}: {said}");
        }
    }
    for program in ["fill-agent", "fill-director"] {
        let said = refusal(&binaries.path(program)?, &["run", "--config"], &config)?;
        assert!(said.contains("colour"), "{program} names colour: {said}");
    }
    Ok(())
}

#[test]
fn a_busy_port_is_named_with_its_cure() -> Result<(), Trouble> {
    let folder = tempfile::tempdir()?;
    let binaries = Binaries::find()?;
    let holder = TcpListener::bind("127.0.0.1:0")?;
    let address = holder.local_addr()?.to_string();
    let config = folder.path().join("busy.toml");
    let state = folder.path().join("state");
    std::fs::write(
        &config,
        format!(
            "state_dir = {state:?}\n[listen]\naddr = \"{address}\"\n[operator]\nkey_file = {:?}\n",
            folder.path().join("operator.key")
        ),
    )?;
    let said = refusal(&binaries.path("control")?, &["serve", "--config"], &config)?;
    assert!(said.contains(&address), "the busy address is named: {said}");

    let volume = folder.path().join("ssd");
    std::fs::create_dir_all(&volume)?;
    let text = format!(
        "appliance = \"edge-a1\"\nstate_dir = {state:?}\n[listen]\nmedia = \"{address}\"\n\
         admin = \"127.0.0.1:0\"\n[[volume]]\npath = {volume:?}\nclass = \"ssd\"\n[tickets]\nrequired = false\n"
    );
    std::fs::write(&config, text)?;
    let said = refusal(&binaries.path("oca")?, &["serve", "--config"], &config)?;
    assert!(said.contains(&address), "the busy address is named: {said}");
    Ok(())
}
