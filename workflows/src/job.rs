//! What a schedule may say: when it fires, and what its job is told (domain §11).
//!
//! Everything that could be wrong is found when the schedule is written, not at four in the morning when it fires.

use chrono::NaiveTime;
use chrono_tz::Tz;
use serde_json::Value;

use crate::record::Schedule;
use crate::refusal::Flaw;
use crate::timetable::{Expression, Timetable};
use crate::word::JobKind;

/// One word a job may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    pub name: &'static str,
    pub takes: Takes,
}

/// What may stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Flag,
    /// A text on one line, not blank.
    Name,
    /// Local time of day, `HH:MM`.
    TimeOfDay,
    Number {
        least: i64,
        most: i64,
    },
}

/// The longest name a job is told.
const MAX_NAME: usize = 64;

impl JobKind {
    /// What its job may be told; all of it may be left out.
    pub const fn params(self) -> &'static [Param] {
        match self {
            // Only the shifts of this template; all of them otherwise. A closing also says when the boxes are to go (now, unless told), and
            // whether to begin the closings that nobody began.
            Self::ShiftOpen => &[Param {
                name: "shift",
                takes: Takes::Name,
            }],
            Self::ShiftClose => &[
                Param {
                    name: "shift",
                    takes: Takes::Name,
                },
                Param {
                    name: "drop_at",
                    takes: Takes::TimeOfDay,
                },
                Param {
                    name: "start_closings",
                    takes: Takes::Flag,
                },
            ],
            Self::RollupRecompute | Self::RollupVerify | Self::DeadlineSweep | Self::AuditSeal => &[],
            // How long runs that ended well are kept, attempts to deliver to webhooks, and published events.
            Self::RetentionPrune => &[
                Param {
                    name: "keep_runs_days",
                    takes: Takes::Number { least: 1, most: 3660 },
                },
                Param {
                    name: "keep_deliveries_days",
                    takes: Takes::Number { least: 1, most: 3660 },
                },
                // 0: for good.
                Param {
                    name: "keep_events_days",
                    takes: Takes::Number { least: 0, most: 3660 },
                },
            ],
        }
    }
}

/// When the schedule fires; or what is wrong with it, each at its JSON Pointer.
pub fn timetable(schedule: &Schedule) -> Result<Timetable, Vec<Flaw>> {
    let expression = Expression::parse(&schedule.cron).map_err(|error| Flaw::new("/cron", error.to_string()));
    let zone = schedule.timezone.parse::<Tz>();
    let zone = zone.map_err(|_| Flaw::new("/timezone", "not an IANA time zone, such as Europe/Berlin"));
    match (expression, zone) {
        (Ok(expression), Ok(zone)) => Ok(Timetable {
            expression,
            zone,
            gap: schedule.gap,
            fold: schedule.fold,
        }),
        (expression, zone) => Err(expression.err().into_iter().chain(zone.err()).collect()),
    }
}

/// What is wrong with what a job is told.
pub fn flaws_of_params(kind: JobKind, params: &Value) -> Vec<Flaw> {
    let Some(given) = params.as_object() else {
        return vec![Flaw::new("/params", "an object, such as {}")];
    };
    let flaw = |(name, value): (&String, &Value)| {
        let wrong = match kind.params().iter().find(|param| param.name == name) {
            Some(param) => param.takes.flaw(value)?,
            None => format!("{kind} is not told this; {}", known(kind)),
        };
        Some(Flaw::new(format!("/params/{}", escaped(name)), wrong))
    };
    given.iter().filter_map(flaw).collect()
}

impl Takes {
    fn flaw(self, value: &Value) -> Option<String> {
        match self {
            Self::Flag => (!value.is_boolean()).then(|| "true or false".to_owned()),
            Self::Name => {
                let is_name =
                    |text: &str| !text.trim().is_empty() && text.chars().count() <= MAX_NAME && !text.chars().any(char::is_control);
                (!value.as_str().is_some_and(is_name)).then(|| format!("a text on one line, at most {MAX_NAME} characters"))
            }
            Self::TimeOfDay => {
                let is_time = |text: &str| text.len() == 5 && NaiveTime::parse_from_str(text, "%H:%M").is_ok();
                (!value.as_str().is_some_and(is_time)).then(|| "a local time of day, HH:MM".to_owned())
            }
            Self::Number { least, most } => {
                let within = value.as_i64().is_some_and(|number| (least..=most).contains(&number));
                (!within).then(|| format!("a whole number from {least} to {most}"))
            }
        }
    }
}

fn known(kind: JobKind) -> String {
    let names: Vec<_> = kind.params().iter().map(|param| format!("`{}`", param.name)).collect();
    match names.as_slice() {
        [] => "it takes no params".to_owned(),
        names => format!("it takes {}", names.join(", ")),
    }
}

/// A member's name as a JSON Pointer writes it (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use strum::VariantArray as _;

    use super::*;

    fn flaws(kind: JobKind, params: &Value) -> Vec<(String, String)> {
        let flaws = flaws_of_params(kind, params).into_iter();
        flaws.map(|flaw| (flaw.pointer, flaw.message)).collect()
    }

    #[test]
    fn a_job_need_not_be_told_anything_and_is_told_nothing_it_does_not_know() {
        for &kind in JobKind::VARIANTS {
            assert_eq!(flaws(kind, &json!({})), []);
            let found = flaws(kind, &json!({ "a/b": 1 }));
            assert_eq!(found[0].0, "/params/a~1b", "{kind}");
            assert!(found[0].1.contains(&kind.to_string()), "{found:?}");
            assert_eq!(flaws(kind, &json!([]))[0].0, "/params");
        }
    }

    #[test]
    fn what_it_is_told_is_of_the_right_kind() {
        assert_eq!(flaws(JobKind::ShiftClose, &json!({ "start_closings": true })), []);
        assert_eq!(
            flaws(JobKind::ShiftClose, &json!({ "start_closings": "yes" }))[0].0,
            "/params/start_closings"
        );
        assert_eq!(flaws(JobKind::ShiftClose, &json!({ "drop_at": "14:30" })), []);
        for bad in [json!("2:30 pm"), json!("24:00"), json!("14:30:00"), json!("4:30"), json!(1430)] {
            assert_eq!(flaws(JobKind::ShiftClose, &json!({ "drop_at": bad })).len(), 1, "{bad}");
        }
        assert_eq!(
            flaws(JobKind::RetentionPrune, &json!({ "keep_runs_days": 30, "keep_events_days": 0 })),
            []
        );
        for bad in [json!(0), json!(3661), json!(1.5), json!("30"), json!(null)] {
            assert_eq!(flaws(JobKind::RetentionPrune, &json!({ "keep_runs_days": bad })).len(), 1, "{bad}");
        }
    }
}
