-- Version 1 of what a cluster keeps in its database. Run once, in a transaction, by DatabaseSchema.

-- The database belongs to one cluster; clusters that share a server have a database or a schema (Search Path) each.
CREATE TABLE arus_cluster (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    cluster_id text NOT NULL,
    orleans_cluster_id text NOT NULL,
    orleans_service_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- States of partitions. Every change takes the next version, so a version says in which order changes were made, and is never given twice.
CREATE SEQUENCE arus_partition_version AS bigint;

CREATE TABLE arus_partition_state (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    topic text NOT NULL,
    version bigint NOT NULL,
    leader_epoch integer NOT NULL,
    leader integer NOT NULL,
    replicas integer[] NOT NULL,
    -- Members in sync, and members that left it below the minimum: brokers, and beside each the id of its log.
    isr integer[] NOT NULL,
    isr_logs uuid[] NOT NULL,
    elr integer[] NOT NULL,
    elr_logs uuid[] NOT NULL,
    is_shared boolean NOT NULL,
    is_unclean boolean NOT NULL,
    is_deleted boolean NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic_id, partition),
    CHECK (cardinality(isr) = cardinality(isr_logs) AND cardinality(elr) = cardinality(elr_logs))
);

CREATE UNIQUE INDEX arus_partition_state_by_version ON arus_partition_state (version);

-- States of grains. Their versions are 32 bits wide, since the provider reads them so. They come from one sequence for all rows: a row
-- that is deleted and written again never gets a version that a writer of its earlier life may still hold.
CREATE SEQUENCE arus_grain_version AS integer MINVALUE 1 CYCLE;

CREATE TABLE arus_grain_state (
    service_id text NOT NULL,
    state_name text NOT NULL,
    grain_key text NOT NULL,
    version integer NOT NULL,
    payload bytea,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (service_id, state_name, grain_key)
);

-- Payloads are small, or batches of records that are compressed already.
ALTER TABLE arus_grain_state ALTER COLUMN payload SET STORAGE EXTERNAL;

-- The silos of the cluster. Each change takes the table from one version to the next, so that of two writers one is told to look again.
CREATE TABLE arus_membership_version (
    cluster text PRIMARY KEY,
    version integer NOT NULL
);

CREATE TABLE arus_membership (
    cluster text NOT NULL,
    address text NOT NULL,
    port integer NOT NULL,
    generation integer NOT NULL,
    silo_name text NOT NULL,
    host_name text NOT NULL,
    status integer NOT NULL,
    gateway_port integer NOT NULL,
    suspicions text,
    started_at timestamptz NOT NULL,
    alive_at timestamptz NOT NULL,
    PRIMARY KEY (cluster, address, port, generation)
);

-- Orleans' ADO.NET providers take from this table, by these names, the statements that they run.
CREATE TABLE OrleansQuery (
    QueryKey text PRIMARY KEY,
    QueryText text NOT NULL
);

