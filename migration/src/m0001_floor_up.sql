-- The floor: the casino and its settings, its people, tables, par and boxes, and the fence between casinos.
--
-- Refusals raised by triggers carry these codes, in every migration; the constraint field names the rule:
--   RD001 never deleted          RD002 append-only           RD003 written once
--   RD004 no such move           RD005 version must rise     RD006 final, immutable
--   RD007 no active staff row to take the tenant context from
--   RD008 the lease of a job's run is another's
--   23503 as of a foreign key: what evidence names is not there (evidence_of)

-- ---------------------------------------------------------------------------------------------------------------------
-- The application role. It logs in, owns nothing and cannot step over row security; the owner role only migrates.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rundown_app') THEN
        BEGIN
            CREATE ROLE rundown_app LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOINHERIT;
        EXCEPTION
            -- Roles belong to the cluster: another database may be migrating at this very moment.
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'the role rundown_app is missing and % may not create it', current_user
                    USING ERRCODE = 'insufficient_privilege',
                          HINT = format('As a superuser: CREATE ROLE rundown_app LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB '
                                        'NOCREATEROLE NOINHERIT; GRANT rundown_app TO %I;', current_user);
        END;
    END IF;

    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rundown_app' AND (rolsuper OR rolbypassrls)) THEN
        RAISE EXCEPTION 'the role rundown_app may bypass row security: casinos would see each other'
            USING ERRCODE = 'invalid_authorization_specification',
                  HINT = 'As a superuser: ALTER ROLE rundown_app NOSUPERUSER NOBYPASSRLS;';
    END IF;

    -- A daemon that has only the owner's URL becomes the application role by SET ROLE, which asks for membership.
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        BEGIN
            GRANT rundown_app TO CURRENT_USER;
        EXCEPTION WHEN insufficient_privilege THEN
            IF NOT pg_has_role(current_user, 'rundown_app', 'MEMBER') THEN
                -- No refusal: a daemon with a URL of its own never sets the role.
                RAISE WARNING 'cannot grant rundown_app to %: the daemon needs a connection of its own as rundown_app', current_user;
            END IF;
        END;
    END IF;
END $$;

GRANT USAGE ON SCHEMA public TO rundown_app;

-- The daemon looks at start-up whether the schema is its own; the table is the migrator's and absent under plain psql.
DO $$
BEGIN
    IF to_regclass('public.seaql_migrations') IS NOT NULL THEN
        GRANT SELECT ON public.seaql_migrations TO rundown_app;
    END IF;
END $$;

-- ---------------------------------------------------------------------------------------------------------------------
-- The words the migrations are written in. Only migrations use them.

-- Puts a table behind the tenant fence. The setting is read once a statement, and a missing or empty one matches nothing.
-- FORCE: the owner is fenced too, so a daemon that connects as the wrong role sees nothing rather than everything.
CREATE FUNCTION fence(relation regclass, tenant name DEFAULT 'casino_id') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
    EXECUTE format($policy$
        CREATE POLICY tenant ON %s
            USING (%2$I = (SELECT NULLIF(current_setting('app.casino_id', true), '')::uuid))
            WITH CHECK (%2$I = (SELECT NULLIF(current_setting('app.casino_id', true), '')::uuid))
        $policy$, relation, tenant);
END $$;

