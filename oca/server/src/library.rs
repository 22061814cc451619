//! What this appliance can serve, as the workers see it: a snapshot in memory, swapped by the admin
//! thread. Never touches a disk; `admin::follow` keeps it fresh.

mod lab;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use control_types::ObjectId;
use control_types::fleet::DiskClass;
use control_types::limits::CHUNK_BYTES;
use oca_http::Spelling;
use oca_store::{Index, Seal, Volume};

use crate::devices::{Devices, Patience};

pub use lab::{Lab, LabError};

/// Which bytes of an object's file are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// The payload: what the object is named after.
    Payload,
    /// The seal region before it, for appliances that fill from here.
    Seal,
}

/// Something that can be served: all that the path to its bytes needs, and nothing borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name; in a lab, a digest of path, size and time that stands for one version of a file.
    pub object: ObjectId,
    /// Payload or seal.
    pub view: View,
    /// Bytes of this view.
    pub bytes: u64,
    /// Where this view starts in the file, a multiple of 4096.
    pub offset: u64,
    /// Position of the volume in the configuration; 0 in a lab.
    pub volume: u16,
    /// Flash or rotating.
    pub class: DiskClass,
    /// For `Content-Type`.
    pub media_type: &'static str,
    /// Payload bytes when the file starts with a seal that each chunk is checked against; absent in
    /// a lab, where nothing is.
    pub sealed: Option<u64>,
    /// When it was last changed, Unix seconds; absent for sealed objects, which have no date: their
    /// name says all. Also absent where it could have changed twice within that second.
    pub modified: Option<u64>,
}

impl Found {
    /// Number of chunks of this view.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        // At most OBJECT_BYTES_MAX / CHUNK_BYTES for an object; a lab file over 1 PiB is cut off.
        u32::try_from(self.bytes.div_ceil(CHUNK_BYTES)).unwrap_or(u32::MAX)
    }

    /// Bytes of chunk `index`, 0 past the end.
    #[must_use]
    pub fn chunk_bytes(&self, index: u32) -> usize {
        let start = u64::from(index) * CHUNK_BYTES;
        self.bytes.saturating_sub(start).min(CHUNK_BYTES) as usize
    }
}

/// Sealed objects on volumes, or the plain files of a lab.
pub enum Library {
    /// `oca serve`.
    Sealed(Sealed),
    /// `oca lab`.
    Lab(Lab),
}

/// The objects of the configured volumes.
pub struct Sealed {
    index: ArcSwap<Index>,
    volumes: Arc<[Volume]>,
    devices: Devices,
    /// Copies found bad since the journal last spoke of them; nearly always empty.
    condemned: ArcSwap<Vec<(u16, ObjectId)>>,
}

/// Why a lookup gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No such object here.
    Unknown,
    /// It is here and belongs to another title.
    OtherTitle,
    /// The only copy was found bad.
    Condemned,
}

impl Sealed {
    /// Serves what `index` holds, from the devices that are under its volumes.
    #[must_use]
    pub fn new(index: Index) -> Self {
        Self::with_patience(index, Patience::default())
    }

    /// The same with an operator's idea of how long a device may be silent.
    #[must_use]
    pub fn with_patience(index: Index, patience: Patience) -> Self {
        let devices = Devices::under(index.volumes(), patience);
        Self::on(index, devices)
    }

    /// Serves what `index` holds, from `devices`.
    #[must_use]
    pub fn on(index: Index, devices: Devices) -> Self {
        let volumes = index.volumes().into();
        Self {
            index: ArcSwap::from_pointee(index),
            volumes,
            devices,
            condemned: ArcSwap::default(),
        }
    }

    /// `object` (its payload), if it belongs to `title`; any title will do when absent.
    ///
    /// # Errors
    /// Why there is nothing to serve.
    pub fn find(&self, object: &ObjectId, title: Option<&[u8]>) -> Result<Found, Missing> {
        let index = self.index.load();
        let entry = index.find(object).ok_or(Missing::Unknown)?;
        if title.is_some_and(|title| title != entry.title.as_str().as_bytes()) {
            return Err(Missing::OtherTitle);
        }
        let volume = u16::try_from(entry.volume).map_err(|_| Missing::Unknown)?;
        let found = Found {
            object: *object,
            view: View::Payload,
            bytes: entry.bytes,
            offset: entry.payload_offset(),
            volume,
            class: entry.class,
            media_type: entry.media_type.as_str(),
            sealed: Some(entry.bytes),
            modified: None,
        };
        drop(index);
        self.best(found).ok_or(Missing::Condemned)
    }

