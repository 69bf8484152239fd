//! Floor layouts: drawn as versions, and the one the floor stands by.

use chrono::{DateTime, Utc};
use entities::{floor_layout, floor_layout_activation, floor_layout_pit, floor_layout_slot, floor_layout_version, gaming_table};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::event::{Event, LaidPit, LaidSlot};
use workflows::floor_layout::{self as law, MAX_PITS, MAX_SLOTS, Outcome, PitDrawn, SlotDrawn, Standing};
use workflows::record::Table;
use workflows::refusal::Refusal;
use workflows::word::{GameType, TableStatus};

use super::{key, note};
use crate::answer::Answer;
use crate::error::Error;
use crate::store::Tx;
use crate::store::fault::Fault;
use crate::store::list::{self, Page, Query, Window};
use crate::store::setup::form::{Form, MAX_LABEL, MAX_NAME};
use crate::store::setup::{Changed, dressed, json_of};

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLayout {
    pub name: String,
}

/// A drawing of the whole floor: a version is never edited, the next one is drawn.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LayoutDrawing {
    #[serde(default)]
    pub pits: Vec<NewPit>,
    #[serde(default)]
    pub slots: Vec<NewSlot>,
    #[serde(default)]
    pub note: Option<String>,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPit {
    pub label: String,
    /// Its place among the pits; as drawn unless given.
    #[serde(default)]
    pub sequence: Option<i32>,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSlot {
    pub slot_label: String,
    pub game_type: GameType,
    /// The label of a pit of this drawing.
    #[serde(default)]
    pub pit: Option<String>,
    #[serde(default)]
    pub preferred_table_id: Option<Uuid>,
}

#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LayoutActivation {
    /// The latest unless given.
    #[serde(default)]
    pub layout_version_id: Option<Uuid>,
    /// The `Idempotency-Key` unless given; kept for ever.
    #[serde(default)]
    pub request_id: Option<String>,
}

/// `floor_layout`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Layout {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub name: String,
    pub created_by: Uuid,
    pub created_at: DateTime<Utc>,
}

/// A version of a layout, whole.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DrawnVersion {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub layout_id: Uuid,
    pub version_no: i32,
    pub note: Option<String>,
    pub created_by: Uuid,
    pub created_at: DateTime<Utc>,
    pub pits: Vec<LaidPit>,
    pub slots: Vec<LaidSlot>,
}

/// An activation, and what became of the tables.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Activation {
    pub id: Uuid,
    pub casino_id: Uuid,
    pub layout_id: Uuid,
    pub layout_version_id: Uuid,
    pub request_id: String,
    pub activated_by: Uuid,
    pub activated_at: DateTime<Utc>,
    pub outcome: Outcome,
}

impl Tx {
    pub(super) async fn add_layout(&self, context: &Context, new: &NewLayout) -> Result<Changed, Error> {
        let mut form = Form::default();
        let row = floor_layout::Model {
            id: (context.new_id)(),
            casino_id: context.casino.id,
            name: form.text("/name", &new.name, MAX_NAME),
            created_by: context.caller.id,
            created_at: context.at,
        };
        form.judge()?;
        let layout: Layout = dressed(&self.insert(row).await?)?;
        Ok(Changed::created("floor_layout.create", "floor_layout", Answer::created(&layout)))
    }

    pub(super) async fn draw_layout(&self, context: &Context, layout_id: Uuid, drawing: &LayoutDrawing) -> Result<Changed, Error> {
        let Judged { pits, slots, note } = judged(drawing)?;
        self.layout(context, layout_id).await?;
        let tables = self.tables_of(context, &slots).await?;
        let (pits, slots) = law::draw(context.new_id, &pits, &slots, &tables)?;
        let row = floor_layout_version::Model {
            id: (context.new_id)(),
            casino_id: context.casino.id,
            layout_id,
            version_no: self
                .latest_version(context, layout_id)
                .await?
                .map_or(1, |latest| latest.version_no + 1),
            note,
            created_by: context.caller.id,
            created_at: context.at,
        };
        let row = self.insert(row).await?;
        self.insert_all(pits.iter().map(|pit| pit_row(&row, pit)).collect()).await?;
        self.insert_all(slots.iter().map(|slot| slot_row(&row, slot)).collect()).await?;
        let drawn = drawn(&row, pits, slots);
        Ok(Changed::created(
            "floor_layout.draw",
            "floor_layout_version",
            Answer::created(&drawn),
        ))
    }

