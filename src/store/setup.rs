//! Set-up: casino settings, staff, tables, par, boxes, slip series, shifts. Rows an admin or a job writes; the law only reads them.
//!
//! The law does not know set-up, so what a set-up may say is checked here, over the locked row it changes: a form names every flaw of a
//! body at once, and what only the rest of the floor forbids is a conflict. Whoever needs the rows again reads them, nothing is cached.

mod casino;
mod dead_letter;
mod drop_box;
pub(super) mod form;
mod job_run;
mod par_sheet;
mod schedule;
mod shift;
mod shift_template;
mod slip_series;
mod staff;
mod table;
mod webhook;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_orm::{ActiveModelBehavior, ActiveModelTrait, EntityTrait, IntoActiveModel, Iterable, ModelTrait};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;
use workflows::buyin::Entry;
use workflows::case::Context;
use workflows::event::Event;
use workflows::shift_close::Line;

pub use self::casino::{CasinoChange, OwnCasino};
pub use self::dead_letter::{DeadLetter, DeadLetters};
pub use self::drop_box::{DropBoxes, KnownBox, NewDropBox};
pub use self::job_run::{JobRuns, OneJobRun};
pub use self::par_sheet::{ParSheet, SheetTaken};
pub use self::schedule::{NewSchedule, OneSchedule, ScheduleChange, Schedules};
pub use self::shift::{ShiftOf, ShiftOpening, ShiftSum};
pub use self::shift_template::{NewShiftTemplate, ShiftTemplateChange, ShiftTemplates};
pub use self::slip_series::{ManualNumbers, NewRange, SeriesOf, SlipSeries};
pub use self::staff::{Me, NewStaff, People, Person, PinHash, StaffChange};
pub use self::table::{KnownTable, NewPar, NewTable, TableChange, Tables};
pub use self::webhook::{
    Deliveries, JudgedUrl, LONGEST_GRACE_SECONDS, NewWebhook, OneWebhook, SigningSecret, Webhook, WebhookChange, WebhookDelivery, Webhooks,
};

use super::Tx;
use super::checkpoint::NewCheckpoint;
use super::fault::Fault;
use super::list::{Page, Window};
use super::neighbour::Neighbour;
use crate::answer::Answer;
use crate::error::Error;

/// One change of the set-up.
#[derive(Clone, Debug)]
pub enum Setup {
    ChangeCasino(Box<CasinoChange>),
    AddStaff {
        person: NewStaff,
        pin: Option<PinHash>,
    },
    ChangeStaff {
        id: Uuid,
        change: StaffChange,
    },
    SetPin {
        id: Uuid,
        pin: PinHash,
    },
    AddTable(NewTable),
    ChangeTable {
        id: Uuid,
        change: TableChange,
    },
    ActivateTable(Uuid),
    DeactivateTable(Uuid),
    SetPar {
        table_id: Uuid,
        par: NewPar,
    },
    ImportParSheet(ParSheet),
    AddDropBox(NewDropBox),
    ReserveNumbers(NewRange),
    CloseRange(Uuid),
    AddShiftTemplate(NewShiftTemplate),
    ChangeShiftTemplate {
        id: Uuid,
        change: ShiftTemplateChange,
    },
    OpenShift(ShiftOf),
    CloseShift(ShiftOf),
    SettleShift {
        shift_id: Uuid,
        lines: Vec<Line>,
    },
    AddSchedule(NewSchedule),
    ChangeSchedule {
        id: Uuid,
        change: Box<ScheduleChange>,
    },
    RunSchedule(Uuid),
    RetryRun(Uuid),
    LogBuyin(Box<Entry>),
    UndoBuyin(Uuid),
    TakeCheckpoint(Box<NewCheckpoint>),
    /// Players, visits, rating slips and what else the neighbouring services own.
    Neighbour(Box<Neighbour>),
    Redrive(Uuid),
    AddWebhook {
        webhook: NewWebhook,
        url: JudgedUrl,
        secret: SigningSecret,
    },
    ChangeWebhook {
        id: Uuid,
        change: WebhookChange,
        url: Option<JudgedUrl>,
    },
    RotateWebhookSecret {
        id: Uuid,
        secret: SigningSecret,
        grace_seconds: u32,
    },
    DeleteWebhook(Uuid),
}

