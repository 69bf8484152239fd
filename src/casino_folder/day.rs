//! `day.jsonl` and `telemetry.jsonl`, read against the folder's other files.

use workflows::role::Role;

use super::Folder;
use super::act::{ActLine, read_act_line};
use super::problem::{Column, Problem, json_problem};

/// Every line is read, so that one run shows every mistake.
pub(super) fn read_day(file: &str, text: &str, folder: &Folder) -> Result<Vec<ActLine>, Vec<Problem>> {
    let (mut day, mut problems) = (Vec::<ActLine>::new(), Vec::new());
    for (number, text) in text.lines().enumerate().map(|(index, text)| (index + 1, text)) {
        if text.trim().is_empty() {
            continue;
        }
        match read_act_line(text) {
            Err(error) => problems.push(json_problem(file, number, &error)),
            Ok(line) => {
                let mut strangers = strangers(&line, folder);
                if let Some(last) = day.last().filter(|last| last.seq >= line.seq) {
                    // Idempotency-Keys are made of it: one `seq` twice would make the second act a replay of the first.
                    strangers.push(("seq", format!("{} does not follow {}", line.seq, last.seq)));
                }
                problems.extend(strangers.into_iter().map(|(field, message)| Problem {
                    file: file.to_owned(),
                    line: Some(number as u64),
                    column: text.find(&format!("\"{field}\"")).map(|place| Column::At(place + 1)),
                    message,
                }));
                day.push(line);
            }
        }
    }
    if problems.is_empty() { Ok(day) } else { Err(problems) }
}

/// Two files as one day: the acts of the second come at their hours, after the first file's acts of the same minute.
pub(super) fn joined(day: Vec<ActLine>, more: Vec<ActLine>) -> Result<Vec<ActLine>, Vec<Problem>> {
    let taken = day.last().zip(more.first()).filter(|(last, first)| first.seq <= last.seq);
    if let Some((last, first)) = taken {
        return Err(vec![Problem {
            file: super::TELEMETRY.to_owned(),
            line: None,
            column: None,
            message: format!("seq {} does not follow {}, the last of {}", first.seq, last.seq, super::DAY),
        }]);
    }
    let mut all = day;
    all.extend(more);
    // Stable: within a minute the order is the files' own.
    all.sort_by_key(|line| (line.at.starts_with("+1 "), line.at.trim_start_matches("+1 ").to_owned()));
    Ok(all)
}

/// Names the folder's other files do not know, by the field that holds them.
fn strangers(line: &ActLine, folder: &Folder) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if !folder.par_sheet.iter().any(|row| row.table == line.table) {
        found.push(("table", format!("`{}` is not on the par sheet", line.table)));
    }
    if let Some(by) = line.act.by() {
        match folder.person(by).map(|person| person.role) {
            None => found.push(("by", format!("`{by}` is not in staff.csv"))),
            Some(Role::Dealer) => found.push(("by", format!("`{by}` is a dealer, and dealers hold no token"))),
            Some(_) => {}
        }
    }
    for (field, employee_no, signs) in line.act.others() {
        match folder.person(employee_no) {
            None => found.push((field, format!("`{employee_no}` is not in staff.csv"))),
            Some(person) if signs && person.pin.is_none() => found.push((field, format!("`{employee_no}` has no PIN to sign with"))),
            Some(_) => {}
        }
    }
    for (field, label) in line.act.boxes() {
        if !folder.boxes.iter().any(|row| row.label == label) {
            found.push((field, format!("`{label}` is not in drop-boxes.csv")));
        }
    }
    found
}
