//! `[appliances]`: the port boxes call with certificates, and how long those live.
//! Makes no certificate.

use std::net::{IpAddr, SocketAddr};

use super::section::Section;

/// What an operator may choose about appliances' certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliancesConfig {
    /// Where boxes register and report with certificates; absent: no such port, bearer keys only.
    pub listen: Option<SocketAddr>,
    /// Host names and addresses that boxes reach the port by, beside the one it listens on and that
    /// of `public_url`.
    pub names: Vec<String>,
    /// An appliance's bearer key is not enough any more, on any port.
    pub require_certificate: bool,
    /// Life of a certificate, minutes, 1 to 525,600. Default 43,200, which is 30 days; boxes renew
    /// at two thirds of it. A box that is away for the last third must be registered again.
    pub certificate_minutes: u64,
}

impl AppliancesConfig {
    /// Every name the port is reached by.
    #[must_use]
    pub fn all_names(&self, public_url: Option<&str>) -> Vec<String> {
        let mut names = self.names.clone();
        names.extend(public_url.and_then(host_of).map(str::to_owned));
        match self.listen.map(|addr| addr.ip()) {
            Some(ip) if ip.is_loopback() => names.extend(["localhost".to_owned(), ip.to_string()]),
            Some(ip) if !ip.is_unspecified() => names.push(ip.to_string()),
            _ => {}
        }
        names.sort();
        names.dedup();
        names
    }
}

/// The host in `scheme://host[:port]`.
fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    match rest.strip_prefix('[') {
        Some(six) => six.split_once(']').map(|(host, _)| host),
        None => rest.split(':').next(),
    }
}

pub(super) fn parse_appliances(top: &mut Section) -> AppliancesConfig {
    let table = top.optional_section("appliances");
    let mut table = table.unwrap_or_else(|| Section::absent("appliances"));
    let listen = table.optional_text("listen").and_then(|text| {
        let parsed = text.parse::<SocketAddr>();
        if parsed.is_err() {
            table.mistake("listen", format!("{text:?} is not an address; write 0.0.0.0:8443"));
        }
        parsed.ok()
    });
    let names = table.texts("names");
    for name in &names {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-.".contains(&b);
        if name.parse::<IpAddr>().is_err() && (name.is_empty() || !name.bytes().all(plain)) {
            let why = format!("{name:?} is neither a host name nor an address, without a port");
            table.mistake("names", why);
        }
    }
    let require_certificate = table.boolean("require_certificate", false);
    if require_certificate && listen.is_none() {
        table.mistake("listen", "is missing, and certificates are required; write 0.0.0.0:8443");
    }
    let certificate_minutes = table.number("certificate_minutes", 1..=525_600, 43_200);
    top.close(table);
    AppliancesConfig { listen, names, require_certificate, certificate_minutes }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const LEAST: &str = "state_dir = \"/s\"\n[listen]\naddr = \"127.0.0.1:0\"\n\
                         public_url = \"https://control.example:8080\"\n\
                         [operator]\nkey_file = \"/k\"\n";

    #[test]
    fn the_port_is_known_by_every_name_it_is_reached_by() {
        let text = format!("{LEAST}[appliances]\nlisten = \"192.0.2.7:8443\"\nnames = [\"c.x\"]\n");
        let config = Config::parse(&text).unwrap();
        let names = config.appliances.all_names(config.public_url.as_deref());
        assert_eq!(names, ["192.0.2.7", "c.x", "control.example"]);
        let text = format!("{LEAST}[appliances]\nlisten = \"[::1]:0\"\n");
        let names =
            Config::parse(&text).unwrap().appliances.all_names(Some("http://[2001:db8::1]:80"));
        assert_eq!(names, ["2001:db8::1", "::1", "localhost"]);
    }

    #[test]
    fn every_mistake_about_appliances_is_said() {
        let text = format!(
            "{LEAST}[appliances]\nrequire_certificate = true\nnames = [\"https://c.x\"]\n\
             certificate_minutes = 0\n"
        );
        let all = Config::parse(&text).unwrap_err().join("\n");
        for part in ["appliances.listen", "appliances.names", "appliances.certificate_minutes"] {
            assert!(all.contains(part), "{part} is missing in:\n{all}");
        }
    }
}
