-- Sealed audit (domain §13): batches of audit rows under a Merkle root, chained and signed. What is hashed and signed is the law's
-- (`workflows::seal`, docs/audit-format.md); here is where it is kept, and which rows wait for it.
--
-- Which rows a seal takes: ids are made before the commit, so a row may appear behind rows with later ids that are sealed already. No
-- mark in id order would find it, and none of time. So every row waits in a queue of its own from the transaction that wrote it, and
-- leaves it in the transaction that seals it: one that commits late is simply in a later seal. The row itself is never touched.

-- ---------------------------------------------------------------------------------------------------------------------
-- Seals

CREATE TABLE audit_seal (
    casino_id uuid NOT NULL REFERENCES casino (id),
    seal_no bigint NOT NULL CHECK (seal_no >= 1),
    -- In the order of ids. Another seal may have rows in between.
    first_row uuid NOT NULL,
    last_row uuid NOT NULL,
    row_count bigint NOT NULL CHECK (row_count BETWEEN 1 AND 1000),
    merkle_root text NOT NULL CHECK (merkle_root ~ '^[0-9a-f]{64}$'),
    previous_root text NOT NULL CHECK (previous_root ~ '^[0-9a-f]{64}$'),
    root text NOT NULL CHECK (root ~ '^[0-9a-f]{64}$'),
    public_key text NOT NULL CHECK (public_key ~ '^[0-9a-f]{64}$'),
    signature text NOT NULL CHECK (signature ~ '^[0-9a-f]{128}$'),
    sealed_at timestamptz NOT NULL,
    PRIMARY KEY (casino_id, seal_no),
    CONSTRAINT audit_seal_rows_ordered CHECK (first_row <= last_row),
    CONSTRAINT audit_seal_first_has_none_before CHECK (seal_no > 1 OR previous_root = repeat('0', 64))
);
-- How far the ids of the seals up to one go.
CREATE INDEX audit_seal_by_last_row ON audit_seal (casino_id, last_row);

SELECT fence('audit_seal');
SELECT append_only('audit_seal');
GRANT SELECT, INSERT ON audit_seal TO rundown_app;

-- Gapless, and each put to the one before: a seal that names another root is none.
CREATE FUNCTION guard_audit_seal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.seal_no > 1 AND NOT EXISTS (
        SELECT FROM audit_seal AS s WHERE s.casino_id = NEW.casino_id AND s.seal_no = NEW.seal_no - 1 AND s.root = NEW.previous_root) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD004', 'audit_seal_follows', 'a seal follows the one before it');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE INSERT ON audit_seal FOR EACH ROW EXECUTE FUNCTION guard_audit_seal();

-- Which row stands where under its seal, and its hash: what tells the changed row from the others.
CREATE TABLE audit_seal_leaf (
    casino_id uuid NOT NULL,
    seal_no bigint NOT NULL,
    position int NOT NULL CHECK (position BETWEEN 1 AND 1000),
    audit_id uuid NOT NULL,
    leaf_hash text NOT NULL CHECK (leaf_hash ~ '^[0-9a-f]{64}$'),
    PRIMARY KEY (casino_id, seal_no, position),
    FOREIGN KEY (casino_id, seal_no) REFERENCES audit_seal (casino_id, seal_no),
    FOREIGN KEY (casino_id, audit_id) REFERENCES audit_log (casino_id, id),
    CONSTRAINT audit_row_sealed_once UNIQUE (casino_id, audit_id)
);

SELECT fence('audit_seal_leaf');
SELECT append_only('audit_seal_leaf');
GRANT SELECT, INSERT ON audit_seal_leaf TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Rows that wait for their seal: a queue. No keys to other tables, as with rollup marks: every command writes one.

CREATE TABLE audit_unsealed (
    casino_id uuid NOT NULL,
    audit_id uuid NOT NULL,
    -- The row's own.
    ts timestamptz NOT NULL,
    PRIMARY KEY (casino_id, audit_id)
) WITH (
    -- Each row is written, read once and deleted.
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_insert_scale_factor = 0.0,
    autovacuum_analyze_scale_factor = 0.0,
    autovacuum_analyze_threshold = 500,
    autovacuum_vacuum_cost_delay = 0
);

