//! Goal: the index follows the catalog, and what a member may not see takes no place in an answer.
//! Method: the real embedded index in a private directory.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod titles;

use control_search::Search;
use control_search::limits::ANSWER_TITLES_MAX;
use control_store::open_embedded;
use control_types::catalog::TitleRecord;
use titles::record;

async fn search(directory: &std::path::Path) -> Search {
    Search::new(open_embedded(directory).await.unwrap().search)
}

async fn found(search: &Search, query: &str) -> Vec<String> {
    let (_, titles) = search.find(query, |_| true).await.unwrap();
    titles.iter().map(ToString::to_string).collect()
}

fn with_people(mut record: TitleRecord, people: &[&str]) -> TitleRecord {
    record.people = people.iter().map(|one| (*one).to_owned()).collect();
    record
}

#[tokio::test]
async fn names_people_and_genres_are_searched() {
    let directory = tempfile::tempdir().unwrap();
    let search = search(directory.path()).await;
    let dragon = record("sintel", "Sintel", 2010, vec!["Fantasy".into()]);
    let rabbit = record("rabbit", "Big Buck Bunny", 2008, vec!["Comedy".into()]);
    search.put(&with_people(dragon, &["Colin Levy"])).await.unwrap();
    search.put(&with_people(rabbit, &["Sacha Goedegebure"])).await.unwrap();
    for (query, wanted) in [
        ("sintel", "sintel"),
        ("SINTEL", "sintel"),
        ("sintl", "sintel"),
        ("colin levy", "sintel"),
        ("fantasy", "sintel"),
        ("big buck bun", "rabbit"),
        ("bunny buck", "rabbit"),
        ("goedegebure", "rabbit"),
    ] {
        assert_eq!(
            found(&search, query).await.first().map(String::as_str),
            Some(wanted),
            "{query}"
        );
    }
    for nothing in ["", "   ", "\0", "xylophone"] {
        assert!(found(&search, nothing).await.is_empty(), "{nothing:?}");
    }
}

#[tokio::test]
async fn the_index_follows_the_catalog() {
    let directory = tempfile::tempdir().unwrap();
    {
        let search = search(directory.path()).await;
        search.put(&record("a", "Winter Morning", 2001, vec![])).await.unwrap();
        search.put(&record("b", "Summer Evening", 2002, vec![])).await.unwrap();
        search.put(&record("a", "Autumn Morning", 2001, vec![])).await.unwrap();
        assert!(found(&search, "winter").await.is_empty(), "replaced");
        search.remove(&"b".parse().unwrap()).await.unwrap();
        search.remove(&"b".parse().unwrap()).await.unwrap();
        assert!(found(&search, "summer").await.is_empty(), "removed");
    }
    let search = search(directory.path()).await;
    assert_eq!(found(&search, "autumn").await, ["a"], "kept over a restart");
    let catalog = [record("c", "Spring Noon", 2003, vec![])];
    for _ in 0..2 {
        search.reconcile(&catalog).await.unwrap();
        assert!(found(&search, "autumn").await.is_empty(), "a stray is removed");
        assert_eq!(found(&search, "spring").await, ["c"]);
    }
}

#[tokio::test]
async fn what_may_not_be_seen_takes_no_place() {
    let directory = tempfile::tempdir().unwrap();
    let search = search(directory.path()).await;
    let catalog: Vec<TitleRecord> = (0..70)
        .map(|number| {
            record(&format!("n{number}"), &format!("Night Number {number}"), 2000, vec![])
        })
        .collect();
    search.reconcile(&catalog).await.unwrap();
    let odd = |id: &control_types::TitleId| {
        id.as_str()[1..].parse::<u32>().is_ok_and(|number| number % 2 == 1)
    };
    let (query, titles) = search.find("  night\tnumber ", odd).await.unwrap();
    assert_eq!(query, "night number");
    assert_eq!(titles.len(), 35);
    assert!(titles.iter().all(odd));
    assert_eq!(search.find("night", |_| true).await.unwrap().1.len(), ANSWER_TITLES_MAX);
}
