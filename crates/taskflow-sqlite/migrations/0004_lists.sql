-- What lists with filters walk. The long expression is `lists::CODE` of the program: where a task stands
-- and its priority in one number, so that every mixture of status, reason and priority is a few ranges.

DROP INDEX tasks_listed;
CREATE INDEX tasks_listed ON tasks(
    tenant * 32 + (CASE WHEN status <> 0 THEN status WHEN blocked_by > 0 THEN 7 WHEN run_at <= updated_at THEN 0 WHEN retrying THEN 6 ELSE 5 END * 4 + priority)
);
CREATE INDEX tasks_queued ON tasks(
    tenant, queue,
    (CASE WHEN status <> 0 THEN status WHEN blocked_by > 0 THEN 7 WHEN run_at <= updated_at THEN 0 WHEN retrying THEN 6 ELSE 5 END * 4 + priority)
);
CREATE INDEX tasks_kinds ON tasks(
    tenant, kind,
    (CASE WHEN status <> 0 THEN status WHEN blocked_by > 0 THEN 7 WHEN run_at <= updated_at THEN 0 WHEN retrying THEN 6 ELSE 5 END * 4 + priority)
);
-- Those that were put off: whose time has come, whose has not.
CREATE INDEX tasks_delayed ON tasks(tenant, run_at)
    WHERE status = 0 AND blocked_by = 0 AND run_at > updated_at;

-- The tags of tasks, one a row; kept by triggers, so that no way to write a task can forget them.
CREATE TABLE task_tags(
    tenant INTEGER NOT NULL,
    tag TEXT NOT NULL,
    task INTEGER NOT NULL,
    PRIMARY KEY (tenant, tag, task)
) STRICT, WITHOUT ROWID;
INSERT INTO task_tags(tenant, tag, task)
    SELECT t.tenant, e.value, t.id FROM tasks AS t, json_each(t.tags) AS e WHERE t.tags IS NOT NULL
    ON CONFLICT DO NOTHING;
CREATE TRIGGER tasks_tagged AFTER INSERT ON tasks WHEN new.tags IS NOT NULL BEGIN
    INSERT INTO task_tags(tenant, tag, task)
        SELECT new.tenant, e.value, new.id FROM json_each(new.tags) AS e WHERE true
        ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER tasks_untagged AFTER DELETE ON tasks WHEN old.tags IS NOT NULL BEGIN
    DELETE FROM task_tags WHERE tenant = old.tenant AND task = old.id
        AND tag IN (SELECT e.value FROM json_each(old.tags) AS e);
END;
CREATE TRIGGER tasks_retagged AFTER UPDATE OF tags ON tasks WHEN old.tags IS NOT new.tags BEGIN
    DELETE FROM task_tags WHERE tenant = old.tenant AND task = old.id
        AND tag IN (SELECT e.value FROM json_each(old.tags) AS e);
    INSERT INTO task_tags(tenant, tag, task)
        SELECT new.tenant, e.value, new.id FROM json_each(new.tags) AS e WHERE true
        ON CONFLICT DO NOTHING;
END;

-- Every thousandth task: no task up to `id` was created later than `at`. Times of creation need not rise
-- with the ids (a clock may be set back), so a list of tasks after an instant begins here.
CREATE TABLE task_births(
    at INTEGER NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (at, id)
) STRICT, WITHOUT ROWID;
INSERT INTO task_births(at, id)
    SELECT at, id FROM (SELECT id, max(created_at) OVER (ORDER BY id) AS at FROM tasks)
    WHERE id % 1024 = 0;
CREATE TRIGGER tasks_born AFTER INSERT ON tasks WHEN new.id % 1024 = 0 BEGIN
    INSERT INTO task_births(at, id)
        SELECT max(ifnull(last.at, new.created_at), (SELECT max(created_at) FROM tasks
            WHERE id > ifnull(last.id, 0) AND id <= new.id)), new.id
        FROM (SELECT 1) LEFT JOIN (SELECT at, id FROM task_births ORDER BY at DESC, id DESC LIMIT 1) AS last
        WHERE true
        ON CONFLICT DO NOTHING;
END;
