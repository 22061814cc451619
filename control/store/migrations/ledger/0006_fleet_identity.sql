-- Keys with which boxes register, and the certificates they are known by since. A certificate that
-- has no row is void, whatever is signed on it.
CREATE TABLE registration_keys (
    id         TEXT PRIMARY KEY,
    scope      TEXT NOT NULL,               -- control_types::registration::RegistrationScope as JSON
    isp        TEXT,                        -- who made it; NULL for the operator
    key_hash   BLOB NOT NULL UNIQUE,        -- SHA-256 of the key
    uses_left  INTEGER NOT NULL CHECK (uses_left >= 0),
    made_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE appliance_certificates (
    fingerprint BLOB PRIMARY KEY,           -- SHA-256 of the certificate
    appliance   TEXT NOT NULL REFERENCES appliances (id) ON DELETE CASCADE,
    made_at     INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX appliance_certificates_by_appliance ON appliance_certificates (appliance);

-- Who asked for a drain: `drain` is the operator's from here on, and what was asked before is the
-- operator's too, because nobody remembers who it was.
ALTER TABLE appliances ADD COLUMN drain_isp INTEGER NOT NULL DEFAULT 0 CHECK (drain_isp IN (0, 1));

-- Maintenance that comes again.
CREATE TABLE maintenance (
    id   TEXT PRIMARY KEY,
    isp  TEXT,                              -- who made it; NULL for the operator
    body TEXT NOT NULL                      -- control_types::schedule::MaintenanceSchedule as JSON
) STRICT;
