//! Cron expressions as Unix writes them: five fields, or six with the second first.
//!
//! Every field is read here (`field.rs`), because a refusal must name the field and what is wrong with it, and because the crate
//! `cron` counts week days from Sunday = 1 and would run a Unix user's Monday job on Sunday, silently. The crate is handed plain
//! numbers and answers one question: which wall-clock time matches next. It is never shown a zone (`stack.md` §6).

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::str::FromStr;

use chrono::{NaiveDateTime, TimeDelta};

use super::field::{DAY_OF_MONTH, DAY_OF_WEEK, HOUR, MINUTE, MONTH, SECOND};

/// The longest text read. Far beyond any expression a person writes, so that a hostile one costs nothing.
pub const MAX_TEXT: usize = 200;

/// A cron expression that matches again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    text: String,
    matcher: cron::Schedule,
    interval: bool,
}

impl Expression {
    /// Reads five fields (minute, hour, day of month, month, day of week), six (second first), or a nickname such as `@daily`.
    /// Week days are Unix's: 0 and 7 are Sunday. Months and week days also go by the first three letters of their names.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let text = text.trim();
        if text.len() > MAX_TEXT {
            return Err(ExpressionError::TooLong);
        }
        let [second, minute, hour, day, month, weekday] = six_fields(if text.starts_with('@') { nickname(text)? } else { text })?;
        let (seconds, minutes, hours) = (SECOND.read(second)?, MINUTE.read(minute)?, HOUR.read(hour)?);
        let (days, months, weekdays) = (DAY_OF_MONTH.read(day)?, MONTH.read(month)?, DAY_OF_WEEK.read(weekday)?);
        if !DAY_OF_MONTH.is_every(&days) && !DAY_OF_WEEK.is_every(&weekdays) {
            let (day_of_month, day_of_week) = (day.to_owned(), weekday.to_owned());
            return Err(ExpressionError::TwoKindsOfDay { day_of_month, day_of_week });
        }
        if !ever_comes(&days, &months) {
            let (day_of_month, month) = (day.to_owned(), month.to_owned());
            return Err(ExpressionError::ImpossibleDate { day_of_month, month });
        }

        let plain = [
            SECOND.spell(&seconds),
            MINUTE.spell(&minutes),
            HOUR.spell(&hours),
            DAY_OF_MONTH.spell(&days),
            MONTH.spell(&months),
            DAY_OF_WEEK.spell(&weekdays),
        ]
        .join(" ");
        Ok(Self {
            text: text.to_owned(),
            matcher: cron::Schedule::from_str(&plain).map_err(|error| ExpressionError::Unreadable(error.to_string()))?,
            interval: HOUR.is_every(&hours),
        })
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the expression means "every so often" rather than "at this time of day": its hour field is every hour. So
    /// `*/5 * * * *` is an interval, and `0 */2 * * *` names times of day (`stack.md` §6.2).
    pub fn is_interval(&self) -> bool {
        self.interval
    }

    /// The first wall-clock time that matches, `wall` itself included. `wall` is a whole second. None when there is none before the
    /// crate's calendar ends, with the year 2100.
    pub(super) fn at_or_after(&self, wall: NaiveDateTime) -> Option<NaiveDateTime> {
        // UTC stands in for "a clock that never jumps": the crate only ever sees bare wall-clock time.
        let before = (wall - TimeDelta::seconds(1)).and_utc();
        self.matcher.after(&before).next().map(|at| at.naive_utc())
    }
}

