-- One row for each batch, from before the adaptor is asked to start it.
CREATE TABLE batches (
    id                 TEXT   NOT NULL PRIMARY KEY,
    owner              TEXT   NOT NULL, -- the caller's id
    endpoint           TEXT   NOT NULL, -- the endpoint's slug
    cluster            TEXT   NOT NULL,
    framework          TEXT   NOT NULL,
    model              TEXT   NOT NULL,
    input_file         TEXT   NOT NULL,
    output_folder_path TEXT,
    status             TEXT   NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed')),
    handle             TEXT,            -- the adaptor's name for it; NULL until it has accepted the batch
    task_ids           TEXT,            -- the backend's, separated by commas
    result             TEXT,            -- what it gave, or why it failed
    created_at         BIGINT NOT NULL, -- Unix seconds, as below
    in_progress_at     BIGINT,
    completed_at       BIGINT,
    failed_at          BIGINT
);
CREATE INDEX batches_of_owner ON batches (owner, created_at);
-- An input file is worked on once at a time.
CREATE UNIQUE INDEX batches_active_file ON batches (owner, input_file) WHERE status IN ('pending', 'running');
