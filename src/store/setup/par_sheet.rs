//! A par sheet: every table of the floor with its par, as a file. All of its rows are taken, or none.

use std::collections::HashMap;

use entities::gaming_table::{Column, Entity, Model};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::money::MAX_CENTS;
use workflows::word::TableStatus;

use super::form::{MAX_LABEL, flaw_of_text};
use super::table::par_row;
use super::{Changed, Tx, differing, json_of, without_nulls};
use crate::answer::Answer;
use crate::casino_folder::{ParRow, parse_par_sheet};
use crate::error::{CsvFlaw, Error};
use crate::store::fault::Fault;

/// A sheet that could be stored as it is.
#[derive(Clone, Debug)]
pub struct ParSheet(Vec<ParRow>);

/// What a sheet came to. The first three add up to its rows.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct SheetTaken {
    /// Tables not known before; they begin out of service.
    pub created: usize,
    /// Tables of which game, pit or par differed.
    pub updated: usize,
    pub unchanged: usize,
    /// Pars set, of new and of known tables.
    pub par_set: usize,
}

impl ParSheet {
    /// Reads `table,game,pit,par_cents`, or names every flaw with its line.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let rows = parse_par_sheet(bytes).map_err(Error::CsvRejected)?;
        let flaws: Vec<CsvFlaw> = rows.iter().flat_map(flaws_of_row).collect();
        if flaws.is_empty() {
            Ok(Self(rows))
        } else {
            Err(Error::CsvRejected(flaws))
        }
    }
}

/// What the sheet's reader lets pass and the schema does not.
fn flaws_of_row(row: &ParRow) -> Vec<CsvFlaw> {
    let flaw = |column: &str, message: String| CsvFlaw::new(row.line, column, message);
    let table = flaw_of_text(&row.table, MAX_LABEL).map(|message| flaw("table", message));
    let pit = row
        .pit
        .as_deref()
        .and_then(|pit| flaw_of_text(pit, MAX_LABEL))
        .map(|message| flaw("pit", message));
    let par = (row.par_cents > MAX_CENTS).then(|| flaw("par_cents", format!("more than {MAX_CENTS}, which is beyond any tray")));
    [table, pit, par].into_iter().flatten().collect()
}

/// What has to be written so that the floor is as the sheet says.
#[derive(Default)]
struct Intake {
    new: Vec<Model>,
    /// As they are and as they will be.
    changed: Vec<(Model, Model)>,
    pars: Vec<entities::par::Model>,
    taken: SheetTaken,
}

impl Tx {
    pub(super) async fn import_par_sheet(&self, context: &Context, sheet: &ParSheet) -> Result<Changed, Error> {
        let tables = self.lock_tables_of(context, sheet).await?;
        let pars = self.pars_in_force(context).await?;
        let intake = compare(context, sheet, &tables, &pars);
        let changed = intake.audited()?;
        for (old, new) in intake.changed {
            self.replace(old, &new).await?;
        }
        self.insert_all(intake.new).await?;
        self.insert_all(intake.pars).await?;
        Ok(changed)
    }

    /// The tables the sheet names that exist, by label; locked in id order.
    async fn lock_tables_of(&self, context: &Context, sheet: &ParSheet) -> Result<HashMap<String, Model>, Error> {
        let labels = sheet.0.iter().map(|row| row.table.clone());
        let tables = Entity::find()
            .filter(Column::CasinoId.eq(context.casino.id))
            .filter(Column::Label.eq_any(labels));
        let tables = tables
            .order_by_asc(Column::Id)
            .lock(LockType::NoKeyUpdate)
            .all(self.connection())
            .await
            .map_err(Fault::from)?;
        Ok(tables.into_iter().map(|table| (table.label.clone(), table)).collect())
    }

    /// The par in force today, by table.
    async fn pars_in_force(&self, context: &Context) -> Result<HashMap<Uuid, i64>, Error> {
        const IN_FORCE: &str = "
            SELECT COALESCE(jsonb_object_agg(par.table_id, par.par_cents), '{}') AS json
              FROM (SELECT DISTINCT ON (p.table_id) p.table_id, p.par_cents FROM table_par AS p
                     WHERE p.casino_id = $1 AND p.effective_gaming_day <= $2
                     ORDER BY p.table_id, p.effective_gaming_day DESC, p.id DESC) AS par";
        Ok(self.json(IN_FORCE, [context.casino.id.into(), context.gaming_day().into()]).await?)
    }
}

