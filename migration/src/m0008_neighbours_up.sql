-- The neighbours of the event catalog (seed 2), minimal owners of their own tables: players and their visits, rating slips, financial
-- transactions, loyalty, floor layouts. Who plays is known through the visit alone; what a table is worth never depends on any of this.

-- ---------------------------------------------------------------------------------------------------------------------
-- Players. The row is also what commands on a player's money and points take turns by.

CREATE TABLE player (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL REFERENCES casino (id),
    player_no text NOT NULL CHECK (btrim(player_no) <> '' AND length(player_no) <= 64),
    name text NOT NULL CHECK (btrim(name) <> '' AND length(name) <= 120),
    -- Given by whoever runs the programme; told with every balance.
    loyalty_tier text CHECK (btrim(loyalty_tier) <> '' AND length(loyalty_tier) <= 64),
    -- Identified and rated, but collects no points: the shadow player of seed 3.
    loyalty_opt_out boolean NOT NULL DEFAULT false,
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (casino_id, id),
    CONSTRAINT player_numbered_once UNIQUE (casino_id, player_no)
);

SELECT fence('player');
SELECT never_deleted('player');
CREATE TRIGGER guard BEFORE UPDATE ON player FOR EACH ROW EXECUTE FUNCTION guard_version();
GRANT SELECT, INSERT, UPDATE (name, loyalty_tier, loyalty_opt_out, version) ON player TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Visits

CREATE TABLE visit (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL REFERENCES casino (id),
    player_id uuid,
    visit_kind text NOT NULL CHECK (visit_kind IN ('reward_identified', 'gaming_identified_rated', 'gaming_ghost_unrated')),
    gaming_day date NOT NULL,
    started_at timestamptz NOT NULL,
    started_by uuid NOT NULL,
    converted_at timestamptz,
    converted_by uuid,
    ended_at timestamptz,
    ended_by uuid,
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_at timestamptz NOT NULL DEFAULT now(),

    UNIQUE (casino_id, id),
    -- For the keys of money and points: a visit without a player matches none of them, so a ghost has neither.
    UNIQUE (casino_id, player_id, id),
    FOREIGN KEY (casino_id, player_id) REFERENCES player (casino_id, id),
    FOREIGN KEY (casino_id, started_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, converted_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, ended_by) REFERENCES staff (casino_id, id),

    CONSTRAINT visit_ghost_has_no_player CHECK ((visit_kind = 'gaming_ghost_unrated') = (player_id IS NULL)),
    CONSTRAINT visit_converted_by_someone CHECK ((converted_at IS NULL) = (converted_by IS NULL)),
    CONSTRAINT visit_converted_is_rated CHECK (converted_at IS NULL OR visit_kind = 'gaming_identified_rated'),
    CONSTRAINT visit_ended_by_someone CHECK ((ended_at IS NULL) = (ended_by IS NULL)),
    CONSTRAINT visit_has_length CHECK (ended_at >= started_at)
) WITH (fillfactor = 80);
-- Nobody is in the house twice.
CREATE UNIQUE INDEX visit_one_open_per_player ON visit (casino_id, player_id) WHERE ended_at IS NULL;
CREATE INDEX visit_open ON visit (casino_id, id) WHERE ended_at IS NULL;
CREATE INDEX visit_by_gaming_day ON visit (casino_id, gaming_day, id);

SELECT fence('visit');
SELECT never_deleted('visit');

