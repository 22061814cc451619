//! Bounds that both ends of a wire must agree on. A process's own maxima live in its own
//! `limits.rs`.

/// Longest slug id (title, appliance, site, ISP, window), bytes.
pub const SLUG_BYTES_MAX: usize = 64;

/// An object is verified in pieces of this many bytes; a power of two, so that every piece is a
/// complete subtree of the BLAKE3 hash tree and can be checked on its own.
pub const CHUNK_BYTES: u64 = 256 * 1024;

/// Largest object, bytes: 64 GiB, which bounds its table of chunk hashes to 8 MiB.
pub const OBJECT_BYTES_MAX: u64 = 64 << 30;

/// Longest play ticket as base64url text, bytes. Fits a request line beside the rest of a URL.
pub const TICKET_BYTES_MAX: usize = 1024;

/// Most tickets taken back before their end at one time; past that the ones that end last count.
pub const REVOCATIONS_MAX: usize = 10_000;

/// Most renditions of one title.
pub const RENDITIONS_MAX: usize = 64;

/// Most appliances in one ranked list.
pub const RANKED_MAX: usize = 8;

/// Largest JSON body a control endpoint reads, bytes.
pub const BODY_BYTES_MAX: usize = 8 << 20;

/// Largest plan of a night, bytes of its JSON: the pulls of `plan.pulls_max`, 400,000 objects that
/// make room and 200,000 that change disks, and for each of 3,000 boxes at borders that are spared
/// a rate of a day and a half of 5-minute slots.
pub const PLAN_BYTES_MAX: usize = 224 << 20;

/// Longest steering bundle, bytes of its JSON.
pub const BUNDLE_BYTES_MAX: usize = BODY_BYTES_MAX;

/// Changes of its signing key that a steering bundle proves: at one a year or so, a box that was on
/// a shelf for longer needs a hand.
pub const BUNDLE_HANDOVERS_MAX: usize = 16;

/// Appliances that a steering bundle names.
pub const BUNDLE_APPLIANCES_MAX: usize = 4_096;

/// Areas of a steering bundle.
pub const BUNDLE_AREAS_MAX: usize = 16_384;

/// Places of one area: an appliance looks at all of them for a member's question.
pub const BUNDLE_AREA_PLACES_MAX: usize = 256;

/// Places of all areas together.
pub const BUNDLE_PLACES_MAX: usize = 1 << 20;

/// Member networks of a steering bundle.
pub const BUNDLE_PREFIXES_MAX: usize = 262_144;

/// Titles of a steering bundle.
pub const BUNDLE_TITLES_MAX: usize = 65_536;

/// Largest file that an operator names to be read whole: a configuration, a key, certificates.
pub const CONFIG_BYTES_MAX: u64 = 4 << 20;

/// Most steps of a rate profile: a day and a half of 5-minute slots, each another rate.
pub const RATE_STEPS_MAX: usize = 432;

/// Longest time for which orders lend a part of a border's rate, milliseconds: a box that hears
/// nothing for as long takes its floor. Agents that fill poll every second, others every minute.
pub const RATE_LEASE_MS: u64 = 600_000;

/// A plan that divides a border's rate is refused this long after it was made, milliseconds: its
/// sums rest on when the one before it stopped being handed out.
pub const SHARED_PLAN_MS: u64 = 60_000;

/// The same of a process of control that has not read the plan again, milliseconds: another may
/// have replaced it. Such a process lends nothing.
pub const PLAN_READ_MS: u64 = 45_000;

/// Most profiles on an account.
pub const PROFILES_MAX: usize = 5;

/// Shortest and longest password, bytes.
pub const PASSWORD_BYTES_MIN: usize = 8;
/// See [`PASSWORD_BYTES_MIN`]; an upper bound keeps Argon2 from being fed megabytes.
pub const PASSWORD_BYTES_MAX: usize = 256;

const _: () =
    assert!(CHUNK_BYTES.is_power_of_two() && OBJECT_BYTES_MAX.is_multiple_of(CHUNK_BYTES));
