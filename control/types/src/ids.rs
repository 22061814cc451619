//! Every id is its own type, checked when it is made, so that a title can never be taken for a
//! site. Slugs are names people choose; uuids are names we make; an `ObjectId` is what the bytes
//! hash to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::limits::SLUG_BYTES_MAX;

/// Why a text is not the id it was offered as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdError {
    /// What the text should have been: `title id`, `object id`, …
    pub kind: &'static str,
    /// The refused text, cut to 80 characters.
    pub text: String,
    /// What would have been accepted.
    pub wanted: &'static str,
}

impl IdError {
    fn new(kind: &'static str, text: &str, wanted: &'static str) -> Self {
        Self { kind, text: text.chars().take(80).collect(), wanted }
    }
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let article = if self.kind.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
        write!(f, "{:?} is not {article} {}: use {}", self.text, self.kind, self.wanted)
    }
}

impl std::error::Error for IdError {}

const SLUG_WANTED: &str = "1 to 64 of a-z, 0-9 and '-', starting with a letter or digit";

fn is_slug(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= SLUG_BYTES_MAX
        && bytes[0] != b'-'
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

macro_rules! slug_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id as text, always a valid slug.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                if is_slug(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(IdError::new($kind, text, SLUG_WANTED))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

slug_id!(
    /// What a member sees and plays; chosen by the operator, part of media URLs.
    TitleId, "title id"
);
slug_id!(
    /// One cache appliance; unique in the whole network.
    ApplianceId, "appliance id"
);
slug_id!(
    /// The appliances of one ISP location, which share one copy set.
    SiteId, "site id"
);
slug_id!(
    /// The network operator that racks a site.
    IspId, "ISP id"
);
slug_id!(
    /// One opening of a fill window.
    WindowId, "window id"
);
slug_id!(
    /// One bearer key of an ISP: eight hex digits of its hash, so that it can be named and revoked.
    IspKeyId, "ISP key id"
);
slug_id!(
    /// One key that registers appliances, named in the same way.
    RegistrationKeyId, "registration key id"
);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::parse_str(text)
                    .map(Self)
                    .map_err(|_| IdError::new($kind, text, "a UUID as RFC 9562 writes it"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// One paying account: an email, a password, up to five profiles.
    AccountId, "account id"
);
uuid_id!(
    /// One person on an account.
    ProfileId, "profile id"
);
uuid_id!(
    /// One press of play; random (version 4), because knowing it opens the play's manifests.
    PlayId, "play id"
);
uuid_id!(
    /// One night's plan.
    PlanId, "plan id"
);

/// The BLAKE3-256 hash of an object's bytes; its name everywhere, 64 lower-case hex digits as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub [u8; 32]);

const HEX: &[u8; 16] = b"0123456789abcdef";

impl ObjectId {
    /// The id as 64 ASCII hex digits, without allocating.
    #[must_use]
    pub fn as_hex(&self) -> [u8; 64] {
        let mut out = [0u8; 64];
        for (pair, byte) in out.chunks_exact_mut(2).zip(self.0) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        out
    }

    /// Reads exactly 64 lower-case hex digits; `None` for anything else.
    #[must_use]
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        fn digit(byte: u8) -> Option<u8> {
            match byte {
                b'0'..=b'9' => Some(byte - b'0'),
                b'a'..=b'f' => Some(byte - b'a' + 10),
                _ => None,
            }
        }
        if text.len() != 64 {
            return None;
        }
        let mut out = [0u8; 32];
        for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(out))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectId({self})")
    }
}

impl FromStr for ObjectId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::from_hex(text.as_bytes())
            .ok_or_else(|| IdError::new("object id", text, "64 lower-case hex digits of BLAKE3"))
    }
}

impl Serialize for ObjectId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for ObjectId {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("BLAKE3-256 of the object's bytes, 64 lower-case hex digits"))
            .pattern(Some("^[0-9a-f]{64}$"))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for ObjectId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_id_text_is_its_inverse() {
        let id = ObjectId(std::array::from_fn(|i| (i * 7) as u8));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(ObjectId::from_hex(&id.as_hex()), Some(id));
        assert_eq!(ObjectId::from_hex(id.to_string().to_uppercase().as_bytes()), None);
    }

    #[test]
    fn a_refused_slug_names_itself_and_the_cure() {
        let error = "Bad Title".parse::<TitleId>().unwrap_err().to_string();
        assert!(error.contains("Bad Title") && error.contains("a-z"), "{error}");
        assert!("-a".parse::<SiteId>().is_err());
        assert!("".parse::<SiteId>().is_err());
        assert!("a".repeat(65).parse::<SiteId>().is_err());
        assert!("edge-a1".parse::<ApplianceId>().is_ok());
        let error = "Edge A".parse::<ApplianceId>().unwrap_err().to_string();
        assert!(error.contains("is not an appliance id"), "{error}");
    }
}
