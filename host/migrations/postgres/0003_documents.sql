-- What a write raises before all else, so that writes of one line come one after the other. 'store_revision' is
-- also the revision of documents and what tells other processes that something has changed.
CREATE TABLE counters (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('store_revision', 0), ('batches', 0);

-- What a tenant has. Names are ordered by their bytes.
CREATE TABLE documents (
    tenant     TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    body       TEXT   NOT NULL, -- JSON
    revision   BIGINT NOT NULL, -- of the write that made it what it is
    created_at BIGINT NOT NULL, -- Unix seconds, as below
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, kind, name)
);

-- Who did what: one entry for each write.
CREATE TABLE audit (
    revision BIGINT NOT NULL PRIMARY KEY, -- of the write
    at       BIGINT NOT NULL,
    tenant   TEXT   NOT NULL,
    actor    TEXT   NOT NULL, -- a key's id, or where no key was needed
    action   TEXT   NOT NULL,
    kind     TEXT   NOT NULL,
    name     TEXT   NOT NULL,
    detail   TEXT   NOT NULL  -- JSON
);
CREATE INDEX audit_of_tenant ON audit (tenant, revision);

-- Components, by the SHA-256 of their bytes.
CREATE TABLE blobs (
    digest    TEXT   NOT NULL PRIMARY KEY,
    bytes     BYTEA  NOT NULL,
    stored_at BIGINT NOT NULL -- when somebody last stored it
);

-- Keys that were made before are their users' alone, for inference.
ALTER TABLE api_keys ADD COLUMN tenant     TEXT NOT NULL DEFAULT 'default';
ALTER TABLE api_keys ADD COLUMN role       TEXT NOT NULL DEFAULT 'user';
ALTER TABLE api_keys ADD COLUMN scopes     TEXT NOT NULL DEFAULT 'inference'; -- separated by commas
ALTER TABLE api_keys ADD COLUMN expires_at BIGINT;
ALTER TABLE api_keys ADD COLUMN member     TEXT;
DROP INDEX api_keys_active_name;
CREATE UNIQUE INDEX api_keys_active_name ON api_keys (tenant, name) WHERE revoked_at IS NULL;
