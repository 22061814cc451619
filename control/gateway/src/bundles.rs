//! Steering bundles over HTTP: to an appliance the one of its ISP, to the operator what there is,
//! to Prometheus how it is going. Makes none: `control`'s background does.

use std::fmt::Write as _;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use control_steering::BundleDesk;
use control_steering::bundle::Made;
use control_types::ErrorWord;
use control_types::bundle::{BUNDLE_CHANGE_TYPE, BundleCut, BundleListed, SignedBundle};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::errors::Refusal;
use crate::gateway::Gateway;
use crate::who::{Appliance, Operator};

pub(crate) fn appliance_routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(own_bundle))
}

pub(crate) fn operator_routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(bundles))
}

/// What the caller's ISP's appliances answer `/steering` from when control is away, signed. The
/// entity tag is the bundle's serial. Who holds one of the last few, says so and takes
/// `application/vnd.nightfill.bundle-change+json` in gzip is told what changed since.
#[utoipa::path(get, path = "/v1/appliance/steering", tag = "appliance",
    params(("if-none-match" = Option<String>, Header, description = "serial held, in quotes")),
    responses((status = 200, body = SignedBundle),
        (status = 304, description = "the one held is the newest")),
    security(("appliance" = [])))]
async fn own_bundle(
    State(gateway): State<Gateway>,
    appliance: Appliance,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let services = gateway.services();
    let isp = services.steering.isp_of(&appliance.0);
    let isp = isp.ok_or_else(|| Refusal::not_found(format_args!("appliance {}", appliance.0)))?;
    let made = services.bundles.ask(&isp, gateway.now()).ok_or_else(|| {
        let message = format!("no steering bundle of ISP {isp} is made yet; it is being made now");
        Refusal::new(ErrorWord::Unavailable, message)
    })?;
    let tag = format!("\"{}\"", made.serial);
    let is_known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .any(|known| known.to_str().is_ok_and(|known| names(known, &tag)));
    let head: [(HeaderName, HeaderValue); 2] = [
        (header::ETAG, HeaderValue::try_from(tag).expect("digits in quotes are a header")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
    ];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, head).into_response());
    }
    Ok((head, body_of(&made, &headers)).into_response())
}

