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

-- Raises what a caller of taskflow.enqueue did wrong.
CREATE FUNCTION taskflow.refuse(field text, rule text) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% %', field, rule USING ERRCODE = 'invalid_parameter_value', COLUMN = field;
END $$;

-- The rules of JSON that the type jsonb does not keep by itself: size, depth, numbers.
CREATE FUNCTION taskflow.check_json(field text, value jsonb, bytes_max integer) RETURNS void
    LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    plain text;
    number text;
BEGIN
    IF value IS NULL THEN RETURN; END IF;
    IF octet_length(value::text) > bytes_max THEN
        PERFORM taskflow.refuse(field, format('must be at most %s bytes of JSON', bytes_max));
    END IF;
    plain := regexp_replace(value::text, '"(\\.|[^"\\])*"', '', 'g');
    IF length(plain) - length(translate(plain, '[{', '')) > 64 AND (
        SELECT max(depth) FROM (
            SELECT sum(CASE WHEN c IN ('[', '{') THEN 1 ELSE -1 END) OVER (ORDER BY place) AS depth
            FROM regexp_split_to_table(regexp_replace(plain, '[^][{}]', '', 'g'), '')
                WITH ORDINALITY AS t(c, place)) AS depths) > 64 THEN
        PERFORM taskflow.refuse(field, 'must not nest deeper than 64 levels');
    END IF;
    FOR number IN SELECT t FROM regexp_split_to_table(plain, '[^-0-9.]+') AS t WHERE length(t) > 300 LOOP
        IF length(number) > 1000 THEN
            PERFORM taskflow.refuse(field, 'must not hold a number of more than 1000 characters');
        END IF;
        BEGIN
            PERFORM split_part(number, '.', 1)::double precision;
        EXCEPTION WHEN numeric_value_out_of_range THEN
            PERFORM taskflow.refuse(field, 'must not hold a number beyond the range of a double');
        END;
    END LOOP;
END $$;

