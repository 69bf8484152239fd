//! A tray or a slip by denomination: `{"10000":20,"2500":40}` is 3,000.00 (domain §2).

use std::collections::BTreeMap;
use std::ops::Deref;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::money::MAX_CENTS;
use crate::refusal::Flaw;

/// Denomination in cents to pieces; zero counts are dropped. `{}` is a counted zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chipset(BTreeMap<i64, i64>);

/// A chipset as a client writes it: any text may stand where a denomination should. The same key twice is refused: one of the two
/// counts would be lost without a word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RawChipset(BTreeMap<String, i64>);

/// More keys than any chip list or currency has.
pub const MAX_KEYS: usize = 64;

impl Deref for RawChipset {
    type Target = BTreeMap<String, i64>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl FromIterator<(String, i64)> for RawChipset {
    fn from_iter<T: IntoIterator<Item = (String, i64)>>(pieces: T) -> Self {
        Self(pieces.into_iter().collect())
    }
}

impl RawChipset {
    /// The same chips, zero counts dropped.
    #[must_use]
    pub fn without_zeros(&self) -> Self {
        self.iter()
            .filter(|(_, count)| **count != 0)
            .map(|(cents, count)| (cents.clone(), *count))
            .collect()
    }

    /// Adds a denomination; false when it is there already.
    pub fn add(&mut self, denomination: String, count: i64) -> bool {
        self.0.insert(denomination, count).is_none()
    }
}

impl<'de> Deserialize<'de> for RawChipset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Pieces)
    }
}

struct Pieces;

impl<'de> Visitor<'de> for Pieces {
    type Value = RawChipset;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object of denomination to pieces")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawChipset, A::Error> {
        let mut raw = RawChipset::default();
        while let Some((denomination, count)) = map.next_entry::<String, i64>()? {
            if !raw.add(denomination.clone(), count) {
                return Err(A::Error::custom(format!("{denomination} stands twice")));
            }
        }
        Ok(raw)
    }
}

impl Chipset {
    /// Admits what a client sent against the casino's chip list, or names every flaw under `pointer`.
    pub fn admit(raw: &RawChipset, chip_list: &[i64], pointer: &str) -> Result<Self, Vec<Flaw>> {
        Self::parse(raw, pointer, |denomination| chip_list.contains(&denomination))
    }

    /// Admits notes: any positive denomination (domain §8).
    pub fn admit_currency(raw: &RawChipset, pointer: &str) -> Result<Self, Vec<Flaw>> {
        Self::parse(raw, pointer, |_| true)
    }

    fn parse(raw: &RawChipset, pointer: &str, known: impl Fn(i64) -> bool) -> Result<Self, Vec<Flaw>> {
        if raw.len() > MAX_KEYS {
            return Err(vec![Flaw::new(pointer, format!("more than {MAX_KEYS} denominations"))]);
        }
        let mut pieces = BTreeMap::new();
        let mut flaws = Vec::new();
        for (denomination, &count) in raw.iter() {
            let at = format!("{pointer}/{}", escape(denomination));
            match denomination.parse::<i64>() {
                Ok(cents) if cents > 0 && cents.to_string() == *denomination && known(cents) => {
                    if count < 0 {
                        flaws.push(Flaw::new(at, "a count is not negative"));
                    } else if count.checked_mul(cents).is_none_or(|total| total > MAX_CENTS) {
                        flaws.push(Flaw::new(at, "this many pieces are beyond any tray"));
                    } else if count > 0 {
                        pieces.insert(cents, count);
                    }
                }
                Ok(_) | Err(_) => flaws.push(Flaw::new(at, "not a denomination of this casino: keys are cents as decimal text")),
            }
        }
        let chipset = Self(pieces);
        if flaws.is_empty() && chipset.total_cents() > MAX_CENTS {
            flaws.push(Flaw::new(pointer, "this total is beyond any tray"));
        }
        if flaws.is_empty() { Ok(chipset) } else { Err(flaws) }
    }

    /// The value of all pieces, in cents.
    pub fn total_cents(&self) -> i64 {
        self.0
            .iter()
            .map(|(cents, count)| cents.saturating_mul(*count))
            .fold(0, i64::saturating_add)
    }

    /// Σ |difference per denomination|: two wrong denominations do not cancel out (domain §5).
    pub fn distance_cents(&self, other: &Self) -> i64 {
        let denominations: std::collections::BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        denominations
            .into_iter()
            .map(|cents| cents * (self.pieces(*cents) - other.pieces(*cents)).abs())
            .sum()
    }

    fn pieces(&self, cents: i64) -> i64 {
        self.0.get(&cents).copied().unwrap_or(0)
    }
}

impl FromIterator<(i64, i64)> for Chipset {
    fn from_iter<T: IntoIterator<Item = (i64, i64)>>(pieces: T) -> Self {
        Self(pieces.into_iter().filter(|(_, count)| *count != 0).collect())
    }
}

/// JSON Pointer's own escapes (RFC 6901), so that the pointer names the very key sent.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

impl Serialize for Chipset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(cents, count)| (cents.to_string(), count)))
    }
}

impl<'de> Deserialize<'de> for Chipset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = BTreeMap::<String, i64>::deserialize(deserializer)?;
        raw.into_iter()
            .map(|(cents, count)| cents.parse().map(|cents: i64| (cents, count)).map_err(D::Error::custom))
            .collect::<Result<BTreeMap<_, _>, _>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHIPS: [i64; 4] = [100, 500, 2500, 10000];

    fn raw(pieces: &[(&str, i64)]) -> RawChipset {
        pieces.iter().map(|(cents, count)| ((*cents).to_owned(), *count)).collect()
    }

    #[test]
    fn the_specification_s_example_is_three_thousand() {
        let chipset = Chipset::admit(&raw(&[("10000", 20), ("2500", 40)]), &CHIPS, "/chipset").expect("admitted");
        assert_eq!(chipset.total_cents(), 300_000);
    }

    #[test]
    fn every_flaw_is_named_at_once() {
        let flaws = Chipset::admit(&raw(&[("abc", 1), ("300", 1), ("0500", 1), ("100", -1)]), &CHIPS, "/chipset").expect_err("refused");
        let pointers: Vec<_> = flaws.iter().map(|flaw| flaw.pointer.as_str()).collect();
        assert_eq!(pointers, ["/chipset/0500", "/chipset/100", "/chipset/300", "/chipset/abc"]);
    }

    #[test]
    fn amounts_beyond_any_tray_are_refused_rather_than_wrapped() {
        assert!(Chipset::admit(&raw(&[("10000", i64::MAX)]), &CHIPS, "").is_err());
    }

    proptest! {
        #[test]
        fn a_chipset_survives_json(pieces in proptest::collection::btree_map(proptest::sample::select(&CHIPS[..]), 0_i64..5000, 0..4)) {
            let chipset: Chipset = pieces.into_iter().collect();
            let text = serde_json::to_string(&chipset).expect("json");
            prop_assert_eq!(serde_json::from_str::<Chipset>(&text).expect("back"), chipset);
        }

        #[test]
        fn distance_is_zero_only_between_equals(a in 0_i64..50, b in 0_i64..50) {
            let (left, right): (Chipset, Chipset) = ([(100, a)].into_iter().collect(), [(100, b)].into_iter().collect());
            prop_assert_eq!(left.distance_cents(&right) == 0, left == right);
            prop_assert_eq!(left.distance_cents(&right), right.distance_cents(&left));
        }
    }
}
