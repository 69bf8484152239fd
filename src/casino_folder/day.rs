//! `day.jsonl`, read against the folder's other files.

use workflows::role::Role;

use super::Folder;
use super::act::{ActLine, read_act_line};
use super::problem::{Column, Problem, json_problem};

/// Every line is read, so that one run shows every mistake.
pub(super) fn read_day(text: &str, folder: &Folder) -> Result<Vec<ActLine>, Vec<Problem>> {
    let (mut day, mut problems) = (Vec::<ActLine>::new(), Vec::new());
    for (number, text) in text.lines().enumerate().map(|(index, text)| (index + 1, text)) {
        if text.trim().is_empty() {
            continue;
        }
        match read_act_line(text) {
            Err(error) => problems.push(json_problem("day.jsonl", number, &error)),
            Ok(line) => {
                let mut strangers = strangers(&line, folder);
                if let Some(last) = day.last().filter(|last| last.seq >= line.seq) {
                    // Idempotency-Keys are made of it: one `seq` twice would make the second act a replay of the first.
                    strangers.push(("seq", format!("{} does not follow {}", line.seq, last.seq)));
                }
                problems.extend(strangers.into_iter().map(|(field, message)| Problem {
                    file: "day.jsonl".to_owned(),
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