-- Creates a task inside the caller's own transaction: it exists when that commits, and wakes workers
-- then. The same rules and defaults as POST /api/v1/tasks; answers the id.
CREATE FUNCTION taskflow.enqueue(
    title text,
    kind text DEFAULT 'log',
    payload jsonb DEFAULT NULL,
    queue text DEFAULT 'default',
    priority text DEFAULT 'medium',
    run_at timestamptz DEFAULT NULL,
    max_attempts integer DEFAULT 5,
    lease_seconds integer DEFAULT 30,
    timeout_seconds integer DEFAULT NULL,
    description text DEFAULT NULL,
    tags text[] DEFAULT '{}',
    metadata jsonb DEFAULT NULL,
    unique_key text DEFAULT NULL,
    on_conflict text DEFAULT 'return'
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    name_rule CONSTANT text := '^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$';
    controls CONSTANT text := E'[\u0001-\u001f\u007f-\u009f]';
    now_us CONSTANT bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
    start_us bigint := now_us;
    rank smallint;
    labels text[];
    holder bigint;
    born bigint;
BEGIN
    IF title IS NULL OR char_length(title) > 255
        OR title !~ E'[^\\s\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]' THEN
        PERFORM taskflow.refuse('title', 'must be 1 to 255 characters, not only white space');
    END IF;
    IF queue IS NULL OR queue !~ name_rule THEN
        PERFORM taskflow.refuse('queue', 'must be 1 to 100 characters from A-Z a-z 0-9 . _ : - and start with a letter or digit');
    END IF;
    IF kind IS NULL OR kind !~ name_rule THEN
        PERFORM taskflow.refuse('kind', 'must be 1 to 100 characters from A-Z a-z 0-9 . _ : - and start with a letter or digit');
    END IF;
    rank := array_position(ARRAY['low', 'medium', 'high', 'urgent'], priority) - 1;
    IF rank IS NULL THEN
        PERFORM taskflow.refuse('priority', 'must be low, medium, high or urgent');
    END IF;
    IF max_attempts IS NULL OR max_attempts NOT BETWEEN 1 AND 100 THEN
        PERFORM taskflow.refuse('max_attempts', 'must be 1 to 100');
    END IF;
    IF lease_seconds IS NULL OR lease_seconds NOT BETWEEN 1 AND 86400 THEN
        PERFORM taskflow.refuse('lease_seconds', 'must be 1 to 86400 (a day)');
    END IF;
    IF timeout_seconds NOT BETWEEN 1 AND 604800 THEN
        PERFORM taskflow.refuse('timeout_seconds', 'must be 1 to 604800 (a week)');
    END IF;
    IF octet_length(description) > 65536 THEN
        PERFORM taskflow.refuse('description', 'must be at most 65536 bytes');
    END IF;
    IF run_at IS NOT NULL THEN
        IF run_at = 'infinity' OR run_at >= '9998-12-31 00:00:00+00' THEN
            PERFORM taskflow.refuse('run_at', 'must lie before the year 9999');
        END IF;
        start_us := greatest(now_us, (extract(epoch FROM greatest(run_at, now())) * 1000000)::bigint);
    END IF;
    SELECT array_agg(tag ORDER BY place) INTO labels
        FROM (SELECT tag, min(place) AS place FROM unnest(tags) WITH ORDINALITY AS t(tag, place)
              GROUP BY tag) AS kept;
    IF cardinality(tags) > 50 OR EXISTS (SELECT FROM unnest(tags) AS tag WHERE tag IS NULL
        OR char_length(tag) NOT BETWEEN 1 AND 100 OR tag ~ controls OR strpos(tag, ',') > 0) THEN
        PERFORM taskflow.refuse('tags', 'must be at most 50 of 1 to 100 characters without commas and control characters');
    END IF;
    PERFORM taskflow.check_json('payload', payload, 1048576);
    PERFORM taskflow.check_json('metadata', metadata, 16384);
    IF jsonb_typeof(metadata) <> 'object' THEN
        PERFORM taskflow.refuse('metadata', 'must be an object');
    ELSIF (SELECT count(*) FROM jsonb_object_keys(metadata)) > 64 THEN
        PERFORM taskflow.refuse('metadata', 'must have at most 64 keys');
    END IF;
    IF on_conflict IS NULL OR on_conflict NOT IN ('return', 'reject') THEN
        PERFORM taskflow.refuse('on_conflict', 'must be return or reject');
    END IF;
    IF unique_key IS NOT NULL THEN
        IF char_length(unique_key) NOT BETWEEN 1 AND 255 OR unique_key ~ controls THEN
            PERFORM taskflow.refuse('unique_key', 'must be 1 to 255 characters without control characters');
        END IF;
        -- The lock that every node takes for this key.
        PERFORM pg_advisory_xact_lock(
            hashtextextended('taskflow:' || format('%s %s %s', 1, queue, unique_key), 0));
        SELECT t.id INTO holder FROM taskflow.tasks AS t WHERE t.tenant = 1
            AND t.queue = enqueue.queue AND t.unique_key = enqueue.unique_key AND t.status < 2;
        IF holder IS NOT NULL AND on_conflict = 'return' THEN
            RETURN holder;
        ELSIF holder IS NOT NULL THEN
            RAISE EXCEPTION 'task % holds the unique key', holder USING ERRCODE = 'unique_violation';
        END IF;
    END IF;
    IF NOT EXISTS (SELECT FROM taskflow.lanes AS l WHERE l.tenant = 1 AND l.queue = enqueue.queue
        AND l.kind = enqueue.kind) THEN
        INSERT INTO taskflow.lanes VALUES (1, enqueue.queue, enqueue.kind) ON CONFLICT DO NOTHING;
        PERFORM pg_notify('taskflow_lanes', '');
    END IF;
    INSERT INTO taskflow.tasks(id, tenant, status, priority, queue, kind, run_at, max_attempts,
        lease_seconds, timeout_seconds, created_at, updated_at, version, unique_key, tags, metadata,
        title, description, payload)
    VALUES (nextval('taskflow.task_ids'), 1, 0, rank, enqueue.queue, enqueue.kind, start_us,
        enqueue.max_attempts, enqueue.lease_seconds, enqueue.timeout_seconds, now_us, now_us, 1,
        enqueue.unique_key, to_json(labels)::text, nullif(enqueue.metadata, '{}')::text,
        enqueue.title, enqueue.description, enqueue.payload::text)
    RETURNING id INTO born;
    INSERT INTO taskflow.task_count_deltas VALUES (1, 0, enqueue.queue, enqueue.kind, rank, 1);
    PERFORM pg_notify('taskflow_enqueued', enqueue.queue);
    RETURN born;
END $$;
-- Whoever may create tasks is told so by name: GRANT EXECUTE ON FUNCTION taskflow.enqueue TO …
REVOKE EXECUTE ON FUNCTION taskflow.enqueue FROM PUBLIC;
