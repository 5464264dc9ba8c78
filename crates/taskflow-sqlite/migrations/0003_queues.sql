-- Settings of queues; a queue without a row has none of its own.
CREATE TABLE queues(
    tenant INTEGER NOT NULL,
    name TEXT NOT NULL,
    gated INTEGER NOT NULL, -- whether a claim has to look at it
    paused_at INTEGER,
    pause_reason TEXT,
    settings TEXT NOT NULL,
    starts TEXT NOT NULL, -- the latest ones, as far as a rate limit has to know them
    version INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

-- What a claim walks when a concurrency_key holds up what stands first: the first of each other key.
CREATE INDEX tasks_keyed ON tasks(tenant, queue, kind, priority, concurrency_key, run_at)
    WHERE status = 0 AND blocked_by = 0 AND concurrency_key IS NOT NULL;
