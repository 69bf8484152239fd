-- Custody: the sessions and everything that happens in them. What may change, changes along its machine; what is a fact, never.
--
-- Every reference carries the casino: foreign keys are checked as the owner, past row security, so the key itself must hold the
-- tenants apart. Where a child also names its table or its session, the key carries that too.

-- ---------------------------------------------------------------------------------------------------------------------
-- Session: the root row (domain §4)

CREATE TABLE table_inventory_session (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL,
    table_id uuid NOT NULL,
    gaming_day date NOT NULL,
    shift_id uuid,
    status text NOT NULL CHECK (status IN (
        'READY_TO_OPEN', 'OPENING', 'OPEN', 'DROP_SCHEDULED', 'DROPPED', 'COUNTED', 'CLOSING', 'CLOSED', 'RECONCILED', 'FINALIZED')),
    bank_mode text NOT NULL CHECK (bank_mode IN ('INVENTORY_COUNT', 'IMPREST_TO_PAR')),
    need_total_cents bigint CHECK (need_total_cents >= 0),
    predecessor_id uuid,
    opening_snapshot_id uuid,
    closing_snapshot_id uuid,
    drop_box_id uuid,
    drop_scheduled_for timestamptz,
    scheduled_from text CHECK (scheduled_from IN ('OPEN', 'DROPPED', 'COUNTED')),
    dropped_through_seq int NOT NULL DEFAULT 0 CHECK (dropped_through_seq >= 0),
    opened_at timestamptz,
    opened_by uuid,
    activated_at timestamptz,
    activated_by uuid,
    dropped_at timestamptz,
    counted_at timestamptz,
    closing_started_at timestamptz,
    closing_started_by uuid,
    closed_at timestamptz,
    closed_by uuid,
    close_reason text CHECK (close_reason IN ('normal', 'cancelled', 'forced', 'rollover')),
    close_note text CHECK (length(close_note) <= 2000),
    requires_reconciliation boolean NOT NULL DEFAULT false,
    reconciled_at timestamptz,
    finalized_at timestamptz,
    finalized_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by uuid NOT NULL,
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),

    UNIQUE (casino_id, id),
    -- For the keys of slips, removals and successors, and for the list of one table.
    UNIQUE (casino_id, table_id, id),
    FOREIGN KEY (casino_id, table_id) REFERENCES gaming_table (casino_id, id),
    FOREIGN KEY (casino_id, table_id, predecessor_id) REFERENCES table_inventory_session (casino_id, table_id, id),
    FOREIGN KEY (casino_id, drop_box_id) REFERENCES drop_box (casino_id, id),
    FOREIGN KEY (casino_id, opened_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, activated_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, closing_started_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, closed_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, finalized_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, created_by) REFERENCES staff (casino_id, id),

    CONSTRAINT session_opened_by_someone CHECK ((opened_at IS NULL) = (opened_by IS NULL)),
    CONSTRAINT session_activated_by_someone CHECK ((activated_at IS NULL) = (activated_by IS NULL)),
    CONSTRAINT session_closing_started_by_someone CHECK ((closing_started_at IS NULL) = (closing_started_by IS NULL)),
    CONSTRAINT session_closed_by_someone CHECK ((closed_at IS NULL) = (closed_by IS NULL)),
    CONSTRAINT session_finalized_by_someone CHECK ((finalized_at IS NULL) = (finalized_by IS NULL)),
    -- Only a verified opener leads into play, so whatever has been in play has one.
    CONSTRAINT session_in_play_is_opened CHECK (
        status IN ('READY_TO_OPEN', 'OPENING') OR close_reason IS NOT DISTINCT FROM 'cancelled'
        OR (opened_at IS NOT NULL AND opening_snapshot_id IS NOT NULL)),
    CONSTRAINT session_imprest_has_need CHECK (
        bank_mode = 'INVENTORY_COUNT' OR status IN ('READY_TO_OPEN', 'OPENING') OR close_reason IS NOT DISTINCT FROM 'cancelled'
        OR need_total_cents IS NOT NULL),
    CONSTRAINT session_schedule_has_time CHECK (
        status <> 'DROP_SCHEDULED' OR (drop_scheduled_for IS NOT NULL AND scheduled_from IS NOT NULL)),
    CONSTRAINT session_dropped_has_time CHECK (status <> 'DROPPED' OR dropped_at IS NOT NULL),
    CONSTRAINT session_counted_has_time CHECK (status <> 'COUNTED' OR counted_at IS NOT NULL),
    -- closed_at says the same as the status: the indexes below stand on it, and must mean "live".
    CONSTRAINT session_closed_has_time CHECK ((status IN ('CLOSED', 'RECONCILED', 'FINALIZED')) = (closed_at IS NOT NULL)),
    CONSTRAINT session_closed_has_reason CHECK ((closed_at IS NULL) = (close_reason IS NULL)),
    CONSTRAINT session_closed_has_closer CHECK (close_reason NOT IN ('normal', 'rollover') OR closing_snapshot_id IS NOT NULL),
    CONSTRAINT session_unusual_close_has_note CHECK (
        close_reason NOT IN ('cancelled', 'forced') OR (close_note IS NOT NULL AND btrim(close_note) <> '')),
    CONSTRAINT session_forced_requires_reconciliation CHECK (close_reason <> 'forced' OR requires_reconciliation),
    CONSTRAINT session_cancelled_is_never_reconciled CHECK (close_reason <> 'cancelled' OR status = 'CLOSED'),
    CONSTRAINT session_reconciled_has_time CHECK ((status IN ('RECONCILED', 'FINALIZED')) = (reconciled_at IS NOT NULL)),
    CONSTRAINT session_finalized_has_time CHECK ((status = 'FINALIZED') = (finalized_at IS NOT NULL))
) WITH (fillfactor = 80);

-- One live session per table. The predicate is closed_at and not the status: a column an index reads makes every change of it
-- rewrite all indexes, and the status changes with nearly every command.
CREATE UNIQUE INDEX one_live_session_per_table ON table_inventory_session (casino_id, table_id) WHERE closed_at IS NULL;
-- For lists by status: ask with `closed_at IS NULL` or `finalized_at IS NULL` beside it, and the rows read are the floor's, not history's.
CREATE INDEX session_unfinished ON table_inventory_session (casino_id, id) WHERE finalized_at IS NULL;
CREATE INDEX session_by_gaming_day ON table_inventory_session (casino_id, gaming_day, id);
CREATE INDEX session_by_shift ON table_inventory_session (casino_id, shift_id, id) WHERE shift_id IS NOT NULL;

SELECT fence('table_inventory_session');
SELECT never_deleted('table_inventory_session');

