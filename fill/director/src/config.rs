//! `director.toml`: read whole, checked whole, every mistake told in one go.
//! Reaches nobody.

use std::path::{Path, PathBuf};

use control_types::config_file;
use control_types::config_lines::with_lines;
use fill_plan::Knobs;
use serde::Deserialize;

use crate::error::DirectorError;
use crate::ingress::Ingress;

/// A configuration that was checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Control's URL.
    pub control_url: String,
    /// The operator's bearer key.
    pub control_key: String,
    /// PEM of control's CA; none for the machine's own.
    pub control_ca: Option<Vec<u8>>,
    /// Longest time between two looks, milliseconds.
    pub every_ms: u64,
    /// The planner's.
    pub knobs: Knobs,
    /// Borders whose billed percentile fill must not raise; see `ingress.rs`.
    pub ingress: Vec<Ingress>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default = "a_minute")]
    every_ms: u64,
    control: RawControl,
    #[serde(default)]
    plan: Knobs,
    #[serde(default)]
    ingress: Vec<Ingress>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawControl {
    url: String,
    key_file: PathBuf,
    ca: Option<PathBuf>,
}

fn a_minute() -> u64 {
    60_000
}

impl Config {
    /// Reads and checks `file`.
    ///
    /// # Errors
    /// [`DirectorError::Config`] with every mistake; [`DirectorError::Io`] when it cannot be read.
    pub fn read(file: &Path) -> Result<Self, DirectorError> {
        let text = config_file::read_text(file)
            .map_err(|source| DirectorError::Io { path: file.to_owned(), source })?;
        let refused = |mistakes| DirectorError::Config {
            file: file.to_owned(),
            mistakes: with_lines(&text, mistakes),
        };
        let raw = raw(&text).map_err(refused)?;
        check(raw).map_err(refused)
    }
}

/// The text as fields; unknown keys of all tables are told together.
fn raw(text: &str) -> Result<Raw, Vec<String>> {
    let told = |error: toml::de::Error| vec![error.to_string().trim().replace('\n', "\n  ")];
    let table: toml::Table = text.parse().map_err(told)?;
    let knobs = [
        "headroom",
        "break_even",
        "keep_days",
        "sticky",
        "hot_share",
        "copy_spread",
        "moves_bytes_max",
        "pulls_max",
        "origin",
        "hops_max",
    ];
    let tables: [(&str, Option<&toml::Table>, &[&str]); 3] = [
        ("", Some(&table), &["every_ms", "control", "plan", "ingress"]),
        (
            "control.",
            table.get("control").and_then(toml::Value::as_table),
            &["url", "key_file", "ca"],
        ),
        ("plan.", table.get("plan").and_then(toml::Value::as_table), &knobs),
    ];
    let mut mistakes = Vec::new();
    for (at, table, known) in tables {
        for key in table.into_iter().flat_map(toml::Table::keys) {
            if !known.contains(&key.as_str()) {
                mistakes.push(format!("{at}{key} is not a key: use one of {}", known.join(", ")));
            }
        }
    }
    if mistakes.is_empty() { toml::from_str(text).map_err(told) } else { Err(mistakes) }
}

fn check(raw: Raw) -> Result<Config, Vec<String>> {
    let Raw { every_ms, control: RawControl { url, key_file, ca }, plan: knobs, ingress } = raw;
    let mut mistakes = knobs.mistakes();
    if !(100..=86_400_000).contains(&every_ms) {
        mistakes.push(format!("every_ms is {every_ms}: use a number from 100 to 86400000"));
    }
    let control_key = config_file::read_text(&key_file).unwrap_or_else(|error| {
        let shown = key_file.display();
        let wanted = "give a file that this user may read; control makes it at its first start";
        mistakes.push(format!("control.key_file {shown}: {wanted} ({error})"));
        String::new()
    });
    let control_ca = ca.and_then(|path| match config_file::read(&path) {
        Ok(pem) => Some(pem),
        Err(error) => {
            mistakes.push(format!(
                "control.ca {}: give a file that this user may read ({error})",
                path.display()
            ));
            None
        }
    });
    if !url.starts_with("http://") && !url.starts_with("https://") {
        mistakes.push(format!("control.url {url:?}: write it as https://host[:port]"));
    }
    for (at, border) in ingress.iter().enumerate() {
        let (isp, percentile) = (&border.isp, border.percentile);
        // The second one's rates would stand for both.
        if ingress[..at].iter().any(|other| other.isp == *isp) {
            mistakes.push(format!(
                "ingress[{at}].isp is {isp} again: write one [[ingress]] for each ISP, with the \
                 sum of its borders"
            ));
        }
        if !(0.5..=1.0).contains(&percentile) {
            mistakes
                .push(format!("ingress[{at}].percentile of {isp} is {percentile}: use 0.5 to 1"));
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let control_key = control_key.trim().to_owned();
    Ok(Config { control_url: url, control_key, control_ca, every_ms, knobs, ingress })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("director.toml");
        let said = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Config::read(&file).unwrap_err().to_string()
        };
        let unknown =
            said("evry_ms = 1\n[control]\nurl = \"x\"\nkey_file = \"y\"\n[plan]\nk = 1\n");
        assert!(unknown.contains("line 1: evry_ms"), "{unknown}");
        assert!(unknown.contains("line 6: plan.k"), "{unknown}");
        let wrong = said(
            "every_ms = 1\n[control]\nurl = \"x\"\nkey_file = \"/no/key\"\n[plan]\nsticky = 0.5\n",
        );
        let policy = |word: &str| {
            said(&format!("[control]\nurl = \"x\"\nkey_file = \"y\"\n[plan]\n{word}\n"))
        };
        let wrong_origin = policy("origin = \"edges\"");
        assert!(
            wrong_origin.contains("masters") && wrong_origin.contains("tiers"),
            "{wrong_origin}"
        );
        assert!(policy("hops_max = 0").contains("plan.hops_max is 0: use a number from 1 to 4"));
        assert!(!policy("origin = \"tiers\"\nhops_max = 1").contains("plan."));
        for word in ["every_ms", "control.url", "/no/key", "plan.sticky"] {
            assert!(wrong.contains(word), "{word} is not in {wrong}");
        }
        let border = "[[ingress]]\nisp = \"one\"\nfile = \"a\"\n";
        let twice = said(&format!("[control]\nurl = \"x\"\nkey_file = \"y\"\n{border}{border}"));
        assert!(twice.contains("ingress[1].isp is one again"), "{twice}");
    }
}
