use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use chrono::NaiveTime;
use workflows::word::{BankMode, BoxKind, GameType, SlipKind, SnapshotKind};

use super::act::read_act_line;
use super::problem::PRINTED_PROBLEMS;
use super::*;
use crate::csv_table::CsvFlaw;

#[test]
fn the_example_is_a_day_of_24_tables_47_sessions_and_816_acts() {
    let folder = example();
    assert_eq!((folder.name.as_str(), folder.casino.name.as_str()), ("casino-day", "River Bend"));
    assert_eq!(
        (folder.staff.len(), folder.par_sheet.len(), folder.boxes.len(), folder.day.len()),
        (40, 24, 74, 816)
    );

    let mut acts: BTreeMap<String, usize> = BTreeMap::new();
    for line in &folder.day {
        *acts.entry(line.act.name()).or_default() += 1;
    }
    assert_eq!(
        (acts["create_session"], acts["soft_count"], acts["request_slip"], acts["void_slip"]),
        (47, 47, 62, 1)
    );
    assert_eq!(acts.len(), 16, "the day uses every act of the table context");
}

#[test]
fn the_examples_telemetry_comes_at_its_hours_among_the_day() {
    let day = example();
    let whole = Folder::read_with_telemetry(&example_path()).unwrap();
    assert_eq!(whole.day.len(), day.day.len() + 58);
    let hour = |line: &ActLine| (line.at.starts_with("+1 "), line.at.trim_start_matches("+1 ").to_owned());
    assert!(whole.day.is_sorted_by_key(hour));
    let own: Vec<u64> = whole.day.iter().map(|line| line.seq).filter(|seq| *seq < 10_001).collect();
    assert_eq!(
        own,
        day.day.iter().map(|line| line.seq).collect::<Vec<_>>(),
        "the day's own order stands"
    );
    let acts: std::collections::BTreeSet<String> = whole.day.iter().map(|line| line.act.name()).collect();
    assert_eq!(acts.len(), 16 + 9, "both together use every act there is");
}

#[test]
fn telemetry_may_be_absent_and_never_takes_a_seq_of_the_day() {
    let sketch = Sketch::of_example("telemetry");
    assert_eq!(Folder::read_with_telemetry(&sketch.0).unwrap().day.len(), 816);
    let line = r#"{"seq":816,"at":"07:00","shift":"day","table":"BJ-01","act":"undo_buyin","by":"PB-01","buyin":"B-1"}"#;
    std::fs::write(sketch.0.join("telemetry.jsonl"), line).unwrap();
    let error = Folder::read_with_telemetry(&sketch.0).unwrap_err().to_string();
    assert_eq!(error, "telemetry.jsonl: seq 816 does not follow 816, the last of day.jsonl");
}

#[test]
fn the_example_says_what_its_files_say() {
    let folder = example();
    assert_eq!(folder.casino.timezone, chrono_tz::America::Chicago);
    assert_eq!(folder.casino.gaming_day_start, NaiveTime::from_hms_opt(6, 0, 0).unwrap());
    assert_eq!(folder.casino.denominations_cents, [100, 500, 2500, 10_000, 50_000, 100_000]);
    assert_eq!(
        (folder.casino.min_count_team, folder.casino.bank_mode, folder.casino.shifts.len()),
        (3, BankMode::InventoryCount, 3)
    );
    let baccarat = ParRow {
        line: 19,
        table: "BA-01".into(),
        game: GameType::Baccarat,
        pit: Some("High Limit".into()),
        par_cents: 12_000_000,
    };
    assert_eq!(folder.par_sheet[17], baccarat);
    assert_eq!(
        folder.boxes[73],
        BoxRow {
            label: "EM-2".into(),
            table: None,
            kind: BoxKind::Emergency
        }
    );
    assert_eq!(
        folder.day[10].act,
        Act::VerifyTray {
            kind: SnapshotKind::Open,
            cosign: "DL-05".into()
        }
    );
    let chipset = Pieces::from([(100, 60), (500, 93), (2500, 43), (10_000, 14)]);
    let request = Act::RequestSlip {
        kind: SlipKind::Fill,
        request_id: "2026-03-06-day-BJ-11-fill-1".into(),
        by: "PB-03".into(),
        chipset,
    };
    assert_eq!((folder.day[52].seq, &folder.day[52].act), (53, &request));
}

#[test]
fn a_pin_is_read_and_never_printed() {
    use secrecy::ExposeSecret;

    let folder = example();
    let pin = |employee_no| folder.person(employee_no).unwrap().pin.as_ref().map(ExposeSecret::expose_secret);
    assert_eq!((pin("PB-01"), pin("CO-01")), (Some("3856"), None));
    assert!(!format!("{folder:?}").contains("3856"));
}

