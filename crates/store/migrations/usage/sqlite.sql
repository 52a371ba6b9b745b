-- What calls used, and what the days of agents have been promised.

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