-- The jumps one transaction may make: one command edge of domain §4 or none, then any number of auto edges. The evidence narrows this
-- further (a removal cannot stand in the same transaction as the opener); that is the law's part. A test holds this table
-- against the law's own edges.
CREATE FUNCTION session_may_move(origin text, target text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE origin
    WHEN 'READY_TO_OPEN'  THEN target IN ('READY_TO_OPEN', 'OPENING', 'OPEN', 'DROP_SCHEDULED', 'DROPPED', 'COUNTED', 'CLOSED',
                                          'RECONCILED')
    WHEN 'OPENING'        THEN target IN ('OPENING', 'OPEN', 'DROP_SCHEDULED', 'DROPPED', 'COUNTED', 'CLOSED', 'RECONCILED')
    WHEN 'OPEN'           THEN target IN ('OPEN', 'DROP_SCHEDULED', 'DROPPED', 'COUNTED', 'CLOSING', 'CLOSED', 'RECONCILED')
    WHEN 'DROP_SCHEDULED' THEN target IN ('OPEN', 'DROP_SCHEDULED', 'DROPPED', 'COUNTED', 'CLOSING', 'CLOSED', 'RECONCILED')
    WHEN 'DROPPED'        THEN target IN ('DROP_SCHEDULED', 'DROPPED', 'COUNTED', 'CLOSING', 'CLOSED', 'RECONCILED')
    WHEN 'COUNTED'        THEN target IN ('DROP_SCHEDULED', 'DROPPED', 'COUNTED', 'CLOSING', 'CLOSED', 'RECONCILED')
    WHEN 'CLOSING'        THEN target IN ('CLOSING', 'CLOSED', 'RECONCILED')
    WHEN 'CLOSED'         THEN target IN ('CLOSED', 'RECONCILED')
    WHEN 'RECONCILED'     THEN target IN ('RECONCILED', 'FINALIZED')
    ELSE false
END;

CREATE FUNCTION guard_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- A rollover's successor begins in play; it has a predecessor by nature.
        IF NOT (NEW.status = 'READY_TO_OPEN' OR (NEW.status = 'OPEN' AND NEW.predecessor_id IS NOT NULL)) THEN
            PERFORM refused(TG_TABLE_NAME, 'RD004', 'session_begins', format('no session begins as %s', NEW.status));
        END IF;
        RETURN NEW;
    END IF;

    IF OLD.status = 'FINALIZED' THEN
        PERFORM refused(TG_TABLE_NAME, 'RD006', 'session_finalized', 'a FINALIZED session is immutable');
    END IF;
    IF NEW.version <> OLD.version + 1 THEN
        PERFORM refused(TG_TABLE_NAME, 'RD005', 'version_rises', 'the version rises by one with every change');
    END IF;
    IF NEW.status <> OLD.status AND NOT session_may_move(OLD.status, NEW.status) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD004', 'session_may_move', format('%s to %s is no move', OLD.status, NEW.status));
    END IF;
    IF (OLD.id, OLD.casino_id, OLD.table_id, OLD.created_at, OLD.created_by)
        IS DISTINCT FROM (NEW.id, NEW.casino_id, NEW.table_id, NEW.created_at, NEW.created_by) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'session_identity', 'a session keeps its table and its creation');
    END IF;
    -- Bound by READY_TO_OPEN -> OPENING. What was unknown then may be supplied once: a par, a shift.
    IF OLD.status <> 'READY_TO_OPEN' AND (
        (OLD.gaming_day, OLD.bank_mode, OLD.predecessor_id) IS DISTINCT FROM (NEW.gaming_day, NEW.bank_mode, NEW.predecessor_id)
        OR OLD.need_total_cents <> NEW.need_total_cents OR (OLD.need_total_cents IS NOT NULL AND NEW.need_total_cents IS NULL)
        OR OLD.shift_id <> NEW.shift_id OR (OLD.shift_id IS NOT NULL AND NEW.shift_id IS NULL)
    ) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'session_bound_at_opening',
                        'gaming day, bank mode, par, shift and predecessor are bound at opening');
    END IF;
    -- A recount supersedes only before the edge it feeds is taken (domain §5).
    IF OLD.status NOT IN ('READY_TO_OPEN', 'OPENING') AND OLD.opening_snapshot_id IS DISTINCT FROM NEW.opening_snapshot_id
        OR OLD.status = 'RECONCILED' AND OLD.closing_snapshot_id IS DISTINCT FROM NEW.closing_snapshot_id THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'session_counts_stand', 'the count an edge was taken on stands');
    END IF;
    IF OLD.opened_at IS NOT NULL AND (OLD.opened_at, OLD.opened_by) IS DISTINCT FROM (NEW.opened_at, NEW.opened_by)
        OR OLD.activated_at IS NOT NULL AND (OLD.activated_at, OLD.activated_by) IS DISTINCT FROM (NEW.activated_at, NEW.activated_by)
        OR OLD.closing_started_at IS NOT NULL
            AND (OLD.closing_started_at, OLD.closing_started_by) IS DISTINCT FROM (NEW.closing_started_at, NEW.closing_started_by)
        OR OLD.closed_at IS NOT NULL
            AND (OLD.closed_at, OLD.closed_by, OLD.close_reason, OLD.close_note)
                IS DISTINCT FROM (NEW.closed_at, NEW.closed_by, NEW.close_reason, NEW.close_note)
        OR OLD.reconciled_at IS NOT NULL AND OLD.reconciled_at IS DISTINCT FROM NEW.reconciled_at
        OR OLD.requires_reconciliation AND NOT NEW.requires_reconciliation THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'session_milestones', 'who did what and when is written once');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON table_inventory_session FOR EACH ROW EXECUTE FUNCTION guard_session();

GRANT SELECT, INSERT, UPDATE (
    gaming_day, shift_id, status, bank_mode, need_total_cents, predecessor_id, opening_snapshot_id, closing_snapshot_id, drop_box_id,
    drop_scheduled_for, scheduled_from, dropped_through_seq, opened_at, opened_by, activated_at, activated_by, dropped_at, counted_at,
    closing_started_at, closing_started_by, closed_at, closed_by, close_reason, close_note, requires_reconciliation, reconciled_at,
    finalized_at, finalized_by, version
) ON table_inventory_session TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Snapshots: tray counts (domain §5)

