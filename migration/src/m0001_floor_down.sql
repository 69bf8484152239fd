-- Leaves the role rundown_app: it belongs to the cluster, and another database may live by it.

DROP FUNCTION tenant_fence_report();
DROP TABLE drop_box;
DROP TABLE table_par;
DROP TABLE gaming_table;
DROP FUNCTION set_rls_context_from_staff(uuid);
DROP TABLE staff;
DROP TABLE casino;
DROP FUNCTION guard_drop_box();
DROP FUNCTION guard_staff();
DROP FUNCTION guard_version();
DROP FUNCTION gaming_day(timestamptz, text, time);
DROP FUNCTION all_different(uuid[]);
DROP FUNCTION evidence_of(regclass, name);
DROP FUNCTION append_only(regclass);
DROP FUNCTION never_deleted(regclass);
DROP FUNCTION fence(regclass, name);
DROP FUNCTION refuse();
DROP FUNCTION refused(name, text, text, text);

DO $$
BEGIN
    IF to_regclass('public.seaql_migrations') IS NOT NULL THEN
        REVOKE SELECT ON public.seaql_migrations FROM rundown_app;
    END IF;
END $$;
REVOKE USAGE ON SCHEMA public FROM rundown_app;
