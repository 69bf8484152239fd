//! The casino's own row: settings and policies.
//!
//! Most take effect with the next thing that asks for them. The chip list binds chipsets counted from now on, never those already counted;
//! the bank mode binds a session at its opening, so a live one keeps the mode it opened with; another slip scope begins another
//! series. Only what moves gaming days has to wait until no session is live.

use std::collections::BTreeSet;

use chrono::{NaiveTime, Timelike};
use chrono_tz::Tz;
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use workflows::case::Context;
use workflows::money::MAX_CENTS;
use workflows::record::Casino;
use workflows::refusal::Refusal;
use workflows::word::{BankMode, SlipScope};

use super::form::{Form, MAX_NAME, given};
use super::{Changed, Tx, dressed, expect_version, json_of};
use crate::answer::Answer;
use crate::error::Error;
use crate::store::fault::Fault;
use crate::store::list::Query;

/// The longest chip list.
const MAX_DENOMINATIONS: usize = 64;
/// Nobody counts in a larger team; at least two, because two counts need two people.
const TEAM: std::ops::RangeInclusive<i32> = 2..=workflows::count::MAX_TEAM;
/// A window or a limit in minutes: at most a week.
const MINUTES: std::ops::RangeInclusive<i32> = 0..=7 * 24 * 60;
/// A deadline in hours: at most a year, so that a date plus a deadline is always a date.
const HOURS: std::ops::RangeInclusive<i32> = 0..=366 * 24;
/// A share of things there are. Nothing of nothing would vouch for anybody.
const SHARE_BP: std::ops::RangeInclusive<i32> = 1..=10_000;

macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)+) => {
        /// Settings to change; what is absent stays as it is.
        #[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct CasinoChange {
            $($(#[$doc])* #[serde(default, deserialize_with = "given")] pub $field: Option<$type>,)+
        }

        impl CasinoChange {
            fn apply(&self, casino: &mut Casino) {
                $(if let Some(value) = &self.$field { casino.$field.clone_from(value); })+
            }
        }
    };
}

settings! {
    name: String,
    /// IANA name. Refused while a session is live.
    timezone: String,
    /// Whole minutes, `HH:MM:SS`. Refused while a session is live.
    gaming_day_start: NaiveTime,
    /// Bound by a session at its opening.
    bank_mode: BankMode,
    /// Different amounts above 0, at most 64.
    denominations_cents: Vec<i64>,
    opening_tolerance_cents: i64,
    par_tolerance_cents: i64,
    /// At least 2.
    min_count_team: i32,
    drop_window_minutes: i32,
    delivery_limit_minutes: i32,
    drop_due_hours: i32,
    count_due_hours: i32,
    slip_scope: SlipScope,
    fill_series_open: bool,
    credit_series_open: bool,
    count_before_close: bool,
    cashier_receives_boxes: bool,
    /// Basis points; null together with the other end: `HOLD_DEVIATION` is off.
    hold_band_low_bp: Option<i32>,
    hold_band_high_bp: Option<i32>,
    /// Of a pit's open tables, in basis points: from here on grind buy-ins logged there vouch for its other tables (`telemetry_quality`).
    pit_grind_share_bp: i32,
}

impl Tx {
    pub(super) async fn change_casino(&self, context: &Context, change: &CasinoChange, if_match: Option<i64>) -> Result<Changed, Error> {
        let row = entities::casino::Entity::find_by_id(context.casino.id)
            .lock(LockType::NoKeyUpdate)
            .one(self.connection())
            .await;
        let row = row.map_err(Fault::from)?.ok_or(Refusal::NotFound("casino"))?;
        expect_version(if_match, row.version)?;
        let was: Casino = dressed(&row)?;
        let mut is = was.clone();
        change.apply(&mut is);
        judge(&mut is)?;
        if is.timezone != was.timezone {
            self.expect_known_zone(&is.timezone).await?;
        }
        if (&is.timezone, is.gaming_day_start) != (&was.timezone, was.gaming_day_start) {
            self.expect_nothing_live(context).await?;
        }
        if is != was {
            is.version += 1;
            self.replace(row, &dressed(&is)?).await?;
        }
        Ok(Changed::updated(
            "casino.change",
            "casino",
            &json_of(&was)?,
            Answer::ok(&is).version(is.version),
        ))
    }

