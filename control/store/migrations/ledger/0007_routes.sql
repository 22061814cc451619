-- What operators said about routes, for every control process. The number of the last change is the
-- generation that processes compare with what they follow; rows of old changes may go.
CREATE TABLE route_changes (
    generation INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    by         TEXT NOT NULL,               -- who asked, in words
    what       TEXT NOT NULL,               -- control_types::routes::RouteChangeKind
    subject    TEXT NOT NULL,               -- the ISP or the site
    detail     TEXT NOT NULL                -- how much of what, in words
) STRICT;

CREATE TABLE isp_networks (
    isp        TEXT PRIMARY KEY,
    body       TEXT NOT NULL,               -- control_types::routes::IspNetworks as JSON
    generation INTEGER NOT NULL
) STRICT;

CREATE TABLE route_files (
    site       TEXT PRIMARY KEY REFERENCES sites (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    file       BLOB NOT NULL                -- as it came
) STRICT;
