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

/// What would be read for ever or waited for is refused at once, by name.
#[test]
fn what_is_no_file_is_refused_and_not_read() -> Result<(), Trouble> {
    let folder = tempfile::tempdir()?;
    let binaries = Binaries::find()?;
    let (pipe, large) = (folder.path().join("pipe"), folder.path().join("large"));
    assert!(Command::new("mkfifo").arg(&pipe).status()?.success());
    std::fs::File::create(&large)?.set_len(5 << 20)?;
    let cases = [
        (Path::new("/dev/zero"), "a device"),
        (folder.path(), "a directory"),
        (&pipe, "a pipe"),
        (&large, "larger than 4194304 bytes"),
    ];
    for program in ["oca", "control", "fill-agent", "fill-director"] {
        let program = binaries.path(program)?.display().to_string();
        for (path, why) in cases {
            // A program that waits is ended, and then says nothing.
            let arguments = ["30", &program, "check-config"];
            let said = refusal(Path::new("timeout"), &arguments, path)?;
            let named = said.contains(why) && said.contains(&path.display().to_string());
            assert!(named, "{program} says why {} is refused: {said}", path.display());
        }
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
