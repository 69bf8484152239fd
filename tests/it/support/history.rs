//! A big floor with months behind it, loaded in one go: what budgets are measured on.

use sea_orm::ConnectionTrait as _;

use super::house::House;

/// See the head of the file for what it loads; it takes `load.casino`, `load.tables`, `load.days` and `load.last_day` as settings.
pub const FLOOR_HISTORY: &str = include_str!("floor_history.sql");

impl House {
    /// So many tables with three shifts a day on so many gaming days, the last of which is this one.
    pub async fn load_history(&self, tables: u32, days: u32, last_day: &str) {
        let settings = [
            ("casino", self.home.casino.to_string()),
            ("tables", tables.to_string()),
            ("days", days.to_string()),
            ("last_day", last_day.to_owned()),
        ];
        let set: Vec<String> = settings
            .iter()
            .map(|(name, value)| format!("SELECT set_config('load.{name}', '{value}', false);"))
            .collect();
        let owner = self.cluster.owner().await;
        let sql = format!("{}{FLOOR_HISTORY}", set.concat());
        owner.execute_unprepared(&sql).await.expect("the history");
        owner.close().await.expect("closed");
    }
}
