DROP TRIGGER tell_standing ON staff;
DROP FUNCTION tell_standing();
DROP FUNCTION feed_readers(uuid, uuid[]);
DROP FUNCTION feed_bounds(uuid);
DROP FUNCTION feed_after(uuid, bigint, int);
DROP FUNCTION relay_depth(int);
DROP FUNCTION relay_redrive(uuid);
DROP FUNCTION relay_publish(jsonb);
DROP FUNCTION relay_look(int);
DROP POLICY relay ON outbox;
DROP TABLE event_feed;
DROP FUNCTION guard_event_feed();
DROP TRIGGER guard ON outbox;
DROP FUNCTION guard_outbox();
REVOKE INSERT (id, casino_id, event, schema_version, aggregate_id, channels, payload, correlation_id, created_at) ON outbox FROM rundown_app;
GRANT INSERT ON outbox TO rundown_app;
GRANT UPDATE (seq, published_at, attempts) ON outbox TO rundown_app;
DROP INDEX outbox_by_resource;
DROP INDEX outbox_dead;
DROP INDEX outbox_retrying_due;
DROP INDEX outbox_retrying;
DROP INDEX outbox_fresh;
CREATE INDEX outbox_unpublished ON outbox (casino_id, position) WHERE published_at IS NULL;
ALTER TABLE outbox
    DROP CONSTRAINT outbox_waits_unpublished,
    DROP CONSTRAINT outbox_dead_is_unpublished,
    DROP CONSTRAINT outbox_published_has_seq,
    ADD CONSTRAINT outbox_published_has_seq CHECK (published_at IS NULL OR seq IS NOT NULL),
    DROP COLUMN last_error,
    DROP COLUMN dead_at,
    DROP COLUMN next_attempt_at;
