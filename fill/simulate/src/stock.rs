//! What a site's boxes choose from on one night: the titles of a trace, each cut as the planner
//! cuts it for what is expected there. Chooses nothing.

use fill_plan::ladder::{File, cut};
use fill_plan::{Candidate, Library, footprint, name_key};

use crate::setting::Unit;
use crate::trace::Trace;

/// The objects of each title, and how titles are cut.
pub(crate) struct Stock {
    unit: Unit,
    sizes: Vec<u64>,
    /// By title.
    keys: Vec<u64>,
    objects: Vec<Vec<u32>>,
    heights: Vec<u32>,
}

/// What may be placed tonight; parcels and candidates have the same numbers.
pub(crate) struct Choice {
    pub(crate) library: Library,
    pub(crate) candidates: Vec<Candidate>,
    /// By object; `u32::MAX` for one that is no candidate.
    pub(crate) parcel_of: Vec<u32>,
}

impl Stock {
    pub(crate) fn new(trace: &Trace, unit: Unit) -> Self {
        let mut objects = vec![Vec::new(); trace.titles.len()];
        for (at, object) in (0_u32..).zip(&trace.objects) {
            objects[object.title as usize].push(at);
        }
        let sizes: Vec<u64> = trace.objects.iter().map(|one| footprint(one.bytes)).collect();
        objects.iter_mut().for_each(|of_title| of_title.sort_by_key(|at| sizes[*at as usize]));
        Self {
            unit,
            sizes,
            keys: trace.titles.iter().map(|title| name_key(&title.name)).collect(),
            objects,
            heights: trace.objects.iter().map(|object| object.height).collect(),
        }
    }

    /// Disk an object takes, bytes.
    pub(crate) fn size(&self, object: u32) -> u64 {
        self.sizes[object as usize]
    }

    /// Objects there are.
    pub(crate) fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Titles of which something is expected or held, cut; `expected` is bytes by object.
    pub(crate) fn choice(&self, expected: &[f32], is_held: impl Fn(u32) -> bool) -> Choice {
        let mut library = Library::new(self.sizes.clone());
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut parcel_of = vec![u32::MAX; self.len()];
        let demand = |object: u32| f64::from(expected[object as usize]);
        for (objects, key) in self.objects.iter().zip(&self.keys) {
            if !objects.iter().any(|object| demand(*object) > 0.0 || is_held(*object)) {
                continue;
            }
            let first = candidates.len() as u32;
            for part in self.parts(objects, demand) {
                let of_part = part.iter().map(|object| demand(*object)).sum();
                let parcel = library.push(*key, &part);
                part.iter().for_each(|object| parcel_of[*object as usize] = parcel);
                let core = (parcel > first).then_some(first);
                candidates.push(Candidate { parcel, demand: of_part, core });
            }
        }
        Choice { library, candidates, parcel_of }
    }

    fn parts(&self, objects: &[u32], demand: impl Fn(u32) -> f64) -> Vec<Vec<u32>> {
        if self.unit == Unit::Titles {
            return vec![objects.to_vec()];
        }
        let file = |object: &u32| File {
            bytes: self.size(*object),
            demand: demand(*object),
            height: Some(self.heights[*object as usize]).filter(|height| *height > 0),
        };
        let files: Vec<File> = objects.iter().map(file).collect();
        let named = |part: Vec<u32>| part.iter().map(|at| objects[*at as usize]).collect();
        cut(&files).into_iter().map(named).collect()
    }
}
