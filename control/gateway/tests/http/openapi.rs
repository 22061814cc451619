//! The description of the API: complete, consistent, and committed as a listing of routes.

use std::collections::BTreeSet;
use std::path::Path;

use control_gateway::{description, listing};
use serde_json::Value;

use crate::lab::Lab;

/// A change of contract is a line in a diff. `NIGHTFILL_WRITE=1 cargo test` writes the new listing.
#[test]
fn the_routes_are_the_committed_ones() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("routes.txt");
    let now = listing();
    if std::env::var_os("NIGHTFILL_WRITE").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(committed, now, "routes.txt is not what the handlers say; see this test");
}

/// Goal: the promised routes exist. Method: every line of the promise against the description.
#[test]
fn every_promised_route_is_described() {
    let promised = "
        POST /v1/accounts|POST /v1/sessions|POST /v1/sessions/refresh|DELETE /v1/sessions/current
        GET /v1/account|GET /v1/plans|PUT /v1/account/plan|GET /v1/profiles|POST /v1/profiles
        DELETE /v1/profiles/{profile}|GET /v1/profiles/{profile}/home
        GET /v1/profiles/{profile}/history|GET /v1/titles/{title}|GET /v1/search
        GET /v1/artwork/{object}|POST /v1/plays|GET /v1/plays/{play}/main.m3u8
        GET /v1/plays/{play}/manifest.mpd|GET /v1/plays/{play}/steering
        GET /v1/plays/{play}/ticket|POST /v1/plays/{play}/events|PUT /v1/operator/titles/{title}
        DELETE /v1/operator/titles/{title}|GET /v1/operator/titles|POST /v1/operator/artwork
        PUT /v1/operator/sites/{site}|GET /v1/operator/sites
        PUT /v1/operator/appliances/{appliance}|DELETE /v1/operator/appliances/{appliance}
        GET /v1/operator/appliances|POST /v1/operator/appliances/{appliance}/drain
        POST /v1/operator/appliances/{appliance}/undrain|POST /v1/operator/windows
        GET /v1/operator/windows|POST /v1/operator/windows/{window}/close
        GET /v1/operator/maintenance|PUT /v1/operator/maintenance/{schedule}
        DELETE /v1/operator/maintenance/{schedule}|POST /v1/operator/registration-keys
        GET /v1/operator/registration-keys|DELETE /v1/operator/registration-keys/{key}
        DELETE /v1/operator/appliances/{appliance}/certificates
        POST /v1/appliance/register|GET /v1/appliance/certificate
        POST /v1/appliance/certificate|GET /v1/appliance/authority
        GET /v1/operator/schedules|PUT /v1/operator/schedules/{schedule}
        DELETE /v1/operator/schedules/{schedule}
        GET /v1/operator/fill-state|PUT /v1/operator/plan|GET /v1/operator/plan
        GET /v1/operator/fills|GET /v1/operator/live|GET /v1/operator/steer/explain
        GET /v1/appliance/steering|GET /v1/operator/steer/bundles
        GET /v1/operator/steer/log|POST /v1/operator/steer/replay
        GET /v1/operator/routes|GET /v1/operator/routes/lookup|GET /v1/operator/routes/refused
        GET /v1/operator/routes/doctor/{isp}|PUT /v1/operator/isps/{isp}/networks
        GET /v1/operator/authorities|POST /v1/operator/authorities
        DELETE /v1/operator/authorities/{digest}
        GET /v1/operator/networks|GET /v1/operator/routes/changes
        POST /v1/operator/sites/{site}/routes|DELETE /v1/operator/sites/{site}/routes
        POST /v1/operator/isps/{isp}/keys|GET /v1/operator/isp-keys
        DELETE /v1/operator/isp-keys/{key}
        PUT /v1/operator/revocations/{subject}
        POST /v1/operator/tickets|POST /v1/appliance/report|GET /v1/appliance/orders
        POST /v1/appliance/fill-report|GET /v1/keys/tickets|GET /openapi.json|GET /healthz
        GET /metrics";
    let promised: BTreeSet<String> = promised
        .split(['|', '\n'])
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    let described: BTreeSet<String> = listing()
        .lines()
        .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(promised, described);
}

#[tokio::test]
async fn the_description_is_whole() {
    let lab = Lab::start().await;
    let text =
        reqwest::get(format!("{}/openapi.json", lab.url)).await.unwrap().text().await.unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document, serde_json::to_value(description()).unwrap());
    assert_eq!(document["openapi"], "3.1.0");

    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let at = format!("{method} {path}");
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{at}: operation {name} is named twice");
            assert!(operation["responses"]["default"].is_object(), "{at} may refuse");
            assert!(operation["summary"].is_string(), "{at} says what it does");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_path: BTreeSet<&str> = parameters
                .iter()
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            let wanted: BTreeSet<&str> = path
                .split('/')
                .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
                .collect();
            assert_eq!(in_path, wanted, "{at}");
        }
    }
    check_references(&document, &document);
}

/// Every `$ref` leads somewhere.
fn check_references(at: &Value, document: &Value) {
    match at {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            }
            fields.values().for_each(|value| check_references(value, document));
        }
        Value::Array(items) => items.iter().for_each(|value| check_references(value, document)),
        _ => {}
    }
}
