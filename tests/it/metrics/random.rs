//! Postgres and the law held against each other: facts made at random, read once as the daemon reads them, and once from the raw rows, every
//! one of every table for itself, with no index, no sum and no bound. Both must come to the same.

use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::Map;
use workflows::coverage::USUAL_GRIND_SHARE_BP;
use workflows::metrics::{BuyinFlow, Count, SessionFacts, SlipFlow, Summary, TableFacts, Window};

use super::*;
use crate::schema::ask;

/// Chance, the same in every run: what failed once fails again.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn in_hundred(&mut self, chance: u64) -> bool {
        self.throw(100) < chance
    }

    fn between(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.throw(u64::try_from(to - from).expect("a span"))).expect("small")
    }

    fn cents(&mut self) -> i64 {
        self.between(0, 5_000) * 100
    }

    fn id(&mut self) -> Uuid {
        Uuid::from_u64_pair(
            self.throw(u64::from(u32::MAX)) << 32 | 0x7000,
            1 << 63 | self.throw(u64::from(u32::MAX)) << 31 | self.throw(1 << 31),
        )
    }
}

fn begin() -> DateTime<Utc> {
    "2026-03-03T12:00:00Z".parse().expect("an instant")
}

fn quoted(at: DateTime<Utc>) -> String {
    format!("'{}'", at.to_rfc3339())
}

/// Three days at eight tables, and everything that can be irregular about them.
struct Floor {
    dice: Dice,
    casino: Uuid,
    people: [Uuid; 5],
    sql: String,
    slips: i64,
    shifts: Vec<(Uuid, DateTime<Utc>, DateTime<Utc>)>,
}

impl Floor {
    fn of(house: &House, seed: u64) -> Self {
        let mut floor = Self {
            dice: Dice(seed),
            casino: house.home.casino,
            people: ["PB-01", "PB-02", "DL-01", "CG-01", "SC-01"].map(|name| house.staff(name)),
            sql: "SET session_replication_role = replica;".to_owned(),
            slips: 0,
            shifts: Vec::new(),
        };
        floor.found_shifts();
        for n in 0..8 {
            floor.found_table(n);
        }
        floor.sql.push_str("SET session_replication_role = DEFAULT;");
        floor
    }

    fn found_shifts(&mut self) {
        for n in 0..9 {
            let (id, template, start) = (self.dice.id(), self.dice.id(), begin() + TimeDelta::hours(8 * n));
            let end = start + TimeDelta::hours(8);
            let day = gaming_day(start);
            let _ = write!(
                self.sql,
                "INSERT INTO shift (id, casino_id, gaming_day, name, starts_at, ends_at, template_id)
                 VALUES ('{id}', '{}', '{day}', 'S{n}', {}, {}, '{template}');",
                self.casino,
                quoted(start),
                quoted(end)
            );
            self.shifts.push((id, start, end));
        }
    }

    fn found_table(&mut self, n: usize) {
        let table = self.dice.id();
        let pit = [Some("Pit 1"), Some("Pit 2"), None][n % 3];
        let pit = pit.map_or("NULL".to_owned(), |pit| format!("'{pit}'"));
        let status = if self.dice.in_hundred(70) { "active" } else { "inactive" };
        let _ = write!(
            self.sql,
            "INSERT INTO gaming_table (id, casino_id, label, type, pit, status, created_at)
             VALUES ('{table}', '{}', 'R-{n}', 'roulette', {pit}, '{status}', '2026-01-01');",
            self.casino
        );
        if self.dice.in_hundred(50) {
            let (id, cents) = (self.dice.id(), self.dice.cents());
            let _ = write!(
                self.sql,
                "INSERT INTO table_par (id, casino_id, table_id, par_cents, effective_gaming_day) VALUES ('{id}', '{}', '{table}', {cents}, '2026-03-04');",
                self.casino
            );
        }
        let mut at = begin() + TimeDelta::minutes(self.dice.between(-200, 900));
        let last = begin() + TimeDelta::hours(70);
        while at < last {
            let until = at + TimeDelta::minutes(self.dice.between(60, 700));
            let live = until >= last && self.dice.in_hundred(60);
            self.play(table, &pit, at, until, live);
            // A rollover, a short break, or a night without play.
            at = until
                + match self.dice.throw(4) {
                    0 => TimeDelta::zero(),
                    1 | 2 => TimeDelta::minutes(self.dice.between(1, 90)),
                    _ => TimeDelta::minutes(self.dice.between(300, 900)),
                };
        }
        for _ in 0..self.dice.throw(120) {
            self.buy_in(table);
        }
    }

