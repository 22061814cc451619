//! What an email, a password and a profile name may be. Pure.

use std::net::IpAddr;

use control_types::limits::{PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN};

use crate::error::AccountsError;

const EMAIL_BYTES_MAX: usize = 254;
const LOCAL_BYTES_MAX: usize = 64;
const PROFILE_CHARS_MAX: usize = 40;

/// The form an email is kept and compared in: trimmed, lower case.
///
/// Checked loosely on purpose: only a message that arrives proves an address, so this refuses what
/// cannot be one and lets the rest through.
///
/// # Errors
/// `Invalid`.
pub fn normalize_email(given: &str) -> Result<String, AccountsError> {
    let wrong = |why: &str| Err(AccountsError::Invalid(format!("email {why}")));
    let email = given.trim().to_lowercase();
    if email.is_empty() || email.len() > EMAIL_BYTES_MAX {
        return wrong("is empty or longer than 254 bytes");
    }
    let Some((local, domain)) = email.rsplit_once('@') else {
        return wrong("holds no @; write it like name@example.com");
    };
    if local.is_empty() || local.len() > LOCAL_BYTES_MAX {
        return wrong("has nothing, or more than 64 bytes, before the @");
    }
    let strange = |c: char| c.is_whitespace() || c.is_control() || "@<>()[]\\,;:\"".contains(c);
    if local.chars().any(strange) {
        return wrong("holds a character that needs quoting before the @");
    }
    let label = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if !domain.split('.').all(label) {
        return wrong("has no host name after the @");
    }
    Ok(email)
}

/// Refuses passwords outside the bounds. Length is the only rule (NIST SP 800-63B).
///
/// # Errors
/// `Invalid`.
pub fn check_password(password: &str) -> Result<(), AccountsError> {
    if (PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&password.len()) {
        return Ok(());
    }
    Err(AccountsError::Invalid(format!(
        "password has {} bytes; use {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX}",
        password.len()
    )))
}

/// The form a profile name is kept in: trimmed.
///
/// # Errors
/// `Invalid`.
pub fn profile_name(given: &str) -> Result<String, AccountsError> {
    let name = given.trim();
    let chars = name.chars().count();
    if chars == 0 || chars > PROFILE_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(AccountsError::Invalid(format!(
            "profile name has {chars} characters; use 1 to {PROFILE_CHARS_MAX}, none of them a \
             control character"
        )));
    }
    Ok(name.to_owned())
}

/// The network an attempt is counted for: the address itself in IPv4, its /64 in IPv6, where one
/// home owns that many addresses.
#[must_use]
pub fn counted_network(from: IpAddr) -> String {
    match from.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails_are_compared_without_case_and_margins() {
        assert_eq!(normalize_email(" Ann@Example.COM ").unwrap(), "ann@example.com");
        assert_eq!(normalize_email("a.b+c@x-y.example").unwrap(), "a.b+c@x-y.example");
    }

    #[test]
    fn what_cannot_be_an_email_is_refused_with_a_cure() {
        let long = format!("{}@example.com", "a".repeat(65));
        let bad = [
            "",
            "@",
            "ann",
            "ann@",
            "@example.com",
            "a b@example.com",
            "a@b@c.com",
            "a@-b.com",
            "a@b..com",
            &long,
        ];
        for given in bad {
            let error = normalize_email(given).unwrap_err().to_string();
            assert!(error.starts_with("email "), "{given}: {error}");
        }
    }

    #[test]
    fn passwords_are_bounded_in_bytes() {
        assert!(check_password("seven77").is_err());
        assert!(check_password("eight888").is_ok());
        assert!(check_password(&"x".repeat(256)).is_ok());
        assert!(check_password(&"x".repeat(257)).is_err());
    }

    #[test]
    fn profile_names_are_trimmed_and_counted_in_characters() {
        assert_eq!(profile_name("  Zoë ").unwrap(), "Zoë");
        assert!(profile_name(&"ö".repeat(40)).is_ok());
        assert!(profile_name(&"ö".repeat(41)).is_err());
        assert!(profile_name("   ").is_err());
        assert!(profile_name("a\u{7}b").is_err());
    }

    #[test]
    fn one_home_is_one_network() {
        let count = |text: &str| counted_network(text.parse().unwrap());
        assert_eq!(count("2001:db8:1:2::1"), count("2001:db8:1:2:ffff::9"));
        assert_ne!(count("2001:db8:1:2::1"), count("2001:db8:1:3::1"));
        assert_eq!(count("::ffff:192.0.2.7"), count("192.0.2.7"));
        assert_ne!(count("192.0.2.7"), count("192.0.2.8"));
    }
}
