//! Tomorrow's bytes by object where one copy set serves, worked out once for all that asks. Adds
//! up; forecasts nothing.

use std::collections::HashMap;

use control_types::fill::PlaceableObject;
use control_types::ids::SiteId;

/// What every site expects of every object.
pub(crate) struct Wishes<'a> {
    /// Bytes expected of each object by a site that it does not name.
    elsewhere: Vec<f64>,
    /// What the objects that name a site expect there, by index.
    named: HashMap<&'a SiteId, Vec<(u32, f64)>>,
}

impl<'a> Wishes<'a> {
    pub(crate) fn new(objects: &'a [PlaceableObject]) -> Self {
        let elsewhere = objects.iter().map(|one| sound(one.demand_bytes_elsewhere)).collect();
        let mut named: HashMap<&SiteId, Vec<(u32, f64)>> = HashMap::new();
        for (at, object) in (0_u32..).zip(objects) {
            for demand in &object.demand_bytes {
                let there = named.entry(&demand.site).or_default();
                // A site that is named twice counts once, as it was named first.
                if there.last().is_none_or(|(last, _)| *last != at) {
                    there.push((at, sound(demand.bytes)));
                }
            }
        }
        Self { elsewhere, named }
    }

    /// Bytes expected of each object at all of `sites` together; of none when there are none.
    pub(crate) fn at(&self, sites: &[&SiteId]) -> Vec<f64> {
        let mut sum: Option<Vec<f64>> = None;
        for site in sites {
            let mut here = self.elsewhere.clone();
            for (at, bytes) in self.named.get(site).into_iter().flatten() {
                here[*at as usize] = *bytes;
            }
            sum = Some(match sum {
                None => here,
                Some(sum) => sum.iter().zip(&here).map(|(a, b)| a + b).collect(),
            });
        }
        sum.unwrap_or_else(|| vec![0.0; self.elsewhere.len()])
    }
}

/// A forecast gone wrong must not order the whole fleet: no bytes is the safe reading.
fn sound(bytes: f64) -> f64 {
    if bytes.is_finite() { bytes.max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use control_types::fill::SiteDemand;
    use control_types::ids::ObjectId;

    use super::*;

    #[test]
    fn a_site_expects_what_is_said_of_it_and_the_rest_what_is_said_of_all() {
        let (a, b, c): (SiteId, SiteId, SiteId) =
            ("a".parse().unwrap(), "b".parse().unwrap(), "c".parse().unwrap());
        let demand = |site: &SiteId, bytes| SiteDemand { site: site.clone(), bytes };
        let object = |demand_bytes, demand_bytes_elsewhere| PlaceableObject {
            object: ObjectId([0; 32]),
            bytes: 1,
            title: "t".parse().unwrap(),
            height: None,
            demand_bytes,
            demand_bytes_elsewhere,
        };
        let objects = [
            object(vec![demand(&a, 5.0), demand(&b, 7.0), demand(&a, 9.0)], 1.0),
            object(vec![demand(&b, f64::NAN), demand(&a, -3.0)], f64::INFINITY),
            object(Vec::new(), 2.0),
        ];
        let wishes = Wishes::new(&objects);
        assert_eq!(wishes.at(&[&a]), [5.0, 0.0, 2.0]);
        assert_eq!(wishes.at(&[&b, &c]), [8.0, 0.0, 4.0]);
        assert_eq!(wishes.at(&[]), [0.0; 3]);
    }
}
