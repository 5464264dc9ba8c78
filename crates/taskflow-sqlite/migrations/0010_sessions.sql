-- Sign-in sessions of the dashboard: hashes of their tokens, never the tokens, with a fingerprint of the key
-- that each was opened with. Times are microseconds since 1970 in UTC. A tenant has a thousand at most, so
-- that nothing but the key needs an index: the sweep, once a minute, reads them all.
CREATE TABLE sessions(
    tenant INTEGER NOT NULL,
    hash BLOB NOT NULL,
    print BLOB NOT NULL,
    opened_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, hash)
) STRICT, WITHOUT ROWID;
