//! Takes keys out of a TOML table one by one, writes every mistake down, and at the end names the
//! keys that nobody asked for. Knows nothing of what the keys mean.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use toml::{Table, Value};

/// Everything found wrong so far.
#[derive(Debug, Default)]
pub struct Mistakes(RefCell<Vec<String>>);

impl Mistakes {
    /// Writes one down.
    pub fn add(&self, mistake: String) {
        self.0.borrow_mut().push(mistake);
    }

    /// All of them, in the order they were found.
    pub fn into_list(self) -> Vec<String> {
        self.0.into_inner()
    }
}

/// One table of the file, being emptied.
pub struct Section<'a> {
    /// Name before the keys, with its dot; empty for the top.
    prefix: String,
    table: Table,
    /// Keys that were asked for, for the hint at an unknown one.
    known: Vec<&'static str>,
    base: &'a Path,
    mistakes: &'a Mistakes,
}

impl<'a> Section<'a> {
    /// The top of the file, which is in directory `base`.
    pub fn root(table: Table, base: &'a Path, mistakes: &'a Mistakes) -> Self {
        Self { prefix: String::new(), table, known: Vec::new(), base, mistakes }
    }

    /// Writes down that `key` has `given` and should have been `wanted`.
    pub fn mistake(&self, key: &str, given: &str, wanted: &str) {
        self.mistakes.add(format!("{}{key} is {given:?}: give {wanted}", self.prefix));
    }

    /// A table that may be left out; then it is empty.
    pub fn section(&mut self, key: &'static str) -> Section<'a> {
        self.optional_section(key).unwrap_or_else(|| self.below(key, Table::new()))
    }

    /// A table that means something by being there.
    pub fn optional_section(&mut self, key: &'static str) -> Option<Section<'a>> {
        match self.take(key)? {
            Value::Table(table) => Some(self.below(key, table)),
            other => {
                self.mistake(key, &other.to_string(), &format!("a table: [{}{key}]", self.prefix));
                None
            }
        }
    }

    /// An array of tables; empty when left out.
    pub fn list(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Value::Array(items) = value else {
            self.mistake(key, &value.to_string(), &format!("tables: [[{}{key}]]", self.prefix));
            return Vec::new();
        };
        let mut sections = Vec::with_capacity(items.len());
        for (number, item) in items.into_iter().enumerate() {
            match item {
                Value::Table(table) => {
                    sections.push(self.below(&format!("{key}[{number}]"), table))
                }
                other => self.mistake(key, &other.to_string(), "tables only"),
            }
        }
        sections
    }

    /// Text that must be there.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        let is_there = self.table.contains_key(key);
        let text = self.optional_text(key);
        if !is_there {
            self.mistakes.add(format!("{}{key} is missing: give a text", self.prefix));
        }
        text
    }

    /// Text that may be left out.
    pub fn optional_text(&mut self, key: &'static str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            other => {
                self.mistake(key, &other.to_string(), "a text in quotes");
                None
            }
        }
    }

    /// Text that must be there and parse.
    pub fn parsed<T: FromStr>(&mut self, key: &'static str, wanted: &str) -> Option<T> {
        if !self.table.contains_key(key) {
            self.known.push(key);
            self.mistakes.add(format!("{}{key} is missing: give {wanted}", self.prefix));
            return None;
        }
        let text = self.optional_text(key)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.mistake(key, &text, wanted);
        }
        parsed
    }

    /// One of a few words; must be there.
    pub fn one_of<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let wanted: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.mistake(key, &text, &wanted.join(" or "));
        }
        found
    }

    /// A whole number within `range`.
    pub fn number(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> u64 {
        let Some(value) = self.take(key) else { return default };
        let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
        match number {
            Some(number) if range.contains(&number) => number,
            _ => {
                let wanted = format!("a number from {} to {}", range.start(), range.end());
                self.mistake(key, &value.to_string(), &wanted);
                default
            }
        }
    }

    /// A share from 0 to 1.
    pub fn share(&mut self, key: &'static str, default: f64) -> f64 {
        let Some(value) = self.take(key) else { return default };
        let whole = value.as_integer().map(|number| number as f64);
        match value.as_float().or(whole) {
            Some(share) if (0.0..=1.0).contains(&share) => share,
            _ => {
                self.mistake(key, &value.to_string(), "a number from 0 to 1");
                default
            }
        }
    }

    /// A list of texts.
    pub fn texts(&mut self, key: &'static str, default: &[&str]) -> Vec<String> {
        let usual = || default.iter().map(|text| (*text).to_owned()).collect();
        let Some(value) = self.take(key) else { return usual() };
        let items = value.as_array().map(|items| {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<String>>>()
        });
        match items {
            Some(Some(texts)) => texts,
            _ => {
                self.mistake(key, &value.to_string(), "texts in brackets: [\"a\", \"b\"]");
                usual()
            }
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        match self.take(key) {
            None => default,
            Some(Value::Boolean(value)) => value,
            Some(other) => {
                self.mistake(key, &other.to_string(), "true or false");
                default
            }
        }
    }

    /// A path that must be given; it need not exist.
    pub fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.text(key).map(|text| self.base.join(text))
    }

    /// An existing directory.
    pub fn directory(&mut self, key: &'static str) -> Option<PathBuf> {
        let path = self.path(key)?;
        if !path.is_dir() {
            self.mistake(key, &path.display().to_string(), "an existing directory");
            return None;
        }
        Some(path)
    }

    /// An existing file.
    pub fn file(&mut self, key: &'static str) -> Option<PathBuf> {
        let path = self.path(key)?;
        self.existing(key, path)
    }

    /// A path that may be left out; it need not exist.
    pub fn optional_path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.optional_text(key).map(|text| self.base.join(text))
    }

    /// Whether a key is given and was not asked for yet.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Writes down that `key` should have been given.
    pub fn missing(&self, key: &str, wanted: &str) {
        self.mistakes.add(format!("{}{key} is missing: give {wanted}", self.prefix));
    }

    /// An existing file that may be left out.
    pub fn optional_file(&mut self, key: &'static str) -> Option<PathBuf> {
        let path = self.optional_text(key).map(|text| self.base.join(text))?;
        self.existing(key, path)
    }

    fn existing(&self, key: &str, path: PathBuf) -> Option<PathBuf> {
        if let Err(error) = control_types::config_file::open(&path) {
            let given = path.display().to_string();
            self.mistake(key, &given, &format!("a file this user may read ({error})"));
            return None;
        }
        Some(path)
    }

    /// Names every key that nobody asked for.
    pub fn end(self) {
        for key in self.table.keys() {
            let known = self.known.join(", ");
            self.mistakes.add(format!("{}{key} is not a key: known here are {known}", self.prefix));
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.table.remove(key)
    }

    fn below(&self, key: &str, table: Table) -> Section<'a> {
        Section {
            prefix: format!("{}{key}.", self.prefix),
            table,
            known: Vec::new(),
            base: self.base,
            mistakes: self.mistakes,
        }
    }
}
