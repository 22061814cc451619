-- What members watch. A file of its own: it grows and is written far more than the ledger, and may
-- be lost without anybody losing an account.

CREATE TABLE plays (
    play       TEXT PRIMARY KEY,
    account    TEXT NOT NULL,
    profile    TEXT NOT NULL,
    title      TEXT NOT NULL,
    pressed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX plays_by_press ON plays (pressed_at);
CREATE INDEX plays_by_profile ON plays (profile);

CREATE TABLE bookmarks (
    profile     TEXT NOT NULL,
    title       TEXT NOT NULL,
    position_ms INTEGER NOT NULL,
    finished    INTEGER NOT NULL CHECK (finished IN (0, 1)),
    watched_at  INTEGER NOT NULL,
    PRIMARY KEY (profile, title)
) STRICT, WITHOUT ROWID;
CREATE INDEX bookmarks_by_profile ON bookmarks (profile, watched_at);
CREATE INDEX bookmarks_by_time ON bookmarks (watched_at, profile, title);