/// Why a text is not an expression. Its `Display` is for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpressionError {
    /// More than [`MAX_TEXT`] bytes.
    TooLong,
    /// Neither five nor six fields.
    FieldCount(usize),
    /// An `@` word nobody knows.
    Nickname(String),
    /// One part of one field cannot be read.
    Part { field: &'static str, part: String, reason: String },
    /// Day of month and day of week are both restricted. Crons disagree on what that means: Vixie's fires when either matches
    /// (but when both do if one begins with `*`), the crate `cron` when both match. When a shift opens must not depend on which
    /// manual its author read.
    TwoKindsOfDay { day_of_month: String, day_of_week: String },
    /// A date in no calendar, such as 30 February.
    ImpossibleDate { day_of_month: String, month: String },
    /// The crate `cron` refuses what this module let through.
    Unreadable(String),
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "an expression has at most {MAX_TEXT} characters"),
            Self::FieldCount(count) => write!(
                f,
                "an expression has 5 fields (minute, hour, day of month, month, day of week) or 6 (second first), not {count}"
            ),
            Self::Nickname(word) => {
                let known = NICKNAMES.map(|(name, _)| name).join(", ");
                write!(f, "`{word}` is not known, only {known}")
            }
            Self::Part { field, part, reason } => write!(f, "{field} `{part}`: {reason}"),
            Self::TwoKindsOfDay { day_of_month, day_of_week } => write!(
                f,
                "day of month `{day_of_month}` and day of week `{day_of_week}` are both restricted, which some crons take as both \
                 and some as either: leave one of them `*`, or make two schedules"
            ),
            Self::ImpossibleDate { day_of_month, month } => write!(f, "day of month `{day_of_month}` never comes in month `{month}`"),
            Self::Unreadable(reason) => write!(f, "not a cron expression: {reason}"),
        }
    }
}

impl Error for ExpressionError {}

const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

fn nickname(word: &str) -> Result<&'static str, ExpressionError> {
    NICKNAMES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(word))
        .map(|(_, text)| *text)
        .ok_or_else(|| ExpressionError::Nickname(word.to_owned()))
}

/// The words of the six fields. A text of five fires at second 0.
fn six_fields(text: &str) -> Result<[&str; 6], ExpressionError> {
    let words: Vec<_> = text.split_whitespace().collect();
    match words[..] {
        [minute, hour, day, month, weekday] => Ok(["0", minute, hour, day, month, weekday]),
        [second, minute, hour, day, month, weekday] => Ok([second, minute, hour, day, month, weekday]),
        _ => Err(ExpressionError::FieldCount(words.len())),
    }
}

