-- A big floor with its history: `load.tables` tables in ten pits, three shifts a day, `load.days` gaming days that end with `load.last_day`.
-- Every session is FINALIZED but those of the last shift, which are in play. Into the casino `load.casino`, which has people already.
--
-- Each session: opener, a mid-shift count at every third table, closer; a fill and a credit; one box, counted; four rating slips with a buy-in
-- each, known to finance and bridged; four unrated buy-ins at four of five tables. Written past triggers and foreign keys, which would make it
-- slow; checks hold. Visits and players are names only.
SET session_replication_role = replica;
SET synchronous_commit = off;

-- Ids begin with the moment, as they do in life.
CREATE FUNCTION pg_temp.id_at(at timestamptz, what text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(what), 1, 3) || '8' || substr(md5(what), 5, 15))::uuid $$;

CREATE TEMP TABLE someone AS
    SELECT c.id AS casino_id, c.timezone,
           (SELECT id FROM staff WHERE casino_id = c.id AND role = 'pit_boss' ORDER BY employee_no LIMIT 1) AS boss,
           (SELECT id FROM staff WHERE casino_id = c.id AND role = 'pit_boss' ORDER BY employee_no DESC LIMIT 1) AS second,
           (SELECT id FROM staff WHERE casino_id = c.id AND role = 'dealer' ORDER BY employee_no LIMIT 1) AS dealer,
           (SELECT id FROM staff WHERE casino_id = c.id AND role = 'cashier' ORDER BY employee_no LIMIT 1) AS cashier,
           (SELECT id FROM staff WHERE casino_id = c.id AND role = 'security' ORDER BY employee_no LIMIT 1) AS guard,
           (SELECT id FROM staff WHERE casino_id = c.id AND role = 'security' ORDER BY employee_no DESC LIMIT 1) AS witness,
           (SELECT array_agg(id) FROM (SELECT id FROM staff WHERE casino_id = c.id AND role = 'count_team' ORDER BY employee_no LIMIT 3) AS t) AS team,
           (SELECT id FROM staff WHERE casino_id = c.id AND role = 'compliance' ORDER BY employee_no LIMIT 1) AS officer
      FROM casino AS c WHERE c.id = current_setting('load.casino')::uuid;

CREATE TEMP TABLE floor AS
    SELECT n, pg_temp.id_at(timestamptz '2025-01-01', 'table' || n) AS table_id, pg_temp.id_at(timestamptz '2025-01-01', 'box' || n) AS box_id,
           'Pit ' || chr(65 + n % 10) AS pit
      FROM generate_series(1, current_setting('load.tables')::int) AS n;
INSERT INTO gaming_table (id, casino_id, label, type, pit, status, created_at)
    SELECT f.table_id, w.casino_id, 'H-' || lpad(f.n::text, 4, '0'), 'blackjack', f.pit, 'active', '2025-01-01' FROM floor AS f, someone AS w;
INSERT INTO metric_stamp SELECT w.casino_id, f.table_id, 1000 FROM floor AS f, someone AS w;
INSERT INTO table_par (id, casino_id, table_id, par_cents, effective_gaming_day)
    SELECT pg_temp.id_at(timestamptz '2025-01-01', 'par' || f.n), w.casino_id, f.table_id, 5000000, '2025-01-01' FROM floor AS f, someone AS w;
INSERT INTO drop_box (id, casino_id, label, table_id, kind)
    SELECT f.box_id, w.casino_id, 'HB-' || f.n, f.table_id, 'standard' FROM floor AS f, someone AS w;

CREATE TEMP TABLE span AS
    SELECT day::date AS gaming_day, nth, ((day::date + time '06:00') AT TIME ZONE w.timezone) + nth * interval '8 hours' AS starts,
           pg_temp.id_at(((day::date + time '06:00') AT TIME ZONE w.timezone) + nth * interval '8 hours', 'shift') AS shift_id,
           day::date = current_setting('load.last_day')::date AND nth = 2 AS runs
      FROM someone AS w, generate_series(0, 2) AS nth,
           generate_series(current_setting('load.last_day')::date - current_setting('load.days')::int + 1, current_setting('load.last_day')::date,
                           interval '1 day') AS day;
