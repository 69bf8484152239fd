//! How far the buy-ins logged at a table may be trusted to be all of them (domain §10, seed 3 "Quality Rules"): a rule with a version, and the
//! counts it was decided on.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantArray};
use utoipa::ToSchema;

/// The rule that [`judge`] follows. It rises with every change of the rule, so that a grade given earlier is not read by a later one.
pub const RULE: &str = "telemetry_quality/2";

/// What the casino's `pit_grind_share_bp` is until it says otherwise: the share of a pit's open tables, in basis points, at which grind logged
/// elsewhere in the pit vouches for a table without any. Rule 1 had this one for every casino.
pub const USUAL_GRIND_SHARE_BP: i32 = 8_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Display, EnumString, VariantArray, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum TelemetryQuality {
    /// A buy-in at least, none of the rated ones missing, and somebody logs the unrated ones.
    GoodCoverage,
    /// Buy-ins without that, or rated play without any.
    LowCoverage,
    /// Neither.
    None,
}

/// Why a table's quality is not better, or what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Display, EnumString, VariantArray, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum TelemetryNote {
    /// No buy-in was logged.
    NoBuyins,
    /// Players were rated, or finance took money in, and no buy-in was logged.
    RatedActivityWithoutBuyins,
    /// Finance knows rated buy-ins that were not carried over.
    RatedBuyinsMissing,
    /// No unrated buy-in was logged at the table.
    NoGrindAtTable,
    /// Too few of the pit's open tables log unrated buy-ins.
    PitGrindShareTooLow,
    /// The table itself logs none; its pit does at enough tables.
    GrindFromPitShare,
}

/// What the rule looks at, over the time the table's flows are summed over. An undone entry counts as never made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TelemetryCounts {
    pub rated_buyins: i64,
    pub grind_buyins: i64,
    /// Rows that finance's transactions should have left.
    pub expected_rated_rows: i64,
    pub missing_rated_rows: i64,
    /// Rating slips begun.
    pub rating_slips: i64,
    /// Tables of the pit in play, this one among them; 0 where it stands in no pit.
    pub pit_open_tables: i64,
    /// Those of them with unrated buy-ins.
    pub pit_grind_tables: i64,
    /// The share of them that the casino asks for, in basis points: a grade given under another one means something else.
    #[serde(default = "usual_grind_share")]
    pub pit_grind_share_bp: i32,
}

const fn usual_grind_share() -> i32 {
    USUAL_GRIND_SHARE_BP
}

/// The quality of one table's buy-ins, and what was decisive.
pub fn judge(counts: &TelemetryCounts) -> (TelemetryQuality, Vec<TelemetryNote>) {
    let buyins = counts.rated_buyins + counts.grind_buyins;
    let rated_activity = counts.rating_slips > 0 || counts.expected_rated_rows > 0;
    let own_grind = counts.grind_buyins > 0;
    let pit_grind =
        counts.pit_open_tables > 0 && counts.pit_grind_tables * 10_000 >= i64::from(counts.pit_grind_share_bp) * counts.pit_open_tables;
    let observed = [
        (TelemetryNote::NoBuyins, buyins == 0),
        (TelemetryNote::RatedActivityWithoutBuyins, buyins == 0 && rated_activity),
        (TelemetryNote::RatedBuyinsMissing, counts.missing_rated_rows > 0),
        (TelemetryNote::NoGrindAtTable, buyins > 0 && !own_grind && !pit_grind),
        (
            TelemetryNote::PitGrindShareTooLow,
            buyins > 0 && !own_grind && !pit_grind && counts.pit_open_tables > 0,
        ),
        (TelemetryNote::GrindFromPitShare, buyins > 0 && !own_grind && pit_grind),
    ];
    let quality = if buyins == 0 && !rated_activity {
        TelemetryQuality::None
    } else if buyins > 0 && counts.missing_rated_rows == 0 && (own_grind || pit_grind) {
        TelemetryQuality::GoodCoverage
    } else {
        TelemetryQuality::LowCoverage
    };
    (quality, observed.into_iter().filter(|(_, is)| *is).map(|(note, _)| note).collect())
}