CREATE TABLE table_inventory_snapshot (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL,
    session_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('open', 'close', 'rundown')),
    chipset jsonb NOT NULL CHECK (jsonb_typeof(chipset) = 'object'),
    total_cents bigint NOT NULL CHECK (total_cents >= 0),
    counted_by uuid NOT NULL,
    counted_at timestamptz NOT NULL,
    verified_by uuid,
    verified_at timestamptz,
    expected_total_cents bigint,
    discrepancy_cents bigint,
    supersedes_id uuid,
    note text CHECK (length(note) <= 2000),
    created_at timestamptz NOT NULL DEFAULT now(),

    -- By session first: the keys of the session's own counts, of recounts and of the report hold the session too.
    UNIQUE (casino_id, session_id, id),
    FOREIGN KEY (casino_id, session_id) REFERENCES table_inventory_session (casino_id, id),
    FOREIGN KEY (casino_id, session_id, supersedes_id) REFERENCES table_inventory_snapshot (casino_id, session_id, id),
    FOREIGN KEY (casino_id, counted_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, verified_by) REFERENCES staff (casino_id, id),

    CONSTRAINT snapshot_verified_by_someone CHECK ((verified_at IS NULL) = (verified_by IS NULL)),
    CONSTRAINT snapshot_two_people CHECK (verified_by <> counted_by),
    CONSTRAINT snapshot_discrepancy_of_an_expectation CHECK ((expected_total_cents IS NULL) = (discrepancy_cents IS NULL)),
    CONSTRAINT snapshot_supersedes_another CHECK (supersedes_id <> id)
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX snapshot_superseded_once ON table_inventory_snapshot (casino_id, supersedes_id) WHERE supersedes_id IS NOT NULL;

-- Session and count point at each other, and a rollover writes both at once: these two are asked at commit.
ALTER TABLE table_inventory_session
    ADD CONSTRAINT session_opener_is_its_own FOREIGN KEY (casino_id, id, opening_snapshot_id)
        REFERENCES table_inventory_snapshot (casino_id, session_id, id) DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT session_closer_is_its_own FOREIGN KEY (casino_id, id, closing_snapshot_id)
        REFERENCES table_inventory_snapshot (casino_id, session_id, id) DEFERRABLE INITIALLY DEFERRED;

SELECT fence('table_inventory_snapshot');
SELECT never_deleted('table_inventory_snapshot');

CREATE FUNCTION guard_snapshot() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (to_jsonb(OLD) - '{verified_by,verified_at}'::text[]) <> (to_jsonb(NEW) - '{verified_by,verified_at}'::text[]) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'snapshot_is_a_fact', 'a count is written once; a recount supersedes it');
    END IF;
    IF OLD.verified_at IS NOT NULL AND (OLD.verified_at, OLD.verified_by) IS DISTINCT FROM (NEW.verified_at, NEW.verified_by) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'snapshot_verified_once', 'a count is verified once');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON table_inventory_snapshot FOR EACH ROW EXECUTE FUNCTION guard_snapshot();
GRANT SELECT, INSERT, UPDATE (verified_by, verified_at) ON table_inventory_snapshot TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Slips: fills and credits (domain §6)

CREATE TABLE table_slip (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL,
    session_id uuid NOT NULL,
    table_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('fill', 'credit')),
    purpose text NOT NULL DEFAULT 'normal' CHECK (purpose IN ('normal', 'par_restore')),
    request_id text NOT NULL CHECK (btrim(request_id) <> '' AND length(request_id) <= 200),
    status text NOT NULL CHECK (status IN ('REQUESTED', 'ISSUED', 'VERIFIED_AT_TABLE', 'DEPOSITED_IN_DROPBOX', 'CANCELLED', 'VOIDED')),
    chipset jsonb NOT NULL CHECK (jsonb_typeof(chipset) = 'object'),
    amount_cents bigint NOT NULL CHECK (amount_cents >= 0),
    note text CHECK (length(note) <= 2000),
    replaces_slip_id uuid,
    slip_scope text CHECK (slip_scope IN ('gaming_day', 'calendar_year')),
    scope_key text,
    slip_no bigint CHECK (slip_no >= 1),
    requested_by uuid NOT NULL,
    requested_at timestamptz NOT NULL,
    issued_by uuid,
    issued_at timestamptz,
    runner_id uuid,
    dealer_id uuid,
    verified_by uuid,
    verified_at timestamptz,
    confirmed_chipset jsonb CHECK (jsonb_typeof(confirmed_chipset) = 'object'),
    confirmed_amount_cents bigint CHECK (confirmed_amount_cents >= 0),
    confirmed_note text CHECK (length(confirmed_note) <= 2000),
    cage_received_by uuid,
    cage_received_at timestamptz,
    cage_amount_cents bigint CHECK (cage_amount_cents >= 0),
    deposited_by uuid,
    deposited_at timestamptz,
    drop_box_id uuid,
    drop_box_use bigint,
    voided_by uuid,
    voided_at timestamptz,
    void_cosigned_by uuid,
    void_reason text CHECK (length(void_reason) <= 2000),
    voided_from text CHECK (voided_from IN ('ISSUED', 'VERIFIED_AT_TABLE')),
    cancelled_by uuid,
    cancelled_at timestamptz,
    cancel_reason text CHECK (length(cancel_reason) <= 2000),
    captured_offline boolean NOT NULL DEFAULT false,
    entered_by uuid,
    entered_at timestamptz,
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_at timestamptz NOT NULL DEFAULT now(),

    UNIQUE (casino_id, id),
    CONSTRAINT slip_request_once UNIQUE (casino_id, request_id),
    -- A slip may pass to the next session at a rollover, never to another table: no chips move between two tables.
    CONSTRAINT slip_on_the_sessions_table FOREIGN KEY (casino_id, table_id, session_id)
        REFERENCES table_inventory_session (casino_id, table_id, id),
    FOREIGN KEY (casino_id, replaces_slip_id) REFERENCES table_slip (casino_id, id),
    FOREIGN KEY (casino_id, drop_box_id) REFERENCES drop_box (casino_id, id),
    FOREIGN KEY (casino_id, requested_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, issued_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, runner_id) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, dealer_id) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, verified_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, cage_received_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, deposited_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, voided_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, void_cosigned_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, cancelled_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, entered_by) REFERENCES staff (casino_id, id),

    CONSTRAINT slip_replaces_another CHECK (replaces_slip_id <> id),
    -- The number is given at ISSUED and kept by a void; a request and a cancelled request never had one.
    CONSTRAINT slip_numbered_when_issued CHECK (
        num_nulls(slip_no, slip_scope, scope_key, issued_by, issued_at, runner_id)
            = CASE WHEN status IN ('REQUESTED', 'CANCELLED') THEN 6 ELSE 0 END),
    CONSTRAINT slip_scope_key_fits CHECK (
        CASE slip_scope WHEN 'gaming_day' THEN scope_key ~ '^\d{4}-\d{2}-\d{2}$' WHEN 'calendar_year' THEN scope_key ~ '^\d{4}$' END),
    CONSTRAINT slip_verified_in_full CHECK (
        num_nulls(dealer_id, verified_by, verified_at, confirmed_chipset, confirmed_amount_cents)
            = CASE WHEN status IN ('VERIFIED_AT_TABLE', 'DEPOSITED_IN_DROPBOX') OR voided_from IS NOT DISTINCT FROM 'VERIFIED_AT_TABLE'
                   THEN 0 ELSE 5 END),
    CONSTRAINT slip_confirmed_note_with_confirmation CHECK (confirmed_note IS NULL OR verified_at IS NOT NULL),
    CONSTRAINT slip_cage_receipt_in_full CHECK (num_nulls(cage_received_by, cage_received_at, cage_amount_cents) IN (0, 3)),
    CONSTRAINT slip_cage_receipt_of_a_verified_credit CHECK (cage_received_at IS NULL OR (kind = 'credit' AND verified_at IS NOT NULL)),
    CONSTRAINT slip_deposited_in_full CHECK (
        num_nulls(deposited_by, deposited_at, drop_box_id, drop_box_use) = CASE status WHEN 'DEPOSITED_IN_DROPBOX' THEN 0 ELSE 4 END),
    CONSTRAINT slip_credit_deposited_after_cage_receipt CHECK (
        kind = 'fill' OR status <> 'DEPOSITED_IN_DROPBOX' OR cage_received_at IS NOT NULL),
    CONSTRAINT slip_voided_in_full CHECK (
        num_nulls(voided_by, voided_at, void_cosigned_by, void_reason, voided_from) = CASE status WHEN 'VOIDED' THEN 0 ELSE 5 END
        AND (void_reason IS NULL OR btrim(void_reason) <> '')),
    CONSTRAINT slip_cancelled_in_full CHECK (
        num_nulls(cancelled_by, cancelled_at, cancel_reason) = CASE status WHEN 'CANCELLED' THEN 0 ELSE 3 END
        AND (cancel_reason IS NULL OR btrim(cancel_reason) <> '')),
    CONSTRAINT slip_offline_entered_by_someone CHECK (num_nulls(entered_by, entered_at) = CASE WHEN captured_offline THEN 0 ELSE 2 END),
    -- Segregation by person (domain §6). A null on either side says nothing yet.
    CONSTRAINT slip_four_people CHECK (
        issued_by <> runner_id AND issued_by <> dealer_id AND issued_by <> verified_by
        AND runner_id <> dealer_id AND runner_id <> verified_by AND dealer_id <> verified_by),
    CONSTRAINT slip_requester_neither_issues_nor_carries CHECK (requested_by <> issued_by AND requested_by <> runner_id),
    CONSTRAINT slip_void_independent CHECK (
        void_cosigned_by NOT IN (voided_by, requested_by, issued_by, runner_id, dealer_id, verified_by, cage_received_by))
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX slip_number_once ON table_slip (casino_id, kind, slip_scope, scope_key, slip_no) WHERE slip_no IS NOT NULL;
-- A void has one replacement.
CREATE UNIQUE INDEX slip_replaced_once ON table_slip (casino_id, replaces_slip_id) WHERE replaces_slip_id IS NOT NULL AND status <> 'CANCELLED';
CREATE INDEX slip_by_session ON table_slip (casino_id, session_id, id);
-- What must be inside a box (domain §8), and which sessions a count settles.
CREATE INDEX slip_by_box ON table_slip (casino_id, drop_box_id, drop_box_use) WHERE drop_box_id IS NOT NULL;

