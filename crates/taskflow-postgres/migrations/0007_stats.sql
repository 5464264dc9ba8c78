-- What the retention walks: each queue and ended status, the oldest end first. By queue, so that a queue that
-- keeps its tasks for longer is never walked past.
CREATE INDEX tasks_ended ON taskflow.tasks(queue, status, ended_at) WHERE ended_at IS NOT NULL;

-- What happened in each minute of the last day: what was folded, and what each transaction added since. By
-- queue, and where it is folded also with an empty name for all queues together. A minute is whole minutes
-- since 1970; a cell is a number of core, n how often it happened.
CREATE TABLE taskflow.series(
    tenant bigint NOT NULL,
    queue text COLLATE "C" NOT NULL,
    minute integer NOT NULL,
    cells smallint[] NOT NULL,
    n bigint[] NOT NULL,
    PRIMARY KEY (tenant, queue, minute)
) WITH (fillfactor = 50);
CREATE INDEX series_minute ON taskflow.series(minute);
CREATE TABLE taskflow.series_deltas(
    tenant bigint NOT NULL,
    queue text COLLATE "C" NOT NULL,
    minute integer NOT NULL,
    cells smallint[] NOT NULL,
    n bigint[] NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX series_deltas_id ON taskflow.series_deltas(id);

-- taskflow.enqueue as it is, and one statement more: a task that it creates counts in its minute too.
DO $migration$
DECLARE
    was text := pg_get_functiondef('taskflow.enqueue'::regproc);
    mark CONSTANT text := '    PERFORM pg_notify(''taskflow_enqueued''';
    is_now text;
BEGIN
    is_now := replace(was, mark,
        '    INSERT INTO taskflow.series_deltas(tenant, queue, minute, cells, n)' || E'\n' ||
        '        VALUES (1, enqueue.queue, now_us / 60000000, ARRAY[0], ARRAY[1]);' || E'\n' || mark);
    IF is_now = was THEN
        RAISE EXCEPTION 'taskflow.enqueue is not the one that this step changes';
    END IF;
    EXECUTE is_now;
END $migration$;
