-- Rollups (domain §10): what each table, pit and the casino come to, by shift and by gaming day.
--
-- Every fact marks the cells it belongs to in its own transaction; a job drains the marks and has the law compute those cells anew. So the
-- cost follows what changed, not history. Nothing here adds up money: SQL finds the facts and keeps what the law made of them.

-- ---------------------------------------------------------------------------------------------------------------------
-- Where a table stood when its session was created. A table may move to another pit, and what it won before stays with the pit it won
-- it in: a session's pit is a fact of the session.

CREATE TABLE session_pit (
    session_id uuid PRIMARY KEY,
    casino_id uuid NOT NULL,
    pit text,
    FOREIGN KEY (casino_id, session_id) REFERENCES table_inventory_session (casino_id, id)
);

SELECT fence('session_pit');
SELECT append_only('session_pit');
GRANT SELECT, INSERT ON session_pit TO rundown_app;

-- A trigger, because there is more than one way for a session to begin. Whoever creates one holds the table's row: it stands still.
CREATE FUNCTION remember_pit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO session_pit (session_id, casino_id, pit)
    SELECT NEW.id, NEW.casino_id, t.pit FROM gaming_table AS t WHERE t.casino_id = NEW.casino_id AND t.id = NEW.table_id;
    RETURN NULL;
END $$;
CREATE TRIGGER remember_pit AFTER INSERT ON table_inventory_session FOR EACH ROW EXECUTE FUNCTION remember_pit();

-- The sessions of one cell, whatever the history of its table.
CREATE INDEX session_by_day_cell ON table_inventory_session (casino_id, gaming_day, table_id);
CREATE INDEX session_by_shift_cell ON table_inventory_session (casino_id, shift_id, table_id) WHERE shift_id IS NOT NULL;

-- ---------------------------------------------------------------------------------------------------------------------
-- Marks: a queue. One row for each table, gaming day and shift that a transaction touched; many rows may name one cell, and are answered
-- together. No keys to other tables: every command writes one, and the session it belongs to holds them already.

CREATE TABLE rollup_mark (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    casino_id uuid NOT NULL,
    gaming_day date NOT NULL,
    shift_id uuid,
    table_id uuid NOT NULL,
    marked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (casino_id, id)
) WITH (
    -- Each row is written, read once and deleted: what is dead must go at the pace of the floor, or every drain would wade through it.
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_insert_scale_factor = 0.0,
    autovacuum_analyze_scale_factor = 0.0,
    autovacuum_analyze_threshold = 500,
    autovacuum_vacuum_cost_delay = 0
);

SELECT fence('rollup_mark');
CREATE TRIGGER append_only BEFORE UPDATE ON rollup_mark
    FOR EACH ROW EXECUTE FUNCTION refuse('RD002', 'rows are append-only');
-- UPDATE of a column is what Postgres asks of whoever locks a row with SKIP LOCKED; the trigger refuses the update itself.
GRANT SELECT, INSERT, DELETE, UPDATE (marked_at) ON rollup_mark TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Cells. A figure is the sum of what is known; `…_skipped` says of how many sessions it is not. Null is not zero: nothing known is null.