#[test]
fn the_set_up_is_read_without_the_day() {
    let sketch = Sketch::of_example("no-day");
    std::fs::remove_file(sketch.0.join("day.jsonl")).unwrap();
    assert_eq!(Folder::read_setup(&sketch.0).unwrap().par_sheet.len(), 24);
    let error = Folder::read(&sketch.0).unwrap_err().to_string();
    assert!(error.starts_with("day.jsonl: "), "{error}");
}

#[test]
fn every_bad_cell_of_a_par_sheet_is_told_at_once() {
    let sheet = "table,game,pit,par_cents\r\nBJ-01,blackjack,Pit 1,3000000\r\nBJ-01,chess,,-5\r\n,poker,Pit 2,12.50\r\nPK-01,poker\r\n";
    let told = told(parse_par_sheet(sheet.as_bytes()));
    assert_eq!(
        told,
        [
            "3 table: `BJ-01` stands twice",
            "3 game: `chess` is none of blackjack, poker, roulette, baccarat",
            "3 par_cents: `-5` is no amount: whole cents, 0 or more",
            "4 table: must not be blank",
            "4 par_cents: `12.50` is no amount: whole cents, 0 or more",
            "5 : 2 fields where the header has 4",
        ]
    );
}

#[test]
fn a_par_sheet_has_its_columns_and_no_others() {
    let told = told(parse_par_sheet("table,game,pot,game,par_cents\n".as_bytes()));
    assert_eq!(
        told,
        [
            "1 pot: unknown column, expected table, game, pit, par_cents",
            "1 game: the column stands twice",
            "1 pit: the column is missing"
        ]
    );
}

#[test]
fn columns_stand_in_any_order_and_a_pit_may_be_blank() {
    let rows = parse_par_sheet("\u{feff}par_cents,pit,table,game\n5,,\"A, B\",poker\n".as_bytes()).unwrap();
    assert_eq!(
        rows,
        [ParRow {
            line: 2,
            table: "A, B".into(),
            game: GameType::Poker,
            pit: None,
            par_cents: 5
        }]
    );
}

