//! Tables on the floor, in service or not, and the par each is filled to.

use chrono::{Days, NaiveDate};
use entities::gaming_table::{Column, Entity, Model};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::event::Event;
use workflows::money::MAX_CENTS;
use workflows::record::{Par, Table};
use workflows::refusal::Refusal;
use workflows::word::{GameType, TableStatus};

use super::form::{Form, MAX_LABEL, given};
use super::{Changed, Tx, dressed, expect_version, json_of, one_more, page};
use crate::answer::Answer;
use crate::error::Error;
use crate::store::fault::Fault;
use crate::store::list::{Page, Query, Window};

/// How far ahead a par may be set: a year written wrong is not taken for a plan.
const PAR_AHEAD: Days = Days::new(366);

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTable {
    pub label: String,
    #[serde(rename = "type")]
    pub game: GameType,
    #[serde(default)]
    pub pit: Option<String>,
}

/// What may change of a table; what is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TableChange {
    #[serde(default, deserialize_with = "given")]
    pub label: Option<String>,
    #[serde(default, deserialize_with = "given", rename = "type")]
    pub game: Option<GameType>,
    /// null: no pit.
    #[serde(default, deserialize_with = "given")]
    pub pit: Option<Option<String>>,
}

/// A par, from a gaming day on. A session binds the par in force at its opening; later ones do not reach it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPar {
    pub par_cents: i64,
    /// Today's gaming day unless given; never before it. Of one day the par written last is in force.
    #[serde(default)]
    pub effective_gaming_day: Option<NaiveDate>,
}

/// A table, with the par in force today and the session that is live on it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KnownTable {
    #[serde(flatten)]
    pub table: Table,
    pub par_cents: Option<i64>,
    pub live_session_id: Option<Uuid>,
}

impl Tx {
    pub(super) async fn add_table(&self, context: &Context, new: &NewTable) -> Result<Changed, Error> {
        let mut form = Form::default();
        let row = Model {
            id: (context.new_id)(),
            casino_id: context.casino.id,
            label: form.text("/label", &new.label, MAX_LABEL),
            game: new.game.to_string(),
            pit: new.pit.as_ref().map(|pit| form.text("/pit", pit, MAX_LABEL)),
            status: TableStatus::Inactive.to_string(),
            version: 1,
            created_at: context.at,
        };
        form.judge()?;
        let row = self.insert(row).await?;
        let known = self.known_table(context, row.id).await?;
        Ok(Changed::created(
            "table.create",
            "gaming_table",
            Answer::created(&known).version(row.version),
        ))
    }

    pub(super) async fn change_table(
        &self,
        context: &Context,
        id: Uuid,
        change: &TableChange,
        if_match: Option<i64>,
    ) -> Result<Changed, Error> {
        let old = self.lock_table(context, id).await?;
        expect_version(if_match, old.version)?;
        let mut form = Form::default();
        let mut new = old.clone();
        if let Some(label) = &change.label {
            new.label = form.text("/label", label, MAX_LABEL);
        }
        if let Some(game) = change.game {
            new.game = game.to_string();
        }
        if let Some(pit) = &change.pit {
            new.pit = pit.as_ref().map(|pit| form.text("/pit", pit, MAX_LABEL));
        }
        form.judge()?;
        self.write_table(context, "table.change", old, new).await
    }

    /// Brings a table into service. One that is in service stays so, and nobody is told again.
    pub(super) async fn activate_table(&self, context: &Context, id: Uuid, if_match: Option<i64>) -> Result<Changed, Error> {
        let old = self.lock_table(context, id).await?;
        expect_version(if_match, old.version)?;
        let new = Model {
            status: TableStatus::Active.to_string(),
            ..old.clone()
        };
        let table: Table = dressed(&new)?;
        let activated = Event::TableActivated {
            table_id: id,
            label: table.label,
            game: table.game,
            pit: table.pit,
        };
        let is_news = new != old;
        let changed = self.write_table(context, "table.activate", old, new).await?;
        Ok(if is_news { changed.telling(activated) } else { changed })
    }

    /// Takes a table out of service. Whoever creates a session locks its table too: none can begin while this looks for one.
    pub(super) async fn deactivate_table(&self, context: &Context, id: Uuid, if_match: Option<i64>) -> Result<Changed, Error> {
        let old = self.lock_table(context, id).await?;
        expect_version(if_match, old.version)?;
        if let Some(session) = self.known_table(context, id).await?.live_session_id {
            let detail = format!("{} has the live session {session}; close or cancel it first", old.label);
            return Err(Refusal::conflict("live_session_exists", detail).into());
        }
        let new = Model {
            status: TableStatus::Inactive.to_string(),
            ..old.clone()
        };
        let is_news = new != old;
        let changed = self.write_table(context, "table.deactivate", old, new).await?;
        Ok(if is_news {
            changed.telling(Event::TableDeactivated { table_id: id })
        } else {
            changed
        })
    }

