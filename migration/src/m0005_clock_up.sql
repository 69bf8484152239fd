-- The clock: schedules, and their firings as runs that daemons take by lease (domain §11).
--
-- Two clocks meet here. When something fires is the casino's time, which the daemon tells (it may run fast in a demonstration). How long
-- a lease lasts and how long a failed run pauses is this server's own, so that daemons whose clocks differ still agree on who holds what.
--
-- Nothing here lives in a session: a lease is a row's (lease_owner, lease_term), and every write of a run names both in its WHERE. A daemon
-- that was thought dead and comes back finds that its writes change nothing.

CREATE SEQUENCE job_lease_term;

CREATE TABLE schedule (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL REFERENCES casino (id),
    name text NOT NULL CHECK (btrim(name) <> '' AND length(name) <= 64),
    job_kind text NOT NULL
        CHECK (job_kind IN ('shift_open', 'shift_close', 'rollup_recompute', 'rollup_verify', 'deadline_sweep', 'retention_prune')),
    cron text NOT NULL CHECK (btrim(cron) <> '' AND length(cron) <= 200),
    -- No look at Postgres's own list of zones: this server never computes with it, and may know other zones than the daemon.
    timezone text NOT NULL CHECK (timezone <> '' AND length(timezone) <= 64),
    gap text NOT NULL DEFAULT 'shift' CHECK (gap IN ('shift', 'skip')),
    fold text NOT NULL DEFAULT 'first' CHECK (fold IN ('first', 'second', 'both')),
    params jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(params) = 'object'),
    enabled boolean NOT NULL DEFAULT true,
    catch_up text NOT NULL DEFAULT 'latest' CHECK (catch_up IN ('skip', 'latest', 'all')),
    catch_up_max int NOT NULL DEFAULT 100 CHECK (catch_up_max BETWEEN 1 AND 1000),
    catch_up_window_minutes int NOT NULL DEFAULT 1440 CHECK (catch_up_window_minutes BETWEEN 1 AND 527040),
    overlap text NOT NULL DEFAULT 'queue' CHECK (overlap IN ('skip', 'queue')),
    max_attempts int NOT NULL DEFAULT 5 CHECK (max_attempts BETWEEN 1 AND 100),
    -- How far it is planned: what fired before is a run or let go, this firing and all after it are to come.
    next_fire_at timestamptz,
    missed_firings bigint NOT NULL DEFAULT 0 CHECK (missed_firings >= 0),
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (casino_id, id),
    UNIQUE (casino_id, name),
    CONSTRAINT schedule_paused_fires_never CHECK (enabled OR next_fire_at IS NULL)
) WITH (fillfactor = 80);
-- The poll's question, over all casinos: is anything due, and when is the next.
CREATE INDEX schedule_due ON schedule (next_fire_at) WHERE next_fire_at IS NOT NULL;

SELECT fence('schedule');
SELECT never_deleted('schedule');
GRANT SELECT, INSERT, UPDATE (
    name, cron, timezone, gap, fold, params, enabled, catch_up, catch_up_max, catch_up_window_minutes, overlap, max_attempts, next_fire_at, version
) ON schedule TO rundown_app;

-- The version is what people changed. Planning moves a schedule on without making it another one: an ETag that every firing spoils would
-- be good for nothing.
CREATE FUNCTION guard_schedule() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    planning CONSTANT text[] := '{next_fire_at,missed_firings,version}';
BEGIN
    IF NEW.version < OLD.version OR (NEW.version = OLD.version AND to_jsonb(NEW) - planning <> to_jsonb(OLD) - planning) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD005', 'version_rises', 'the version rises with every change');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON schedule FOR EACH ROW EXECUTE FUNCTION guard_schedule();