SELECT fence('table_slip');
SELECT never_deleted('table_slip');

CREATE FUNCTION slip_may_move(origin text, target text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE origin
    WHEN 'REQUESTED'         THEN target IN ('REQUESTED', 'ISSUED', 'CANCELLED')
    WHEN 'ISSUED'            THEN target IN ('ISSUED', 'VERIFIED_AT_TABLE', 'VOIDED')
    WHEN 'VERIFIED_AT_TABLE' THEN target IN ('VERIFIED_AT_TABLE', 'DEPOSITED_IN_DROPBOX', 'VOIDED')
    ELSE false
END;

CREATE FUNCTION guard_slip() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- A slip written by hand during an outage is entered when part of its way is already behind it.
        IF NOT (NEW.status = 'REQUESTED' OR (NEW.captured_offline AND NEW.status <> 'CANCELLED')) THEN
            PERFORM refused(TG_TABLE_NAME, 'RD004', 'slip_begins', format('no slip begins as %s', NEW.status));
        END IF;
        RETURN NEW;
    END IF;

    IF OLD.status IN ('DEPOSITED_IN_DROPBOX', 'CANCELLED', 'VOIDED') THEN
        PERFORM refused(TG_TABLE_NAME, 'RD006', 'slip_settled', format('a slip that is %s is immutable', OLD.status));
    END IF;
    IF NEW.version <= OLD.version THEN
        PERFORM refused(TG_TABLE_NAME, 'RD005', 'version_rises', 'the version rises with every change');
    END IF;
    IF NEW.status <> OLD.status AND NOT slip_may_move(OLD.status, NEW.status) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD004', 'slip_may_move', format('%s to %s is no move', OLD.status, NEW.status));
    END IF;
    IF (OLD.id, OLD.casino_id, OLD.table_id, OLD.kind, OLD.purpose, OLD.request_id, OLD.chipset, OLD.amount_cents, OLD.note,
        OLD.replaces_slip_id, OLD.requested_by, OLD.requested_at, OLD.captured_offline, OLD.entered_by, OLD.entered_at, OLD.created_at)
        IS DISTINCT FROM
       (NEW.id, NEW.casino_id, NEW.table_id, NEW.kind, NEW.purpose, NEW.request_id, NEW.chipset, NEW.amount_cents, NEW.note,
        NEW.replaces_slip_id, NEW.requested_by, NEW.requested_at, NEW.captured_offline, NEW.entered_by, NEW.entered_at, NEW.created_at)
    THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'slip_as_requested', 'what was asked for never changes');
    END IF;
    -- Rollover: the chips of a slip not yet verified change the next session's tray (domain §4).
    IF NEW.session_id <> OLD.session_id AND OLD.status NOT IN ('REQUESTED', 'ISSUED') THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'slip_rolls_over_unverified', 'a verified slip stays with its session');
    END IF;
    IF OLD.issued_at IS NOT NULL AND (OLD.slip_no, OLD.slip_scope, OLD.scope_key, OLD.issued_by, OLD.issued_at, OLD.runner_id)
            IS DISTINCT FROM (NEW.slip_no, NEW.slip_scope, NEW.scope_key, NEW.issued_by, NEW.issued_at, NEW.runner_id)
        OR OLD.verified_at IS NOT NULL
            AND (OLD.dealer_id, OLD.verified_by, OLD.verified_at, OLD.confirmed_chipset, OLD.confirmed_amount_cents, OLD.confirmed_note)
                IS DISTINCT FROM
                (NEW.dealer_id, NEW.verified_by, NEW.verified_at, NEW.confirmed_chipset, NEW.confirmed_amount_cents, NEW.confirmed_note)
        OR OLD.cage_received_at IS NOT NULL AND (OLD.cage_received_by, OLD.cage_received_at, OLD.cage_amount_cents)
            IS DISTINCT FROM (NEW.cage_received_by, NEW.cage_received_at, NEW.cage_amount_cents) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'slip_steps_once', 'each step of a slip is written once');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON table_slip FOR EACH ROW EXECUTE FUNCTION guard_slip();