    fn play(&mut self, table: Uuid, pit: &str, from: DateTime<Utc>, until: DateTime<Utc>, live: bool) {
        let (id, casino, by) = (self.dice.id(), self.casino, self.people[0]);
        let shift = self
            .shifts
            .iter()
            .find(|(_, start, end)| *start <= from && from < *end)
            .map(|(id, _, _)| *id);
        let shift = shift
            .filter(|_| self.dice.in_hundred(85))
            .map_or("NULL".to_owned(), |id| format!("'{id}'"));
        let day = gaming_day(from);
        if self.dice.in_hundred(10) {
            let _ = write!(
                self.sql,
                "INSERT INTO table_inventory_session (id, casino_id, table_id, gaming_day, shift_id, status, bank_mode, closed_at, closed_by,
                     close_reason, close_note, created_at, created_by)
                 VALUES ('{id}', '{casino}', '{table}', '{day}', {shift}, 'CLOSED', 'INVENTORY_COUNT', {until}, '{by}', 'cancelled', 'rain', {from}, '{by}');",
                until = quoted(until),
                from = quoted(from)
            );
            return;
        }
        let opener = self.count(id, "open", from, true, None);
        let opener = if self.dice.in_hundred(15) {
            let verified = self.dice.in_hundred(60);
            let again = self.count(id, "open", from + TimeDelta::minutes(2), verified, Some(opener));
            if verified { again } else { opener }
        } else {
            opener
        };
        for _ in 0..self.dice.throw(3) {
            let span = (until - from).num_minutes();
            let at = from + TimeDelta::minutes(self.dice.between(5, span.max(6)));
            let verified = self.dice.in_hundred(80);
            self.count(id, "rundown", at.min(until), verified, None);
        }
        let forced = !live && self.dice.in_hundred(15);
        let closer = (!live && (!forced || self.dice.in_hundred(40))).then(|| {
            let late = if forced {
                TimeDelta::minutes(self.dice.between(0, 600))
            } else {
                TimeDelta::zero()
            };
            self.count(id, "close", until + late, true, None)
        });
        let status = match (live, forced) {
            (true, _) => "OPEN",
            (false, true) => "CLOSED",
            (false, false) => ["CLOSED", "RECONCILED", "FINALIZED"][usize::try_from(self.dice.throw(3)).expect("small")],
        };
        let ended = if live { "NULL".to_owned() } else { quoted(until) };
        let ended_by = if live { "NULL".to_owned() } else { format!("'{by}'") };
        let reason = match (live, forced) {
            (true, _) => "NULL, NULL, false".to_owned(),
            (false, true) => "'forced', 'fire', true".to_owned(),
            (false, false) => "'normal', NULL, false".to_owned(),
        };
        let reconciled = if ["RECONCILED", "FINALIZED"].contains(&status) {
            &ended
        } else {
            "NULL"
        };
        let (finalized, officer) = if status == "FINALIZED" {
            (ended.as_str(), ended_by.as_str())
        } else {
            ("NULL", "NULL")
        };
        let _ = write!(
            self.sql,
            "INSERT INTO table_inventory_session (id, casino_id, table_id, gaming_day, shift_id, status, bank_mode, opening_snapshot_id,
                 closing_snapshot_id, opened_at, opened_by, activated_at, activated_by, closed_at, closed_by, close_reason, close_note,
                 requires_reconciliation, reconciled_at, finalized_at, finalized_by, created_at, created_by)
             VALUES ('{id}', '{casino}', '{table}', '{day}', {shift}, '{status}', 'INVENTORY_COUNT', '{opener}', {closer}, {from}, '{by}', {from}, '{by}',
                 {ended}, {ended_by}, {reason}, {reconciled}, {finalized}, {officer}, {created}, '{by}');",
            closer = closer.map_or("NULL".to_owned(), |id| format!("'{id}'")),
            from = quoted(from),
            created = quoted(from - TimeDelta::minutes(1)),
        );
        if self.dice.in_hundred(80) {
            let _ = write!(self.sql, "INSERT INTO session_pit VALUES ('{id}', '{casino}', {pit});");
        }
        for _ in 0..self.dice.throw(4) {
            self.slip(id, table, from, until);
        }
        self.boxes(id, table, until);
        if reconciled != "NULL" {
            self.report(id, opener, closer);
        }
    }

    fn count(&mut self, session: Uuid, kind: &str, at: DateTime<Utc>, verified: bool, supersedes: Option<Uuid>) -> Uuid {
        let (id, cents, [boss, second, ..]) = (self.dice.id(), self.dice.cents(), self.people);
        let at = quoted(at);
        let by = if verified {
            format!("'{second}', {at}")
        } else {
            "NULL, NULL".to_owned()
        };
        let _ = write!(
            self.sql,
            "INSERT INTO table_inventory_snapshot (id, casino_id, session_id, kind, chipset, total_cents, counted_by, counted_at, verified_by, verified_at,
                 supersedes_id, created_at)
             VALUES ('{id}', '{}', '{session}', '{kind}', '{{}}', {cents}, '{boss}', {at}, {by}, {old}, {at});",
            self.casino,
            old = supersedes.map_or("NULL".to_owned(), |id| format!("'{id}'")),
        );
        id
    }

    fn slip(&mut self, session: Uuid, table: Uuid, from: DateTime<Utc>, until: DateTime<Utc>) {
        self.slips += 1;
        let (id, n, [boss, second, dealer, cashier, guard]) = (self.dice.id(), self.slips, self.people);
        let kind = if self.dice.in_hundred(60) { "fill" } else { "credit" };
        let cents = self.dice.cents();
        let head = format!("'{id}', '{}', '{session}', '{table}', '{kind}', 'r-{n}'", self.casino);
        // A minute or two before the opener or after the closer: clocks are what they are.
        let at = quoted(from + TimeDelta::minutes(self.dice.between(-2, (until - from).num_minutes() + 3)));
        if self.dice.in_hundred(20) {
            let _ = write!(
                self.sql,
                "INSERT INTO table_slip (id, casino_id, session_id, table_id, kind, request_id, status, chipset, amount_cents, requested_by, requested_at)
                 VALUES ({head}, 'REQUESTED', '{{}}', {cents}, '{boss}', {at});"
            );
            return;
        }
        let confirmed = if self.dice.in_hundred(10) { cents + 500 } else { cents };
        let _ = write!(
            self.sql,
            "INSERT INTO table_slip (id, casino_id, session_id, table_id, kind, request_id, status, chipset, amount_cents, requested_by, requested_at,
                 slip_scope, scope_key, slip_no, issued_by, issued_at, runner_id, dealer_id, verified_by, verified_at, confirmed_chipset,
                 confirmed_amount_cents)
             VALUES ({head}, 'VERIFIED_AT_TABLE', '{{}}', {cents}, '{boss}', {at}, 'calendar_year', '2026', {n}, '{cashier}', {at}, '{guard}', '{dealer}',
                 '{second}', {at}, '{{}}', {confirmed});"
        );
    }

    fn boxes(&mut self, session: Uuid, table: Uuid, at: DateTime<Utc>) {
        let [boss, second, ..] = self.people;
        let (casino, moment, day) = (self.casino, quoted(at), gaming_day(at));
        for n in 1..=self.dice.throw(3) {
            let (id, drop_box) = (self.dice.id(), self.dice.id());
            let _ = write!(
                self.sql,
                "INSERT INTO table_drop_event (id, casino_id, session_id, table_id, drop_box_id, drop_box_use, seal_no, seq_no, gaming_day, removed_in,
                     removed_at, removed_by, witnessed_by, stood_on_table)
                 VALUES ('{id}', '{casino}', '{session}', '{table}', '{drop_box}', 1, 'S', {n}, '{day}', 'CLOSED', {moment}, '{boss}', '{second}', true);"
            );
            let mut before: Option<Uuid> = None;
            for _ in 0..self.dice.throw(3) {
                let (result, cents) = (self.dice.id(), self.dice.cents());
                let other = if self.dice.in_hundred(20) { cents + 100 } else { cents };
                let standing = if other == cents { "accepted" } else { "disputed" };
                let _ = write!(
                    self.sql,
                    "INSERT INTO soft_count_table_result (id, casino_id, session_id, drop_event_id, standing, drop_total_cents, count_1_cents, count_2_cents,
                         evidence_manifest, manifest, team, counted_at, counted_by, supersedes_id)
                     VALUES ('{result}', '{casino}', '{session}', '{id}', '{standing}', {cents}, {cents}, {other}, '{{}}', '[]', '{{{boss},{second}}}', {moment},
                         '{boss}', {old});",
                    old = before.map_or("NULL".to_owned(), |id| format!("'{id}'")),
                );
                before = Some(result);
            }
        }
    }

    fn report(&mut self, session: Uuid, opener: Uuid, closer: Option<Uuid>) {
        let Some(closer) = closer else { return };
        let (id, drop, by) = (self.dice.id(), self.dice.cents() + 100, self.people[0]);
        let authoritative = self.dice.in_hundred(70);
        let figures = if authoritative || self.dice.in_hundred(50) {
            format!("{drop}, 5, 5")
        } else {
            "NULL, NULL, NULL".to_owned()
        };
        let grade = if authoritative { "AUTHORITATIVE" } else { "ESTIMATE" };
        let _ = write!(
            self.sql,
            "INSERT INTO table_rundown_report (id, casino_id, session_id, opening_total_cents, opening_snapshot_id, opening_source, closing_total_cents,
                 closing_snapshot_id, fills_total_cents, fill_ids, credits_total_cents, credit_ids, inventory_result_cents, drop_total_cents,
                 win_loss_stat_cents, hold_bp, soft_count_ids, missing_inputs, metric_grade, count_status, computed_at, input_hash, finalized_at, finalized_by)
             VALUES ('{id}', '{}', '{session}', 1, '{opener}', 'x', 1, '{closer}', 0, '{{}}', 0, '{{}}', 0, {figures}, '{{}}', '{{}}', '{grade}', 'counted',
                 now(), repeat('0', 64), now(), '{by}');",
            self.casino
        );
    }

    /// One of everything that buy-ins leave behind.
    fn buy_in(&mut self, table: Uuid) {
        let at = begin() + TimeDelta::minutes(self.dice.between(-300, 72 * 60));
        let (slip, cents) = (self.dice.id(), self.dice.cents() + 100);
        match self.dice.throw(8) {
            0 => self.rate(slip, table, at),
            1 | 2 => {
                self.rate(slip, table, at);
                let transaction = self.transact(slip, at, cents);
                // Now and then the bridge was not there.
                if self.dice.in_hundred(80) {
                    self.log(
                        table,
                        at,
                        cents,
                        "RATED_BUYIN",
                        "finance_bridge",
                        &format!("pft:{transaction}"),
                        Some(slip),
                        None,
                    );
                }
            }
            3 => {
                let key = format!("man:{slip}");
                self.log(table, at, cents, "RATED_BUYIN", "manual_ops", &key, Some(slip), None);
                if self.dice.in_hundred(40) {
                    let (later, less, kind) = (at + TimeDelta::minutes(3), -cents / 2 - 1, "RATED_ADJUSTMENT");
                    let adjustment = self.log(table, later, less, kind, "manual_ops", &format!("{key}-a"), Some(slip), None);
                    // What is taken back here is no buy-in.
                    if self.dice.in_hundred(50) {
                        let undo = format!("undo:{adjustment}");
                        self.log(table, later, -less, kind, "manual_ops", &undo, Some(slip), Some(adjustment));
                    }
                }
            }
            4..=6 => {
                let entry = self.log(table, at, cents, "GRIND_BUYIN", "manual_ops", &format!("man:{slip}"), None, None);
                if self.dice.in_hundred(30) {
                    let undo = format!("undo:{entry}");
                    self.log(table, at, -cents, "GRIND_ADJUSTMENT", "manual_ops", &undo, None, Some(entry));
                }
            }
            // Money out, and money in that belongs to no slip: neither is a buy-in.
            _ => {
                let _ = self.transact(slip, at, cents);
                let last = self.sql.rfind("'in'").expect("a direction");
                self.sql.replace_range(last..last + 4, "'out'");
            }
        }
    }

    fn rate(&mut self, slip: Uuid, table: Uuid, at: DateTime<Utc>) {
        let (visit, by) = (self.dice.id(), self.people[0]);
        let _ = write!(
            self.sql,
            "INSERT INTO rating_slip (id, casino_id, visit_id, table_id, game_type, status, started_at, resumed_at, move_group_id, opened_by)
             VALUES ('{slip}', '{}', '{visit}', '{table}', 'roulette', 'open', {at}, {at}, '{slip}', '{by}');",
            self.casino,
            at = quoted(at)
        );
    }

    fn transact(&mut self, slip: Uuid, at: DateTime<Utc>, cents: i64) -> Uuid {
        let (id, by, day) = (self.dice.id(), self.people[0], gaming_day(at));
        let _ = write!(
            self.sql,
            "INSERT INTO player_financial_transaction (id, casino_id, player_id, visit_id, rating_slip_id, direction, amount_cents, gaming_day, occurred_at,
                 idempotency_key, created_by_staff_id)
             VALUES ('{id}', '{}', '{slip}', '{slip}', '{slip}', 'in', {cents}, '{day}', {}, 'r:{id}', '{by}');",
            self.casino,
            quoted(at)
        );
        id
    }

    #[expect(clippy::too_many_arguments, reason = "a row")]
    fn log(
        &mut self,
        table: Uuid,
        at: DateTime<Utc>,
        cents: i64,
        kind: &str,
        source: &str,
        key: &str,
        slip: Option<Uuid>,
        reverses: Option<Uuid>,
    ) -> Uuid {
        let (id, by, day) = (self.dice.id(), self.people[0], gaming_day(at));
        let link = slip.map_or("NULL, NULL".to_owned(), |slip| format!("'{slip}', '{slip}'"));
        let _ = write!(
            self.sql,
            "INSERT INTO table_buyin_telemetry (id, casino_id, gaming_day, table_id, visit_id, rating_slip_id, amount_cents, telemetry_kind, source, occurred_at,
                 actor_id, idempotency_key, reverses_id, is_late)
             VALUES ('{id}', '{}', '{day}', '{table}', {link}, {cents}, '{kind}', '{source}', {}, '{by}', '{key}', {}, false);",
            self.casino,
            quoted(at),
            reverses.map_or("NULL".to_owned(), |row| format!("'{row}'")),
        );
        id
    }
}