CREATE TABLE job_run (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL,
    schedule_id uuid NOT NULL,
    fire_at timestamptz NOT NULL,
    -- The schedule's at the time: a run that is tried again does what it was to do.
    job_kind text NOT NULL
        CHECK (job_kind IN ('shift_open', 'shift_close', 'rollup_recompute', 'rollup_verify', 'deadline_sweep', 'retention_prune')),
    params jsonb NOT NULL CHECK (jsonb_typeof(params) = 'object'),
    manual boolean NOT NULL DEFAULT false,
    requested_by uuid,
    status text NOT NULL CHECK (status IN ('queued', 'running', 'retrying', 'succeeded', 'dead', 'skipped')),
    attempt int NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    max_attempts int NOT NULL CHECK (max_attempts >= 1),
    -- By this server's clock, as all that a lease is about.
    due_at timestamptz NOT NULL,
    lease_owner text CHECK (lease_owner <> '' AND length(lease_owner) <= 120),
    lease_term bigint,
    leased_until timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    done bigint NOT NULL DEFAULT 0 CHECK (done >= 0),
    total bigint NOT NULL DEFAULT 0 CHECK (total >= 0),
    outcome jsonb,
    error text CHECK (length(error) <= 2000),
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (casino_id, id),
    -- Each firing once, whatever the number of daemons.
    CONSTRAINT job_run_once UNIQUE (schedule_id, fire_at),
    FOREIGN KEY (casino_id, schedule_id) REFERENCES schedule (casino_id, id),
    FOREIGN KEY (casino_id, requested_by) REFERENCES staff (casino_id, id),
    CONSTRAINT job_run_by_hand_has_hand CHECK (manual OR requested_by IS NULL),
    CONSTRAINT job_run_running_is_leased CHECK ((status = 'running') = (leased_until IS NOT NULL)),
    CONSTRAINT job_run_lease_is_whole CHECK ((lease_owner IS NULL) = (lease_term IS NULL) AND (leased_until IS NULL OR lease_term IS NOT NULL)),
    CONSTRAINT job_run_ended_has_end CHECK ((status IN ('succeeded', 'dead', 'skipped')) = (finished_at IS NOT NULL))
) WITH (
    fillfactor = 80,
    -- Each row is written, taken, kept and ended: the dead rows must go at the pace of the firings, not of the table's size.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 500,
    autovacuum_analyze_scale_factor = 0.02
);
-- Of one schedule one run at a time, whatever its overlap says: here it has the last word.
CREATE UNIQUE INDEX job_run_one_at_a_time ON job_run (schedule_id) WHERE status = 'running';
CREATE INDEX job_run_unfinished ON job_run (schedule_id, fire_at) WHERE status IN ('queued', 'retrying', 'running');
CREATE INDEX job_run_leased ON job_run (leased_until) WHERE status = 'running';
CREATE INDEX job_run_by_casino ON job_run (casino_id, id);
CREATE INDEX job_run_by_status ON job_run (casino_id, status, id);
CREATE INDEX job_run_by_schedule ON job_run (schedule_id, id);
CREATE INDEX job_run_by_age ON job_run (casino_id, finished_at) WHERE status IN ('succeeded', 'skipped');

SELECT fence('job_run');
-- No UPDATE: a run's status is written by the functions below alone. DELETE is for runs past their time.
GRANT SELECT, INSERT, DELETE ON job_run TO rundown_app;

-- The moves of a run. From running to queued a daemon gives it back because it stops; from dead to queued a person sends it back.
CREATE FUNCTION job_run_may_move(origin text, target text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE origin
    WHEN 'queued' THEN target = 'running'
    WHEN 'retrying' THEN target = 'running'
    WHEN 'running' THEN target IN ('queued', 'retrying', 'succeeded', 'dead')
    WHEN 'dead' THEN target = 'queued'
    ELSE false END;

CREATE FUNCTION guard_job_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.status NOT IN ('succeeded', 'skipped') THEN
            PERFORM refused(TG_TABLE_NAME, 'RD001', 'job_run_ended_well', 'only a run that ended well goes away');
        END IF;
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.status NOT IN ('queued', 'skipped') THEN
            PERFORM refused(TG_TABLE_NAME, 'RD004', 'job_run_begins_queued', 'a run begins as queued or skipped');
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.id, NEW.casino_id, NEW.schedule_id, NEW.fire_at, NEW.job_kind, NEW.params, NEW.manual, NEW.requested_by, NEW.created_at)
        IS DISTINCT FROM
       (OLD.id, OLD.casino_id, OLD.schedule_id, OLD.fire_at, OLD.job_kind, OLD.params, OLD.manual, OLD.requested_by, OLD.created_at) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'job_run_is_itself', 'what a run is, is written once');
    END IF;
    IF NEW.status <> OLD.status AND NOT job_run_may_move(OLD.status, NEW.status) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD004', 'job_run_may_move', format('%s to %s is no move of a run', OLD.status, NEW.status));
    END IF;
    IF (NEW.lease_owner, NEW.lease_term) IS DISTINCT FROM (OLD.lease_owner, OLD.lease_term) AND NEW.lease_term <= OLD.lease_term THEN
        PERFORM refused(TG_TABLE_NAME, 'RD004', 'job_run_term_rises', 'the term rises with every lease');
    END IF;
    IF NEW.version < OLD.version OR (NEW.version = OLD.version AND NEW.status <> OLD.status) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD005', 'version_rises', 'the version rises with every change');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON job_run FOR EACH ROW EXECUTE FUNCTION guard_job_run();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON job_run FOR EACH STATEMENT EXECUTE FUNCTION refuse('RD001', 'rows are never deleted');

