DROP TABLE idempotency_key;
DROP TABLE outbox;
DROP TABLE audit_log;
DROP FUNCTION audit_log_evidence_of();
