//! Story: every example config in systemd/etc is taken by the program it is for.
//! Only its paths are moved into a private folder, because an example cannot bring a disk.

use std::path::Path;
use std::process::Command;

use nightfill_harness::pki::DemoCa;
use nightfill_harness::{Binaries, Trouble};

fn taken(program: &str, verb: &[&str], example: &str) -> Result<(), Trouble> {
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    let files = DemoCa::make(root)?.server("edge", root)?;
    for volume in ["ssd0", "hdd0"] {
        std::fs::create_dir_all(root.join("srv").join(volume))?;
    }
    std::fs::write(root.join("key"), "nfa_0123456789abcdef0123456789abcdef")?;
    // Control makes this one at its first start; the director reads it.
    std::fs::create_dir_all(root.join("state/control"))?;
    std::fs::write(root.join("state/control/operator.key"), "nfk_0123456789abcdef")?;
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd/etc").join(example);
    let shown = root.display().to_string();
    let text = std::fs::read_to_string(&here)?
        .replace("/srv/nightfill", &format!("{shown}/srv"))
        .replace("/var/lib/nightfill", &format!("{shown}/state"))
        .replace("/var/log/nightfill", &shown)
        .replace("/usr/share/nightfill/web", &shown)
        .replace("/etc/nightfill/appliance.key", &format!("{shown}/key"))
        .replace("/etc/nightfill/edge.pem", &files.certificate.display().to_string())
        .replace("/etc/nightfill/edge.key", &files.key.display().to_string())
        .replace("/etc/nightfill/control.pem", &files.certificate.display().to_string())
        .replace("/etc/nightfill/control.key", &files.key.display().to_string());
    let config = root.join(example);
    std::fs::write(&config, text)?;
    let answer = Command::new(Binaries::find()?.path(program)?).args(verb).arg(&config).output()?;
    let said = String::from_utf8_lossy(&answer.stderr).into_owned();
    assert!(answer.status.success(), "{program} refuses {example}: {said}");
    Ok(())
}

#[test]
fn oca_takes_its_example() -> Result<(), Trouble> {
    taken("oca", &["check-config"], "oca.toml")
}

#[test]
fn control_takes_its_example() -> Result<(), Trouble> {
    taken("control", &["check-config"], "control.toml")
}

#[test]
fn the_agent_takes_its_example() -> Result<(), Trouble> {
    taken("fill-agent", &["check-config"], "agent.toml")
}

#[test]
fn the_director_takes_its_example() -> Result<(), Trouble> {
    taken("fill-director", &["check-config"], "director.toml")
}

/// `{a,b}` once in a word, as a shell expands it.
fn expanded(word: &str) -> Vec<String> {
    let parts = word.split_once('{').and_then(|(before, rest)| {
        rest.split_once('}').map(|(choices, after)| (before, choices, after))
    });
    let Some((before, choices, after)) = parts else { return vec![word.to_owned()] };
    choices.split(',').map(|choice| format!("{before}{choice}{after}")).collect()
}

#[test]
fn what_the_first_steps_install_is_there() -> Result<(), Trouble> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let steps = std::fs::read_to_string(root.join("systemd/README.md"))?;
    let words =
        steps.lines().filter(|line| line.starts_with("    ")).flat_map(str::split_whitespace);
    let named: Vec<String> =
        words.filter(|word| word.starts_with("systemd/")).flat_map(expanded).collect();
    for name in named.iter().filter(|name| !name.contains('*')) {
        assert!(root.join(name).is_file(), "systemd/README.md installs {name}, which is not there");
    }
    for entry in std::fs::read_dir(root.join("systemd"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let installed = named.contains(&format!("systemd/{name}"))
            || (name.ends_with(".socket") && named.contains(&"systemd/*.socket".to_owned()))
            || name == "etc";
        assert!(installed, "no first step of systemd/README.md installs {name}");
    }
    Ok(())
}
