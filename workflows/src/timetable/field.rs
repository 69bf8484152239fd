//! One field of a cron expression: what may be written in it and the numbers that stand for.

use std::collections::BTreeSet;

use super::expression::ExpressionError;

/// One field of an expression.
pub(super) struct Field {
    name: &'static str,
    least: u32,
    /// Where `*` and an open step such as `5/15` end.
    end: u32,
    /// The largest number that may be written: beyond `end` only for week days, where Sunday is 0 and 7.
    most: u32,
    /// Names of the numbers from `least` on.
    names: &'static [&'static str],
}

pub(super) const SECOND: Field = Field::plain("second", 0, 59);
pub(super) const MINUTE: Field = Field::plain("minute", 0, 59);
pub(super) const HOUR: Field = Field::plain("hour", 0, 23);
pub(super) const DAY_OF_MONTH: Field = Field::plain("day of month", 1, 31);
pub(super) const MONTH: Field = Field {
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    ..Field::plain("month", 1, 12)
};
pub(super) const DAY_OF_WEEK: Field = Field {
    most: 7,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    ..Field::plain("day of week", 0, 6)
};

impl Field {
    const fn plain(name: &'static str, least: u32, end: u32) -> Self {
        Self {
            name,
            least,
            end,
            most: end,
            names: &[],
        }
    }

    /// Every number a word such as `1-5,10,*/15` stands for. Sunday is 0.
    pub(super) fn read(&self, word: &str) -> Result<BTreeSet<u32>, ExpressionError> {
        let mut values = BTreeSet::new();
        for part in word.split(',') {
            let numbers = self.read_part(part).map_err(|reason| ExpressionError::Part {
                field: self.name,
                part: part.to_owned(),
                reason,
            })?;
            values.extend(
                numbers
                    .into_iter()
                    .map(|number| if number > self.end { self.least } else { number }),
            );
        }
        Ok(values)
    }

    pub(super) fn is_every(&self, values: &BTreeSet<u32>) -> bool {
        (self.least..=self.end).all(|value| values.contains(&value))
    }

    /// The field as the crate `cron` reads it: its week days begin with Sunday = 1.
    pub(super) fn spell(&self, values: &BTreeSet<u32>) -> String {
        if self.is_every(values) {
            return "*".to_owned();
        }
        let first = u32::from(self.counts_week_days());
        let numbers: Vec<_> = values.iter().map(|value| (value + first).to_string()).collect();
        numbers.join(",")
    }

    fn counts_week_days(&self) -> bool {
        self.most > self.end
    }

    fn read_part(&self, part: &str) -> Result<Vec<u32>, String> {
        let (base, step) = match part.split_once('/') {
            Some((base, step)) => (base, Some(self.step(step)?)),
            None => (part, None),
        };
        let (from, to) = self.span(base, step.is_some())?;
        if from > to {
            return Err("a range runs upwards; write one over the turn as two, such as `22-23,0-2`".to_owned());
        }
        Ok((from..=to).step_by(step.unwrap_or(1)).collect())
    }

    /// The ends of `*`, of a range, or of a number, which a step opens to the end of the field.
    fn span(&self, base: &str, stepped: bool) -> Result<(u32, u32), String> {
        if base == "*" {
            return Ok((self.least, self.end));
        }
        let Some((from, to)) = base.split_once('-') else {
            let number = self.number(base)?;
            return Ok((number, if stepped { number.max(self.end) } else { number }));
        };
        let (from, to) = (self.number(from)?, self.number(to)?);
        // Friday to Sunday is 5-7 in Unix, and 5-0 or FRI-SUN can mean nothing else.
        let ends_on_sunday = self.counts_week_days() && to == self.least && from > to;
        Ok((from, if ends_on_sunday { self.most } else { to }))
    }

    fn number(&self, word: &str) -> Result<u32, String> {
        let named = (self.least..).zip(self.names).find(|(_, name)| name.eq_ignore_ascii_case(word));
        if let Some((number, _)) = named {
            return Ok(number);
        }
        let (least, most) = (self.least, self.most);
        match digits(word) {
            Some(number) if (least..=most).contains(&number) => Ok(number),
            Some(number) => Err(format!("{number} is not within {least} to {most}")),
            None if self.names.is_empty() => Err(format!("`{word}` is not a number from {least} to {most}")),
            None => Err(format!(
                "`{word}` is not a number from {least} to {most} nor one of {}",
                self.names.join(", ")
            )),
        }
    }

    /// A step beyond the field, such as `*/90` minutes, would silently mean "once".
    fn step(&self, word: &str) -> Result<usize, String> {
        digits(word)
            .filter(|step| (1..=self.most).contains(step))
            .and_then(|step| usize::try_from(step).ok())
            .ok_or_else(|| format!("the step `{word}` is not a number from 1 to {}", self.most))
    }
}

/// A plain number: Rust's own reader would also take `+5`.
fn digits(word: &str) -> Option<u32> {
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok()).flatten()
}
