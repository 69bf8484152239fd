-- Sinks: who follows the stored feed of published events, and how far each has come (domain §13).
--
-- A sink owns a cursor a casino and nothing of the outbox. It moves the cursor after the event was taken, so a daemon that dies in between
-- sends an event twice, under the same id, and never loses one. No transaction is open while the network is waited for: a lease, like
-- a run's in m0005, says whose turn it is, by this server's clock. Every write of a turn names its owner and term in its WHERE.

CREATE SEQUENCE sink_term;

CREATE TABLE webhook (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL REFERENCES casino (id),
    url text NOT NULL CHECK (url <> '' AND length(url) <= 2000),
    description text CHECK (btrim(description) <> '' AND length(description) <= 200),
    -- None: every event, on whatever channel.
    events text[] CHECK (cardinality(events) BETWEEN 1 AND 64 AND array_position(events, NULL) IS NULL),
    channels text[] CHECK (cardinality(channels) BETWEEN 1 AND 64 AND array_position(channels, NULL) IS NULL),
    created_by uuid NOT NULL,
    -- When the secret in use was made. The secret itself is not here.
    secret_since timestamptz NOT NULL,
    -- Everything up to here was taken by the receiver, or was not for it.
    cursor_seq bigint NOT NULL CHECK (cursor_seq >= 0),
    delivered_at timestamptz,
    failures int NOT NULL DEFAULT 0 CHECK (failures >= 0),
    -- The first of the failures since the last delivery.
    failing_since timestamptz,
    -- By this server's clock, as the lease is.
    next_attempt_at timestamptz,
    disabled_at timestamptz,
    disabled_reason text CHECK (disabled_reason IN ('by_hand', 'gone', 'failing')),
    lease_owner text CHECK (lease_owner <> '' AND length(lease_owner) <= 120),
    lease_term bigint,
    leased_until timestamptz,
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (casino_id, id),
    FOREIGN KEY (casino_id, created_by) REFERENCES staff (casino_id, id),
    CONSTRAINT webhook_disabled_has_reason CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL)),
    CONSTRAINT webhook_failing_has_failed CHECK ((failures > 0) = (failing_since IS NOT NULL)),
    CONSTRAINT webhook_lease_is_whole CHECK ((lease_owner IS NULL) = (lease_term IS NULL) AND (leased_until IS NULL OR lease_term IS NOT NULL))
) WITH (
    fillfactor = 50,
    -- A few rows, each written with every delivery: its dead versions must not outnumber the living by thousands.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 500
);
CREATE INDEX webhook_by_casino ON webhook (casino_id, id);

SELECT fence('webhook');
-- The cursor may be set once, at the casino's head; from then on the functions below move it.
GRANT SELECT, INSERT, DELETE,
    UPDATE (url, description, events, channels, secret_since, failures, failing_since, next_attempt_at, disabled_at, disabled_reason, version)
ON webhook TO rundown_app;

-- The version is what people see changed of it. Deliveries move the cursor without making it another webhook: an ETag that every event
-- spoils would be good for nothing.
CREATE FUNCTION guard_webhook() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sending CONSTANT text[] := '{cursor_seq,delivered_at,failures,failing_since,next_attempt_at,lease_owner,lease_term,leased_until,version}';
BEGIN
    IF NEW.version < OLD.version OR (NEW.version = OLD.version AND to_jsonb(NEW) - sending <> to_jsonb(OLD) - sending) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD005', 'version_rises', 'the version rises with every change');
    END IF;
    IF NEW.cursor_seq < OLD.cursor_seq THEN
        PERFORM refused(TG_TABLE_NAME, 'RD004', 'webhook_cursor_rises', 'a cursor never goes back');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON webhook FOR EACH ROW EXECUTE FUNCTION guard_webhook();

-- What signs. It has to be there in the clear, because it is used and not compared; so the application role may not read it as a
-- column: it writes it by `webhook_keep_secret` and gets it from `webhook_take`, with the events it is to sign.
CREATE TABLE webhook_secret (
    webhook_id uuid PRIMARY KEY,
    casino_id uuid NOT NULL,
    secret bytea NOT NULL CHECK (length(secret) BETWEEN 24 AND 64),
    -- The one before: signs beside it until receivers had the time to learn the new one.
    former bytea CHECK (length(former) BETWEEN 24 AND 64),
    former_until timestamptz,
    FOREIGN KEY (casino_id, webhook_id) REFERENCES webhook (casino_id, id) ON DELETE CASCADE,
    CONSTRAINT webhook_secret_former_ends CHECK ((former IS NULL) = (former_until IS NULL))
);
CREATE INDEX webhook_secret_of ON webhook_secret (casino_id, webhook_id);

