-- Bearer keys of ISPs: each reaches the sites of its ISP and nothing else.
CREATE TABLE isp_keys (
    id       TEXT PRIMARY KEY,
    isp      TEXT NOT NULL,
    key_hash BLOB NOT NULL UNIQUE,          -- SHA-256 of the bearer key
    made_at  INTEGER NOT NULL
) STRICT;

-- Fill orders are signed with a key of their own purpose: a CHECK cannot be altered in place.
CREATE TABLE signing_keys_with_orders (
    purpose TEXT NOT NULL CHECK (purpose IN ('access', 'ticket', 'orders')),
    kid     TEXT NOT NULL,
    pkcs8   BLOB NOT NULL,
    made_at INTEGER NOT NULL,
    PRIMARY KEY (purpose, kid)
) STRICT;
INSERT INTO signing_keys_with_orders SELECT purpose, kid, pkcs8, made_at FROM signing_keys;
DROP TABLE signing_keys;
ALTER TABLE signing_keys_with_orders RENAME TO signing_keys;