GRANT SELECT, INSERT, UPDATE (
    session_id, status, slip_scope, scope_key, slip_no, issued_by, issued_at, runner_id, dealer_id, verified_by, verified_at,
    confirmed_chipset, confirmed_amount_cents, confirmed_note, cage_received_by, cage_received_at, cage_amount_cents,
    deposited_by, deposited_at, drop_box_id, drop_box_use, voided_by, voided_at, void_cosigned_by, void_reason, voided_from,
    cancelled_by, cancelled_at, cancel_reason, version
) ON table_slip TO rundown_app;

-- The names of the event catalog (seed 2), for readers in SQL. They read with the reader's own rights, or the fence would not hold.
CREATE VIEW table_fill WITH (security_invoker = true) AS
SELECT id, casino_id, session_id, table_id, purpose, request_id, status, chipset, amount_cents, note, replaces_slip_id,
       slip_scope, scope_key, slip_no, requested_by, requested_at, issued_by, issued_at,
       runner_id AS delivered_by, dealer_id AS received_by,
       verified_by, verified_at, confirmed_chipset, confirmed_amount_cents, confirmed_note,
       deposited_by, deposited_at, drop_box_id, drop_box_use, voided_by, voided_at, void_cosigned_by, void_reason, voided_from,
       cancelled_by, cancelled_at, cancel_reason, captured_offline, entered_by, entered_at, version, created_at
  FROM table_slip WHERE kind = 'fill';

CREATE VIEW table_credit WITH (security_invoker = true) AS
SELECT id, casino_id, session_id, table_id, purpose, request_id, status, chipset, amount_cents, note, replaces_slip_id,
       slip_scope, scope_key, slip_no, requested_by AS authorized_by, requested_at, issued_by, issued_at, runner_id AS sent_by, dealer_id,
       verified_by, verified_at, confirmed_chipset, confirmed_amount_cents, confirmed_note,
       cage_received_by AS received_by, cage_received_at AS received_at, cage_amount_cents,
       deposited_by, deposited_at, drop_box_id, drop_box_use, voided_by, voided_at, void_cosigned_by, void_reason, voided_from,
       cancelled_by, cancelled_at, cancel_reason, captured_offline, entered_by, entered_at, version, created_at
  FROM table_slip WHERE kind = 'credit';

GRANT SELECT ON table_fill, table_credit TO rundown_app;

-- The last number given, a row a series: its row lock is what makes the series gap-free, since a number taken and rolled back was
-- never taken. (A Postgres sequence leaves gaps.)
CREATE TABLE slip_counter (
    casino_id uuid NOT NULL REFERENCES casino (id),
    kind text NOT NULL CHECK (kind IN ('fill', 'credit')),
    slip_scope text NOT NULL CHECK (slip_scope IN ('gaming_day', 'calendar_year')),
    scope_key text NOT NULL CHECK (
        CASE slip_scope WHEN 'gaming_day' THEN scope_key ~ '^\d{4}-\d{2}-\d{2}$' WHEN 'calendar_year' THEN scope_key ~ '^\d{4}$' END),
    last_no bigint NOT NULL CHECK (last_no >= 0),
    PRIMARY KEY (casino_id, kind, slip_scope, scope_key)
) WITH (fillfactor = 50);

SELECT fence('slip_counter');
-- A counter deleted would give its numbers again.
SELECT never_deleted('slip_counter');

CREATE FUNCTION guard_slip_counter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.last_no < OLD.last_no THEN
        PERFORM refused(TG_TABLE_NAME, 'RD004', 'slip_numbers_rise', 'a number given is never given again');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON slip_counter FOR EACH ROW EXECUTE FUNCTION guard_slip_counter();
GRANT SELECT, INSERT, UPDATE (last_no) ON slip_counter TO rundown_app;

CREATE TABLE slip_manual_range (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('fill', 'credit')),
    slip_scope text NOT NULL CHECK (slip_scope IN ('gaming_day', 'calendar_year')),
    scope_key text NOT NULL,
    first_no bigint NOT NULL CHECK (first_no >= 1),
    last_no bigint NOT NULL,
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    -- Numbers are set aside from a series that exists; its counter has already passed them, so ranges cannot overlap.
    FOREIGN KEY (casino_id, kind, slip_scope, scope_key) REFERENCES slip_counter (casino_id, kind, slip_scope, scope_key),
    FOREIGN KEY (casino_id, created_by) REFERENCES staff (casino_id, id),
    CONSTRAINT slip_manual_range_once UNIQUE (casino_id, kind, slip_scope, scope_key, first_no),
    CONSTRAINT slip_manual_range_ordered CHECK (first_no <= last_no)
);

SELECT fence('slip_manual_range');
SELECT never_deleted('slip_manual_range');

CREATE FUNCTION guard_slip_manual_range() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.closed_at IS NOT NULL OR (to_jsonb(OLD) - 'closed_at') <> (to_jsonb(NEW) - 'closed_at') THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'slip_manual_range_closed_once',
                        'a manual range is closed once, nothing else of it changes');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON slip_manual_range FOR EACH ROW EXECUTE FUNCTION guard_slip_manual_range();
GRANT SELECT, INSERT, UPDATE (closed_at) ON slip_manual_range TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Drops: one removal and its custody (domain §7). No amount: a custody fact is not a count.

