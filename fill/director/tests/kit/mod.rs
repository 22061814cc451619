//! What the tests of this crate share: boxes with one disk. Holds no assertions.

use control_types::fill::FillAppliance;
use control_types::fleet::{DiskClass, HeldObject, Role, VolumeReport};
use control_types::ids::ObjectId;

/// A healthy box at the site that its name begins with, of the operator or of the one ISP; what it
/// holds is of `object_bytes` each.
pub fn box_of(
    name: &str,
    role: Role,
    capacity_bytes: u64,
    (holds, object_bytes): (&[ObjectId], u64),
) -> FillAppliance {
    let class = DiskClass::Ssd;
    let held = |object: &ObjectId| HeldObject { object: *object, bytes: object_bytes, class };
    FillAppliance {
        appliance: name.parse().unwrap(),
        site: name.split('-').next().unwrap().parse().unwrap(),
        isp: if role == Role::Origin { "operator" } else { "isp" }.parse().unwrap(),
        role,
        healthy: true,
        media_url: format!("https://{name}"),
        volumes: vec![VolumeReport {
            path: "/ssd".to_owned(),
            class,
            capacity_bytes,
            used_bytes: 0,
            healthy: true,
        }],
        holds: holds.iter().map(held).collect(),
    }
}
