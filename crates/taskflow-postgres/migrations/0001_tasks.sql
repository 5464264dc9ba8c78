-- Tasks, their history and the counts that are kept with them. Everything is in the schema taskflow.
-- Times are microseconds since 1970 in UTC; statuses, priorities and outcomes are the numbers of core.
CREATE SEQUENCE taskflow.task_ids AS bigint;

-- Room in each page for the second and third version of a row; vacuumed when one row in fifty is
-- dead, without pauses: a queue's dead rows stand where the next claim looks.
CREATE TABLE taskflow.tasks(
    id bigint NOT NULL,
    tenant bigint NOT NULL,
    status smallint NOT NULL,
    priority smallint NOT NULL,
    queue text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    run_at bigint NOT NULL,
    retrying boolean NOT NULL DEFAULT false,
    blocked_by integer NOT NULL DEFAULT 0,
    attempt integer NOT NULL DEFAULT 0,
    uncounted integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL,
    lease_seconds integer NOT NULL,
    timeout_seconds integer,
    deadline_at bigint,
    expires_at bigint,
    retry text COLLATE "C",
    lease_token bytea,
    lease_until bigint,
    lease_length integer,
    last_token bytea,
    last_call bytea,
    last_outcome smallint,
    worker text COLLATE "C",
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    started_at bigint,
    completed_at bigint,
    ended_at bigint,
    version bigint NOT NULL,
    progress double precision,
    progress_message text COLLATE "C",
    unique_key text COLLATE "C",
    concurrency_key text COLLATE "C",
    depends_on text COLLATE "C",
    tags text COLLATE "C",
    metadata text COLLATE "C",
    title text COLLATE "C" NOT NULL,
    description text COLLATE "C",
    error_message text COLLATE "C",
    cancel_reason text COLLATE "C",
    payload text COLLATE "C",
    checkpoint text COLLATE "C",
    result text COLLATE "C",
    CONSTRAINT tasks_id PRIMARY KEY (id)
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.1,
    autovacuum_analyze_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);

-- What a claim walks: one lane per queue, kind and priority, oldest first.
CREATE INDEX tasks_ready ON taskflow.tasks(tenant, queue, kind, priority, run_at, id)
    WHERE status = 0 AND blocked_by = 0;
-- What a list walks, newest first: every filter is a few ranges of this index.
CREATE INDEX tasks_listed ON taskflow.tasks(tenant, status, priority, id);
-- What the reaper walks.
CREATE INDEX tasks_leased ON taskflow.tasks(lease_until, id) WHERE lease_until IS NOT NULL;
CREATE INDEX tasks_deadline ON taskflow.tasks(deadline_at, id)
    WHERE status = 0 AND deadline_at IS NOT NULL;
CREATE INDEX tasks_expiring ON taskflow.tasks(expires_at, id)
    WHERE status = 0 AND expires_at IS NOT NULL;
-- At most one live task per key.
CREATE UNIQUE INDEX tasks_unique ON taskflow.tasks(tenant, queue, unique_key)
    WHERE unique_key IS NOT NULL AND status < 2;

-- Ended attempts; the one that completed a task is the task's own row until a retry.
CREATE TABLE taskflow.attempts(
    task bigint NOT NULL,
    attempt integer NOT NULL,
    outcome smallint NOT NULL,
    worker text COLLATE "C",
    started_at bigint NOT NULL,
    ended_at bigint NOT NULL,
    error text COLLATE "C",
    PRIMARY KEY (task, attempt)
);

-- Who still waits for whom; an edge goes when its parent ends.
CREATE TABLE taskflow.waits(
    parent bigint NOT NULL,
    child bigint NOT NULL,
    PRIMARY KEY (parent, child)
);
CREATE INDEX waits_child ON taskflow.waits(child);

-- Every queue and kind that ever had a task: where a claim looks.
CREATE TABLE taskflow.lanes(
    tenant bigint NOT NULL,
    queue text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, queue, kind)
);

-- Tasks per status and lane: what was folded, and what each transaction added since. A row that every
-- transaction updates would let one commit wait for the other.
CREATE TABLE taskflow.task_counts(
    tenant bigint NOT NULL,
    status smallint NOT NULL,
    queue text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    priority smallint NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (tenant, status, queue, kind, priority)
);
CREATE TABLE taskflow.task_count_deltas(
    tenant bigint NOT NULL,
    status smallint NOT NULL,
    queue text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    priority smallint NOT NULL,
    n bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0);
