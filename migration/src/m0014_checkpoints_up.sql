-- Checkpoints (domain §10): the figures of a window as they stood at a moment, kept to be compared with. What they are made of is the law's.

CREATE TABLE metric_checkpoint (
    id uuid PRIMARY KEY,
    casino_id uuid NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    -- How the window was named; neither where it was named by its hours.
    shift_id uuid,
    gaming_day date,
    note text CHECK (length(note) <= 2000),
    -- Tables, pits and the casino, as the metrics' summary tells them.
    figures jsonb NOT NULL CHECK (jsonb_typeof(figures) = 'object'),
    taken_by uuid NOT NULL,
    taken_at timestamptz NOT NULL,
    FOREIGN KEY (casino_id, shift_id) REFERENCES shift (casino_id, id),
    FOREIGN KEY (casino_id, taken_by) REFERENCES staff (casino_id, id),
    CONSTRAINT checkpoint_window_is_one CHECK (window_start < window_end AND window_end - window_start <= interval '48 hours')
);
CREATE INDEX checkpoint_in_order ON metric_checkpoint (casino_id, id);

SELECT fence('metric_checkpoint');
SELECT append_only('metric_checkpoint');
GRANT SELECT, INSERT ON metric_checkpoint TO rundown_app;
