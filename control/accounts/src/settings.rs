//! Knobs of the accounts service with their defaults. Read by nobody else; the binary fills them
//! from its configuration.

/// How long things live and how often they may be tried.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `iss` of access tokens.
    pub issuer: String,
    /// Life of an access token, milliseconds. Default 15 min. A signed-out token may still be
    /// accepted this long by another control process.
    pub access_ms: u64,
    /// Life of a session that is not refreshed, milliseconds. Default 30 days.
    pub refresh_ms: u64,
    /// How long after its replacement a refresh token still works, milliseconds. Default 10 s.
    ///
    /// Decision: two tabs that wake at once both offer the same token; without a grace the slower
    /// one would end the session of a member who did nothing wrong. The cost is that a stolen token
    /// used within the grace goes unnoticed until either side refreshes an older one. 0 turns it
    /// off.
    pub refresh_grace_ms: u64,
    /// Plan of a new account.
    pub first_plan: String,
    /// Memory of one password hash, KiB. Default 19456 (19 MiB), with `hash_passes` 2: OWASP's
    /// first choice for Argon2id.
    pub hash_memory_kib: u32,
    /// Passes over that memory.
    pub hash_passes: u32,
    /// Password hashes computed at once; memory is this times `hash_memory_kib`. Default 2.
    pub hashing_max: usize,
    /// Callers that may wait for a hash; more are told to come back. Default 64.
    pub hashing_queue_max: usize,
    /// Sign-ins tried for one email from one address in `attempts_window_ms`. Default 10.
    ///
    /// Not by email alone: that would let anybody lock a member out.
    pub attempts_by_pair_max: u64,
    /// Sign-ins tried from one address in `attempts_window_ms`. Default 300: a household behind
    /// one address stays far below, a list of stolen passwords does not.
    pub attempts_by_address_max: u64,
    /// Accounts opened from one address in `attempts_window_ms`. Default 100.
    pub sign_ups_by_address_max: u64,
    /// Default 15 min.
    pub attempts_window_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            issuer: "nightfill".to_owned(),
            access_ms: 15 * 60_000,
            refresh_ms: 30 * 24 * 3_600_000,
            refresh_grace_ms: 10_000,
            first_plan: "standard".to_owned(),
            hash_memory_kib: 19_456,
            hash_passes: 2,
            hashing_max: 2,
            hashing_queue_max: 64,
            attempts_by_pair_max: 10,
            attempts_by_address_max: 300,
            sign_ups_by_address_max: 100,
            attempts_window_ms: 15 * 60_000,
        }
    }
}