-- A run asked for by hand, at the first microsecond from `told` on at which nothing of the schedule fires. With the caller's rights: the
-- schedule is one of the caller's casino, or there is none.
CREATE FUNCTION clock_ask(casino uuid, schedule_of uuid, run uuid, asked_by uuid, told timestamptz) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    s schedule;
    made job_run;
    moment timestamptz := told;
BEGIN
    -- Locked as planning locks it: nobody else gives away a time of this schedule meanwhile.
    SELECT * INTO s FROM schedule AS x WHERE x.casino_id = casino AND x.id = schedule_of FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    WHILE EXISTS (SELECT FROM job_run AS r WHERE r.schedule_id = s.id AND r.fire_at = moment) LOOP
        moment := moment + interval '1 microsecond';
    END LOOP;
    INSERT INTO job_run (id, casino_id, schedule_id, fire_at, job_kind, params, manual, requested_by, status, max_attempts, due_at, created_at)
    VALUES (run, s.casino_id, s.id, moment, s.job_kind, s.params, true, asked_by, 'queued', s.max_attempts, clock_timestamp(), told)
    RETURNING * INTO made;
    RETURN to_jsonb(made);
END $$;

-- ---------------------------------------------------------------------------------------------------------------------
-- What a daemon asks. A timetable knows no tenant: one question a second serves all casinos, or a hundred of them would cost a hundred
-- questions. So these functions run with the owner's rights and step over the fence, for these two tables and nothing else. They
-- hand out when something fires and which run to take; the job itself then stands inside one casino like everybody.

CREATE POLICY clockwork ON schedule TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY clockwork ON job_run TO CURRENT_USER USING (true) WITH CHECK (true);

