-- The desk: one command is BEGIN, open_desk, put_changes, COMMIT. Four round trips, whatever the command (a test counts them).
--
-- These functions hold no rule. open_desk says who asks, sets the tenant context, waits for the same Idempotency-Key, locks the sessions
-- concerned in id order and hands out what is known of them; put_changes writes what the law decided. Both run with the
-- caller's rights: privileges, triggers and row security stand behind them. plpgsql runs its statements in order, so the context
-- is set before the first fenced row is read, and every statement after a lock sees what the lock waited for.

-- A person as rules may see them: without anything that proves a PIN.
CREATE FUNCTION person(s staff) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('id', s.id, 'casino_id', s.casino_id, 'employee_no', s.employee_no, 'name', s.name, 'role', s.role, 'status', s.status)
$$;

-- A box, and whether its present use is removed and not yet counted.
CREATE FUNCTION box_with_custody(b drop_box) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT to_jsonb(b) || jsonb_build_object('in_custody', EXISTS (
        SELECT FROM table_drop_event AS d
         WHERE d.casino_id = b.casino_id AND d.drop_box_id = b.id AND d.drop_box_use = b.use_no))
$$;

-- What was answered the first time.
CREATE FUNCTION first_answer(k idempotency_key) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('request_hash', encode(k.request_hash, 'hex'), 'status', k.status, 'answer', encode(k.answer, 'base64'),
                              'etag', k.etag)
$$;

-- Sheets: everything known of some sessions, table by table, and not session by session. What each of them knows is told apart by whoever reads
-- (`store/sheets.rs`); here every table is asked once, whether one session is looked at or twenty. They are written step by step, because
-- plpgsql makes a plan once a connection and plain SQL anew for every call, and because a statement that is not needed costs nothing:
-- most sessions have no removal yet, no exception, no void. They are json and not jsonb, which would be taken apart and put together again at each
-- of its levels.

-- What stands around sessions on the floor. A session that does not exist yet has no id of its own, and the table's last one before it.
CREATE FUNCTION floors(c casino, own uuid[], tables uuid[], predecessors uuid[], p_at timestamptz) RETURNS json LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT json_agg(json_build_object(
            'session_id', spot.own,
            'table', to_json(t),
            'par_cents', (SELECT p.par_cents FROM table_par AS p
                           WHERE p.casino_id = c.id AND p.table_id = t.id
                             AND p.effective_gaming_day <= gaming_day(p_at, c.timezone, c.gaming_day_start)
                           ORDER BY p.effective_gaming_day DESC, p.id DESC LIMIT 1),
            'predecessor', CASE WHEN before.id IS NOT NULL THEN json_build_object(
                'id', before.id,
                'status', before.status,
                'closer', (SELECT to_json(n) FROM table_inventory_snapshot AS n
                            WHERE n.casino_id = c.id AND n.session_id = before.id AND n.id = before.closing_snapshot_id),
                'drop_box_id', before.drop_box_id,
                'removed', EXISTS (SELECT FROM table_drop_event AS d
                                    WHERE d.casino_id = c.id AND d.session_id = before.id AND d.stood_on_table)
                    OR EXISTS (SELECT FROM reconciliation_exception AS e
                                WHERE e.casino_id = c.id AND e.session_id = before.id
                                  AND e.category = 'DROP_MISSING' AND e.status = 'WAIVED')) END,
            'successor_id', (SELECT after.id FROM table_inventory_session AS after
                              WHERE after.casino_id = c.id AND after.table_id = t.id AND after.id > spot.own
                                AND after.opened_at IS NOT NULL AND after.close_reason IS DISTINCT FROM 'cancelled'
                              ORDER BY after.id LIMIT 1),
            'live_session_id', (SELECT live.id FROM table_inventory_session AS live
                                 WHERE live.casino_id = c.id AND live.table_id = t.id AND live.closed_at IS NULL
                                   AND live.id IS DISTINCT FROM spot.own)))
          FROM unnest(own, tables, predecessors) AS spot (own, table_id, predecessor_id)
          JOIN gaming_table AS t ON t.casino_id = c.id AND t.id = spot.table_id
          LEFT JOIN table_inventory_session AS before
            ON before.casino_id = c.id AND before.table_id = t.id AND before.id = spot.predecessor_id);
END $$;

-- These boxes and those on these tables. A box says whether its present use is removed and not yet counted.
CREATE FUNCTION boxes_around(c_id uuid, ids uuid[], tables uuid[]) RETURNS json LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT COALESCE(json_agg(to_json(box) ORDER BY box.id), '[]') FROM (
            SELECT b.*, EXISTS (SELECT FROM table_drop_event AS d
                                 WHERE d.casino_id = c_id AND d.drop_box_id = b.id AND d.drop_box_use = b.use_no) AS in_custody
              FROM drop_box AS b
             WHERE b.casino_id = c_id AND (b.id = ANY (ids) OR b.on_table_id = ANY (tables))) AS box);
END $$;

-- What there is to know of a table before its next session.
CREATE FUNCTION sheets_of_table(c casino, p_table_id uuid, p_boxes uuid[], p_at timestamptz) RETURNS json LANGUAGE plpgsql STABLE AS $$
DECLARE
    last uuid;
