//! rundown: the daemon a casino trusts to prove what every table won.
//!
//! In reading order: [`engine`] is the write path, [`store`] what it reads and writes, [`api`] how clients reach it, [`auth`] who they are,
//! [`jobs`] what the daemon does because time has passed, [`cli`] the program's commands, [`daemon`] the program at work, [`postgres`] the
//! database it brings along. The law itself is the crate `workflows`, which knows none of this.

pub mod answer;
pub mod api;
pub mod app;
pub mod auth;
pub mod casino_folder;
pub mod cli;
pub mod clock;
pub mod config;
pub mod count_file;
pub mod csv_table;
pub mod daemon;
pub mod database;
pub mod engine;
pub mod error;
pub mod jobs;
pub mod observe;
pub mod outbox;
pub mod postgres;
pub mod store;
