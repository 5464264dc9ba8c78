-- One index for all lists instead of three: what a list walks is a lane, the tasks of one queue, kind and
-- number, and the kept counts tell which lanes there are. The long expression is `lists::CODE` of the
-- program. Three indexes were changed by every change of every task.
DROP INDEX tasks_listed;
DROP INDEX tasks_queued;
DROP INDEX tasks_kinds;
CREATE INDEX tasks_lanes ON tasks(
    tenant, queue, kind,
    (CASE WHEN status <> 0 THEN status WHEN blocked_by > 0 THEN 7 WHEN run_at <= updated_at THEN 0 WHEN retrying THEN 6 ELSE 5 END * 4 + priority)
);

-- The same as before without a function: a statement that calls one may fail half-way, as far as SQLite
-- knows, and then it notes every page it changes, at each insert of a task.
DROP TRIGGER tasks_born;
CREATE TRIGGER tasks_born AFTER INSERT ON tasks WHEN new.id % 1024 = 0 BEGIN
    INSERT INTO task_births(at, id)
        SELECT CASE WHEN last.at > newest.at THEN last.at ELSE newest.at END, new.id
        FROM (SELECT max(created_at) AS at FROM tasks
            WHERE id > ifnull((SELECT id FROM task_births ORDER BY at DESC, id DESC LIMIT 1), 0)
            AND id <= new.id) AS newest
        LEFT JOIN (SELECT at FROM task_births ORDER BY at DESC, id DESC LIMIT 1) AS last
        WHERE true
        ON CONFLICT DO NOTHING;
END;
