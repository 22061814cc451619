//! How well a title answers what was typed, 0 to 1. Pure; the index finds candidates, this orders
//! them.
//!
//! Why again after the index: term weights reward rare words, and a fuzzy match counts there like
//! an exact one. People expect the title that *reads* most like what they typed. So each query word
//! is compared with each word of the title by edit ratio, the whole query with the whole name, and
//! a name that begins with the query stands above one that merely holds it.

use crate::SearchEntry;
use crate::limits::{SEARCH_QUERY_CHARS_MAX, SEARCH_WORDS_MAX};

/// What a perfect match of a word is worth, by where it was found.
const PERSON_WEIGHT: f32 = 0.85;
const GENRE_WEIGHT: f32 = 0.7;
const YEAR_WEIGHT: f32 = 0.6;

/// Shares of the score.
const WORDS_SHARE: f32 = 0.70;
const WHOLE_SHARE: f32 = 0.20;
const PREFIX_SHARE: f32 = 0.10;

/// Below this a candidate is noise: fewer than half of the words found.
pub const SCORE_MIN: f32 = 0.35;

/// Two words that share less than this are not the same word misspelt.
const WORD_RATIO_MIN: f32 = 0.6;

/// A text in the form it is compared in: lower case, accents folded where folding is plain,
/// everything else but letters and digits is a gap.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            fold(c, &mut word);
        } else if c != '\'' && c != '’' && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The words of a query that are looked at.
pub fn query_words(text: &str) -> Vec<String> {
    let short: String = text.chars().take(SEARCH_QUERY_CHARS_MAX).collect();
    let mut words = words(&short);
    words.truncate(SEARCH_WORDS_MAX);
    words
}

/// Latin letters with marks become plain; the rest stays as it is.
fn fold(c: char, out: &mut String) {
    let plain = match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'ç' | 'ć' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' => "e",
        'ğ' => "g",
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'į' | 'ı' => "i",
        'ł' => "l",
        'ñ' | 'ń' | 'ň' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ő' => "o",
        'ř' => "r",
        'ś' | 'š' | 'ş' | 'ș' => "s",
        'ť' | 'ţ' | 'ț' => "t",
        'ù' | 'ú' | 'û' | 'ü' | 'ū' | 'ů' | 'ű' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        'æ' => "ae",
        'œ' => "oe",
        'ß' => "ss",
        'þ' => "th",
        // Combining marks, as decomposed text has them.
        '\u{300}'..='\u{36f}' => "",
        other => {
            out.push(other);
            return;
        }
    };
    out.push_str(plain);
}

/// The score of one title for a query already cut into words.
pub fn score(query: &[String], entry: &SearchEntry) -> f32 {
    if query.is_empty() {
        return 0.0;
    }
    let name = words(&entry.name);
    let people: Vec<String> = entry.people.iter().flat_map(|person| words(person)).collect();
    let genres: Vec<String> = entry.genres.iter().flat_map(|genre| words(genre)).collect();
    let year = entry.year.to_string();
    let last = query.len() - 1;
    let per_word = query.iter().enumerate().map(|(place, word)| {
        let unfinished = place == last;
        let best = |among: &[String]| {
            among.iter().map(|one| word_ratio(word, one, unfinished)).fold(0.0, f32::max)
        };
        let by_year = if *word == year { YEAR_WEIGHT } else { 0.0 };
        best(&name)
            .max(best(&people) * PERSON_WEIGHT)
            .max(best(&genres) * GENRE_WEIGHT)
            .max(by_year)
    });
    let covered = per_word.sum::<f32>() / query.len() as f32;
    let (typed, named) = (query.concat(), name.concat());
    let whole = ratio(&typed, &named);
    // "starwars" and "star wars" are the same letters: the joined form counts as covered words.
    let covered = covered.max(if whole >= WORD_RATIO_MIN { whole } else { 0.0 });
    let begins = if named.starts_with(&typed) { 1.0 } else { 0.0 };
    WORDS_SHARE * covered + WHOLE_SHARE * whole + PREFIX_SHARE * begins
}

/// How alike a typed word and a word of a title are. An unfinished word is also compared with the
/// front of the other; being unfinished costs a little, so that whole words come first.
fn word_ratio(typed: &str, word: &str, unfinished: bool) -> f32 {
    if typed == word {
        return 1.0;
    }
    let (typed_len, word_len) = (typed.chars().count(), word.chars().count());
    if unfinished && typed_len < word_len {
        let front: String = word.chars().take(typed_len).collect();
        let alike = if front == *typed { 1.0 } else { near(typed, &front) };
        let done = typed_len as f32 / word_len as f32;
        return (alike * (0.85 + 0.15 * done)).max(near(typed, word));
    }
    near(typed, word)
}

/// The edit ratio, or nothing for words too short or too different to be a misspelling.
fn near(a: &str, b: &str) -> f32 {
    if a.chars().count() < 3 {
        return if a == b { 1.0 } else { 0.0 };
    }
    let ratio = ratio(a, b);
    if ratio >= WORD_RATIO_MIN { ratio } else { 0.0 }
}

/// 1 minus edits over the longer length.
fn ratio(a: &str, b: &str) -> f32 {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let longer = a.len().max(b.len());
    if longer == 0 {
        return 0.0;
    }
    1.0 - edits(&a, &b) as f32 / longer as f32
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i);
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> SearchEntry {
        SearchEntry {
            id: "t".parse().unwrap(),
            name: name.to_owned(),
            people: vec!["Ana Žižková".to_owned()],
            genres: vec!["Science Fiction".to_owned()],
            year: 2010,
        }
    }

    fn scored(query: &str, name: &str) -> f32 {
        score(&query_words(query), &entry(name))
    }

    #[test]
    fn edits_count_a_swap_once() {
        let count = |a: &str, b: &str| {
            edits(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
        };
        assert_eq!(count("sintel", "sintel"), 0);
        assert_eq!(count("sitnel", "sintel"), 1);
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("kitten", "sitting"), 3);
    }

    #[test]
    fn words_fold_case_marks_and_apostrophes() {
        assert_eq!(words("Amélie’s L'Été—2"), ["amelies", "lete", "2"]);
        assert!(words(" -- ").is_empty());
    }

    #[test]
    fn the_more_alike_name_scores_higher() {
        let names = ["Night Garden", "The Knight of the Garden", "Night Train", "A Long Day"];
        let ladder = names.map(|name| scored("nihgt garden", name));
        assert!(ladder.windows(2).all(|pair| pair[0] > pair[1]), "{ladder:?}");
        assert!(ladder[2] > SCORE_MIN && ladder[3] < SCORE_MIN, "{ladder:?}");
        assert!(scored("night garden", "Night Garden") > scored("nihgt garden", "Night Garden"));
    }

    #[test]
    fn joined_words_unfinished_words_and_people_are_found() {
        assert!(scored("nightgarden", "Night Garden") > 0.9);
        assert!(scored("night gar", "Night Garden") > 0.8);
        assert!(scored("zizkova", "Night Garden") > SCORE_MIN);
        assert!(scored("science fiction", "Night Garden") > SCORE_MIN);
    }
}