/// What a change of the set-up came to. Where nothing differs from before, `before` and `after` are both none.
pub struct Changed {
    pub answer: Answer,
    /// `domain.verb` for the audit log.
    pub action: &'static str,
    pub before: Option<Value>,
    pub after: Option<Value>,
    pub events: Vec<Event>,
    /// The session whose evidence this change completes: it is settled in the same transaction.
    pub settles: Option<Uuid>,
}

impl Tx {
    /// Applies one change, in this transaction. `if_match` is compared where a row with a version is changed.
    pub async fn apply(&self, context: &Context, setup: &Setup, if_match: Option<i64>) -> Result<Changed, Error> {
        match setup {
            Setup::ChangeCasino(change) => self.change_casino(context, change, if_match).await,
            Setup::AddStaff { person, pin } => self.add_staff(context, person, pin.as_ref()).await,
            Setup::ChangeStaff { id, change } => self.change_staff(context, *id, change, if_match).await,
            Setup::SetPin { id, pin } => self.set_pin(context, *id, pin, if_match).await,
            Setup::AddTable(table) => self.add_table(context, table).await,
            Setup::ChangeTable { id, change } => self.change_table(context, *id, change, if_match).await,
            Setup::ActivateTable(id) => self.activate_table(context, *id, if_match).await,
            Setup::DeactivateTable(id) => self.deactivate_table(context, *id, if_match).await,
            Setup::SetPar { table_id, par } => self.set_par(context, *table_id, par).await,
            Setup::ImportParSheet(sheet) => self.import_par_sheet(context, sheet).await,
            Setup::AddDropBox(drop_box) => self.add_drop_box(context, drop_box).await,
            Setup::ReserveNumbers(range) => self.reserve_numbers(context, range).await,
            Setup::CloseRange(id) => self.close_range(context, *id).await,
            Setup::AddShiftTemplate(template) => self.add_shift_template(context, template).await,
            Setup::ChangeShiftTemplate { id, change } => self.change_shift_template(context, *id, change, if_match).await,
            Setup::OpenShift(of) => self.open_shift(context, of).await,
            Setup::CloseShift(of) => self.close_shift(context, of).await,
            Setup::SettleShift { shift_id, lines } => self.settle_shift(context, *shift_id, lines).await,
            Setup::AddSchedule(schedule) => self.add_schedule(context, schedule).await,
            Setup::ChangeSchedule { id, change } => self.change_schedule(context, *id, change, if_match).await,
            Setup::RunSchedule(id) => self.run_schedule(context, *id).await,
            Setup::RetryRun(id) => self.retry_run(context, *id, if_match).await,
            Setup::LogBuyin(entry) => self.log_buyin(context, entry).await,
            Setup::UndoBuyin(id) => self.undo_buyin(context, *id).await,
            Setup::TakeCheckpoint(checkpoint) => self.take_checkpoint(context, checkpoint).await,
            Setup::Neighbour(neighbour) => self.apply_neighbour(context, neighbour, if_match).await,
            Setup::Redrive(id) => self.redrive(context, *id).await,
            // In a box: this match is as large as its largest arm, and every request carries it.
            Setup::AddWebhook { webhook, url, secret } => Box::pin(self.add_webhook(context, webhook, url, secret)).await,
            Setup::ChangeWebhook { id, change, url } => Box::pin(self.change_webhook(context, *id, change, url.as_ref(), if_match)).await,
            Setup::RotateWebhookSecret { id, secret, grace_seconds } => {
                Box::pin(self.rotate_webhook_secret(context, *id, secret, *grace_seconds, if_match)).await
            }
            Setup::DeleteWebhook(id) => Box::pin(self.delete_webhook(context, *id, if_match)).await,
        }
    }

    /// Writes a new row, every column of it.
    pub(super) async fn insert<M, A>(&self, row: M) -> Result<M, Error>
    where
        M: ModelTrait + IntoActiveModel<A>,
        A: ActiveModelTrait<Entity = M::Entity> + ActiveModelBehavior + Send,
        M::Entity: EntityTrait<Model = M>,
    {
        Ok(row
            .into_active_model()
            .reset_all()
            .insert(self.connection())
            .await
            .map_err(Fault::from)?)
    }

