-- Workers as the nodes saw them. What they hold is in tasks; who is gone for a day is forgotten.
CREATE TABLE workers(
    tenant INTEGER NOT NULL,
    name TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    instance TEXT,
    version TEXT,
    takes TEXT,
    node TEXT,
    drained TEXT,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
-- What every process looks at twice a second.
CREATE INDEX workers_drained ON workers(tenant, name) WHERE drained IS NOT NULL;