BEGIN
    SELECT s.id INTO last FROM table_inventory_session AS s
     WHERE s.casino_id = c.id AND s.table_id = p_table_id AND s.close_reason IS DISTINCT FROM 'cancelled'
     ORDER BY s.id DESC LIMIT 1;
    RETURN json_build_object(
        'floors', COALESCE(floors(c, ARRAY[NULL::uuid], ARRAY[p_table_id], ARRAY[last], p_at), '[]'),
        'boxes', boxes_around(c.id, p_boxes, ARRAY[p_table_id]));
END $$;

-- Everything known about these sessions.
CREATE FUNCTION sheets(c casino, p_sessions uuid[], p_boxes uuid[], p_at timestamptz) RETURNS json LANGUAGE plpgsql STABLE AS $$
DECLARE
    sessions json;
    own uuid[];
    tables uuid[];
    predecessors uuid[];
    boxes uuid[];
    unfinished uuid[];
    reconciled boolean;
    slips json;
    slip_ids uuid[];
    filled uuid[];
    filled_uses bigint[];
    exceptions json;
    strays uuid[];
    removals uuid[];
    removed_boxes uuid[];
    drops json;
    counts json;
    foreign_ids uuid[] := '{}';
    foreign_slips json;
    snapshots json;
    signatures json;
    reports json;
BEGIN
    -- A session closed otherwise than by force has no open rating slips.
    SELECT json_agg(to_json(s) ORDER BY s.id), array_agg(s.id), array_agg(s.table_id), array_agg(s.predecessor_id),
           p_boxes || array_agg(s.drop_box_id), array_agg(s.id) FILTER (WHERE s.closed_at IS NULL OR s.close_reason = 'forced'),
           bool_or(s.reconciled_at IS NOT NULL)
      INTO sessions, own, tables, predecessors, boxes, unfinished, reconciled
      FROM table_inventory_session AS s WHERE s.casino_id = c.id AND s.id = ANY (p_sessions);
    IF own IS NULL THEN
        RETURN '{}';
    END IF;

    SELECT json_agg(to_json(x) ORDER BY x.id), array_agg(x.id), array_agg(x.drop_box_id) FILTER (WHERE x.drop_box_id IS NOT NULL),
           array_agg(x.drop_box_use) FILTER (WHERE x.drop_box_id IS NOT NULL)
      INTO slips, slip_ids, filled, filled_uses
      FROM table_slip AS x WHERE x.casino_id = c.id AND x.session_id = ANY (own);
    -- Boxes in which a stray slip was found: its exception lasts as long as that count says so. Slips that exceptions are about may have come to
    -- another session since.
    SELECT json_agg(to_json(e) ORDER BY e.id),
           array_agg((e.detail->>'drop_event_id')::uuid) FILTER (WHERE e.subject_kind = 'slip' AND e.detail ? 'drop_event_id'),
           slip_ids || array_agg(e.subject_id::uuid) FILTER (WHERE e.subject_kind = 'slip')
      INTO exceptions, strays, slip_ids
      FROM reconciliation_exception AS e WHERE e.casino_id = c.id AND e.session_id = ANY (own);

    removals := ARRAY(SELECT d.id FROM table_drop_event AS d WHERE d.casino_id = c.id AND d.session_id = ANY (own)) || strays;
    IF filled IS NOT NULL THEN
        removals := removals || ARRAY(
            SELECT d.id FROM unnest(filled, filled_uses) AS box (id, use_no) JOIN table_drop_event AS d
                ON d.casino_id = c.id AND d.drop_box_id = box.id AND d.drop_box_use = box.use_no);
    END IF;
    IF cardinality(removals) > 0 THEN
        SELECT json_agg(to_json(removal) ORDER BY removal.id), array_agg(removal.drop_box_id) INTO drops, removed_boxes FROM (
            SELECT d.*, EXISTS (SELECT FROM reconciliation_exception AS e
                                 WHERE e.casino_id = c.id AND e.session_id = d.session_id
                                   AND e.category = 'COUNT_OVERDUE' AND e.status = 'WAIVED' AND e.subject_id = d.id::text) AS count_waived
              FROM table_drop_event AS d WHERE d.casino_id = c.id AND d.id = ANY (removals)) AS removal;
        SELECT json_agg(to_json(n) ORDER BY n.id) INTO counts
          FROM table_drop_event AS d JOIN soft_count_table_result AS n
              ON n.casino_id = c.id AND n.session_id = d.session_id AND n.drop_event_id = d.id
         WHERE d.casino_id = c.id AND d.id = ANY (removals);
        foreign_ids := ARRAY(
            SELECT x.id FROM table_drop_event AS d JOIN table_slip AS x
                ON x.casino_id = c.id AND x.drop_box_id = d.drop_box_id AND x.drop_box_use = d.drop_box_use
             WHERE d.casino_id = c.id AND d.session_id = ANY (own) AND d.id = ANY (removals));
    END IF;
    -- Voids of the session before: a replacement asked for after a rollover names one.
    IF cardinality(array_remove(predecessors, NULL)) > 0 THEN
        foreign_ids := foreign_ids || ARRAY(
            SELECT x.id FROM table_slip AS x WHERE x.casino_id = c.id AND x.session_id = ANY (predecessors) AND x.status = 'VOIDED');
    END IF;
    IF cardinality(foreign_ids) > 0 THEN
        SELECT json_agg(to_json(x) ORDER BY x.id) INTO foreign_slips FROM table_slip AS x
         WHERE x.casino_id = c.id AND x.id = ANY (foreign_ids) AND x.session_id <> ALL (own);
    END IF;

    SELECT json_agg(to_json(n) ORDER BY n.id) INTO snapshots FROM table_inventory_snapshot AS n
     WHERE n.casino_id = c.id AND n.session_id = ANY (own);
    -- Of what lies in the session, not of its moves: no rule asks who moved it.
    IF slip_ids IS NULL THEN
        SELECT json_agg(to_json(g) ORDER BY g.id) INTO signatures FROM signature AS g
         WHERE g.casino_id = c.id AND g.session_id = ANY (own) AND g.subject_kind <> 'session';
    ELSE
        -- A slip that rolled over was signed in the session before: its signatures are found by the slip.
        SELECT json_agg(to_json(g) ORDER BY g.id) INTO signatures FROM (
            SELECT x.* FROM signature AS x WHERE x.casino_id = c.id AND x.session_id = ANY (own) AND x.subject_kind <> 'session'
            UNION ALL
            SELECT x.* FROM signature AS x
             WHERE x.casino_id = c.id AND x.subject_id = ANY (slip_ids) AND (x.session_id IS NULL OR x.session_id <> ALL (own))) AS g;
    END IF;
    IF reconciled THEN
        SELECT json_agg(to_json(r)) INTO reports FROM table_rundown_report AS r WHERE r.casino_id = c.id AND r.session_id = ANY (own);
    END IF;
    RETURN json_build_object(
        'sessions', sessions,
        'floors', floors(c, own, tables, predecessors, p_at),
        'boxes', boxes_around(c.id, boxes || removed_boxes, tables),
        'snapshots', COALESCE(snapshots, '[]'),
        'slips', COALESCE(slips, '[]'),
        'foreign_slips', COALESCE(foreign_slips, '[]'),
        'drops', COALESCE(drops, '[]'),
        'counts', COALESCE(counts, '[]'),
        'exceptions', COALESCE(exceptions, '[]'),
        'signatures', COALESCE(signatures, '[]'),
        'reports', COALESCE(reports, '[]'),
        'rating_slips', CASE WHEN unfinished IS NULL THEN '[]' ELSE open_rating_slips(c.id, unfinished) END);