    /// Arranges the tables as the drawing wants them. Every table of the casino is locked first, as whoever creates a session locks its own:
    /// none becomes live while this looks.
    pub(super) async fn activate_layout(
        &self,
        context: &Context,
        layout_id: Uuid,
        ask: &LayoutActivation,
        of_request: Option<&str>,
    ) -> Result<Changed, Error> {
        let mut form = Form::default();
        let request_id = key(&mut form, "/request_id", ask.request_id.as_deref(), of_request);
        form.judge()?;
        self.layout(context, layout_id).await?;
        if let Some(known) = self.activation_under(context, &request_id).await? {
            return again(&known, layout_id, ask);
        }
        let version = self.version_to_activate(context, layout_id, ask.layout_version_id).await?;
        let drawn = self.drawn_version(&version).await?;
        let floor = self.lock_floor(context).await?;
        let standings: Vec<Standing> = floor.iter().map(|(_, standing)| standing.clone()).collect();
        let (tables, outcome) = law::arrange(&drawn.pits, &drawn.slots, &standings);
        for table in &tables {
            if let Some((row, _)) = floor.iter().find(|(row, _)| row.id == table.id) {
                self.replace(row.clone(), &dressed::<gaming_table::Model>(table)?).await?;
            }
        }
        self.end_activation(context).await?;
        let row = floor_layout_activation::Model {
            id: (context.new_id)(),
            casino_id: context.casino.id,
            layout_id,
            layout_version_id: version.id,
            request_id,
            activated_by: context.caller.id,
            activated_at: context.at,
            outcome: json_of(&outcome)?,
            deactivated_at: None,
        };
        let activation: Activation = dressed(&self.insert(row).await?)?;
        let was: Vec<&Table> = standings.iter().map(|standing| &standing.table).collect();
        let changed = Changed::created("floor_layout.activate", "floor_layout_activation", Answer::ok(&activation));
        Ok(Changed {
            before: before(&was, &tables),
            after: Some(with_tables(changed.after, &tables)),
            events: told(&activation, drawn, &tables),
            ..changed
        })
    }

    async fn layout(&self, context: &Context, id: Uuid) -> Result<Layout, Error> {
        use floor_layout::{Column, Entity};
        let row = Entity::find_by_id(id).filter(Column::CasinoId.eq(context.casino.id));
        let row = row.one(self.connection()).await.map_err(Fault::from)?;
        dressed(&row.ok_or(Refusal::NotFound("floor layout"))?)
    }

    /// The tables the places name; one that is not the casino's is not found.
    async fn tables_of(&self, context: &Context, slots: &[SlotDrawn]) -> Result<Vec<Table>, Error> {
        use gaming_table::{Column, Entity};
        let ids: Vec<Uuid> = slots.iter().filter_map(|slot| slot.preferred_table_id).collect();
        let rows = Entity::find().filter(
            Condition::all()
                .add(Column::CasinoId.eq(context.casino.id))
                .add(Column::Id.is_in(ids.iter().copied())),
        );
        let rows = rows.all(self.connection()).await.map_err(Fault::from)?;
        if ids.iter().any(|id| rows.iter().all(|row| row.id != *id)) {
            return Err(Refusal::NotFound("table").into());
        }
        rows.iter().map(dressed).collect()
    }

