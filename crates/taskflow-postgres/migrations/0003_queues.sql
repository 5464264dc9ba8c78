-- Settings of queues; a queue without a row has none of its own.
CREATE TABLE taskflow.queues(
    tenant bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    gated boolean NOT NULL, -- whether a claim has to look at it
    paused_at bigint,
    pause_reason text COLLATE "C",
    settings text COLLATE "C" NOT NULL,
    starts text COLLATE "C" NOT NULL, -- the latest ones, as far as a rate limit has to know them
    version bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (tenant, name)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);

-- What a claim walks when a concurrency_key holds up what stands first: the first of each other key.
CREATE INDEX tasks_keyed ON taskflow.tasks(tenant, queue, kind, priority, concurrency_key, run_at, id)
    WHERE status = 0 AND blocked_by = 0 AND concurrency_key IS NOT NULL;