    /// Writes new rows in one statement; none need none.
    pub(super) async fn insert_all<M, A>(&self, rows: Vec<M>) -> Result<(), Error>
    where
        M: ModelTrait + IntoActiveModel<A>,
        A: ActiveModelTrait<Entity = M::Entity> + ActiveModelBehavior + Send,
        M::Entity: EntityTrait<Model = M>,
    {
        if rows.is_empty() {
            return Ok(());
        }
        let rows = rows.into_iter().map(|row| row.into_active_model().reset_all());
        <M::Entity as EntityTrait>::insert_many(rows)
            .exec_without_returning(self.connection())
            .await
            .map_err(Fault::from)?;
        Ok(())
    }

    /// Writes the columns that differ, and no others: most of a row the application role may not change at all.
    pub(super) async fn replace<M, A>(&self, old: M, new: &M) -> Result<M, Error>
    where
        M: ModelTrait + IntoActiveModel<A>,
        A: ActiveModelTrait<Entity = M::Entity> + ActiveModelBehavior + Send,
        M::Entity: EntityTrait<Model = M>,
    {
        let mut row = old.into_active_model();
        for column in <M::Entity as EntityTrait>::Column::iter() {
            row.set_if_not_equals(column, new.get(column));
        }
        Ok(row.update(self.connection()).await.map_err(Fault::from)?)
    }
}

impl Changed {
    /// A new row, answered as it is.
    pub(super) fn created(action: &'static str, table: &str, answer: Answer) -> Self {
        Self {
            after: Some(json!({ table: [without_nulls(&answer.body)] })),
            before: None,
            action,
            answer,
            events: Vec::new(),
            settles: None,
        }
    }

    /// A row that was `before` and is what is answered.
    pub(super) fn updated(action: &'static str, table: &str, before: &Value, answer: Answer) -> Self {
        let changed = *before != answer.body;
        let (was, is) = (differing(before, &answer.body), differing(&answer.body, before));
        let rows = |row: Value| changed.then(|| json!({ table: [row] }));
        Self {
            before: rows(was),
            after: rows(is),
            action,
            answer,
            events: Vec::new(),
            settles: None,
        }
    }

    /// A row that is no more, answered as it was.
    fn deleted(action: &'static str, table: &str, answer: Answer) -> Self {
        Self {
            before: Some(json!({ table: [without_nulls(&answer.body)] })),
            after: None,
            action,
            answer,
            events: Vec::new(),
            settles: None,
        }
    }

    pub(super) fn telling(self, event: Event) -> Self {
        Self {
            events: vec![event],
            ..self
        }
    }
}

/// The columns in which a row differs from its other self, and its id: what the audit log keeps.
fn differing(row: &Value, other: &Value) -> Value {
    let columns = row.as_object().into_iter().flatten();
    let kept = columns.filter(|(name, value)| *name == "id" || other.get(name) != Some(value));
    Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// What a new row says.
fn without_nulls(row: &Value) -> Value {
    let columns = row.as_object().into_iter().flatten();
    Value::Object(
        columns
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

pub(super) fn expect_version(if_match: Option<i64>, current: i64) -> Result<(), Error> {
    match if_match {
        Some(named) if named != current => Err(Error::VersionMismatch { current }),
        Some(_) | None => Ok(()),
    }
}

/// A row as JSON.
pub(super) fn json_of(row: &impl Serialize) -> Result<Value, Error> {
    Ok(serde_json::to_value(row).map_err(Fault::unreadable)?)
}

/// A row in its other dress: an entity as the law's record, or back. Both have the columns' names.
pub(super) fn dressed<T: DeserializeOwned>(row: &impl Serialize) -> Result<T, Error> {
    Ok(serde_json::from_value(json_of(row)?).map_err(Fault::unreadable)?)
}

/// A page of rows read with one more than asked, which tells whether another page follows.
pub(super) fn page<T>(mut items: Vec<T>, window: Window, id: impl Fn(&T) -> Uuid) -> Page<T> {
    let limit = usize::try_from(window.limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| more).map(id);
    Page {
        next_cursor: last.map(|id| URL_SAFE_NO_PAD.encode(id.as_bytes())),
        items,
    }
}

/// The limit of a statement that reads one row more than the page holds.
pub(super) fn one_more(window: Window) -> i64 {
    i64::try_from(window.limit).unwrap_or(i64::MAX).saturating_add(1)
}