    /// Sets a par; the rows before it stay, because sessions have bound them. The table is locked so that the row written last is also
    /// the one with the highest id, by which it is found.
    pub(super) async fn set_par(&self, context: &Context, table_id: Uuid, new: &NewPar) -> Result<Changed, Error> {
        self.lock_table(context, table_id).await?;
        let today = context.gaming_day();
        let day = new.effective_gaming_day.unwrap_or(today);
        let mut form = Form::default();
        form.within("/par_cents", &new.par_cents, &(0..=MAX_CENTS));
        form.within("/effective_gaming_day", &day, &(today..=today + PAR_AHEAD));
        form.judge()?;
        let par: Par = dressed(&self.insert(par_row(context, table_id, new.par_cents, day)).await?)?;
        Ok(Changed::created("table.set_par", "table_par", Answer::created(&par)))
    }

    async fn write_table(&self, context: &Context, action: &'static str, old: Model, mut new: Model) -> Result<Changed, Error> {
        let before = json_of(&self.known_table(context, old.id).await?)?;
        if new != old {
            new.version += 1;
            new = self.replace(old, &new).await?;
        }
        let known = self.known_table(context, new.id).await?;
        Ok(Changed::updated(
            action,
            "gaming_table",
            &before,
            Answer::ok(&known).version(new.version),
        ))
    }

    async fn lock_table(&self, context: &Context, id: Uuid) -> Result<Model, Error> {
        let row = Entity::find_by_id(id)
            .filter(Column::CasinoId.eq(context.casino.id))
            .lock(LockType::NoKeyUpdate);
        Ok(row
            .one(self.connection())
            .await
            .map_err(Fault::from)?
            .ok_or(Refusal::NotFound("table"))?)
    }

    pub(super) async fn expect_table(&self, context: &Context, id: Uuid) -> Result<(), Error> {
        self.known_table(context, id).await.map(drop)
    }

    async fn known_table(&self, context: &Context, id: Uuid) -> Result<KnownTable, Error> {
        let one = Tables {
            window: Window { after: None, limit: 1 },
            id: Some(id),
            status: None,
            game: None,
            pit: None,
        };
        Ok(one
            .rows(self, context)
            .await?
            .into_iter()
            .next()
            .ok_or(Refusal::NotFound("table"))?)
    }
}

/// A par that the caller approves.
pub(super) fn par_row(context: &Context, table_id: Uuid, par_cents: i64, day: NaiveDate) -> entities::par::Model {
    entities::par::Model {
        id: (context.new_id)(),
        casino_id: context.casino.id,
        table_id,
        par_cents,
        effective_gaming_day: day,
        approved_by: Some(context.caller.id),
        created_at: context.at,
    }
}

/// `GET /tables`.
#[derive(Clone, Debug)]
pub struct Tables {
    pub window: Window,
    pub id: Option<Uuid>,
    pub status: Option<TableStatus>,
    pub game: Option<GameType>,
    pub pit: Option<String>,
}

/// Par and live session are each one probe of an index for every row of the page.
const KNOWN_TABLES: &str = "
    SELECT COALESCE(jsonb_agg(known.row ORDER BY known.id), '[]') AS json
      FROM (SELECT t.id, to_jsonb(t) || jsonb_build_object(
                       'par_cents', (SELECT p.par_cents FROM table_par AS p
                                      WHERE p.casino_id = t.casino_id AND p.table_id = t.id AND p.effective_gaming_day <= $2
                                      ORDER BY p.effective_gaming_day DESC, p.id DESC LIMIT 1),
                       'live_session_id', (SELECT s.id FROM table_inventory_session AS s
                                            WHERE s.casino_id = t.casino_id AND s.table_id = t.id AND s.closed_at IS NULL)) AS row
              FROM gaming_table AS t
             WHERE t.casino_id = $1
               AND ($3::uuid IS NULL OR t.id > $3)
               AND ($4::uuid IS NULL OR t.id = $4)
               AND ($5::text IS NULL OR t.status = $5)
               AND ($6::text IS NULL OR t.type = $6)
               AND ($7::text IS NULL OR t.pit = $7)
             ORDER BY t.id LIMIT $8) AS known";

impl Tables {
    async fn rows(&self, tx: &Tx, context: &Context) -> Result<Vec<KnownTable>, Error> {
        let values = [
            context.casino.id.into(),
            context.gaming_day().into(),
            self.window.after.into(),
            self.id.into(),
            self.status.map(|status| status.to_string()).into(),
            self.game.map(|game| game.to_string()).into(),
            self.pit.clone().into(),
            one_more(self.window).into(),
        ];
        Ok(tx.json(KNOWN_TABLES, values).await?)
    }
}

impl Query for Tables {
    type Answer = Page<KnownTable>;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page<KnownTable>, Error> {
        Ok(page(self.rows(tx, context).await?, self.window, |known| known.table.id))
    }
}
