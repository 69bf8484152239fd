-- Shifts (domain §11): templates in the casino's local time, shifts as instants of a gaming day, and what a closed shift proves.

CREATE TABLE shift_template (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL REFERENCES casino (id),
    name text NOT NULL CHECK (btrim(name) <> '' AND length(name) <= 64),
    -- On whole minutes: people read them off a wall.
    local_start time NOT NULL CHECK (local_start < '24:00' AND extract(second FROM local_start) = 0),
    -- At or before the start: on the day after it.
    local_end time NOT NULL CHECK (local_end < '24:00' AND extract(second FROM local_end) = 0),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive')),
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (casino_id, id),
    CONSTRAINT shift_template_named_once UNIQUE (casino_id, name)
);

SELECT fence('shift_template');
SELECT never_deleted('shift_template');
CREATE TRIGGER guard BEFORE UPDATE ON shift_template FOR EACH ROW EXECUTE FUNCTION guard_version();
GRANT SELECT, INSERT, UPDATE (name, local_start, local_end, status, version) ON shift_template TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------

CREATE TABLE shift (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL REFERENCES casino (id),
    gaming_day date NOT NULL,
    name text NOT NULL CHECK (btrim(name) <> '' AND length(name) <= 64),
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'OPEN' CHECK (status IN ('OPEN', 'CLOSED')),
    template_id uuid NOT NULL,
    closed_at timestamptz,
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_at timestamptz NOT NULL DEFAULT now(),

    UNIQUE (casino_id, id),
    -- A shift that is opened again is the one that is there; and that stays so when its template is given another name.
    CONSTRAINT shift_once_a_day UNIQUE (casino_id, gaming_day, template_id),
    FOREIGN KEY (casino_id, template_id) REFERENCES shift_template (casino_id, id),
    CONSTRAINT shift_has_length CHECK (starts_at < ends_at),
    CONSTRAINT shift_closed_has_time CHECK ((status = 'CLOSED') = (closed_at IS NOT NULL))
);
-- Which shift a moment belongs to: the open ones are few, whatever the history.
CREATE INDEX shift_open ON shift (casino_id, starts_at) WHERE status = 'OPEN';
-- The latest one of a template that has begun: what a closing is about.
CREATE INDEX shift_by_template ON shift (casino_id, template_id, starts_at);

SELECT fence('shift');
SELECT never_deleted('shift');

CREATE FUNCTION guard_shift() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version <= OLD.version THEN
        PERFORM refused(TG_TABLE_NAME, 'RD005', 'version_rises', 'the version rises with every change');
    END IF;
    IF OLD.status = 'CLOSED' THEN
        PERFORM refused(TG_TABLE_NAME, 'RD006', 'shift_closed', 'a closed shift stays as it is');
    END IF;
    IF (OLD.id, OLD.casino_id, OLD.gaming_day, OLD.name, OLD.starts_at, OLD.ends_at, OLD.template_id, OLD.created_at)
        IS DISTINCT FROM
       (NEW.id, NEW.casino_id, NEW.gaming_day, NEW.name, NEW.starts_at, NEW.ends_at, NEW.template_id, NEW.created_at) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'shift_is_a_fact', 'a shift keeps its time');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON shift FOR EACH ROW EXECUTE FUNCTION guard_shift();
GRANT SELECT, INSERT, UPDATE (status, closed_at, version) ON shift TO rundown_app;

-- Sessions are older than shifts in these scripts: the key they were waiting for.
ALTER TABLE table_inventory_session
    ADD CONSTRAINT session_shift_is_the_casinos FOREIGN KEY (casino_id, shift_id) REFERENCES shift (casino_id, id);

-- ---------------------------------------------------------------------------------------------------------------------
-- What a closed shift proves. Sums skip what is unknown and are null where nothing is known: null is not zero.

CREATE TABLE shift_rundown_summary (
    shift_id uuid PRIMARY KEY,
    casino_id uuid NOT NULL,
    status text NOT NULL CHECK (status IN ('PENDING', 'READY')),
    sessions int NOT NULL CHECK (sessions >= 0),
    finalized int NOT NULL CHECK (finalized >= 0),
    cancelled int NOT NULL CHECK (cancelled >= 0),
    fills_total_cents bigint,
    credits_total_cents bigint,
    drop_total_cents bigint,
    win_loss_stat_cents bigint,
    hold_bp bigint,
    skipped int NOT NULL CHECK (skipped >= 0),
    metric_grade text NOT NULL CHECK (metric_grade IN ('ESTIMATE', 'AUTHORITATIVE')),
    lines jsonb NOT NULL CHECK (jsonb_typeof(lines) = 'array'),
    computed_at timestamptz NOT NULL,
    ready_at timestamptz,
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),

    FOREIGN KEY (casino_id, shift_id) REFERENCES shift (casino_id, id),
    CONSTRAINT shift_summary_ready_has_time CHECK ((status = 'READY') = (ready_at IS NOT NULL)),
    CONSTRAINT shift_summary_ready_is_complete CHECK (status <> 'READY' OR finalized + cancelled = sessions),
    CONSTRAINT shift_summary_counts_its_sessions CHECK (finalized + cancelled <= sessions AND skipped + cancelled <= sessions)
);