    /// The copy to begin with: of those not condemned, one on a device that is read from, if any.
    fn best(&self, found: Found) -> Option<Found> {
        let is_good = |copy: &Found| !self.is_condemned(copy.volume, &copy.object);
        if is_good(&found) && self.devices.may_read(found.volume) {
            return Some(found);
        }
        let good: Vec<Found> =
            std::iter::once(found).chain(self.copies(&found)).filter(is_good).collect();
        let readable = good.iter().find(|copy| self.devices.may_read(copy.volume));
        readable.or(good.first()).copied()
    }

    /// The other copies of what was found, in the order of the configuration.
    fn copies(&self, found: &Found) -> impl Iterator<Item = Found> + use<> {
        let (found, index) = (*found, self.index.load_full());
        (0..self.volumes.len()).filter_map(move |number| {
            let volume = u16::try_from(number).ok().filter(|volume| *volume != found.volume)?;
            let class = index.volumes().get(number)?.class();
            index.has_copy(number, &found.object).then_some(Found { volume, class, ..found })
        })
    }

    /// The seal region of `object`.
    ///
    /// # Errors
    /// As `find`.
    pub fn find_seal(&self, object: &ObjectId) -> Result<Found, Missing> {
        let payload = self.find(object, None)?;
        Ok(Found {
            view: View::Seal,
            bytes: Seal::region_bytes_for(payload.bytes),
            offset: 0,
            media_type: "application/octet-stream",
            ..payload
        })
    }

    /// Stops serving one copy at once, on every worker.
    pub fn condemn(&self, volume: u16, object: ObjectId) {
        self.condemned.rcu(|old| {
            let mut new = Vec::clone(old);
            if !new.contains(&(volume, object)) {
                new.push((volume, object));
            }
            new
        });
    }

    /// The journal spoke of this copy: it is what it now says.
    pub fn absolve(&self, volume: u16, object: &ObjectId) {
        if self.is_condemned(volume, object) {
            self.condemned.rcu(|old| {
                old.iter().filter(|copy| **copy != (volume, *object)).copied().collect::<Vec<_>>()
            });
        }
    }

    /// Whether this copy was found bad.
    #[must_use]
    pub fn is_condemned(&self, volume: u16, object: &ObjectId) -> bool {
        self.condemned.load().contains(&(volume, *object))
    }

    /// The index being served now.
    #[must_use]
    pub fn index(&self) -> Arc<Index> {
        self.index.load_full()
    }

    /// Serves `index` from now on.
    pub fn swap(&self, index: Index) {
        self.index.store(Arc::new(index));
    }

    /// What is under them.
    #[must_use]
    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    /// The volumes, in the order of the configuration.
    #[must_use]
    pub fn volumes(&self) -> &[Volume] {
        &self.volumes
    }
}

impl Library {
    /// How the paths of requests may be spelled: our own names need one way, people's files do not.
    #[must_use]
    pub fn spelling(&self) -> Spelling {
        match self {
            Self::Sealed(_) => Spelling::Plain,
            Self::Lab(_) => Spelling::Escaped,
        }
    }

    /// Where the file of `found` is; absent when it went away since. Allocates.
    #[must_use]
    pub fn path(&self, found: &Found) -> Option<PathBuf> {
        match self {
            Self::Sealed(sealed) => {
                let volume = sealed.volumes.get(usize::from(found.volume))?;
                Some(volume.object_path(&found.object))
            }
            Self::Lab(lab) => lab.path(&found.object),
        }
    }

    /// Whether symbolic links are followed when a file is opened: those above an operator's volumes
    /// are, while whoever may write to a lab's directory must not lead out of it.
    #[must_use]
    pub fn follows_links(&self) -> bool {
        matches!(self, Self::Sealed(_))
    }

    /// Other copies of what was found, that another disk may have. Not on the path of a chunk that
    /// can be read: it allocates.
    #[must_use]
    pub fn copies(&self, found: &Found) -> Box<dyn Iterator<Item = Found>> {
        match self {
            Self::Sealed(sealed) => Box::new(sealed.copies(found)),
            Self::Lab(_) => Box::new(std::iter::empty()),
        }
    }

    /// What is under the volumes.
    #[must_use]
    pub fn devices(&self) -> &Devices {
        match self {
            Self::Sealed(sealed) => &sealed.devices,
            Self::Lab(lab) => lab.devices(),
        }
    }

    /// Whether this copy was found bad since it was looked up.
    #[must_use]
    pub fn is_condemned(&self, found: &Found) -> bool {
        match self {
            Self::Sealed(sealed) => sealed.is_condemned(found.volume, &found.object),
            Self::Lab(_) => false,
        }
    }

    /// Stops serving a copy whose bytes are wrong.
    pub fn condemn(&self, volume: u16, object: ObjectId) {
        match self {
            Self::Sealed(sealed) => sealed.condemn(volume, object),
            Self::Lab(_) => {}
        }
    }
}
