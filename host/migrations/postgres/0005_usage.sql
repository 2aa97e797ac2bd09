-- What a tenant used in a day. 'since' tells a tenant from an earlier one of the same name.
CREATE TABLE tenant_usage (
    tenant       TEXT COLLATE "C" NOT NULL,
    since        BIGINT NOT NULL, -- when the tenant was made, in Unix seconds; 0 for 'default'
    day          BIGINT NOT NULL, -- days since 1970, UTC
    cpu_ns       BIGINT NOT NULL,
    egress_bytes BIGINT NOT NULL,
    PRIMARY KEY (tenant, since, day)
);
