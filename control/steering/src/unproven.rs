//! Why a caller is not believed to be the appliance it says it is: one closed set of words, which
//! are the refusal, the metric's label and what tests expect. Decides nothing.

use std::fmt;

use control_types::ErrorWord;

/// Why a caller is not believed. Each changes nothing and is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unproven {
    /// No registration key like this was made, or it was removed.
    KeyUnknown,
    /// The registration key's time is over.
    KeyOver,
    /// The registration key was used as often as it may be.
    KeySpent,
    /// The registration key is for another box or site.
    KeyElsewhere,
    /// A box has this name already, and the key does not replace one.
    Taken,
    /// The request for a certificate is none, or its signature does not hold.
    RequestBad,
    /// No certificate, where one is required.
    CertificateAbsent,
    /// Not signed by this fleet's authority.
    CertificateForeign,
    /// Its time has not begun by control's clock.
    CertificateEarly,
    /// Its time is over by control's clock.
    CertificateOver,
    /// Signed by us and not in the ledger: replaced, voided, or its appliance was removed.
    CertificateVoid,
    /// It is no certificate of an appliance.
    CertificateBad,
    /// The body names another appliance than the caller is.
    NotItself,
    /// A report that was heard before, or one older than the last.
    ReportStale,
    /// Another process began later and reports for the same appliance: two boxes with one identity.
    Duplicate,
}

impl Unproven {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::KeyUnknown,
        Self::KeyOver,
        Self::KeySpent,
        Self::KeyElsewhere,
        Self::Taken,
        Self::RequestBad,
        Self::CertificateAbsent,
        Self::CertificateForeign,
        Self::CertificateEarly,
        Self::CertificateOver,
        Self::CertificateVoid,
        Self::CertificateBad,
        Self::NotItself,
        Self::ReportStale,
        Self::Duplicate,
    ];

    /// One word: in refusals, metrics and tests.
    #[must_use]
    pub fn as_word(self) -> &'static str {
        match self {
            Self::KeyUnknown => "key_unknown",
            Self::KeyOver => "key_over",
            Self::KeySpent => "key_spent",
            Self::KeyElsewhere => "key_elsewhere",
            Self::Taken => "taken",
            Self::RequestBad => "request_bad",
            Self::CertificateAbsent => "certificate_absent",
            Self::CertificateForeign => "certificate_foreign",
            Self::CertificateEarly => "certificate_early",
            Self::CertificateOver => "certificate_over",
            Self::CertificateVoid => "certificate_void",
            Self::CertificateBad => "certificate_bad",
            Self::NotItself => "not_itself",
            Self::ReportStale => "report_stale",
            Self::Duplicate => "duplicate",
        }
    }

    /// The word of the answer's `ErrorBody`.
    #[must_use]
    pub fn error_word(self) -> ErrorWord {
        match self {
            Self::KeyUnknown
            | Self::KeyOver
            | Self::KeySpent
            | Self::CertificateAbsent
            | Self::CertificateForeign
            | Self::CertificateEarly
            | Self::CertificateOver
            | Self::CertificateVoid
            | Self::CertificateBad => ErrorWord::Unauthenticated,
            Self::RequestBad => ErrorWord::BadRequest,
            Self::KeyElsewhere | Self::NotItself => ErrorWord::Forbidden,
            Self::Taken | Self::ReportStale | Self::Duplicate => ErrorWord::Conflict,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::KeyUnknown => {
                "there is no such registration key: ask for one made with \
                 `ocactl appliance key-for`"
            }
            Self::KeyOver => "the registration key's time is over: ask for a new one",
            Self::KeySpent => "the registration key was used already: ask for a new one",
            Self::KeyElsewhere => {
                "the registration key is for another appliance or site: check the name in the \
                 box's config"
            }
            Self::Taken => {
                "a box has this name already: name this one otherwise, or ask for a key of \
                 `ocactl appliance key-for` this appliance, which replaces it"
            }
            Self::RequestBad => "the request is no PKCS #10 in PEM with a signature that holds",
            Self::CertificateAbsent => {
                "a certificate is required here: `oca register`, then call the appliances' port"
            }
            Self::CertificateForeign => {
                "the certificate is not of this fleet's authority: `oca register` here"
            }
            Self::CertificateEarly => "the certificate's time has not begun: check control's clock",
            Self::CertificateOver => {
                "the certificate's time is over: `oca register` again with a new key"
            }
            Self::CertificateVoid => {
                "the certificate is void, replaced or taken back: `oca register` again with a \
                 new key"
            }
            Self::CertificateBad => "the certificate is none of an appliance",
            Self::NotItself => "the body names another appliance than its caller",
            Self::ReportStale => "the report was heard before, or a later one was: it is ignored",
            Self::Duplicate => {
                "a process that began later reports for this appliance: two boxes have one \
                 identity; register one of them anew"
            }
        }
    }
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.as_word(), self.sentence())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_its_own_and_in_its_place() {
        for (at, one) in Unproven::ALL.into_iter().enumerate() {
            assert_eq!(one as usize, at, "{one}");
            let same = Unproven::ALL.iter().filter(|other| other.as_word() == one.as_word());
            assert_eq!(same.count(), 1, "{one}");
        }
    }
}
