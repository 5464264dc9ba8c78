-- What was answered to a request that came with a key: the answer again, and not the act again.
-- Times are microseconds since 1970 in UTC. The key is a hash, and the answer is sealed with the key.
CREATE TABLE idempotency(
    tenant INTEGER NOT NULL,
    key BLOB NOT NULL,
    request BLOB NOT NULL,
    at INTEGER NOT NULL,
    answer BLOB NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT;

-- What the sweep walks.
CREATE INDEX idempotency_at ON idempotency(at);
