-- The registry in SQLite. This is the whole current schema; `migrations/` leads to it step by step.
--
-- The journal (`events`) is the truth. `runs` and `states` are projections of it, kept in the same
-- commit; leases, queue and requests are what is going on now, small and apart from history.
-- `runs.run` is a number of this database only: no other table repeats the id of 20 characters.
-- Times are milliseconds since the epoch.

CREATE TABLE runs (
    run             INTEGER PRIMARY KEY,
    run_id          TEXT    NOT NULL UNIQUE,
    kind            TEXT    NOT NULL,
    agent           TEXT    NOT NULL,
    name            TEXT,
    labels          TEXT,
    session_id      TEXT,
    parent_run_id   TEXT,
    idempotency_key TEXT,
    fingerprint     BLOB    NOT NULL,
    -- The first 8 bytes of the fingerprint: what the index holds.
    fingerprint_key INTEGER NOT NULL,
    -- What follows changes with the journal.
    status          TEXT    NOT NULL,
    ended_at_ms     INTEGER,
    -- The number of the last lease, in force or not.
    epoch           INTEGER NOT NULL,
    head_seq        INTEGER NOT NULL,
    head_hash       BLOB    NOT NULL
, namespace TEXT, class TEXT NOT NULL DEFAULT '') STRICT;

