-- Telemetry: buy-ins as the pit sees them (domain §10, seed 3). Rated ones come over the bridge from finance, the rest is entered by hand.
--
-- Two more codes of refusal, beside those of m0001:
--   RD009 a guardrail of the bridge          RD010 not what it says it comes from

-- ---------------------------------------------------------------------------------------------------------------------
-- Ids come from the daemon, but a row that a trigger writes has nobody to ask: the same version 7, so that ids stay in the order of writing.

CREATE FUNCTION uuid_v7() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(set_byte(b, 6, get_byte(b, 6) | 48), 'hex')::uuid
      FROM (SELECT overlay(uuid_send(gen_random_uuid())
                           PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6)) AS made (b)
$$;

-- ---------------------------------------------------------------------------------------------------------------------
-- The rows

CREATE TABLE table_buyin_telemetry (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL,
    gaming_day date NOT NULL,
    table_id uuid NOT NULL,
    visit_id uuid,
    rating_slip_id uuid,
    -- A bound per row, so that no sum over any window overflows.
    amount_cents bigint NOT NULL CHECK (amount_cents BETWEEN -10000000000000 AND 10000000000000),
    telemetry_kind text NOT NULL CHECK (telemetry_kind IN ('RATED_BUYIN', 'GRIND_BUYIN', 'RATED_ADJUSTMENT', 'GRIND_ADJUSTMENT')),
    source text NOT NULL CHECK (source IN ('finance_bridge', 'manual_ops')),
    tender_type text CHECK (btrim(tender_type) <> '' AND length(tender_type) <= 64),
    occurred_at timestamptz NOT NULL,
    actor_id uuid NOT NULL,
    note text CHECK (length(note) <= 2000),
    idempotency_key text CHECK (length(idempotency_key) <= 210),
    reverses_id uuid,
    -- Its session was FINALIZED already: stored and flagged, and nothing that was signed changes (domain §4). A trigger says so, nobody else.
    is_late boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),

    UNIQUE (casino_id, table_id, id),
    FOREIGN KEY (casino_id, table_id) REFERENCES gaming_table (casino_id, id),
    -- A rated row's visit is its slip's visit and its table the slip's table: the key holds all three.
    CONSTRAINT buyin_is_where_its_slip_is FOREIGN KEY (casino_id, table_id, visit_id, rating_slip_id)
        REFERENCES rating_slip (casino_id, table_id, visit_id, id),
    FOREIGN KEY (casino_id, actor_id) REFERENCES staff (casino_id, id),
    CONSTRAINT buyin_reverses_at_its_table FOREIGN KEY (casino_id, table_id, reverses_id)
        REFERENCES table_buyin_telemetry (casino_id, table_id, id),

    -- Zero moves nothing, and a buy-in that takes money back is an adjustment.
    CONSTRAINT buyin_amount_fits_kind CHECK (
        CASE WHEN telemetry_kind IN ('RATED_BUYIN', 'GRIND_BUYIN') THEN amount_cents > 0 ELSE amount_cents <> 0 END),
    -- The kind follows linkage, never amount: linked to both or to neither.
    CONSTRAINT buyin_kind_follows_linkage CHECK (
        num_nulls(visit_id, rating_slip_id) = CASE WHEN telemetry_kind IN ('RATED_BUYIN', 'RATED_ADJUSTMENT') THEN 0 ELSE 2 END),
    CONSTRAINT buyin_key_says_its_source CHECK (
        idempotency_key IS NOT NULL
        AND CASE source WHEN 'finance_bridge' THEN idempotency_key LIKE 'pft:%' ELSE idempotency_key ~ '^(man|undo):.' END),
    -- Finance knows nobody unrated.
    CONSTRAINT buyin_bridged_is_rated CHECK (source = 'manual_ops' OR rating_slip_id IS NOT NULL),
    CONSTRAINT buyin_reverses_by_adjustment CHECK (
        reverses_id IS NULL OR (reverses_id <> id AND telemetry_kind IN ('RATED_ADJUSTMENT', 'GRIND_ADJUSTMENT'))),
    CONSTRAINT buyin_undo_names_its_row CHECK (idempotency_key NOT LIKE 'undo:%' OR reverses_id IS NOT NULL)
);

