DROP TABLE idempotency_key;
DROP TABLE outbox;
DROP TABLE audit_log;
