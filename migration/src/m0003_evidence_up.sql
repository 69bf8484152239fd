-- Evidence: who changed what (audit), what the world is told (outbox), and what was already answered (idempotency keys).
--
-- Row security lets a transaction write only its own casino's rows, and that casino comes from a staff row. So outbox and idempotency keys
-- have no key to `casino`: it would make every command of a casino lock the one same row.

-- ---------------------------------------------------------------------------------------------------------------------
-- Audit (domain §13)

CREATE TABLE audit_log (
    id uuid NOT NULL,
    casino_id uuid NOT NULL,
    ts timestamptz NOT NULL,
    actor_id uuid NOT NULL,
    domain text NOT NULL CHECK (domain <> '' AND length(domain) <= 64),
    action text NOT NULL CHECK (action <> '' AND length(action) <= 64),
    session_id uuid,
    -- A count or a rollover moves more than one session: the others, so that each finds the row.
    other_session_ids uuid[],
    dto_before jsonb,
    dto_after jsonb,
    correlation_id text NOT NULL CHECK (correlation_id <> '' AND length(correlation_id) <= 64),
    PRIMARY KEY (casino_id, id)
);
CREATE INDEX audit_log_by_session ON audit_log (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX audit_log_by_other_session ON audit_log USING gin (other_session_ids) WHERE other_session_ids IS NOT NULL;
CREATE INDEX audit_log_by_actor ON audit_log (actor_id, id);
CREATE INDEX audit_log_by_correlation ON audit_log (correlation_id);
CREATE INDEX audit_log_by_domain ON audit_log (casino_id, domain, ts);

SELECT fence('audit_log');
SELECT append_only('audit_log');
SELECT evidence_of('audit_log', 'actor_id');
GRANT SELECT, INSERT ON audit_log TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Outbox: events written with the change they tell of, published afterwards by the relay. `position` is the order of writing; `seq` is
-- given at publication, gapless within a casino.

CREATE TABLE outbox (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL,
    position bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    event text NOT NULL CHECK (event <> '' AND length(event) <= 64),
    schema_version int NOT NULL DEFAULT 1 CHECK (schema_version >= 1),
    aggregate_id uuid NOT NULL,
    channels text[] NOT NULL CHECK (cardinality(channels) BETWEEN 1 AND 16),
    payload jsonb NOT NULL CHECK (jsonb_typeof(payload) = 'object'),
    correlation_id text NOT NULL CHECK (correlation_id <> '' AND length(correlation_id) <= 64),
    created_at timestamptz NOT NULL DEFAULT now(),
    seq bigint CHECK (seq >= 1),
    published_at timestamptz,
    attempts int NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    CONSTRAINT outbox_published_has_seq CHECK (published_at IS NULL OR seq IS NOT NULL)
) WITH (
    fillfactor = 85,
    -- Each row is written, marked and left: the queue's dead rows must go at the pace of the floor, not of the table's size.
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX outbox_unpublished ON outbox (casino_id, position) WHERE published_at IS NULL;
CREATE UNIQUE INDEX outbox_seq_once ON outbox (casino_id, seq) WHERE seq IS NOT NULL;

SELECT fence('outbox');
GRANT SELECT, INSERT, UPDATE (seq, published_at, attempts) ON outbox TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Idempotency keys: the first answer, to be given again. Only successes are remembered; kept 24 hours, then pruned.

CREATE TABLE idempotency_key (
    casino_id uuid NOT NULL,
    key text NOT NULL CHECK (key <> '' AND length(key) <= 200),
    -- SHA-256 of what was asked: by whom, on which route, with which body.
    request_hash bytea NOT NULL CHECK (length(request_hash) = 32),
    status int NOT NULL CHECK (status BETWEEN 200 AND 299),
    -- JSON, compressed by the daemon (zlib): it is the longest of what a command writes, and only ever given again.
    answer bytea NOT NULL,
    etag text CHECK (length(etag) <= 128),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (casino_id, key)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX idempotency_key_by_age ON idempotency_key (casino_id, created_at);

SELECT fence('idempotency_key');
-- No UPDATE: a first answer does not become another one. DELETE is for keys past their time.
GRANT SELECT, INSERT, DELETE ON idempotency_key TO rundown_app;