    async fn latest_version(&self, context: &Context, layout_id: Uuid) -> Result<Option<floor_layout_version::Model>, Error> {
        use floor_layout_version::{Column, Entity};
        let latest = Entity::find()
            .filter(
                Condition::all()
                    .add(Column::CasinoId.eq(context.casino.id))
                    .add(Column::LayoutId.eq(layout_id)),
            )
            .order_by_desc(Column::VersionNo);
        Ok(latest.one(self.connection()).await.map_err(Fault::from)?)
    }

    async fn version_to_activate(
        &self,
        context: &Context,
        layout_id: Uuid,
        named: Option<Uuid>,
    ) -> Result<floor_layout_version::Model, Error> {
        use floor_layout_version::{Column, Entity};
        let Some(id) = named else {
            let latest = self.latest_version(context, layout_id).await?;
            let nothing = || Refusal::conflict("nothing_drawn", "the layout has no version yet; an admin draws one first");
            return Ok(latest.ok_or_else(nothing)?);
        };
        let named = Entity::find_by_id(id).filter(
            Condition::all()
                .add(Column::CasinoId.eq(context.casino.id))
                .add(Column::LayoutId.eq(layout_id)),
        );
        let named = named.one(self.connection()).await.map_err(Fault::from)?;
        Ok(named.ok_or(Refusal::NotFound("floor layout version"))?)
    }

    async fn drawn_version(&self, version: &floor_layout_version::Model) -> Result<DrawnVersion, Error> {
        let pits = floor_layout_pit::Entity::find()
            .filter(
                Condition::all()
                    .add(floor_layout_pit::Column::CasinoId.eq(version.casino_id))
                    .add(floor_layout_pit::Column::LayoutVersionId.eq(version.id)),
            )
            .order_by_asc(floor_layout_pit::Column::Sequence)
            .order_by_asc(floor_layout_pit::Column::Id)
            .all(self.connection())
            .await
            .map_err(Fault::from)?;
        let slots = floor_layout_slot::Entity::find()
            .filter(
                Condition::all()
                    .add(floor_layout_slot::Column::CasinoId.eq(version.casino_id))
                    .add(floor_layout_slot::Column::LayoutVersionId.eq(version.id)),
            )
            .order_by_asc(floor_layout_slot::Column::Id)
            .all(self.connection())
            .await
            .map_err(Fault::from)?;
        let pits = pits.into_iter().map(|row| LaidPit {
            pit_id: row.id,
            label: row.label,
            sequence: row.sequence,
        });
        let slots = slots.iter().map(laid).collect::<Result<_, Error>>()?;
        Ok(drawn(version, pits.collect(), slots))
    }

    async fn lock_floor(&self, context: &Context) -> Result<Vec<(gaming_table::Model, Standing)>, Error> {
        const LIVE: &str = "
            SELECT COALESCE(jsonb_object_agg(s.table_id, s.id), '{}') AS json FROM table_inventory_session AS s
             WHERE s.casino_id = $1 AND s.closed_at IS NULL";
        use gaming_table::{Column, Entity};
        let rows = Entity::find()
            .filter(Column::CasinoId.eq(context.casino.id))
            .order_by_asc(Column::Id)
            .lock(LockType::NoKeyUpdate)
            .all(self.connection())
            .await
            .map_err(Fault::from)?;
        let live: std::collections::BTreeMap<Uuid, Uuid> = self.json(LIVE, [context.casino.id.into()]).await?;
        let standing = |row: gaming_table::Model| {
            let standing = Standing {
                table: dressed(&row)?,
                live_session_id: live.get(&row.id).copied(),
            };
            Ok((row, standing))
        };
        rows.into_iter().map(standing).collect()
    }