CREATE TABLE rollup (
    casino_id uuid NOT NULL,
    cell_key text NOT NULL CHECK (cell_key <> '' AND length(cell_key) <= 200),
    grain text NOT NULL CHECK (grain IN ('table', 'pit', 'casino')),
    by text NOT NULL CHECK (by IN ('shift', 'gaming_day')),
    gaming_day date NOT NULL,
    shift_id uuid,
    table_id uuid,
    -- Of a pit its name; of a table where it stood.
    pit text,
    sessions int NOT NULL CHECK (sessions >= 0),
    tables int NOT NULL CHECK (tables >= 0),
    covered_tables int NOT NULL CHECK (covered_tables BETWEEN 0 AND tables),
    authoritative_sessions int NOT NULL CHECK (authoritative_sessions BETWEEN 0 AND sessions),
    late_sessions int NOT NULL CHECK (late_sessions BETWEEN 0 AND sessions),
    opening_total_cents bigint,
    opening_skipped int NOT NULL,
    closing_total_cents bigint,
    closing_skipped int NOT NULL,
    fills_total_cents bigint,
    fills_skipped int NOT NULL,
    credits_total_cents bigint,
    credits_skipped int NOT NULL,
    drop_total_cents bigint,
    drop_skipped int NOT NULL,
    win_loss_stat_cents bigint,
    win_loss_stat_skipped int NOT NULL,
    -- The drop of the sessions whose win is known: what hold is a share of.
    hold_drop_cents bigint,
    hold_bp bigint,
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    computed_at timestamptz NOT NULL,
    source_hash text NOT NULL CHECK (source_hash ~ '^[0-9a-f]{64}$'),

    PRIMARY KEY (casino_id, cell_key),
    FOREIGN KEY (casino_id, table_id) REFERENCES gaming_table (casino_id, id),
    FOREIGN KEY (casino_id, shift_id) REFERENCES shift (casino_id, id),

    CONSTRAINT rollup_of_a_table CHECK ((grain = 'table') = (table_id IS NOT NULL)),
    CONSTRAINT rollup_of_a_pit CHECK (CASE grain WHEN 'pit' THEN pit IS NOT NULL WHEN 'casino' THEN pit IS NULL ELSE true END),
    CONSTRAINT rollup_by_a_shift CHECK ((by = 'shift') = (shift_id IS NOT NULL)),
    CONSTRAINT rollup_null_is_not_zero CHECK (
        opening_skipped BETWEEN 0 AND sessions AND (opening_total_cents IS NULL) = (opening_skipped = sessions)
        AND closing_skipped BETWEEN 0 AND sessions AND (closing_total_cents IS NULL) = (closing_skipped = sessions)
        AND fills_skipped BETWEEN 0 AND sessions AND (fills_total_cents IS NULL) = (fills_skipped = sessions)
        AND credits_skipped BETWEEN 0 AND sessions AND (credits_total_cents IS NULL) = (credits_skipped = sessions)
        AND drop_skipped BETWEEN 0 AND sessions AND (drop_total_cents IS NULL) = (drop_skipped = sessions)
        AND win_loss_stat_skipped BETWEEN 0 AND sessions AND (win_loss_stat_cents IS NULL) = (win_loss_stat_skipped = sessions)),
    CONSTRAINT rollup_hold_of_what_was_won CHECK (
        (hold_drop_cents IS NULL) = (win_loss_stat_cents IS NULL)
        AND (hold_bp IS NULL) = (hold_drop_cents IS NULL OR hold_drop_cents = 0))
) WITH (fillfactor = 80);
-- One grain over any number of days, and everything of one day. No column of either ever changes, so a cell is rewritten in its place.
CREATE INDEX rollup_by_grain ON rollup (casino_id, grain, by, gaming_day, cell_key);
CREATE INDEX rollup_by_day ON rollup (casino_id, gaming_day, cell_key);
CREATE INDEX rollup_by_shift ON rollup (casino_id, shift_id, cell_key) WHERE shift_id IS NOT NULL;

SELECT fence('rollup');
-- A cell whose last session went elsewhere stays, and says that it is empty: whoever knows its version learns of it.
SELECT never_deleted('rollup');
CREATE TRIGGER guard BEFORE UPDATE ON rollup FOR EACH ROW EXECUTE FUNCTION guard_version();
GRANT SELECT, INSERT, UPDATE (
    pit, sessions, tables, covered_tables, authoritative_sessions, late_sessions, opening_total_cents, opening_skipped, closing_total_cents,
    closing_skipped, fills_total_cents, fills_skipped, credits_total_cents, credits_skipped, drop_total_cents, drop_skipped,
    win_loss_stat_cents, win_loss_stat_skipped, hold_drop_cents, hold_bp, version, computed_at, source_hash
) ON rollup TO rundown_app;