END $$;

-- The sessions a command is about, found from what it names. A count concerns every session with a slip in the box, and those
-- whose slips were found in it.
CREATE FUNCTION sessions_of(c_id uuid, kind text, ids uuid[], papers jsonb) RETURNS uuid[] LANGUAGE plpgsql STABLE AS $$
BEGIN
    CASE kind
    WHEN 'session' THEN RETURN ids;
    WHEN 'slip' THEN RETURN ARRAY(SELECT x.session_id FROM table_slip AS x WHERE x.casino_id = c_id AND x.id = ANY (ids));
    WHEN 'snapshot' THEN RETURN ARRAY(SELECT n.session_id FROM table_inventory_snapshot AS n WHERE n.casino_id = c_id AND n.id = ANY (ids));
    WHEN 'drop' THEN RETURN ARRAY(SELECT d.session_id FROM table_drop_event AS d WHERE d.casino_id = c_id AND d.id = ANY (ids));
    WHEN 'exception' THEN RETURN ARRAY(
        SELECT e.session_id FROM reconciliation_exception AS e WHERE e.casino_id = c_id AND e.id = ANY (ids)
        UNION
        -- A waived count stands for every session with a slip in the box.
        SELECT x.session_id FROM reconciliation_exception AS e
          JOIN table_drop_event AS d ON d.casino_id = c_id AND d.id = CASE WHEN e.category = 'COUNT_OVERDUE' THEN e.subject_id::uuid END
          JOIN table_slip AS x ON x.casino_id = c_id AND x.drop_box_id = d.drop_box_id AND x.drop_box_use = d.drop_box_use
         WHERE e.casino_id = c_id AND e.id = ANY (ids) AND e.category = 'COUNT_OVERDUE');
    WHEN 'count' THEN RETURN ARRAY(
        SELECT d.session_id FROM table_drop_event AS d WHERE d.casino_id = c_id AND d.id = ANY (ids)
        UNION
        SELECT x.session_id FROM table_drop_event AS d JOIN table_slip AS x
            ON x.casino_id = c_id AND x.drop_box_id = d.drop_box_id AND x.drop_box_use = d.drop_box_use
         WHERE d.casino_id = c_id AND d.id = ANY (ids)
        UNION
        SELECT x.session_id FROM papers_elsewhere(c_id, ids, papers) AS x
        UNION
        -- A recount may withdraw what an earlier count said of a stray: its session hears of that.
        SELECT (item->>'session_id')::uuid FROM soft_count_table_result AS n
          JOIN table_drop_event AS d ON d.casino_id = c_id AND d.id = ANY (ids) AND n.session_id = d.session_id AND n.drop_event_id = d.id
         CROSS JOIN LATERAL jsonb_array_elements(n.manifest) AS item
         WHERE n.casino_id = c_id AND item->>'session_id' IS NOT NULL);
    ELSE RETURN '{}';
    END CASE;
END $$;

