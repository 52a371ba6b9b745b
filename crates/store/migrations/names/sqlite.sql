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

INSERT INTO unindexed_runs (run) SELECT run FROM runs;

-- What sessions keep beyond their runs, as far as it may name blobs.
CREATE INDEX session_messages_naming ON session_messages (id) WHERE instr(content, 'sha256:') > 0;
CREATE INDEX session_results_naming ON session_results (id) WHERE instr(result, 'sha256:') > 0;
