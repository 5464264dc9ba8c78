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

-- Creates a task inside the caller's own transaction: it exists when that commits, and wakes workers
-- then, telling them from which second on to look. The same rules and defaults as POST /api/v1/tasks,
-- those of the queue included; answers the id.
CREATE OR REPLACE FUNCTION taskflow.enqueue(
    title text,
    kind text DEFAULT 'log',
    payload jsonb DEFAULT NULL,
    queue text DEFAULT 'default',
    priority text DEFAULT NULL,
    run_at timestamptz DEFAULT NULL,
    max_attempts integer DEFAULT NULL,
    lease_seconds integer DEFAULT NULL,
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
    own jsonb;
BEGIN
    -- NULL says the same as leaving a parameter out.
    kind := coalesce(kind, 'log');
    queue := coalesce(queue, 'default');
    SELECT q.settings::jsonb INTO own FROM taskflow.queues AS q
        WHERE q.tenant = 1 AND q.name = enqueue.queue;
    priority := coalesce(priority,
        (ARRAY['low', 'medium', 'high', 'urgent'])[(own->>'priority')::integer + 1], 'medium');
    max_attempts := coalesce(max_attempts, (own->>'max_attempts')::integer, 5);
    lease_seconds := coalesce(lease_seconds, (own->>'lease_seconds')::integer, 30);
    timeout_seconds := coalesce(timeout_seconds, (own->>'timeout_seconds')::integer);
    on_conflict := coalesce(on_conflict, 'return');
    metadata := nullif(metadata, 'null');
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
        IF run_at = 'infinity' OR run_at >= '9999-01-01 00:00:00+00' THEN
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
    IF unique_key IS NULL AND on_conflict = 'reject' THEN
        PERFORM taskflow.refuse('on_conflict', 'means nothing without unique_key');
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
        -- In an old snapshot the holder may have ended since: then this fails, and the transaction is to be
        -- repeated. The lock goes at once: a worker may hold the task.
        IF holder IS NOT NULL AND current_setting('transaction_isolation') <> 'read committed' THEN
            BEGIN
                PERFORM FROM taskflow.tasks AS t WHERE t.id = holder FOR SHARE;
                RAISE EXCEPTION USING ERRCODE = 'TF001';
            EXCEPTION WHEN SQLSTATE 'TF001' THEN
                NULL;
            END;
        END IF;
        IF holder IS NOT NULL AND on_conflict = 'return' THEN
            RETURN holder;
        ELSIF holder IS NOT NULL THEN
            RAISE EXCEPTION 'task % holds the unique key', holder USING ERRCODE = 'unique_violation';
        END IF;
    END IF;
    IF NOT EXISTS (SELECT FROM taskflow.lanes AS l WHERE l.tenant = 1 AND l.queue = enqueue.queue
        AND l.kind = enqueue.kind) THEN
        INSERT INTO taskflow.lanes VALUES (1, enqueue.queue, enqueue.kind);
        PERFORM pg_notify('taskflow_lanes', '');
    END IF;
    INSERT INTO taskflow.tasks(id, tenant, status, priority, queue, kind, run_at, max_attempts,
        lease_seconds, timeout_seconds, retry, created_at, updated_at, version, unique_key, tags,
        metadata, title, description, payload)
    VALUES (nextval('taskflow.task_ids'), 1, 0, rank, enqueue.queue, enqueue.kind, start_us,
        enqueue.max_attempts, enqueue.lease_seconds, enqueue.timeout_seconds, own->>'retry',
        now_us, now_us, 1,
        enqueue.unique_key, to_json(labels)::text, nullif(enqueue.metadata, '{}')::text,
        enqueue.title, enqueue.description, enqueue.payload::text)
    -- A holder that an old snapshot does not see fails as a serialization failure.
    ON CONFLICT DO NOTHING
    RETURNING id INTO born;
    IF born IS NULL THEN
        RAISE EXCEPTION 'another task holds the unique key' USING ERRCODE = 'unique_violation';
    END IF;
    INSERT INTO taskflow.task_count_deltas(tenant, status, queue, kind, priority, n)
        VALUES (1, 0, enqueue.queue, enqueue.kind, rank, 1);
    PERFORM pg_notify('taskflow_enqueued', start_us / 1000000 || ' 1 ' || enqueue.queue);
    RETURN born;
END $$;