-- The casino's slips with the numbers found in boxes: matched by kind and by the scope of the drop's own day (domain §6).
CREATE FUNCTION papers_elsewhere(c_id uuid, drop_ids uuid[], papers jsonb) RETURNS SETOF table_slip LANGUAGE sql STABLE AS $$
    SELECT DISTINCT ON (x.id) x.*
      FROM jsonb_to_recordset(papers) AS paper (kind text, slip_no bigint)
     CROSS JOIN LATERAL (
            SELECT DISTINCT key FROM table_drop_event AS d
              JOIN table_inventory_session AS s ON s.casino_id = c_id AND s.id = d.session_id
             CROSS JOIN LATERAL (VALUES ('gaming_day', d.gaming_day::text), ('gaming_day', s.gaming_day::text),
                                        ('calendar_year', to_char(d.gaming_day, 'YYYY')), ('calendar_year', to_char(s.gaming_day, 'YYYY'))) AS key (scope, scope_key)
             WHERE d.casino_id = c_id AND d.id = ANY (drop_ids)) AS known
      JOIN table_slip AS x
        ON x.casino_id = c_id AND x.kind = paper.kind AND x.slip_no = paper.slip_no
       AND x.slip_scope = (known.key).scope AND x.scope_key = (known.key).scope_key
     ORDER BY x.id
$$;

-- The next number of a series. The counter's row lock is held to the end of the command: that is what leaves no gap.
CREATE FUNCTION take_slip_numbers(c casino, p_kind text, p_at timestamptz, how_many bigint) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    day CONSTANT date := gaming_day(p_at, c.timezone, c.gaming_day_start);
    series CONSTANT text := CASE c.slip_scope WHEN 'gaming_day' THEN day::text ELSE to_char(day, 'YYYY') END;
    taken bigint;
BEGIN
    INSERT INTO slip_counter AS n (casino_id, kind, slip_scope, scope_key, last_no)
    VALUES (c.id, p_kind, c.slip_scope, series, how_many)
    ON CONFLICT ON CONSTRAINT slip_counter_pkey DO UPDATE SET last_no = n.last_no + EXCLUDED.last_no
    RETURNING last_no INTO taken;
    RETURN jsonb_build_object('slip_scope', c.slip_scope, 'scope_key', series, 'slip_no', taken);
END $$;

-- Numbers of closed manual ranges that no slip carries and no exception has told yet.
CREATE FUNCTION slip_gaps(c_id uuid, number jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(jsonb_agg(n ORDER BY n), '[]')
      FROM slip_manual_range AS r CROSS JOIN LATERAL generate_series(r.first_no, r.last_no) AS n
     WHERE r.casino_id = c_id AND r.kind = number->>'kind' AND r.slip_scope = number->>'slip_scope' AND r.scope_key = number->>'scope_key'
       AND r.closed_at IS NOT NULL
       AND NOT EXISTS (SELECT FROM table_slip AS x
                        WHERE x.casino_id = c_id AND x.kind = r.kind AND x.slip_scope = r.slip_scope AND x.scope_key = r.scope_key AND x.slip_no = n)
       AND NOT EXISTS (SELECT FROM reconciliation_exception AS e
                        WHERE e.casino_id = c_id AND e.category = 'SLIP_NUMBER_GAP'
                          AND e.subject_id = concat_ws(':', r.kind, r.scope_key, n))
); END $$;

-- Opens a command: see `store/desk.rs` for the shape of what is asked and answered.
--
-- Its plans are made once a connection. Left to itself Postgres takes a list of ids for ten, a plan made for the one that is given for cheaper,
-- and would make it anew with every command, which costs more than all the reading.
CREATE FUNCTION open_desk(ask jsonb, OUT desk jsonb, OUT sheets json) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    caller staff;
    c casino;
    hit jsonb;
    locking CONSTANT boolean := COALESCE((ask->>'lock')::boolean, false);
    at CONSTANT timestamptz := (ask->>'at')::timestamptz;
    kind CONSTANT text := ask->>'kind';
    ids CONSTANT uuid[] := ARRAY(SELECT jsonb_array_elements_text(ask->'ids')::uuid);
    boxes CONSTANT uuid[] := ARRAY(SELECT jsonb_array_elements_text(ask->'boxes')::uuid);
    named CONSTANT uuid[] := ARRAY(SELECT jsonb_array_elements_text(ask->'staff')::uuid);
    signing CONSTANT uuid[] := ARRAY(SELECT jsonb_array_elements_text(ask->'cosigners')::uuid);
    numbered CONSTANT text[] := ARRAY(SELECT jsonb_array_elements_text(ask->'employee_nos'));
    papers CONSTANT jsonb := COALESCE(ask->'papers', '[]');
    sessions uuid[];
    tables uuid[];
    standing uuid[];