    async fn end_activation(&self, context: &Context) -> Result<(), Error> {
        use floor_layout_activation::{Column, Entity};
        let active = Entity::find()
            .filter(
                Condition::all()
                    .add(Column::CasinoId.eq(context.casino.id))
                    .add(Column::DeactivatedAt.is_null()),
            )
            .lock(LockType::NoKeyUpdate)
            .one(self.connection())
            .await
            .map_err(Fault::from)?;
        if let Some(active) = active {
            let ended = floor_layout_activation::Model {
                deactivated_at: Some(context.at.max(active.activated_at)),
                ..active.clone()
            };
            self.replace(active, &ended).await?;
        }
        Ok(())
    }

    async fn activation_under(&self, context: &Context, request_id: &str) -> Result<Option<Activation>, Error> {
        use floor_layout_activation::{Column, Entity};
        let row = Entity::find().filter(
            Condition::all()
                .add(Column::CasinoId.eq(context.casino.id))
                .add(Column::RequestId.eq(request_id)),
        );
        let row = row.one(self.connection()).await.map_err(Fault::from)?;
        row.as_ref().map(dressed).transpose()
    }
}

/// A drawing whose texts are sound.
struct Judged {
    pits: Vec<PitDrawn>,
    slots: Vec<SlotDrawn>,
    note: Option<String>,
}

fn judged(drawing: &LayoutDrawing) -> Result<Judged, Refusal> {
    let mut form = Form::default();
    form.within("/pits", &drawing.pits.len(), &(0..=MAX_PITS));
    form.within("/slots", &drawing.slots.len(), &(0..=MAX_SLOTS));
    let pits = (0..)
        .zip(&drawing.pits)
        .map(|(index, pit): (usize, _)| PitDrawn {
            label: form.text(&format!("/pits/{index}/label"), &pit.label, MAX_LABEL),
            sequence: pit.sequence,
        })
        .collect();
    let slots = (0..)
        .zip(&drawing.slots)
        .map(|(index, slot): (usize, _)| SlotDrawn {
            slot_label: form.text(&format!("/slots/{index}/slot_label"), &slot.slot_label, MAX_LABEL),
            game: slot.game_type,
            pit: slot.pit.as_ref().map(|pit| pit.trim().to_owned()),
            preferred_table_id: slot.preferred_table_id,
        })
        .collect();
    let note = note(&mut form, drawing.note.as_deref());
    form.judge()?;
    Ok(Judged { pits, slots, note })
}

fn pit_row(version: &floor_layout_version::Model, pit: &LaidPit) -> floor_layout_pit::Model {
    floor_layout_pit::Model {
        id: pit.pit_id,
        casino_id: version.casino_id,
        layout_version_id: version.id,
        label: pit.label.clone(),
        sequence: pit.sequence,
    }
}

fn slot_row(version: &floor_layout_version::Model, slot: &LaidSlot) -> floor_layout_slot::Model {
    floor_layout_slot::Model {
        id: slot.slot_id,
        casino_id: version.casino_id,
        layout_version_id: version.id,
        slot_label: slot.slot_label.clone(),
        game_type: slot.game_type.to_string(),
        pit_id: slot.pit_id,
        preferred_table_id: slot.preferred_table_id,
    }
}

fn laid(row: &floor_layout_slot::Model) -> Result<LaidSlot, Error> {
    Ok(LaidSlot {
        slot_id: row.id,
        slot_label: row.slot_label.clone(),
        game_type: dressed(&row.game_type)?,
        pit_id: row.pit_id,
        preferred_table_id: row.preferred_table_id,
    })
}

fn drawn(row: &floor_layout_version::Model, pits: Vec<LaidPit>, slots: Vec<LaidSlot>) -> DrawnVersion {
    DrawnVersion {
        id: row.id,
        casino_id: row.casino_id,
        layout_id: row.layout_id,
        version_no: row.version_no,
        note: row.note.clone(),
        created_by: row.created_by,
        created_at: row.created_at,
        pits,
        slots,
    }
}

