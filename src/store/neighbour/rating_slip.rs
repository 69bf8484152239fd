//! Rating slips: who sits where, for how long, betting what.

use entities::rating_slip::{Column, Entity, Model};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::event::RatingSlipStatus;
use workflows::money::MAX_CENTS;
use workflows::rating_slip::{self, Change, RatingSlip, Seating};
use workflows::record::Table;
use workflows::refusal::Refusal;
use workflows::word::Status;

use crate::answer::Answer;
use crate::error::Error;
use crate::store::Tx;
use crate::store::fault::Fault;
use crate::store::list::{self, Page, Query, Window};
use crate::store::setup::form::{Form, MAX_LABEL, given};
use crate::store::setup::{Changed, dressed, expect_version, json_of};

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRatingSlip {
    pub visit_id: Uuid,
    /// In play: a session of it is OPEN, DROP_SCHEDULED, DROPPED or COUNTED.
    pub table_id: Uuid,
    #[serde(default)]
    pub seat: Option<String>,
    #[serde(default)]
    pub average_bet_cents: Option<i64>,
}

/// What may change of a slip that is not closed; what is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RatingSlipChange {
    /// null: not known.
    #[serde(default, deserialize_with = "given")]
    pub average_bet_cents: Option<Option<i64>>,
    #[serde(default, deserialize_with = "given")]
    pub seat: Option<Option<String>>,
    /// `paused` stops the clock of play, `open` lets it run again.
    #[serde(default, deserialize_with = "given")]
    pub status: Option<RatingSlipStatus>,
    /// Moves to another table in play: this slip is closed, and the answer is the one that follows it.
    #[serde(default, deserialize_with = "given")]
    pub table_id: Option<Uuid>,
}

#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RatingSlipClosing {
    /// The last word on it; what the slip says stays otherwise.
    #[serde(default)]
    pub average_bet_cents: Option<i64>,
}

/// A slip, and how long there was play on it until now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KnownRatingSlip {
    #[serde(flatten)]
    pub slip: RatingSlip,
    /// Whole minutes, without pauses.
    pub minutes_played: i64,
}

impl KnownRatingSlip {
    fn at(context: &Context, slip: RatingSlip) -> Self {
        let minutes_played = slip.minutes_played(context.at);
        Self { slip, minutes_played }
    }
}

impl Tx {
    pub(super) async fn open_rating_slip(&self, context: &Context, new: &NewRatingSlip) -> Result<Changed, Error> {
        let mut form = Form::default();
        let seat = new.seat.as_ref().map(|seat| form.text("/seat", seat, MAX_LABEL));
        bet(&mut form, new.average_bet_cents);
        form.judge()?;
        let seating = self.hold_seating(context, new.table_id, None).await?;
        let (_, visit) = self.lock_visit(context, new.visit_id).await?;
        self.expect_one_seat(context, new.visit_id, &seating.table).await?;
        let (slip, event) = rating_slip::open(context, &visit, &seating, seat, new.average_bet_cents)?;
        let known = KnownRatingSlip::at(context, dressed(&self.insert(dressed::<Model>(&slip)?).await?)?);
        let answer = Answer::created(&known).version(known.slip.version);
        Ok(Changed::created("rating_slip.open", "rating_slip", answer).telling(event))
    }

    pub(super) async fn change_rating_slip(
        &self,
        context: &Context,
        id: Uuid,
        asked: &RatingSlipChange,
        if_match: Option<i64>,
    ) -> Result<Changed, Error> {
        let change = judged(asked)?;
        if let Some(table_id) = asked.table_id {
            return self.move_rating_slip(context, id, table_id, &change, if_match).await;
        }
        let (row, old) = self.lock_rating_slip(context, id).await?;
        expect_version(if_match, old.version)?;
        let before = json_of(&KnownRatingSlip::at(context, old.clone()))?;
        let Some((new, event)) = rating_slip::change(context, &old, &change)? else {
            let version = old.version;
            let answer = Answer::ok(&KnownRatingSlip::at(context, old)).version(version);
            return Ok(Changed::updated("rating_slip.change", "rating_slip", &before, answer));
        };
        let known = self.write_rating_slip(context, row, &new).await?;
        let answer = Answer::ok(&known).version(known.slip.version);
        Ok(Changed::updated("rating_slip.change", "rating_slip", &before, answer).telling(event))
    }

