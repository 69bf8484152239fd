//! Checkpoints (domain §10): what the figures of a window have become since somebody kept them.
//!
//! A change is a difference of two known figures. Where one of them is not known there is none: null minus something is null, and the answer
//! says which of the two is missing.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::metrics::{GroupMetrics, Summary, TableMetrics};

/// One figure, then and now. Cents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Change {
    pub was: Option<i64>,
    pub now: Option<i64>,
    /// now − was; null unless both are known.
    pub change: Option<i64>,
}

/// The figures of one table, a pit or the casino.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Changes {
    /// By the figure's name.
    #[schema(value_type = BTreeMap<String, Change>)]
    pub figures: BTreeMap<&'static str, Change>,
    /// What stands in the way of a change: `was.<figure>`, `now.<figure>`.
    pub missing: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TableChanges {
    pub table_id: Uuid,
    pub table: String,
    #[serde(flatten)]
    pub changes: Changes,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PitChanges {
    pub pit: String,
    #[serde(flatten)]
    pub changes: Changes,
}

/// Everything that became of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Delta {
    /// By name; a table that is there only then or only now has no other side.
    pub tables: Vec<TableChanges>,
    pub pits: Vec<PitChanges>,
    pub casino: Changes,
}

/// A figure's name and what is known of it.
type Figures = [(&'static str, Option<i64>); 11];

impl Delta {
    pub fn between(was: &Summary, now: &Summary) -> Self {
        let tables = paired(&was.tables, &now.tables, |table| (table.table.clone(), table.table_id));
        let pits = paired(&was.pits, &now.pits, |pit| pit.pit.clone().unwrap_or_default());
        Self {
            tables: tables
                .into_iter()
                .map(|((table, table_id), was, now)| TableChanges {
                    table_id,
                    table,
                    changes: Changes::between(was.map(of_table).as_ref(), now.map(of_table).as_ref()),
                })
                .collect(),
            pits: pits
                .into_iter()
                .map(|(pit, was, now)| PitChanges {
                    pit,
                    changes: Changes::between(was.map(of_group).as_ref(), now.map(of_group).as_ref()),
                })
                .collect(),
            casino: Changes::between(Some(&of_group(&was.casino)), Some(&of_group(&now.casino))),
        }
    }
}

impl Changes {
    fn between(was: Option<&Figures>, now: Option<&Figures>) -> Self {
        let Some(names) = now.or(was) else {
            return Self::default();
        };
        let mut changes = Self::default();
        for (place, (name, _)) in names.iter().enumerate() {
            let side = |figures: Option<&Figures>| figures.and_then(|figures| figures[place].1);
            let (was, now) = (side(was), side(now));
            let absent = [("was", was), ("now", now)].into_iter().filter(|(_, figure)| figure.is_none());
            changes.missing.extend(absent.map(|(side, _)| format!("{side}.{name}")));
            let change = was.zip(now).map(|(was, now)| now - was);
            changes.figures.insert(*name, Change { was, now, change });
        }
        changes
    }
}

/// Both sides of everything that is on one of them, by key.
fn paired<'a, T, K: Ord>(was: &'a [T], now: &'a [T], key: impl Fn(&T) -> K) -> Vec<(K, Option<&'a T>, Option<&'a T>)> {
    let mut sides: BTreeMap<K, (Option<&T>, Option<&T>)> = BTreeMap::new();
    for item in was {
        sides.entry(key(item)).or_default().0 = Some(item);
    }
    for item in now {
        sides.entry(key(item)).or_default().1 = Some(item);
    }
    sides.into_iter().map(|(key, (was, now))| (key, was, now)).collect()
}

fn of_table(table: &TableMetrics) -> Figures {
    [
        ("opening_total_cents", table.opening_total_cents),
        ("closing_total_cents", table.closing_total_cents),
        ("fills_total_cents", Some(table.fills_total_cents)),
        ("credits_total_cents", Some(table.credits_total_cents)),
        ("estimated_drop_rated_cents", table.estimated_drop_rated_cents),
        ("estimated_drop_grind_cents", table.estimated_drop_grind_cents),
        ("estimated_drop_total_cents", table.estimated_drop_total_cents),
        ("drop_total_cents", table.drop_total_cents),
        ("win_loss_inventory_cents", table.win_loss_inventory_cents),
        ("win_loss_estimated_cents", table.win_loss_estimated_cents),
        ("win_loss_stat_cents", table.win_loss_stat_cents),
    ]
}

fn of_group(group: &GroupMetrics) -> Figures {
    [
        ("opening_total_cents", group.opening_total_cents),
        ("closing_total_cents", group.closing_total_cents),
        ("fills_total_cents", group.fills_total_cents),
        ("credits_total_cents", group.credits_total_cents),
        ("estimated_drop_rated_cents", group.estimated_drop_rated_cents),
        ("estimated_drop_grind_cents", group.estimated_drop_grind_cents),
        ("estimated_drop_total_cents", group.estimated_drop_total_cents),
        ("drop_total_cents", group.drop_total_cents),
        ("win_loss_inventory_cents", group.win_loss_inventory_cents),
        ("win_loss_estimated_cents", group.win_loss_estimated_cents),
        ("win_loss_stat_cents", group.win_loss_stat_cents),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::USUAL_GRIND_SHARE_BP;

    fn figures(cents: Option<i64>) -> Figures {
        let mut figures = of_group(&Summary::of(window(), USUAL_GRIND_SHARE_BP, &[]).casino);
        for figure in &mut figures {
            figure.1 = cents;
        }
        figures
    }

    fn window() -> crate::metrics::Window {
        crate::metrics::Window {
            start: "2026-03-06T12:00:00Z".parse().unwrap(),
            end: "2026-03-06T20:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_change_is_now_less_then() {
        let changes = Changes::between(Some(&figures(Some(500))), Some(&figures(Some(200))));
        assert_eq!(
            changes.figures["drop_total_cents"],
            Change {
                was: Some(500),
                now: Some(200),
                change: Some(-300)
            }
        );
        assert_eq!(changes.missing, Vec::<String>::new());
    }

    #[test]
    fn null_less_something_is_null_and_says_which_side_is_missing() {
        for (was, now, missing) in [
            (Some(figures(None)), Some(figures(Some(200))), vec!["was"]),
            (Some(figures(Some(500))), Some(figures(None)), vec!["now"]),
            (None, Some(figures(Some(200))), vec!["was"]),
            (Some(figures(None)), None, vec!["was", "now"]),
        ] {
            let changes = Changes::between(was.as_ref(), now.as_ref());
            assert_eq!(changes.figures["win_loss_stat_cents"].change, None);
            let told: Vec<_> = changes
                .missing
                .iter()
                .filter(|name| name.ends_with(".win_loss_stat_cents"))
                .collect();
            assert_eq!(
                told,
                missing
                    .iter()
                    .map(|side| format!("{side}.win_loss_stat_cents"))
                    .collect::<Vec<_>>()
                    .iter()
                    .collect::<Vec<_>>()
            );
        }
    }
}
