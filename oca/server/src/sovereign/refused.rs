//! Why a steering bundle is not believed: a closed set with one word for each member.
//! The word is the log field, the metric label and what a test expects.

/// Why a bundle was refused. The one in use stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// Longer than `BUNDLE_BYTES_MAX`.
    #[error("it is longer than a bundle may be")]
    TooLong,
    /// Another key than the one believed.
    #[error(
        "another key signed it than the one believed: if control's key was changed on purpose, \
         remove steering-pin.json from the state directory"
    )]
    OtherKey,
    /// The key believed did not sign it.
    #[error("its signature is not that of the key believed")]
    NotSigned,
    /// Not the JSON of a bundle.
    #[error("it is not the JSON of a steering bundle")]
    NotJson,
    /// A version we do not know.
    #[error("it has a version that this program does not know: upgrade oca")]
    OtherVersion,
    /// Made for another ISP than the one believed.
    #[error(
        "it is for another ISP than the one believed: if this box was moved there, remove \
         steering-pin.json from the state directory"
    )]
    OtherIsp,
    /// Its serial is not above the one in use.
    #[error(
        "its serial is not above the highest believed: if control was set up anew on purpose, \
         remove steering-pin.json from the state directory"
    )]
    NotNewer,
    /// More of something than a bundle may have.
    #[error("it names more appliances, areas, networks or titles than a bundle may")]
    TooMany,
    /// A place or an area that there is not.
    #[error("it points at an appliance or an area that it does not have")]
    BadPlace,
    /// An appliance's URL is not `scheme://host[:port]`.
    #[error("an appliance's URL is not scheme://host[:port]")]
    BadUrl,
    /// Two appliances have one name.
    #[error("two of its appliances have one name")]
    TwoOfOneName,
    /// A network is not CIDR.
    #[error("one of its networks is not CIDR")]
    BadPrefix,
    /// Who holds a title cannot be read.
    #[error("who holds one of its titles cannot be read")]
    BadHolders,
    /// The time between two questions is out of bounds.
    #[error("its time between two questions is out of bounds")]
    BadTtl,
}

impl Refused {
    /// Every member.
    pub const ALL: [Self; 14] = [
        Self::TooLong,
        Self::OtherKey,
        Self::NotSigned,
        Self::NotJson,
        Self::OtherVersion,
        Self::OtherIsp,
        Self::NotNewer,
        Self::TooMany,
        Self::BadPlace,
        Self::BadUrl,
        Self::TwoOfOneName,
        Self::BadPrefix,
        Self::BadHolders,
        Self::BadTtl,
    ];

    /// The one word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::OtherKey => "other_key",
            Self::NotSigned => "not_signed",
            Self::NotJson => "not_json",
            Self::OtherVersion => "other_version",
            Self::OtherIsp => "other_isp",
            Self::NotNewer => "not_newer",
            Self::TooMany => "too_many",
            Self::BadPlace => "bad_place",
            Self::BadUrl => "bad_url",
            Self::TwoOfOneName => "two_of_one_name",
            Self::BadPrefix => "bad_prefix",
            Self::BadHolders => "bad_holders",
            Self::BadTtl => "bad_ttl",
        }
    }
}
