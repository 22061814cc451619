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
    /// What could be reached at all in the same runs, one a seed; empty where nobody knows.
    pub bounds: Vec<f64>,
}

impl Row {
    pub fn new(what: &str, reach: Reach, figures: Vec<f64>) -> Self {
        Self { what: what.to_owned(), reach, figures, bounds: Vec::new() }
    }

    /// The figure that is furthest from what it should be, or the mean where none is due.
    fn told(&self, figures: &[f64]) -> f64 {
        let each = figures.iter().copied();
        match self.reach {
            Reach::AtLeast(_) => each.fold(f64::INFINITY, f64::min),
            Reach::AtMost(_) => each.fold(f64::NEG_INFINITY, f64::max),
            Reach::Shown => each.sum::<f64>() / figures.len().max(1) as f64,
        }
    }

    fn reached(&self) -> Option<bool> {
        match self.reach {
            Reach::AtLeast(least) => Some(self.told(&self.figures) >= least),
            Reach::AtMost(most) => Some(self.told(&self.figures) <= most),
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
            "told": self.told(&self.figures),
            "by_seed": self.figures,
            "bound_by_seed": self.bounds,
            "reached": self.reached(),
        })
    }

    fn cells(&self) -> [String; 5] {
        let reach = match self.reach {
            Reach::AtLeast(least) => format!(">= {least}"),
            Reach::AtMost(most) => format!("<= {most}"),
            Reach::Shown => String::new(),
        };
        let word = match self.reached() {
            Some(true) => "reached",
            Some(false) => "short",
            None => "",
        };
        let bound = match self.bounds.as_slice() {
            [] => String::new(),
            bounds => format!("{:.3}", self.told(bounds)),
        };
        let measured = format!("{:.3}", self.told(&self.figures));
        [self.what.clone(), reach, measured, bound, word.to_owned()]
    }
}

/// Rows of one kind gathered seed by seed.
#[derive(Default)]
pub struct Rows(pub Vec<Row>);

impl Rows {
    /// Adds one seed's figure to the row `what`.
    pub fn add(&mut self, what: &str, reach: Reach, figure: f64) {
        match self.0.iter_mut().find(|row| row.what == what) {
            Some(row) => row.figures.push(figure),
            None => self.0.push(Row::new(what, reach, vec![figure])),
        }
    }

    /// The same, with what could be reached at all.
    pub fn add_bounded(&mut self, what: &str, reach: Reach, figure: f64, bound: f64) {
        self.add(what, reach, figure);
        if let Some(row) = self.0.iter_mut().find(|row| row.what == what) {
            row.bounds.push(bound);
        }
    }
}

/// All rows for people.
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["what", "goal", "measured", "bound here", ""]);
    rows.iter().for_each(|row| {
        table.add_row(row.cells());
    });
    table.to_string()
}