/// The same request again is answered by the row it made, for ever.
fn again(known: &Activation, layout_id: Uuid, ask: &LayoutActivation) -> Result<Changed, Error> {
    if known.layout_id != layout_id || ask.layout_version_id.is_some_and(|id| id != known.layout_version_id) {
        return Err(Error::IdempotencyConflict);
    }
    Ok(Changed {
        answer: Answer {
            replayed: true,
            ..Answer::ok(known)
        },
        action: "floor_layout.activate",
        before: None,
        after: None,
        events: Vec::new(),
        settles: None,
    })
}

/// The layout first, then each table that changed its service: one that only changed its pit is told by the layout.
fn told(activation: &Activation, drawn: DrawnVersion, tables: &[Table]) -> Vec<Event> {
    let layout = Event::FloorLayoutActivated {
        layout_id: activation.layout_id,
        layout_version_id: activation.layout_version_id,
        activated_by: activation.activated_by,
        activated_at: activation.activated_at,
        pits: drawn.pits,
        table_slots: drawn.slots,
    };
    let news = tables.iter().filter(|table| !activation.outcome.moved.contains(&table.id));
    let tables = news.map(|table| match table.status {
        TableStatus::Active => Event::TableActivated {
            table_id: table.id,
            label: table.label.clone(),
            game: table.game,
            pit: table.pit.clone(),
        },
        TableStatus::Inactive | TableStatus::Closed => Event::TableDeactivated { table_id: table.id },
    });
    std::iter::once(layout).chain(tables).collect()
}

/// What an auditor sees of a table: where it stood, and whether it was in service.
fn account<'a>(tables: impl Iterator<Item = &'a Table>) -> Vec<Value> {
    let seen = |table: &Table| json!({ "id": table.id, "status": table.status, "pit": table.pit, "version": table.version });
    tables.map(seen).collect()
}

fn before(was: &[&Table], tables: &[Table]) -> Option<Value> {
    let changed = was.iter().copied().filter(|old| tables.iter().any(|table| table.id == old.id));
    let rows = account(changed);
    (!rows.is_empty()).then(|| json!({ "gaming_table": rows }))
}

fn with_tables(after: Option<Value>, tables: &[Table]) -> Value {
    let mut after = after.unwrap_or_else(|| json!({}));
    if !tables.is_empty() {
        after["gaming_table"] = Value::Array(account(tables.iter()));
    }
    after
}

/// `GET /floor-layouts`.
#[derive(Clone, Copy, Debug)]
pub struct Layouts {
    pub window: Window,
}

impl Query for Layouts {
    type Answer = Page;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page, Error> {
        use floor_layout::{Column, Entity};
        let own = Entity::find().filter(Column::CasinoId.eq(context.casino.id));
        list::page(tx, own, Column::Id, self.window).await
    }
}

/// `GET /floor-layouts/{id}`: the layout, its latest version, and the activation in force if it is this layout's.
#[derive(Clone, Copy, Debug)]
pub struct OneLayout {
    pub id: Uuid,
}

/// A layout as it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KnownLayout {
    #[serde(flatten)]
    pub layout: Layout,
    pub latest_version: Option<DrawnVersion>,
    pub active: Option<Activation>,
}

impl Query for OneLayout {
    type Answer = KnownLayout;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<KnownLayout, Error> {
        use floor_layout_activation::{Column, Entity};
        let layout = tx.layout(context, self.id).await?;
        let latest_version = match tx.latest_version(context, self.id).await? {
            Some(version) => Some(tx.drawn_version(&version).await?),
            None => None,
        };
        let active = Entity::find().filter(
            Condition::all()
                .add(Column::CasinoId.eq(context.casino.id))
                .add(Column::DeactivatedAt.is_null())
                .add(Column::LayoutId.eq(self.id)),
        );
        let active = active.one(tx.connection()).await.map_err(Fault::from)?;
        Ok(KnownLayout {
            layout,
            latest_version,
            active: active.as_ref().map(dressed).transpose()?,
        })
    }
}