-- What was written before there were seals waits too. Row security is forced on the owner as on everybody, and a migration has no casino.
ALTER TABLE audit_log NO FORCE ROW LEVEL SECURITY;
INSERT INTO audit_unsealed (casino_id, audit_id, ts) SELECT a.casino_id, a.id, a.ts FROM audit_log AS a;
ALTER TABLE audit_log FORCE ROW LEVEL SECURITY;

SELECT fence('audit_unsealed');
CREATE TRIGGER append_only BEFORE UPDATE ON audit_unsealed
    FOR EACH ROW EXECUTE FUNCTION refuse('RD002', 'rows are append-only');
GRANT SELECT, INSERT, DELETE ON audit_unsealed TO rundown_app;

-- A trigger, because there is more than one way for an audit row to be written.
CREATE FUNCTION wait_for_seal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_unsealed (casino_id, audit_id, ts) SELECT w.casino_id, w.id, w.ts FROM written AS w;
    RETURN NULL;
END $$;
CREATE TRIGGER wait_for_seal AFTER INSERT ON audit_log REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION wait_for_seal();

-- Only what is sealed leaves the queue, and only then.
CREATE FUNCTION guard_audit_unsealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM audit_seal_leaf AS l WHERE l.casino_id = OLD.casino_id AND l.audit_id = OLD.audit_id) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD001', 'audit_row_sealed_first', 'a row leaves the queue under its seal');
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER guard BEFORE DELETE ON audit_unsealed FOR EACH ROW EXECUTE FUNCTION guard_audit_unsealed();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON audit_unsealed FOR EACH STATEMENT EXECUTE FUNCTION refuse('RD001', 'rows are never deleted');

-- ---------------------------------------------------------------------------------------------------------------------
-- Sealing: the end of the chain and the rows that wait longest, and then the seal with its leaves. All with the caller's rights.

CREATE FUNCTION audit_to_seal(casino uuid, how_many int) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'previous', (SELECT jsonb_build_object('seal_no', s.seal_no, 'root', s.root) FROM audit_seal AS s
                      WHERE s.casino_id = casino ORDER BY s.seal_no DESC LIMIT 1),
        'rows', COALESCE((SELECT jsonb_agg(to_jsonb(r) ORDER BY r.id) FROM (
                    SELECT a.* FROM audit_unsealed AS u JOIN audit_log AS a ON a.casino_id = u.casino_id AND a.id = u.audit_id
                     WHERE u.casino_id = casino ORDER BY u.audit_id LIMIT how_many) AS r), '[]'))
$$;

CREATE FUNCTION put_audit_seal(made jsonb, leaves jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_seal SELECT * FROM jsonb_populate_record(NULL::audit_seal, made);
    INSERT INTO audit_seal_leaf (casino_id, seal_no, position, audit_id, leaf_hash)
    SELECT (made->>'casino_id')::uuid, (made->>'seal_no')::bigint, l.ordinality, l.audit_id, l.leaf_hash
      FROM ROWS FROM (jsonb_to_recordset(leaves) AS (audit_id uuid, leaf_hash text)) WITH ORDINALITY AS l;
    DELETE FROM audit_unsealed AS u USING jsonb_to_recordset(leaves) AS l (audit_id uuid)
     WHERE u.casino_id = (made->>'casino_id')::uuid AND u.audit_id = l.audit_id;
END $$;

-- ---------------------------------------------------------------------------------------------------------------------
-- Verifying: seals with their leaves and rows; and rows of which no seal knows.

CREATE FUNCTION audit_batches(casino uuid, after bigint, how_many int) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(jsonb_build_object(
               'seal', to_jsonb(s),
               'leaves', COALESCE((SELECT jsonb_agg(jsonb_build_object('audit_id', l.audit_id, 'leaf_hash', l.leaf_hash) ORDER BY l.position)
                                     FROM audit_seal_leaf AS l WHERE l.casino_id = s.casino_id AND l.seal_no = s.seal_no), '[]'),
               'rows', COALESCE((SELECT jsonb_agg(to_jsonb(a) ORDER BY l.position)
                                   FROM audit_seal_leaf AS l JOIN audit_log AS a ON a.casino_id = l.casino_id AND a.id = l.audit_id
                                  WHERE l.casino_id = s.casino_id AND l.seal_no = s.seal_no), '[]')) ORDER BY s.seal_no), '[]')
      FROM (SELECT * FROM audit_seal AS x WHERE x.casino_id = casino AND x.seal_no > after ORDER BY x.seal_no LIMIT how_many) AS s
