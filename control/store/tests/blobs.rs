//! What any blob store must do; run on the local directory.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::path::Path;

use bytes::Bytes;
use control_store::embedded::BlobDirectory;
use control_store::{Blobs, StoreError, limits};
use control_types::ObjectId;

/// The suite.
async fn conforms(blobs: &dyn Blobs) {
    let bytes = Bytes::from_static(b"a small picture");
    let object = blobs.put(bytes.clone()).await.unwrap();
    assert_eq!(object, ObjectId(*blake3::hash(&bytes).as_bytes()));
    assert_eq!(blobs.put(bytes.clone()).await.unwrap(), object, "twice is once");
    assert_eq!(blobs.get(&object).await.unwrap(), Some(bytes));
    assert!(blobs.holds(&object).await.unwrap());

    let unknown = ObjectId([9; 32]);
    assert_eq!(blobs.get(&unknown).await.unwrap(), None);
    assert!(!blobs.holds(&unknown).await.unwrap());

    let largest = Bytes::from(vec![1; limits::BLOB_BYTES_MAX]);
    let object = blobs.put(largest.clone()).await.unwrap();
    assert_eq!(blobs.get(&object).await.unwrap(), Some(largest));
    for refused in [Bytes::new(), Bytes::from(vec![1; limits::BLOB_BYTES_MAX + 1])] {
        assert!(matches!(blobs.put(refused).await, Err(StoreError::Refused { .. })));
    }
}

fn file_of(directory: &Path, object: &ObjectId) -> std::path::PathBuf {
    let hex = object.to_string();
    directory.join(&hex[..2]).join(&hex[2..4]).join(hex)
}

#[tokio::test]
async fn the_local_directory_conforms() {
    let directory = tempfile::tempdir().unwrap();
    conforms(&BlobDirectory::open(directory.path()).unwrap()).await;
    // A second look from a new process, so to say.
    conforms(&BlobDirectory::open(directory.path()).unwrap()).await;
}

#[tokio::test]
async fn a_file_that_changed_is_damaged_until_it_is_put_again() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = BlobDirectory::open(directory.path()).unwrap();
    let bytes = Bytes::from_static(b"a small picture");
    let object = blobs.put(bytes.clone()).await.unwrap();
    let file = file_of(directory.path(), &object);
    std::fs::write(&file, b"a small pictur3").unwrap();
    let error = blobs.get(&object).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Damaged { what, .. } if what.contains(&object.to_string()))
    );
    blobs.put(bytes.clone()).await.unwrap();
    assert_eq!(blobs.get(&object).await.unwrap(), Some(bytes));
}