/// Chicago in winter, from six in the morning.
fn gaming_day(at: DateTime<Utc>) -> NaiveDate {
    (at - TimeDelta::hours(12)).date_naive()
}

/// Everything there is, row by row.
struct Raw(Map<String, Value>);

impl Raw {
    async fn of(house: &House) -> Self {
        let owner = house.cluster.owner().await;
        let tables = [
            "gaming_table",
            "table_par",
            "table_inventory_session",
            "session_pit",
            "table_inventory_snapshot",
            "table_slip",
            "table_drop_event",
            "soft_count_table_result",
            "table_rundown_report",
            "rating_slip",
            "player_financial_transaction",
            "table_buyin_telemetry",
        ];
        let mut raw = Map::new();
        for table in tables {
            let sql = format!(
                "SELECT COALESCE(jsonb_agg(to_jsonb(t)), '[]') AS json FROM {table} AS t WHERE t.casino_id = '{}'",
                house.home.casino
            );
            raw.insert(table.to_owned(), ask(&owner, &sql, []).await);
        }
        Self(raw)
    }

    fn rows<'a>(&'a self, table: &str, column: &'static str, value: &'a Value) -> impl Iterator<Item = &'a Value> + use<'a> {
        let rows = self.0[table].as_array().expect("rows");
        rows.iter().filter(move |row| &row[column] == value)
    }

    /// All of each table's rows, whatever the window.
    fn facts(&self, window: Window, own: &dyn Fn(&Value) -> bool) -> Vec<TableFacts> {
        let tables = self.0["gaming_table"].as_array().expect("tables");
        tables.iter().map(|table| self.table(table, window, own)).collect()
    }

    fn table(&self, table: &Value, window: Window, own: &dyn Fn(&Value) -> bool) -> TableFacts {
        let id = &table["id"];
        let first_day = gaming_day(window.start).to_string();
        let mut pars: Vec<&Value> = self
            .rows("table_par", "table_id", id)
            .filter(|par| par["effective_gaming_day"].as_str().expect("a day") <= first_day.as_str())
            .collect();
        pars.sort_by_key(|par| (text(par, "effective_gaming_day"), text(par, "id")));
        let mut sessions: Vec<&Value> = self
            .rows("table_inventory_session", "table_id", id)
            .filter(|session| session["close_reason"] != "cancelled")
            .collect();
        sessions.sort_by_key(|session| (moment(&session["created_at"]), text(session, "id")));
        let verified = |session: &&Value| {
            let counts = self.rows("table_inventory_snapshot", "session_id", &session["id"]);
            counts
                .filter(|count| !count["verified_at"].is_null())
                .map(count)
                .collect::<Vec<_>>()
        };
        TableFacts {
            table_id: uuid(id),
            table: text(table, "label"),
            pit: table["pit"].as_str().map(ToOwned::to_owned),
            in_service: table["status"] == "active",
            par_cents: pars.last().and_then(|par| par["par_cents"].as_i64()),
            sessions: sessions.iter().map(|session| self.session(session, table, own(session))).collect(),
            counts: sessions.iter().flat_map(verified).collect(),
            slips: sessions.iter().flat_map(|session| self.slips(session)).collect(),
            buyins: self.buyins(id),
        }
    }

    fn session(&self, session: &Value, table: &Value, own: bool) -> SessionFacts {
        let id = &session["id"];
        let stood = self.rows("session_pit", "session_id", id).next().unwrap_or(table);
        let report = self.rows("table_rundown_report", "session_id", id).next().unwrap_or(&Value::Null);
        let removals: Vec<&Value> = self.rows("table_drop_event", "session_id", id).collect();
        let accepted = |drop: &&Value| {
            let results: Vec<&Value> = self.rows("soft_count_table_result", "drop_event_id", &drop["id"]).collect();
            let last = results
                .iter()
                .find(|result| !results.iter().any(|later| later["supersedes_id"] == result["id"]));
            last.filter(|result| result["standing"] == "accepted")
                .and_then(|result| result["drop_total_cents"].as_i64())
        };
        let counted: Vec<i64> = removals.iter().filter_map(accepted).collect();
        SessionFacts {
            id: uuid(id),
            own,
            opened_at: moment(&session["opened_at"]),
            closed_at: moment(&session["closed_at"]),
            pit: stood["pit"].as_str().map(ToOwned::to_owned),
            finalized: session["status"] == "FINALIZED",
            metric_grade: serde_json::from_value(report["metric_grade"].clone()).expect("a grade"),
            signed_drop_cents: report["drop_total_cents"].as_i64(),
            removals: i64::try_from(removals.len()).expect("few"),
            counted_removals: i64::try_from(counted.len()).expect("few"),
            counted_cents: (!counted.is_empty()).then(|| counted.iter().sum()),
        }
    }

    fn slips(&self, session: &Value) -> Vec<SlipFlow> {
        let slips = self.rows("table_slip", "session_id", &session["id"]);
        let moved =
            slips.filter(|slip| ["VERIFIED_AT_TABLE", "DEPOSITED_IN_DROPBOX"].contains(&slip["status"].as_str().expect("a status")));
        moved
            .map(|slip| {
                let cents = slip["confirmed_amount_cents"].as_i64().expect("confirmed");
                let of = |kind: &str| if slip["kind"] == kind { cents } else { 0 };
                SlipFlow {
                    session_id: uuid(&session["id"]),
                    since: moment(&slip["verified_at"]),
                    fills_cents: of("fill"),
                    credits_cents: of("credit"),
                }
            })
            .collect()
    }

    /// One flow a row: nothing is summed here.
    fn buyins(&self, table: &Value) -> Vec<BuyinFlow> {
        let logged = self.rows("table_buyin_telemetry", "table_id", table).map(|row| {
            let (cents, kind) = (row["amount_cents"].as_i64().expect("cents"), text(row, "telemetry_kind"));
            let taken_back = self.rows("table_buyin_telemetry", "id", &row["reverses_id"]).next();
            let undone = text(row, "idempotency_key").starts_with("undo:")
                && taken_back.is_some_and(|taken_back| text(taken_back, "telemetry_kind").ends_with("BUYIN"));
            let buyins = i64::from(kind.ends_with("BUYIN")) - i64::from(undone);
            let (rated, grind) = (i64::from(kind.starts_with("RATED")), i64::from(kind.starts_with("GRIND")));
            BuyinFlow {
                since: moment(&row["occurred_at"]),
                rated_cents: rated * cents,
                grind_cents: grind * cents,
                rows: 1,
                rated_buyins: rated * buyins,
                grind_buyins: grind * buyins,
                ..BuyinFlow::default()
            }
        });
        let rated = self.rows("rating_slip", "table_id", table).map(|slip| BuyinFlow {
            since: moment(&slip["started_at"]),
            rating_slips: 1,
            ..BuyinFlow::default()
        });
        let expected = self.rows("rating_slip", "table_id", table).flat_map(|slip| {
            let paid = self.rows("player_financial_transaction", "rating_slip_id", &slip["id"]);
            paid.filter(|row| row["direction"] == "in")
                .map(|row| {
                    let key = json!(format!("pft:{}", text(row, "id")));
                    let bridged = self.rows("table_buyin_telemetry", "idempotency_key", &key).next().is_some();
                    BuyinFlow {
                        since: moment(&row["occurred_at"]),
                        expected_rated_rows: 1,
                        missing_rated_rows: i64::from(!bridged),
                        ..BuyinFlow::default()
                    }
                })
                .collect::<Vec<_>>()
        });
        logged.chain(rated).chain(expected).collect()
    }
}