CREATE TABLE table_drop_event (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL,
    session_id uuid NOT NULL,
    table_id uuid NOT NULL,
    drop_box_id uuid NOT NULL,
    drop_box_use bigint NOT NULL,
    replacement_box_id uuid,
    seal_no text NOT NULL CHECK (btrim(seal_no) <> '' AND length(seal_no) <= 64),
    seq_no int NOT NULL CHECK (seq_no >= 1),
    gaming_day date NOT NULL,
    removed_in text NOT NULL CHECK (removed_in IN (
        'OPEN', 'DROP_SCHEDULED', 'DROPPED', 'COUNTED', 'CLOSING', 'CLOSED', 'RECONCILED', 'FINALIZED')),
    scheduled_for timestamptz,
    removed_at timestamptz NOT NULL,
    removed_by uuid NOT NULL,
    witnessed_by uuid NOT NULL,
    emergency boolean NOT NULL DEFAULT false,
    stood_on_table boolean NOT NULL,
    delivered_at timestamptz,
    delivered_by uuid,
    delivered_scan_at timestamptz,
    received_at timestamptz,
    received_by uuid,
    received_seal_no text CHECK (btrim(received_seal_no) <> '' AND length(received_seal_no) <= 64),
    counted_at timestamptz,
    note text CHECK (length(note) <= 2000),
    created_at timestamptz NOT NULL DEFAULT now(),

    UNIQUE (casino_id, session_id, id),
    CONSTRAINT drop_sequence_once UNIQUE (casino_id, session_id, seq_no),
    -- One use of a box is removed once: a second removal of it would be a box in two places.
    CONSTRAINT drop_one_removal_per_use UNIQUE (casino_id, drop_box_id, drop_box_use),
    CONSTRAINT drop_on_the_sessions_table FOREIGN KEY (casino_id, table_id, session_id)
        REFERENCES table_inventory_session (casino_id, table_id, id),
    FOREIGN KEY (casino_id, drop_box_id) REFERENCES drop_box (casino_id, id),
    FOREIGN KEY (casino_id, replacement_box_id) REFERENCES drop_box (casino_id, id),
    FOREIGN KEY (casino_id, removed_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, witnessed_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, delivered_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, received_by) REFERENCES staff (casino_id, id),

    CONSTRAINT drop_two_people CHECK (removed_by <> witnessed_by),
    CONSTRAINT drop_replaced_by_another_box CHECK (replacement_box_id <> drop_box_id),
    CONSTRAINT drop_delivered_in_full CHECK (
        (delivered_at IS NULL) = (delivered_by IS NULL) AND (delivered_scan_at IS NULL OR delivered_at IS NOT NULL)),
    CONSTRAINT drop_received_in_full CHECK (num_nulls(received_at, received_by, received_seal_no) IN (0, 3)),
    CONSTRAINT drop_received_after_delivery CHECK (received_at IS NULL OR delivered_at IS NOT NULL),
    CONSTRAINT drop_counted_after_receipt CHECK (counted_at IS NULL OR received_at IS NOT NULL),
    CONSTRAINT drop_custody_in_order CHECK (removed_at <= delivered_at AND delivered_at <= received_at)
) WITH (fillfactor = 80);
-- A removal not yet counted: `GET /drops?pending=true`, and what the sweep of deadlines reads.
CREATE INDEX drop_pending ON table_drop_event (casino_id, id) WHERE counted_at IS NULL;

SELECT fence('table_drop_event');
SELECT never_deleted('table_drop_event');

CREATE FUNCTION guard_drop() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    custody CONSTANT text[] := '{delivered_at,delivered_by,delivered_scan_at,received_at,received_by,received_seal_no,counted_at}';
BEGIN
    IF (to_jsonb(OLD) - custody) <> (to_jsonb(NEW) - custody) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'drop_is_a_fact', 'a removal is written once');
    END IF;
    IF OLD.delivered_at IS NOT NULL AND (OLD.delivered_at, OLD.delivered_by, OLD.delivered_scan_at)
            IS DISTINCT FROM (NEW.delivered_at, NEW.delivered_by, NEW.delivered_scan_at)
        OR OLD.received_at IS NOT NULL AND (OLD.received_at, OLD.received_by, OLD.received_seal_no)
            IS DISTINCT FROM (NEW.received_at, NEW.received_by, NEW.received_seal_no)
        OR OLD.counted_at IS NOT NULL AND OLD.counted_at IS DISTINCT FROM NEW.counted_at THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'drop_custody_once', 'delivery, receipt and count are each written once');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON table_drop_event FOR EACH ROW EXECUTE FUNCTION guard_drop();
GRANT SELECT, INSERT, UPDATE (delivered_at, delivered_by, delivered_scan_at, received_at, received_by, received_seal_no, counted_at)
ON table_drop_event TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Soft counts: one box counted (domain §8)

CREATE TABLE soft_count_table_result (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL,
    session_id uuid NOT NULL,
    drop_event_id uuid NOT NULL,
    standing text NOT NULL CHECK (standing IN ('accepted', 'disputed')),
    drop_total_cents bigint NOT NULL CHECK (drop_total_cents >= 0),
    count_1_cents bigint NOT NULL CHECK (count_1_cents >= 0),
    count_2_cents bigint NOT NULL CHECK (count_2_cents >= 0),
    agreed_cents bigint CHECK (agreed_cents >= 0),
    evidence_manifest jsonb NOT NULL CHECK (jsonb_typeof(evidence_manifest) = 'object'),
    manifest jsonb NOT NULL CHECK (jsonb_typeof(manifest) = 'array'),
    team uuid[] NOT NULL CHECK (cardinality(team) BETWEEN 2 AND 64 AND array_position(team, NULL) IS NULL),
    counted_at timestamptz NOT NULL,
    counted_by uuid NOT NULL,
    batch_ref text CHECK (length(batch_ref) <= 200),
    supersedes_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),

    UNIQUE (casino_id, drop_event_id, id),
    FOREIGN KEY (casino_id, session_id, drop_event_id) REFERENCES table_drop_event (casino_id, session_id, id),
    FOREIGN KEY (casino_id, drop_event_id, supersedes_id) REFERENCES soft_count_table_result (casino_id, drop_event_id, id),
    FOREIGN KEY (casino_id, counted_by) REFERENCES staff (casino_id, id),

    CONSTRAINT soft_count_team_all_different CHECK (all_different(team)),
    CONSTRAINT soft_count_supersedes_another CHECK (supersedes_id <> id),
    CONSTRAINT soft_count_agreed_is_the_total CHECK (agreed_cents = drop_total_cents),
    CONSTRAINT soft_count_standing_follows_counts CHECK (
        (standing = 'disputed') = (count_1_cents <> count_2_cents AND agreed_cents IS NULL))
);
-- The results of one box are one chain: one begins it, each is superseded at most once.
CREATE UNIQUE INDEX soft_count_first_per_box ON soft_count_table_result (casino_id, drop_event_id) WHERE supersedes_id IS NULL;
CREATE UNIQUE INDEX soft_count_superseded_once ON soft_count_table_result (casino_id, supersedes_id) WHERE supersedes_id IS NOT NULL;
CREATE INDEX soft_count_by_session ON soft_count_table_result (casino_id, session_id, id);