-- The names of domain §10, for readers in SQL. They read with the reader's own rights, or the fence would not hold.
CREATE VIEW table_shift_rollup WITH (security_invoker = true) AS
SELECT casino_id, cell_key, gaming_day, shift_id, table_id, pit, sessions, tables, covered_tables, authoritative_sessions, late_sessions,
       opening_total_cents, opening_skipped, closing_total_cents, closing_skipped, fills_total_cents, fills_skipped,
       credits_total_cents, credits_skipped, drop_total_cents, drop_skipped, win_loss_stat_cents, win_loss_stat_skipped,
       hold_drop_cents, hold_bp, version, computed_at, source_hash
  FROM rollup WHERE grain = 'table' AND by = 'shift';

CREATE VIEW pit_shift_rollup WITH (security_invoker = true) AS
SELECT casino_id, cell_key, gaming_day, shift_id, pit, sessions, tables, covered_tables, authoritative_sessions, late_sessions,
       opening_total_cents, opening_skipped, closing_total_cents, closing_skipped, fills_total_cents, fills_skipped,
       credits_total_cents, credits_skipped, drop_total_cents, drop_skipped, win_loss_stat_cents, win_loss_stat_skipped,
       hold_drop_cents, hold_bp, version, computed_at, source_hash
  FROM rollup WHERE grain = 'pit' AND by = 'shift';

CREATE VIEW casino_shift_rollup WITH (security_invoker = true) AS
SELECT casino_id, cell_key, gaming_day, shift_id, sessions, tables, covered_tables, authoritative_sessions, late_sessions,
       opening_total_cents, opening_skipped, closing_total_cents, closing_skipped, fills_total_cents, fills_skipped,
       credits_total_cents, credits_skipped, drop_total_cents, drop_skipped, win_loss_stat_cents, win_loss_stat_skipped,
       hold_drop_cents, hold_bp, version, computed_at, source_hash
  FROM rollup WHERE grain = 'casino' AND by = 'shift';

CREATE VIEW table_gaming_day_rollup WITH (security_invoker = true) AS
SELECT casino_id, cell_key, gaming_day, table_id, pit, sessions, tables, covered_tables, authoritative_sessions, late_sessions,
       opening_total_cents, opening_skipped, closing_total_cents, closing_skipped, fills_total_cents, fills_skipped,
       credits_total_cents, credits_skipped, drop_total_cents, drop_skipped, win_loss_stat_cents, win_loss_stat_skipped,
       hold_drop_cents, hold_bp, version, computed_at, source_hash
  FROM rollup WHERE grain = 'table' AND by = 'gaming_day';

CREATE VIEW pit_gaming_day_rollup WITH (security_invoker = true) AS
SELECT casino_id, cell_key, gaming_day, pit, sessions, tables, covered_tables, authoritative_sessions, late_sessions,
       opening_total_cents, opening_skipped, closing_total_cents, closing_skipped, fills_total_cents, fills_skipped,
       credits_total_cents, credits_skipped, drop_total_cents, drop_skipped, win_loss_stat_cents, win_loss_stat_skipped,
       hold_drop_cents, hold_bp, version, computed_at, source_hash
  FROM rollup WHERE grain = 'pit' AND by = 'gaming_day';

CREATE VIEW casino_gaming_day_rollup WITH (security_invoker = true) AS
SELECT casino_id, cell_key, gaming_day, sessions, tables, covered_tables, authoritative_sessions, late_sessions,
       opening_total_cents, opening_skipped, closing_total_cents, closing_skipped, fills_total_cents, fills_skipped,
       credits_total_cents, credits_skipped, drop_total_cents, drop_skipped, win_loss_stat_cents, win_loss_stat_skipped,
       hold_drop_cents, hold_bp, version, computed_at, source_hash
  FROM rollup WHERE grain = 'casino' AND by = 'gaming_day';

GRANT SELECT ON table_shift_rollup, pit_shift_rollup, casino_shift_rollup,
                table_gaming_day_rollup, pit_gaming_day_rollup, casino_gaming_day_rollup TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Marking. put_changes calls it before it writes: what the sessions were is still in their rows, what they become is in `changes`.

