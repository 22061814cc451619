//! Blobs as files `ab/cd/HASH` in one directory. A file appears whole or not at all: it is staged,
//! fsynced, renamed. Never deletes one.

use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use control_types::ObjectId;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Location;
use object_store::{Error as OriginError, ObjectStoreExt as _};

use crate::embedded::make_private;
use crate::limits::BLOB_BYTES_MAX;
use crate::{Blobs, StoreError};

/// The blobs adapter.
pub struct BlobDirectory {
    files: LocalFileSystem,
}

impl BlobDirectory {
    /// Opens or makes the directory.
    ///
    /// # Errors
    /// `Away`.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        make_private(directory)?;
        let files = LocalFileSystem::new_with_prefix(directory)
            .map_err(|error| StoreError::away("open the blob directory", error))?;
        Ok(Self { files: files.with_fsync(true) })
    }
}

#[async_trait]
impl Blobs for BlobDirectory {
    async fn put(&self, bytes: Bytes) -> Result<ObjectId, StoreError> {
        if bytes.is_empty() || bytes.len() > BLOB_BYTES_MAX {
            return Err(StoreError::Refused {
                what: "the blob".to_owned(),
                why: format!("{} bytes; use 1 to {BLOB_BYTES_MAX}", bytes.len()),
            });
        }
        let object = ObjectId(*blake3::hash(&bytes).as_bytes());
        // Written even when it is there: that mends a file that was damaged.
        self.files
            .put(&location(&object), bytes.into())
            .await
            .map_err(|error| StoreError::away("write a blob", error))?;
        Ok(object)
    }

    async fn get(&self, object: &ObjectId) -> Result<Option<Bytes>, StoreError> {
        let found = match self.files.get(&location(object)).await {
            Ok(found) => found,
            Err(OriginError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(StoreError::away("open a blob", error)),
        };
        if found.meta.size > BLOB_BYTES_MAX as u64 {
            return Err(damaged(object, "it is larger than a blob can be"));
        }
        let bytes = found.bytes().await.map_err(|error| StoreError::away("read a blob", error))?;
        if blake3::hash(&bytes).as_bytes() != &object.0 {
            return Err(damaged(object, "its bytes do not hash to its name"));
        }
        Ok(Some(bytes))
    }

    async fn holds(&self, object: &ObjectId) -> Result<bool, StoreError> {
        match self.files.head(&location(object)).await {
            Ok(_) => Ok(true),
            Err(OriginError::NotFound { .. }) => Ok(false),
            Err(error) => Err(StoreError::away("look for a blob", error)),
        }
    }
}

fn damaged(object: &ObjectId, why: &str) -> StoreError {
    StoreError::Damaged { what: format!("blob {object}"), why: why.to_owned() }
}

/// Two levels of 256: directories stay small whatever the catalog grows to.
fn location(object: &ObjectId) -> Location {
    let hex = object.to_string();
    Location::from(format!("{}/{}/{hex}", &hex[..2], &hex[2..4]))
}