SELECT fence('soft_count_table_result');
SELECT append_only('soft_count_table_result');
GRANT SELECT, INSERT ON soft_count_table_result TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Exceptions (domain §9): never deleted, never reopened

CREATE TABLE reconciliation_exception (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL,
    session_id uuid NOT NULL,
    category text NOT NULL CHECK (category IN (
        'MISSING_SLIP', 'UNEXPECTED_SLIP', 'SLIP_AMOUNT_MISMATCH', 'DUPLICATE_SLIP_NO', 'VOID_MISUSE', 'SLIP_NUMBER_GAP',
        'COUNT_VARIANCE', 'OPENING_VARIANCE', 'PAR_VARIANCE', 'DROP_OUT_OF_SCHEDULE', 'CUSTODY_GAP', 'SEAL_MISMATCH',
        'DROP_MISSING', 'COUNT_OVERDUE', 'MISSING_CLOSING_SNAPSHOT', 'UNVERIFIED_SLIP', 'OPEN_RATING_SLIPS', 'LATE_EVENT',
        'HOLD_DEVIATION', 'TELEMETRY_VARIANCE', 'MANUAL')),
    subject_kind text NOT NULL CHECK (subject_kind IN (
        'session', 'snapshot', 'slip', 'drop', 'document', 'exception', 'report', 'soft_count')),
    subject_id text NOT NULL CHECK (subject_id <> '' AND length(subject_id) <= 300),
    expected jsonb,
    found jsonb,
    variance_cents bigint,
    detail jsonb NOT NULL,
    status text NOT NULL DEFAULT 'OPEN' CHECK (status IN ('OPEN', 'ACKNOWLEDGED', 'RESOLVED', 'WAIVED')),
    due_at timestamptz,
    owner uuid,
    reason_code text CHECK (reason_code IN (
        'DATA_ENTRY_ERROR', 'LATE_PAPERWORK_FOUND', 'RECOUNT_CONFIRMED', 'VOID_AND_REPLACED', 'ACCEPTED_VARIANCE', 'CUSTODY_EXPLAINED',
        'SYSTEM_ERROR', 'REFERRED_TO_INVESTIGATION')),
    resolution_note text CHECK (length(resolution_note) <= 2000),
    acknowledged_by uuid,
    acknowledged_at timestamptz,
    resolved_by uuid,
    resolved_at timestamptz,
    detected_by uuid,
    detected_at timestamptz NOT NULL,
    no_longer_observed_at timestamptz,
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),

    UNIQUE (casino_id, id),
    FOREIGN KEY (casino_id, session_id) REFERENCES table_inventory_session (casino_id, id),
    FOREIGN KEY (casino_id, owner) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, acknowledged_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, resolved_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, detected_by) REFERENCES staff (casino_id, id),

    CONSTRAINT exception_acknowledged_by_someone CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL)),
    CONSTRAINT exception_acknowledged_has_time CHECK (status <> 'ACKNOWLEDGED' OR acknowledged_at IS NOT NULL),
    CONSTRAINT exception_resolved_in_full CHECK (
        num_nulls(resolved_by, resolved_at) = CASE WHEN status IN ('RESOLVED', 'WAIVED') THEN 0 ELSE 2 END),
    CONSTRAINT exception_resolved_with_reason CHECK (
        CASE WHEN status IN ('RESOLVED', 'WAIVED')
             THEN reason_code IS NOT NULL AND reason_code <> 'REFERRED_TO_INVESTIGATION'
                  AND resolution_note IS NOT NULL AND btrim(resolution_note) <> ''
             ELSE reason_code IS NULL OR reason_code = 'REFERRED_TO_INVESTIGATION' END)
);
-- Detectors run again and again; what they already found and nobody has answered is not found twice.
-- Whether a missing number has been told, on whichever session.
CREATE INDEX exception_slip_gap ON reconciliation_exception (casino_id, subject_id) WHERE category = 'SLIP_NUMBER_GAP';
CREATE UNIQUE INDEX exception_unresolved_once ON reconciliation_exception (casino_id, session_id, category, subject_kind, subject_id)
    WHERE status IN ('OPEN', 'ACKNOWLEDGED');
CREATE INDEX exception_by_session ON reconciliation_exception (casino_id, session_id, id);
CREATE INDEX exception_unresolved ON reconciliation_exception (casino_id, id) WHERE status IN ('OPEN', 'ACKNOWLEDGED');

SELECT fence('reconciliation_exception');
SELECT never_deleted('reconciliation_exception');

CREATE FUNCTION guard_exception() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    observation CONSTANT text[] := '{no_longer_observed_at,version}';
BEGIN
    IF NEW.version <= OLD.version THEN
        PERFORM refused(TG_TABLE_NAME, 'RD005', 'version_rises', 'the version rises with every change');
    END IF;
    -- A detector may still say that it no longer sees what a person has answered; the answer itself stands.
    IF OLD.status IN ('RESOLVED', 'WAIVED') AND (to_jsonb(OLD) - observation) <> (to_jsonb(NEW) - observation) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD006', 'exception_answered', 'never reopened: a new finding is a new row');
    END IF;
    IF OLD.status = 'ACKNOWLEDGED' AND NEW.status = 'OPEN' THEN
        PERFORM refused(TG_TABLE_NAME, 'RD004', 'exception_may_move', 'ACKNOWLEDGED to OPEN is no move');
    END IF;
    IF (OLD.id, OLD.casino_id, OLD.session_id, OLD.category, OLD.subject_kind, OLD.subject_id, OLD.detected_by, OLD.detected_at)
        IS DISTINCT FROM
       (NEW.id, NEW.casino_id, NEW.session_id, NEW.category, NEW.subject_kind, NEW.subject_id, NEW.detected_by, NEW.detected_at)
        OR OLD.acknowledged_at IS NOT NULL
            AND (OLD.acknowledged_by, OLD.acknowledged_at) IS DISTINCT FROM (NEW.acknowledged_by, NEW.acknowledged_at) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'exception_subject', 'what an exception is about, and who took note of it, never changes');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON reconciliation_exception FOR EACH ROW EXECUTE FUNCTION guard_exception();

