-- Failed runs whose attempts are spent, kept until they are redriven or discarded.
CREATE TABLE dead_letters (
    run             INTEGER PRIMARY KEY,
    -- The event `run.dead_lettered`.
    seq             INTEGER NOT NULL,
    at_ms           INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    code            TEXT    NOT NULL,
    message         TEXT    NOT NULL,
    step            TEXT,
    -- The one thing here that no journal says.
    discarded_at_ms INTEGER,
    discarded_by    TEXT
) STRICT;

-- Runs that do another one again. A dead letter is redriven by one that begins anew (`upto` is
-- null) or after its last event: one that begins earlier is a fork.
CREATE TABLE repeats (
    run_id TEXT    PRIMARY KEY,
    origin TEXT    NOT NULL,
    upto   INTEGER,
    at_ms  INTEGER NOT NULL
) STRICT;

CREATE INDEX repeats_by_origin ON repeats (origin, run_id);
