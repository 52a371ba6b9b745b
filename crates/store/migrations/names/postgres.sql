-- Blobs and parcels that the journals of runs name, by digest: a projection of the journals.
CREATE TABLE names (
    run       BIGINT  NOT NULL,
    is_parcel BOOLEAN NOT NULL,
    -- 32 bytes.
    digest    BYTEA   NOT NULL,
    PRIMARY KEY (run, digest, is_parcel)
);

CREATE INDEX names_by_digest ON names (digest);
CREATE INDEX names_of_parcels ON names (digest) WHERE is_parcel;

-- Runs that were there before `names`, until their journals are read for it.
CREATE TABLE unindexed_runs (
    run BIGINT PRIMARY KEY
);

INSERT INTO unindexed_runs (run) SELECT run FROM runs;

-- What sessions keep beyond their runs, as far as it may name blobs.
CREATE INDEX session_messages_naming ON session_messages (id) WHERE position('sha256:' in content) > 0;
CREATE INDEX session_results_naming ON session_results (id) WHERE position('sha256:' in result) > 0;

-- When a blob was put, or named, last, by the clock of this server: what nothing names is removed
-- some time after that.
ALTER TABLE blobs ADD COLUMN touched_at TIMESTAMPTZ NOT NULL DEFAULT now();
ALTER TABLE blobs SET (fillfactor = 90);
