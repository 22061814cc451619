//! The search index on tantivy. Derived from the catalog: if it cannot be read it is made anew,
//! empty, and its service fills it again.
//!
//! Mechanics: a query becomes, for each word, "this word, or one a typo or two away"; the last word
//! also "or any word that begins so"; and the whole query without its gaps, for joined words. Any
//! of these makes a candidate. The best `SEARCH_CANDIDATES_MAX` are ordered again by `rank`.

mod rank;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use control_types::TitleId;
use tantivy::collector::{DocSetCollector, TopDocs};
use tantivy::directory::MmapDirectory;
use tantivy::query::{AllQuery, BooleanQuery, BoostQuery, FuzzyTermQuery, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption, STORED, STRING, Schema, Value as _};
use tantivy::tokenizer::{TextAnalyzer, WhitespaceTokenizer};
use tantivy::{
    DocAddress, Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, TantivyError, Term,
};

use crate::embedded::make_private;
use crate::limits::{SEARCH_CANDIDATES_MAX, SEARCH_HITS_MAX, SEARCH_WRITER_BYTES};
use crate::{SearchEntry, SearchHit, SearchIndex, StoreError};

/// Changes with the schema; an index of another version is left alone and a new one begun.
const VERSION: &str = "v1";

/// Our words are cut and folded before they reach tantivy, so that both sides agree on them.
const TOKENIZER: &str = "folded";

/// The search adapter.
pub struct TantivyIndex {
    index: Arc<Opened>,
}

struct Opened {
    fields: Fields,
    writer: Mutex<IndexWriter>,
    reader: IndexReader,
}

#[derive(Clone, Copy)]
struct Fields {
    /// The title's id, whole.
    id: Field,
    /// Words of the name.
    name: Field,
    /// The name without gaps.
    joined: Field,
    /// Words of people, genres and the year.
    other: Field,
    /// The entry as JSON, for ranking.
    entry: Field,
}

impl TantivyIndex {
    /// Opens or makes the index below `directory`.
    ///
    /// # Errors
    /// `Refused` when another process writes it, `Away`.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(VERSION);
        make_private(&path)?;
        let opened = match Opened::open(&path) {
            Err(error) if is_damaged(&error) => {
                tracing::warn!(path = %path.display(), %error, "made the search index anew");
                std::fs::remove_dir_all(&path)
                    .map_err(|error| StoreError::away("remove a damaged search index", error))?;
                make_private(&path)?;
                Opened::open(&path)
            }
            other => other,
        };
        let opened = opened.map_err(|error| match error {
            TantivyError::LockFailure(..) => StoreError::Refused {
                what: path.display().to_string(),
                why: "another process writes this search index; stop it, or give this one its own \
                      state directory"
                    .to_owned(),
            },
            other => away("open the search index", other),
        })?;
        Ok(Self { index: Arc::new(opened) })
    }

    async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Opened) -> Result<T, TantivyError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let index = Arc::clone(&self.index);
        tokio::task::spawn_blocking(move || work(&index))
            .await
            .map_err(|error| StoreError::away(doing, error))?
            .map_err(|error| away(doing, error))
    }
}

#[async_trait]
impl SearchIndex for TantivyIndex {
    async fn upsert(&self, entries: &[SearchEntry]) -> Result<(), StoreError> {
        let entries = entries.to_vec();
        self.run("change the search index", move |index| index.replace(&[], &entries)).await
    }

    async fn remove(&self, titles: &[TitleId]) -> Result<(), StoreError> {
        let titles = titles.to_vec();
        self.run("change the search index", move |index| index.replace(&titles, &[])).await
    }

    async fn query(&self, text: &str, count_max: usize) -> Result<Vec<SearchHit>, StoreError> {
        let words = rank::query_words(text);
        if words.is_empty() || count_max == 0 {
            return Ok(Vec::new());
        }
        let count_max = count_max.min(SEARCH_HITS_MAX);
        self.run("search", move |index| index.query(&words, count_max)).await
    }

    async fn titles(&self) -> Result<Vec<TitleId>, StoreError> {
        self.run("list the search index", Opened::titles).await
    }
}