INSERT INTO shift_template (id, casino_id, name, local_start, local_end)
    SELECT pg_temp.id_at(timestamptz '2025-01-01', 'template' || nth), w.casino_id, 'H' || nth, time '06:00' + nth * interval '8 hours',
           time '14:00' + nth * interval '8 hours'
      FROM someone AS w, generate_series(0, 2) AS nth;
INSERT INTO shift (id, casino_id, template_id, gaming_day, name, starts_at, ends_at, status, closed_at)
    SELECT s.shift_id, w.casino_id, pg_temp.id_at(timestamptz '2025-01-01', 'template' || s.nth), s.gaming_day, (ARRAY['Day', 'Swing', 'Grave'])[s.nth + 1], s.starts, s.starts + interval '8 hours',
           CASE WHEN s.runs THEN 'OPEN' ELSE 'CLOSED' END, CASE WHEN NOT s.runs THEN s.starts + interval '8 hours' END
      FROM span AS s, someone AS w;

CREATE TEMP TABLE played AS
    SELECT f.*, s.gaming_day, s.starts, s.shift_id, s.runs, row_number() OVER (ORDER BY s.starts, f.n) AS k,
           pg_temp.id_at(s.starts, 'session' || f.n) AS id, pg_temp.id_at(s.starts + interval '2 minutes', 'opener' || f.n) AS opener,
           pg_temp.id_at(s.starts + interval '470 minutes', 'closer' || f.n) AS closer,
           pg_temp.id_at(s.starts + interval '460 minutes', 'drop' || f.n) AS drop_id
      FROM floor AS f, span AS s ORDER BY s.starts, f.n;

INSERT INTO table_inventory_session (id, casino_id, table_id, gaming_day, shift_id, status, bank_mode, opening_snapshot_id, closing_snapshot_id,
        drop_box_id, dropped_through_seq, opened_at, opened_by, activated_at, activated_by, dropped_at, counted_at, closing_started_at,
        closing_started_by, closed_at, closed_by, close_reason, reconciled_at, finalized_at, finalized_by, created_at, created_by, version)
    SELECT p.id, w.casino_id, p.table_id, p.gaming_day, p.shift_id, CASE WHEN p.runs THEN 'OPEN' ELSE 'FINALIZED' END, 'INVENTORY_COUNT',
           p.opener, x.closer, p.box_id, CASE WHEN p.runs THEN 0 ELSE 1 END,
           p.starts + interval '1 minute', w.boss, p.starts + interval '3 minutes', w.boss, x.ends, x.ends, x.ends, x.by, x.ends, x.by,
           CASE WHEN NOT p.runs THEN 'normal' END, x.ends, x.ends, x.officer, p.starts, w.boss, 12
      FROM played AS p CROSS JOIN someone AS w
     CROSS JOIN LATERAL (SELECT CASE WHEN NOT p.runs THEN p.closer END AS closer, CASE WHEN NOT p.runs THEN p.starts + interval '471 minutes' END AS ends,
                                CASE WHEN NOT p.runs THEN w.boss END AS by, CASE WHEN NOT p.runs THEN w.officer END AS officer) AS x
     ORDER BY p.k;
