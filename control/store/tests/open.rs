//! A state directory opens whole, is private, remembers, and belongs to one process.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::os::unix::fs::PermissionsExt as _;

use bytes::Bytes;
use control_store::{Offset, StoreError, open_embedded};
use control_types::UnixMillis;
use serde_json::json;

#[tokio::test]
async fn a_state_directory_is_made_private_and_remembers() {
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("var/control");
    let object = {
        let ports = open_embedded(&state).await.unwrap();
        ports.events.append("plays", UnixMillis(1), &json!({"a": 1})).await.unwrap();
        ports.blobs.put(Bytes::from_static(b"picture")).await.unwrap()
    };
    let mode = std::fs::metadata(&state).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let ports = open_embedded(&state).await.unwrap();
    assert_eq!(ports.events.end("plays").await.unwrap(), Offset(1));
    assert!(ports.blobs.holds(&object).await.unwrap());
    assert_eq!(ports.ledger.titles_version().await.unwrap(), 0);
}

#[tokio::test]
async fn a_second_process_is_told_what_to_do() {
    let state = tempfile::tempdir().unwrap();
    let _ports = open_embedded(state.path()).await.unwrap();
    let Err(error) = open_embedded(state.path()).await else { panic!("two processes") };
    assert!(matches!(&error, StoreError::Refused { why, .. } if why.contains("state directory")));
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    std::fs::write(&file, b"in the way").unwrap();
    let Err(error) = open_embedded(&file.join("state")).await else { panic!("opened a file") };
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("file/state"), "{error}: {cause}");
}

#[tokio::test]
async fn secrets_are_private_in_a_directory_that_is_not() {
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o755)).unwrap();
    let _ports = open_embedded(&state).await.unwrap();
    let files = std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.is_file()).collect();
    assert!(files.iter().any(|path| path.ends_with("ledger.sqlite-wal")), "{files:?}");
    for path in files {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is {mode:o}", path.display());
    }
}
