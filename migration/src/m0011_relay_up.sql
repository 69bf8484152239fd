-- The relay: events become the stored feed, in one statement (domain §13).
--
-- Publishing an event is giving it its `seq`, gapless within its casino, and the time. That is all: whoever tells the world (live streams,
-- webhooks, NATS) reads the stored feed from a place of its own and never writes here. So there is nothing between publishing and
-- marking where a daemon could die, and an event is published once, whatever the number of daemons.
--
-- Order: `position` says in which order events were written. Two commands that touch one thing wait for each other's locks, so what was
-- written later about it has the later position and becomes visible later; the row lock on event_feed makes publishers of one casino take
-- turns. An event whose command commits late gets a late seq: no reader that has passed a seq ever misses one before it.
--
-- Two clocks, as in m0005: published_at and dead_at are the casino's time, next_attempt_at is this server's own.

ALTER TABLE outbox
    ADD COLUMN next_attempt_at timestamptz,
    ADD COLUMN dead_at timestamptz,
    ADD COLUMN last_error text CHECK (length(last_error) <= 2000),
    DROP CONSTRAINT outbox_published_has_seq,
    ADD CONSTRAINT outbox_published_has_seq CHECK ((published_at IS NULL) = (seq IS NULL)),
    ADD CONSTRAINT outbox_dead_is_unpublished CHECK (dead_at IS NULL OR (published_at IS NULL AND next_attempt_at IS NULL)),
    ADD CONSTRAINT outbox_waits_unpublished CHECK (next_attempt_at IS NULL OR published_at IS NULL);

-- Three queues instead of one: events nobody has failed at, events that wait (for another attempt, or behind one that does), dead letters. A heap
-- of the second or third kind costs the first nothing.
DROP INDEX outbox_unpublished;
CREATE INDEX outbox_fresh ON outbox (casino_id, position) WHERE published_at IS NULL AND dead_at IS NULL AND next_attempt_at IS NULL;
CREATE INDEX outbox_retrying ON outbox (casino_id, aggregate_id, position) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX outbox_retrying_due ON outbox (next_attempt_at, position) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX outbox_dead ON outbox (casino_id, id) WHERE dead_at IS NOT NULL;
-- A detail channel is one resource's: its history is found without walking through the casino's.
CREATE INDEX outbox_by_resource ON outbox (casino_id, aggregate_id, seq) WHERE seq IS NOT NULL;

-- From now on the functions below are the only way to publish, and nothing is born published.
REVOKE UPDATE (seq, published_at, attempts) ON outbox FROM rundown_app;
REVOKE INSERT ON outbox FROM rundown_app;
GRANT INSERT (id, casino_id, event, schema_version, aggregate_id, channels, payload, correlation_id, created_at) ON outbox TO rundown_app;

CREATE FUNCTION guard_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.published_at IS NULL THEN
            PERFORM refused(TG_TABLE_NAME, 'RD001', 'outbox_told_first', 'an event goes away only after it was published');
        END IF;
        RETURN OLD;
    END IF;
    IF OLD.published_at IS NOT NULL THEN
        PERFORM refused(TG_TABLE_NAME, 'RD006', 'outbox_published_is_final', 'a published event never changes');
    END IF;
    IF (NEW.id, NEW.casino_id, NEW.position, NEW.event, NEW.schema_version, NEW.aggregate_id, NEW.channels, NEW.payload, NEW.correlation_id, NEW.created_at)
        IS DISTINCT FROM
       (OLD.id, OLD.casino_id, OLD.position, OLD.event, OLD.schema_version, OLD.aggregate_id, OLD.channels, OLD.payload, OLD.correlation_id, OLD.created_at) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'outbox_is_itself', 'what an event says is written once');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON outbox FOR EACH ROW EXECUTE FUNCTION guard_outbox();