INSERT INTO session_pit SELECT p.id, w.casino_id, p.pit FROM played AS p, someone AS w ORDER BY p.k;
INSERT INTO table_inventory_snapshot (id, casino_id, session_id, kind, chipset, total_cents, counted_by, counted_at, verified_by, verified_at, created_at)
    SELECT c.id, w.casino_id, p.id, c.kind, '{"10000": 200, "2500": 800, "500": 2000}', 5000000 + (p.k * 7919 % 1000) * 100, w.boss, c.at, w.dealer, c.at, c.at
      FROM played AS p CROSS JOIN someone AS w
     CROSS JOIN LATERAL (VALUES (p.opener, 'open', p.starts + interval '2 minutes'),
                                (pg_temp.id_at(p.starts + interval '4 hours', 'rundown' || p.n), 'rundown', p.starts + interval '4 hours'),
                                (p.closer, 'close', p.starts + interval '470 minutes')) AS c (id, kind, at)
     WHERE (c.kind <> 'close' OR NOT p.runs) AND (c.kind <> 'rundown' OR p.n % 3 = 0) ORDER BY p.k;
INSERT INTO table_slip (id, casino_id, session_id, table_id, kind, request_id, status, chipset, amount_cents, slip_scope, scope_key, slip_no,
        requested_by, requested_at, issued_by, issued_at, runner_id, dealer_id, verified_by, verified_at, confirmed_chipset, confirmed_amount_cents,
        cage_received_by, cage_received_at, cage_amount_cents, deposited_by, deposited_at, drop_box_id, drop_box_use, version, created_at)
    SELECT pg_temp.id_at(x.at, x.kind || p.n), w.casino_id, p.id, p.table_id, x.kind, 'h-' || p.k || x.kind, 'DEPOSITED_IN_DROPBOX',
           '{"10000": 50}', 500000, 'gaming_day', p.gaming_day::text, 100000 + p.k, w.boss, x.at, w.cashier, x.at, w.guard, w.dealer, w.second, x.at,
           '{"10000": 50}', 500000, x.cage, CASE WHEN x.cage IS NOT NULL THEN x.at END, CASE WHEN x.cage IS NOT NULL THEN 500000 END,
           w.boss, x.at, p.box_id, p.k, 4, x.at
      FROM played AS p CROSS JOIN someone AS w
     CROSS JOIN LATERAL (VALUES ('fill', p.starts + interval '3 hours', NULL::uuid), ('credit', p.starts + interval '5 hours', w.cashier)) AS x (kind, at, cage)
     ORDER BY p.k;
INSERT INTO table_drop_event (id, casino_id, session_id, table_id, drop_box_id, drop_box_use, seal_no, seq_no, gaming_day, removed_in, removed_at,
        removed_by, witnessed_by, stood_on_table, delivered_at, delivered_by, received_at, received_by, received_seal_no, counted_at, created_at)
    SELECT p.drop_id, w.casino_id, p.id, p.table_id, p.box_id, p.k, 'S' || p.k, 1, p.gaming_day, 'DROP_SCHEDULED', x.at, w.guard, w.witness, true,
           x.at, w.guard, x.at, w.team[1], 'S' || p.k, x.at, x.at
      FROM played AS p CROSS JOIN someone AS w CROSS JOIN LATERAL (SELECT p.starts + interval '460 minutes' AS at) AS x
     WHERE NOT p.runs ORDER BY p.k;
INSERT INTO soft_count_table_result (id, casino_id, session_id, drop_event_id, standing, drop_total_cents, count_1_cents, count_2_cents,
        evidence_manifest, manifest, team, counted_at, counted_by, created_at)
    SELECT pg_temp.id_at(p.starts + interval '465 minutes', 'count' || p.n), w.casino_id, p.id, p.drop_id, 'accepted', x.cents, x.cents, x.cents,
           jsonb_build_object('currency', jsonb_build_object('100', x.cents / 100)), '[]', w.team, p.starts + interval '465 minutes', w.team[1],
           p.starts + interval '465 minutes'
      FROM played AS p CROSS JOIN someone AS w CROSS JOIN LATERAL (SELECT 1500000 + (p.k * 104729 % 5000) * 100 AS cents) AS x
     WHERE NOT p.runs ORDER BY p.k;
