//! What a verb answers: a value for programs and the same as text for people.
//! Knows nothing of any verb.

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::{Value, json};

/// Columns below which a table is not fitted to its terminal: a serial line says 0 of itself, and
/// a column of one letter a line is worse than lines that run over.
const FITTED_COLUMNS_MIN: u16 = 60;

/// An answer in both forms.
pub struct Shown {
    /// For programs.
    pub value: Value,
    /// For people.
    pub text: String,
    /// 0, or 1 when the answer itself is bad news (a failed check).
    pub exit: u8,
}

impl Shown {
    /// Text that stands for itself, such as a completion script.
    #[must_use]
    pub fn text(text: String) -> Self {
        Self { value: json!({ "text": text }), text, exit: 0 }
    }

    /// A value and its text.
    #[must_use]
    pub fn new(value: &impl Serialize, text: impl Into<String>) -> Self {
        let value = serde_json::to_value(value).unwrap_or(Value::Null);
        Self { value, text: text.into(), exit: 0 }
    }

    /// A value and a table of it; `nothing` is said instead of an empty table.
    #[must_use]
    pub fn table(
        value: &impl Serialize,
        head: &[&str],
        rows: Vec<Vec<String>>,
        nothing: &str,
    ) -> Self {
        if rows.is_empty() {
            return Self::new(value, nothing);
        }
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_content_arrangement(arrangement(table.width()));
        table.set_header(head.iter().copied());
        for row in rows {
            table.add_row(row);
        }
        Self::new(value, table.to_string())
    }

    /// The value as one line, for `--json`.
    #[must_use]
    pub fn json_text(&self) -> String {
        self.value.to_string()
    }
}

/// How a table is fitted to a terminal of `columns`; absent: not a terminal.
fn arrangement(columns: Option<u16>) -> ContentArrangement {
    match columns {
        Some(columns) if columns < FITTED_COLUMNS_MIN => ContentArrangement::Disabled,
        _ => ContentArrangement::Dynamic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_says_it_has_no_columns_gets_whole_words() {
        let shown = |columns| {
            let mut table = Table::new();
            table.set_content_arrangement(arrangement(Some(columns))).set_width(columns);
            table.set_header(["appliance", "site", "role", "health"]);
            table.add_row(["edge-a1", "lisbon", "edge", "healthy"]);
            table.to_string()
        };
        assert!(shown(0).contains("edge-a1"), "{}", shown(0));
        assert!(shown(80).contains("edge-a1"), "{}", shown(80));
    }
}