/// Whether some year has one of the days in one of the months: 29 February is rare, not impossible.
fn ever_comes(days: &BTreeSet<u32>, months: &BTreeSet<u32>) -> bool {
    let longest = |month| match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let earliest = days.first().copied().unwrap_or_default();
    months.iter().any(|month| earliest <= longest(*month))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Expression {
        Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refusal(text: &str) -> String {
        Expression::parse(text).expect_err(text).to_string()
    }

    /// The first matches in the week of Monday, 5 January 2026.
    fn matches(text: &str, count: usize) -> Vec<String> {
        let expression = parse(text);
        let monday: NaiveDateTime = "2026-01-05T00:00:00".parse().expect("a local time");
        std::iter::successors(expression.at_or_after(monday), |at| {
            expression.at_or_after(*at + TimeDelta::seconds(1))
        })
        .take(count)
        .map(|at| at.format("%a %d %H:%M:%S").to_string())
        .collect()
    }

    #[test]
    fn five_fields_fire_at_second_zero_and_six_begin_with_the_second() {
        assert_eq!(matches("30 6 * * *", 2), ["Mon 05 06:30:00", "Tue 06 06:30:00"]);
        assert_eq!(matches("15,45 30 6 * * *", 2), ["Mon 05 06:30:15", "Mon 05 06:30:45"]);
        assert_eq!(
            matches("  */20   0  * *  * ", 3),
            ["Mon 05 00:00:00", "Mon 05 00:20:00", "Mon 05 00:40:00"]
        );
    }

    #[test]
    fn week_days_are_those_of_unix() {
        let days = |field: &str, count| -> Vec<String> {
            let text = format!("0 9 * * {field}");
            matches(&text, count).iter().map(|at| at[..3].to_owned()).collect()
        };
        assert_eq!(days("0", 2), ["Sun", "Sun"]);
        assert_eq!(days("7", 2), ["Sun", "Sun"]);
        assert_eq!(days("1", 2), ["Mon", "Mon"]);
        assert_eq!(days("mon", 2), ["Mon", "Mon"]);
        assert_eq!(days("1-5", 6), ["Mon", "Tue", "Wed", "Thu", "Fri", "Mon"]);
        for weekend in ["5-7", "5-0", "FRI-SUN", "5,6,0"] {
            assert_eq!(days(weekend, 4), ["Fri", "Sat", "Sun", "Fri"], "{weekend}");
        }
        assert_eq!(days("5-7/2", 3), ["Fri", "Sun", "Fri"]);
        assert_eq!(days("sun-tue", 4), ["Mon", "Tue", "Sun", "Mon"]);
        assert_eq!(days("*/2", 5), ["Tue", "Thu", "Sat", "Sun", "Tue"]);
        assert_eq!(days("1/2", 4), ["Mon", "Wed", "Fri", "Mon"]);
        assert_eq!(days("0-7", 8), ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Mon"]);
    }

    #[test]
    fn nicknames_are_those_of_unix() {
        assert_eq!(matches("@weekly", 2), ["Sun 11 00:00:00", "Sun 18 00:00:00"]);
        assert_eq!(matches("@daily", 2), matches("@midnight", 2));
        assert_eq!(matches("@yearly", 2), matches("@annually", 2));
        assert_eq!(matches("@monthly", 1), ["Sun 01 00:00:00"]);
        assert!(parse("@hourly").is_interval());
    }

    #[test]
    fn a_rare_date_is_not_an_impossible_one() {
        let next = parse("0 9 29 2 *").at_or_after("2026-03-01T00:00:00".parse().expect("a local time"));
        assert_eq!(next, "2028-02-29T09:00:00".parse().ok());
        parse("0 0 31 2-3 *");
    }

    #[test]
    fn an_interval_is_an_expression_of_every_hour() {
        for text in ["*/5 * * * *", "0 0-23 * * *", "0 */1 * * 1", "*/10 * * * * *"] {
            assert!(parse(text).is_interval(), "{text}");
        }
        for text in ["0 */2 * * *", "*/20 2 * * *", "0 6,14,22 * * *", "@daily"] {
            assert!(!parse(text).is_interval(), "{text}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        for (text, wrong) in [
            ("", "not 0"),
            ("* * * *", "not 4"),
            ("0 0 0 1 1 * 2026", "not 7"),
            ("61 * * * *", "minute `61`: 61 is not within 0 to 59"),
            ("0 24 * * *", "hour `24`: 24 is not within 0 to 23"),
            ("0 0 0 * *", "day of month `0`: 0 is not within 1 to 31"),
            ("0 0 * 13 *", "month `13`: 13 is not within 1 to 12"),
            ("0 0 * * 8", "day of week `8`: 8 is not within 0 to 7"),
            ("0 0 * * 1,8", "day of week `8`"),
            ("0 0 * * MOON", "`MOON` is not a number from 0 to 7 nor one of SUN, MON"),
            ("x * * * *", "minute `x`: `x` is not a number from 0 to 59"),
            ("+5 * * * *", "`+5` is not a number"),
            ("-5 * * * *", "minute `-5`: `` is not a number"),
            ("1,,2 * * * *", "minute ``: `` is not a number"),
            ("0 5* * * * *", "minute `5*`: `5*` is not a number"),
            ("0 0 1JAN * *", "day of month `1JAN`"),
            ("99999999999 * * * *", "minute `99999999999`"),
            ("0 0 L * *", "`L` is not a number"),
            ("0 22-2 * * *", "hour `22-2`: a range runs upwards"),
            ("*/0 * * * *", "minute `*/0`: the step `0` is not a number from 1 to 59"),
            ("*/90 * * * *", "the step `90` is not"),
            ("1-5-7 * * * *", "`5-7` is not a number"),
            ("*/2/3 * * * *", "the step `2/3`"),
            ("0 0 30 2 *", "day of month `30` never comes in month `2`"),
            ("0 0 31 4,6,9,NOV *", "day of month `31` never comes in month `4,6,9,NOV`"),
            ("0 0 13 * 5", "day of month `13` and day of week `5` are both restricted"),
            ("@reboot", "`@reboot` is not known"),
        ] {
            let said = refusal(text);
            assert!(said.contains(wrong), "{text}: {said}");
        }
        assert_eq!(Expression::parse(&"1,".repeat(200)), Err(ExpressionError::TooLong));
    }
}