INSERT INTO table_rundown_report (id, casino_id, session_id, opening_total_cents, opening_snapshot_id, opening_source, closing_total_cents,
        closing_snapshot_id, fills_total_cents, fill_ids, credits_total_cents, credit_ids, inventory_result_cents, drop_total_cents, soft_count_ids,
        win_loss_stat_cents, hold_bp, missing_inputs, metric_grade, count_status, computed_at, input_hash, finalized_at, finalized_by)
    SELECT pg_temp.id_at(p.starts + interval '471 minutes', 'report' || p.n), w.casino_id, p.id, 5000000, p.opener, 'snapshot:verified_open', 5000000,
           p.closer, 500000, '{}', 500000, '{}', 0, 1500000 + (p.k * 104729 % 5000) * 100, '{}', 1500000, 10000, '{}', 'AUTHORITATIVE', 'counted',
           p.starts + interval '471 minutes', repeat('0', 64), p.starts + interval '471 minutes', w.officer
      FROM played AS p, someone AS w WHERE NOT p.runs ORDER BY p.k;

CREATE TEMP TABLE rated AS
    SELECT p.n, p.table_id, p.gaming_day, p.starts + (20 + nth * 90) * interval '1 minute' AS at,
           pg_temp.id_at(p.starts + (20 + nth * 90) * interval '1 minute', 'rated' || p.n) AS slip_id,
           pg_temp.id_at(p.starts + (20 + nth * 90) * interval '1 minute', 'visit' || p.n) AS visit_id,
           pg_temp.id_at(p.starts + (21 + nth * 90) * interval '1 minute', 'pft' || p.n) AS pft_id,
           10000 + (p.k * 31 + nth * 17) % 500 * 100 AS cents
      FROM played AS p, generate_series(0, 3) AS nth ORDER BY p.starts, nth, p.n;
INSERT INTO rating_slip (id, casino_id, visit_id, table_id, game_type, status, started_at, played_seconds, ended_at, move_group_id, opened_by, closed_by, created_at)
    SELECT r.slip_id, w.casino_id, r.visit_id, r.table_id, 'blackjack', 'closed', r.at, 3600, r.at + interval '1 hour', r.slip_id, w.boss, w.boss, r.at
      FROM rated AS r, someone AS w;
INSERT INTO player_financial_transaction (id, casino_id, player_id, visit_id, rating_slip_id, direction, amount_cents, gaming_day, occurred_at,
        idempotency_key, created_by_staff_id, created_at)
    SELECT r.pft_id, w.casino_id, r.visit_id, r.visit_id, r.slip_id, 'in', r.cents, r.gaming_day, r.at + interval '1 minute', 'h:' || r.pft_id, w.cashier, r.at
      FROM rated AS r, someone AS w;
INSERT INTO table_buyin_telemetry (id, casino_id, gaming_day, table_id, visit_id, rating_slip_id, amount_cents, telemetry_kind, source, occurred_at,
        actor_id, idempotency_key, is_late, created_at)
    SELECT b.id, w.casino_id, b.gaming_day, b.table_id, b.visit_id, b.slip_id, b.cents, b.kind, b.source, b.at, w.boss, b.key, false, b.at
      FROM someone AS w CROSS JOIN (
        SELECT pg_temp.id_at(r.at, 'bridged' || r.n) AS id, r.gaming_day, r.table_id, r.visit_id, r.slip_id, r.cents, 'RATED_BUYIN' AS kind,
               'finance_bridge' AS source, r.at + interval '1 minute' AS at, 'pft:' || r.pft_id AS key
          FROM rated AS r
        UNION ALL
        SELECT g.id, r.gaming_day, r.table_id, NULL, NULL, 2500, 'GRIND_BUYIN', 'manual_ops', r.at + interval '40 minutes', 'man:' || g.id
          FROM rated AS r CROSS JOIN LATERAL (SELECT pg_temp.id_at(r.at + interval '40 minutes', 'grind' || r.n) AS id) AS g
         WHERE r.n % 5 <> 0) AS b
     ORDER BY b.at;
SET session_replication_role = DEFAULT;
RESET synchronous_commit;
ANALYZE;