-- G5: what every writer's ON CONFLICT names, columns and predicate. The daemon does not start without it.
CREATE UNIQUE INDEX buyin_key_once ON table_buyin_telemetry (casino_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX buyin_by_table ON table_buyin_telemetry (casino_id, table_id, occurred_at);
CREATE INDEX buyin_by_gaming_day ON table_buyin_telemetry (casino_id, gaming_day, table_id);
CREATE INDEX buyin_by_visit ON table_buyin_telemetry (casino_id, visit_id, id) WHERE visit_id IS NOT NULL;
-- For the list, a page at a time.
CREATE INDEX buyin_in_order ON table_buyin_telemetry (casino_id, id);

SELECT fence('table_buyin_telemetry');
SELECT append_only('table_buyin_telemetry');
GRANT SELECT, INSERT ON table_buyin_telemetry TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Late rows. A buy-in belongs to the session last opened at its table, until the next one opens or the gaming day ends.

CREATE FUNCTION session_of_buyin(b table_buyin_telemetry) RETURNS table_inventory_session LANGUAGE sql STABLE AS $$
    SELECT s FROM table_inventory_session AS s
     WHERE s.casino_id = b.casino_id AND s.table_id = b.table_id
       -- Three days: no session stays open longer, and one look at the index is enough however long the table's history is.
       AND s.gaming_day BETWEEN b.gaming_day - 3 AND b.gaming_day
       AND s.opened_at <= b.occurred_at AND s.close_reason IS DISTINCT FROM 'cancelled'
       AND (s.gaming_day = b.gaming_day OR s.closed_at IS NULL OR s.closed_at > b.occurred_at)
     ORDER BY s.opened_at DESC, s.id DESC LIMIT 1
$$;

-- Before the row is written: whether it is late, whether its player is known, and whether a row in finance's name has a transaction that says
-- the same. The last holds off a writer beside the bridge: there is exactly one.
CREATE FUNCTION guard_buyin() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.is_late := COALESCE((session_of_buyin(NEW)).status = 'FINALIZED', false);
    IF NEW.source = 'finance_bridge' AND NOT EXISTS (
        SELECT FROM player_financial_transaction AS t
         WHERE t.casino_id = NEW.casino_id AND 'pft:' || t.id = NEW.idempotency_key AND t.id = substr(NEW.idempotency_key, 5)::uuid
           AND t.direction = 'in' AND t.rating_slip_id = NEW.rating_slip_id AND t.amount_cents = NEW.amount_cents) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD010', 'buyin_of_a_transaction', 'only the bridge writes in the name of finance');
    END IF;
    -- Seed 3: a ghost's money is grind, and grind is linked to nobody. A slip of a ghost is kept for compliance and rates nothing.
    IF NEW.visit_id IS NOT NULL AND EXISTS (
        SELECT FROM visit AS v WHERE v.casino_id = NEW.casino_id AND v.id = NEW.visit_id AND v.visit_kind = 'gaming_ghost_unrated') THEN
        PERFORM refused(TG_TABLE_NAME, 'RD010', 'buyin_of_a_known_player', 'a ghost is rated by nobody');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE INSERT ON table_buyin_telemetry FOR EACH ROW EXECUTE FUNCTION guard_buyin();

-- A fact for a FINALIZED session raises LATE_EVENT, however it came: over the bridge, by hand, by the backfill. One unresolved exception a
-- session: what comes later joins what nobody has judged yet. The session's cells learn of it, since they count late sessions.
CREATE FUNCTION note_late_buyin() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    s CONSTANT table_inventory_session := session_of_buyin(NEW);
    is_new boolean;
BEGIN
    INSERT INTO reconciliation_exception AS e (id, casino_id, session_id, category, subject_kind, subject_id, found, detail, status, due_at,
                                               detected_by, detected_at, version)
    -- A day to answer it, which the law gives every exception but a missing slip number.
    VALUES (uuid_v7(), NEW.casino_id, s.id, 'LATE_EVENT', 'session', s.id::text,
            jsonb_build_array(jsonb_build_object('fact', 'buy-in ' || NEW.id, 'at', NEW.created_at, 'by', NEW.actor_id)),
            jsonb_build_object('buyin_id', NEW.id), 'OPEN', NEW.created_at + interval '24 hours', NEW.actor_id, NEW.created_at, 1)
    ON CONFLICT (casino_id, session_id, category, subject_kind, subject_id) WHERE status IN ('OPEN', 'ACKNOWLEDGED')
        DO UPDATE SET found = e.found || EXCLUDED.found, version = e.version + 1
    RETURNING e.version = 1 INTO is_new;
    IF is_new THEN
        INSERT INTO rollup_mark (casino_id, gaming_day, shift_id, table_id) VALUES (s.casino_id, s.gaming_day, s.shift_id, s.table_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note_late AFTER INSERT ON table_buyin_telemetry FOR EACH ROW WHEN (NEW.is_late) EXECUTE FUNCTION note_late_buyin();

-- ---------------------------------------------------------------------------------------------------------------------
-- The bridge: a transaction of a rated player is a buy-in at the slip's table, in the same transaction of the database or not at all.

-- G1: one half of the tenant context, or no write. A pooled connection that once had a context keeps the setting as an empty text, which is
-- none; anything that is no id is none either.
CREATE FUNCTION bridge_context(setting text) RETURNS uuid LANGUAGE plpgsql STABLE AS $$
DECLARE
    held CONSTANT text := COALESCE(current_setting(setting, true), '');
BEGIN
    IF held !~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN
        PERFORM refused('player_financial_transaction', 'RD009', 'bridge_context', format('there is no tenant context: %s is not set', setting));
    END IF;
    RETURN held::uuid;
END $$;

-- The one writer, for the trigger and for the backfill. Original time, original actor; signed as finance signed it. False: it was there.
CREATE FUNCTION log_bridged_buyin(t player_financial_transaction) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    slip record;
BEGIN
    SELECT r.table_id, r.visit_id INTO slip FROM rating_slip AS r WHERE r.casino_id = t.casino_id AND r.id = t.rating_slip_id;
    IF NOT FOUND OR t.visit_id IS DISTINCT FROM slip.visit_id THEN
        PERFORM refused('player_financial_transaction', 'RD010', 'bridge_slip', 'the rating slip is not one of the transaction''s visit');
    END IF;
    INSERT INTO table_buyin_telemetry (id, casino_id, gaming_day, table_id, visit_id, rating_slip_id, amount_cents, telemetry_kind, source,
                                       tender_type, occurred_at, actor_id, note, idempotency_key, reverses_id, is_late, created_at)
    VALUES (uuid_v7(), t.casino_id, t.gaming_day, slip.table_id, slip.visit_id, t.rating_slip_id, t.amount_cents,
            CASE t.kind WHEN 'normal' THEN 'RATED_BUYIN' ELSE 'RATED_ADJUSTMENT' END, 'finance_bridge',
            t.tender_type, t.occurred_at, t.created_by_staff_id, NULL, 'pft:' || t.id,
            (SELECT b.id FROM table_buyin_telemetry AS b
              WHERE b.casino_id = t.casino_id AND b.idempotency_key = 'pft:' || t.corrects_id AND b.table_id = slip.table_id),
            false, t.created_at)
    ON CONFLICT (casino_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING;
    RETURN FOUND;
END $$;

CREATE FUNCTION bridge_buyin() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Here and not in a WHEN: start-up asks for a trigger without a condition, so that nobody narrows it unseen.
    IF NEW.direction <> 'in' OR NEW.rating_slip_id IS NULL THEN
        RETURN NULL;
    END IF;
    -- G2: what is wrong in finance must not be copied into telemetry and every rollup behind it.
    IF NEW.casino_id IS DISTINCT FROM bridge_context('app.casino_id') THEN
        PERFORM refused(TG_TABLE_NAME, 'RD009', 'bridge_tenant', 'the transaction is another casino''s than the context');
    END IF;
    -- G3
    IF NEW.created_by_staff_id IS DISTINCT FROM bridge_context('app.actor_id') THEN
        PERFORM refused(TG_TABLE_NAME, 'RD009', 'bridge_actor', 'the transaction''s creator is not who the context says is acting');
    END IF;
    -- G4: nothing here is an argument; casino and actor come from the context, which comes from the staff row.
    PERFORM log_bridged_buyin(NEW);
    RETURN NULL;
END $$;
CREATE TRIGGER bridge_buyin AFTER INSERT ON player_financial_transaction FOR EACH ROW EXECUTE FUNCTION bridge_buyin();

-- ---------------------------------------------------------------------------------------------------------------------
-- Backfill: transactions written while there was no bridge. One batch in the order of ids, so that an adjustment finds what it adjusts; the
-- keys are the bridge's own, so beside live writes and however often it runs nothing is doubled.

CREATE FUNCTION backfill_buyins(after uuid, how_many int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    tenant CONSTANT uuid := bridge_context('app.casino_id');
    t player_financial_transaction;
    last uuid;
    counts bigint[] := '{0,0,0}';
    which int;
BEGIN
    PERFORM bridge_context('app.actor_id');
    FOR t IN SELECT x.* FROM player_financial_transaction AS x
              WHERE x.casino_id = tenant AND (after IS NULL OR x.id > after) ORDER BY x.id LIMIT how_many LOOP
        last := t.id;
        which := CASE WHEN t.direction <> 'in' OR t.rating_slip_id IS NULL THEN 3 WHEN log_bridged_buyin(t) THEN 1 ELSE 2 END;
        counts[which] := counts[which] + 1;
    END LOOP;
    RETURN jsonb_build_object('last', last, 'inserted', counts[1], 'skipped', counts[2], 'ineligible', counts[3]);
END $$;

-- ---------------------------------------------------------------------------------------------------------------------
-- What start-up and `doctor` ask: does the bridge stand, and stands it alone? No row = yes. Asked of the catalog and never by name: an index
-- of the right name on the wrong columns is worth nothing.

CREATE FUNCTION bridge_report() RETURNS TABLE (fault text) LANGUAGE sql STABLE AS $$
    WITH own AS (
        SELECT t.tgname, t.tgtype, t.tgenabled, t.tgqual
          FROM pg_catalog.pg_trigger AS t
         WHERE t.tgrelid = 'player_financial_transaction'::regclass AND NOT t.tgisinternal AND t.tgfoid = 'bridge_buyin()'::regprocedure
    ), other AS (
        -- After an insert nothing else has business there; before one, whatever speaks of telemetry.
        SELECT t.tgname FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
         WHERE t.tgrelid = 'player_financial_transaction'::regclass AND NOT t.tgisinternal AND t.tgfoid <> 'bridge_buyin()'::regprocedure
           AND t.tgtype & 4 <> 0 AND (t.tgtype & 2 = 0 OR p.prosrc LIKE '%buyin%')
    )
    SELECT 'no unique index on table_buyin_telemetry (casino_id, idempotency_key) where the key is not null: a buy-in could be written twice'
     WHERE NOT EXISTS (
        SELECT FROM pg_catalog.pg_index AS i
         WHERE i.indrelid = 'table_buyin_telemetry'::regclass AND i.indisunique AND i.indisvalid AND i.indisready AND i.indimmediate
           AND i.indnatts = 2 AND i.indexprs IS NULL
           AND pg_get_indexdef(i.indexrelid, 1, true) = 'casino_id' AND pg_get_indexdef(i.indexrelid, 2, true) = 'idempotency_key'
           AND pg_get_expr(i.indpred, i.indrelid) = '(idempotency_key IS NOT NULL)')
    UNION ALL
    SELECT 'no bridge trigger on player_financial_transaction: rated buy-ins would be missing' WHERE NOT EXISTS (SELECT FROM own)
    UNION ALL
    SELECT format('the bridge stands %s times on player_financial_transaction (%s): exactly one writer', count(*), string_agg(tgname, ', ' ORDER BY tgname))
      FROM own HAVING count(*) > 1
    UNION ALL
    SELECT format('the bridge trigger %s is disabled', tgname) FROM own WHERE tgenabled NOT IN ('O', 'A')
    UNION ALL
    -- 5: for each row, after insert.
    SELECT format('the bridge trigger %s does not fire after every inserted row', tgname) FROM own WHERE tgtype <> 5 OR tgqual IS NOT NULL
    UNION ALL
    SELECT format('another trigger stands beside the bridge on player_financial_transaction: %s', tgname) FROM other
$$;

-- PUBLIC may call every new function: the backfill is the owner's errand.
REVOKE EXECUTE ON FUNCTION backfill_buyins(uuid, int) FROM PUBLIC;