-- No row of the table goes away, whoever asks: the owner and a superuser have every privilege, so privileges alone do not say it.
CREATE FUNCTION never_deleted(relation regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($trigger$
        CREATE TRIGGER never_deleted BEFORE DELETE ON %s
            FOR EACH ROW EXECUTE FUNCTION refuse('RD001', 'rows are never deleted')
        $trigger$, relation);
    EXECUTE format($trigger$
        CREATE TRIGGER never_emptied BEFORE TRUNCATE ON %s
            FOR EACH STATEMENT EXECUTE FUNCTION refuse('RD001', 'rows are never deleted')
        $trigger$, relation);
END $$;

-- A fact: written once, for ever. A correction is a new row that points at the old one (domain §2).
CREATE FUNCTION append_only(relation regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM never_deleted(relation);
    EXECUTE format($trigger$
        CREATE TRIGGER append_only BEFORE UPDATE ON %s
            FOR EACH ROW EXECUTE FUNCTION refuse('RD002', 'rows are append-only')
        $trigger$, relation);
END $$;

-- Evidence names a session and a person of its casino, as a foreign key would have it, but asked once a statement instead of once a row: of what
-- a command writes, the keys took as long as the rows. It holds as a key holds, because what is named never goes away and keeps its id.
-- Each is looked up by itself, never by a list of all there are.
CREATE FUNCTION evidence_of(relation regclass, person name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($function$
        CREATE FUNCTION %1$I() RETURNS trigger LANGUAGE plpgsql AS $body$
        BEGIN
            IF EXISTS (SELECT FROM written AS w
                        WHERE (SELECT s.id FROM public.staff AS s WHERE s.casino_id = w.casino_id AND s.id = w.%2$I) IS NULL
                           OR (w.session_id IS NOT NULL
                               AND (SELECT s.id FROM public.table_inventory_session AS s
                                     WHERE s.casino_id = w.casino_id AND s.id = w.session_id) IS NULL)) THEN
                PERFORM public.refused(TG_TABLE_NAME, '23503', '%1$s', 'it names a person or a session that is not of this casino');
            END IF;
            RETURN NULL;
        END $body$
        $function$, relation || '_evidence_of', person);
    EXECUTE format($trigger$
        CREATE TRIGGER evidence_of AFTER INSERT ON %1$s REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION %2$I()
        $trigger$, relation, relation || '_evidence_of');
END $$;

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refused(TG_TABLE_NAME, TG_ARGV[0], TG_NAME, TG_ARGV[1]);
    RETURN NULL;
END $$;

-- Every refusal has one shape, so that the daemon can tell the rule from the fields and never reads the sentence.
CREATE FUNCTION refused(relation name, code text, rule text, sentence text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: %', relation, sentence USING ERRCODE = code, TABLE = relation, CONSTRAINT = rule;
END $$;

-- A versioned row that changes says so: the version is its ETag, and a change under an old ETag would pass for no change.
CREATE FUNCTION guard_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version <= OLD.version THEN
        PERFORM refused(TG_TABLE_NAME, 'RD005', 'version_rises', 'the version rises with every change');
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION all_different(ids uuid[]) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN cardinality(ids) = (SELECT count(DISTINCT id) FROM unnest(ids) AS id);

-- ---------------------------------------------------------------------------------------------------------------------
-- Gaming day: the local date, minus one before the casino's start of day (domain §2). The law holds the same function in Rust; a
-- test compares the two over every change of the clocks. Immutable as Postgres counts it: a new time zone table needs a restart.

CREATE FUNCTION gaming_day(at timestamptz, tz text, start time) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (at AT TIME ZONE tz)::date - ((at AT TIME ZONE tz)::time < start)::int;

-- ---------------------------------------------------------------------------------------------------------------------
-- Casino

CREATE TABLE casino (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (btrim(name) <> '' AND length(name) <= 120),
    -- An unknown zone is an error of its own here (22023), before any gaming day is computed with it.
    timezone text NOT NULL CHECK (length(timezone) <= 64 AND (timestamptz '2000-01-01 00:00Z' AT TIME ZONE timezone) IS NOT NULL),
    gaming_day_start time NOT NULL DEFAULT '06:00' CHECK (gaming_day_start < '24:00'),
    bank_mode text NOT NULL DEFAULT 'INVENTORY_COUNT' CHECK (bank_mode IN ('INVENTORY_COUNT', 'IMPREST_TO_PAR')),
    denominations_cents bigint[] NOT NULL DEFAULT '{}'
        CHECK (cardinality(denominations_cents) <= 64
               AND array_position(denominations_cents, NULL) IS NULL AND 0 < ALL (denominations_cents)),
    opening_tolerance_cents bigint NOT NULL DEFAULT 0 CHECK (opening_tolerance_cents >= 0),
    par_tolerance_cents bigint NOT NULL DEFAULT 0 CHECK (par_tolerance_cents >= 0),
    -- Two counts need two people, whatever the casino says.
    min_count_team int NOT NULL DEFAULT 3 CHECK (min_count_team >= 2),
    drop_window_minutes int NOT NULL DEFAULT 30 CHECK (drop_window_minutes >= 0),
    delivery_limit_minutes int NOT NULL DEFAULT 45 CHECK (delivery_limit_minutes >= 0),
    drop_due_hours int NOT NULL DEFAULT 24 CHECK (drop_due_hours >= 0),
    count_due_hours int NOT NULL DEFAULT 24 CHECK (count_due_hours >= 0),
    slip_scope text NOT NULL DEFAULT 'gaming_day' CHECK (slip_scope IN ('gaming_day', 'calendar_year')),
    fill_series_open boolean NOT NULL DEFAULT false,
    credit_series_open boolean NOT NULL DEFAULT false,
    count_before_close boolean NOT NULL DEFAULT false,
    cashier_receives_boxes boolean NOT NULL DEFAULT false,
    hold_band_low_bp int,
    hold_band_high_bp int,
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT casino_hold_band_ordered CHECK (hold_band_low_bp <= hold_band_high_bp)
);

SELECT fence('casino', 'id');
-- The owner may read the list of casinos: the command line names one, and the jobs go through all of them. A casino's own
-- row holds settings, nothing of its play.
CREATE POLICY directory ON casino FOR SELECT TO CURRENT_USER USING (true);
SELECT never_deleted('casino');
CREATE TRIGGER guard BEFORE UPDATE ON casino FOR EACH ROW EXECUTE FUNCTION guard_version();

-- No INSERT: casinos are founded by the owner role (`rundown bootstrap`, `rundown seed`), never through the API.
GRANT SELECT, UPDATE (
    name, timezone, gaming_day_start, bank_mode, denominations_cents, opening_tolerance_cents, par_tolerance_cents, min_count_team,
    drop_window_minutes, delivery_limit_minutes, drop_due_hours, count_due_hours, slip_scope, fill_series_open, credit_series_open,
    count_before_close, cashier_receives_boxes, hold_band_low_bp, hold_band_high_bp, version
) ON casino TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Staff

CREATE TABLE staff (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL REFERENCES casino (id),
    -- The token's subject: one person, one casino, in the whole installation.
    external_subject text NOT NULL UNIQUE CHECK (btrim(external_subject) <> '' AND length(external_subject) <= 255),
    employee_no text NOT NULL CHECK (btrim(employee_no) <> '' AND length(employee_no) <= 64),
    name text NOT NULL CHECK (btrim(name) <> '' AND length(name) <= 120),
    role text NOT NULL
        CHECK (role IN ('dealer', 'pit_boss', 'cashier', 'security', 'count_team', 'compliance', 'admin', 'system')),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive')),
    pin_hash text CHECK (length(pin_hash) <= 255),
    failed_pins int NOT NULL DEFAULT 0 CHECK (failed_pins >= 0),
    pin_locked_until timestamptz,
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (casino_id, id),
    UNIQUE (casino_id, employee_no),
    -- The daemon signs nothing, so it has nothing to sign with (domain §3).
    CONSTRAINT staff_system_has_no_pin CHECK (role <> 'system' OR pin_hash IS NULL)
);
CREATE UNIQUE INDEX staff_one_system_per_casino ON staff (casino_id) WHERE role = 'system';

SELECT fence('staff');
-- A verified token may see its own row before any casino is known: that row is where the casino comes from. SELECT only, so that
-- policies for changes stay the tenant's alone.
CREATE POLICY own_row ON staff FOR SELECT
    USING (external_subject = (SELECT NULLIF(current_setting('app.subject', true), '')));
SELECT never_deleted('staff');

-- The version only must not fall here: a wrong PIN is counted without making the row another one.
CREATE FUNCTION guard_staff() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version < OLD.version THEN
        PERFORM refused(TG_TABLE_NAME, 'RD005', 'version_rises', 'the version never falls');
    END IF;
    -- Evidence names people without a foreign key (evidence_of).
    IF (NEW.id, NEW.casino_id) IS DISTINCT FROM (OLD.id, OLD.casino_id) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'staff_identity', 'a person keeps their id and casino');
    END IF;
    IF (OLD.role = 'system') <> (NEW.role = 'system') THEN
        PERFORM refused(TG_TABLE_NAME, 'RD004', 'staff_system_is_nobody', 'the role system is neither given nor taken');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON staff FOR EACH ROW EXECUTE FUNCTION guard_staff();

GRANT SELECT, INSERT,
    UPDATE (external_subject, name, role, status, pin_hash, failed_pins, pin_locked_until, version)
ON staff TO rundown_app;

-- The tenant of a transaction comes from a staff row, never from a request (domain §12). The row must be visible already: by
-- app.subject, which the daemon sets from a verified token, or by app.casino_id, which a job sets.
CREATE FUNCTION set_rls_context_from_staff(staff_id uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    person record;
BEGIN
    SELECT s.id, s.casino_id, s.role INTO person FROM public.staff AS s WHERE s.id = staff_id AND s.status = 'active';
    IF NOT FOUND THEN
        PERFORM refused('staff', 'RD007', 'staff_is_active', 'no active staff row to take the context from');
    END IF;
    PERFORM set_config('app.casino_id', person.casino_id::text, true),
            set_config('app.actor_id', person.id::text, true),
            set_config('app.staff_role', person.role, true);
END $$;

-- ---------------------------------------------------------------------------------------------------------------------
-- Tables and par

CREATE TABLE gaming_table (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL REFERENCES casino (id),
    label text NOT NULL CHECK (btrim(label) <> '' AND length(label) <= 64),
    type text NOT NULL CHECK (type IN ('blackjack', 'poker', 'roulette', 'baccarat')),
    pit text CHECK (btrim(pit) <> '' AND length(pit) <= 64),
    status text NOT NULL DEFAULT 'inactive' CHECK (status IN ('inactive', 'active', 'closed')),
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (casino_id, id),
    UNIQUE (casino_id, label)
);

SELECT fence('gaming_table');
SELECT never_deleted('gaming_table');
CREATE TRIGGER guard BEFORE UPDATE ON gaming_table FOR EACH ROW EXECUTE FUNCTION guard_version();
GRANT SELECT, INSERT, UPDATE (label, type, pit, status, version) ON gaming_table TO rundown_app;

CREATE TABLE table_par (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL,
    table_id uuid NOT NULL,
    par_cents bigint NOT NULL CHECK (par_cents >= 0),
    effective_gaming_day date NOT NULL,
    approved_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (casino_id, table_id) REFERENCES gaming_table (casino_id, id),
    FOREIGN KEY (casino_id, approved_by) REFERENCES staff (casino_id, id)
);
-- Read backwards: the latest day not after today's, and of one day the row written last.
CREATE INDEX table_par_in_force ON table_par (casino_id, table_id, effective_gaming_day, id);

SELECT fence('table_par');
SELECT append_only('table_par');
GRANT SELECT, INSERT ON table_par TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Drop boxes. One row says where the box is, so it cannot be in two places (domain §7).

CREATE TABLE drop_box (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL REFERENCES casino (id),
    label text NOT NULL CHECK (btrim(label) <> '' AND length(label) <= 64),
    table_id uuid,
    kind text NOT NULL CHECK (kind IN ('standard', 'emergency')),
    on_table_id uuid,
    use_no bigint NOT NULL DEFAULT 1 CHECK (use_no >= 0),
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (casino_id, id),
    UNIQUE (casino_id, label),
    FOREIGN KEY (casino_id, table_id) REFERENCES gaming_table (casino_id, id),
    FOREIGN KEY (casino_id, on_table_id) REFERENCES gaming_table (casino_id, id),
    -- Deferrable, so that it is asked at the end of the statement: a removal and its replacement change places in one.
    CONSTRAINT drop_box_one_per_table UNIQUE (casino_id, on_table_id) DEFERRABLE INITIALLY IMMEDIATE,
    CONSTRAINT drop_box_standard_has_table CHECK ((kind = 'standard') = (table_id IS NOT NULL)),
    CONSTRAINT drop_box_standard_stays_home CHECK (kind = 'emergency' OR on_table_id IS NULL OR on_table_id = table_id)
) WITH (fillfactor = 80);

SELECT fence('drop_box');
SELECT never_deleted('drop_box');

CREATE FUNCTION guard_drop_box() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version <= OLD.version THEN
        PERFORM refused(TG_TABLE_NAME, 'RD005', 'version_rises', 'the version rises with every change');
    END IF;
    -- A slip and a removal name the use they belong to: a use skipped or repeated would mix the contents of two drops.
    IF NEW.use_no NOT IN (OLD.use_no, OLD.use_no + 1) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD004', 'drop_box_use_by_use', 'the use rises one by one');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON drop_box FOR EACH ROW EXECUTE FUNCTION guard_drop_box();
GRANT SELECT, INSERT, UPDATE (on_table_id, use_no, version) ON drop_box TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- What `doctor` and start-up ask: is the fence whole? No row = yes. A partition is asked about only where the application role may
-- reach it directly, since through its parent the parent's policies hold.

CREATE FUNCTION tenant_fence_report() RETURNS TABLE (table_name text, fault text) LANGUAGE sql STABLE AS $$
    WITH tenant AS (
        SELECT c.oid, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity,
               COALESCE(c.reloptions @> '{security_invoker=true}', false) AS invoker,
               EXISTS (SELECT FROM pg_catalog.pg_policy AS p WHERE p.polrelid = c.oid AND p.polname = 'tenant' AND p.polcmd = '*') AS policy
          FROM pg_catalog.pg_class AS c
         WHERE c.relnamespace = 'public'::regnamespace
           AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
           AND (c.relname = 'casino'
                OR EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                            WHERE a.attrelid = c.oid AND a.attname = 'casino_id' AND NOT a.attisdropped))
           AND (NOT c.relispartition OR has_table_privilege('rundown_app', c.oid, 'SELECT, INSERT, UPDATE, DELETE'))
    )
    SELECT relname::text,
           CASE WHEN relkind = 'v' THEN 'the view reads with its owner''s rights'
                WHEN relkind IN ('m', 'f') THEN 'row security cannot fence this kind of table'
                WHEN NOT relrowsecurity THEN 'row security is off'
                WHEN NOT relforcerowsecurity THEN 'row security is not forced'
                ELSE 'the tenant policy is missing' END
      FROM tenant
     WHERE CASE WHEN relkind = 'v' THEN NOT invoker
                WHEN relkind IN ('m', 'f') THEN true
                ELSE NOT (relrowsecurity AND relforcerowsecurity AND policy) END
    UNION ALL
    SELECT 'rundown_app', 'the application role may bypass row security'
      FROM pg_catalog.pg_roles WHERE rolname = 'rundown_app' AND (rolsuper OR rolbypassrls)
     ORDER BY 1
$$;

-- PUBLIC may call every new function. These change the schema or the context, so only those who need them keep that.
REVOKE EXECUTE ON FUNCTION fence(regclass, name), never_deleted(regclass), append_only(regclass), evidence_of(regclass, name), set_rls_context_from_staff(uuid)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION set_rls_context_from_staff(uuid) TO rundown_app;
