//! One table of the config being read: takes keys out, notes mistakes, names what is left over.
//! Knows no key of control; `config.rs` does.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use toml::{Table, Value};

/// A table, by name, and the mistakes found in it so far.
pub(super) struct Section {
    name: String,
    table: Table,
    mistakes: Vec<String>,
}

impl Section {
    /// The whole file.
    pub fn new(table: Table) -> Self {
        Self { name: String::new(), table, mistakes: Vec::new() }
    }

    /// A table nobody wrote: every key at its default.
    pub fn absent(name: &str) -> Self {
        Self { name: name.to_owned(), table: Table::new(), mistakes: Vec::new() }
    }

    fn named(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// Notes what is wrong with a key.
    pub fn mistake(&mut self, key: &str, why: impl Display) {
        let name = self.named(key);
        self.mistakes.push(format!("{name}: {why}"));
    }

    /// A table that must be there.
    pub fn section(&mut self, key: &str) -> Self {
        self.optional_section(key).unwrap_or_else(|| {
            self.mistake(key, format_args!("is missing; add [{key}]"));
            // Its keys would all be missing too, which is said already.
            Self { name: key.to_owned(), table: Table::new(), mistakes: Vec::new() }
        })
    }

    /// A table that may be there.
    pub fn optional_section(&mut self, key: &str) -> Option<Self> {
        match self.table.remove(key)? {
            Value::Table(table) => {
                Some(Self { name: self.named(key), table, mistakes: Vec::new() })
            }
            other => {
                self.mistake(key, format_args!("is {}, not a table", other.type_str()));
                None
            }
        }
    }

    /// A list of tables; absent is empty.
    pub fn sections(&mut self, key: &str) -> Vec<Self> {
        let items = match self.table.remove(key) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                let kind = other.type_str();
                self.mistake(key, format_args!("is {kind}; write [[{key}]] before each"));
                return Vec::new();
            }
        };
        let mut tables = Vec::with_capacity(items.len());
        for (at, item) in items.into_iter().enumerate() {
            let name = self.named(&format!("{key}[{at}]"));
            match item {
                Value::Table(table) => tables.push(Self { name, table, mistakes: Vec::new() }),
                other => self.mistake(key, format_args!("holds {}, no table", other.type_str())),
            }
        }
        tables
    }

    /// Takes over the mistakes of a table that was read, and names its unknown keys.
    pub fn close(&mut self, section: Self) {
        self.mistakes.extend(section.finish());
    }

    /// All mistakes, unknown keys among them.
    pub fn finish(mut self) -> Vec<String> {
        let unknown: Vec<String> = self.table.keys().cloned().collect();
        for key in unknown {
            self.mistake(&key, "is no key of control; remove it or mend its spelling");
        }
        self.mistakes
    }

    /// Text that must be there.
    pub fn text(&mut self, key: &str) -> Option<String> {
        if !self.table.contains_key(key) {
            self.mistake(key, "is missing");
            return None;
        }
        self.optional_text(key)
    }

    /// Text that may be there; an empty one is a mistake.
    pub fn optional_text(&mut self, key: &str) -> Option<String> {
        match self.table.remove(key)? {
            Value::String(text) if text.is_empty() => {
                self.mistake(key, "is empty");
                None
            }
            Value::String(text) => Some(text),
            other => {
                self.mistake(key, format_args!("is {}, not text in quotes", other.type_str()));
                None
            }
        }
    }

    /// A path that must be there.
    pub fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// A list of texts; absent is empty.
    pub fn texts(&mut self, key: &str) -> Vec<String> {
        let items = match self.table.remove(key) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.mistake(key, format_args!("is {}, not a list", other.type_str()));
                return Vec::new();
            }
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Value::String(text) => texts.push(text),
                other => self.mistake(key, format_args!("holds {other}, which is no text")),
            }
        }
        texts
    }

    /// `true` or `false`; absent is the default.
    pub fn boolean(&mut self, key: &str, default: bool) -> bool {
        match self.table.remove(key) {
            None => default,
            Some(Value::Boolean(value)) => value,
            Some(other) => {
                self.mistake(key, format_args!("is {other}, neither true nor false"));
                default
            }
        }
    }

    /// A whole number in a range; absent is the default.
    pub fn number(&mut self, key: &str, range: RangeInclusive<u64>, default: u64) -> u64 {
        let Some(value) = self.table.remove(key) else { return default };
        let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
        match number {
            Some(number) if range.contains(&number) => number,
            _ => {
                let (least, most) = range.into_inner();
                self.mistake(key, format_args!("is {value}, not a number from {least} to {most}"));
                default
            }
        }
    }
}