-- How far each casino's feed goes. Its row lock is what makes publishers take turns, and what leaves no gap.
CREATE TABLE event_feed (
    casino_id uuid PRIMARY KEY REFERENCES casino (id),
    last_seq bigint NOT NULL DEFAULT 0 CHECK (last_seq >= 0)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

SELECT fence('event_feed');
SELECT never_deleted('event_feed');
GRANT SELECT ON event_feed TO rundown_app;

CREATE FUNCTION guard_event_feed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.casino_id <> OLD.casino_id OR NEW.last_seq <= OLD.last_seq THEN
        PERFORM refused(TG_TABLE_NAME, 'RD004', 'event_feed_goes_on', 'a feed only goes on');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON event_feed FOR EACH ROW EXECUTE FUNCTION guard_event_feed();

-- ---------------------------------------------------------------------------------------------------------------------
-- What a daemon's relay asks. Like the clock it knows no tenant: one question serves all casinos. So these functions run with the owner's
-- rights and step over the fence, for these two tables and nothing else.

CREATE POLICY relay ON outbox TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY relay ON event_feed TO CURRENT_USER USING (true) WITH CHECK (true);

-- What may be published now, in order, and how far every feed goes. Locks nothing and changes nothing.
--   how_many: at most so many of one casino
--   answer: events [{id, casino_id, aggregate_id, event, schema_version, payload, channels, correlation_id, attempts, waited, created_at}],
--           behind [ids], heads [{casino_id, last_seq}], next_attempt_ms until the first event that waits is due, null where none does
-- An event stays behind while an earlier one of the same resource waits for its next attempt. Behind a dead letter nothing waits. What is found behind
-- such a one is shown once, to be put off as long: a thousand events behind a failure must not be walked over again at every look.
-- In plpgsql, and with one plan for every number: asked hundreds of times a second, it must not be planned each time. By the indexes alone: the
-- plan may be made while the table is empty, and stays.
CREATE FUNCTION relay_look(how_many int) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    at CONSTANT timestamptz := clock_timestamp();
BEGIN
    RETURN (
    WITH RECURSIVE waiting AS (
        -- From casino to casino by the index: a long queue costs no more than a short one.
        (SELECT o.casino_id FROM outbox AS o WHERE o.published_at IS NULL AND o.dead_at IS NULL AND o.next_attempt_at IS NULL
          ORDER BY o.casino_id LIMIT 1)
        UNION ALL
        SELECT beyond.casino_id FROM waiting CROSS JOIN LATERAL (
            SELECT o.casino_id FROM outbox AS o
             WHERE o.published_at IS NULL AND o.dead_at IS NULL AND o.next_attempt_at IS NULL AND o.casino_id > waiting.casino_id
             ORDER BY o.casino_id LIMIT 1) AS beyond
    ), candidate AS (
        SELECT fresh.* FROM waiting CROSS JOIN LATERAL (
            SELECT o.* FROM outbox AS o
             WHERE o.casino_id = waiting.casino_id AND o.published_at IS NULL AND o.dead_at IS NULL AND o.next_attempt_at IS NULL
             ORDER BY o.position LIMIT how_many) AS fresh
        UNION ALL
        (SELECT r.* FROM outbox AS r WHERE r.next_attempt_at <= at ORDER BY r.next_attempt_at, r.position LIMIT how_many)
    ), seen AS (
        -- With the first of its resource that waits before it: the one that failed, or where that is gone, one that was put off behind it.
        SELECT c.*, ahead.next_attempt_at AS ahead_at, ahead.attempts AS ahead_attempts
          FROM candidate AS c LEFT JOIN LATERAL (
            SELECT w.next_attempt_at, w.attempts FROM outbox AS w
             WHERE w.next_attempt_at IS NOT NULL AND w.casino_id = c.casino_id AND w.aggregate_id = c.aggregate_id AND w.position < c.position
             ORDER BY w.position LIMIT 1) AS ahead ON true
    )
    SELECT jsonb_build_object(
        'events', COALESCE((SELECT jsonb_agg(jsonb_build_object(
                        'id', e.id, 'casino_id', e.casino_id, 'aggregate_id', e.aggregate_id, 'event', e.event, 'schema_version', e.schema_version,
                        'payload', e.payload, 'channels', e.channels, 'correlation_id', e.correlation_id, 'attempts', e.attempts,
                        'waited', e.next_attempt_at IS NOT NULL, 'created_at', e.created_at)
                        ORDER BY e.casino_id, e.position) FROM seen AS e
                        WHERE e.ahead_at IS NULL OR (e.ahead_attempts = 0 AND e.ahead_at <= e.next_attempt_at)), '[]'),
        -- One that is due before what it waits behind is put off too, or it could stand before it for ever.
        'behind', COALESCE((SELECT jsonb_agg(e.id) FROM seen AS e WHERE e.ahead_at > COALESCE(e.next_attempt_at, at)), '[]'),
        'heads', COALESCE((SELECT jsonb_agg(to_jsonb(f)) FROM event_feed AS f), '[]'),
        'next_attempt_ms', (SELECT GREATEST(0, ceil(extract(epoch FROM r.next_attempt_at - clock_timestamp()) * 1000))::bigint
                              FROM outbox AS r WHERE r.next_attempt_at IS NOT NULL ORDER BY r.next_attempt_at LIMIT 1)));
END $$;

-- Publishes what was judged sound, and writes down what was not.
--   ask: at, by, sound [{id, casino_id}], unsound [{id, error, pause_ms, dies}], behind [ids]
--   answer: published [{casino_id, last_seq, events}], busy (some casino's feed was another's at this moment), dead [ids]
CREATE FUNCTION relay_publish(ask jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    told CONSTANT timestamptz := (ask->>'at')::timestamptz;
    batch record;
    head bigint;
    stamped bigint;
    published jsonb := '[]';
    busy boolean := false;
    dead jsonb := '[]';
BEGIN
    -- In id order, so that two daemons cannot wait for each other; they need not wait at all.
    FOR batch IN SELECT s.casino_id AS casino, array_agg(s.id) AS ids
                   FROM jsonb_to_recordset(ask->'sound') AS s (id uuid, casino_id uuid) GROUP BY s.casino_id ORDER BY s.casino_id
    LOOP
        SELECT f.last_seq INTO head FROM event_feed AS f WHERE f.casino_id = batch.casino FOR UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            INSERT INTO event_feed AS f (casino_id) VALUES (batch.casino) ON CONFLICT ON CONSTRAINT event_feed_pkey DO NOTHING
            RETURNING f.last_seq INTO head;
            IF NOT FOUND THEN
                busy := true;
                CONTINUE;
            END IF;
        END IF;
        -- A statement of its own, after the lock: it sees what the publisher before has done.
        UPDATE outbox AS o SET seq = head + mine.place, published_at = told, next_attempt_at = NULL
          FROM (SELECT x.id, row_number() OVER (ORDER BY x.position) AS place FROM outbox AS x
                 WHERE x.id = ANY (batch.ids) AND x.casino_id = batch.casino AND x.published_at IS NULL AND x.dead_at IS NULL) AS mine
         WHERE o.id = mine.id;
        GET DIAGNOSTICS stamped = ROW_COUNT;
        CONTINUE WHEN stamped = 0;
        UPDATE event_feed SET last_seq = head + stamped WHERE casino_id = batch.casino;
        published := published || jsonb_build_object('casino_id', batch.casino, 'last_seq', head + stamped, 'events', stamped);
        -- For the other daemons, once a batch and casino: a hint, sent with the commit. Whoever misses it finds the feed longer at its next look.
        PERFORM pg_notify('rundown_feed', concat_ws(' ', batch.casino, head + stamped, ask->>'by'));
    END LOOP;

    WITH fallen AS (
        UPDATE outbox AS o SET
            attempts = o.attempts + 1, last_error = left(u.error, 2000),
            dead_at = CASE WHEN u.dies THEN told END,
            next_attempt_at = CASE WHEN NOT u.dies THEN clock_timestamp() + make_interval(secs => u.pause_ms::double precision / 1000) END
          FROM jsonb_to_recordset(ask->'unsound') AS u (id uuid, attempts int, error text, pause_ms bigint, dies boolean)
         -- The attempt that was judged: a second daemon with the same bad news does not count it twice.
         WHERE o.id = u.id AND o.attempts = u.attempts AND o.published_at IS NULL AND o.dead_at IS NULL
        RETURNING o.id, o.casino_id, o.aggregate_id, o.position, o.next_attempt_at, o.dead_at
    ), put_off AS (
        -- What waits behind it waits as long: all that wait of one resource are due at one time, and so go in the order of writing.
        UPDATE outbox AS w SET next_attempt_at = f.next_attempt_at FROM fallen AS f
         WHERE f.next_attempt_at IS NOT NULL AND w.next_attempt_at IS NOT NULL
           AND w.casino_id = f.casino_id AND w.aggregate_id = f.aggregate_id AND w.position > f.position
    )
    SELECT COALESCE(jsonb_agg(fallen.id) FILTER (WHERE fallen.dead_at IS NOT NULL), '[]') INTO dead FROM fallen;
    -- Until when, what is ahead says now, and not what it said at the look. Another daemon may be doing the same.
    IF ask->'behind' <> '[]' THEN
        UPDATE outbox AS o SET next_attempt_at = b.until
          FROM (SELECT x.id, (SELECT w.next_attempt_at FROM outbox AS w
                               WHERE w.next_attempt_at IS NOT NULL AND w.casino_id = x.casino_id AND w.aggregate_id = x.aggregate_id
                                 AND w.position < x.position ORDER BY w.position LIMIT 1) AS until
                  FROM outbox AS x
                 WHERE x.id = ANY (ARRAY(SELECT jsonb_array_elements_text(ask->'behind')::uuid)) AND x.published_at IS NULL AND x.dead_at IS NULL
                 ORDER BY x.id FOR UPDATE SKIP LOCKED) AS b
         WHERE o.id = b.id AND (o.next_attempt_at IS NULL OR o.next_attempt_at < b.until);
    END IF;
    RETURN jsonb_build_object('published', published, 'busy', busy, 'dead', dead);
END $$;

-- A person sends a dead letter back: it is tried anew, and gets the seq of its turn. The tenant context says whose; nothing comes back where the
-- event is not dead.
CREATE FUNCTION relay_redrive(event_id uuid) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    sent outbox;
BEGIN
    UPDATE outbox AS o SET dead_at = NULL, attempts = 0
     WHERE o.id = event_id AND o.dead_at IS NOT NULL AND o.casino_id = NULLIF(current_setting('app.casino_id', true), '')::uuid
    RETURNING o.* INTO sent;
    RETURN CASE WHEN sent.id IS NOT NULL THEN to_jsonb(sent) END;
END $$;

-- How much waits, and since when: what is watched. Of each queue at most `most` are counted: beyond it the number says "far too many", and asking
-- costs no more.
CREATE FUNCTION relay_depth(most int) RETURNS jsonb LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH RECURSIVE oldest AS (
        -- The first of each casino, from casino to casino by the index: what was written first waits longest.
        (SELECT o.casino_id, o.created_at FROM outbox AS o WHERE o.published_at IS NULL AND o.dead_at IS NULL AND o.next_attempt_at IS NULL
          ORDER BY o.casino_id, o.position LIMIT 1)
        UNION ALL
        SELECT beyond.casino_id, beyond.created_at FROM oldest CROSS JOIN LATERAL (
            SELECT o.casino_id, o.created_at FROM outbox AS o
             WHERE o.published_at IS NULL AND o.dead_at IS NULL AND o.next_attempt_at IS NULL AND o.casino_id > oldest.casino_id
             ORDER BY o.casino_id, o.position LIMIT 1) AS beyond
    ), retrying AS (
        SELECT o.created_at FROM outbox AS o WHERE o.next_attempt_at IS NOT NULL LIMIT most
    )
    SELECT jsonb_build_object(
        'fresh', (SELECT count(*) FROM (SELECT FROM outbox AS o
                   WHERE o.published_at IS NULL AND o.dead_at IS NULL AND o.next_attempt_at IS NULL LIMIT most) AS counted),
        'retrying', (SELECT count(*) FROM retrying),
        'dead', (SELECT count(*) FROM (SELECT FROM outbox AS o WHERE o.dead_at IS NOT NULL LIMIT most) AS counted),
        'oldest', (SELECT min(waits.created_at) FROM (SELECT o.created_at FROM oldest AS o UNION ALL SELECT r.created_at FROM retrying AS r) AS waits))
$$;

-- ---------------------------------------------------------------------------------------------------------------------
-- What a sink asks, with the caller's rights: the casino is set as the tenant of this one statement, and the fence stands.

CREATE FUNCTION feed_after(casino uuid, after bigint, how_many int) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.casino_id', casino::text, true);
    RETURN (SELECT COALESCE(jsonb_agg(to_jsonb(e) ORDER BY e.seq), '[]') FROM (
                SELECT o.seq, o.id AS event_id, o.casino_id, o.event, o.aggregate_id, o.channels, o.schema_version, o.correlation_id, o.payload,
                       o.created_at, o.published_at
                  FROM outbox AS o WHERE o.casino_id = casino AND o.seq > after ORDER BY o.seq LIMIT how_many) AS e);
END $$;

-- Where a casino's feed begins and ends; its first seq is not 1 where old events were pruned.
CREATE FUNCTION feed_bounds(casino uuid) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.casino_id', casino::text, true);
    RETURN jsonb_build_object(
        'last_seq', COALESCE((SELECT f.last_seq FROM event_feed AS f WHERE f.casino_id = casino), 0),
        'first_seq', (SELECT min(o.seq) FROM outbox AS o WHERE o.casino_id = casino AND o.seq IS NOT NULL));
END $$;

-- Of these people, how each stands now: a stream is its reader's as long as the staff row says so.
CREATE FUNCTION feed_readers(casino uuid, people uuid[]) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.casino_id', casino::text, true);
    RETURN (SELECT COALESCE(jsonb_agg(jsonb_build_object('id', s.id, 'role', s.role, 'subject', s.external_subject)), '[]')
              FROM staff AS s WHERE s.casino_id = casino AND s.id = ANY (people) AND s.status = 'active');
END $$;

-- A hint that somebody's standing changed. It happens a few times a day, so the lock that a notification takes at the commit harms nobody.
CREATE FUNCTION tell_standing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('rundown_staff', NEW.casino_id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER tell_standing AFTER UPDATE ON staff FOR EACH ROW
    WHEN ((OLD.role, OLD.status, OLD.external_subject) IS DISTINCT FROM (NEW.role, NEW.status, NEW.external_subject))
    EXECUTE FUNCTION tell_standing();

REVOKE EXECUTE ON FUNCTION relay_look(int), relay_publish(jsonb), relay_redrive(uuid), relay_depth(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION relay_look(int), relay_publish(jsonb), relay_redrive(uuid), relay_depth(int) TO rundown_app;
