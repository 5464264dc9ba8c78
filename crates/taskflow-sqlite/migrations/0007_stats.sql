-- What the retention walks: each queue and ended status, the oldest end first. By queue, so that a queue that
-- keeps its tasks for longer is never walked past.
CREATE INDEX tasks_ended ON tasks(queue, status, ended_at) WHERE ended_at IS NOT NULL;

-- What happened in each minute of the last day, kept in the transaction that did it: by queue, and with an
-- empty name for all queues together. A minute is whole minutes since 1970; cells are numbers of core.
CREATE TABLE series(
    tenant INTEGER NOT NULL,
    queue TEXT NOT NULL,
    minute INTEGER NOT NULL,
    cells TEXT NOT NULL,
    PRIMARY KEY (tenant, queue, minute)
) STRICT, WITHOUT ROWID;
-- What is too old goes by it.
CREATE INDEX series_minute ON series(minute);