CREATE FUNCTION guard_visit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.ended_at IS NOT NULL THEN
        PERFORM refused(TG_TABLE_NAME, 'RD006', 'visit_ended', 'a visit that has ended stays as it is');
    END IF;
    IF NEW.version <> OLD.version + 1 THEN
        PERFORM refused(TG_TABLE_NAME, 'RD005', 'version_rises', 'the version rises by one with every change');
    END IF;
    -- One way: a rated visit never becomes a reward visit again, and a ghost stays one.
    IF NEW.visit_kind <> OLD.visit_kind AND NOT (OLD.visit_kind = 'reward_identified' AND NEW.visit_kind = 'gaming_identified_rated') THEN
        PERFORM refused(TG_TABLE_NAME, 'RD004', 'visit_may_convert', format('%s to %s is no conversion', OLD.visit_kind, NEW.visit_kind));
    END IF;
    IF (OLD.id, OLD.casino_id, OLD.player_id, OLD.gaming_day, OLD.started_at, OLD.started_by, OLD.created_at)
        IS DISTINCT FROM
       (NEW.id, NEW.casino_id, NEW.player_id, NEW.gaming_day, NEW.started_at, NEW.started_by, NEW.created_at) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'visit_identity', 'a visit keeps its player and its start');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON visit FOR EACH ROW EXECUTE FUNCTION guard_visit();
GRANT SELECT, INSERT, UPDATE (visit_kind, converted_at, converted_by, ended_at, ended_by, version) ON visit TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Rating slips: one seat at one table. A move closes one and opens the next, which points back: the chain is the sitting.

CREATE TABLE rating_slip (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL REFERENCES casino (id),
    visit_id uuid NOT NULL,
    table_id uuid NOT NULL,
    -- The table's game when play began: a table may be dealt another game later.
    game_type text NOT NULL CHECK (game_type IN ('blackjack', 'poker', 'roulette', 'baccarat')),
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'paused', 'closed')),
    seat text CHECK (btrim(seat) <> '' AND length(seat) <= 64),
    average_bet_cents bigint CHECK (average_bet_cents >= 0),
    started_at timestamptz NOT NULL,
    -- Play that has ended; what runs on since `resumed_at` is added by whoever reads. Pauses are in neither.
    played_seconds bigint NOT NULL DEFAULT 0 CHECK (played_seconds >= 0),
    resumed_at timestamptz,
    ended_at timestamptz,
    previous_slip_id uuid,
    -- The first slip of the chain; of an unmoved slip its own id.
    move_group_id uuid NOT NULL,
    opened_by uuid NOT NULL,
    closed_by uuid,
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    created_at timestamptz NOT NULL DEFAULT now(),

    UNIQUE (casino_id, id),
    -- For the keys of what is said about a slip: its visit and its table are the slip's own.
    UNIQUE (casino_id, visit_id, id),
    UNIQUE (casino_id, table_id, visit_id, id),
    -- One slip follows another, at most.
    CONSTRAINT rating_slip_moved_once UNIQUE (casino_id, previous_slip_id),
    FOREIGN KEY (casino_id, visit_id) REFERENCES visit (casino_id, id),
    FOREIGN KEY (casino_id, table_id) REFERENCES gaming_table (casino_id, id),
    FOREIGN KEY (casino_id, visit_id, previous_slip_id) REFERENCES rating_slip (casino_id, visit_id, id),
    FOREIGN KEY (casino_id, visit_id, move_group_id) REFERENCES rating_slip (casino_id, visit_id, id),
    FOREIGN KEY (casino_id, opened_by) REFERENCES staff (casino_id, id),
    FOREIGN KEY (casino_id, closed_by) REFERENCES staff (casino_id, id),

    CONSTRAINT rating_slip_plays_while_open CHECK ((status = 'open') = (resumed_at IS NOT NULL)),
    CONSTRAINT rating_slip_closed_has_time CHECK ((status = 'closed') = (ended_at IS NOT NULL)),
    CONSTRAINT rating_slip_closed_by_someone CHECK ((ended_at IS NULL) = (closed_by IS NULL)),
    CONSTRAINT rating_slip_has_length CHECK (ended_at >= started_at),
    CONSTRAINT rating_slip_chain_begins CHECK ((previous_slip_id IS NULL) = (move_group_id = id))
) WITH (fillfactor = 80);
-- Who plays at a table now: a table's close asks it, so it must not grow with history. One seat a visit at one table.
CREATE UNIQUE INDEX rating_slip_one_open_per_table ON rating_slip (casino_id, table_id, visit_id) WHERE ended_at IS NULL;
CREATE INDEX rating_slip_open_of_visit ON rating_slip (casino_id, visit_id) WHERE ended_at IS NULL;
CREATE INDEX rating_slip_by_table ON rating_slip (casino_id, table_id, started_at);

