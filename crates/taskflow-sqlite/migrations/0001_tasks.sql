-- Tasks, their history and the counts that are kept with them.
-- Times are microseconds since 1970 in UTC; statuses, priorities and outcomes are the numbers of core.
PRAGMA application_id = 0x54464C57; -- "TFLW": tells this file from other programs' databases

CREATE TABLE tasks(
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    status INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    queue TEXT NOT NULL,
    kind TEXT NOT NULL,
    run_at INTEGER NOT NULL,
    retrying INTEGER NOT NULL,
    blocked_by INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    uncounted INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    lease_seconds INTEGER NOT NULL,
    timeout_seconds INTEGER,
    deadline_at INTEGER,
    expires_at INTEGER,
    retry TEXT,
    lease_token BLOB,
    lease_until INTEGER,
    lease_length INTEGER,
    last_token BLOB,
    last_call BLOB,
    last_outcome INTEGER,
    worker TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    started_at INTEGER,
    completed_at INTEGER,
    ended_at INTEGER,
    version INTEGER NOT NULL,
    progress REAL,
    progress_message TEXT,
    unique_key TEXT,
    concurrency_key TEXT,
    depends_on TEXT,
    tags TEXT,
    metadata TEXT,
    title TEXT NOT NULL,
    description TEXT,
    error_message TEXT,
    cancel_reason TEXT,
    payload TEXT,
    checkpoint TEXT,
    result TEXT
) STRICT;

-- What a claim walks: one lane per queue, kind and priority, oldest first.
CREATE INDEX tasks_ready ON tasks(tenant, queue, kind, priority, run_at)
    WHERE status = 0 AND blocked_by = 0;
-- What a list walks, newest first: every filter is a few ranges of this index.
CREATE INDEX tasks_listed ON tasks(tenant, status, priority);
-- What the reaper walks.
CREATE INDEX tasks_leased ON tasks(lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX tasks_deadline ON tasks(deadline_at) WHERE status = 0 AND deadline_at IS NOT NULL;
CREATE INDEX tasks_expiring ON tasks(expires_at) WHERE status = 0 AND expires_at IS NOT NULL;
-- At most one live task per key.
CREATE UNIQUE INDEX tasks_unique ON tasks(tenant, queue, unique_key)
    WHERE unique_key IS NOT NULL AND status < 2;

-- Ended attempts; the one that completed a task is the task's own row until a retry.
CREATE TABLE attempts(
    task INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    worker TEXT,
    started_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    error TEXT,
    PRIMARY KEY (task, attempt)
) STRICT, WITHOUT ROWID;

-- Who still waits for whom; an edge goes when its parent ends.
CREATE TABLE waits(
    parent INTEGER NOT NULL,
    child INTEGER NOT NULL,
    PRIMARY KEY (parent, child)
) STRICT, WITHOUT ROWID;

-- Tasks per status and lane, kept in the transaction that changes them.
CREATE TABLE task_counts(
    tenant INTEGER NOT NULL,
    status INTEGER NOT NULL,
    queue TEXT NOT NULL,
    kind TEXT NOT NULL,
    priority INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (tenant, status, queue, kind, priority)
) STRICT, WITHOUT ROWID;

-- The next id is above the largest row and not below this, which every delete writes, so that no id
-- is given twice.
CREATE TABLE sequences(name TEXT PRIMARY KEY, next INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO sequences VALUES ('task', 1);
