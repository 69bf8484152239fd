-- Schedules and runs of a job that is no more go with it; their guards know of no such day.
ALTER TABLE job_run DISABLE TRIGGER USER;
ALTER TABLE schedule DISABLE TRIGGER USER;
DELETE FROM job_run WHERE job_kind = 'audit_seal';
DELETE FROM schedule WHERE job_kind = 'audit_seal';
ALTER TABLE schedule ENABLE TRIGGER USER;
ALTER TABLE job_run ENABLE TRIGGER USER;
ALTER TABLE job_run DROP CONSTRAINT job_run_job_kind_check;
ALTER TABLE job_run ADD CONSTRAINT job_run_job_kind_check CHECK (job_kind IN (
    'shift_open', 'shift_close', 'rollup_recompute', 'rollup_verify', 'deadline_sweep', 'retention_prune'));
ALTER TABLE schedule DROP CONSTRAINT schedule_job_kind_check;
ALTER TABLE schedule ADD CONSTRAINT schedule_job_kind_check CHECK (job_kind IN (
    'shift_open', 'shift_close', 'rollup_recompute', 'rollup_verify', 'deadline_sweep', 'retention_prune'));

DROP FUNCTION audit_backlog(timestamptz, int);
DROP FUNCTION audit_waiting(uuid, int);
DROP FUNCTION audit_strays(uuid, bigint, bigint, int);
DROP FUNCTION audit_batches(uuid, bigint, int);
DROP FUNCTION put_audit_seal(jsonb, jsonb);
DROP FUNCTION audit_to_seal(uuid, int);
DROP TRIGGER wait_for_seal ON audit_log;
DROP FUNCTION wait_for_seal();
DROP TABLE audit_unsealed;
DROP FUNCTION guard_audit_unsealed();
DROP TABLE audit_seal_leaf;
DROP TABLE audit_seal;
DROP FUNCTION guard_audit_seal();
