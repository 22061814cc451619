//! One promised figure, what was measured, and whether it was reached. Measures nothing.

use comfy_table::{Table, presets};
use serde_json::{Value, json};

/// How a figure is judged.
#[derive(Clone, Copy)]
pub enum Reach {
    /// At least.
    AtLeast(f64),
    /// At most.
    AtMost(f64),
    /// For comparison only.
    Shown,
}

/// One figure over all runs.
pub struct Row {
    /// What.
    pub what: String,
    /// What it should be.
    pub reach: Reach,
    /// One figure a seed.
    pub figures: Vec<f64>,
}

impl Row {
    pub fn new(what: &str, reach: Reach, figures: Vec<f64>) -> Self {
        Self { what: what.to_owned(), reach, figures }
    }

    /// The figure that is furthest from what it should be.
    fn worst(&self) -> f64 {
        let figures = self.figures.iter().copied();
        match self.reach {
            Reach::AtLeast(_) => figures.fold(f64::INFINITY, f64::min),
            Reach::AtMost(_) => figures.fold(f64::NEG_INFINITY, f64::max),
            Reach::Shown => figures.sum::<f64>() / self.figures.len().max(1) as f64,
        }
    }

    fn reached(&self) -> Option<bool> {
        match self.reach {
            Reach::AtLeast(least) => Some(self.worst() >= least),
            Reach::AtMost(most) => Some(self.worst() <= most),
            Reach::Shown => None,
        }
    }

    pub fn value(&self) -> Value {
        let (at_least, at_most) = match self.reach {
            Reach::AtLeast(least) => (Some(least), None),
            Reach::AtMost(most) => (None, Some(most)),
            Reach::Shown => (None, None),
        };
        json!({
            "what": self.what,
            "at_least": at_least,
            "at_most": at_most,
            "worst": self.worst(),
            "by_seed": self.figures,
            "reached": self.reached(),
        })
    }
}

/// All rows for people.
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["what", "reach", "measured", ""]);
    for row in rows {
        let reach = match row.reach {
            Reach::AtLeast(least) => format!(">= {least}"),
            Reach::AtMost(most) => format!("<= {most}"),
            Reach::Shown => String::new(),
        };
        let word = match row.reached() {
            Some(true) => "reached",
            Some(false) => "short",
            None => "",
        };
        table.add_row([row.what.clone(), reach, format!("{:.3}", row.worst()), word.to_owned()]);
    }
    table.to_string()
}