SELECT fence('shift_rundown_summary');
SELECT never_deleted('shift_rundown_summary');

CREATE FUNCTION guard_shift_summary() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'READY' THEN
        PERFORM refused(TG_TABLE_NAME, 'RD006', 'shift_summary_ready', 'a READY summary is final');
    END IF;
    IF NEW.version <= OLD.version THEN
        PERFORM refused(TG_TABLE_NAME, 'RD005', 'version_rises', 'the version rises with every change');
    END IF;
    IF (OLD.shift_id, OLD.casino_id) IS DISTINCT FROM (NEW.shift_id, NEW.casino_id) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'shift_summary_identity', 'a summary keeps its shift');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON shift_rundown_summary FOR EACH ROW EXECUTE FUNCTION guard_shift_summary();

GRANT SELECT, INSERT, UPDATE (
    status, sessions, finalized, cancelled, fills_total_cents, credits_total_cents, drop_total_cents, win_loss_stat_cents, hold_bp,
    skipped, metric_grade, lines, computed_at, ready_at, version
) ON shift_rundown_summary TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- What the sweep of deadlines reads beside removals not yet counted (drop_pending): closed sessions that wait for a removal or a count.
-- None of the columns changes between an opening and its close, so the index costs a running table nothing.

CREATE INDEX session_closed_unreconciled ON table_inventory_session (casino_id, closed_at)
    WHERE closed_at IS NOT NULL AND reconciled_at IS NULL AND close_reason <> 'cancelled';

-- Sessions that began before their shift was there: the shift's jobs give it to them.
CREATE INDEX session_without_shift ON table_inventory_session (casino_id, opened_at) WHERE shift_id IS NULL AND finalized_at IS NULL;

-- A missing number is told once, on one session: whoever comes second judges again and finds it told.
CREATE UNIQUE INDEX exception_slip_gap_once ON reconciliation_exception (casino_id, subject_id)
    WHERE category = 'SLIP_NUMBER_GAP' AND status IN ('OPEN', 'ACKNOWLEDGED');

-- Numbers of ranges closed within these times that no slip carries and no exception tells of, each with the session it is to be told on:
-- that of the next number used, or else of the last one before; never a finalized one.
CREATE FUNCTION slip_gaps_left(c_id uuid, closed_from timestamptz, closed_until timestamptz, at_most int) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(to_jsonb(gap) ORDER BY gap.kind, gap.scope_key, gap.slip_no), '[]') FROM (
        SELECT r.kind, r.scope_key, n AS slip_no, following.slip_no AS next_slip_no,
               COALESCE(following.session_id, preceding.session_id) AS session_id
          FROM slip_manual_range AS r
         CROSS JOIN LATERAL generate_series(r.first_no, r.last_no) AS n
          LEFT JOIN LATERAL (
                SELECT x.slip_no, x.session_id FROM table_slip AS x
                  JOIN table_inventory_session AS s ON s.casino_id = c_id AND s.id = x.session_id AND s.finalized_at IS NULL
                 WHERE x.casino_id = c_id AND x.kind = r.kind AND x.slip_scope = r.slip_scope AND x.scope_key = r.scope_key AND x.slip_no > n
                 ORDER BY x.slip_no LIMIT 1) AS following ON true
          LEFT JOIN LATERAL (
                SELECT x.session_id FROM table_slip AS x
                  JOIN table_inventory_session AS s ON s.casino_id = c_id AND s.id = x.session_id AND s.finalized_at IS NULL
                 WHERE x.casino_id = c_id AND x.kind = r.kind AND x.slip_scope = r.slip_scope AND x.scope_key = r.scope_key AND x.slip_no < n
                 ORDER BY x.slip_no DESC LIMIT 1) AS preceding ON true
         WHERE r.casino_id = c_id AND r.closed_at >= closed_from AND r.closed_at < closed_until
           AND NOT EXISTS (SELECT FROM table_slip AS x
                            WHERE x.casino_id = c_id AND x.kind = r.kind AND x.slip_scope = r.slip_scope AND x.scope_key = r.scope_key
                              AND x.slip_no = n)
           AND NOT EXISTS (SELECT FROM reconciliation_exception AS e
                            WHERE e.casino_id = c_id AND e.category = 'SLIP_NUMBER_GAP'
                              AND e.subject_id = concat_ws(':', r.kind, r.scope_key, n))
         ORDER BY r.id, n LIMIT at_most) AS gap