CREATE INDEX runs_live ON runs (run_id) WHERE ended_at_ms IS NULL;
CREATE INDEX runs_by_name ON runs (name) WHERE name IS NOT NULL;
CREATE INDEX runs_by_parent ON runs (parent_run_id, run_id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_by_session ON runs (session_id, run_id) WHERE session_id IS NOT NULL;
CREATE UNIQUE INDEX runs_by_idempotency_key ON runs (ifnull(namespace, ''), idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX runs_by_namespace ON runs (namespace, run_id) WHERE namespace IS NOT NULL;
CREATE INDEX runs_by_fingerprint ON runs (fingerprint_key) WHERE status NOT IN ('failed', 'cancelled');

-- Appended only: rows of all runs in the order of their commits, found by the index.
CREATE TABLE events (
    id      INTEGER PRIMARY KEY,
    run     INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    type    TEXT    NOT NULL,
    -- Canonical JSON, exactly as it was hashed.
    data    TEXT    NOT NULL,
    hash    BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX events_by_run ON events (run, seq);

-- Folds of journals up to `seq`, so that a load need not begin at the first event.
CREATE TABLE states (
    run   INTEGER PRIMARY KEY,
    seq   INTEGER NOT NULL,
    state TEXT    NOT NULL
) STRICT;

CREATE TABLE leases (
    run           INTEGER PRIMARY KEY,
    epoch         INTEGER NOT NULL,
    holder        TEXT    NOT NULL,
    expires_at_ms INTEGER
, class TEXT NOT NULL DEFAULT '') STRICT;

CREATE INDEX leases_by_end ON leases (expires_at_ms) WHERE expires_at_ms IS NOT NULL;

-- Pending runs that any worker may claim, and no others.
CREATE TABLE queue (
    run         INTEGER PRIMARY KEY,
    priority    INTEGER NOT NULL,
    ready_at_ms INTEGER NOT NULL
, class TEXT NOT NULL DEFAULT '') STRICT;

CREATE INDEX queue_order ON queue (class, priority DESC, ready_at_ms, run);

-- What was asked of the holders of leases and is not answered yet.
CREATE TABLE requests (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    run   INTEGER NOT NULL,
    kind  TEXT    NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX requests_by_run ON requests (run);

CREATE TABLE sessions (
    session_id    TEXT    PRIMARY KEY,
    revision      INTEGER NOT NULL,
    state         TEXT    NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;

-- The inventories of agents: one row each time that an agent's content changed.
CREATE TABLE boms (
    agent      TEXT    NOT NULL,
    -- From 1, by agent.
    generation INTEGER NOT NULL,
    -- The document's name in the blob store: 32 bytes.
    digest     BLOB    NOT NULL,
    at_ms      INTEGER NOT NULL,
    PRIMARY KEY (agent, generation)
) STRICT, WITHOUT ROWID;

-- What calls used, summed: a projection of the journals. Days are counted from 1970-01-01, in UTC.
CREATE TABLE usage (
    run              INTEGER NOT NULL,
    -- The agent inside of the run that made the call; '' where nobody said.
    agent            TEXT    NOT NULL,
    day              INTEGER NOT NULL,
    -- 'model' or 'tool', or 'time' for what an attempt's processes worked.
    kind             TEXT    NOT NULL,
    -- Of a model; '' where nobody said.
    provider         TEXT    NOT NULL,
    -- Of the model or tool; '' where nobody said.
    name             TEXT    NOT NULL,
    -- '' outside of any step.
    step             TEXT    NOT NULL,
    calls            INTEGER NOT NULL,
    unpriced_calls   INTEGER NOT NULL,
    input_tokens     INTEGER NOT NULL,
    output_tokens    INTEGER NOT NULL,
    cached_tokens    INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_micro_usd   INTEGER NOT NULL,
    wall_time_ms     INTEGER NOT NULL,
    PRIMARY KEY (run, agent, day, kind, provider, name, step)
) STRICT, WITHOUT ROWID;

-- What all runs of an agent used in a day, those that were removed since included.
CREATE TABLE agent_days (
    agent          TEXT    NOT NULL,
    day            INTEGER NOT NULL,
    tokens         INTEGER NOT NULL,
    cost_micro_usd INTEGER NOT NULL,
    tool_calls     INTEGER NOT NULL,
    wall_time_ms   INTEGER NOT NULL,
    PRIMARY KEY (agent, day)
) STRICT, WITHOUT ROWID;

-- What was promised to calls that are under way, out of an agent's day.
CREATE TABLE reservations (
    id             TEXT    PRIMARY KEY,
    run            INTEGER NOT NULL,
    agent          TEXT    NOT NULL,
    day            INTEGER NOT NULL,
    tokens         INTEGER NOT NULL,
    cost_micro_usd INTEGER NOT NULL,
    tool_calls     INTEGER NOT NULL,
    wall_time_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX reservations_by_day ON reservations (agent, day);
CREATE INDEX reservations_by_run ON reservations (run);

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

-- What agents asked people: approvals and inputs. A projection of the journal, kept with its events.
CREATE TABLE questions (
    run          INTEGER NOT NULL,
    question_id  TEXT    NOT NULL,
    -- The event that asks.
    asked_seq    INTEGER NOT NULL,
    asked_at_ms  INTEGER NOT NULL,
    deadline_ms  INTEGER,
    -- The event that answers, or ends the run; NULL: it is open.
    answered_seq INTEGER,
    PRIMARY KEY (run, question_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX questions_open ON questions (asked_at_ms) WHERE answered_seq IS NULL;
CREATE INDEX questions_due ON questions (deadline_ms) WHERE answered_seq IS NULL AND deadline_ms IS NOT NULL;

-- Runs that are being removed by the transaction under way: the one way past the triggers.
CREATE TABLE removals (
    run INTEGER PRIMARY KEY
) STRICT;

CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events never change');
END;

CREATE TRIGGER events_stay BEFORE DELETE ON events
WHEN NOT EXISTS (SELECT 1 FROM removals WHERE run = OLD.run)
BEGIN
    SELECT RAISE(ABORT, 'events are deleted only with their run');
END;

CREATE TRIGGER events_end_with_the_run BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM runs WHERE run = NEW.run AND ended_at_ms IS NOT NULL)
BEGIN
    SELECT RAISE(ABORT, 'the run is over');
END;

CREATE TRIGGER runs_end_for_good BEFORE UPDATE ON runs
WHEN OLD.ended_at_ms IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'the run is over');
END;

CREATE TRIGGER runs_stay BEFORE DELETE ON runs
WHEN NOT EXISTS (SELECT 1 FROM removals WHERE run = OLD.run)
BEGIN
    SELECT RAISE(ABORT, 'runs are deleted only by way of removals');
END;

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

-- What a server keeps beside runs, by kind and key: agents, schedules, keys, deliveries.
CREATE TABLE documents (
    kind      TEXT    NOT NULL,
    -- '' is the default namespace.
    namespace TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    -- Grows with each change.
    revision  INTEGER NOT NULL,
    -- When somebody has to look at it; NULL: never.
    due_at_ms INTEGER,
    -- JSON.
    body      TEXT    NOT NULL,
    PRIMARY KEY (kind, namespace, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX documents_due ON documents (kind, due_at_ms) WHERE due_at_ms IS NOT NULL;

-- Blobs and parcels that the journals of runs name, by digest: a projection of the journals.
CREATE TABLE names (
    run       INTEGER NOT NULL,
    -- 32 bytes.
    digest    BLOB    NOT NULL,
    is_parcel INTEGER NOT NULL,
    PRIMARY KEY (run, digest, is_parcel)
) STRICT, WITHOUT ROWID;

CREATE INDEX names_by_digest ON names (digest);
CREATE INDEX names_of_parcels ON names (digest) WHERE is_parcel;

-- Runs that were there before `names`, until their journals are read for it.
CREATE TABLE unindexed_runs (
    run INTEGER PRIMARY KEY
) STRICT;

-- What sessions keep beyond their runs, as far as it may name blobs.
CREATE INDEX session_messages_naming ON session_messages (id) WHERE instr(content, 'sha256:') > 0;
CREATE INDEX session_results_naming ON session_results (id) WHERE instr(result, 'sha256:') > 0;
