-- Subjects whose tickets are refused before their end. A row may go once the last ticket it could
-- name has ended by itself.
CREATE TABLE revocations (
    subject TEXT PRIMARY KEY NOT NULL,
    until INTEGER NOT NULL
) STRICT;
