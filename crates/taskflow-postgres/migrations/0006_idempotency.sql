-- What was answered to a request that came with a key: the answer again, and not the act again.
-- Times are microseconds since 1970 in UTC. The key is a hash, and the answer is sealed with the key.
CREATE TABLE taskflow.idempotency(
    tenant bigint NOT NULL,
    key bytea NOT NULL,
    request bytea NOT NULL,
    at bigint NOT NULL,
    answer bytea NOT NULL,
    PRIMARY KEY (tenant, key)
);
-- Sealed bytes do not get smaller.
ALTER TABLE taskflow.idempotency ALTER COLUMN answer SET STORAGE EXTERNAL;

-- What the sweep walks.
CREATE INDEX idempotency_at ON taskflow.idempotency(at);
