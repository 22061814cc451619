-- Fill windows that come again. The nights they yield are not stored, but for those closed before
-- their time: these are rows of `windows`.
CREATE TABLE schedules (
    id   TEXT PRIMARY KEY,
    body TEXT NOT NULL                      -- control_types::schedule::WindowSchedule as JSON
) STRICT;
