-- What lists with filters walk. The long expression is `lists::CODE` of the program: where a task stands
-- and its priority in one number, so that every mixture of status, reason and priority is a few ranges.
-- Each key is one number, so that nothing but a list can use it.

DROP INDEX taskflow.tasks_listed;
CREATE INDEX tasks_listed ON taskflow.tasks((
    tenant * 32 + (CASE WHEN status <> 0 THEN status WHEN blocked_by > 0 THEN 7 WHEN run_at <= updated_at THEN 0 WHEN retrying THEN 6 ELSE 5 END * 4 + priority)
), id);
CREATE INDEX tasks_queued ON taskflow.tasks((
    (hashtextextended(queue, tenant) & -32) + (CASE WHEN status <> 0 THEN status WHEN blocked_by > 0 THEN 7 WHEN run_at <= updated_at THEN 0 WHEN retrying THEN 6 ELSE 5 END * 4 + priority)
), id);
CREATE INDEX tasks_kinds ON taskflow.tasks((
    (hashtextextended(kind, tenant) & -32) + (CASE WHEN status <> 0 THEN status WHEN blocked_by > 0 THEN 7 WHEN run_at <= updated_at THEN 0 WHEN retrying THEN 6 ELSE 5 END * 4 + priority)
), id);
-- Those that were put off: whose time has come, whose has not.
CREATE INDEX tasks_delayed ON taskflow.tasks((tenant + 0), (run_at + 0))
    WHERE CASE WHEN status = 0 AND blocked_by = 0 THEN run_at > updated_at ELSE false END;

-- The tags of tasks, one a row; kept by triggers, so that no way to write a task can forget them.
CREATE TABLE taskflow.task_tags(
    tenant bigint NOT NULL,
    tag text COLLATE "C" NOT NULL,
    task bigint NOT NULL,
    PRIMARY KEY (tenant, tag, task)
);
INSERT INTO taskflow.task_tags(tenant, tag, task)
    SELECT t.tenant, e.tag, t.id FROM taskflow.tasks AS t, json_array_elements_text(t.tags::json) AS e(tag)
    WHERE t.tags IS NOT NULL
    ON CONFLICT DO NOTHING;
CREATE FUNCTION taskflow.keep_tags() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.tags IS NOT NULL THEN
        DELETE FROM taskflow.task_tags AS g WHERE g.tenant = OLD.tenant AND g.task = OLD.id
            AND g.tag IN (SELECT json_array_elements_text(OLD.tags::json));
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.tags IS NOT NULL THEN
        INSERT INTO taskflow.task_tags(tenant, tag, task)
            SELECT NEW.tenant, e.tag, NEW.id FROM json_array_elements_text(NEW.tags::json) AS e(tag)
            ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tasks_tagged AFTER INSERT ON taskflow.tasks FOR EACH ROW
    WHEN (NEW.tags IS NOT NULL) EXECUTE FUNCTION taskflow.keep_tags();
CREATE TRIGGER tasks_untagged AFTER DELETE ON taskflow.tasks FOR EACH ROW
    WHEN (OLD.tags IS NOT NULL) EXECUTE FUNCTION taskflow.keep_tags();
CREATE TRIGGER tasks_retagged AFTER UPDATE OF tags ON taskflow.tasks FOR EACH ROW
    WHEN (OLD.tags IS DISTINCT FROM NEW.tags) EXECUTE FUNCTION taskflow.keep_tags();

-- Every thousandth task: no task up to `id` was or will be created later than `at`. Times of creation
-- need not rise with the ids (transactions overtake each other, a clock may be set back), so a list of
-- tasks after an instant begins here.
CREATE TABLE taskflow.task_births(
    at bigint NOT NULL,
    id bigint NOT NULL,
    PRIMARY KEY (at, id)
);
INSERT INTO taskflow.task_births(at, id)
    SELECT at, id FROM (SELECT id, max(created_at) OVER (ORDER BY id) AS at FROM taskflow.tasks) AS born
    WHERE id % 1024 = 0;
-- A second more than now: tasks with smaller ids may not be committed yet, and nodes' clocks differ.
CREATE FUNCTION taskflow.keep_births() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last taskflow.task_births;
BEGIN
    SELECT * INTO last FROM taskflow.task_births ORDER BY at DESC, id DESC LIMIT 1;
    INSERT INTO taskflow.task_births(at, id) VALUES (greatest(
        last.at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + 1000000, NEW.created_at,
        (SELECT max(t.created_at) FROM taskflow.tasks AS t
            WHERE t.id > greatest(coalesce(last.id, 0), NEW.id - 4096) AND t.id <= NEW.id)), NEW.id)
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER tasks_born AFTER INSERT ON taskflow.tasks FOR EACH ROW
    WHEN (NEW.id % 1024 = 0) EXECUTE FUNCTION taskflow.keep_births();