#[test]
fn a_line_is_counted_as_an_editor_counts_it() {
    let told = told(parse_par_sheet(
        "table,game,pit,par_cents\n\nA,poker,,1\n\n\nB,chess,,1\n".as_bytes(),
    ));
    assert_eq!(told, ["6 game: `chess` is none of blackjack, poker, roulette, baccarat"]);
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_line() {
    let told = told(parse_par_sheet(
        &b"table,game,pit,par_cents\nA,poker,,1\n\xff,poker,,1\nB,chess,,1\n"[..],
    ));
    assert_eq!(
        told,
        [
            "3 : not UTF-8 text",
            "4 game: `chess` is none of blackjack, poker, roulette, baccarat"
        ]
    );
}

#[test]
fn a_sheet_without_a_header_has_no_columns() {
    assert_eq!(told(parse_par_sheet(&b""[..])).len(), 4);
}

#[test]
fn mistakes_in_the_other_files_name_file_line_and_column() {
    let sketch = Sketch::of_example("bad-set-up");
    sketch.replace("staff.csv", "CG-01,Cashier Alder,cashier,9259", "CG-01,,croupier,9259");
    sketch.replace("drop-boxes.csv", "BJ-02-A,BJ-02,standard", "BJ-02-A,BJ-99,standard");
    sketch.replace("drop-boxes.csv", "EM-1,,emergency", "EM-1,,standard");
    assert_eq!(
        sketch.error(),
        "staff.csv line 24, column name: must not be blank\n\
         staff.csv line 24, column role: `croupier` is none of dealer, pit_boss, cashier, security, count_team, compliance, admin, system\n\
         drop-boxes.csv line 5, column table: `BJ-99` is not on the par sheet\n\
         drop-boxes.csv line 74, column table: a standard box belongs to a table"
    );
}

#[test]
fn mistakes_in_the_settings_name_line_and_column() {
    let sketch = Sketch::of_example("bad-settings");
    sketch.replace("casino.json", "America/Chicago", "America/Chicagoo");
    assert_eq!(
        sketch.error(),
        "casino.json line 3, column 32: `America/Chicagoo` is no IANA time zone"
    );
    sketch.replace("casino.json", "America/Chicagoo", "America/Chicago");
    sketch.replace("casino.json", "\"bank_mode\"", "\"bank_mod\"");
    assert!(
        sketch
            .error()
            .starts_with("casino.json line 6, column 12: unknown field `bank_mod`, expected one of"),
        "{}",
        sketch.error()
    );
    sketch.replace("casino.json", "\"bank_mod\"", "\"bank_mode\"");
    sketch.replace("casino.json", "    500,", "    100,");
    assert!(
        sketch.error().contains("denominations must be different amounts above 0"),
        "{}",
        sketch.error()
    );
}

#[test]
fn every_bad_act_of_the_day_is_told_at_once() {
    let sketch = Sketch::of_example("bad-day");
    sketch.replace(
        "day.jsonl",
        r#""act":"begin_opening","by":"PB-07"}"#,
        r#""act":"begin_opening","bye":"PB-07"}"#,
    );
    sketch.replace("day.jsonl", r#""100":600,"500":900"#, r#""100":-600,"500":900"#);
    sketch.replace(
        "day.jsonl",
        r#""kind":"open","cosign":"DL-05""#,
        r#""kind":"ajar","cosign":"DL-05""#,
    );
    sketch.replace("day.jsonl", r#""cosign":"DL-09""#, r#""cosign":"CO-01""#);
    sketch.replace("day.jsonl", r#""drop_box":"PK-02-A""#, r#""drop_box":"PK-09-A""#);
    sketch.replace("day.jsonl", r#"{"seq":15,"#, r#"{"seq":14,"#);
    let error = sketch.error();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 6, "{error}");
    assert!(lines[0].starts_with("day.jsonl line 3, column 79: unknown field `bye`"), "{error}");
    assert!(
        lines[1].starts_with("day.jsonl line 7, column 119: invalid value: integer `-600`, expected u64"),
        "{error}"
    );
    assert!(
        lines[2].starts_with("day.jsonl line 11, column 86: unknown variant `ajar`"),
        "{error}"
    );
    assert_eq!(lines[3], "day.jsonl line 12, column 88: `CO-01` has no PIN to sign with");
    assert_eq!(lines[4], "day.jsonl line 13, column 90: `PK-09-A` is not in drop-boxes.csv");
    assert_eq!(lines[5], "day.jsonl line 15, column 2: 14 does not follow 14");
}

#[test]
fn an_act_has_its_own_fields_and_no_other_acts() {
    let refusal = |text: &str| read_act_line(text).unwrap_err().to_string();
    let head = r#""seq":1,"at":"06:00","shift":"day","table":"T""#;
    assert!(read_act_line(&format!(r#"{{{head},"act":"start_closing","by":"PB-01"}}"#)).is_ok());
    assert!(refusal(&format!(r#"{{{head},"act":"start_closing","by":"PB-01","cosign":"PB-02"}}"#)).starts_with("unknown field `cosign`"));
    assert!(refusal(&format!(r#"{{{head},"act":"start_closing"}}"#)).starts_with("missing field `by`"));
    assert!(refusal(&format!(r#"{{{head},"act":"dance","by":"PB-01"}}"#)).starts_with("unknown variant `dance`"));
    assert!(
        refusal(&format!(
            r#"{{{},"act":"start_closing","by":"PB-01"}}"#,
            head.replace("06:00", "6 am")
        ))
        .starts_with("`6 am` is neither")
    );
}

#[test]
fn a_day_with_a_thousand_mistakes_is_not_printed_whole() {
    let sketch = Sketch::of_example("worse-day");
    std::fs::write(sketch.0.join("day.jsonl"), "{}\n".repeat(1000)).unwrap();
    let error = sketch.error();
    assert_eq!(error.lines().count(), PRINTED_PROBLEMS + 1);
    assert!(error.ends_with("and 950 more"), "{error}");
}

fn example() -> Folder {
    Folder::read(&example_path()).unwrap()
}

fn example_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/casino-day")
}

fn told<T: fmt::Debug>(outcome: Result<Vec<T>, Vec<CsvFlaw>>) -> Vec<String> {
    outcome
        .unwrap_err()
        .into_iter()
        .map(|problem| format!("{} {}: {}", problem.line, problem.column, problem.message))
        .collect()
}

/// A copy of the example to make mistakes in; gone with the test.
struct Sketch(PathBuf);

impl Sketch {
    fn of_example(name: &str) -> Self {
        let copy = std::env::temp_dir().join(format!("rundown-folder-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&copy).unwrap();
        for file in ["casino.json", "staff.csv", "par-sheet.csv", "drop-boxes.csv", "day.jsonl"] {
            let text = std::fs::read(example_path().join(file)).unwrap();
            std::fs::write(copy.join(file), text).unwrap();
        }
        Self(copy)
    }

    /// Replaces the first occurrence, which must be there.
    fn replace(&self, file: &str, old: &str, new: &str) {
        let text = std::fs::read_to_string(self.0.join(file)).unwrap();
        assert!(text.contains(old), "{file} has no {old}");
        std::fs::write(self.0.join(file), text.replacen(old, new, 1)).unwrap();
    }

    fn error(&self) -> String {
        Folder::read(&self.0).unwrap_err().to_string()
    }
}

impl Drop for Sketch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