fn uuid(value: &Value) -> Uuid {
    value.as_str().and_then(|id| Uuid::parse_str(id).ok()).expect("an id")
}

fn moment(value: &Value) -> Option<DateTime<Utc>> {
    value.as_str().map(|at| at.parse().expect("an instant"))
}

fn count(row: &Value) -> Count {
    serde_json::from_value(row.clone()).expect("a count")
}

/// Whether a session is one of the window's own.
type IsOwn = Box<dyn Fn(&Value) -> bool>;

#[tokio::test]
async fn postgres_and_the_law_read_the_same_facts_alike() {
    let (mut covered, mut windows) = (0, 0);
    for seed in 1..=4 {
        let house = House::open().await;
        let mut floor = Floor::of(&house, seed);
        as_owner(&house, &floor.sql).await;
        let raw = Raw::of(&house).await;
        let mut asked: Vec<(String, Window, IsOwn)> = Vec::new();
        for (shift, start, end) in floor.shifts.clone() {
            let own = move |session: &Value| session["shift_id"] == json!(shift);
            asked.push((format!("shift_id={shift}"), Window { start, end }, Box::new(own)));
        }
        for n in -1..4 {
            let start = begin() + TimeDelta::days(n);
            let day = gaming_day(start);
            let end = start + TimeDelta::days(1);
            let own = move |session: &Value| session["gaming_day"] == json!(day);
            asked.push((format!("gaming_day={day}"), Window { start, end }, Box::new(own)));
        }
        for _ in 0..40 {
            let start = begin() + TimeDelta::minutes(floor.dice.between(-600, 72 * 60));
            let end = start + TimeDelta::minutes(floor.dice.between(1, 48 * 60));
            let hours = |at: DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            let query = format!("window_start={}&window_end={}", hours(start), hours(end));
            asked.push((query, Window { start, end }, Box::new(|_| false)));
        }
        for (query, window, own) in asked {
            let told = read(&house, &format!("summary?{query}")).await;
            let told: Summary = serde_json::from_value(told).expect("a summary");
            let naive = Summary::of(window, USUAL_GRIND_SHARE_BP, &raw.facts(window, &*own));
            for (told, naive) in told.tables.iter().zip(&naive.tables) {
                assert_eq!(told, naive, "seed {seed}, {query}");
            }
            assert_eq!(told, naive, "seed {seed}, {query}");
            windows += 1;
            covered += told.tables.iter().filter(|table| table.win_loss_stat_cents.is_some()).count();
        }
    }
    assert!(covered > windows, "the windows are not empty: {covered} wins in {windows} windows");
}
