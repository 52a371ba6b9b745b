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