SELECT fence('rating_slip');
SELECT never_deleted('rating_slip');

CREATE FUNCTION guard_rating_slip() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'closed' THEN
        PERFORM refused(TG_TABLE_NAME, 'RD006', 'rating_slip_closed', 'a closed rating slip stays as it is');
    END IF;
    IF NEW.version <> OLD.version + 1 THEN
        PERFORM refused(TG_TABLE_NAME, 'RD005', 'version_rises', 'the version rises by one with every change');
    END IF;
    IF (OLD.id, OLD.casino_id, OLD.visit_id, OLD.table_id, OLD.game_type, OLD.started_at, OLD.previous_slip_id, OLD.move_group_id,
        OLD.opened_by, OLD.created_at)
        IS DISTINCT FROM
       (NEW.id, NEW.casino_id, NEW.visit_id, NEW.table_id, NEW.game_type, NEW.started_at, NEW.previous_slip_id, NEW.move_group_id,
        NEW.opened_by, NEW.created_at) THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'rating_slip_identity', 'a rating slip keeps its visit, its table and its start');
    END IF;
    IF NEW.played_seconds < OLD.played_seconds THEN
        PERFORM refused(TG_TABLE_NAME, 'RD004', 'rating_slip_time_runs', 'time played is not taken back');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON rating_slip FOR EACH ROW EXECUTE FUNCTION guard_rating_slip();
GRANT SELECT, INSERT, UPDATE (status, seat, average_bet_cents, played_seconds, resumed_at, ended_at, closed_by, version)
ON rating_slip TO rundown_app;

-- A session that was forced to close leaves its rating slips behind: they are its own, and not the next session's.
CREATE INDEX session_forced ON table_inventory_session (casino_id, table_id, closed_at) WHERE close_reason = 'forced';

-- The session a rating slip belongs to: the one that was forced to close over it, or else the table's live one. A rollover hands slips on by that.
-- Both in plpgsql, which keeps its plans: every command asks, and planning would cost it ten times the answer.
CREATE FUNCTION session_of_rating_slip(c_id uuid, p_table_id uuid, p_started_at timestamptz) RETURNS uuid LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN COALESCE(
        (SELECT s.id FROM table_inventory_session AS s
          WHERE s.casino_id = c_id AND s.table_id = p_table_id AND s.close_reason = 'forced' AND s.closed_at >= p_started_at
          ORDER BY s.closed_at LIMIT 1),
        (SELECT s.id FROM table_inventory_session AS s
          WHERE s.casino_id = c_id AND s.table_id = p_table_id AND s.closed_at IS NULL));
END $$;

-- The rating slips that stand in the way of these sessions' close, or were left behind by a forced one.
CREATE FUNCTION open_rating_slips(c_id uuid, sessions uuid[]) RETURNS json LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT COALESCE(json_agg(json_build_object('session_id', s.id, 'id', r.id, 'visit_id', r.visit_id, 'status', r.status,
                                                   'started_at', r.started_at) ORDER BY r.id), '[]')
          FROM table_inventory_session AS s JOIN rating_slip AS r
            ON r.casino_id = c_id AND r.table_id = s.table_id AND r.ended_at IS NULL
         WHERE s.casino_id = c_id AND s.id = ANY (sessions) AND session_of_rating_slip(c_id, s.table_id, r.started_at) = s.id);
END $$;

-- ---------------------------------------------------------------------------------------------------------------------
-- Money that passes between a player and the house. Cents; a correction is a new row, signed, that points at the first one.