INSERT INTO OrleansQuery (QueryKey, QueryText) VALUES
('InsertMembershipVersionKey', $q$
    WITH added AS (
        INSERT INTO arus_membership_version (cluster, version) VALUES (@DeploymentId, 0) ON CONFLICT DO NOTHING RETURNING version
    )
    SELECT count(*) = 1 FROM added
$q$),
('InsertMembershipKey', $q$
    WITH next AS (
        UPDATE arus_membership_version SET version = version + 1
        WHERE cluster = @DeploymentId AND version = @Version AND NOT EXISTS (
            SELECT FROM arus_membership
            WHERE cluster = @DeploymentId AND address = @Address AND port = @Port AND generation = @Generation)
        RETURNING cluster
    ), added AS (
        INSERT INTO arus_membership (
            cluster, address, port, generation, silo_name, host_name, status, gateway_port, started_at, alive_at)
        SELECT cluster, @Address, @Port, @Generation, @SiloName, @HostName, @Status, @ProxyPort, @StartTime, @IAmAliveTime FROM next
        RETURNING cluster
    )
    SELECT count(*) = 1 FROM added
$q$),
('UpdateMembershipKey', $q$
    WITH next AS (
        UPDATE arus_membership_version SET version = version + 1
        WHERE cluster = @DeploymentId AND version = @Version AND EXISTS (
            SELECT FROM arus_membership
            WHERE cluster = @DeploymentId AND address = @Address AND port = @Port AND generation = @Generation)
        RETURNING cluster
    ), changed AS (
        UPDATE arus_membership silo SET status = @Status, suspicions = @SuspectTimes, alive_at = greatest(alive_at, @IAmAliveTime)
        FROM next
        WHERE silo.cluster = next.cluster AND address = @Address AND port = @Port AND generation = @Generation
        RETURNING silo.cluster
    )
    SELECT count(*) = 1 FROM changed
$q$),
('UpdateIAmAlivetimeKey', $q$
    UPDATE arus_membership SET alive_at = greatest(alive_at, @IAmAliveTime)
    WHERE cluster = @DeploymentId AND address = @Address AND port = @Port AND generation = @Generation
$q$),
('MembershipReadAllKey', $q$
    SELECT
        v.version AS "Version", s.address AS "Address", s.port AS "Port", s.generation AS "Generation", s.silo_name AS "SiloName",
        s.host_name AS "HostName", s.status AS "Status", s.gateway_port AS "ProxyPort", s.suspicions AS "SuspectTimes",
        s.started_at AS "StartTime", s.alive_at AS "IAmAliveTime"
    FROM arus_membership_version v LEFT JOIN arus_membership s ON s.cluster = v.cluster
    WHERE v.cluster = @DeploymentId
$q$),
('MembershipReadRowKey', $q$
    SELECT
        v.version AS "Version", s.address AS "Address", s.port AS "Port", s.generation AS "Generation", s.silo_name AS "SiloName",
        s.host_name AS "HostName", s.status AS "Status", s.gateway_port AS "ProxyPort", s.suspicions AS "SuspectTimes",
        s.started_at AS "StartTime", s.alive_at AS "IAmAliveTime"
    FROM arus_membership_version v
    LEFT JOIN arus_membership s
        ON s.cluster = v.cluster AND s.address = @Address AND s.port = @Port AND s.generation = @Generation
    WHERE v.cluster = @DeploymentId
$q$),
('GatewaysQueryKey', $q$
    SELECT address AS "Address", gateway_port AS "ProxyPort", generation AS "Generation"
    FROM arus_membership WHERE cluster = @DeploymentId AND status = @Status AND gateway_port > 0
$q$),
('DeleteMembershipTableEntriesKey', $q$
    WITH silos AS (DELETE FROM arus_membership WHERE cluster = @DeploymentId)
    DELETE FROM arus_membership_version WHERE cluster = @DeploymentId
$q$),
-- 6 is the status of silos that were declared dead.
('CleanupDefunctSiloEntriesKey', $q$
    DELETE FROM arus_membership WHERE cluster = @DeploymentId AND status = 6 AND alive_at < @IAmAliveTime
$q$),
('ReadFromStorageKey', $q$
    SELECT payload AS "PayloadBinary", version AS "Version" FROM arus_grain_state
    WHERE service_id = @ServiceId AND state_name = @GrainTypeString AND grain_key = @GrainIdExtensionString
$q$),
-- A first write has no version, and is refused by the row that another wrote; the insert waits for one that is under way. No row in the
-- answer: the version was not that of the row.
('WriteToStorageKey', $q$
    WITH changed AS (
        UPDATE arus_grain_state
        SET payload = @PayloadBinary, version = nextval('arus_grain_version'), changed_at = now()
        WHERE service_id = @ServiceId AND state_name = @GrainTypeString AND grain_key = @GrainIdExtensionString
            AND version = @GrainStateVersion
        RETURNING version
    ), added AS (
        INSERT INTO arus_grain_state (service_id, state_name, grain_key, version, payload)
        SELECT @ServiceId, @GrainTypeString, @GrainIdExtensionString, nextval('arus_grain_version'), @PayloadBinary
        WHERE @GrainStateVersion IS NULL
        ON CONFLICT DO NOTHING
        RETURNING version
    )
    SELECT version AS "NewGrainStateVersion" FROM changed UNION ALL SELECT version FROM added
$q$),
('ClearStorageKey', $q$
    UPDATE arus_grain_state SET payload = NULL, version = nextval('arus_grain_version'), changed_at = now()
    WHERE service_id = @ServiceId AND state_name = @GrainTypeString AND grain_key = @GrainIdExtensionString
        AND version = @GrainStateVersion
    RETURNING version
$q$),
-- The provider takes any answer but the row's own version for a success; 0 is no row's. Rows of logs are written once: whoever deletes one
-- need not have read its megabyte to know the version.
('DeleteStorageKey', $q$
    DELETE FROM arus_grain_state
    WHERE service_id = @ServiceId AND state_name = @GrainTypeString AND grain_key = @GrainIdExtensionString
        AND (version = @GrainStateVersion OR (@GrainStateVersion IS NULL AND state_name = 'row'))
    RETURNING 0
$q$);
