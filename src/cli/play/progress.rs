//! How far a play has come, for somebody who watches.

use indicatif::{ProgressBar, ProgressStyle};

use crate::casino_folder::ActLine;

/// Whether anybody watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// On standard error, where that is a terminal.
    Shown,
    Hidden,
}

impl Progress {
    pub fn bar(self, acts: usize) -> ProgressBar {
        let bar = match self {
            Self::Shown => ProgressBar::new(acts as u64),
            Self::Hidden => ProgressBar::hidden(),
        };
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed} {wide_msg}");
        bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    }
}

/// The act under way, with the hour it has in the file.
pub fn caption(line: &ActLine) -> String {
    format!("{} {} {} {}", line.at, line.shift, line.table, line.act.name())
}