CREATE TABLE player_financial_transaction (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL REFERENCES casino (id),
    player_id uuid NOT NULL,
    visit_id uuid,
    rating_slip_id uuid,
    -- in: from the player to the house. A correction has the direction of what it corrects.
    direction text NOT NULL CHECK (direction IN ('in', 'out')),
    kind text NOT NULL DEFAULT 'normal' CHECK (kind IN ('normal', 'adjustment', 'reversal')),
    corrects_id uuid,
    amount_cents bigint NOT NULL CHECK (amount_cents <> 0),
    tender_type text CHECK (btrim(tender_type) <> '' AND length(tender_type) <= 64),
    gaming_day date NOT NULL,
    occurred_at timestamptz NOT NULL,
    note text CHECK (length(note) <= 2000),
    idempotency_key text NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 200),
    created_by_staff_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),

    UNIQUE (casino_id, id),
    UNIQUE (casino_id, player_id, direction, id),
    CONSTRAINT financial_transaction_key_once UNIQUE (casino_id, idempotency_key),
    FOREIGN KEY (casino_id, player_id) REFERENCES player (casino_id, id),
    -- The visit is the player's own and the slip is the visit's own: a slip of somebody else refuses the whole write.
    FOREIGN KEY (casino_id, player_id, visit_id) REFERENCES visit (casino_id, player_id, id),
    FOREIGN KEY (casino_id, visit_id, rating_slip_id) REFERENCES rating_slip (casino_id, visit_id, id),
    FOREIGN KEY (casino_id, player_id, direction, corrects_id)
        REFERENCES player_financial_transaction (casino_id, player_id, direction, id),
    FOREIGN KEY (casino_id, created_by_staff_id) REFERENCES staff (casino_id, id),

    CONSTRAINT financial_transaction_slip_has_visit CHECK (rating_slip_id IS NULL OR visit_id IS NOT NULL),
    CONSTRAINT financial_transaction_correction_points CHECK ((kind = 'normal') = (corrects_id IS NULL)),
    CONSTRAINT financial_transaction_normal_is_positive CHECK (kind <> 'normal' OR amount_cents > 0),
    CONSTRAINT financial_transaction_reversal_takes_back CHECK (kind <> 'reversal' OR amount_cents < 0)
);
CREATE UNIQUE INDEX financial_transaction_reversed_once ON player_financial_transaction (casino_id, corrects_id) WHERE kind = 'reversal';
CREATE INDEX financial_transaction_corrections ON player_financial_transaction (casino_id, corrects_id) WHERE corrects_id IS NOT NULL;
CREATE INDEX financial_transaction_by_player ON player_financial_transaction (casino_id, player_id, id);
CREATE INDEX financial_transaction_by_slip ON player_financial_transaction (casino_id, rating_slip_id, id) WHERE rating_slip_id IS NOT NULL;
CREATE INDEX financial_transaction_by_gaming_day ON player_financial_transaction (casino_id, gaming_day, id);

SELECT fence('player_financial_transaction');
SELECT append_only('player_financial_transaction');
GRANT SELECT, INSERT ON player_financial_transaction TO rundown_app;

-- ---------------------------------------------------------------------------------------------------------------------
-- Loyalty: points as a ledger, and their sum.

