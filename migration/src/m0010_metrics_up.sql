-- Window metrics (domain §10): what the law needs to know of every table around a window, found in one statement, and a stamp that says
-- whether anything could have changed since somebody last asked. Which count opens a window, and what a table won, is not decided here.

-- ---------------------------------------------------------------------------------------------------------------------
-- The stamp. One counter a table: it rises in the transaction of every fact that a figure of the table could be made of. The row's lock is
-- what makes it safe: two facts of one table take turns, so no commit can slip in under a number that somebody has already read, as it could
-- with the largest id or the latest time. Facts of different tables meet only in transactions of several commands, which give way (open_desks).

CREATE TABLE metric_stamp (
    casino_id uuid NOT NULL,
    table_id uuid NOT NULL,
    changes bigint NOT NULL CHECK (changes >= 1),
    PRIMARY KEY (casino_id, table_id),
    FOREIGN KEY (casino_id, table_id) REFERENCES gaming_table (casino_id, id)
    -- Rewritten in its page with every fact, and read as a whole: half of each page is left for that.
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

SELECT fence('metric_stamp');
-- A counter deleted would begin again, and pass through numbers that somebody holds.
SELECT never_deleted('metric_stamp');
GRANT SELECT, INSERT, UPDATE (changes) ON metric_stamp TO rundown_app;

-- In the order of ids: two transactions that touch the same tables wait for each other and never both.
CREATE FUNCTION stamp_tables() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO metric_stamp AS m (casino_id, table_id, changes)
    SELECT DISTINCT w.casino_id, w.table_id, 1 FROM written AS w ORDER BY w.table_id
    ON CONFLICT ON CONSTRAINT metric_stamp_pkey DO UPDATE SET changes = m.changes + 1;
    RETURN NULL;
END $$;

CREATE FUNCTION stamp_the_table() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO metric_stamp AS m (casino_id, table_id, changes) VALUES (NEW.casino_id, NEW.id, 1)
    ON CONFLICT ON CONSTRAINT metric_stamp_pkey DO UPDATE SET changes = m.changes + 1;
    RETURN NULL;
END $$;

-- Every fact of a session marks its rollup cells, in its own transaction: whatever marks, stamps.
CREATE TRIGGER stamp AFTER INSERT ON rollup_mark REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION stamp_tables();
-- What is no session's: buy-ins (and through the bridge finance's), rated play, par, and the table itself.
CREATE TRIGGER stamp AFTER INSERT ON table_buyin_telemetry REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION stamp_tables();
CREATE TRIGGER stamp AFTER INSERT ON rating_slip REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION stamp_tables();
CREATE TRIGGER stamp AFTER INSERT ON table_par REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION stamp_tables();
CREATE TRIGGER stamp AFTER INSERT OR UPDATE ON gaming_table FOR EACH ROW EXECUTE FUNCTION stamp_the_table();

-- ---------------------------------------------------------------------------------------------------------------------
-- How much of a pit has to log its unrated buy-ins before the pit vouches for a table that logs none: `workflows/src/coverage.rs` judges by it.

ALTER TABLE casino ADD COLUMN pit_grind_share_bp int NOT NULL DEFAULT 8000 CHECK (pit_grind_share_bp BETWEEN 1 AND 10000);
GRANT UPDATE (pit_grind_share_bp) ON casino TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Reading. What it costs follows the window: each step enters an index by table and time, or by session.

-- The sessions of a table as time goes. The moment of creation never changes, so the index costs a running session nothing.
CREATE INDEX session_of_table_by_time ON table_inventory_session (casino_id, table_id, created_at);
-- Are finance's rated buy-ins all carried over? Two counts answer it, and only where they differ is it asked which are not.
CREATE INDEX financial_transaction_rated ON player_financial_transaction (casino_id, occurred_at)
    WHERE direction = 'in' AND rating_slip_id IS NOT NULL;
CREATE INDEX buyin_bridged ON table_buyin_telemetry (casino_id, occurred_at) WHERE source = 'finance_bridge';

