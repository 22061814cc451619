//! What a verb answers: a value for programs and the same as text for people.
//! Knows nothing of any verb.

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::{Value, json};

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
        table.set_content_arrangement(ContentArrangement::Dynamic);
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
