//! A bundle as what changed since another: of megabytes mostly a few lines. Knows the text of JSON
//! and nothing of what it says; whoever puts one together has to check the signature, and this
//! does.
//!
//! Mechanics: the text is one object. A member whose text is another is sent whole; of `titles`,
//! which are most of it and change one by one, those that are other. The text that comes out is
//! that which was signed, byte for byte, or it is nothing.

use std::collections::BTreeMap;
use std::fmt;

use control_types::bundle::{BundleChange, SignedBundle};
use control_types::limits::BUNDLE_BYTES_MAX;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::bundle::is_bundle_signed;

/// The member that is told by its own members.
const TITLES: &str = "titles";

/// What leads from the text of the bundle `since` to `after`; `None` where one of them is no
/// object.
#[must_use]
pub fn bundle_change(since: u64, before: &str, after: &SignedBundle) -> Option<BundleChange> {
    let old: BTreeMap<&str, &str> = members(before)?.into_iter().collect();
    let new = members(&after.bundle)?;
    let (mut set, mut titles) = (BTreeMap::new(), BTreeMap::new());
    for (name, text) in &new {
        match old.get(name) {
            Some(old) if old == text => {}
            Some(old) if *name == TITLES => titles = titles_change(old, text)?,
            _ => drop(set.insert((*name).to_owned(), (*text).to_owned())),
        }
    }
    Some(BundleChange {
        since,
        members: new.iter().map(|(name, _)| (*name).to_owned()).collect(),
        set,
        titles,
        signature: after.signature.clone(),
        key: after.key.clone(),
        handovers: after.handovers.clone(),
    })
}

/// `older`, then `newer`, as one; `None` where that is not to be had.
#[must_use]
pub fn bundle_changes(older: &BundleChange, newer: &BundleChange) -> Option<BundleChange> {
    // Titles that came whole once are not told one by one on top of that.
    if older.set.contains_key(TITLES) || newer.set.contains_key(TITLES) {
        return None;
    }
    let mut both = newer.clone();
    both.since = older.since;
    for (name, text) in &older.set {
        if newer.members.contains(name) {
            both.set.entry(name.clone()).or_insert_with(|| text.clone());
        }
    }
    for (title, held) in &older.titles {
        both.titles.entry(title.clone()).or_insert_with(|| held.clone());
    }
    Some(both)
}

/// The bundle that `change` makes of `before`, if it is signed by the key that it names; whether
/// that key is believed is another question.
#[must_use]
pub fn changed_bundle(before: &SignedBundle, change: &BundleChange) -> Option<SignedBundle> {
    let old: BTreeMap<&str, &str> = members(&before.bundle)?.into_iter().collect();
    let titles = match old.get(TITLES) {
        Some(old) if !change.titles.is_empty() => Some(titles_changed(old, change)?),
        _ => None,
    };
    let text = |name: &str| match (change.set.get(name), &titles) {
        (Some(text), _) => Some(text.as_str()),
        (None, Some(titles)) if name == TITLES => Some(titles.as_str()),
        (None, _) => old.get(name).copied(),
    };
    let pairs = change.members.iter().map(|name| Some((name.as_str(), text(name)?)));
    let signed = SignedBundle {
        bundle: object(&pairs.collect::<Option<Vec<_>>>()?)?,
        signature: change.signature.clone(),
        key: change.key.clone(),
        handovers: change.handovers.clone(),
    };
    is_bundle_signed(&signed, &signed.key).then_some(signed)
}

fn titles_change(old: &str, new: &str) -> Option<BTreeMap<String, Option<String>>> {
    let old: BTreeMap<&str, &str> = members(old)?.into_iter().collect();
    let new: BTreeMap<&str, &str> = members(new)?.into_iter().collect();
    let set = new.iter().filter(|(title, text)| old.get(*title) != Some(*text));
    let set = set.map(|(title, text)| ((*title).to_owned(), Some((*text).to_owned())));
    let gone = old.keys().filter(|title| !new.contains_key(*title));
    Some(set.chain(gone.map(|title| ((*title).to_owned(), None))).collect())
}

fn titles_changed(old: &str, change: &BundleChange) -> Option<String> {
    let mut all: BTreeMap<&str, &str> = members(old)?.into_iter().collect();
    for (title, held) in &change.titles {
        match held {
            Some(text) => drop(all.insert(title, text)),
            None => drop(all.remove(title.as_str())),
        }
    }
    object(&all.into_iter().collect::<Vec<_>>())
}