    /// Gaming days must not shift under a session. The tables are locked first, as whoever creates a session locks its table: so a session
    /// is seen here, or begins after this and takes its gaming day anew at its opening.
    async fn expect_nothing_live(&self, context: &Context) -> Result<(), Error> {
        use entities::{gaming_table, session};
        let tables = gaming_table::Entity::find().filter(gaming_table::Column::CasinoId.eq(context.casino.id));
        let tables = tables.order_by_asc(gaming_table::Column::Id).lock(LockType::NoKeyUpdate);
        tables.all(self.connection()).await.map_err(Fault::from)?;
        let live = session::Entity::find().filter(session::Column::CasinoId.eq(context.casino.id));
        let live = live
            .filter(session::Column::ClosedAt.is_null())
            .count(self.connection())
            .await
            .map_err(Fault::from)?;
        if live == 0 {
            return Ok(());
        }
        Err(Refusal::conflict(
            "live_session_exists",
            format!("live sessions: {live}; their gaming days would shift under them"),
        )
        .into())
    }

    /// Postgres has a zone table of its own, and it may be older or smaller than ours.
    async fn expect_known_zone(&self, zone: &str) -> Result<(), Error> {
        let known: bool = self
            .json(
                "SELECT to_jsonb(EXISTS (SELECT FROM pg_timezone_names WHERE name = $1)) AS json",
                [zone.into()],
            )
            .await?;
        if known {
            Ok(())
        } else {
            Err(Refusal::invalid("/timezone", "the database does not know this time zone").into())
        }
    }
}

/// Judges the settings as they would be.
fn judge(casino: &mut Casino) -> Result<(), Refusal> {
    let mut form = Form::default();
    casino.name = form.text("/name", &casino.name, MAX_NAME);
    if casino.timezone.parse::<Tz>().is_err() {
        form.flaw("/timezone", "not an IANA time zone, such as Europe/Berlin");
    }
    if casino.gaming_day_start.second() != 0 || casino.gaming_day_start.nanosecond() != 0 {
        form.flaw("/gaming_day_start", "a gaming day begins on a whole minute");
    }
    judge_denominations(&mut form, &casino.denominations_cents);
    form.within("/opening_tolerance_cents", &casino.opening_tolerance_cents, &(0..=MAX_CENTS));
    form.within("/par_tolerance_cents", &casino.par_tolerance_cents, &(0..=MAX_CENTS));
    form.within("/min_count_team", &casino.min_count_team, &TEAM);
    form.within("/drop_window_minutes", &casino.drop_window_minutes, &MINUTES);
    form.within("/delivery_limit_minutes", &casino.delivery_limit_minutes, &MINUTES);
    form.within("/drop_due_hours", &casino.drop_due_hours, &HOURS);
    form.within("/count_due_hours", &casino.count_due_hours, &HOURS);
    form.within("/pit_grind_share_bp", &casino.pit_grind_share_bp, &SHARE_BP);
    match (casino.hold_band_low_bp, casino.hold_band_high_bp) {
        (Some(low), Some(high)) if low > high => form.flaw("/hold_band_low_bp", format!("lies above the high end, {high}")),
        (Some(_), Some(_)) | (None, None) => {}
        (Some(_), None) => form.flaw("/hold_band_high_bp", "a band has two ends: give both, or null for both"),
        (None, Some(_)) => form.flaw("/hold_band_low_bp", "a band has two ends: give both, or null for both"),
    }
    form.judge()
}

fn judge_denominations(form: &mut Form, denominations: &[i64]) {
    if denominations.len() > MAX_DENOMINATIONS {
        form.flaw("/denominations_cents", format!("more than {MAX_DENOMINATIONS} denominations"));
        return;
    }
    let mut seen = BTreeSet::new();
    for (place, cents) in denominations.iter().enumerate() {
        let pointer = format!("/denominations_cents/{place}");
        form.within(&pointer, cents, &(1..=MAX_CENTS));
        if !seen.insert(cents) {
            form.flaw(&pointer, format!("{cents} stands twice"));
        }
    }
}