-- One poll: the daemon's leases go on, free slots are filled, and it hears what is to be planned.
--   ask: owner, at (the casino's time), lease_ms, want (free slots), held [{id, term}]
--   answer: taken (runs with their new leases), lost (held ids that are no longer its own), due (schedules to plan), next_fire_at
CREATE FUNCTION clock_poll(ask jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    present CONSTANT timestamptz := clock_timestamp();
    told CONSTANT timestamptz := (ask->>'at')::timestamptz;
    lease CONSTANT interval := make_interval(secs => (ask->>'lease_ms')::double precision / 1000);
    want CONSTANT int := (ask->>'want')::int;
    -- More are planned by the next poll, which follows at once: between them leases go on, however much there is to make up for.
    most_planned CONSTANT int := 20;
    lost jsonb := '[]';
    taken jsonb := '[]';
BEGIN
    IF jsonb_array_length(ask->'held') > 0 THEN
        -- A third of the lease is a heartbeat: sooner, it would only be written for nothing. A row that its own job is writing is left to it.
        UPDATE job_run AS r SET leased_until = present + lease
          FROM (SELECT r.id FROM jsonb_to_recordset(ask->'held') AS h (id uuid, term bigint)
                  JOIN job_run AS r ON r.id = h.id AND r.lease_owner = ask->>'owner' AND r.lease_term = h.term
                 WHERE r.status = 'running' AND r.leased_until < present + lease * 2 / 3
                   FOR NO KEY UPDATE OF r SKIP LOCKED) AS mine
         WHERE r.id = mine.id;
        SELECT COALESCE(jsonb_agg(h.id), '[]') INTO lost FROM jsonb_to_recordset(ask->'held') AS h (id uuid, term bigint)
         WHERE NOT EXISTS (SELECT FROM job_run AS r
                            WHERE r.id = h.id AND r.status = 'running' AND r.lease_owner = ask->>'owner' AND r.lease_term = h.term);
    END IF;

    IF want > 0 THEN
        -- What takes its daemon down with it every time must end too.
        UPDATE job_run SET status = 'dead', leased_until = NULL, finished_at = told, version = version + 1,
               error = 'the daemon that ran it died, and no attempt is left'
         WHERE id IN (SELECT r.id FROM job_run AS r WHERE r.status = 'running' AND r.leased_until <= present AND r.attempt >= r.max_attempts
                         FOR NO KEY UPDATE SKIP LOCKED);
        BEGIN
            WITH RECURSIVE head AS (
                -- The oldest unfinished run of each schedule, from schedule to schedule by the index: a long queue costs no more than a short one.
                (SELECT r.schedule_id, r.id FROM job_run AS r WHERE r.status IN ('queued', 'retrying', 'running')
                  ORDER BY r.schedule_id, r.fire_at LIMIT 1)
                UNION ALL
                SELECT beyond.schedule_id, beyond.id FROM head CROSS JOIN LATERAL (
                    SELECT r.schedule_id, r.id FROM job_run AS r
                     WHERE r.status IN ('queued', 'retrying', 'running') AND r.schedule_id > head.schedule_id
                     ORDER BY r.schedule_id, r.fire_at LIMIT 1) AS beyond
            ), orphan AS MATERIALIZED (
                SELECT r.id FROM job_run AS r WHERE r.status = 'running' AND r.leased_until <= present
                 ORDER BY r.leased_until LIMIT want FOR NO KEY UPDATE SKIP LOCKED
            ), ready AS MATERIALIZED (
                SELECT r.id FROM job_run AS r
                 WHERE r.id IN (SELECT head.id FROM head) AND r.status IN ('queued', 'retrying') AND r.due_at <= present
                   AND NOT EXISTS (SELECT FROM job_run AS other WHERE other.schedule_id = r.schedule_id AND other.status = 'running')
                 ORDER BY r.due_at, r.fire_at, r.id LIMIT want FOR NO KEY UPDATE OF r SKIP LOCKED
            ), mine AS (
                UPDATE job_run AS r SET
                    status = 'running', attempt = r.attempt + 1, lease_owner = ask->>'owner', lease_term = nextval('job_lease_term'),
                    leased_until = present + lease, started_at = told, version = r.version + 1
                 WHERE r.id IN (SELECT chosen.id FROM (SELECT orphan.id FROM orphan UNION ALL SELECT ready.id FROM ready) AS chosen LIMIT want)
                   AND (r.status IN ('queued', 'retrying') OR (r.status = 'running' AND r.leased_until <= present))
                RETURNING r.*
            )
            SELECT COALESCE(jsonb_agg(to_jsonb(mine) ORDER BY mine.fire_at), '[]') INTO taken FROM mine;
        EXCEPTION WHEN unique_violation THEN
            -- Another daemon took a run of the same schedule at this very moment. Whatever is left is there for the next poll.
            taken := '[]';
        END;
    END IF;

    RETURN jsonb_build_object(
        'taken', taken,
        'lost', lost,
        'due', COALESCE((SELECT jsonb_agg(to_jsonb(d)) FROM (
                   SELECT * FROM schedule AS s WHERE s.next_fire_at <= told ORDER BY s.next_fire_at, s.id LIMIT most_planned) AS d), '[]'),
        'next_fire_at', (SELECT min(s.next_fire_at) FROM schedule AS s WHERE s.next_fire_at > told));
END $$;

-- Turns firings into runs. Whoever finds the schedule as it was read moves it on; a second daemon with the same plan changes nothing.
--   plans: [{id, version, was, next, missed, firings [{id, at}]}]
--   answer: the ids of the schedules moved on
CREATE FUNCTION clock_plan(plans jsonb, told timestamptz) RETURNS uuid[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    plan record;
    s schedule;
    moved uuid[] := '{}';
BEGIN
    -- In id order, so that two daemons cannot wait for each other.
    FOR plan IN SELECT * FROM jsonb_to_recordset(plans)
                    AS p (id uuid, version bigint, was timestamptz, next timestamptz, missed bigint, firings jsonb) ORDER BY p.id
    LOOP
        UPDATE schedule SET next_fire_at = plan.next, missed_firings = missed_firings + plan.missed
         WHERE id = plan.id AND version = plan.version AND next_fire_at = plan.was
        RETURNING * INTO s;
        CONTINUE WHEN NOT FOUND;
        moved := moved || s.id;
        -- The overlap is asked once: firings that are made up for together wait for each other.
        INSERT INTO job_run (id, casino_id, schedule_id, fire_at, job_kind, params, status, max_attempts, due_at, finished_at, error, created_at)
        SELECT f.id, s.casino_id, s.id, f.at, s.job_kind, s.params, CASE WHEN o.overlaps THEN 'skipped' ELSE 'queued' END, s.max_attempts,
               clock_timestamp(), CASE WHEN o.overlaps THEN told END,
               CASE WHEN o.overlaps THEN 'an earlier run of the schedule had not ended' END, told
          FROM jsonb_to_recordset(plan.firings) AS f (id uuid, at timestamptz)
         CROSS JOIN (SELECT s.overlap = 'skip' AND EXISTS (
                        SELECT FROM job_run AS r WHERE r.schedule_id = s.id AND r.status IN ('queued', 'retrying', 'running')) AS overlaps) AS o
        ON CONFLICT ON CONSTRAINT job_run_once DO NOTHING;
    END LOOP;
    RETURN moved;
END $$;

-- What a job's transactions begin with: from here to its end nobody takes the run over, and a run that was taken over ends it here. So what a
-- job writes is written under its lease, be it a run's progress or a session's state.
CREATE FUNCTION clock_hold(lease jsonb) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM FROM job_run AS r
      WHERE r.id = (lease->>'run_id')::uuid AND r.status = 'running'
        AND r.lease_owner = lease->>'owner' AND r.lease_term = (lease->>'term')::bigint
      FOR SHARE;
    IF NOT FOUND THEN
        PERFORM refused('job_run', 'RD008', 'job_run_lease', 'the lease is another''s');
    END IF;
END $$;

-- How far a run is. A sign of life too. False: the lease is somebody else's.
CREATE FUNCTION clock_advance(run uuid, owner text, term bigint, p_done bigint, p_total bigint, lease_ms bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE job_run SET done = p_done, total = p_total, version = version + 1,
           leased_until = clock_timestamp() + make_interval(secs => lease_ms::double precision / 1000)
     WHERE id = run AND status = 'running' AND lease_owner = owner AND lease_term = term;
    RETURN FOUND;
END $$;

-- The end of an attempt. Answers the run's status, or nothing where the lease is somebody else's.
--   ask: run, owner, term, at, ended (succeeded | failed | given_back), outcome, error, pause_ms
CREATE FUNCTION clock_settle(ask jsonb) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    ended CONSTANT text := ask->>'ended';
    told CONSTANT timestamptz := (ask->>'at')::timestamptz;
    became text;
BEGIN
    UPDATE job_run AS r SET
        status = CASE WHEN ended = 'succeeded' THEN 'succeeded' WHEN ended = 'given_back' THEN 'queued'
                      WHEN r.attempt >= r.max_attempts THEN 'dead' ELSE 'retrying' END,
        -- A stop of the daemon is nobody's failure.
        attempt = r.attempt - CASE WHEN ended = 'given_back' THEN 1 ELSE 0 END,
        leased_until = NULL,
        due_at = clock_timestamp() + make_interval(secs => COALESCE((ask->>'pause_ms')::double precision, 0) / 1000),
        finished_at = CASE WHEN ended = 'succeeded' OR (ended = 'failed' AND r.attempt >= r.max_attempts) THEN told END,
        outcome = CASE WHEN ended = 'succeeded' THEN COALESCE(ask->'outcome', 'null') END,
        error = CASE ended WHEN 'failed' THEN left(ask->>'error', 2000) WHEN 'given_back' THEN r.error END,
        version = r.version + 1
     WHERE r.id = (ask->>'run')::uuid AND r.status = 'running' AND r.lease_owner = ask->>'owner' AND r.lease_term = (ask->>'term')::bigint
       AND ended IN ('succeeded', 'failed', 'given_back')
    RETURNING r.status INTO became;
    RETURN became;
END $$;

-- A person sends a dead run back, with as many new attempts as its schedule gives. The tenant context says whose; nothing comes back where
-- the run is not dead.
CREATE FUNCTION clock_send_back(run uuid) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    sent job_run;
BEGIN
    UPDATE job_run AS r SET status = 'queued', max_attempts = r.attempt + s.max_attempts, due_at = clock_timestamp(), finished_at = NULL,
           version = r.version + 1
      FROM schedule AS s
     WHERE r.id = run AND r.status = 'dead' AND s.casino_id = r.casino_id AND s.id = r.schedule_id
       AND r.casino_id = NULLIF(current_setting('app.casino_id', true), '')::uuid
    RETURNING r.* INTO sent;
    RETURN CASE WHEN sent.id IS NOT NULL THEN to_jsonb(sent) END;
END $$;

REVOKE EXECUTE ON FUNCTION clock_poll(jsonb), clock_plan(jsonb, timestamptz), clock_hold(jsonb),
    clock_advance(uuid, text, bigint, bigint, bigint, bigint), clock_settle(jsonb), clock_send_back(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION clock_poll(jsonb), clock_plan(jsonb, timestamptz), clock_hold(jsonb),
    clock_advance(uuid, text, bigint, bigint, bigint, bigint), clock_settle(jsonb), clock_send_back(uuid) TO rundown_app;
