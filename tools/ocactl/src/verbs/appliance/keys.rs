//! `ocactl appliance key-for|keys|key-rm|void`: how boxes come to be appliances, and how they stop.
//! Registers no box: `oca register` on the box does.

use clap::{ArgGroup, Args};
use control_client::ControlClient;
use control_types::registration::{NewRegistrationKey, RegistrationScope};
use control_types::{ApplianceId, RegistrationKeyId, SiteId};
use serde_json::json;

use crate::failure::Failure;
use crate::quantities::{duration_ms, show_moment};
use crate::shown::Shown;

#[derive(Args)]
#[command(group(ArgGroup::new("what").required(true).args(["appliance", "site"])))]
pub struct KeyFor {
    /// The appliance that a box is to be. One that has a certificate is replaced: its earlier
    /// certificates are void once the new box registered.
    appliance: Option<ApplianceId>,
    /// Any appliance of this site that no box is yet.
    #[arg(long)]
    site: Option<SiteId>,
    /// How often the key may be used.
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    uses: u32,
    /// How long the key may be used: 90m, 24h.
    #[arg(long = "for", value_parser = duration_ms, default_value = "24h", value_name = "DURATION")]
    life: u64,
}

/// Makes a key and says what its holder does with it.
///
/// # Errors
/// What control said.
pub async fn key_for(new: &KeyFor, control: &ControlClient) -> Result<Shown, Failure> {
    let scope = match (&new.appliance, &new.site) {
        (Some(appliance), _) => RegistrationScope::Appliance(appliance.clone()),
        (None, Some(site)) => RegistrationScope::Site(site.clone()),
        (None, None) => return Err(Failure("name an appliance, or give --site".to_owned())),
    };
    let body = NewRegistrationKey { scope, uses: new.uses, life_ms: new.life };
    let made = control.make_registration_key(&body).await?;
    let text = format!(
        "registration key {} for {}, until {}, shown this once:\n{}\n\n\
         On the box, with control.identity in its oca.toml:\n  \
         oca register --config /etc/nightfill/oca.toml\nand paste the key.",
        made.id,
        scope_text(&made.scope),
        show_moment(made.expires_at),
        made.key
    );
    Ok(Shown::new(&made, text))
}

/// Keys that may still be used.
///
/// # Errors
/// What control said.
pub async fn list(control: &ControlClient) -> Result<Shown, Failure> {
    let keys = control.registration_keys().await?;
    let rows = keys.iter().map(|key| {
        vec![
            key.id.to_string(),
            scope_text(&key.scope),
            key.by.as_ref().map_or_else(|| "operator".to_owned(), ToString::to_string),
            key.uses_left.to_string(),
            show_moment(key.expires_at),
        ]
    });
    let head = ["key", "for", "made by", "uses left", "until"];
    let none = "no registration keys: `ocactl appliance key-for`";
    Ok(Shown::table(&keys, &head, rows.collect(), none))
}

/// Ends a key.
///
/// # Errors
/// What control said.
pub async fn remove(key: &RegistrationKeyId, control: &ControlClient) -> Result<Shown, Failure> {
    control.remove_registration_key(key).await?;
    let text = format!("{key} registers nobody any more; who it registered stays so");
    Ok(Shown::new(&json!({ "key": key, "done": "removed" }), text))
}

/// Ends all certificates of an appliance.
///
/// # Errors
/// What control said.
pub async fn void(appliance: &ApplianceId, control: &ControlClient) -> Result<Shown, Failure> {
    control.void_certificates(appliance).await?;
    let text = format!(
        "{appliance}'s certificates are void: it is nobody to control until it registers again"
    );
    Ok(Shown::new(&json!({ "appliance": appliance, "done": "voided" }), text))
}

fn scope_text(scope: &RegistrationScope) -> String {
    match scope {
        RegistrationScope::Appliance(id) => format!("appliance {id}"),
        RegistrationScope::Site(id) => format!("site {id}"),
    }
}
