//! The schema, as SQL, frozen in time.
//!
//! A migration is two files, `<name>_up.sql` and `<name>_down.sql`, and one line in `SCRIPTS`. What is written as SQL is read as SQL: row
//! security, triggers and privileges have no second spelling in Rust. Each runs in its own transaction. Once released a script
//! is never changed; a change is a new script.
//!
//! This crate knows neither the entities nor the law: what it says must still be true of an old database tomorrow.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

/// Runs the scripts, in order, as the owner role.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        SCRIPTS.iter().map(|script| Box::new(*script) as Box<dyn MigrationTrait>).collect()
    }
}

macro_rules! script {
    ($name:literal) => {
        Script {
            name: $name,
            up: include_str!(concat!($name, "_up.sql")),
            down: include_str!(concat!($name, "_down.sql")),
        }
    };
}

/// All migrations, oldest first: the names ascend, because the migrator remembers them by name.
const SCRIPTS: &[Script] = &[
    script!("m0001_floor"),
    script!("m0002_custody"),
    script!("m0003_evidence"),
    script!("m0004_desk"),
    script!("m0005_clock"),
    script!("m0006_shifts"),
    script!("m0007_rollups"),
    script!("m0008_neighbours"),
    script!("m0009_telemetry"),
    script!("m0010_metrics"),
    script!("m0011_relay"),
    script!("m0012_sinks"),
    script!("m0013_seals"),
    script!("m0014_checkpoints"),
    script!("m0015_speed"),
];

#[derive(Clone, Copy)]
struct Script {
    name: &'static str,
    up: &'static str,
    down: &'static str,
}

impl MigrationName for Script {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Script {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(self.up).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(self.down).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::{SCRIPTS, Script};

    #[test]
    fn names_ascend() {
        assert!(SCRIPTS.is_sorted_by(|earlier, later| earlier.name < later.name));
    }

    /// Up, down, up fails on what a down script forgot; this says which word it was, without a database.
    #[test]
    fn what_goes_up_comes_down() {
        let forgotten: Vec<String> = SCRIPTS.iter().flat_map(forgotten).collect();
        assert!(forgotten.is_empty(), "{forgotten:#?}");
    }

    fn forgotten(script: &Script) -> Vec<String> {
        let made = script.up.lines().filter_map(|line| named(line.strip_prefix("CREATE ")?));
        let dropped: Vec<_> = script
            .down
            .lines()
            .filter_map(|line| named(&line.strip_prefix("DROP ")?.replace("IF EXISTS ", "")))
            .collect();
        made.filter(|thing| !dropped.contains(thing))
            .map(|(kind, name)| format!("{}: {kind} {name}", script.name))
            .collect()
    }

    /// `TABLE staff (` and `FUNCTION refuse() RETURNS …` as kind and name; indexes, triggers and policies go with their table.
    fn named(rest: &str) -> Option<(String, String)> {
        let (kind, rest) = rest.split_once(' ')?;
        let name = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
        matches!(kind, "TABLE" | "VIEW" | "FUNCTION").then(|| (kind.to_owned(), name.to_owned()))
    }
}