CREATE TABLE loyalty_ledger (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL REFERENCES casino (id),
    player_id uuid NOT NULL,
    points int NOT NULL CHECK (points <> 0),
    reason text NOT NULL CHECK (reason IN ('mid_session', 'session_end', 'manual_adjustment', 'promotion', 'correction')),
    visit_id uuid,
    rating_slip_id uuid,
    corrects_id uuid,
    note text CHECK (length(note) <= 2000),
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),

    UNIQUE (casino_id, id),
    UNIQUE (casino_id, player_id, id),
    FOREIGN KEY (casino_id, player_id) REFERENCES player (casino_id, id),
    -- A ghost visit has no player, so no ledger row can name it, nor a slip of it.
    CONSTRAINT loyalty_visit_is_the_players FOREIGN KEY (casino_id, player_id, visit_id) REFERENCES visit (casino_id, player_id, id),
    FOREIGN KEY (casino_id, visit_id, rating_slip_id) REFERENCES rating_slip (casino_id, visit_id, id),
    FOREIGN KEY (casino_id, player_id, corrects_id) REFERENCES loyalty_ledger (casino_id, player_id, id),
    FOREIGN KEY (casino_id, created_by) REFERENCES staff (casino_id, id),

    CONSTRAINT loyalty_slip_has_visit CHECK (rating_slip_id IS NULL OR visit_id IS NOT NULL),
    CONSTRAINT loyalty_accrual_has_slip CHECK (reason NOT IN ('mid_session', 'session_end') OR rating_slip_id IS NOT NULL),
    CONSTRAINT loyalty_reward_is_positive CHECK (reason NOT IN ('mid_session', 'session_end', 'promotion') OR points > 0),
    CONSTRAINT loyalty_correction_points CHECK ((reason = 'correction') = (corrects_id IS NOT NULL))
);
CREATE UNIQUE INDEX loyalty_one_accrual_per_slip ON loyalty_ledger (casino_id, rating_slip_id) WHERE reason = 'session_end';

SELECT fence('loyalty_ledger');
SELECT append_only('loyalty_ledger');
GRANT SELECT, INSERT ON loyalty_ledger TO rundown_app;

CREATE TABLE loyalty_balance (
    player_id uuid PRIMARY KEY,
    casino_id uuid NOT NULL REFERENCES casino (id),
    balance bigint NOT NULL,
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    updated_at timestamptz NOT NULL,
    FOREIGN KEY (casino_id, player_id) REFERENCES player (casino_id, id)
) WITH (fillfactor = 80);

SELECT fence('loyalty_balance');
SELECT never_deleted('loyalty_balance');
CREATE TRIGGER guard BEFORE UPDATE ON loyalty_balance FOR EACH ROW EXECUTE FUNCTION guard_version();
GRANT SELECT, INSERT, UPDATE (balance, version, updated_at) ON loyalty_balance TO rundown_app;

-- The balance is the sum of the ledger because nothing else writes it, and no ledger row goes without it.
CREATE FUNCTION keep_loyalty_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO loyalty_balance AS b (player_id, casino_id, balance, updated_at)
    VALUES (NEW.player_id, NEW.casino_id, NEW.points, NEW.created_at)
    ON CONFLICT (player_id) DO UPDATE
        SET balance = b.balance + EXCLUDED.balance, version = b.version + 1, updated_at = EXCLUDED.updated_at;
    RETURN NULL;
END $$;
CREATE TRIGGER keep_balance AFTER INSERT ON loyalty_ledger FOR EACH ROW EXECUTE FUNCTION keep_loyalty_balance();

-- ---------------------------------------------------------------------------------------------------------------------
-- Floor layouts: a plan, its versions, and which version the floor stands by. A version is never edited; the next one is drawn.

CREATE TABLE floor_layout (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL REFERENCES casino (id),
    name text NOT NULL CHECK (btrim(name) <> '' AND length(name) <= 120),
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (casino_id, id),
    CONSTRAINT floor_layout_named_once UNIQUE (casino_id, name),
    FOREIGN KEY (casino_id, created_by) REFERENCES staff (casino_id, id)
);

SELECT fence('floor_layout');
SELECT append_only('floor_layout');
GRANT SELECT, INSERT ON floor_layout TO rundown_app;

CREATE TABLE floor_layout_version (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL REFERENCES casino (id),
    layout_id uuid NOT NULL,
    version_no int NOT NULL CHECK (version_no >= 1),
    note text CHECK (length(note) <= 2000),
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (casino_id, id),
    UNIQUE (casino_id, layout_id, id),
    CONSTRAINT floor_layout_version_numbered_once UNIQUE (casino_id, layout_id, version_no),
    FOREIGN KEY (casino_id, layout_id) REFERENCES floor_layout (casino_id, id),
    FOREIGN KEY (casino_id, created_by) REFERENCES staff (casino_id, id)
);

