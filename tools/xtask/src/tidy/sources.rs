//! Rules that one source file can break by itself: head, unsafe, names, length, leftovers.
//! Looks at text, not at syntax: strict on what a definition line says, blind to macros.

use std::path::Path;

const LINES_MAX: usize = 600;
const COLUMNS_MAX: usize = 100;
const UNSAFE_CRATE: &str = "oca/sys";
const BANNED: &[&str] =
    &["manager", "helper", "helpers", "util", "utils", "common", "data", "info", "inner", "new2"];
const DEFINERS: &[&str] = &["fn", "struct", "enum", "trait", "mod", "type"];

/// Every offence of one file, as `path:line: what`.
#[must_use]
pub fn check(path: &Path, text: &str) -> Vec<String> {
    let shown = path.display();
    let mut offences = Vec::new();
    let mut offend = |line: usize, what: String| offences.push(format!("{shown}:{line}: {what}"));
    if !text.starts_with("//!") {
        offend(1, "start the file with `//!`: what it is, what it never does".to_owned());
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        offend(lines, format!("{lines} lines; a room of over {LINES_MAX} lacks a wall"));
    }
    if is_crate_root(path) && !path.starts_with(UNSAFE_CRATE) && !text.contains(FORBID) {
        offend(1, format!("a crate outside {UNSAFE_CRATE} says `{FORBID}`"));
    }
    if let Some(word) = stem_words(path).find(|word| BANNED.contains(&word.as_str())) {
        offend(1, format!("`{word}` in a file name says nothing; name what it holds"));
    }
    for (index, line) in text.lines().enumerate() {
        for what in check_line(path, line) {
            offend(index + 1, what);
        }
    }
    offences
}

const FORBID: &str = "#![forbid(unsafe_code)]";

fn is_crate_root(path: &Path) -> bool {
    path.ends_with("src/lib.rs") || path.ends_with("src/main.rs")
}

fn stem_words(path: &Path) -> impl Iterator<Item = String> {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    words(&stem).into_iter()
}

fn check_line(path: &Path, line: &str) -> Vec<String> {
    let mut offences = Vec::new();
    let code = line.split("//").next().unwrap_or_default();
    let is_rules = path.ends_with("tidy/sources.rs");
    if line.chars().count() > COLUMNS_MAX && !line.contains("\"") {
        offences.push(format!("over {COLUMNS_MAX} columns"));
    }
    let wild = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
    if !path.starts_with(UNSAFE_CRATE) && !is_rules && wild.iter().any(|w| code.contains(w)) {
        offences.push(format!("unsafe lives in {UNSAFE_CRATE} only"));
    }
    if !is_rules {
        for left in ["TODO", "FIXME", "XXX", "#[ignore"] {
            if line.contains(left) {
                offences.push(format!("`{left}` does not belong on main"));
            }
        }
        if let Some(name) = defined(code)
            && let Some(word) = words(name).into_iter().find(|word| BANNED.contains(&word.as_str()))
        {
            offences.push(format!("`{name}`: the word `{word}` says nothing; name what it holds"));
        }
    }
    offences
}

/// The name that a definition line defines, if it is one.
fn defined(code: &str) -> Option<&str> {
    let mut parts = code.split_whitespace();
    parts.find(|part| DEFINERS.contains(part))?;
    let rest = parts.next()?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    (end > 0).then(|| &rest[..end])
}

/// `snake_case` and `CamelCase` alike, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for character in name.chars() {
        if character == '_' || character == '-' || character.is_uppercase() {
            words.push(String::new());
        }
        if character.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(Path::new(path), text).len()
    }

    #[test]
    fn each_rule_catches_its_offence_and_nothing_else() {
        let lib = "//! A wall.\n#![forbid(unsafe_code)]\n";
        assert_eq!(count("oca/http/src/lib.rs", lib), 0);
        assert_eq!(count("oca/http/src/lib.rs", "//! A wall.\n"), 1);
        assert_eq!(count("oca/sys/src/lib.rs", "//! A wall.\n"), 0);
        assert_eq!(count("a/b.rs", "fn f() {}\n"), 1);
        assert_eq!(count("a/b.rs", "//! B.\nfn parse_data() {}\n"), 1);
        assert_eq!(count("a/b.rs", "//! B.\npub struct DiskManager;\n"), 1);
        assert_eq!(count("a/b.rs", "//! B.\nstruct Metadata;\n"), 0);
        assert_eq!(count("a/b.rs", "//! B.\nlet x = unsafe { y };\n"), 1);
        assert_eq!(count("oca/sys/src/b.rs", "//! B.\nlet x = unsafe { y };\n"), 0);
        assert_eq!(count("a/b.rs", "//! B.\n// TODO later\n"), 1);
        assert_eq!(count("a/utils.rs", "//! B.\n"), 1);
        assert_eq!(count("a/b.rs", &"//! B.\n".repeat(601)), 1);
    }
}