SELECT fence('webhook_secret');
GRANT SELECT (webhook_id, casino_id, former_until) ON webhook_secret TO rundown_app;

-- Every attempt: what an integrator looks at who says that nothing came.
CREATE TABLE webhook_delivery (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    seq bigint NOT NULL CHECK (seq >= 1),
    event_id uuid NOT NULL,
    event text NOT NULL CHECK (event <> '' AND length(event) <= 64),
    attempt int NOT NULL CHECK (attempt >= 1),
    delivered boolean NOT NULL,
    -- What the receiver answered; none where no answer came.
    status int CHECK (status BETWEEN 100 AND 999),
    error text CHECK (length(error) <= 500),
    duration_ms int NOT NULL CHECK (duration_ms >= 0),
    at timestamptz NOT NULL,
    FOREIGN KEY (casino_id, webhook_id) REFERENCES webhook (casino_id, id) ON DELETE CASCADE,
    CONSTRAINT webhook_delivery_fails_with_error CHECK (delivered = (error IS NULL))
);
CREATE INDEX webhook_delivery_of ON webhook_delivery (casino_id, webhook_id, id);
CREATE INDEX webhook_delivery_failed ON webhook_delivery (casino_id, webhook_id, id) WHERE NOT delivered;
CREATE INDEX webhook_delivery_by_age ON webhook_delivery (casino_id, at);

SELECT fence('webhook_delivery');
CREATE TRIGGER append_only BEFORE UPDATE ON webhook_delivery FOR EACH ROW EXECUTE FUNCTION refuse('RD002', 'rows are append-only');
-- DELETE is for rows past their time. Rows are written by `webhook_settle` alone.
GRANT SELECT, DELETE ON webhook_delivery TO rundown_app;