GRANT SELECT, INSERT, UPDATE (
    expected, found, variance_cents, detail, status, due_at, owner, reason_code, resolution_note, acknowledged_by, acknowledged_at,
    resolved_by, resolved_at, no_longer_observed_at, version
) ON reconciliation_exception TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Report: what the session proves (domain §9). The formula lives in the law alone; here stands only that null is not zero.

CREATE TABLE table_rundown_report (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL,
    session_id uuid NOT NULL,
    opening_total_cents bigint,
    opening_snapshot_id uuid,
    opening_source text NOT NULL CHECK (opening_source <> '' AND length(opening_source) <= 64),
    closing_total_cents bigint,
    closing_snapshot_id uuid,
    fills_total_cents bigint NOT NULL CHECK (fills_total_cents >= 0),
    fill_ids uuid[] NOT NULL,
    credits_total_cents bigint NOT NULL CHECK (credits_total_cents >= 0),
    credit_ids uuid[] NOT NULL,
    inventory_result_cents bigint,
    drop_total_cents bigint CHECK (drop_total_cents >= 0),
    soft_count_ids uuid[] NOT NULL,
    win_loss_stat_cents bigint,
    hold_bp bigint,
    missing_inputs text[] NOT NULL,
    metric_grade text NOT NULL CHECK (metric_grade IN ('ESTIMATE', 'AUTHORITATIVE')),
    par_variance_cents bigint,
    count_status text NOT NULL CHECK (count_status IN ('pending', 'counted')),
    computed_at timestamptz NOT NULL,
    input_hash text NOT NULL CHECK (input_hash ~ '^[0-9a-f]{64}$'),
    finalized_at timestamptz,
    finalized_by uuid,

    CONSTRAINT report_one_per_session UNIQUE (casino_id, session_id),
    FOREIGN KEY (casino_id, session_id) REFERENCES table_inventory_session (casino_id, id),
    FOREIGN KEY (casino_id, session_id, opening_snapshot_id) REFERENCES table_inventory_snapshot (casino_id, session_id, id),
    FOREIGN KEY (casino_id, session_id, closing_snapshot_id) REFERENCES table_inventory_snapshot (casino_id, session_id, id),
    FOREIGN KEY (casino_id, finalized_by) REFERENCES staff (casino_id, id),

    CONSTRAINT report_finalized_by_someone CHECK ((finalized_at IS NULL) = (finalized_by IS NULL)),
    CONSTRAINT report_opening_from_a_count CHECK ((opening_total_cents IS NULL) = (opening_snapshot_id IS NULL)),
    CONSTRAINT report_closing_from_a_count CHECK ((closing_total_cents IS NULL) = (closing_snapshot_id IS NULL)),
    CONSTRAINT report_inventory_needs_both_counts CHECK (
        (inventory_result_cents IS NULL) = (opening_total_cents IS NULL OR closing_total_cents IS NULL)),
    CONSTRAINT report_win_needs_all_three CHECK (
        (win_loss_stat_cents IS NULL) = (opening_total_cents IS NULL OR closing_total_cents IS NULL OR drop_total_cents IS NULL)),
    CONSTRAINT report_hold_needs_win_and_drop CHECK ((hold_bp IS NULL) = (win_loss_stat_cents IS NULL OR drop_total_cents = 0)),
    CONSTRAINT report_authoritative_misses_nothing CHECK (metric_grade = 'ESTIMATE' OR cardinality(missing_inputs) = 0)
);

SELECT fence('table_rundown_report');
SELECT never_deleted('table_rundown_report');

CREATE FUNCTION guard_report() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.finalized_at IS NOT NULL THEN
        PERFORM refused(TG_TABLE_NAME, 'RD006', 'report_finalized', 'a finalized report is immutable');
    END IF;
    IF (OLD.id, OLD.casino_id, OLD.session_id) IS DISTINCT FROM (NEW.id, NEW.casino_id, NEW.session_id) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'report_identity', 'a report keeps its session');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON table_rundown_report FOR EACH ROW EXECUTE FUNCTION guard_report();

GRANT SELECT, INSERT, UPDATE (
    opening_total_cents, opening_snapshot_id, opening_source, closing_total_cents, closing_snapshot_id, fills_total_cents, fill_ids,
    credits_total_cents, credit_ids, inventory_result_cents, drop_total_cents, soft_count_ids, win_loss_stat_cents, hold_bp, missing_inputs,
    metric_grade, par_variance_cents, count_status, computed_at, input_hash, finalized_at, finalized_by
) ON table_rundown_report TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Signatures (domain §3)

CREATE TABLE signature (
    id uuid NOT NULL,
    casino_id uuid NOT NULL,
    session_id uuid,
    subject_kind text NOT NULL CHECK (subject_kind IN (
        'session', 'snapshot', 'slip', 'drop', 'document', 'exception', 'report', 'soft_count')),
    subject_id uuid NOT NULL,
    act text NOT NULL CHECK (act <> '' AND length(act) <= 64),
    staff_id uuid NOT NULL,
    -- The role at the moment of signing. The daemon itself signs nothing.
    role text NOT NULL CHECK (role IN ('dealer', 'pit_boss', 'cashier', 'security', 'count_team', 'compliance', 'admin')),
    method text NOT NULL CHECK (method IN ('bearer', 'pin', 'named')),
    signed_at timestamptz NOT NULL,
    -- By subject first: who signed a slip, whichever session it was in then.
    PRIMARY KEY (casino_id, subject_id, id),
    CONSTRAINT signature_only_a_runner_is_named CHECK (method <> 'named' OR act = 'slip.carry')
);
-- Who moved a session is found under the session itself: it binds nobody, so no command looks for it.
CREATE INDEX signature_by_session ON signature (casino_id, session_id, id) WHERE subject_kind <> 'session';

SELECT fence('signature');
SELECT append_only('signature');
SELECT evidence_of('signature', 'staff_id');
GRANT SELECT, INSERT ON signature TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Transitions: the edges a session took, automatic ones too (domain §4). The session's row says where it is; this says how it came there.

CREATE TABLE session_transition (
    id uuid NOT NULL,
    casino_id uuid NOT NULL,
    session_id uuid NOT NULL,
    verb text NOT NULL CHECK (verb <> '' AND length(verb) <= 64),
    from_status text NOT NULL,
    to_status text NOT NULL,
    trigger text NOT NULL CHECK (trigger IN ('command', 'auto')),
    note text CHECK (length(note) <= 2000),
    taken_by uuid NOT NULL,
    taken_at timestamptz NOT NULL,
    PRIMARY KEY (casino_id, session_id, id)
);

SELECT fence('session_transition');
SELECT append_only('session_transition');
SELECT evidence_of('session_transition', 'taken_by');
GRANT SELECT, INSERT ON session_transition TO rundown_app;
