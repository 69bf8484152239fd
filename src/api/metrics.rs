//! Window metrics: what tables, pits and the casino come to in a shift, a gaming day, or any hours.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use workflows::act;
use workflows::metrics::{GroupMetrics, LONGEST, Summary, TableMetrics, Window};

use super::extract::{Params, Reader};
use crate::app::App;
use crate::error::Error;
use crate::store::metrics::{Asked, Meant, Metrics, Told};

/// The years anybody may ask about: outside them no floor is, and calendars differ.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=9999;

/// One of the three: a shift, a gaming day, or a start and an end.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct MetricsFilter {
    pub(super) shift_id: Option<Uuid>,
    pub(super) gaming_day: Option<NaiveDate>,
    pub(super) window_start: Option<DateTime<Utc>>,
    /// Exclusive; at most 48 hours after the start.
    pub(super) window_end: Option<DateTime<Utc>>,
}

/// What is told of a window, and when it was computed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Shown<T> {
    #[serde(flatten)]
    pub window: Meant,
    pub computed_at: DateTime<Utc>,
    #[serde(flatten)]
    pub figures: T,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TableFigures {
    /// By name; all of them.
    pub items: Vec<TableMetrics>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PitFigures {
    /// By name; all of them.
    pub items: Vec<GroupMetrics>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CasinoFigures {
    pub casino: GroupMetrics,
}

/// Every table of a window: its baseline and where it comes from, its flows, three wins, and how far they may be trusted.
#[utoipa::path(get, path = "/metrics/tables", tag = "metrics", params(MetricsFilter), responses((status = 200, body = Shown<TableFigures>)))]
pub async fn tables(State(app): State<App>, reader: Reader, Params(filter): Params<MetricsFilter>) -> Result<Response, Error> {
    show(&app, &reader, &filter, "tables", |summary| TableFigures { items: summary.tables }).await
}

/// Every pit of a window, summed from its tables.
#[utoipa::path(get, path = "/metrics/pits", tag = "metrics", params(MetricsFilter), responses((status = 200, body = Shown<PitFigures>)))]
pub async fn pits(State(app): State<App>, reader: Reader, Params(filter): Params<MetricsFilter>) -> Result<Response, Error> {
    show(&app, &reader, &filter, "pits", |summary| PitFigures { items: summary.pits }).await
}

/// The casino in a window, summed from its tables.
#[utoipa::path(get, path = "/metrics/casino", tag = "metrics", params(MetricsFilter), responses((status = 200, body = Shown<CasinoFigures>)))]
pub async fn casino(State(app): State<App>, reader: Reader, Params(filter): Params<MetricsFilter>) -> Result<Response, Error> {
    show(&app, &reader, &filter, "casino", |summary| CasinoFigures { casino: summary.casino }).await
}

/// Tables, pits and the casino in one answer, of one moment.
#[utoipa::path(get, path = "/metrics/summary", tag = "metrics", params(MetricsFilter), responses((status = 200, body = Shown<Summary>)))]
pub async fn summary(State(app): State<App>, reader: Reader, Params(filter): Params<MetricsFilter>) -> Result<Response, Error> {
    show(&app, &reader, &filter, "summary", |summary| summary).await
}

async fn show<T: Serialize>(
    app: &App,
    reader: &Reader,
    filter: &MetricsFilter,
    view: &'static str,
    part: fn(Summary) -> T,
) -> Result<Response, Error> {
    let query = Metrics {
        asked: filter.asked()?,
        view,
        known: reader.known_tags(),
    };
    let (context, told) = app.engine.list(&reader.envelope, act::READ_COUNTS, &query).await?;
    match told {
        Told::Unchanged(tag) => Ok(Reader::unchanged(tag)),
        Told::Read { stamp, meant, summary } => {
            let figures = part(*summary);
            let fingerprint = Reader::tag(&(view, &meant, &figures));
            let tag = format!("{stamp}-{fingerprint}");
            // Something changed, and nothing of what this reader was told: the new tag proves it faster next time.
            let is_known = query
                .known
                .iter()
                .any(|known| known.split_once('-').is_some_and(|(_, known)| known == fingerprint));
            if is_known {
                return Ok(Reader::unchanged(tag));
            }
            let shown = Shown {
                window: meant,
                computed_at: context.at,
                figures,
            };
            Ok(reader.tagged(&shown, tag))
        }
    }
}

impl MetricsFilter {
    pub(super) fn asked(&self) -> Result<Asked, Error> {
        let asked = match (self.shift_id, self.gaming_day, self.window_start, self.window_end) {
            (Some(shift), None, None, None) => Asked::Shift(shift),
            (None, Some(day), None, None) => Asked::Day(day),
            (None, None, Some(start), Some(end)) => Asked::Hours(Window { start, end }),
            (_, _, _, _) => {
                let forms = "one of shift_id, gaming_day, or window_start with window_end";
                return Err(Error::Malformed(format!("query: {forms}")));
            }
        };
        let years = match asked {
            Asked::Shift(_) => Vec::new(),
            Asked::Day(day) => vec![day.year()],
            Asked::Hours(window) if window.end <= window.start => {
                return Err(Error::Malformed("window_end: not after window_start".to_owned()));
            }
            Asked::Hours(window) if window.end - window.start > LONGEST => {
                return Err(Error::Malformed(format!(
                    "window_end: at most {} hours after window_start",
                    LONGEST.num_hours()
                )));
            }
            Asked::Hours(window) => vec![window.start.year(), window.end.year()],
        };
        if !years.iter().all(|year| YEARS.contains(year)) {
            return Err(Error::Malformed(format!("query: years {} to {}", YEARS.start(), YEARS.end())));
        }
        Ok(asked)
    }
}