CREATE FUNCTION mark_rollups(changes jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    tenant CONSTANT uuid := NULLIF(current_setting('app.casino_id', true), '')::uuid;
    ins CONSTANT jsonb := changes->'insert';
    upd CONSTANT jsonb := changes->'update';
    touched uuid[];
BEGIN
    -- A session's own row, and every row that names a session.
    touched := ARRAY(
        SELECT COALESCE(item->>'session_id', CASE written.relation WHEN 'table_inventory_session' THEN item->>'id' END)::uuid
          FROM (SELECT * FROM jsonb_each(ins) UNION ALL SELECT * FROM jsonb_each(upd)) AS written (relation, rows)
         CROSS JOIN LATERAL jsonb_array_elements(written.rows) AS item
         WHERE item ? 'session_id' OR written.relation = 'table_inventory_session');
    IF cardinality(touched) = 0 THEN
        RETURN;
    END IF;
    -- The session that a slip leaves at a rollover.
    IF upd ? 'table_slip' THEN
        touched := touched || ARRAY(
            SELECT x.session_id FROM table_slip AS x
             WHERE x.casino_id = tenant AND x.id = ANY (ARRAY(SELECT (item->>'id')::uuid FROM jsonb_array_elements(upd->'table_slip') AS item)));
    END IF;
    -- A box that goes, or is counted, tells of every session with a slip in it: how far that session's figures may be trusted depends on it.
    IF ins ?| '{table_drop_event,soft_count_table_result}' OR upd ? 'table_drop_event' THEN
        touched := touched || ARRAY(
            SELECT x.session_id
              FROM (SELECT (item->>'drop_box_id')::uuid, (item->>'drop_box_use')::bigint
                      FROM jsonb_array_elements(COALESCE(ins->'table_drop_event', '[]') || COALESCE(upd->'table_drop_event', '[]')) AS item
                    UNION
                    SELECT d.drop_box_id, d.drop_box_use FROM jsonb_array_elements(ins->'soft_count_table_result') AS item
                      JOIN table_drop_event AS d ON d.casino_id = tenant AND d.session_id = (item->>'session_id')::uuid
                                                AND d.id = (item->>'drop_event_id')::uuid) AS box (id, use_no)
              JOIN table_slip AS x ON x.casino_id = tenant AND x.drop_box_id = box.id AND x.drop_box_use = box.use_no);
    END IF;
    INSERT INTO rollup_mark (casino_id, gaming_day, shift_id, table_id)
    SELECT tenant, s.gaming_day, s.shift_id, s.table_id FROM table_inventory_session AS s WHERE s.casino_id = tenant AND s.id = ANY (touched)
    UNION
    SELECT tenant, s.gaming_day, s.shift_id, s.table_id
      FROM jsonb_to_recordset(COALESCE(ins->'table_inventory_session', '[]') || COALESCE(upd->'table_inventory_session', '[]'))
        AS s (gaming_day date, shift_id uuid, table_id uuid);
END $$;

-- ---------------------------------------------------------------------------------------------------------------------
-- Reading for the law: see `store/rollups.rs` for the shapes.

-- The sessions in these cells (gaming_day, shift_id, table_id: a day's cell and, where a shift is named, the shift's): their sheets, and where
-- each is counted.
CREATE FUNCTION rollup_sources(c casino, cells jsonb, p_at timestamptz) RETURNS json LANGUAGE plpgsql STABLE AS $$
DECLARE
    concerned uuid[];
    places json;
BEGIN
    WITH cell AS MATERIALIZED (
        SELECT x.gaming_day, x.shift_id, x.table_id
          FROM jsonb_to_recordset(cells) AS x (gaming_day date, shift_id uuid, table_id uuid)
    )
    SELECT array_agg(session.id) INTO concerned FROM (
        SELECT s.id FROM (SELECT DISTINCT gaming_day, table_id FROM cell) AS x
          JOIN table_inventory_session AS s ON s.casino_id = c.id AND s.gaming_day = x.gaming_day AND s.table_id = x.table_id
        UNION
        SELECT s.id FROM (SELECT DISTINCT shift_id, table_id FROM cell WHERE shift_id IS NOT NULL) AS x
          JOIN table_inventory_session AS s ON s.casino_id = c.id AND s.shift_id = x.shift_id AND s.table_id = x.table_id) AS session;
    SELECT json_agg(json_build_object(
               'session_id', s.id,
               -- A session older than this migration stands where its table stands.
               'pit', CASE WHEN p.session_id IS NULL THEN t.pit ELSE p.pit END,
               'shift_day', (SELECT h.gaming_day FROM shift AS h WHERE h.casino_id = c.id AND h.id = s.shift_id)))
      INTO places
      FROM table_inventory_session AS s
      JOIN gaming_table AS t ON t.casino_id = c.id AND t.id = s.table_id
      LEFT JOIN session_pit AS p ON p.session_id = s.id
     WHERE s.casino_id = c.id AND s.id = ANY (concerned);
    RETURN json_build_object('sheets', sheets(c, concerned, '{}', p_at), 'places', COALESCE(places, '[]'));
END $$;

-- Takes the oldest marks, and hands out all that is needed to compute their cells anew: the sessions in them, and what is stored of the same
-- days and shifts, which a pit's and the casino's sums are made of.
--
-- One drain of a casino at a time: two that overlap could each compute a cell from what it saw, and the older one write last. Every
-- statement here sees what was committed before it began, so a mark that is taken brings its fact along.
CREATE FUNCTION take_rollup_marks(how_many int, p_at timestamptz) RETURNS json LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    c casino;
    taken bigint;
    cells jsonb;
    days date[];
    shifts uuid[];
BEGIN
    SELECT * INTO c FROM casino WHERE id = NULLIF(current_setting('app.casino_id', true), '')::uuid;
    PERFORM pg_advisory_xact_lock(hashtextextended('rollups:' || c.id::text, 0));
    WITH mark AS (
        DELETE FROM rollup_mark AS m
         WHERE m.casino_id = c.id AND m.id = ANY (ARRAY(
                   SELECT next.id FROM rollup_mark AS next WHERE next.casino_id = c.id ORDER BY next.id LIMIT how_many FOR UPDATE SKIP LOCKED))
        RETURNING m.gaming_day, m.shift_id, m.table_id
    ), cell AS (
        SELECT m.gaming_day, m.shift_id, m.table_id, count(*) AS marks FROM mark AS m GROUP BY m.gaming_day, m.shift_id, m.table_id
    )
    SELECT COALESCE(sum(cell.marks), 0), array_agg(DISTINCT cell.gaming_day), array_agg(DISTINCT cell.shift_id) FILTER (WHERE cell.shift_id IS NOT NULL),
           COALESCE(jsonb_agg(jsonb_build_object('gaming_day', cell.gaming_day, 'shift_id', cell.shift_id, 'table_id', cell.table_id,
                                                 'shift_day', (SELECT h.gaming_day FROM shift AS h WHERE h.casino_id = c.id AND h.id = cell.shift_id))), '[]')
      INTO taken, days, shifts, cells
      FROM cell;
    IF taken = 0 THEN
        RETURN json_build_object('marks', 0);
    END IF;
    RETURN json_build_object(
        'marks', taken,
        'touched', cells,
        'sources', rollup_sources(c, cells, p_at),
        'stored', (SELECT COALESCE(jsonb_agg(to_jsonb(r)), '[]') FROM (
                       SELECT day.* FROM rollup AS day
                        WHERE day.casino_id = c.id AND day.grain IN ('table', 'pit', 'casino') AND day.by = 'gaming_day' AND day.gaming_day = ANY (days)
                       UNION ALL
                       SELECT shifted.* FROM rollup AS shifted WHERE shifted.casino_id = c.id AND shifted.shift_id = ANY (shifts)) AS r));
END $$;

-- Writes the cells that changed. A cell that is not as the law had seen it would mean two drains at once: that must not happen.
CREATE FUNCTION put_rollups(cells jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    written bigint;
BEGIN
    INSERT INTO rollup AS r SELECT * FROM jsonb_populate_recordset(NULL::rollup, cells)
    ON CONFLICT ON CONSTRAINT rollup_pkey DO UPDATE SET
        pit = EXCLUDED.pit, sessions = EXCLUDED.sessions, tables = EXCLUDED.tables, covered_tables = EXCLUDED.covered_tables,
        authoritative_sessions = EXCLUDED.authoritative_sessions, late_sessions = EXCLUDED.late_sessions,
        opening_total_cents = EXCLUDED.opening_total_cents, opening_skipped = EXCLUDED.opening_skipped,
        closing_total_cents = EXCLUDED.closing_total_cents, closing_skipped = EXCLUDED.closing_skipped,
        fills_total_cents = EXCLUDED.fills_total_cents, fills_skipped = EXCLUDED.fills_skipped,
        credits_total_cents = EXCLUDED.credits_total_cents, credits_skipped = EXCLUDED.credits_skipped,
        drop_total_cents = EXCLUDED.drop_total_cents, drop_skipped = EXCLUDED.drop_skipped,
        win_loss_stat_cents = EXCLUDED.win_loss_stat_cents, win_loss_stat_skipped = EXCLUDED.win_loss_stat_skipped,
        hold_drop_cents = EXCLUDED.hold_drop_cents, hold_bp = EXCLUDED.hold_bp,
        version = EXCLUDED.version, computed_at = EXCLUDED.computed_at, source_hash = EXCLUDED.source_hash
     WHERE r.version + 1 = EXCLUDED.version;
    GET DIAGNOSTICS written = ROW_COUNT;
    PERFORM expect_rows(written, cells, 'rollup');
END $$;

-- Every gaming day that has, or should have, a cell.
CREATE FUNCTION rollup_days() RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(day.gaming_day ORDER BY day.gaming_day), '[]') FROM (
        SELECT s.gaming_day FROM table_inventory_session AS s
        UNION SELECT h.gaming_day FROM shift AS h
        UNION SELECT r.gaming_day FROM rollup AS r) AS day
$$;

-- Everything of one gaming day, to be computed from nothing and compared: its sessions, its cells as stored, and the marks not yet drained.
-- STABLE: all of it is one snapshot, and in one snapshot a cell without a mark must say what its facts say.
CREATE FUNCTION rollup_day(p_day date, p_at timestamptz) RETURNS json LANGUAGE plpgsql STABLE AS $$
DECLARE
    c casino;
    shifts uuid[];
    cells jsonb;
BEGIN
    SELECT * INTO c FROM casino WHERE id = NULLIF(current_setting('app.casino_id', true), '')::uuid;
    shifts := ARRAY(SELECT h.id FROM shift AS h WHERE h.casino_id = c.id AND h.gaming_day = p_day);
    SELECT COALESCE(jsonb_agg(to_jsonb(cell)), '[]') INTO cells FROM (
        SELECT s.gaming_day, s.shift_id, s.table_id FROM table_inventory_session AS s WHERE s.casino_id = c.id AND s.gaming_day = p_day
        UNION
        SELECT s.gaming_day, s.shift_id, s.table_id FROM table_inventory_session AS s WHERE s.casino_id = c.id AND s.shift_id = ANY (shifts)) AS cell;
    RETURN json_build_object(
        'sources', rollup_sources(c, cells, p_at),
        'stored', (SELECT COALESCE(jsonb_agg(to_jsonb(r)), '[]') FROM rollup AS r WHERE r.casino_id = c.id AND r.gaming_day = p_day),
        'pending', (SELECT COALESCE(jsonb_agg(DISTINCT jsonb_build_object(
                               'gaming_day', m.gaming_day, 'shift_id', m.shift_id, 'table_id', m.table_id,
                               'shift_day', (SELECT h.gaming_day FROM shift AS h WHERE h.casino_id = c.id AND h.id = m.shift_id))), '[]')
                      FROM rollup_mark AS m WHERE m.casino_id = c.id AND (m.gaming_day = p_day OR m.shift_id = ANY (shifts))));
END $$;