BEGIN
    PERFORM set_config('application_name', ask->>'correlation_id', true);
    -- A job does what it does while its lease is its own.
    IF ask ? 'lease' THEN
        PERFORM clock_hold(ask->'lease');
    END IF;
    IF ask->>'system_of' IS NOT NULL THEN
        -- A job: the daemon's own row of that casino. No request can ask for this.
        PERFORM set_config('app.casino_id', ask->>'system_of', true);
        SELECT * INTO caller FROM staff AS s WHERE s.casino_id = (ask->>'system_of')::uuid AND s.role = 'system' AND s.status = 'active';
    ELSE
        PERFORM set_config('app.subject', ask->>'subject', true);
        SELECT * INTO caller FROM staff AS s WHERE s.external_subject = ask->>'subject' AND s.status = 'active';
    END IF;
    IF NOT FOUND THEN
        desk := '{}';
        RETURN;
    END IF;
    PERFORM set_rls_context_from_staff(caller.id);
    SELECT * INTO c FROM casino WHERE id = caller.casino_id;
    desk := jsonb_build_object('caller', person(caller), 'casino', to_jsonb(c));

    -- The same key waits here until the first command is done, then repeats its answer: before any state is looked at.
    IF ask->>'key' IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(c.id::text || ':' || (ask->>'key'), 0));
        SELECT first_answer(k) INTO hit FROM idempotency_key AS k WHERE k.casino_id = c.id AND k.key = ask->>'key';
        IF FOUND THEN
            desk := desk || jsonb_build_object('replay', hit);
            RETURN;
        END IF;
    END IF;
    -- A slip's request_id is its own idempotency key, for ever.
    IF ask->>'request_id' IS NOT NULL THEN
        IF locking THEN
            PERFORM pg_advisory_xact_lock(hashtextextended(c.id::text || ':slip:' || (ask->>'request_id'), 0));
        END IF;
        SELECT to_jsonb(x) INTO hit FROM table_slip AS x WHERE x.casino_id = c.id AND x.request_id = ask->>'request_id';
        IF FOUND THEN
            desk := desk || jsonb_build_object('requested_slip', hit);
        END IF;
    END IF;

    IF kind = 'table' THEN
        IF locking THEN
            PERFORM FROM gaming_table WHERE casino_id = c.id AND id = ids[1] FOR NO KEY UPDATE;
        END IF;
        sheets := sheets_of_table(c, ids[1], boxes, at);
    ELSIF kind IS NOT NULL THEN
        sessions := sessions_of(c.id, kind, ids, papers);
        IF locking THEN
            -- What a locked row says is what the lock waited for.
            SELECT array_agg(locked.table_id), array_agg(locked.drop_box_id) INTO tables, standing FROM (
                SELECT s.table_id, s.drop_box_id FROM table_inventory_session AS s
                 WHERE s.casino_id = c.id AND s.id = ANY (sessions) ORDER BY s.id FOR NO KEY UPDATE) AS locked;
            -- While this command waited for the locks, a rollover may have carried the slip into the next session.
            IF kind IN ('slip', 'count', 'exception') AND NOT (sessions @> sessions_of(c.id, kind, ids, papers)) THEN
                RAISE EXCEPTION 'the slip changed its session' USING ERRCODE = 'serialization_failure';
            END IF;
            -- Two sessions of one table share its boxes: a removal from one, a deposit or an opening of the other, take turns.
            PERFORM FROM drop_box AS b
              WHERE b.casino_id = c.id AND (b.id = ANY (boxes || standing) OR b.on_table_id = ANY (tables))
              ORDER BY b.id FOR NO KEY UPDATE;
        END IF;
        sheets := sheets(c, sessions, boxes, at);
        IF kind = 'count' THEN
            desk := desk || jsonb_build_object(
                'elsewhere', COALESCE((SELECT jsonb_agg(to_jsonb(x)) FROM papers_elsewhere(c.id, ids, papers) AS x), '[]'));
        END IF;
    END IF;

    IF ask->>'number_for' IS NOT NULL AND locking THEN
        SELECT take_slip_numbers(c, x.kind, at, 1) || jsonb_build_object('kind', x.kind) INTO hit
          FROM table_slip AS x WHERE x.casino_id = c.id AND x.id = (ask->>'number_for')::uuid;
        hit := hit || jsonb_build_object('gaps', slip_gaps(c.id, hit));
        desk := desk || jsonb_build_object('number', hit);
    END IF;
    IF ask->'manual' IS NOT NULL THEN
        IF locking THEN
            -- A range is not closed while a number of it is being entered.
            PERFORM FROM slip_manual_range AS r WHERE r.casino_id = c.id AND r.kind = ask->'manual'->>'kind'
                AND (ask->'manual'->>'slip_no')::bigint BETWEEN r.first_no AND r.last_no ORDER BY r.id FOR SHARE;
        END IF;
        desk := desk || jsonb_build_object(
            'ranges', COALESCE((SELECT jsonb_agg(to_jsonb(r)) FROM slip_manual_range AS r
                                 WHERE r.casino_id = c.id AND r.kind = ask->'manual'->>'kind'
                                   AND (ask->'manual'->>'slip_no')::bigint BETWEEN r.first_no AND r.last_no
                                   AND (ask->'manual'->>'scope_key' IS NULL OR r.scope_key = ask->'manual'->>'scope_key')), '[]'),
            'numbers_taken', COALESCE((SELECT jsonb_agg(x.scope_key) FROM table_slip AS x
                                        WHERE x.casino_id = c.id AND x.kind = ask->'manual'->>'kind'
                                          AND x.slip_no = (ask->'manual'->>'slip_no')::bigint), '[]'));
    END IF;
    -- Shifts come after sessions and boxes in the order of locks.
    IF ask ? 'shift' THEN
        desk := desk || shifts_on_desk(c.id, at, ask->'shift', sessions, locking);
    END IF;
    IF cardinality(signing) > 0 THEN
        -- A co-signer's row is locked: guesses at one PIN are judged one after another, whatever the number of callers.
        IF locking THEN
            PERFORM FROM staff WHERE casino_id = c.id AND id = ANY (signing) ORDER BY id FOR NO KEY UPDATE;
        END IF;
        desk := desk || jsonb_build_object(
            'cosigners', COALESCE((SELECT jsonb_agg(jsonb_build_object('id', s.id, 'pin_hash', s.pin_hash, 'failed_pins', s.failed_pins,
                                                                       'pin_locked_until', s.pin_locked_until))
                                     FROM staff AS s WHERE s.casino_id = c.id AND s.id = ANY (signing)), '[]'));
    END IF;
    IF cardinality(named || signing) > 0 OR cardinality(numbered) > 0 THEN
        desk := desk || jsonb_build_object(
            'people', COALESCE((SELECT jsonb_agg(person(s)) FROM staff AS s WHERE s.casino_id = c.id
                                    AND (s.id = ANY (named || signing) OR s.employee_no = ANY (numbered))), '[]'));
    END IF;