/// As `serde_json` writes it; `None` past the longest that a bundle may be.
fn object(members: &[(&str, &str)]) -> Option<String> {
    let bytes: usize = members.iter().map(|(name, text)| name.len() + text.len() + 4).sum();
    if bytes > BUNDLE_BYTES_MAX + 4 * members.len() {
        return None;
    }
    let mut out = String::with_capacity(bytes + 2);
    for (name, text) in members {
        out.push_str(if out.is_empty() { "{\"" } else { ",\"" });
        out.push_str(name);
        out.push_str("\":");
        out.push_str(text);
    }
    out.push_str(if out.is_empty() { "{}" } else { "}" });
    Some(out)
}

/// Names and texts of an object's members, in order; `None` where it is none, or a name is escaped.
fn members(text: &str) -> Option<Vec<(&str, &str)>> {
    struct Members<'a>(Vec<(&'a str, &'a str)>);
    struct Reader;

    impl<'de> Visitor<'de> for Reader {
        type Value = Members<'de>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
            let mut all = Vec::new();
            while let Some((name, value)) = map.next_entry::<&'de str, &'de RawValue>()? {
                all.push((name, value.get()));
            }
            Ok(Members(all))
        }
    }

    impl<'de> Deserialize<'de> for Members<'de> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(Reader)
        }
    }

    serde_json::from_str::<Members<'_>>(text).ok().map(|members| members.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BundleSigner;

    /// Texts of one bundle after the other, as control writes them.
    const TEXTS: [&str; 6] = [
        r#"{"v":1,"serial":1,"ttl":10,"titles":{"a":{"full":"A"},"b":{},"c":{"part":"x,\"}"}}}"#,
        r#"{"v":1,"serial":2,"ttl":10,"titles":{"a":{"full":"B"},"c":{"part":"x,\"}"}}}"#,
        r#"{"v":1,"serial":3,"new":[[1,2],{"titles":{}}],"titles":{"a":{"full":"B"},"b":{}}}"#,
        r#"{"v":1,"serial":4,"ttl":5,"titles":{}}"#,
        r#"{"v":1,"serial":5,"titles":{"z":{}},"ttl":5}"#,
        r#"{"v":1,"serial":6,"titles":{"a":{"full":"A"},"z":{}},"ttl":5}"#,
    ];

    fn sealed() -> Vec<SignedBundle> {
        let signer = BundleSigner::generate().unwrap();
        TEXTS.iter().map(|text| signer.seal((*text).to_owned())).collect()
    }

    #[test]
    fn from_any_bundle_to_any_later_one_step_by_step_or_at_once() {
        let all = sealed();
        for from in 0..all.len() {
            let mut whole: Option<BundleChange> = None;
            for to in from + 1..all.len() {
                let at_once = bundle_change(1, &all[from].bundle, &all[to]).unwrap();
                assert_eq!(changed_bundle(&all[from], &at_once).as_ref(), Some(&all[to]));
                let step = bundle_change(2, &all[to - 1].bundle, &all[to]).unwrap();
                whole = Some(match whole {
                    None => step,
                    Some(before) => bundle_changes(&before, &step).unwrap(),
                });
                let told = whole.as_ref().unwrap();
                assert_eq!(changed_bundle(&all[from], told).as_ref(), Some(&all[to]), "{told:?}");
            }
        }
        let small = bundle_change(1, TEXTS[0], &all[1]).unwrap();
        assert_eq!(small.set.keys().collect::<Vec<_>>(), ["serial"]);
        assert_eq!(small.titles.keys().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn what_does_not_come_out_as_it_was_signed_is_nothing() {
        let all = sealed();
        let change = bundle_change(1, TEXTS[0], &all[1]).unwrap();
        assert!(changed_bundle(&all[2], &change).is_none(), "of another bundle");
        let changes: [fn(&mut BundleChange); 7] = [
            |one| one.members.reverse(),
            |one| one.members.push("serial".into()),
            |one| one.members.push("nobody".into()),
            |one| drop(one.set.insert("serial".into(), "99".into())),
            |one| drop(one.titles.insert("d".into(), Some("{}".into()))),
            |one| one.signature.clear(),
            |one| one.key = one.key.to_lowercase() + "A",
        ];
        for spoil in changes {
            let mut bad = change.clone();
            spoil(&mut bad);
            assert!(changed_bundle(&all[0], &bad).is_none(), "{bad:?}");
        }
        let long = Some("x".repeat(BUNDLE_BYTES_MAX));
        let mut bad = change.clone();
        bad.titles.insert("d".into(), long);
        assert!(changed_bundle(&all[0], &bad).is_none());
        for bad in ["", "[]", "{", "{\"a\\u0062\":1}", "null"] {
            assert!(bundle_change(1, bad, &all[1]).is_none(), "{bad}");
        }
    }
}