$$;

-- ---------------------------------------------------------------------------------------------------------------------
-- What the desk lays out of shifts (see open_desk).

-- The open shift that holds a moment; of overlapping ones the one that began last.
CREATE FUNCTION shift_now(c_id uuid, at timestamptz) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT s.id FROM shift AS s
     WHERE s.casino_id = c_id AND s.status = 'OPEN' AND s.starts_at <= at AND at < s.ends_at
     ORDER BY s.starts_at DESC, s.id LIMIT 1
$$;

-- The sessions of a shift with what their reports say, as a summary wants them.
CREATE FUNCTION shift_parts(c_id uuid, p_shift_id uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(jsonb_build_object(
               'session_id', s.id, 'table_id', s.table_id, 'table', t.label, 'status', s.status, 'close_reason', s.close_reason,
               'fills_total_cents', r.fills_total_cents, 'credits_total_cents', r.credits_total_cents,
               'drop_total_cents', r.drop_total_cents, 'win_loss_stat_cents', r.win_loss_stat_cents,
               'metric_grade', r.metric_grade) ORDER BY s.id), '[]')
      FROM table_inventory_session AS s
      JOIN gaming_table AS t ON t.casino_id = s.casino_id AND t.id = s.table_id
      LEFT JOIN table_rundown_report AS r ON r.casino_id = s.casino_id AND r.session_id = s.id
     WHERE s.casino_id = c_id AND s.shift_id = p_shift_id
$$;

-- A shift, its summary and its sessions. The caller holds the shift's row where the answer decides something.
CREATE FUNCTION shift_book(c_id uuid, p_shift_id uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
               'shift', to_jsonb(h),
               'summary', (SELECT to_jsonb(y) FROM shift_rundown_summary AS y WHERE y.casino_id = c_id AND y.shift_id = h.id),
               'parts', shift_parts(c_id, h.id))
      FROM shift AS h WHERE h.casino_id = c_id AND h.id = p_shift_id
$$;

-- What a command wants to know of shifts. `bind`: it may give a session a shift, so the shift must not be closed before the command is done.
-- `settle`: it may be the last one its shift waits for, so no two of them may look at the same time.
CREATE FUNCTION shifts_on_desk(c_id uuid, at timestamptz, wanted jsonb, sessions uuid[], locking boolean) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    own CONSTANT uuid := (SELECT s.shift_id FROM table_inventory_session AS s WHERE s.casino_id = c_id AND s.id = sessions[1]);
    named CONSTANT uuid := COALESCE((wanted->'bind'->>'named')::uuid, own);
BEGIN
    IF wanted ? 'settle' THEN
        IF locking THEN
            PERFORM FROM shift AS h WHERE h.casino_id = c_id AND h.id = own FOR NO KEY UPDATE;
        END IF;
        RETURN jsonb_build_object('shift_book', shift_book(c_id, own));
    END IF;
    IF locking THEN
        PERFORM FROM shift AS h WHERE h.casino_id = c_id AND h.id IN (named, shift_now(c_id, at)) ORDER BY h.id FOR SHARE;
    END IF;
    -- Asked anew after the lock: the shift may have been closed while this waited.
    RETURN jsonb_build_object(
        'shift_now', shift_now(c_id, at),
        'shift_named', (SELECT to_jsonb(h) FROM shift AS h WHERE h.casino_id = c_id AND h.id = named));
END $$;

-- Writes a summary as the law computed it (see put_changes).
CREATE FUNCTION put_shift_summary(ins jsonb, upd jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    written bigint;
BEGIN
    IF ins IS NOT NULL THEN
        INSERT INTO shift_rundown_summary SELECT * FROM jsonb_populate_recordset(NULL::shift_rundown_summary, ins);
    END IF;
    IF upd IS NOT NULL THEN
        UPDATE shift_rundown_summary AS t SET
            status = r.status, sessions = r.sessions, finalized = r.finalized, cancelled = r.cancelled,
            fills_total_cents = r.fills_total_cents, credits_total_cents = r.credits_total_cents, drop_total_cents = r.drop_total_cents,
            win_loss_stat_cents = r.win_loss_stat_cents, hold_bp = r.hold_bp, skipped = r.skipped, metric_grade = r.metric_grade,
            lines = r.lines, computed_at = r.computed_at, ready_at = r.ready_at, version = r.version
          FROM jsonb_populate_recordset(NULL::shift_rundown_summary, upd) AS r
         WHERE t.shift_id = r.shift_id AND t.version = r.version - 1;
        GET DIAGNOSTICS written = ROW_COUNT;
        PERFORM expect_rows(written, upd, 'shift summary');
    END IF;
END $$;
