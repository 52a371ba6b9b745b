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
