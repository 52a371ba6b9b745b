-- Namespaces, and what waiting runs need of a worker.
ALTER TABLE runs ADD COLUMN namespace TEXT;
ALTER TABLE runs ADD COLUMN class TEXT NOT NULL DEFAULT '';

DROP INDEX runs_by_idempotency_key;
CREATE UNIQUE INDEX runs_by_idempotency_key ON runs (ifnull(namespace, ''), idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX runs_by_namespace ON runs (namespace, run_id) WHERE namespace IS NOT NULL;

ALTER TABLE leases ADD COLUMN class TEXT NOT NULL DEFAULT '';
CREATE INDEX leases_by_end ON leases (expires_at_ms) WHERE expires_at_ms IS NOT NULL;

DROP INDEX queue_order;
ALTER TABLE queue ADD COLUMN class TEXT NOT NULL DEFAULT '';
CREATE INDEX queue_order ON queue (class, priority DESC, ready_at_ms, run);

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
