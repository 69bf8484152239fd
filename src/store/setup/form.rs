//! A body, judged: every flaw at once, each at its JSON Pointer.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer};
use workflows::refusal::{Flaw, Refusal, flawless};

/// The longest name of a person or a casino, in characters: the schema says the same.
pub(in crate::store) const MAX_NAME: usize = 120;
/// The longest label: of a table, a pit, a box, an employee number.
pub(in crate::store) const MAX_LABEL: usize = 64;

/// Collects the flaws of one body.
#[derive(Default)]
pub(in crate::store) struct Form {
    flaws: Vec<Flaw>,
}

impl Form {
    pub(in crate::store) fn flaw(&mut self, pointer: &str, message: impl Into<String>) {
        self.flaws.push(Flaw::new(pointer, message));
    }

    /// A text on one line, trimmed: people choose by it, so two must not differ by blanks alone.
    pub(in crate::store) fn text(&mut self, pointer: &str, given: &str, longest: usize) -> String {
        if let Some(flaw) = flaw_of_text(given, longest) {
            self.flaw(pointer, flaw);
        }
        given.trim().to_owned()
    }

    pub(in crate::store) fn within<T: PartialOrd + Display>(&mut self, pointer: &str, given: &T, range: &RangeInclusive<T>) {
        if !range.contains(given) {
            self.flaw(pointer, format!("must be {} to {}", range.start(), range.end()));
        }
    }

    pub(in crate::store) fn judge(self) -> Result<(), Refusal> {
        flawless(self.flaws)
    }
}

/// What is wrong with a text, if anything.
pub(in crate::store) fn flaw_of_text(given: &str, longest: usize) -> Option<String> {
    let text = given.trim();
    if text.is_empty() {
        Some("must not be blank".to_owned())
    } else if text.chars().count() > longest {
        Some(format!("longer than {longest} characters"))
    } else if text.chars().any(char::is_control) {
        Some("must not contain control characters".to_owned())
    } else {
        None
    }
}

/// A field that was sent, beside `#[serde(default)]` for one that was not. A null is the value's own to take or refuse: `Option` takes it.
pub(in crate::store) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
