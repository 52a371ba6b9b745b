-- Sessions get turns, a history, a cache of tools' results, and rollbacks.

-- Live runs that take turns in their session: the first in order has the turn, the others wait.
CREATE TABLE session_turns (
    run        INTEGER PRIMARY KEY,
    session_id TEXT    NOT NULL,
    -- 0 for a run that ends those before it: it is claimed although it is not its turn.
    waits      INTEGER NOT NULL,
    -- 1 once an attempt of it began: it keeps the turn until it is over.
    has_begun  INTEGER NOT NULL
) STRICT;

CREATE INDEX session_turns_order ON session_turns (session_id, has_begun DESC, run);

-- The newest messages of each session, as `session.appended` tells them.
CREATE TABLE session_messages (
    id         INTEGER PRIMARY KEY,
    session_id TEXT    NOT NULL,
    -- Counts from 1 in the session.
    number     INTEGER NOT NULL,
    run_id     TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    content    TEXT    NOT NULL,
    at_ms      INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX session_messages_order ON session_messages (session_id, number);

-- Results of tools, as `session.cached` tells them. Of one input the newest row counts; an older
-- one of another run is kept for as long as the newer one can be rolled back.
CREATE TABLE session_results (
    id            INTEGER PRIMARY KEY,
    session_id    TEXT    NOT NULL,
    tool          TEXT    NOT NULL,
    input_digest  TEXT    NOT NULL,
    run_id        TEXT    NOT NULL,
    result        TEXT    NOT NULL,
    at_ms         INTEGER NOT NULL,
    -- NULL: never.
    expires_at_ms INTEGER
) STRICT;

CREATE INDEX session_results_by_input ON session_results (session_id, tool, input_digest, id);

-- Runs whose changes of their session were undone, as `session.rolled_back` tells it.
CREATE TABLE session_rollbacks (
    run_id     TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    by_run_id  TEXT NOT NULL
) STRICT;

CREATE INDEX session_rollbacks_by_session ON session_rollbacks (session_id);
