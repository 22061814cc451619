//! The result file: one entry a case, the last run of each. Judges nothing.

use std::io;
use std::path::Path;

use serde_json::{Map, Value};

/// Puts `result` in the place of what `path` has of `case`; other cases stay. A file that cannot be
/// read as a result is begun anew.
///
/// # Errors
/// When it cannot be written.
pub fn keep(path: &Path, case: &str, result: Value) -> io::Result<()> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut known: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
    known.insert(case.to_owned(), result);
    let text = format!("{:#}\n", Value::Object(known));
    let fresh = path.with_extension("json.new");
    std::fs::write(&fresh, text)?;
    std::fs::rename(fresh, path)
}

#[cfg(test)]
mod tests {
    // A panic is the report.
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::keep;

    #[test]
    fn a_case_takes_the_place_of_its_last_run_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fill.json");
        keep(&path, "plan", json!({ "rows": [1] })).unwrap();
        keep(&path, "agent", json!({ "rows": [2] })).unwrap();
        keep(&path, "plan", json!({ "rows": [3] })).unwrap();
        let kept: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(kept, json!({ "plan": { "rows": [3] }, "agent": { "rows": [2] } }));
    }
}
