//! Which windows reach a box, a site or an ISP: among those of 3,000 boxes the ones that count for
//! one. Decides nothing about them.

use clap::Args;
use control_client::ControlClient;
use control_types::fill::WindowScope;
use control_types::{ApplianceId, IspId, SiteId};

use crate::failure::Failure;

/// Whose windows are listed; everybody's if nobody is named.
#[derive(Args)]
#[group(multiple = false)]
pub struct Reaching {
    /// Only those that reach this appliance: its own, its site's, its ISP's, everyone's.
    #[arg(long)]
    appliance: Option<ApplianceId>,
    /// Only those that reach this site or a box of it.
    #[arg(long)]
    site: Option<SiteId>,
    /// Only those that reach this ISP, a site or a box of it.
    #[arg(long)]
    isp: Option<IspId>,
}

/// Where boxes and sites are, and the place that was asked about.
pub struct Places {
    asked: Place,
    boxes: Vec<(ApplianceId, SiteId)>,
    sites: Vec<(SiteId, IspId)>,
}

/// A box, a site or an ISP with all that is around it.
#[derive(Default)]
struct Place {
    appliance: Option<ApplianceId>,
    site: Option<SiteId>,
    isp: Option<IspId>,
}

impl Reaching {
    /// What was asked about; none for everything.
    ///
    /// # Errors
    /// What control said, or that it knows no such box, site or ISP.
    pub async fn places(&self, control: &ControlClient) -> Result<Option<Places>, Failure> {
        let scope = match (&self.appliance, &self.site, &self.isp) {
            (Some(id), _, _) => WindowScope::Appliance(id.clone()),
            (_, Some(id), _) => WindowScope::Site(id.clone()),
            (_, _, Some(id)) => WindowScope::Isp(id.clone()),
            (None, None, None) => return Ok(None),
        };
        let boxes = control.appliances().await?.into_iter();
        let boxes = boxes.map(|one| (one.record.id, one.record.site)).collect();
        let sites = control.sites().await?.into_iter().map(|one| (one.id, one.isp)).collect();
        let mut places = Places { asked: Place::default(), boxes, sites };
        places.asked = places.place(&scope);
        let unknown = |what: String, cure: &str| Failure(format!("there is no {what}: {cure}"));
        match &scope {
            WindowScope::Appliance(id) if places.asked.site.is_none() => {
                Err(unknown(format!("appliance {id}"), "`ocactl appliance ls` lists them"))
            }
            WindowScope::Site(id) if places.asked.isp.is_none() => {
                Err(unknown(format!("site {id}"), "`ocactl site ls` lists them"))
            }
            WindowScope::Isp(id) if places.sites.iter().all(|(_, isp)| isp != id) => {
                Err(unknown(format!("site of ISP {id}"), "`ocactl site ls` lists them"))
            }
            _ => Ok(Some(places)),
        }
    }
}

impl Places {
    /// Whether a window for `scope` reaches what was asked about, or a part of it.
    pub fn reached_by(&self, scope: &WindowScope) -> bool {
        fn meet<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
            one.is_none() || other.is_none() || one == other
        }
        let (asked, window) = (&self.asked, self.place(scope));
        if window.isp.is_none() && *scope != WindowScope::Everyone {
            // Of a box or a site that is gone: it reaches nobody.
            return false;
        }
        meet(asked.appliance.as_ref(), window.appliance.as_ref())
            && meet(asked.site.as_ref(), window.site.as_ref())
            && meet(asked.isp.as_ref(), window.isp.as_ref())
    }

    fn place(&self, scope: &WindowScope) -> Place {
        let isp_of = |id: &SiteId| {
            let site = self.sites.iter().find(|(site, _)| site == id);
            site.map(|(_, isp)| isp.clone())
        };
        match scope {
            WindowScope::Appliance(id) => {
                let site = self.boxes.iter().find(|(appliance, _)| appliance == id);
                let site = site.map(|(_, site)| site.clone());
                let isp = site.as_ref().and_then(isp_of);
                Place { appliance: Some(id.clone()), site, isp }
            }
            WindowScope::Site(id) => {
                Place { appliance: None, site: Some(id.clone()), isp: isp_of(id) }
            }
            WindowScope::Isp(id) => Place { isp: Some(id.clone()), ..Place::default() },
            WindowScope::Everyone => Place::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_reaches_what_is_around_and_inside_its_scope() {
        let boxes = [("a1", "a"), ("a2", "a"), ("b1", "b"), ("c1", "c")];
        let sites = [("a", "one"), ("b", "one"), ("c", "two")];
        let boxes = boxes.map(|(id, site)| (id.parse().unwrap(), site.parse().unwrap()));
        let sites = sites.map(|(id, isp)| (id.parse().unwrap(), isp.parse().unwrap()));
        let (boxes, sites) = (boxes.to_vec(), sites.to_vec());
        let scope = |text: &str| match text.split_once(' ') {
            Some(("appliance", id)) => WindowScope::Appliance(id.parse().unwrap()),
            Some(("site", id)) => WindowScope::Site(id.parse().unwrap()),
            Some((_, id)) => WindowScope::Isp(id.parse().unwrap()),
            None => WindowScope::Everyone,
        };
        let mut all =
            vec!["appliance a1", "appliance b1", "site a", "site c", "isp one", "isp two", "all"];
        // Of a box and a site that were removed since.
        all.extend(["appliance gone", "site gone"]);
        let mut places = Places { asked: Place::default(), boxes, sites };
        for (asked, reached) in [
            ("appliance a1", vec![0, 2, 4, 6]),
            ("site a", vec![0, 2, 4, 6]),
            ("site b", vec![1, 4, 6]),
            ("isp one", vec![0, 1, 2, 4, 6]),
            ("isp two", vec![3, 5, 6]),
        ] {
            places.asked = places.place(&scope(asked));
            let found: Vec<usize> =
                (0..all.len()).filter(|at| places.reached_by(&scope(all[*at]))).collect();
            assert_eq!(found, reached, "{asked}");
        }
    }
}