-- The stamp of a casino, and the shift asked about.
CREATE FUNCTION window_stamp(c_id uuid, p_shift_id uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'changes', (SELECT COALESCE(sum(m.changes), 0) FROM metric_stamp AS m WHERE m.casino_id = c_id),
        'shift', (SELECT jsonb_build_object('starts_at', h.starts_at, 'ends_at', h.ends_at, 'gaming_day', h.gaming_day)
                    FROM shift AS h WHERE h.casino_id = c_id AND h.id = p_shift_id))
$$;

-- Every table around a window: see `workflows/src/metrics.rs` for the shapes. `p_shift_id` or `p_day` names the window's own sessions, neither
-- means hours that were asked for. `p_reach`: how far outside its hours a window looks for its own sessions' counts.
--
-- Slips and buy-ins are summed between the table's counts, all of them: whichever two the law takes, its flows are a run of these sums.
--
-- OFFSET 0 keeps a lookup a lookup: without it the planner, which cannot know how few sessions a window has, would rather read a whole table
-- and hash it, and the cost would follow history. plpgsql, because it keeps the plan: making it takes as long as a small window.
CREATE FUNCTION window_facts(c_id uuid, p_shift_id uuid, p_day date, p_first_day date, p_from timestamptz, p_to timestamptz, p_reach interval)
RETURNS json LANGUAGE plpgsql STABLE AS $$
DECLARE
    -- Where the window has sessions of its own, others may lie between their counts: those are looked for as far as the window reaches.
    reach CONSTANT interval := CASE WHEN p_shift_id IS NULL AND p_day IS NULL THEN interval '0' ELSE p_reach END;
