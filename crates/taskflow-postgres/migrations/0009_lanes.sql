-- One index for all lists instead of three: what a list walks is a lane, the tasks of one queue, kind and
-- number, and the kept counts tell which lanes there are. The long expression is `lists::CODE` of the
-- program. Three indexes got an entry for every change of every task. Both columns are computed, so that
-- nothing but a list can use it, and a list nothing else.
DROP INDEX taskflow.tasks_listed;
DROP INDEX taskflow.tasks_queued;
DROP INDEX taskflow.tasks_kinds;
CREATE INDEX tasks_lanes ON taskflow.tasks((
    (hashtextextended(kind, hashtextextended(queue, tenant)) & -32) + (CASE WHEN status <> 0 THEN status WHEN blocked_by > 0 THEN 7 WHEN run_at <= updated_at THEN 0 WHEN retrying THEN 6 ELSE 5 END * 4 + priority)
), (id + 0));
