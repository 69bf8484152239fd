//! Who may know whom, and what has one home: the absences that hold the house up, read from the manifests and the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A source file as the compiler sees it in the program: without comments and without tests.
struct Source {
    /// From the root.
    path: String,
    code: String,
}

fn sources(folder: &str, extension: &str) -> Vec<Source> {
    let mut files = Vec::new();
    walk(&root().join(folder), &mut files);
    let mut sources: Vec<Source> = files
        .into_iter()
        .filter(|file| file.extension().is_some_and(|found| found == extension))
        .map(|file| {
            let text = std::fs::read_to_string(&file).expect("a source file");
            let path = file.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
            Source {
                code: if extension == "sql" {
                    without_comments(&text, "--")
                } else {
                    without_tests(&without_comments(&text, "//"))
                },
                path,
            }
        })
        .filter(|source| !source.path.ends_with("/tests.rs") && !source.path.ends_with("/fixture.rs"))
        .collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!sources.is_empty(), "{folder} has sources");
    sources
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

/// A comment begins a line or follows a space: `http://` is none.
fn without_comments(text: &str, mark: &str) -> String {
    let spaced = format!(" {mark}");
    let lines = text.lines().map(|line| {
        let line = line.split_once(&spaced).map_or(line, |(code, _)| code);
        if line.trim_start().starts_with(mark) { "" } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Tests stand at the end of a file, or in a file of their own.
fn without_tests(code: &str) -> String {
    let code = code
        .replace("#[cfg(test)]\nmod tests;", "")
        .replace("#[cfg(test)]\nmod fixture;", "");
    code.split_once("\n#[cfg(test)]\nmod ")
        .map_or(code.clone(), |(program, _)| program.to_owned())
}

/// Files in which one of these words stands, with the words.
fn naming(sources: &[Source], words: &[&str]) -> BTreeMap<String, Vec<String>> {
    let found = |source: &Source| {
        words
            .iter()
            .filter(|word| has_word(&source.code, word))
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    sources
        .iter()
        .map(|source| (source.path.clone(), found(source)))
        .filter(|(_, words)| !words.is_empty())
        .collect()
}

/// The word by itself, not as a part of a longer one.
fn has_word(code: &str, word: &str) -> bool {
    let part = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    code.match_indices(word).any(|(at, _)| {
        let (before, after) = (code[..at].chars().next_back(), code[at + word.len()..].chars().next());
        let joined = part(before) && part(word.chars().next()) || part(after) && part(word.chars().next_back());
        !joined
    })
}

#[test]
fn the_crates_know_each_other_as_the_house_is_built() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output();
    let metadata: Value = serde_json::from_slice(&metadata.expect("cargo").stdout).expect("metadata");
    let packages = metadata["packages"].as_array().expect("packages");
    let names: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    assert_eq!(names, BTreeSet::from(["entities", "migration", "rundown", "workflows"]));
    let needs = |name: &str| -> BTreeSet<&str> {
        let package = packages.iter().find(|package| package["name"] == name).expect("a package");
        let program = package["dependencies"]
            .as_array()
            .expect("dependencies")
            .iter()
            .filter(|needed| needed["kind"] != "dev");
        program.filter_map(|needed| needed["name"].as_str()).collect()
    };
    let of_ours = |name: &str| needs(name).intersection(&names).copied().collect::<Vec<_>>();
    assert_eq!(of_ours("rundown"), ["entities", "migration", "workflows"]);
    for alone in ["workflows", "entities", "migration"] {
        assert_eq!(of_ours(alone), Vec::<&str>::new(), "{alone} knows none of ours");
    }
    for outside in ["tokio", "sea-orm", "sqlx", "axum", "reqwest", "rand", "tracing"] {
        assert!(!needs("workflows").contains(outside), "the law is pure: no {outside}");
    }
}

#[test]
fn the_law_has_no_clock_no_chance_and_no_way_out() {
    let outside = [
        "tokio",
        "sea_orm",
        "sqlx",
        "axum",
        "async",
        "await",
        "Utc::now",
        "Local::now",
        "SystemTime",
        "Instant",
        "now_v7",
        "new_v4",
        "rand::",
        "std::fs",
        "std::net",
        "std::env",
        "std::io",
        "std::process",
        "std::thread",
        "println!",
        "eprintln!",
    ];
    assert_eq!(naming(&sources("workflows/src", "rs"), &outside), BTreeMap::new());
}

/// `database.rs` holds migrations and the owner's errands: no command's business.
#[test]
fn only_the_store_names_sea_orm() {
    let named = naming(&sources("src", "rs"), &["sea_orm", "sea_orm_migration", "sqlx", "entities"]);
    let homes: Vec<&String> = named
        .keys()
        .filter(|path| !path.starts_with("src/store/") && *path != "src/store.rs")
        .collect();
    assert_eq!(homes, ["src/database.rs"], "{named:#?}");
    assert_eq!(
        naming(&sources("migration/src", "rs"), &["entities", "workflows"]),
        BTreeMap::new(),
        "a migration is frozen in time"
    );
}

/// Handlers say what they need and who judges it; transactions are the engine's.
#[test]
fn no_handler_sees_the_pool() {
    let named = naming(
        &sources("src/api", "rs"),
        &[
            "Db",
            "Tx",
            "begin",
            "commit",
            "DatabaseConnection",
            "Statement",
            ".db()",
            "put_changes",
            "open_desk",
        ],
    );
    // Readiness asks whether the database is there, and nothing else of it.
    assert_eq!(named, BTreeMap::from([("src/api/health.rs".to_owned(), vec![".db()".to_owned()])]));
    let law = naming(&sources("src/api", "rs"), &["Case::open", "decide", "settle", "dossier_mut"]);
    assert_eq!(law, BTreeMap::new(), "handlers judge nothing");
}

/// A status changes in `put_changes` alone, and only with what the law has judged.
#[test]
fn nothing_else_writes_what_the_law_decides() {
    let judged = [
        "table_inventory_session",
        "table_inventory_snapshot",
        "table_slip",
        "table_drop_event",
        "soft_count_table_result",
        "reconciliation_exception",
        "table_rundown_report",
        "signature",
        "session_transition",
    ];
    let writes = judged
        .map(|table| {
            [
                format!("UPDATE {table}"),
                format!("INSERT INTO {table}"),
                format!("DELETE FROM {table}"),
            ]
        })
        .concat();
    let writes: Vec<&str> = writes.iter().map(String::as_str).collect();
    assert_eq!(
        naming(&sources("src", "rs"), &writes),
        BTreeMap::new(),
        "no SQL of the program writes a judged row"
    );
    let scripts = naming(&sources("migration/src", "sql"), &writes);
    let beside: Vec<(&String, &Vec<String>)> = scripts.iter().filter(|(script, _)| !script.contains("desk")).collect();
    // The bridge is a trigger, so what it brings late is flagged by one: finance's transaction must not have to wait for the daemon.
    let late_buyins = ["INSERT INTO reconciliation_exception"];
    assert!(
        beside
            .iter()
            .all(|(script, found)| script.contains("m0009_telemetry") && **found == late_buyins),
        "put_changes alone, and the bridge's LATE_EVENT: {beside:?}"
    );
    let models = [
        "session",
        "snapshot",
        "slip",
        "drop_event",
        "soft_count",
        "exception",
        "report",
        "signature",
        "transition",
    ]
    .map(|entity| [format!("entities::{entity}::ActiveModel"), format!("{entity}::ActiveModel")])
    .concat();
    let models: Vec<&str> = models.iter().map(String::as_str).collect();
    assert_eq!(
        naming(&sources("src", "rs"), &models),
        BTreeMap::new(),
        "no model of a judged row is made active"
    );
}

/// The rooms of `src/`, and the rooms each may know. The command line is the front door: it may know all of them.
const ROOMS: &[(&str, &[&str])] = &[
    (
        "api",
        &[
            "answer",
            "app",
            "auth",
            "casino_folder",
            "clock",
            "count_file",
            "engine",
            "error",
            "observe",
            "outbox",
            "store",
        ],
    ),
    ("app", &["api", "auth", "clock", "config", "engine", "outbox"]),
    ("answer", &[]),
    ("auth", &["clock"]),
    ("casino_folder", &["csv_table"]),
    ("clock", &[]),
    ("config", &["auth", "observe"]),
    ("count_file", &["csv_table"]),
    ("csv_table", &[]),
    (
        "daemon",
        &[
            "api", "app", "auth", "clock", "config", "database", "engine", "jobs", "outbox", "postgres", "store",
        ],
    ),
    ("database", &["config", "postgres", "store"]),
    ("engine", &["answer", "auth", "clock", "error", "observe", "store"]),
    ("error", &["csv_table"]),
    (
        "jobs",
        &["answer", "auth", "clock", "config", "engine", "error", "observe", "store"],
    ),
    ("observe", &["clock"]),
    ("outbox", &["clock", "config", "error", "observe", "store"]),
    ("postgres", &[]),
    ("store", &["answer", "casino_folder", "clock", "error", "observe"]),
];

/// `api, jobs -> engine -> store -> entities; outbox -> store` (docs/architecture.md).
#[test]
fn the_rooms_know_each_other_in_one_direction() {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources("src", "rs") {
        let room = source
            .path
            .trim_start_matches("src/")
            .split(['/', '.'])
            .next()
            .unwrap_or_default()
            .to_owned();
        if !["lib", "main", "cli"].contains(&room.as_str()) {
            edges
                .entry(room.clone())
                .or_default()
                .extend(rooms_named(&source.code).into_iter().filter(|known| *known != room));
        }
    }
    let mut trespasses = Vec::new();
    for (room, known) in &edges {
        let Some((_, may)) = ROOMS.iter().find(|(name, _)| name == room) else {
            panic!("src/{room} is a new room: say in ROOMS whom it may know");
        };
        trespasses.extend(
            known
                .iter()
                .filter(|other| !may.contains(&other.as_str()))
                .map(|other| format!("{room} -> {other}")),
        );
    }
    assert!(trespasses.is_empty(), "{trespasses:#?}");
}

/// What follows `crate::`, in a path or in a list of paths.
fn rooms_named(code: &str) -> BTreeSet<String> {
    let first_word = |text: &str| {
        text.trim()
            .split(|c: char| !c.is_ascii_lowercase() && c != '_')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let mut rooms = BTreeSet::new();
    for (at, mark) in code.match_indices("crate::") {
        let rest = &code[at + mark.len()..];
        match rest.strip_prefix('{') {
            Some(list) => rooms.extend(list.split('}').next().unwrap_or_default().split(',').map(first_word)),
            None => {
                rooms.insert(first_word(rest));
            }
        }
    }
    rooms.remove("");
    rooms
}

/// One definition of win (domain §9): no second place does sums with an opening, a closing and what lies between.
#[test]
fn what_a_table_won_is_computed_in_one_place() {
    let places = ["src", "workflows/src", "entities/src"]
        .map(|folder| sources(folder, "rs"))
        .into_iter()
        .flatten()
        .chain(sources("migration/src", "sql"));
    let formula = |statement: &str| {
        let statement = statement.to_ascii_lowercase();
        let named = |words: &[&str]| words.iter().any(|word| statement.contains(word));
        named(&["closing", "closer"]) && named(&["opening", "opener"]) && named(&["fill", "credit"]) && named(&[" - ", "_sub("])
    };
    let found: BTreeSet<String> = places
        .filter(|source| source.code.split(['{', '}', ';']).any(formula))
        .map(|source| source.path)
        .collect();
    assert_eq!(found, BTreeSet::from(["workflows/src/rundown.rs".to_owned()]));
}

/// `clippy.toml` bans them; this says where the ban is lifted, so that a new place is a decision and not a habit.
#[test]
fn what_has_one_home_stays_at_home() {
    let folders = ["src", "workflows/src", "entities/src", "migration/src"].map(|folder| sources(folder, "rs"));
    let lifted: Vec<String> = folders
        .iter()
        .flatten()
        .filter(|source| source.code.contains("clippy::disallowed_methods"))
        .map(|source| source.path.clone())
        .collect();
    let homes = [
        "src/api/mod.rs",
        "src/clock.rs",
        "src/daemon.rs",
        "src/store/mod.rs",
        "entities/src/lib.rs",
    ];
    assert!(lifted.iter().all(|path| homes.contains(&path.as_str())), "{lifted:#?}");
    let bare: Vec<&String> = folders
        .iter()
        .flatten()
        .filter(|source| source.code.contains("#[allow") || source.code.contains("#![allow"))
        .map(|source| &source.path)
        .collect();
    assert!(
        bare.is_empty(),
        "an expectation has a reason and ends when it is no longer true: {bare:#?}"
    );
    let unsafe_code: Vec<String> = folders
        .iter()
        .flatten()
        .filter(|source| has_word(&source.code, "unsafe"))
        .map(|source| source.path.clone())
        .collect();
    assert_eq!(unsafe_code, Vec::<String>::new());
}

/// Every message of `expect` and every `unwrap` is a way to die.
#[test]
fn the_program_does_not_die_of_surprise() {
    let folders = ["src", "workflows/src"].map(|folder| sources(folder, "rs"));
    let dying: BTreeMap<String, Vec<String>> = folders
        .iter()
        .flat_map(|sources| {
            naming(
                sources,
                &[".unwrap()", ".expect(", "panic!", "unreachable!", "todo!", "unimplemented!"],
            )
        })
        .collect();
    // A test that advances the system clock holds the wrong one.
    let known = BTreeMap::from([("src/clock.rs".to_owned(), vec!["panic!".to_owned()])]);
    assert_eq!(dying, known);
}