fn compare(context: &Context, sheet: &ParSheet, tables: &HashMap<String, Model>, pars: &HashMap<Uuid, i64>) -> Intake {
    let mut intake = Intake::default();
    for row in &sheet.0 {
        let old = tables.get(&row.table);
        let table = old.map_or_else(|| table_of(context, row), |old| with_sheet(old, row));
        let par_differs = pars.get(&table.id) != Some(&row.par_cents);
        if par_differs {
            intake.pars.push(par_row(context, table.id, row.par_cents, context.gaming_day()));
            intake.taken.par_set += 1;
        }
        match old {
            None => intake.taken.created += 1,
            Some(old) if *old == table && !par_differs => intake.taken.unchanged += 1,
            Some(_) => intake.taken.updated += 1,
        }
        match old {
            None => intake.new.push(table),
            Some(old) if *old != table => intake.changed.push((old.clone(), table)),
            Some(_) => {}
        }
    }
    intake
}

impl Intake {
    /// The answer, and for the audit log every row that is new or another.
    fn audited(&self) -> Result<Changed, Error> {
        let (mut before, mut tables, mut pars) = (Vec::new(), Vec::new(), Vec::new());
        for (old, new) in &self.changed {
            let (old, new) = (json_of(old)?, json_of(new)?);
            before.push(differing(&old, &new));
            tables.push(differing(&new, &old));
        }
        for table in &self.new {
            tables.push(without_nulls(&json_of(table)?));
        }
        for par in &self.pars {
            pars.push(json_of(par)?);
        }
        let stored = !tables.is_empty() || !pars.is_empty();
        Ok(Changed {
            answer: Answer::ok(&self.taken),
            action: "table.import",
            before: (!before.is_empty()).then(|| json!({ "gaming_table": before })),
            after: stored.then(|| json!({ "gaming_table": tables, "table_par": pars })),
            events: Vec::new(),
            settles: None,
        })
    }
}

fn table_of(context: &Context, row: &ParRow) -> Model {
    Model {
        id: (context.new_id)(),
        casino_id: context.casino.id,
        label: row.table.clone(),
        game: row.game.to_string(),
        pit: row.pit.clone(),
        status: TableStatus::Inactive.to_string(),
        version: 1,
        created_at: context.at,
    }
}

/// The table as the sheet has it. In service or not is not the sheet's to say.
fn with_sheet(old: &Model, row: &ParRow) -> Model {
    let table = Model {
        game: row.game.to_string(),
        pit: row.pit.clone(),
        ..old.clone()
    };
    let version = old.version + i64::from(table != *old);
    Model { version, ..table }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::casino_folder::MAX_TABLES;

    fn told(sheet: &str) -> Vec<String> {
        match ParSheet::read(sheet.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(Error::CsvRejected(flaws)) => flaws
                .iter()
                .map(|flaw| format!("{} {}: {}", flaw.line, flaw.column, flaw.message))
                .collect(),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn what_the_schema_would_refuse_is_told_with_its_line() {
        let long = "x".repeat(65);
        let sheet =
            format!("table,game,pit,par_cents\r\n\r\nBJ-01,blackjack,{long},1\r\n\r\n{long},poker,,1\r\nPK-01,poker,,10000000000001\r\n");
        assert_eq!(
            told(&sheet),
            [
                "3 pit: longer than 64 characters",
                "5 table: longer than 64 characters",
                "6 par_cents: more than 10000000000000, which is beyond any tray"
            ]
        );
    }

    #[test]
    fn a_label_has_no_line_break() {
        assert_eq!(
            told("table,game,pit,par_cents\n\"BJ\n01\",blackjack,,1\nBJ-02,poker,\"Pit\t1\",1\n"),
            [
                "2 table: must not contain control characters",
                "4 pit: must not contain control characters"
            ]
        );
    }

    #[test]
    fn a_sheet_is_no_longer_than_a_floor_is_large() {
        let rows: Vec<String> = (0..=MAX_TABLES).map(|table| format!("T-{table},poker,,1")).collect();
        let sheet = format!("table,game,pit,par_cents\n{}\n", rows.join("\n"));
        assert_eq!(told(&sheet), ["2002 : more than 2000 tables"]);
    }

    #[test]
    fn a_good_sheet_is_taken() {
        assert!(told("table,game,pit,par_cents\nBJ-01,blackjack,Pit 1,3000000\n").is_empty());
    }
}