END $$;

-- Opens the desks of several commands of one casino at once, for those that need nothing but a session (`engine/together.rs`). A lock that is somebody
-- else's is left alone, and the command that needs it goes by itself: a transaction of many must wait for nobody, or all of them would wait.
--   answer: casino; callers, by subject; keys and boxes whose locks were granted; replays. Who may take a seat is for the reader to say.
CREATE FUNCTION open_desks(asks jsonb, OUT desks jsonb, OUT sheets json) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    caller staff;
    c casino;
    at CONSTANT timestamptz := (asks->0->>'at')::timestamptz;
    boxes CONSTANT uuid[] := ARRAY(SELECT box::uuid FROM jsonb_array_elements(asks) AS ask, jsonb_array_elements_text(ask->'boxes') AS box);
    keys text[];
    about record;
    wanted uuid[] := '{}';
    sessions uuid[];
    tables uuid[];
    standing uuid[];
    free uuid[];
BEGIN
    -- What can still be waited for is a counter of a table's facts (m0010), held by who logs a buy-in. Less than Postgres takes to look for a deadlock:
    -- it is always this transaction that gives way, and its commands go by themselves.
    PERFORM set_config('lock_timeout', '200ms', true);
    PERFORM set_config('application_name', asks->0->>'correlation_id', true), set_config('app.subject', asks->0->>'subject', true);
    SELECT * INTO caller FROM staff AS s WHERE s.external_subject = asks->0->>'subject' AND s.status = 'active';
    IF NOT FOUND THEN
        desks := '{}';
        RETURN;
    END IF;
    PERFORM set_rls_context_from_staff(caller.id);
    SELECT * INTO c FROM casino WHERE id = caller.casino_id;
    keys := ARRAY(SELECT ask->>'key' FROM jsonb_array_elements(asks) AS ask
                   WHERE ask ? 'key' AND pg_try_advisory_xact_lock(hashtextextended(c.id::text || ':' || (ask->>'key'), 0)));
    FOR about IN SELECT ask->>'kind' AS kind, array_agg(id::uuid) AS ids
                   FROM jsonb_array_elements(asks) AS ask, jsonb_array_elements_text(ask->'ids') AS id GROUP BY ask->>'kind'
    LOOP
        wanted := wanted || sessions_of(c.id, about.kind, about.ids, '[]');
    END LOOP;
    SELECT array_agg(locked.id), array_agg(locked.table_id), array_agg(locked.drop_box_id) INTO sessions, tables, standing FROM (
        SELECT s.id, s.table_id, s.drop_box_id FROM table_inventory_session AS s
         WHERE s.casino_id = c.id AND s.id = ANY (wanted) ORDER BY s.id FOR NO KEY UPDATE SKIP LOCKED) AS locked;
    free := ARRAY(SELECT b.id FROM drop_box AS b
                   WHERE b.casino_id = c.id AND (b.id = ANY (boxes || standing) OR b.on_table_id = ANY (tables))
                   ORDER BY b.id FOR NO KEY UPDATE SKIP LOCKED);
    sheets := sheets(c, sessions, boxes, at);
    desks := jsonb_build_object(
        'casino', to_jsonb(c),
        'callers', (SELECT jsonb_object_agg(s.external_subject, person(s)) FROM staff AS s
                     WHERE s.casino_id = c.id AND s.status = 'active'
                       AND s.external_subject = ANY (ARRAY(SELECT ask->>'subject' FROM jsonb_array_elements(asks) AS ask))),
        'keys', to_jsonb(keys),
        'boxes', to_jsonb(free),
        'replays', (SELECT jsonb_object_agg(k.key, first_answer(k)) FROM idempotency_key AS k WHERE k.casino_id = c.id AND k.key = ANY (keys)));
END $$;

