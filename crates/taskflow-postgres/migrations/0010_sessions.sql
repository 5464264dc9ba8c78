-- Sign-in sessions of the dashboard: hashes of their tokens, never the tokens, with a fingerprint of the key
-- that each was opened with. Times are microseconds since 1970 in UTC. A tenant has a thousand at most, so
-- that nothing but the key needs an index: the sweep, once a minute, reads them all.
CREATE TABLE taskflow.sessions(
    tenant bigint NOT NULL,
    hash bytea NOT NULL,
    print bytea NOT NULL,
    opened_at bigint NOT NULL,
    seen_at bigint NOT NULL,
    PRIMARY KEY (tenant, hash)
    -- Room for the next version of a row beside it: a visit changes nothing that is indexed.
) WITH (fillfactor = 70);
