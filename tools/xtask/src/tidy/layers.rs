//! Arrows point down: every dependency between our crates goes to a lower layer number.
//! The numbers are `[workspace.metadata.layers]`; the edges are what cargo itself reports.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::steps::{self, Stop};

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    metadata: WorkspaceMetadata,
}

#[derive(Deserialize)]
struct WorkspaceMetadata {
    layers: BTreeMap<String, u32>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    path: Option<String>,
}

/// The only crates of `control/` that other neighbourhoods may use.
const CONTROL_OPEN: &[&str] = &["control-types", "control-token", "control-client"];

/// Checks all edges.
///
/// # Errors
/// When cargo's metadata cannot be read.
pub fn check() -> Result<Vec<String>, Stop> {
    let mut command = steps::cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    let answer = command.output()?;
    if !answer.status.success() {
        return Err(Stop(String::from_utf8_lossy(&answer.stderr).into_owned()));
    }
    let found: Metadata = serde_json::from_slice(&answer.stdout)
        .map_err(|error| Stop(format!("cargo metadata: {error}")))?;
    Ok(judge(&found))
}

fn judge(found: &Metadata) -> Vec<String> {
    let layers = &found.metadata.layers;
    let mut offences = Vec::new();
    for package in &found.packages {
        let name = &package.name;
        let Some(layer) = layers.get(name) else {
            offences.push(format!("{name}: give it a number in [workspace.metadata.layers]"));
            continue;
        };
        // A measurement may look inside: nobody depends on it, and it ships nowhere.
        let inside = ["/control/", "/bench/"];
        let in_control = inside.iter().any(|folder| package.manifest_path.contains(folder));
        for edge in package.dependencies.iter().filter(|edge| edge.path.is_some()) {
            let to = &edge.name;
            if layers.get(to).is_some_and(|below| below >= layer) {
                offences.push(format!("{name} -> {to}: an edge must go to a lower layer"));
            }
            let enters = edge.path.as_ref().is_some_and(|path| path.contains("/control/"));
            if enters && !in_control && !CONTROL_OPEN.contains(&to.as_str()) {
                let open = CONTROL_OPEN.join(", ");
                offences.push(format!(
                    "{name} -> {to}: outside control/ and bench/ only {open} may be used"
                ));
            }
        }
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offences(edges: &[(&str, &str)]) -> usize {
        let layers =
            [("low", 1), ("twin", 1), ("high", 2), ("control-store", 1), ("control-types", 0)];
        let packages = edges.iter().map(|(from, to)| Package {
            name: (*from).to_owned(),
            manifest_path: "/x/oca/Cargo.toml".to_owned(),
            dependencies: vec![Dependency {
                name: (*to).to_owned(),
                path: Some(format!("/x/{}", to.replace('-', "/"))),
            }],
        });
        let layers = layers.iter().map(|(name, layer)| ((*name).to_owned(), *layer)).collect();
        judge(&Metadata { packages: packages.collect(), metadata: WorkspaceMetadata { layers } })
            .len()
    }

    #[test]
    fn edges_go_down_and_stay_out_of_controls_rooms() {
        assert_eq!(offences(&[("high", "low")]), 0);
        assert_eq!(offences(&[("low", "high")]), 1);
        assert_eq!(offences(&[("low", "twin")]), 1);
        assert_eq!(offences(&[("high", "control-types")]), 0);
        assert_eq!(offences(&[("high", "control-store")]), 1);
        assert_eq!(offences(&[("unknown", "low")]), 1);
    }
}
