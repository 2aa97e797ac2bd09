-- What a tenant used in a day. 'since' tells a tenant from an earlier one of the same name.
CREATE TABLE tenant_usage (
    tenant       TEXT    NOT NULL,
    since        INTEGER NOT NULL, -- when the tenant was made, in Unix seconds; 0 for 'default'
    day          INTEGER NOT NULL, -- days since 1970, UTC
    cpu_ns       INTEGER NOT NULL,
    egress_bytes INTEGER NOT NULL,
    PRIMARY KEY (tenant, since, day)
);
