//! The house rules that no compiler checks: layers, unsafe, file heads, names, sizes, the top
//! level. Reads sources as text and `cargo metadata`; changes nothing.

mod layers;
mod sources;

use std::path::{Path, PathBuf};

use crate::steps::{self, Stop};

/// What stands at the top level and nothing else; dotfiles are free.
const TOP_LEVEL: &[&str] = &[
    "ARCHITECTURE.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "bench",
    "control",
    "fill",
    "oca",
    "systemd",
    "tools",
];

/// Folders whose content is made, not written.
const MADE: &[&str] = &["target", "node_modules", "dist", ".git"];

/// Checks everything and reports every offence, not just the first.
///
/// # Errors
/// The list of offences.
pub fn run() -> Result<(), Stop> {
    let root = steps::root();
    let mut offences = top_level(&root)?;
    offences.extend(layers::check()?);
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();
    for file in &files {
        let text = std::fs::read_to_string(file)?;
        let name = file.strip_prefix(&root).unwrap_or(file);
        offences.extend(sources::check(name, &text));
    }
    if offences.is_empty() {
        eprintln!("    {} source files and the layers are tidy", files.len());
        return Ok(());
    }
    Err(Stop(format!("{} untidy places:\n  {}", offences.len(), offences.join("\n  "))))
}

fn top_level(root: &Path) -> Result<Vec<String>, Stop> {
    let mut offences = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let free = name.starts_with('.') || MADE.contains(&name.as_str());
        if !free && !TOP_LEVEL.contains(&name.as_str()) {
            offences.push(format!("{name}: the top level is fixed, move it below a folder"));
        }
    }
    Ok(offences)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Stop> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            if !MADE.iter().any(|made| name == *made) {
                collect(&entry.path(), files)?;
            }
        } else if Path::new(&name).extension().is_some_and(|ending| ending == "rs") {
            files.push(entry.path());
        }
    }
    Ok(())
}
