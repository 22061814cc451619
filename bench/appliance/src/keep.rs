//! The file of results: one row a case, each with its own day, machine and company. Running one
//! case replaces that row and leaves the others as they are. Measures nothing.

use std::path::Path;

use nightfill_harness::Trouble;
use serde_json::{Value, json};

use crate::machine::{facts, load_average};

/// When a case began and how busy the machine was then.
pub struct Stamp {
    when: String,
    load_before: f64,
}

impl Stamp {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let seconds = jiff::Timestamp::now().as_second();
        let when = jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string();
        Self { when, load_before: load_average() }
    }

    /// Load averages when it began and now.
    #[must_use]
    pub fn load(&self) -> (f64, f64) {
        (self.load_before, load_average())
    }

    /// Adds to a row when it was measured, on what, and beside how much other work.
    pub fn onto(&self, row: &mut Value) {
        row["when"] = json!(self.when);
        row["load_average_before"] = json!(self.load_before);
        row["load_average_after"] = json!(load_average());
        row["machine"] = facts();
    }
}

/// Writes `row` into the file at `path`, among those of the other cases that `order` lists.
///
/// # Errors
/// When the file cannot be written.
pub fn keep(path: &Path, row: &Value, order: &[&str]) -> Result<(), Trouble> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let before = std::fs::read_to_string(path).unwrap_or_default();
    let before: Value = serde_json::from_str(&before).unwrap_or_default();
    let rows = merged(before["rows"].as_array().map_or(&[][..], Vec::as_slice), row, order);
    let temporary = path.with_extension("json.part");
    std::fs::write(&temporary, format!("{:#}\n", json!({ "rows": rows })))?;
    std::fs::rename(&temporary, path)?;
    Ok(())
}

fn merged(before: &[Value], row: &Value, order: &[&str]) -> Vec<Value> {
    let place = |row: &Value| order.iter().position(|name| row["case"] == **name);
    let others = before.iter().filter(|other| other["case"] != row["case"]);
    // A row that no case is named after any more is from another day.
    let mut all: Vec<Value> = others.filter(|other| place(other).is_some()).cloned().collect();
    all.push(row.clone());
    all.sort_by_key(place);
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Stamp, keep, merged};

    #[test]
    fn one_case_replaces_its_own_row_and_no_other() {
        let old = [json!({"case": "b", "x": 1}), json!({"case": "gone"}), json!({"case": "a"})];
        let rows = merged(&old, &json!({"case": "b", "x": 2}), &["a", "b", "c"]);
        assert_eq!(rows, [json!({"case": "a"}), json!({"case": "b", "x": 2})]);
    }

    #[test]
    fn a_file_grows_case_by_case() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/results.json");
        for case in ["b", "a", "b"] {
            let mut row = json!({ "case": case });
            Stamp::now().onto(&mut row);
            keep(&path, &row, &["a", "b"]).expect("kept");
        }
        let text = std::fs::read_to_string(&path).expect("a file");
        let file: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let rows = file["rows"].as_array().expect("rows");
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row["when"].is_string() && row["machine"].is_object()));
    }
}