$$;

-- Of the ids that lie beyond those of the seals up to `after` and within those of the seals up to `upto` (no bound: to the end), the rows
-- that have no seal and wait for none. Asked range by range, all of the log is looked at once.
CREATE FUNCTION audit_strays(casino uuid, after bigint, upto bigint, how_many int) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(stray.id ORDER BY stray.id), '[]') FROM (
        SELECT a.id FROM audit_log AS a
         WHERE a.casino_id = casino
           AND a.id > COALESCE((SELECT s.last_row FROM audit_seal AS s WHERE s.casino_id = casino AND s.seal_no <= after
                                 ORDER BY s.last_row DESC LIMIT 1), '00000000-0000-0000-0000-000000000000')
           AND a.id <= COALESCE((SELECT s.last_row FROM audit_seal AS s WHERE s.casino_id = casino AND s.seal_no <= upto
                                  ORDER BY s.last_row DESC LIMIT 1), 'ffffffff-ffff-ffff-ffff-ffffffffffff')
           AND NOT EXISTS (SELECT FROM audit_seal_leaf AS l WHERE l.casino_id = a.casino_id AND l.audit_id = a.id)
           AND NOT EXISTS (SELECT FROM audit_unsealed AS u WHERE u.casino_id = a.casino_id AND u.audit_id = a.id)
         ORDER BY a.id LIMIT how_many) AS stray
$$;

-- What waits: how many rows, since when, and those of them that are gone from the log.
CREATE FUNCTION audit_waiting(casino uuid, how_many int) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'rows', (SELECT count(*) FROM audit_unsealed AS u WHERE u.casino_id = casino),
        'oldest', (SELECT min(u.ts) FROM audit_unsealed AS u WHERE u.casino_id = casino),
        'gone', COALESCE((SELECT jsonb_agg(lost.audit_id) FROM (
                    SELECT u.audit_id FROM audit_unsealed AS u
                     WHERE u.casino_id = casino AND NOT EXISTS (SELECT FROM audit_log AS a WHERE a.casino_id = u.casino_id AND a.id = u.audit_id)
                     ORDER BY u.audit_id LIMIT how_many) AS lost), '[]'))
$$;

-- For the metrics of a daemon: how many rows of all casinos wait, up to so many, and for how long. Numbers, of no casino in particular.
CREATE POLICY observed ON audit_unsealed FOR SELECT TO CURRENT_USER USING (true);
CREATE FUNCTION audit_backlog(told timestamptz, how_many int) RETURNS jsonb LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT jsonb_build_object('rows', count(*), 'oldest_seconds', COALESCE(GREATEST(0, extract(epoch FROM told - min(u.ts))), 0)::bigint)
      FROM (SELECT w.ts FROM audit_unsealed AS w LIMIT how_many) AS u
$$;
REVOKE EXECUTE ON FUNCTION audit_backlog(timestamptz, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_backlog(timestamptz, int) TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- The job that seals.

ALTER TABLE schedule DROP CONSTRAINT schedule_job_kind_check;
ALTER TABLE schedule ADD CONSTRAINT schedule_job_kind_check CHECK (job_kind IN (
    'shift_open', 'shift_close', 'rollup_recompute', 'rollup_verify', 'deadline_sweep', 'retention_prune', 'audit_seal'));
ALTER TABLE job_run DROP CONSTRAINT job_run_job_kind_check;
ALTER TABLE job_run ADD CONSTRAINT job_run_job_kind_check CHECK (job_kind IN (
    'shift_open', 'shift_close', 'rollup_recompute', 'rollup_verify', 'deadline_sweep', 'retention_prune', 'audit_seal'));
