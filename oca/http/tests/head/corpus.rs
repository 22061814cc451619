//! The corpus, read back.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use oca_http::HeadError;

use crate::rules;

/// Name and bytes of every lesson.
pub fn lessons() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut lessons: Vec<(String, Vec<u8>)> = fs::read_dir(&folder)
        .expect("the corpus is part of the source")
        .map(|entry| entry.expect("readable"))
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .map(|entry| {
            let bytes = fs::read(entry.path()).expect("readable");
            (entry.file_name().to_string_lossy().into_owned(), bytes)
        })
        .collect();
    lessons.sort();
    lessons
}

#[test]
fn each_lesson_is_answered_with_its_word() {
    for (name, bytes) in lessons() {
        let (word, _) = name.split_once("--").expect("WORD--LESSON");
        assert_eq!(rules::word_of(&bytes), word, "{name}");
    }
}

#[test]
fn each_error_has_a_lesson() {
    let names: BTreeSet<String> = lessons()
        .iter()
        .filter_map(|(name, _)| name.split_once("--").map(|(word, _)| word.to_owned()))
        .collect();
    for error in HeadError::ALL {
        assert!(names.contains(error.word()), "no corpus file for {:?}", error.word());
    }
}

/// However a head is cut into packets, the answer is the same: every cut of every lesson.
#[test]
fn no_cut_changes_an_answer() {
    for (name, bytes) in lessons() {
        rules::check(&bytes);
        let whole = rules::word_of(&bytes);
        let step = 1 + bytes.len() / 512;
        for cut in (0..bytes.len()).step_by(step) {
            let part = rules::word_of(&bytes[..cut]);
            assert!(part == "unfinished" || part == whole, "{name}: {part} after {cut} bytes");
        }
    }
}
