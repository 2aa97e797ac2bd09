-- Sums of records, which stay when the records go. An empty text stands for what is not known.
-- 'since' tells a tenant from an earlier one of the same name.
CREATE TABLE usage_totals (
    day               TEXT COLLATE "C" NOT NULL, -- in UTC: 2026-01-31
    tenant            TEXT COLLATE "C" NOT NULL,
    since             BIGINT NOT NULL, -- when the tenant was made, in Unix seconds; 0 for 'default' and for none, -1: it had gone
    user_id           TEXT COLLATE "C" NOT NULL,
    model             TEXT COLLATE "C" NOT NULL, -- only of requests that came to an endpoint
    endpoint          TEXT COLLATE "C" NOT NULL,
    owner             TEXT COLLATE "C" NOT NULL, -- the tenant that has the endpoint
    operation         TEXT COLLATE "C" NOT NULL,
    requests          BIGINT NOT NULL,
    errors            BIGINT NOT NULL,
    prompt_tokens     BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    total_tokens      BIGINT NOT NULL,
    cpu_us            BIGINT NOT NULL,
    egress_bytes      BIGINT NOT NULL,
    PRIMARY KEY (day, tenant, since, user_id, model, endpoint, owner, operation)
);
CREATE INDEX usage_totals_by_tenant ON usage_totals (tenant, day);
