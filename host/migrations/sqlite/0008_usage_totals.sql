-- Sums of records, which stay when the records go. An empty text stands for what is not known.
-- 'since' tells a tenant from an earlier one of the same name.
CREATE TABLE usage_totals (
    day               TEXT NOT NULL, -- in UTC: 2026-01-31
    tenant            TEXT NOT NULL,
    since             INTEGER NOT NULL, -- when the tenant was made, in Unix seconds; 0 for 'default' and for none, -1: it had gone
    user_id           TEXT NOT NULL,
    model             TEXT NOT NULL, -- only of requests that came to an endpoint
    endpoint          TEXT NOT NULL,
    owner             TEXT NOT NULL, -- the tenant that has the endpoint
    operation         TEXT NOT NULL,
    requests          INTEGER NOT NULL,
    errors            INTEGER NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    total_tokens      INTEGER NOT NULL,
    cpu_us            INTEGER NOT NULL,
    egress_bytes      INTEGER NOT NULL,
    PRIMARY KEY (day, tenant, since, user_id, model, endpoint, owner, operation)
);
CREATE INDEX usage_totals_by_tenant ON usage_totals (tenant, day);