-- Says that a row was not as the command had seen it: the engine reads again and judges anew.
CREATE FUNCTION expect_rows(written bigint, rows jsonb, relation text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF written <> jsonb_array_length(rows) THEN
        RAISE EXCEPTION '% changed since it was read', relation USING ERRCODE = 'serialization_failure';
    END IF;
END $$;

-- What is written between a session's row and the account of its moves. Of these tables most commands write one or none.
CREATE FUNCTION put_facts(ins jsonb, upd jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    rows jsonb;
    written bigint;
BEGIN
    rows := upd->'drop_box';
    IF rows IS NOT NULL THEN
        -- One statement: the box that goes and the box that comes change places at once, and the constraint looks afterwards.
        UPDATE drop_box AS t SET on_table_id = r.on_table_id, use_no = r.use_no, version = r.version
          FROM jsonb_populate_recordset(NULL::drop_box, rows) AS r WHERE t.id = r.id AND t.version = r.version - 1;
        GET DIAGNOSTICS written = ROW_COUNT;
        PERFORM expect_rows(written, rows, 'drop box');
    END IF;
    IF ins ? 'table_inventory_session' THEN
        INSERT INTO table_inventory_session SELECT * FROM jsonb_populate_recordset(NULL::table_inventory_session, ins->'table_inventory_session');
    END IF;
    IF ins ? 'table_inventory_snapshot' THEN
        INSERT INTO table_inventory_snapshot SELECT * FROM jsonb_populate_recordset(NULL::table_inventory_snapshot, ins->'table_inventory_snapshot');
    END IF;
    rows := upd->'table_inventory_snapshot';
    IF rows IS NOT NULL THEN
        UPDATE table_inventory_snapshot AS t SET verified_by = r.verified_by, verified_at = r.verified_at
          FROM jsonb_populate_recordset(NULL::table_inventory_snapshot, rows) AS r WHERE t.id = r.id;
    END IF;
    IF ins ? 'table_slip' THEN
        INSERT INTO table_slip SELECT * FROM jsonb_populate_recordset(NULL::table_slip, ins->'table_slip');
    END IF;
    rows := upd->'table_slip';
    IF rows IS NOT NULL THEN
        UPDATE table_slip AS t SET
            session_id = r.session_id, status = r.status, slip_scope = r.slip_scope, scope_key = r.scope_key, slip_no = r.slip_no,
            issued_by = r.issued_by, issued_at = r.issued_at, runner_id = r.runner_id, dealer_id = r.dealer_id, verified_by = r.verified_by,
            verified_at = r.verified_at, confirmed_chipset = r.confirmed_chipset, confirmed_amount_cents = r.confirmed_amount_cents,
            confirmed_note = r.confirmed_note, cage_received_by = r.cage_received_by, cage_received_at = r.cage_received_at,
            cage_amount_cents = r.cage_amount_cents, deposited_by = r.deposited_by, deposited_at = r.deposited_at,
            drop_box_id = r.drop_box_id, drop_box_use = r.drop_box_use, voided_by = r.voided_by, voided_at = r.voided_at,
            void_cosigned_by = r.void_cosigned_by, void_reason = r.void_reason, voided_from = r.voided_from,
            cancelled_by = r.cancelled_by, cancelled_at = r.cancelled_at, cancel_reason = r.cancel_reason, version = r.version
          FROM jsonb_populate_recordset(NULL::table_slip, rows) AS r
         WHERE t.id = r.id AND t.version = r.version - 1;
        GET DIAGNOSTICS written = ROW_COUNT;
        PERFORM expect_rows(written, rows, 'slip');
    END IF;
    IF ins ? 'table_drop_event' THEN
        INSERT INTO table_drop_event SELECT * FROM jsonb_populate_recordset(NULL::table_drop_event, ins->'table_drop_event');
    END IF;
    rows := upd->'table_drop_event';
    IF rows IS NOT NULL THEN
        UPDATE table_drop_event AS t SET
            delivered_at = r.delivered_at, delivered_by = r.delivered_by, delivered_scan_at = r.delivered_scan_at,
            received_at = r.received_at, received_by = r.received_by, received_seal_no = r.received_seal_no, counted_at = r.counted_at
          FROM jsonb_populate_recordset(NULL::table_drop_event, rows) AS r WHERE t.id = r.id;
    END IF;
    IF ins ? 'soft_count_table_result' THEN
        INSERT INTO soft_count_table_result SELECT * FROM jsonb_populate_recordset(NULL::soft_count_table_result, ins->'soft_count_table_result');
    END IF;
    IF ins ? 'reconciliation_exception' THEN
        INSERT INTO reconciliation_exception SELECT * FROM jsonb_populate_recordset(NULL::reconciliation_exception, ins->'reconciliation_exception');
    END IF;
    rows := upd->'reconciliation_exception';
    IF rows IS NOT NULL THEN
        UPDATE reconciliation_exception AS t SET
            expected = r.expected, found = r.found, variance_cents = r.variance_cents, detail = r.detail, status = r.status, owner = r.owner,
            reason_code = r.reason_code, resolution_note = r.resolution_note, acknowledged_by = r.acknowledged_by,
            acknowledged_at = r.acknowledged_at, resolved_by = r.resolved_by, resolved_at = r.resolved_at,
            no_longer_observed_at = r.no_longer_observed_at, version = r.version
          FROM jsonb_populate_recordset(NULL::reconciliation_exception, rows) AS r WHERE t.id = r.id AND t.version < r.version;
        GET DIAGNOSTICS written = ROW_COUNT;
        PERFORM expect_rows(written, rows, 'exception');
    END IF;
    IF ins ? 'table_rundown_report' THEN
        INSERT INTO table_rundown_report SELECT * FROM jsonb_populate_recordset(NULL::table_rundown_report, ins->'table_rundown_report');
    END IF;
    rows := upd->'table_rundown_report';
    IF rows IS NOT NULL THEN
        UPDATE table_rundown_report AS t SET
            opening_total_cents = r.opening_total_cents, opening_snapshot_id = r.opening_snapshot_id, opening_source = r.opening_source,
            closing_total_cents = r.closing_total_cents, closing_snapshot_id = r.closing_snapshot_id,
            fills_total_cents = r.fills_total_cents, fill_ids = r.fill_ids, credits_total_cents = r.credits_total_cents,
            credit_ids = r.credit_ids, inventory_result_cents = r.inventory_result_cents, drop_total_cents = r.drop_total_cents,
            soft_count_ids = r.soft_count_ids, win_loss_stat_cents = r.win_loss_stat_cents, hold_bp = r.hold_bp,
            missing_inputs = r.missing_inputs, metric_grade = r.metric_grade, par_variance_cents = r.par_variance_cents,
            count_status = r.count_status, computed_at = r.computed_at, input_hash = r.input_hash,
            finalized_at = r.finalized_at, finalized_by = r.finalized_by
          FROM jsonb_populate_recordset(NULL::table_rundown_report, rows) AS r WHERE t.id = r.id;
    END IF;
    IF ins ? 'shift_rundown_summary' OR upd ? 'shift_rundown_summary' THEN
        PERFORM put_shift_summary(ins->'shift_rundown_summary', upd->'shift_rundown_summary');
    END IF;
END $$;

-- Writes judged commands: rows by table, the audit rows, the events, the answers under their keys.
CREATE FUNCTION put_changes(changes jsonb) RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    ins CONSTANT jsonb := COALESCE(changes->'insert', '{}');
    upd CONSTANT jsonb := COALESCE(changes->'update', '{}');
    rows jsonb;
    written bigint;
BEGIN
    -- First, while the rows still say which cells their sessions were in.
    PERFORM mark_rollups(changes);
    rows := upd->'table_inventory_session';
    IF rows IS NOT NULL THEN
        UPDATE table_inventory_session AS t SET
            gaming_day = r.gaming_day, shift_id = r.shift_id, status = r.status, bank_mode = r.bank_mode, need_total_cents = r.need_total_cents,
            opening_snapshot_id = r.opening_snapshot_id, closing_snapshot_id = r.closing_snapshot_id, drop_box_id = r.drop_box_id,
            drop_scheduled_for = r.drop_scheduled_for, scheduled_from = r.scheduled_from, dropped_through_seq = r.dropped_through_seq,
            opened_at = r.opened_at, opened_by = r.opened_by, activated_at = r.activated_at, activated_by = r.activated_by,
            dropped_at = r.dropped_at, counted_at = r.counted_at, closing_started_at = r.closing_started_at,
            closing_started_by = r.closing_started_by, closed_at = r.closed_at, closed_by = r.closed_by, close_reason = r.close_reason,
            close_note = r.close_note, requires_reconciliation = r.requires_reconciliation, reconciled_at = r.reconciled_at,
            finalized_at = r.finalized_at, finalized_by = r.finalized_by, version = r.version
          FROM jsonb_populate_recordset(NULL::table_inventory_session, rows) AS r
         WHERE t.id = r.id AND t.version = r.version - 1;
        GET DIAGNOSTICS written = ROW_COUNT;
        PERFORM expect_rows(written, rows, 'session');
    END IF;
    -- One question instead of fifteen: an expression costs a command a few microseconds, whatever it asks.
    IF ins - '{session_transition,signature}'::text[] <> '{}' OR upd - 'table_inventory_session' <> '{}' THEN
        PERFORM put_facts(ins, upd);
    END IF;
    IF ins ? 'session_transition' THEN
        INSERT INTO session_transition SELECT * FROM jsonb_populate_recordset(NULL::session_transition, ins->'session_transition');
    END IF;
    IF ins ? 'signature' THEN
        INSERT INTO signature SELECT * FROM jsonb_populate_recordset(NULL::signature, ins->'signature');
    END IF;

    IF changes ? 'audit' THEN
        INSERT INTO audit_log SELECT * FROM jsonb_populate_recordset(NULL::audit_log, changes->'audit');
    END IF;
    IF changes ? 'outbox' THEN
        INSERT INTO outbox (id, casino_id, event, aggregate_id, channels, payload, correlation_id, created_at)
        SELECT r.id, r.casino_id, r.event, r.aggregate_id, r.channels, r.payload, r.correlation_id, r.created_at
          FROM ROWS FROM (jsonb_to_recordset(changes->'outbox') AS (id uuid, casino_id uuid, event text, aggregate_id uuid, channels text[],
                                                                    payload jsonb, correlation_id text, created_at timestamptz)) WITH ORDINALITY AS r
         ORDER BY r.ordinality;
    END IF;
    IF changes ? 'answers' THEN
        INSERT INTO idempotency_key (casino_id, key, request_hash, status, answer, etag, created_at)
        SELECT r.casino_id, r.key, decode(r.request_hash, 'hex'), r.status, decode(r.answer, 'base64'), r.etag, r.created_at
          FROM jsonb_to_recordset(changes->'answers') AS r (casino_id uuid, key text, request_hash text, status int, answer text,
                                                             etag text, created_at timestamptz);
    END IF;
    IF changes ? 'proved' THEN
        UPDATE staff SET failed_pins = 0, pin_locked_until = NULL
         WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text(changes->'proved')::uuid)) AND failed_pins > 0;
    END IF;
END $$;

-- A wrong PIN counts, and the fifth locks: the only write of the transaction that refused (domain §3).
CREATE FUNCTION count_wrong_pin(cosigner uuid, limit_of int, locked_until timestamptz) RETURNS timestamptz LANGUAGE sql AS $$
    UPDATE staff AS s SET
        failed_pins = CASE WHEN s.failed_pins + 1 >= limit_of THEN 0 ELSE s.failed_pins + 1 END,
        pin_locked_until = CASE WHEN s.failed_pins + 1 >= limit_of THEN locked_until ELSE s.pin_locked_until END
     WHERE s.id = cosigner
    RETURNING s.pin_locked_until
$$;