-- How far a sink has come that takes everything of every casino.
CREATE TABLE sink_cursor (
    casino_id uuid NOT NULL REFERENCES casino (id),
    sink text NOT NULL CHECK (sink <> '' AND length(sink) <= 32),
    cursor_seq bigint NOT NULL DEFAULT 0 CHECK (cursor_seq >= 0),
    failures int NOT NULL DEFAULT 0 CHECK (failures >= 0),
    failing_since timestamptz,
    next_attempt_at timestamptz,
    error text CHECK (length(error) <= 500),
    lease_owner text CHECK (lease_owner <> '' AND length(lease_owner) <= 120),
    lease_term bigint,
    leased_until timestamptz,
    PRIMARY KEY (casino_id, sink),
    CONSTRAINT sink_cursor_failing_has_failed CHECK ((failures > 0) = (failing_since IS NOT NULL)),
    CONSTRAINT sink_cursor_lease_is_whole
        CHECK ((lease_owner IS NULL) = (lease_term IS NULL) AND (leased_until IS NULL OR lease_term IS NOT NULL))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

SELECT fence('sink_cursor');
GRANT SELECT ON sink_cursor TO rundown_app;

CREATE FUNCTION guard_sink_cursor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.cursor_seq < OLD.cursor_seq THEN
        PERFORM refused(TG_TABLE_NAME, 'RD004', 'sink_cursor_rises', 'a cursor never goes back');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON sink_cursor FOR EACH ROW EXECUTE FUNCTION guard_sink_cursor();

-- ---------------------------------------------------------------------------------------------------------------------
-- What a daemon asks: like the clock, one question for all casinos. These functions step over the fence, for the tables of this script,
-- the outbox, the heads of the feeds and the list of casinos.

CREATE POLICY sending ON webhook TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY sending ON webhook_secret TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY sending ON webhook_delivery TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY sending ON sink_cursor TO CURRENT_USER USING (true) WITH CHECK (true);

-- Keeps a webhook's secret: of a webhook in the tenant context, or of none. The secret before it signs on for so long; one still older
-- does not. False: no such webhook here.
CREATE FUNCTION webhook_keep_secret(of uuid, made bytea, grace_seconds bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO webhook_secret AS s (webhook_id, casino_id, secret)
    SELECT w.id, w.casino_id, made FROM webhook AS w
     WHERE w.id = of AND w.casino_id = NULLIF(current_setting('app.casino_id', true), '')::uuid
    ON CONFLICT (webhook_id) DO UPDATE SET
        former = CASE WHEN grace_seconds > 0 THEN s.secret END,
        former_until = CASE WHEN grace_seconds > 0 THEN clock_timestamp() + make_interval(secs => grace_seconds) END,
        secret = EXCLUDED.secret;
    RETURN FOUND;
END $$;

-- Takes webhooks that are behind their casino's head and whose turn has come.
--   ask: owner, lease_ms, want
--   answer: taken [{id, casino_id, url, events, channels, cursor_seq, failures, version, term, secrets (base64, the newest first)}],
--           wait_ms: until the next pause or foreign lease ends, of those that are behind; null where none is
CREATE FUNCTION webhook_take(ask jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    present CONSTANT timestamptz := clock_timestamp();
    lease CONSTANT interval := make_interval(secs => (ask->>'lease_ms')::double precision / 1000);
    want CONSTANT int := (ask->>'want')::int;
    taken jsonb;
BEGIN
    -- Materialized: read once, or a plan that reads it for every row would take more than is wanted.
    WITH due AS MATERIALIZED (
        SELECT w.id FROM webhook AS w JOIN event_feed AS f ON f.casino_id = w.casino_id
         WHERE w.disabled_at IS NULL AND f.last_seq > w.cursor_seq
           AND COALESCE(w.next_attempt_at <= present, true) AND COALESCE(w.leased_until <= present, true)
         -- Who waited longest goes first, so that a busy receiver keeps nobody from a turn.
         ORDER BY w.lease_term NULLS FIRST LIMIT want
           FOR NO KEY UPDATE OF w SKIP LOCKED
    ), mine AS (
        UPDATE webhook AS w SET lease_owner = ask->>'owner', lease_term = nextval('sink_term'), leased_until = present + lease
         WHERE w.id IN (SELECT due.id FROM due)
        RETURNING w.*
    )
    SELECT COALESCE(jsonb_agg(jsonb_build_object(
               'id', m.id, 'casino_id', m.casino_id, 'url', m.url, 'events', m.events, 'channels', m.channels, 'cursor_seq', m.cursor_seq,
               'failures', m.failures, 'version', m.version, 'term', m.lease_term,
               'secrets', (SELECT jsonb_agg(translate(encode(each.secret, 'base64'), E'\n', ''))
                             FROM (SELECT s.secret UNION ALL SELECT s.former WHERE s.former_until > present) AS each)))
           , '[]')
      INTO taken FROM mine AS m JOIN webhook_secret AS s ON s.webhook_id = m.id;

    RETURN jsonb_build_object('taken', taken, 'wait_ms', (
        -- GREATEST passes over nulls, here the wanted ones: where nobody waits, nothing is to be waited for.
        SELECT CASE WHEN min(w.ends) IS NOT NULL THEN GREATEST(0, ceil(extract(epoch FROM min(w.ends) - present) * 1000))::bigint END
          FROM (SELECT GREATEST(w.next_attempt_at, w.leased_until) AS ends
                  FROM webhook AS w JOIN event_feed AS f ON f.casino_id = w.casino_id
                 WHERE w.disabled_at IS NULL AND f.last_seq > w.cursor_seq) AS w));
END $$;

-- One step of a turn, written down.
--   ask: id, owner, term, ended (delivered | failed | gone | passed | left), seq, at, lease_ms, pause_ms, fails_until,
--        delivery {id, event_id, event, status, error, duration_ms}, tells {id, event, aggregate_id, channels, payload, correlation_id}: an event
--        that a delivery gives rise to
--   answer: {version, disabled}, or null where the turn is another daemon's by now, or the webhook is gone
CREATE FUNCTION webhook_settle(ask jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    present CONSTANT timestamptz := clock_timestamp();
    ended CONSTANT text := ask->>'ended';
    told CONSTANT timestamptz := (ask->>'at')::timestamptz;
    reached CONSTANT bigint := (ask->>'seq')::bigint;
    went_on CONSTANT boolean := ended IN ('delivered', 'passed');
    was webhook;
    failing timestamptz;
    ends_as text;
BEGIN
    SELECT * INTO was FROM webhook AS w
     WHERE w.id = (ask->>'id')::uuid AND w.lease_owner = ask->>'owner' AND w.lease_term = (ask->>'term')::bigint AND w.leased_until IS NOT NULL
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF ended IN ('failed', 'gone') THEN
        failing := COALESCE(was.failing_since, told);
        -- The oldest failure that is still borne with: older, and nobody is at home any more.
        ends_as := CASE WHEN was.disabled_at IS NOT NULL THEN NULL
                        WHEN ended = 'gone' THEN 'gone'
                        WHEN failing <= (ask->>'fails_until')::timestamptz THEN 'failing' END;
    END IF;
    UPDATE webhook AS w SET
        cursor_seq = CASE WHEN went_on THEN GREATEST(w.cursor_seq, reached) ELSE w.cursor_seq END,
        delivered_at = CASE WHEN ended = 'delivered' THEN told ELSE w.delivered_at END,
        failures = CASE WHEN ended = 'delivered' THEN 0 WHEN failing IS NOT NULL THEN w.failures + 1 ELSE w.failures END,
        failing_since = CASE WHEN ended = 'delivered' THEN NULL WHEN failing IS NOT NULL THEN failing ELSE w.failing_since END,
        next_attempt_at = CASE WHEN ended = 'delivered' THEN NULL
                               WHEN failing IS NOT NULL THEN present + make_interval(secs => (ask->>'pause_ms')::double precision / 1000)
                               ELSE w.next_attempt_at END,
        leased_until = CASE WHEN went_on THEN present + make_interval(secs => (ask->>'lease_ms')::double precision / 1000) END,
        disabled_at = CASE WHEN ends_as IS NOT NULL THEN told ELSE w.disabled_at END,
        disabled_reason = COALESCE(ends_as, w.disabled_reason),
        version = w.version + CASE WHEN ends_as IS NOT NULL THEN 1 ELSE 0 END
     WHERE w.id = was.id
    RETURNING w.* INTO was;
    IF ask->'delivery' IS NOT NULL THEN
        INSERT INTO webhook_delivery (id, casino_id, webhook_id, seq, event_id, event, attempt, delivered, status, error, duration_ms, at)
        SELECT d.id, was.casino_id, was.id, reached, d.event_id, d.event, d.attempt, ended = 'delivered', d.status, left(d.error, 500),
               d.duration_ms, told
          FROM jsonb_to_record(ask->'delivery')
            AS d (id uuid, event_id uuid, event text, attempt int, status int, error text, duration_ms int);
    END IF;
    IF ended = 'delivered' AND ask ? 'tells' THEN
        INSERT INTO outbox (id, casino_id, event, aggregate_id, channels, payload, correlation_id, created_at)
        SELECT t.id, was.casino_id, t.event, t.aggregate_id, t.channels, t.payload, t.correlation_id, told
          FROM jsonb_to_record(ask->'tells')
            AS t (id uuid, event text, aggregate_id uuid, channels text[], payload jsonb, correlation_id text);
    END IF;
    RETURN jsonb_build_object('version', was.version, 'disabled', was.disabled_reason);
END $$;

-- The same for a sink that takes everything: a cursor a casino, made when the casino is first seen. A new sink begins at the beginning.
--   ask: sink, owner, lease_ms, want
--   answer: taken [{casino_id, cursor_seq, failures, term}], wait_ms
CREATE FUNCTION sink_take(ask jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    present CONSTANT timestamptz := clock_timestamp();
    lease CONSTANT interval := make_interval(secs => (ask->>'lease_ms')::double precision / 1000);
    want CONSTANT int := (ask->>'want')::int;
    taken jsonb;
BEGIN
    INSERT INTO sink_cursor (casino_id, sink)
    SELECT f.casino_id, ask->>'sink' FROM event_feed AS f
     WHERE NOT EXISTS (SELECT FROM sink_cursor AS c WHERE c.casino_id = f.casino_id AND c.sink = ask->>'sink')
    ON CONFLICT DO NOTHING;

    WITH due AS MATERIALIZED (
        SELECT c.casino_id FROM sink_cursor AS c JOIN event_feed AS f ON f.casino_id = c.casino_id
         WHERE c.sink = ask->>'sink' AND f.last_seq > c.cursor_seq
           AND COALESCE(c.next_attempt_at <= present, true) AND COALESCE(c.leased_until <= present, true)
         ORDER BY c.lease_term NULLS FIRST LIMIT want
           FOR NO KEY UPDATE OF c SKIP LOCKED
    ), mine AS (
        UPDATE sink_cursor AS c SET lease_owner = ask->>'owner', lease_term = nextval('sink_term'), leased_until = present + lease
         WHERE c.sink = ask->>'sink' AND c.casino_id IN (SELECT due.casino_id FROM due)
        RETURNING c.*
    )
    SELECT COALESCE(jsonb_agg(jsonb_build_object(
               'casino_id', m.casino_id, 'cursor_seq', m.cursor_seq, 'failures', m.failures, 'term', m.lease_term)), '[]')
      INTO taken FROM mine AS m;

    RETURN jsonb_build_object('taken', taken, 'wait_ms', (
        -- GREATEST passes over nulls, here the wanted ones: where nobody waits, nothing is to be waited for.
        SELECT CASE WHEN min(w.ends) IS NOT NULL THEN GREATEST(0, ceil(extract(epoch FROM min(w.ends) - present) * 1000))::bigint END
          FROM (SELECT GREATEST(c.next_attempt_at, c.leased_until) AS ends
                  FROM sink_cursor AS c JOIN event_feed AS f ON f.casino_id = c.casino_id
                 WHERE c.sink = ask->>'sink' AND f.last_seq > c.cursor_seq) AS w));
END $$;

-- One step of a turn.
--   ask: sink, casino_id, owner, term, ended (taken | failed | left), seq, at, lease_ms, pause_ms, error
--   answer: whether the turn is still the daemon's own
CREATE FUNCTION sink_settle(ask jsonb) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    present CONSTANT timestamptz := clock_timestamp();
    ended CONSTANT text := ask->>'ended';
BEGIN
    UPDATE sink_cursor AS c SET
        cursor_seq = CASE WHEN ended = 'taken' THEN GREATEST(c.cursor_seq, (ask->>'seq')::bigint) ELSE c.cursor_seq END,
        failures = CASE ended WHEN 'taken' THEN 0 WHEN 'failed' THEN c.failures + 1 ELSE c.failures END,
        failing_since = CASE ended WHEN 'taken' THEN NULL WHEN 'failed' THEN COALESCE(c.failing_since, (ask->>'at')::timestamptz) ELSE c.failing_since END,
        next_attempt_at = CASE ended WHEN 'taken' THEN NULL
                                     WHEN 'failed' THEN present + make_interval(secs => (ask->>'pause_ms')::double precision / 1000)
                                     ELSE c.next_attempt_at END,
        error = CASE ended WHEN 'taken' THEN NULL WHEN 'failed' THEN left(ask->>'error', 500) ELSE c.error END,
        leased_until = CASE WHEN ended = 'taken' THEN present + make_interval(secs => (ask->>'lease_ms')::double precision / 1000) END
     WHERE c.casino_id = (ask->>'casino_id')::uuid AND c.sink = ask->>'sink'
       AND c.lease_owner = ask->>'owner' AND c.lease_term = (ask->>'term')::bigint AND c.leased_until IS NOT NULL;
    RETURN FOUND;
END $$;

-- Published events past their time go, a bounded number at once and from the oldest on without a gap, so that the feed still begins at one place. What
-- a webhook or another sink has not come to yet stays, and so does everything after it: a webhook that is disabled may be enabled again.
-- The tenant context says whose. How many went.
CREATE FUNCTION feed_prune(before timestamptz, how_many bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    casino CONSTANT uuid := NULLIF(current_setting('app.casino_id', true), '')::uuid;
    stays bigint;
    gone bigint;
BEGIN
    -- The lock of whoever makes, moves or deletes a cursor is not taken: a cursor only rises, and a new webhook begins at the feed's end.
    SELECT LEAST((SELECT min(w.cursor_seq) FROM webhook AS w WHERE w.casino_id = casino),
                 (SELECT min(c.cursor_seq) FROM sink_cursor AS c WHERE c.casino_id = casino)) INTO stays;
    WITH oldest AS MATERIALIZED (
        SELECT o.id, o.seq, o.published_at FROM outbox AS o WHERE o.casino_id = casino AND o.seq IS NOT NULL ORDER BY o.seq LIMIT how_many
    ), first_to_stay AS (
        SELECT min(o.seq) AS seq FROM oldest AS o WHERE o.published_at >= before OR o.seq > stays
    )
    DELETE FROM outbox AS o USING oldest, first_to_stay
     WHERE o.id = oldest.id AND oldest.seq < COALESCE(first_to_stay.seq, oldest.seq + 1) AND before IS NOT NULL;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

REVOKE EXECUTE ON FUNCTION feed_prune(timestamptz, bigint), webhook_keep_secret(uuid, bytea, bigint), webhook_take(jsonb), webhook_settle(jsonb), sink_take(jsonb),
    sink_settle(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION feed_prune(timestamptz, bigint), webhook_keep_secret(uuid, bytea, bigint), webhook_take(jsonb), webhook_settle(jsonb), sink_take(jsonb),
    sink_settle(jsonb) TO rundown_app;