BEGIN
    RETURN (WITH seat AS MATERIALIZED (
        SELECT t.id, t.label, t.pit, t.status = 'active' AS in_service
          FROM gaming_table AS t WHERE t.casino_id = c_id
    ), own AS MATERIALIZED (
        SELECT x.id, x.table_id, x.created_at, x.status, x.opened_at, x.closed_at
          FROM table_inventory_session AS x
         WHERE x.casino_id = c_id AND x.gaming_day = p_day AND x.close_reason IS DISTINCT FROM 'cancelled'
        UNION ALL
        SELECT x.id, x.table_id, x.created_at, x.status, x.opened_at, x.closed_at
          FROM table_inventory_session AS x
         WHERE x.casino_id = c_id AND x.shift_id = p_shift_id AND x.close_reason IS DISTINCT FROM 'cancelled'
    ), own_verified AS MATERIALIZED (
        SELECT own.table_id, n.*
          FROM own CROSS JOIN LATERAL (
            SELECT x.id, x.session_id, x.kind, x.total_cents, x.counted_at, x.created_at, x.supersedes_id FROM table_inventory_snapshot AS x
             WHERE x.casino_id = c_id AND x.session_id = own.id AND x.verified_at IS NOT NULL OFFSET 0) AS n
    ), own_edge AS (
        SELECT v.table_id, min(v.counted_at) FILTER (WHERE v.counted_at >= p_from - p_reach) AS first,
               max(v.counted_at) FILTER (WHERE v.counted_at < p_to + p_reach) AS last,
               bool_or(v.kind = 'open' AND v.counted_at >= p_from - p_reach AND v.counted_at < p_to + p_reach) AS opens
          FROM own_verified AS v WHERE NOT EXISTS (SELECT FROM own_verified AS later WHERE later.supersedes_id = v.id)
         GROUP BY v.table_id
    ), view AS MATERIALIZED (
        -- How far other sessions have to be looked for. Where an opener of the window's own begins it, whatever ended before is no matter.
        SELECT seat.id AS table_id, edge.first AS first_own, edge.last AS last_own, COALESCE(edge.opens, false) AS opens,
               CASE WHEN edge.opens THEN LEAST(p_from, edge.first) ELSE p_from - reach END AS since,
               GREATEST(p_to, edge.last) AS until
          FROM seat LEFT JOIN own_edge AS edge ON edge.table_id = seat.id
    ), other AS MATERIALIZED (
        SELECT s.* FROM (
            SELECT x.* FROM view CROSS JOIN LATERAL (
                SELECT y.id, y.table_id, y.created_at, y.status, y.opened_at, y.closed_at FROM table_inventory_session AS y
                 WHERE y.casino_id = c_id AND y.table_id = view.table_id AND y.created_at >= view.since AND y.created_at < view.until
                   AND y.close_reason IS DISTINCT FROM 'cancelled' OFFSET 0) AS x
            UNION ALL
            -- Of the sessions before, at most one is in play and at most one more has not been opened: the last count lies in these three.
            SELECT x.* FROM view CROSS JOIN LATERAL (
                SELECT y.id, y.table_id, y.created_at, y.status, y.opened_at, y.closed_at FROM table_inventory_session AS y
                 WHERE y.casino_id = c_id AND y.table_id = view.table_id AND y.created_at < view.since AND y.close_reason IS DISTINCT FROM 'cancelled'
                 ORDER BY y.created_at DESC LIMIT 3) AS x
             WHERE NOT view.opens OR x.closed_at IS NULL OR x.closed_at >= view.since) AS s
         WHERE NOT EXISTS (SELECT FROM own WHERE own.id = s.id)
    ), found AS MATERIALIZED (
        SELECT own.*, true AS own FROM own UNION ALL SELECT other.*, false FROM other
    ), verified AS MATERIALIZED (
        SELECT v.*, true AS own FROM own_verified AS v
        UNION ALL
        SELECT other.table_id, n.*, false
          FROM other CROSS JOIN LATERAL (
            SELECT x.id, x.session_id, x.kind, x.total_cents, x.counted_at, x.created_at, x.supersedes_id FROM table_inventory_snapshot AS x
             WHERE x.casino_id = c_id AND x.session_id = other.id AND x.verified_at IS NOT NULL OFFSET 0) AS n
    ), counted AS MATERIALIZED (
        SELECT v.* FROM verified AS v WHERE NOT EXISTS (SELECT FROM verified AS later WHERE later.supersedes_id = v.id)
    ), span AS MATERIALIZED (
        -- A count before the window is looked back to only where it may be one end of an interval: a later one is the other end, and no
        -- opener of the window's own is better.
        SELECT view.table_id, edge.prior,
               LEAST(p_from, view.first_own, CASE WHEN edge.closes AND NOT view.opens THEN edge.prior END) AS since,
               view.until,
               ARRAY(SELECT moment FROM unnest(edge.moments || ARRAY[p_from, p_to]) AS moment GROUP BY moment ORDER BY moment) AS cuts
          FROM view LEFT JOIN (
            SELECT n.table_id, array_agg(n.counted_at) AS moments, max(n.counted_at) FILTER (WHERE n.counted_at <= p_from) AS prior,
                   bool_or(n.counted_at > p_from AND (n.own OR n.counted_at < p_to)) AS closes
              FROM counted AS n GROUP BY n.table_id) AS edge ON edge.table_id = view.table_id
    ), near AS MATERIALIZED (
        -- Sessions of which something may lie between two counts of the window.
        SELECT found.*, span.cuts FROM found JOIN span USING (table_id)
         WHERE found.own OR (found.created_at < span.until AND (found.closed_at IS NULL OR found.closed_at >= span.since))
    ), slip AS (
        SELECT near.table_id, json_agg(json_build_object(
                   'session_id', near.id, 'since', near.cuts[x.cut], 'fills_cents', x.fills, 'credits_cents', x.credits)) AS flows
          FROM near CROSS JOIN LATERAL (
            SELECT width_bucket(y.verified_at, near.cuts) AS cut,
                   COALESCE(sum(y.confirmed_amount_cents) FILTER (WHERE y.kind = 'fill'), 0) AS fills,
                   COALESCE(sum(y.confirmed_amount_cents) FILTER (WHERE y.kind = 'credit'), 0) AS credits
              FROM table_slip AS y
             WHERE y.casino_id = c_id AND y.session_id = near.id AND y.status IN ('VERIFIED_AT_TABLE', 'DEPOSITED_IN_DROPBOX')
             GROUP BY 1) AS x
         GROUP BY near.table_id
    ), carried AS MATERIALIZED (
        -- Two days back at most: what a transaction of long ago has become is not this window's question.
        SELECT (SELECT count(*) FROM player_financial_transaction AS t
                 WHERE t.casino_id = c_id AND t.direction = 'in' AND t.rating_slip_id IS NOT NULL
                   AND t.occurred_at >= whole.since AND t.occurred_at < whole.until)
             = (SELECT count(*) FROM table_buyin_telemetry AS b
                 WHERE b.casino_id = c_id AND b.source = 'finance_bridge' AND b.occurred_at >= whole.since AND b.occurred_at < whole.until) AS over,
               whole.since, whole.until
          FROM (SELECT GREATEST(min(span.since), p_from - interval '48 hours') AS since, max(span.until) AS until FROM span) AS whole
    ), flow AS (
        SELECT span.table_id, json_build_object(
                   'since', span.cuts[b.cut], 'rated_cents', b.rated, 'grind_cents', b.grind, 'rows', b.rows, 'rated_buyins', b.rated_buyins,
                   'grind_buyins', b.grind_buyins, 'expected_rated_rows', b.bridged) AS said
          FROM span CROSS JOIN LATERAL (
            SELECT width_bucket(y.occurred_at, span.cuts) AS cut,
                   COALESCE(sum(y.amount_cents) FILTER (WHERE y.telemetry_kind IN ('RATED_BUYIN', 'RATED_ADJUSTMENT')), 0) AS rated,
                   COALESCE(sum(y.amount_cents) FILTER (WHERE y.telemetry_kind IN ('GRIND_BUYIN', 'GRIND_ADJUSTMENT')), 0) AS grind,
                   count(*) AS rows,
                   -- A buy-in that was undone has an adjustment of its own, at the same moment. An adjustment that was undone was no buy-in.
                   count(*) FILTER (WHERE y.telemetry_kind = 'RATED_BUYIN')
                       - count(*) FILTER (WHERE y.telemetry_kind = 'RATED_ADJUSTMENT' AND y.idempotency_key LIKE 'undo:%'
                                            AND (SELECT o.telemetry_kind FROM table_buyin_telemetry AS o WHERE o.id = y.reverses_id) = 'RATED_BUYIN')
                       AS rated_buyins,
                   count(*) FILTER (WHERE y.telemetry_kind = 'GRIND_BUYIN')
                       - count(*) FILTER (WHERE y.telemetry_kind = 'GRIND_ADJUSTMENT' AND y.idempotency_key LIKE 'undo:%'
                                            AND (SELECT o.telemetry_kind FROM table_buyin_telemetry AS o WHERE o.id = y.reverses_id) = 'GRIND_BUYIN')
                       AS grind_buyins,
                   count(*) FILTER (WHERE y.source = 'finance_bridge') AS bridged
              FROM table_buyin_telemetry AS y
             WHERE y.casino_id = c_id AND y.table_id = span.table_id AND y.occurred_at >= span.since AND y.occurred_at < span.until
             GROUP BY 1) AS b
        UNION ALL
        SELECT span.table_id, json_build_object('since', span.cuts[r.cut], 'rating_slips', r.begun)
          FROM span CROSS JOIN LATERAL (
            SELECT width_bucket(y.started_at, span.cuts) AS cut, count(*) AS begun FROM rating_slip AS y
             WHERE y.casino_id = c_id AND y.table_id = span.table_id AND y.started_at >= span.since AND y.started_at < span.until
             GROUP BY 1) AS r
        UNION ALL
        SELECT span.table_id, json_build_object('since', span.cuts[width_bucket(t.occurred_at, span.cuts)],
                                                 'expected_rated_rows', count(*), 'missing_rated_rows', count(*))
          FROM (SELECT y.id, y.rating_slip_id, y.occurred_at FROM player_financial_transaction AS y
                 WHERE NOT (SELECT carried.over FROM carried)
                   AND y.casino_id = c_id AND y.direction = 'in' AND y.rating_slip_id IS NOT NULL
                   AND y.occurred_at >= (SELECT carried.since FROM carried) AND y.occurred_at < (SELECT carried.until FROM carried)
                   AND NOT EXISTS (SELECT FROM table_buyin_telemetry AS b WHERE b.casino_id = c_id AND b.idempotency_key = 'pft:' || y.id)
                 OFFSET 0) AS t
         CROSS JOIN LATERAL (SELECT y.table_id FROM rating_slip AS y WHERE y.casino_id = c_id AND y.id = t.rating_slip_id OFFSET 0) AS r
          JOIN span ON span.table_id = r.table_id AND t.occurred_at >= span.since AND t.occurred_at < span.until
         GROUP BY span.table_id, span.cuts[width_bucket(t.occurred_at, span.cuts)]
    ), session AS (
        SELECT found.table_id, json_agg(json_build_object(
                   'id', found.id, 'own', found.own, 'opened_at', found.opened_at, 'closed_at', found.closed_at, 'pit', stood.pit,
                   'finalized', found.status = 'FINALIZED', 'metric_grade', report.metric_grade, 'signed_drop_cents', report.drop_total_cents,
                   'removals', COALESCE(box.removals, 0), 'counted_removals', COALESCE(box.counted, 0), 'counted_cents', box.cents)
               ORDER BY found.created_at, found.id) AS list
          FROM near AS found
          JOIN seat ON seat.id = found.table_id
          LEFT JOIN LATERAL (SELECT r.metric_grade, r.drop_total_cents FROM table_rundown_report AS r
                              WHERE r.casino_id = c_id AND r.session_id = found.id OFFSET 0) AS report ON true
         -- A session older than the memory of pits stands where its table stands.
         CROSS JOIN LATERAL (SELECT CASE WHEN count(*) = 0 THEN seat.pit ELSE max(p.pit) END AS pit
                               FROM session_pit AS p WHERE p.session_id = found.id) AS stood
          LEFT JOIN LATERAL (
            SELECT count(*) AS removals, count(result.cents) AS counted, sum(result.cents) AS cents
              FROM table_drop_event AS d
              LEFT JOIN LATERAL (
                SELECT x.drop_total_cents AS cents FROM soft_count_table_result AS x
                 WHERE x.casino_id = c_id AND x.drop_event_id = d.id AND x.standing = 'accepted'
                   AND NOT EXISTS (SELECT FROM soft_count_table_result AS later WHERE later.casino_id = c_id AND later.supersedes_id = x.id)
                OFFSET 0) AS result ON true
             WHERE d.casino_id = c_id AND d.session_id = found.id AND found.status <> 'FINALIZED') AS box ON true
         GROUP BY found.table_id
    )
    SELECT COALESCE(json_agg(json_build_object(
               'table_id', seat.id, 'table', seat.label, 'pit', seat.pit, 'in_service', seat.in_service,
               'par_cents', (SELECT p.par_cents FROM table_par AS p
                              WHERE p.casino_id = c_id AND p.table_id = seat.id AND p.effective_gaming_day <= p_first_day
                              ORDER BY p.effective_gaming_day DESC, p.id DESC LIMIT 1),
               'sessions', COALESCE(session.list, '[]'),
               'counts', COALESCE(tray.list, '[]'),
               'slips', COALESCE(slip.flows, '[]'),
               'buyins', COALESCE(buyin.flows, '[]'))), '[]')
      FROM seat
      LEFT JOIN session ON session.table_id = seat.id
      LEFT JOIN slip ON slip.table_id = seat.id
      LEFT JOIN (SELECT flow.table_id, json_agg(flow.said) AS flows FROM flow GROUP BY flow.table_id) AS buyin ON buyin.table_id = seat.id
      LEFT JOIN (SELECT n.table_id, json_agg(json_build_object('id', n.id, 'session_id', n.session_id, 'kind', n.kind, 'total_cents', n.total_cents,
                                                                 'counted_at', n.counted_at, 'created_at', n.created_at)) AS list
                   FROM counted AS n JOIN span ON span.table_id = n.table_id
                  WHERE n.session_id IN (SELECT near.id FROM near) OR n.counted_at = span.prior
                  GROUP BY n.table_id) AS tray ON tray.table_id = seat.id);
END $$;