#[cfg(test)]
mod tests {
    use super::TelemetryQuality::{GoodCoverage, LowCoverage, None};
    use super::*;

    fn counts(rated: i64, grind: i64, expected: i64, missing: i64, slips: i64, pit: (i64, i64)) -> TelemetryCounts {
        TelemetryCounts {
            rated_buyins: rated,
            grind_buyins: grind,
            expected_rated_rows: expected,
            missing_rated_rows: missing,
            rating_slips: slips,
            pit_open_tables: pit.0,
            pit_grind_tables: pit.1,
            pit_grind_share_bp: USUAL_GRIND_SHARE_BP,
        }
    }

    #[test]
    fn quality_is_decided_by_counts_alone() {
        let cases = [
            ("nothing at all", counts(0, 0, 0, 0, 0, (1, 0)), None),
            ("nothing here, grind all around", counts(0, 0, 0, 0, 0, (5, 4)), None),
            ("rated players and no buy-in", counts(0, 0, 0, 0, 2, (1, 0)), LowCoverage),
            (
                "finance knows one that was not carried over",
                counts(0, 0, 1, 1, 0, (1, 0)),
                LowCoverage,
            ),
            ("rated buy-ins only", counts(3, 0, 3, 0, 2, (1, 0)), LowCoverage),
            ("one grind buy-in, nobody rated", counts(0, 1, 0, 0, 0, (1, 1)), GoodCoverage),
            ("rated and grind", counts(3, 1, 3, 0, 2, (1, 1)), GoodCoverage),
            ("rated and grind, one rated missing", counts(3, 1, 4, 1, 2, (1, 1)), LowCoverage),
            ("no own grind, four of five in the pit", counts(1, 0, 1, 0, 1, (5, 4)), GoodCoverage),
            ("no own grind, seven of nine in the pit", counts(1, 0, 1, 0, 1, (9, 7)), LowCoverage),
            ("no own grind and no pit", counts(1, 0, 0, 0, 0, (0, 0)), LowCoverage),
        ];
        for (what, counts, quality) in cases {
            assert_eq!(judge(&counts).0, quality, "{what}");
        }
    }

    #[test]
    fn the_share_is_the_casinos() {
        let asking = |share, pit| TelemetryCounts {
            pit_grind_share_bp: share,
            ..counts(1, 0, 1, 0, 1, pit)
        };
        assert_eq!(judge(&asking(10_000, (5, 4))).0, LowCoverage);
        assert_eq!(judge(&asking(10_000, (5, 5))).0, GoodCoverage);
        assert_eq!(judge(&asking(3_333, (3, 1))).0, GoodCoverage);
        assert_eq!(judge(&asking(3_334, (3, 1))).0, LowCoverage, "a share is not rounded");
        // A checkpoint taken under rule 1 is read as it was judged.
        let kept = serde_json::json!({
            "rated_buyins": 1, "grind_buyins": 0, "expected_rated_rows": 1, "missing_rated_rows": 0, "rating_slips": 1,
            "pit_open_tables": 5, "pit_grind_tables": 4,
        });
        let kept: TelemetryCounts = serde_json::from_value(kept).unwrap();
        assert_eq!((kept.pit_grind_share_bp, judge(&kept).0), (8_000, GoodCoverage));
    }

    #[test]
    fn the_notes_say_what_was_decisive() {
        assert_eq!(judge(&counts(0, 0, 0, 0, 0, (1, 0))).1, [TelemetryNote::NoBuyins]);
        assert_eq!(
            judge(&counts(0, 0, 0, 0, 1, (1, 0))).1,
            [TelemetryNote::NoBuyins, TelemetryNote::RatedActivityWithoutBuyins]
        );
        assert_eq!(
            judge(&counts(2, 0, 3, 1, 1, (5, 3))).1,
            [
                TelemetryNote::RatedBuyinsMissing,
                TelemetryNote::NoGrindAtTable,
                TelemetryNote::PitGrindShareTooLow
            ]
        );
        assert_eq!(judge(&counts(2, 0, 2, 0, 1, (5, 4))).1, [TelemetryNote::GrindFromPitShare]);
        assert_eq!(judge(&counts(2, 1, 2, 0, 1, (5, 1))).1, []);
    }
}
