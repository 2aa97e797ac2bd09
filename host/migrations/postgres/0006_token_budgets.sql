-- Tokens that were used in a day. 'since' tells a tenant from an earlier one of the same name.
CREATE TABLE token_budgets (
    owner      TEXT COLLATE "C" NOT NULL, -- 'key', 'user' or 'tenant'
    tenant     TEXT COLLATE "C" NOT NULL,
    since      BIGINT NOT NULL, -- when the tenant was made, in Unix seconds; 0 for 'default'
    name       TEXT COLLATE "C" NOT NULL, -- the key's id, the user, or nothing
    day        BIGINT NOT NULL, -- days since 1970, UTC
    tokens     BIGINT NOT NULL,
    written_at BIGINT NOT NULL, -- Unix seconds
    PRIMARY KEY (owner, tenant, since, name, day)
);
CREATE INDEX token_budgets_written ON token_budgets (day, written_at);