impl Opened {
    fn open(path: &Path) -> Result<Self, TantivyError> {
        let (schema, fields) = schema();
        let index = Index::open_or_create(MmapDirectory::open(path)?, schema)?;
        let tokenizer = TextAnalyzer::builder(WhitespaceTokenizer::default()).build();
        index.tokenizers().register(TOKENIZER, tokenizer);
        let writer = index.writer_with_num_threads(1, SEARCH_WRITER_BYTES)?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self { fields, writer: Mutex::new(writer), reader })
    }

    /// Removes and adds in one commit.
    fn replace(&self, remove: &[TitleId], add: &[SearchEntry]) -> Result<(), TantivyError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let staged = self.stage(&writer, remove, add);
        if let Err(error) = staged {
            writer.rollback()?;
            return Err(error);
        }
        writer.commit()?;
        self.reader.reload()
    }

    fn stage(
        &self,
        writer: &IndexWriter,
        remove: &[TitleId],
        add: &[SearchEntry],
    ) -> Result<(), TantivyError> {
        for id in remove.iter().chain(add.iter().map(|entry| &entry.id)) {
            writer.delete_term(Term::from_field_text(self.fields.id, id.as_str()));
        }
        for entry in add {
            writer.add_document(document(self.fields, entry))?;
        }
        Ok(())
    }

    fn query(&self, words: &[String], count_max: usize) -> Result<Vec<SearchHit>, TantivyError> {
        let searcher = self.reader.searcher();
        let query = candidates(self.fields, words);
        let top = TopDocs::with_limit(SEARCH_CANDIDATES_MAX).order_by_score();
        let mut hits = Vec::new();
        for (_, address) in searcher.search(&query, &top)? {
            let Some(entry) = self.entry(&searcher, address)? else { continue };
            let score = rank::score(words, &entry);
            if score >= rank::SCORE_MIN {
                hits.push(SearchHit { title: entry.id, score });
            }
        }
        // Ids break ties, so that the same question has the same answer.
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.title.cmp(&b.title)));
        hits.truncate(count_max);
        Ok(hits)
    }

    fn titles(&self) -> Result<Vec<TitleId>, TantivyError> {
        let searcher = self.reader.searcher();
        let mut titles = Vec::new();
        for address in searcher.search(&AllQuery, &DocSetCollector)? {
            titles.extend(self.entry(&searcher, address)?.map(|entry| entry.id));
        }
        titles.sort();
        Ok(titles)
    }

    fn entry(
        &self,
        searcher: &tantivy::Searcher,
        address: DocAddress,
    ) -> Result<Option<SearchEntry>, TantivyError> {
        let document: TantivyDocument = searcher.doc(address)?;
        let text = document.get_first(self.fields.entry).and_then(|value| value.as_str());
        Ok(text.and_then(read_entry))
    }
}

fn schema() -> (Schema, Fields) {
    use tantivy::schema::{TextFieldIndexing, TextOptions};

    let words = TextOptions::default().set_indexing_options(
        TextFieldIndexing::default()
            .set_tokenizer(TOKENIZER)
            .set_index_option(IndexRecordOption::WithFreqs),
    );
    let mut builder = Schema::builder();
    let fields = Fields {
        id: builder.add_text_field("id", STRING),
        name: builder.add_text_field("name", words.clone()),
        joined: builder.add_text_field("joined", STRING),
        other: builder.add_text_field("other", words),
        entry: builder.add_text_field("entry", STORED),
    };
    (builder.build(), fields)
}

fn document(fields: Fields, entry: &SearchEntry) -> TantivyDocument {
    let name = rank::words(&entry.name);
    let people = entry.people.iter().chain(&entry.genres);
    let mut other: Vec<String> = people.flat_map(|text| rank::words(text)).collect();
    other.push(entry.year.to_string());
    let mut document = TantivyDocument::default();
    document.add_text(fields.id, entry.id.as_str());
    document.add_text(fields.name, name.join(" "));
    document.add_text(fields.joined, name.concat());
    document.add_text(fields.other, other.join(" "));
    document.add_text(fields.entry, write_entry(entry));
    document
}

/// Any title with one of these has a chance.
fn candidates(fields: Fields, words: &[String]) -> BooleanQuery {
    let mut any: Vec<Box<dyn Query>> = Vec::new();
    for (place, word) in words.iter().enumerate() {
        for (field, weight) in [(fields.name, 2.0), (fields.other, 1.0)] {
            let term = Term::from_field_text(field, word);
            let exact = TermQuery::new(term.clone(), IndexRecordOption::WithFreqs);
            any.push(Box::new(BoostQuery::new(Box::new(exact), 2.0 * weight)));
            let near = FuzzyTermQuery::new(term.clone(), typos(word), true);
            any.push(Box::new(BoostQuery::new(Box::new(near), weight)));
            if place + 1 == words.len() {
                let begins = FuzzyTermQuery::new_prefix(term, typos(word).min(1), true);
                any.push(Box::new(BoostQuery::new(Box::new(begins), weight)));
            }
        }
    }
    let joined = words.concat();
    let term = Term::from_field_text(fields.joined, &joined);
    let begins = FuzzyTermQuery::new_prefix(term, typos(&joined).min(1), true);
    any.push(Box::new(BoostQuery::new(Box::new(begins), 4.0)));
    BooleanQuery::union(any)
}

/// Edits forgiven: the shorter the word, the more other words are one edit away.
fn typos(word: &str) -> u8 {
    match word.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    }
}

fn write_entry(entry: &SearchEntry) -> String {
    serde_json::json!({
        "id": entry.id, "name": entry.name, "people": entry.people, "genres": entry.genres,
        "year": entry.year,
    })
    .to_string()
}

fn read_entry(text: &str) -> Option<SearchEntry> {
    #[derive(serde::Deserialize)]
    struct Kept {
        id: TitleId,
        name: String,
        people: Vec<String>,
        genres: Vec<String>,
        year: u16,
    }
    let Kept { id, name, people, genres, year } = serde_json::from_str(text).ok()?;
    Some(SearchEntry { id, name, people, genres, year })
}

fn is_damaged(error: &TantivyError) -> bool {
    !matches!(error, TantivyError::LockFailure(..) | TantivyError::IoError(_))
}

fn away(doing: &'static str, error: TantivyError) -> StoreError {
    StoreError::away(doing, error)
}
