//! What could be placed, as dense numbers: objects with their sizes, and the parcels they travel
//! in. Knows no name and no appliance.
//!
//! The planner works on indices because a fleet has a million objects and a thousand boxes: ids are
//! looked up once, at the edge, and never inside a loop over both.

/// Objects and parcels. An object is in one parcel at most; a parcel goes to a box whole.
#[derive(Clone, Debug, Default)]
pub struct Library {
    /// Disk each object takes, bytes; see [`crate::footprint`].
    sizes: Vec<u64>,
    /// Objects of parcel `p` are `members[starts[p]..starts[p + 1]]`, smallest first.
    starts: Vec<u32>,
    members: Vec<u32>,
    /// Disk each parcel takes, bytes.
    bytes: Vec<u64>,
    /// Size of each parcel's largest object, bytes.
    largest: Vec<u64>,
    /// What each parcel draws its boxes by.
    keys: Vec<u64>,
}

impl Library {
    /// Objects of these sizes, in no parcel yet.
    #[must_use]
    pub fn new(sizes: Vec<u64>) -> Self {
        Self { sizes, starts: vec![0], ..Self::default() }
    }

    /// Every object a parcel of its own, with the same index.
    #[must_use]
    pub fn of_objects(sizes: Vec<u64>, keys: Vec<u64>) -> Self {
        let count = u32::try_from(sizes.len()).unwrap_or(u32::MAX);
        Self {
            starts: (0..=count).collect(),
            members: (0..count).collect(),
            bytes: sizes.clone(),
            largest: sizes.clone(),
            sizes,
            keys,
        }
    }

    /// Adds a parcel of `objects`, smallest first, and answers its index.
    pub fn push(&mut self, key: u64, objects: &[u32]) -> u32 {
        let sizes = || objects.iter().map(|object| self.sizes[*object as usize]);
        let (bytes, largest) = (sizes().sum(), sizes().max().unwrap_or(0));
        self.members.extend_from_slice(objects);
        self.starts.push(u32::try_from(self.members.len()).unwrap_or(u32::MAX));
        self.bytes.push(bytes);
        self.largest.push(largest);
        self.keys.push(key);
        u32::try_from(self.bytes.len() - 1).unwrap_or(u32::MAX)
    }

    /// Objects there are.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.sizes.len()
    }

    /// Parcels there are.
    #[must_use]
    pub fn parcels(&self) -> usize {
        self.bytes.len()
    }

    /// Disk an object takes, bytes.
    #[must_use]
    pub fn size(&self, object: u32) -> u64 {
        self.sizes[object as usize]
    }

    /// Objects of a parcel, smallest first.
    #[must_use]
    pub fn members(&self, parcel: u32) -> &[u32] {
        let at = parcel as usize;
        &self.members[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    /// Disk a parcel takes, bytes.
    #[must_use]
    pub fn bytes(&self, parcel: u32) -> u64 {
        self.bytes[parcel as usize]
    }

    /// Size of a parcel's largest object, bytes.
    pub(crate) fn largest(&self, parcel: u32) -> u64 {
        self.largest[parcel as usize]
    }

    /// What a parcel draws its boxes by.
    pub(crate) fn key(&self, parcel: u32) -> u64 {
        self.keys[parcel as usize]
    }

    /// Size of the smallest parcel, bytes; 0 when there is none.
    pub(crate) fn smallest(&self) -> u64 {
        self.bytes.iter().copied().min().unwrap_or(0)
    }
}
