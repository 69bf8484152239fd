//! The daemon's ids for the names in the files: people, tables, boxes.

use std::collections::HashMap;

use anyhow::{bail, ensure};
use serde::Deserialize;
use uuid::Uuid;

use super::wire::Wire;
use crate::casino_folder::Folder;

pub struct Floor {
    pub staff: HashMap<String, Uuid>,
    pub tables: HashMap<String, Uuid>,
    pub boxes: HashMap<String, Uuid>,
}

impl Floor {
    /// Reads the three lists, and refuses to begin where a name of the folder is missing: the folder was not seeded here, and
    /// hundreds of refusals would say so less clearly.
    pub async fn read(wire: &mut Wire<'_>, folder: &Folder, reader: &str) -> anyhow::Result<Self> {
        let floor = Self {
            staff: names(wire, reader, "/staff").await?,
            tables: names(wire, reader, "/tables").await?,
            boxes: names(wire, reader, "/drop-boxes").await?,
        };
        let strangers: Vec<&str> = (folder
            .staff
            .iter()
            .map(|row| row.employee_no.as_str())
            .filter(|name| !floor.staff.contains_key(*name)))
        .chain(
            folder
                .par_sheet
                .iter()
                .map(|row| row.table.as_str())
                .filter(|name| !floor.tables.contains_key(*name)),
        )
        .chain(
            folder
                .boxes
                .iter()
                .map(|row| row.label.as_str())
                .filter(|name| !floor.boxes.contains_key(*name)),
        )
        .collect();
        ensure!(
            strangers.is_empty(),
            "the daemon does not know {}: seed the folder first (`rundown seed`)",
            strangers.join(", ")
        );
        Ok(floor)
    }
}

async fn names(wire: &mut Wire<'_>, reader: &str, path: &str) -> anyhow::Result<HashMap<String, Uuid>> {
    #[derive(Deserialize)]
    struct Named {
        id: Uuid,
        /// A person's name on paper is the number.
        #[serde(alias = "employee_no")]
        label: String,
    }

    match wire.list::<Named>(reader, path, &[]).await? {
        Ok(rows) => Ok(rows.into_iter().map(|row| (row.label, row.id)).collect()),
        Err(refusal) if refusal.status == Some(401) => bail!(
            "the daemon does not know {reader}'s token ({}): either the folder is not seeded there (`rundown seed`), or the token is \
             signed with another key than the daemon's (same --data-dir?)",
            refusal.detail
        ),
        Err(refusal) => bail!("GET {path} as {reader} is refused: {} {}", refusal.code, refusal.detail),
    }
}