/// `GET /casino`: whoever asks has it on the desk already.
pub struct OwnCasino;

impl Query for OwnCasino {
    type Answer = Casino;

    async fn fetch(&self, _: &Tx, context: &Context) -> Result<Casino, Error> {
        Ok(context.casino.clone())
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn river_bend() -> Casino {
        Casino {
            id: Uuid::nil(),
            name: "River Bend".to_owned(),
            timezone: "America/Chicago".to_owned(),
            gaming_day_start: NaiveTime::from_hms_opt(6, 0, 0).unwrap(),
            bank_mode: BankMode::InventoryCount,
            denominations_cents: vec![100, 500],
            opening_tolerance_cents: 0,
            par_tolerance_cents: 0,
            min_count_team: 3,
            drop_window_minutes: 30,
            delivery_limit_minutes: 45,
            drop_due_hours: 24,
            count_due_hours: 24,
            slip_scope: SlipScope::GamingDay,
            fill_series_open: true,
            credit_series_open: true,
            count_before_close: false,
            cashier_receives_boxes: false,
            hold_band_low_bp: Some(500),
            hold_band_high_bp: Some(3_000),
            pit_grind_share_bp: 8_000,
            version: 1,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    fn changed(body: serde_json::Value) -> Result<Casino, Vec<String>> {
        let change: CasinoChange = serde_json::from_value(body).map_err(|error| vec![error.to_string()])?;
        let mut casino = river_bend();
        change.apply(&mut casino);
        match judge(&mut casino) {
            Ok(()) => Ok(casino),
            Err(Refusal::Invalid(flaws)) => Err(flaws.into_iter().map(|flaw| flaw.pointer).collect()),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_empty_change_changes_nothing() {
        assert_eq!(changed(json!({})).unwrap(), river_bend());
    }

    #[test]
    fn what_is_named_changes_and_the_rest_stays() {
        let casino = changed(json!({ "name": " Bend ", "min_count_team": 2, "denominations_cents": [2500, 100] })).unwrap();
        let expected = Casino {
            name: "Bend".to_owned(),
            min_count_team: 2,
            denominations_cents: vec![2500, 100],
            ..river_bend()
        };
        assert_eq!(casino, expected);
    }

    #[test]
    fn null_takes_the_band_away_and_absence_leaves_it() {
        let casino = changed(json!({ "hold_band_low_bp": null, "hold_band_high_bp": null })).unwrap();
        assert_eq!((casino.hold_band_low_bp, casino.hold_band_high_bp), (None, None));
        assert_eq!(changed(json!({ "hold_band_low_bp": null })).unwrap_err(), ["/hold_band_low_bp"]);
        assert_eq!(changed(json!({ "hold_band_low_bp": 3_001 })).unwrap_err(), ["/hold_band_low_bp"]);
        assert!(changed(json!({ "hold_band_low_bp": 3_000 })).is_ok());
    }

    #[test]
    fn only_what_has_no_value_may_be_null() {
        assert!(changed(json!({ "timezone": null })).is_err());
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        assert!(changed(json!({ "version": 2 })).unwrap_err()[0].contains("version"));
    }

    #[test]
    fn every_flaw_is_named_at_once() {
        let body = json!({
            "name": " ", "timezone": "America/Chicagoo", "gaming_day_start": "06:00:30", "denominations_cents": [100, 0, 100],
            "opening_tolerance_cents": -1, "min_count_team": 1, "drop_due_hours": 1_000_000, "pit_grind_share_bp": 0,
        });
        assert_eq!(
            changed(body).unwrap_err(),
            [
                "/name",
                "/timezone",
                "/gaming_day_start",
                "/denominations_cents/1",
                "/denominations_cents/2",
                "/opening_tolerance_cents",
                "/min_count_team",
                "/drop_due_hours",
                "/pit_grind_share_bp"
            ]
        );
    }

    /// Postgres cannot hold a leap second, and would take it for 24:00.
    #[test]
    fn a_gaming_day_begins_at_no_leap_second() {
        assert_eq!(
            changed(json!({ "gaming_day_start": "23:59:60" })).unwrap_err(),
            ["/gaming_day_start"]
        );
    }
}
