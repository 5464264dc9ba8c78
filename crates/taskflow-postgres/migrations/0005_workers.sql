-- Workers as the nodes saw them. What they hold is in tasks; who is gone for a day is forgotten.
CREATE TABLE taskflow.workers(
    tenant bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    instance text,
    version text,
    takes text,
    node text,
    drained text,
    PRIMARY KEY (tenant, name)
    -- Room for the next version of a row beside it: every node writes the last calls every two seconds.
) WITH (fillfactor = 70);
-- What every node looks at twice a second.
CREATE INDEX workers_drained ON taskflow.workers(tenant, name) WHERE drained IS NOT NULL;
