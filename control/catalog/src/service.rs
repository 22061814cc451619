//! The catalog over ledger and blobs: checked writes, and a snapshot for every read. The snapshot
//! is swapped whole; readers never wait for a writer.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use control_store::{Blobs, Events, Ledger};
use control_types::catalog::{Rendition, TitleRecord, Track};
use control_types::{ObjectId, TitleId, UnixMillis};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tracing::warn;

use crate::check;
use crate::error::CatalogError;
use crate::model::{Listed, Snapshot, image_type};

/// Topic of `title_put` and `title_removed`.
pub const TOPIC: &str = "catalog";

/// The service; share it through an `Arc`.
pub struct Catalog {
    ledger: Arc<dyn Ledger>,
    blobs: Arc<dyn Blobs>,
    events: Arc<dyn Events>,
    snapshot: ArcSwap<Snapshot>,
    /// Held over "write the ledger, swap the snapshot", so that swaps keep the ledger's order.
    writing: Mutex<()>,
}

impl Catalog {
    /// Reads all titles into the first snapshot.
    ///
    /// # Errors
    /// `Store`.
    pub async fn open(
        ledger: Arc<dyn Ledger>,
        blobs: Arc<dyn Blobs>,
        events: Arc<dyn Events>,
    ) -> Result<Self, CatalogError> {
        let snapshot = ArcSwap::from_pointee(load(ledger.as_ref()).await?);
        Ok(Self { ledger, blobs, events, snapshot, writing: Mutex::new(()) })
    }

    /// All titles as of now; keep it for the length of one request.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Registers or replaces the title named in the path. Renditions are kept in ladder order:
    /// video by height then rate, then audio by language then rate, lowest first.
    ///
    /// # Errors
    /// `Invalid` with every mistake, `Store`.
    pub async fn put(
        &self,
        title: &TitleId,
        mut record: TitleRecord,
        now: UnixMillis,
    ) -> Result<Arc<Listed>, CatalogError> {
        let _turn = self.writing.lock().await;
        let mistakes = self.mistakes(title, &record).await?;
        if !mistakes.is_empty() {
            return Err(CatalogError::Invalid { title: title.clone(), mistakes });
        }
        // Not before the check: a mistake names a rendition by its place in what was sent.
        sort_ladder(&mut record.renditions);
        let row = self.ledger.put_title(&record, now).await?;
        let version = self.ledger.titles_version().await?;
        let before = self.snapshot.load_full();
        let after = if version == before.version() + 1 {
            before.with(version, row)
        } else {
            // Another process wrote too: what is in memory is not the whole truth.
            load(self.ledger.as_ref()).await?
        };
        let listed = after.title(title).cloned();
        self.snapshot.store(Arc::new(after));
        let body = json!({"event": "title_put", "title": title, "name": record.name,
            "renditions": record.renditions.len()});
        self.tell(now, &body).await;
        listed.ok_or_else(|| CatalogError::Unknown(title.clone()))
    }

    /// Removes a title; members who play it now play on, their ticket holds.
    ///
    /// # Errors
    /// `Unknown`, `Store`.
    pub async fn remove(&self, title: &TitleId, now: UnixMillis) -> Result<(), CatalogError> {
        let _turn = self.writing.lock().await;
        if !self.ledger.remove_title(title).await? {
            return Err(CatalogError::Unknown(title.clone()));
        }
        let version = self.ledger.titles_version().await?;
        let before = self.snapshot.load_full();
        let after = if version == before.version() + 1 {
            before.without(version, title)
        } else {
            load(self.ledger.as_ref()).await?
        };
        self.snapshot.store(Arc::new(after));
        self.tell(now, &json!({"event": "title_removed", "title": title})).await;
        Ok(())
    }

    /// Reconciles the snapshot with the ledger; says whether it had changed. Takes no input: call
    /// it on a timer where more than one process writes titles.
    ///
    /// # Errors
    /// `Store`; the present snapshot stays.
    pub async fn refresh(&self) -> Result<bool, CatalogError> {
        let _turn = self.writing.lock().await;
        if self.ledger.titles_version().await? == self.snapshot.load().version() {
            return Ok(false);
        }
        self.snapshot.store(Arc::new(load(self.ledger.as_ref()).await?));
        Ok(true)
    }

    /// Keeps an image (JPEG, PNG or WebP) and returns its name for a title's `artwork`.
    ///
    /// # Errors
    /// `NotAnImage`, `Store` with `Refused` when it is too large.
    pub async fn put_artwork(&self, bytes: Bytes) -> Result<ObjectId, CatalogError> {
        if image_type(&bytes).is_none() {
            return Err(CatalogError::NotAnImage(
                "it does not begin like JPEG, PNG or WebP; convert it to one of these".to_owned(),
            ));
        }
        Ok(self.blobs.put(bytes).await?)
    }

    /// An image with its media type.
    ///
    /// # Errors
    /// `Store`, `Damaged` among it when the file no longer matches its name.
    pub async fn artwork(
        &self,
        object: &ObjectId,
    ) -> Result<Option<(Bytes, &'static str)>, CatalogError> {
        let found = self.blobs.get(object).await?;
        Ok(found.and_then(|bytes| image_type(&bytes).map(|kind| (bytes, kind))))
    }

    /// The rules on the record alone, then those that need to look elsewhere.
    async fn mistakes(
        &self,
        title: &TitleId,
        record: &TitleRecord,
    ) -> Result<Vec<String>, CatalogError> {
        let mut found = check::mistakes(record);
        if record.id != *title {
            found.insert(0, format!("id is {} and the path says {title}", record.id));
        }
        for image in &record.artwork {
            if !self.blobs.holds(&image.object).await? {
                found
                    .push(format!("artwork {} does not exist; post the image first", image.object));
            }
        }
        let snapshot = self.snapshot.load();
        for object in record.renditions.iter().flat_map(|one| [one.media, one.playlist]) {
            match snapshot.holder(&object) {
                Some(holder) if holder != title => found.push(format!(
                    "object {object} belongs to title {holder}; an object has one title"
                )),
                _ => {}
            }
        }
        Ok(found)
    }

    /// The title stands in the ledger already: a log that is away must not make it look undone.
    async fn tell(&self, now: UnixMillis, body: &Value) {
        if let Err(error) = self.events.append(TOPIC, now, body).await {
            warn!(topic = TOPIC, %error, "an event was not recorded");
        }
    }
}

/// The version is read first: a change in between makes the snapshot look older than it is, and
/// the next refresh reads again.
async fn load(ledger: &dyn Ledger) -> Result<Snapshot, CatalogError> {
    let version = ledger.titles_version().await?;
    let rows = ledger.titles().await?;
    Ok(Snapshot::from_rows(version, rows))
}

fn sort_ladder(renditions: &mut [Rendition]) {
    renditions.sort_by(|a, b| {
        let key = |one: &Rendition| match &one.track {
            Track::Video { height, .. } => (0, *height, String::new(), one.average_bps),
            Track::Audio { language, .. } => (1, 0, language.clone(), one.average_bps),
        };
        key(a).cmp(&key(b))
    });
}
