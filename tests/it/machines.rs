//! The documents that say what the code says: machines drawn from the edges that decide, and a page for every problem.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use workflows::diagram::{Format, NAMES, draw};

fn docs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// With `RUNDOWN_UPDATE_DOCS=1` the test writes what otherwise it compares.
#[test]
fn the_drawings_are_the_law() {
    let file = docs().join("machines.md");
    let drawn = machines();
    if std::env::var_os("RUNDOWN_UPDATE_DOCS").is_some_and(|wish| wish == "1") {
        std::fs::write(&file, &drawn).expect("written");
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = kept.lines().zip(drawn.lines()).find(|(kept, drawn)| kept != drawn);
    assert!(
        kept == drawn,
        "docs/machines.md is not what the law says: run RUNDOWN_UPDATE_DOCS=1 cargo test --test it machines. First difference: {differs:?}"
    );
}

const PREFACE: &str = "\
# The machines

The states of a session, a slip, a removed drop box, an exception, a visit and a rating slip, and every edge between them; there are no
others. This page is drawn from the tables of edges that decide (`workflows/src/session.rs`, `slip.rs`, `drop_box.rs`, `exception.rs`,
`visit.rs`, `rating_slip.rs`); a test keeps it current, and
`RUNDOWN_UPDATE_DOCS=1 cargo test --test it machines` draws it again. `rundown workflow <name>` and `GET /api/v1/workflows/{name}` give
each machine as Mermaid, DOT and JSON.

A *command* edge is taken when somebody in one of its roles asks for it and all its gates are open. An *auto* edge is taken by the engine, in
the same transaction, as soon as all its gates are open. A refusal names every gate that is shut.
";

fn machines() -> String {
    let mut page = PREFACE.to_owned();
    let mut gates = BTreeMap::new();
    for name in NAMES {
        let drawing = draw(name, Format::Mermaid).expect("a machine");
        let machine: Value = serde_json::from_str(&draw(name, Format::Json).expect("a machine")).expect("JSON");
        write!(page, "\n## {name}\n\n```mermaid\n{}\n```\n\n", drawing.trim_end()).expect("a section");
        page.push_str("| edge | from | to | trigger | roles | gates |\n|---|---|---|---|---|---|\n");
        for edge in items(&machine["edges"]) {
            let codes = items(&edge["gates"]).iter().map(|gate| word(&gate["code"])).collect::<Vec<_>>();
            gates.extend(
                items(&edge["gates"])
                    .iter()
                    .map(|gate| (word(&gate["code"]), (word(&gate["needs"]), words(&gate["who"])))),
            );
            let [verb, from, to, trigger] = ["verb", "from", "to", "trigger"].map(|member| word(&edge[member]));
            writeln!(
                page,
                "| {verb} | {from} | {to} | {trigger} | {} | {} |",
                words(&edge["roles"]),
                codes.join(", ")
            )
            .expect("a line");
        }
    }
    page.push_str("\n## Gates\n\n| gate | what opens it | who can |\n|---|---|---|\n");
    for (code, (needs, who)) in gates {
        writeln!(page, "| {code} | {needs} | {who} |").expect("a line");
    }
    page
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What is not there is a dash: creation has no state before it.
fn word(value: &Value) -> String {
    value.as_str().unwrap_or("–").to_owned()
}

fn words(value: &Value) -> String {
    if items(value).is_empty() {
        "–".to_owned()
    } else {
        items(value).iter().map(word).collect::<Vec<_>>().join(", ")
    }
}

#[test]
fn every_problem_has_its_page_and_every_page_its_problem() {
    let codes: BTreeMap<&str, u16> = rundown::error::CODES.iter().copied().collect();
    let index = std::fs::read_to_string(docs().join("problems.md")).expect("docs/problems.md");
    for (code, status) in &codes {
        let line = index
            .lines()
            .find(|line| line.starts_with('|') && line.contains(&format!("problems/{code}.md")))
            .unwrap_or_else(|| panic!("docs/problems.md leads to {code}"));
        assert!(line.contains(&status.to_string()), "{code} is {status}: {line}");
        let page =
            std::fs::read_to_string(docs().join(format!("problems/{code}.md"))).unwrap_or_else(|_| panic!("docs/problems/{code}.md"));
        assert!(
            page.contains(code) && page.contains(&status.to_string()),
            "docs/problems/{code}.md names its code and status"
        );
    }
    let pages: BTreeSet<String> = std::fs::read_dir(docs().join("problems"))
        .expect("docs/problems")
        .map(|entry| {
            entry
                .expect("a page")
                .file_name()
                .to_string_lossy()
                .trim_end_matches(".md")
                .to_owned()
        })
        .collect();
    assert_eq!(pages, codes.keys().map(|code| (*code).to_owned()).collect());
}

/// What a document points at is there.
#[test]
fn no_link_between_documents_leads_nowhere() {
    let mut pages = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")];
    let mut folders = vec![docs()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { pages.push(path) }
        }
    }
    let mut lost = Vec::new();
    for page in pages
        .iter()
        .filter(|page| page.extension().is_some_and(|extension| extension == "md"))
    {
        let text = std::fs::read_to_string(page).expect("a page");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            let is_elsewhere = file.is_empty() || file.contains("://") || file.starts_with('/') || file.contains(' ');
            if !is_elsewhere && !page.parent().expect("a folder").join(file).exists() {
                lost.push(format!("{} -> {target}", page.display()));
            }
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}
