-- One row for each request for a model. Times are in microseconds; 'at' is when it arrived, in Unix milliseconds.
CREATE TABLE request_records (
    id                TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    at                BIGINT NOT NULL,
    request_id        TEXT COLLATE "C" NOT NULL, -- of the client's choice, so not unique
    tenant            TEXT COLLATE "C",
    user_id           TEXT COLLATE "C",
    key_id            TEXT COLLATE "C",
    caller            TEXT COLLATE "C",
    operation         TEXT COLLATE "C" NOT NULL,
    model             TEXT COLLATE "C",
    endpoint          TEXT COLLATE "C",
    owner             TEXT COLLATE "C", -- the tenant that has the endpoint
    cluster           TEXT COLLATE "C",
    adaptor           TEXT COLLATE "C",
    stream            BIGINT NOT NULL,
    status            BIGINT NOT NULL,
    error             TEXT COLLATE "C",
    cause             TEXT COLLATE "C" NOT NULL,
    outcome           TEXT COLLATE "C" NOT NULL,
    prompt_tokens     BIGINT,
    completion_tokens BIGINT,
    total_tokens      BIGINT,
    first_byte_us     BIGINT,
    duration_us       BIGINT NOT NULL,
    cpu_us            BIGINT NOT NULL,
    memory_bytes      BIGINT NOT NULL,
    egress_bytes      BIGINT NOT NULL
);
CREATE INDEX request_records_by_time ON request_records (at);
CREATE INDEX request_records_by_tenant ON request_records (tenant, at);

-- What was asked and answered, where the cluster wants that kept. The lengths are those of the whole bodies.
CREATE TABLE request_contents (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- of the record
    at           BIGINT NOT NULL,
    prompt       TEXT COLLATE "C" NOT NULL,
    prompt_bytes BIGINT NOT NULL,
    prompt_cut   BIGINT NOT NULL,
    result       TEXT COLLATE "C" NOT NULL,
    result_bytes BIGINT NOT NULL,
    result_cut   BIGINT NOT NULL
);
CREATE INDEX request_contents_by_time ON request_contents (at);