    pub(super) async fn close_rating_slip(
        &self,
        context: &Context,
        id: Uuid,
        closing: &RatingSlipClosing,
        if_match: Option<i64>,
    ) -> Result<Changed, Error> {
        let mut form = Form::default();
        bet(&mut form, closing.average_bet_cents);
        form.judge()?;
        let slip = self.rating_slip(context, id).await?;
        let session = self.hold_session_of(context, &slip).await?;
        let (row, old) = self.lock_rating_slip(context, id).await?;
        expect_version(if_match, old.version)?;
        let before = json_of(&KnownRatingSlip::at(context, old.clone()))?;
        let (new, event) = rating_slip::close(context, &old, closing.average_bet_cents)?;
        let known = self.write_rating_slip(context, row, &new).await?;
        let answer = Answer::ok(&known).version(known.slip.version);
        Ok(Changed {
            settles: session,
            ..Changed::updated("rating_slip.close", "rating_slip", &before, answer).telling(event)
        })
    }

    async fn move_rating_slip(
        &self,
        context: &Context,
        id: Uuid,
        table_id: Uuid,
        change: &Change,
        if_match: Option<i64>,
    ) -> Result<Changed, Error> {
        let slip = self.rating_slip(context, id).await?;
        let seating = self.hold_seating(context, table_id, Some(&slip)).await?;
        let session = self.session_of(context, &slip).await?;
        let (_, visit) = self.lock_visit(context, slip.visit_id).await?;
        let (row, old) = self.lock_rating_slip(context, id).await?;
        expect_version(if_match, old.version)?;
        let moved = rating_slip::move_to(context, &old, &visit, &seating, change)?;
        self.expect_one_seat(context, visit.id, &seating.table).await?;
        let before = json_of(&old)?;
        let closed = self.write_rating_slip(context, row, &moved.closed).await?;
        let opened = KnownRatingSlip::at(context, dressed(&self.insert(dressed::<Model>(&moved.opened)?).await?)?);
        let answer = Answer::ok(&opened).version(opened.slip.version);
        Ok(Changed {
            answer,
            action: "rating_slip.move",
            before: Some(json!({ "rating_slip": [before] })),
            after: Some(json!({ "rating_slip": [json_of(&closed.slip)?, json_of(&opened.slip)?] })),
            events: moved.told.into(),
            settles: session,
        })
    }

    async fn write_rating_slip(&self, context: &Context, row: Model, new: &RatingSlip) -> Result<KnownRatingSlip, Error> {
        let slip = dressed(&self.replace(row, &dressed::<Model>(new)?).await?)?;
        Ok(KnownRatingSlip::at(context, slip))
    }

    async fn lock_rating_slip(&self, context: &Context, id: Uuid) -> Result<(Model, RatingSlip), Error> {
        let row = Entity::find_by_id(id)
            .filter(Column::CasinoId.eq(context.casino.id))
            .lock(LockType::NoKeyUpdate);
        let row = row.one(self.connection()).await.map_err(Fault::from)?;
        let row = row.ok_or(Refusal::NotFound("rating slip"))?;
        let slip = dressed(&row)?;
        Ok((row, slip))
    }

    pub(super) async fn rating_slip(&self, context: &Context, id: Uuid) -> Result<RatingSlip, Error> {
        let row = Entity::find_by_id(id).filter(Column::CasinoId.eq(context.casino.id));
        let row = row.one(self.connection()).await.map_err(Fault::from)?;
        dressed(&row.ok_or(Refusal::NotFound("rating slip"))?)
    }

