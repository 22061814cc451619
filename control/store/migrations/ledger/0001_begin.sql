-- The ledger: every fact that must not be lost or disagree. Times are milliseconds since 1970,
-- ids their text form. STRICT: a column holds its type or the write fails.

CREATE TABLE accounts (
    id            TEXT PRIMARY KEY,
    email         TEXT NOT NULL UNIQUE,     -- normalized by the accounts service
    password_hash TEXT NOT NULL,            -- PHC string, Argon2id
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE subscriptions (
    account  TEXT PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    plan     TEXT NOT NULL,
    standing TEXT NOT NULL CHECK (standing IN ('paid', 'lapsed')),
    since    INTEGER NOT NULL
) STRICT;

CREATE TABLE profiles (
    id         TEXT PRIMARY KEY,
    account    TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    name_key   TEXT NOT NULL,               -- lower case of name: SQLite's NOCASE knows ASCII only
    created_at INTEGER NOT NULL,
    UNIQUE (account, name_key)
) STRICT;

CREATE TABLE sessions (
    session  TEXT PRIMARY KEY,
    account  TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    began_at INTEGER NOT NULL,
    ended_at INTEGER                        -- NULL while it lives
) STRICT;
CREATE INDEX sessions_by_account ON sessions (account);

CREATE TABLE refresh_tokens (
    hash        BLOB PRIMARY KEY,           -- SHA-256 of the token
    session     TEXT NOT NULL REFERENCES sessions (session) ON DELETE CASCADE,
    issued_at   INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    replaced_at INTEGER                     -- NULL for the newest
) STRICT;
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session);
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_at);

CREATE TABLE titles (
    id            TEXT PRIMARY KEY,
    body          TEXT NOT NULL,            -- control_types::catalog::TitleRecord as JSON
    registered_at INTEGER NOT NULL,
    changed_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE titles_version (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 0),
    version  INTEGER NOT NULL
) STRICT;
INSERT INTO titles_version (only_row, version) VALUES (0, 0);

CREATE TABLE sites (
    id        TEXT PRIMARY KEY,
    isp       TEXT NOT NULL,
    name      TEXT NOT NULL,
    latitude  REAL NOT NULL,
    longitude REAL NOT NULL
) STRICT;

CREATE TABLE prefixes (
    site     TEXT NOT NULL REFERENCES sites (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,              -- order as the operator wrote them
    prefix   TEXT NOT NULL,
    PRIMARY KEY (site, position)
) STRICT;

CREATE TABLE appliances (
    id           TEXT PRIMARY KEY,
    site         TEXT NOT NULL REFERENCES sites (id),
    role         TEXT NOT NULL,
    link         TEXT NOT NULL,
    capacity_bps INTEGER NOT NULL,
    key_hash     BLOB NOT NULL,             -- SHA-256 of the bearer key
    drain        INTEGER NOT NULL CHECK (drain IN (0, 1)),
    made_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX appliances_by_site ON appliances (site);

CREATE TABLE windows (
    id           TEXT PRIMARY KEY,
    scope        TEXT NOT NULL,             -- control_types::fill::WindowScope as JSON
    opens_at     INTEGER NOT NULL,
    closes_at    INTEGER NOT NULL,
    rate_bps_max INTEGER,
    bytes_max    INTEGER,
    closed       INTEGER NOT NULL CHECK (closed IN (0, 1))
) STRICT;
CREATE INDEX windows_by_end ON windows (closes_at);

CREATE TABLE plan (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 0),
    id       TEXT NOT NULL,
    serial   INTEGER NOT NULL,
    made_at  INTEGER NOT NULL
) STRICT;

-- One row an appliance, so that a plan of a million pulls is not one value.
CREATE TABLE plan_parts (
    position INTEGER PRIMARY KEY,
    body     TEXT NOT NULL                  -- control_types::fill::AppliancePlan as JSON
) STRICT;

CREATE TABLE signing_keys (
    purpose TEXT NOT NULL CHECK (purpose IN ('access', 'ticket')),
    kid     TEXT NOT NULL,
    pkcs8   BLOB NOT NULL,
    made_at INTEGER NOT NULL,
    PRIMARY KEY (purpose, kid)
) STRICT;
