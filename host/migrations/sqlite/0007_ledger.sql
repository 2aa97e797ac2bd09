-- One row for each request for a model. Times are in microseconds; 'at' is when it arrived, in Unix milliseconds.
CREATE TABLE request_records (
    id                TEXT NOT NULL PRIMARY KEY,
    at                INTEGER NOT NULL,
    request_id        TEXT NOT NULL, -- of the client's choice, so not unique
    tenant            TEXT,
    user_id           TEXT,
    key_id            TEXT,
    caller            TEXT,
    operation         TEXT NOT NULL,
    model             TEXT,
    endpoint          TEXT,
    owner             TEXT, -- the tenant that has the endpoint
    cluster           TEXT,
    adaptor           TEXT,
    stream            INTEGER NOT NULL,
    status            INTEGER NOT NULL,
    error             TEXT,
    cause             TEXT NOT NULL,
    outcome           TEXT NOT NULL,
    prompt_tokens     INTEGER,
    completion_tokens INTEGER,
    total_tokens      INTEGER,
    first_byte_us     INTEGER,
    duration_us       INTEGER NOT NULL,
    cpu_us            INTEGER NOT NULL,
    memory_bytes      INTEGER NOT NULL,
    egress_bytes      INTEGER NOT NULL
);
CREATE INDEX request_records_by_time ON request_records (at);
CREATE INDEX request_records_by_tenant ON request_records (tenant, at);

-- What was asked and answered, where the cluster wants that kept. The lengths are those of the whole bodies.
CREATE TABLE request_contents (
    id           TEXT NOT NULL PRIMARY KEY, -- of the record
    at           INTEGER NOT NULL,
    prompt       TEXT NOT NULL,
    prompt_bytes INTEGER NOT NULL,
    prompt_cut   INTEGER NOT NULL,
    result       TEXT NOT NULL,
    result_bytes INTEGER NOT NULL,
    result_cut   INTEGER NOT NULL
);
CREATE INDEX request_contents_by_time ON request_contents (at);
