-- Speed: dead rows are swept at the pace of the floor, and what changes stays on its page.
--
-- These rows change while their session lives, in tables that keep every session there ever was. The usual share of a table would be
-- reached once a year, with a year's dead rows on the pages the floor works on.

ALTER TABLE table_inventory_session SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE table_slip SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE table_drop_event SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE reconciliation_exception SET (
    fillfactor = 85, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE table_rundown_report SET (
    fillfactor = 85, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_analyze_scale_factor = 0.02);

-- Few rows, each changed with nearly every slip or drop.
ALTER TABLE slip_counter SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
ALTER TABLE drop_box SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 100);

-- Written once and never changed: what a sweep does for these is to mark pages as seen by all and to learn what is in them, little by little.
ALTER TABLE audit_log SET (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE signature SET (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE session_transition SET (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