SELECT fence('floor_layout_version');
SELECT append_only('floor_layout_version');
GRANT SELECT, INSERT ON floor_layout_version TO rundown_app;

CREATE TABLE floor_layout_pit (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL REFERENCES casino (id),
    layout_version_id uuid NOT NULL,
    label text NOT NULL CHECK (btrim(label) <> '' AND length(label) <= 64),
    sequence int NOT NULL CHECK (sequence >= 0),
    UNIQUE (casino_id, layout_version_id, id),
    UNIQUE (casino_id, layout_version_id, label),
    FOREIGN KEY (casino_id, layout_version_id) REFERENCES floor_layout_version (casino_id, id)
);

SELECT fence('floor_layout_pit');
SELECT append_only('floor_layout_pit');
GRANT SELECT, INSERT ON floor_layout_pit TO rundown_app;

CREATE TABLE floor_layout_slot (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL REFERENCES casino (id),
    layout_version_id uuid NOT NULL,
    slot_label text NOT NULL CHECK (btrim(slot_label) <> '' AND length(slot_label) <= 64),
    game_type text NOT NULL CHECK (game_type IN ('blackjack', 'poker', 'roulette', 'baccarat')),
    pit_id uuid,
    preferred_table_id uuid,
    UNIQUE (casino_id, layout_version_id, slot_label),
    -- A table stands in one place.
    UNIQUE (casino_id, layout_version_id, preferred_table_id),
    FOREIGN KEY (casino_id, layout_version_id) REFERENCES floor_layout_version (casino_id, id),
    FOREIGN KEY (casino_id, layout_version_id, pit_id) REFERENCES floor_layout_pit (casino_id, layout_version_id, id),
    FOREIGN KEY (casino_id, preferred_table_id) REFERENCES gaming_table (casino_id, id)
);

SELECT fence('floor_layout_slot');
SELECT append_only('floor_layout_slot');
GRANT SELECT, INSERT ON floor_layout_slot TO rundown_app;

CREATE TABLE floor_layout_activation (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL REFERENCES casino (id),
    layout_id uuid NOT NULL,
    layout_version_id uuid NOT NULL,
    -- The client's: the same request is answered by this row, for ever.
    request_id text NOT NULL CHECK (length(request_id) BETWEEN 1 AND 200),
    activated_by uuid NOT NULL,
    activated_at timestamptz NOT NULL,
    -- What became of each table: switched on, switched off, or left as it was and why.
    outcome jsonb NOT NULL CHECK (jsonb_typeof(outcome) = 'object'),
    deactivated_at timestamptz,
    UNIQUE (casino_id, id),
    CONSTRAINT floor_layout_activation_request_once UNIQUE (casino_id, request_id),
    FOREIGN KEY (casino_id, layout_id, layout_version_id) REFERENCES floor_layout_version (casino_id, layout_id, id),
    FOREIGN KEY (casino_id, activated_by) REFERENCES staff (casino_id, id),
    CONSTRAINT floor_layout_activation_ends_after CHECK (deactivated_at >= activated_at)
);
CREATE UNIQUE INDEX floor_layout_one_active ON floor_layout_activation (casino_id) WHERE deactivated_at IS NULL;

SELECT fence('floor_layout_activation');
SELECT never_deleted('floor_layout_activation');

CREATE FUNCTION guard_floor_layout_activation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.deactivated_at IS NOT NULL
        OR (to_jsonb(OLD) - 'deactivated_at') IS DISTINCT FROM (to_jsonb(NEW) - 'deactivated_at') THEN
        PERFORM refused(TG_TABLE_NAME, 'RD003', 'floor_layout_activation_is_a_fact', 'an activation ends once and changes in nothing else');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON floor_layout_activation FOR EACH ROW EXECUTE FUNCTION guard_floor_layout_activation();
GRANT SELECT, INSERT, UPDATE (deactivated_at) ON floor_layout_activation TO rundown_app;