/// The bundle as its caller takes it: what changed since the one he holds, packed, or as it is.
fn body_of(made: &Made, headers: &HeaderMap) -> impl IntoResponse + use<> {
    let takes = |name: HeaderName, what: &str| {
        let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.any(|value| value.split(',').any(|one| accepts(one, what)))
    };
    let takes_packed = takes(header::ACCEPT_ENCODING, "gzip");
    let held = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|tag| tag.to_str().ok());
    let held = held.flat_map(|tags| tags.split(',')).map(str::trim);
    let held = held.map(|tag| tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"'));
    let mut held = held.filter_map(|tag| tag.parse().ok());
    let change = takes_packed && takes(header::ACCEPT, BUNDLE_CHANGE_TYPE);
    let change = change.then(|| held.find_map(|serial| made.packed_since(serial))).flatten();
    // Shared with all who fetch it at the same time: a bundle may be megabytes.
    let (kind, packed, bytes) = match change {
        Some(change) => (BUNDLE_CHANGE_TYPE, true, Bytes::from_owner(change)),
        None if takes_packed => ("application/json", true, Bytes::from_owner(made.packed())),
        None => ("application/json", false, Bytes::from(made.body())),
    };
    let mut head = HeaderMap::new();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    head.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding, if-none-match"));
    if packed {
        head.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    (head, bytes)
}

/// Whether one member of an `Accept` or `Accept-Encoding` asks for `what`, and not with `q=0`,
/// which says never (RFC 9110 12.4.2).
fn accepts(one: &str, what: &str) -> bool {
    let mut parts = one.split(';').map(str::trim);
    let is_it = parts.next().is_some_and(|named| named.eq_ignore_ascii_case(what));
    let mut weights =
        parts.filter_map(|part| part.split_once('=')).filter(|(name, _)| *name == "q");
    is_it && weights.all(|(_, weight)| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
}

/// Whether `If-None-Match` names this tag, by the weak comparison of RFC 9110 13.1.2.
fn names(known: &str, tag: &str) -> bool {
    let mut tags = known.split(',').map(str::trim);
    tags.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// The newest steering bundle of every ISP that asked since control started, without content.
#[utoipa::path(get, path = "/v1/operator/steer/bundles", tag = "operator",
    responses((status = 200, body = Vec<BundleListed>)), security(("operator" = [])))]
async fn bundles(State(gateway): State<Gateway>, _: Operator) -> Json<Vec<BundleListed>> {
    let newest = gateway.services().bundles.newest();
    Json(newest.values().map(|made| made.listed.clone()).collect())
}

/// Prometheus text. Labels are closed sets: never an ISP.
pub(crate) fn metrics_text(desk: &BundleDesk) -> String {
    let (newest, totals) = (desk.newest(), desk.totals());
    let of = |what: fn(&BundleListed) -> u64| newest.values().map(move |made| what(&made.listed));
    let mut text = String::new();
    let single = [
        ("control_steering_bundles", "gauge", "ISPs with a bundle.", newest.len() as u64),
        (
            "control_steering_bundle_serial",
            "gauge",
            "The highest serial.",
            of(|one| one.serial).max().unwrap_or(0),
        ),
        (
            "control_steering_bundle_bytes",
            "gauge",
            "All ISPs' newest together.",
            of(|one| one.bytes).sum(),
        ),
        (
            "control_steering_bundle_bytes_max",
            "gauge",
            "The longest of them.",
            of(|one| one.bytes).max().unwrap_or(0),
        ),
        ("control_steering_bundles_made_total", "counter", "Bundles signed.", totals.made),
        (
            "control_steering_bundles_unchanged_total",
            "counter",
            "Drafts that said what the last bundle said.",
            totals.unchanged,
        ),
    ];
    for (name, kind, help, value) in single {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
    let name = "control_steering_bundle_build_seconds_total";
    let seconds = totals.build_us as f64 / 1e6;
    let help = "Time spent on drafts and bundles.";
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {seconds}");
    let cuts: [(&str, CountOf); 4] = [
        ("appliances", |cut| cut.appliances),
        ("prefixes", |cut| cut.prefixes),
        ("places", |cut| cut.places),
        ("titles", |cut| cut.titles),
    ];
    let name = "control_steering_bundle_cut";
    let _ = writeln!(text, "# HELP {name} What did not fit into bundles.\n# TYPE {name} gauge");
    for (what, count) in cuts {
        let sum: u64 = newest.values().map(|made| count(&made.listed.cut)).sum();
        let _ = writeln!(text, "{name}{{what=\"{what}\"}} {sum}");
    }
    text
}

/// One number of what did not fit.
type CountOf = fn(&BundleCut) -> u64;

#[cfg(test)]
mod tests {
    use super::{accepts, names};

    #[test]
    fn what_is_taken_is_found_behind_others_and_never_is_never() {
        let takes = |value: &str| value.split(',').any(|one| accepts(one, "gzip"));
        for value in ["gzip", "br, gzip", "br;q=1.0, GZIP;q=0.8", " gzip ; q=0.001"] {
            assert!(takes(value), "{value}");
        }
        for value in ["", "br", "gzip;q=0", "gzip; q=0.000, br", "gzip;q=x", "x-gzip"] {
            assert!(!takes(value), "{value}");
        }
    }

    #[test]
    fn a_tag_is_found_alone_in_a_list_and_weak() {
        for known in ["\"7\"", "W/\"7\"", "\"6\", \"7\"", "*", " \"7\" "] {
            assert!(names(known, "\"7\""), "{known}");
        }
        for known in ["", "7", "\"77\"", "\"6\"", "W/7", "\"6\",\"8\""] {
            assert!(!names(known, "\"7\""), "{known}");
        }
    }
}
