//! How the catalog says no.

use control_store::StoreError;
use control_types::TitleId;
use thiserror::Error;

/// What the catalog could not do.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// The operator's record breaks rules: all of them are listed, so that one round mends it.
    #[error("title {title} has {} mistake(s): {}", mistakes.len(), mistakes.join("; "))]
    Invalid {
        /// Which.
        title: TitleId,
        /// One sentence each, naming the field.
        mistakes: Vec<String>,
    },
    /// No such title.
    #[error("there is no title {0}")]
    Unknown(TitleId),
    /// Its licence does not reach the member's region.
    #[error("title {title} is not available in this region")]
    NotHere {
        /// Which.
        title: TitleId,
    },
    /// Artwork that no browser would show.
    #[error("the image is refused: {0}")]
    NotAnImage(String),
    /// Ledger or blobs; worth a retry when it is `Away`.
    #[error("the catalog could not reach its store")]
    Store(#[from] StoreError),
}