    pub(super) async fn open_rating_slips_of(&self, context: &Context, visit: Uuid) -> Result<Vec<Uuid>, Error> {
        let open = Entity::find().filter(
            Condition::all()
                .add(Column::CasinoId.eq(context.casino.id))
                .add(Column::VisitId.eq(visit))
                .add(Column::EndedAt.is_null()),
        );
        let rows = open.all(self.connection()).await.map_err(Fault::from)?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    async fn expect_one_seat(&self, context: &Context, visit: Uuid, table: &Table) -> Result<(), Error> {
        let taken = Entity::find().filter(
            Condition::all()
                .add(Column::CasinoId.eq(context.casino.id))
                .add(Column::TableId.eq(table.id))
                .add(Column::VisitId.eq(visit))
                .add(Column::EndedAt.is_null()),
        );
        match taken.one(self.connection()).await.map_err(Fault::from)? {
            Some(slip) => {
                let detail = format!("the visit has the rating slip {} at table {} already", slip.id, table.label);
                Err(Refusal::conflict("rating_slip_open", detail).into())
            }
            None => Ok(()),
        }
    }

    /// Locks what a slip's close may let go on.
    async fn hold_session_of(&self, context: &Context, slip: &RatingSlip) -> Result<Option<Uuid>, Error> {
        let session = self.session_of(context, slip).await?;
        self.hold_sessions(context, session.as_slice()).await?;
        // A rollover may have handed the slip on while this waited.
        if self.session_of(context, slip).await? != session {
            return Err(Error::Collided("the rating slip passed to another session".to_owned()));
        }
        Ok(session)
    }

    /// A table with the state of its live session, held: it does not close before the slip is there, nor a slip come while it closes. The
    /// session that `leaving` leaves is held with it, in the one order of sessions.
    async fn hold_seating(&self, context: &Context, table_id: Uuid, leaving: Option<&RatingSlip>) -> Result<Seating, Error> {
        let found = self.seating(context, table_id).await?;
        let left = match leaving {
            Some(slip) => self.session_of(context, slip).await?,
            None => None,
        };
        let held: Vec<Uuid> = found.session_id.into_iter().chain(left).collect();
        self.hold_sessions(context, &held).await?;
        let now = self.seating(context, table_id).await?;
        let still_left = match leaving {
            Some(slip) => self.session_of(context, slip).await?,
            None => None,
        };
        if now.session_id != found.session_id || still_left != left {
            return Err(Error::Collided("the table's session changed".to_owned()));
        }
        Ok(Seating {
            table: now.table,
            session: now.status,
        })
    }

    async fn seating(&self, context: &Context, table_id: Uuid) -> Result<Found, Error> {
        const SEATING: &str = "
            SELECT jsonb_build_object('table', to_jsonb(t), 'session_id', s.id, 'status', s.status) AS json
              FROM gaming_table AS t
              LEFT JOIN table_inventory_session AS s ON s.casino_id = t.casino_id AND s.table_id = t.id AND s.closed_at IS NULL
             WHERE t.casino_id = $1 AND t.id = $2";
        let found: Option<Found> = self.json(SEATING, [context.casino.id.into(), table_id.into()]).await?;
        Ok(found.ok_or(Refusal::NotFound("table"))?)
    }

    async fn session_of(&self, context: &Context, slip: &RatingSlip) -> Result<Option<Uuid>, Error> {
        let values = [context.casino.id.into(), slip.table_id.into(), slip.started_at.into()];
        Ok(self
            .json("SELECT to_jsonb(session_of_rating_slip($1, $2, $3)) AS json", values)
            .await?)
    }

    async fn hold_sessions(&self, context: &Context, ids: &[Uuid]) -> Result<(), Error> {
        const HOLD: &str = "
            SELECT to_jsonb(count(*)) AS json FROM (
                SELECT FROM table_inventory_session AS s
                 WHERE s.casino_id = $1 AND s.id = ANY (ARRAY(SELECT jsonb_array_elements_text($2)::uuid))
                 ORDER BY s.id FOR NO KEY UPDATE) AS held";
        let _: i64 = self.json(HOLD, [context.casino.id.into(), json!(ids).into()]).await?;
        Ok(())
    }
}

/// A table and its live session, as they are at this moment.
#[derive(Deserialize)]
struct Found {
    table: Table,
    session_id: Option<Uuid>,
    status: Option<Status>,
}

fn judged(asked: &RatingSlipChange) -> Result<Change, Refusal> {
    let mut form = Form::default();
    bet(&mut form, asked.average_bet_cents.flatten());
    let seat = asked
        .seat
        .as_ref()
        .map(|seat| seat.as_ref().map(|seat| form.text("/seat", seat, MAX_LABEL)));
    form.judge()?;
    Ok(Change {
        average_bet_cents: asked.average_bet_cents,
        seat,
        status: asked.status,
    })
}

fn bet(form: &mut Form, cents: Option<i64>) {
    if let Some(cents) = cents {
        form.within("/average_bet_cents", &cents, &(0..=MAX_CENTS));
    }
}

/// `GET /rating-slips`.
#[derive(Clone, Debug)]
pub struct RatingSlips {
    pub window: Window,
    pub id: Option<Uuid>,
    pub visit_id: Option<Uuid>,
    pub table_id: Option<Uuid>,
    pub status: Option<RatingSlipStatus>,
}

impl Query for RatingSlips {
    type Answer = Page<KnownRatingSlip>;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page<KnownRatingSlip>, Error> {
        let mut when = Condition::all().add(Column::CasinoId.eq(context.casino.id));
        when = list::narrow(when, self.id, |id| Column::Id.eq(id));
        when = list::narrow(when, self.visit_id, |visit| Column::VisitId.eq(visit));
        when = list::narrow(when, self.table_id, |table| Column::TableId.eq(table));
        when = list::narrow(when, self.status, |status| Column::Status.eq(status.to_string()));
        // The partial indexes are asked for by their own predicate.
        when = list::narrow(when, self.status.filter(|status| *status != RatingSlipStatus::Closed), |_| {
            Column::EndedAt.is_null()
        });
        let page = list::page(tx, Entity::find().filter(when), Column::Id, self.window).await?;
        let known = |row: Value| Ok(KnownRatingSlip::at(context, dressed(&row)?));
        Ok(Page {
            items: page.items.into_iter().map(known).collect::<Result<_, Error>>()?,
            next_cursor: page.next_cursor,
        })
    }
}
