//! `rundown audit`, as somebody types it: out of the database into a file, and the file against its own seals with nothing else at hand.

use std::path::Path;
use std::process::{Output, Stdio};

use rundown::postgres::OWNER;
use tokio::process::Command;

use super::*;

/// With no configuration and no database at hand.
fn bare(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rundown"));
    command.arg("--data-dir").arg(dir.join("data")).args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RUNDOWN_")) {
        command.env_remove(name);
    }
    command
}

async fn with_database(house: &House, key: &Key, args: &[&str]) -> Output {
    let mut command = bare(&key.dir, args);
    command
        .env("RUNDOWN__DATABASE__URL", house.cluster.url("rundown_app"))
        .env("RUNDOWN__DATABASE__OWNER_URL", house.cluster.url(OWNER))
        .env("RUNDOWN__AUDIT__SIGNING_KEY_FILE", key.file());
    command.output().await.expect("run")
}

async fn verify(key: &Key, file: &Path, more: &[&str]) -> (bool, String) {
    let file = file.to_string_lossy();
    let output = bare(&key.dir, &[&["audit", "verify", &*file], more].concat())
        .output()
        .await
        .expect("run");
    said(&output)
}

fn said(output: &Output) -> (bool, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_verified_with_nothing_but_itself() {
    let (house, key) = (House::open().await, Key::made());
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    house.slip(&session, "fill", "f-1", json!({ "10000": 5 })).await;
    house.seal(&key, 3).await;
    let (two, refused) = said(&with_database(&house, &key, &["audit", "export"]).await);
    assert!(!two && refused.contains("--casino"), "there are two casinos: {refused}");

    let file = key.dir.join("export.jsonl");
    let path = file.to_string_lossy().into_owned();
    let (ok, told) = said(&with_database(&house, &key, &["audit", "export", "--casino", "River Bend", "--out", &path]).await);
    assert!(ok, "{told}");
    let (again, told) = said(&with_database(&house, &key, &["audit", "export", "--casino", "River Bend", "--out", &path]).await);
    assert!(!again && told.contains("cannot make"), "an export is not written over: {told}");
    let text = std::fs::read_to_string(&file).expect("the export");
    let rows = text.lines().filter(|line| line.starts_with("{\"kind\":\"row\"")).count();
    assert_eq!(i64::try_from(rows).expect("few"), house.count("audit_seal_leaf").await);

    let (ok, told) = verify(&key, &file, &[]).await;
    assert!(ok && told.contains("as sealed: 3 seals"), "{told}");
    let public = said(&with_database(&house, &key, &["audit", "key"]).await).1.trim().to_owned();
    assert_eq!(public, key.key.public());
    let root = house.verified().await[0]["root"].as_str().expect("a root").to_owned();
    let (ok, told) = verify(&key, &file, &["--key", &public, "--root", &root]).await;
    assert!(ok, "{told}");
    let (ok, told) = verify(&key, &file, &["--key", &Key::made().key.public()]).await;
    assert!(!ok && told.contains("key_unknown"), "{told}");
    let (ok, told) = verify(&key, &file, &["--root", &"0".repeat(64)]).await;
    assert!(!ok && told.contains("root: the last seal's is"), "{told}");

    // One letter of one row.
    let changed = text.replacen("\"action\":\"request\"", "\"action\":\"requesu\"", 1);
    std::fs::write(&file, &changed).expect("written");
    let line = changed.lines().position(|line| line.contains("requesu")).expect("changed") + 1;
    let (ok, told) = verify(&key, &file, &[]).await;
    assert!(
        !ok && told.contains(&format!("line {line}, ")) && told.contains("row_altered"),
        "{told}"
    );

    let (ok, told) = said(&with_database(&house, &key, &["audit", "verify", "--casino", "River Bend"]).await);
    assert!(ok && told.contains("as sealed: 3 seals"), "{told}");
    let victim = rows_of(&house, 1).await[0];
    house
        .as_owner(&format!(
            "SET session_replication_role = replica; DELETE FROM audit_log WHERE id = '{victim}'"
        ))
        .await;
    let (ok, told) = said(&with_database(&house, &key, &["audit", "verify", "--casino", "River Bend"]).await);
    assert!(!ok && told.contains("row_missing") && told.contains(&victim.to_string()), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_the_seals_is_an_export_too() {
    let (house, key) = (House::open().await, Key::made());
    house.seal(&key, 4).await;
    let casino = ["--casino", "River Bend"];
    let part = with_database(
        &house,
        &key,
        &[&["audit", "export", "--from-seal", "2", "--to-seal", "3"], &casino[..]].concat(),
    )
    .await;
    assert!(part.status.success(), "{part:?}");
    let file = key.dir.join("part.jsonl");
    std::fs::write(&file, &part.stdout).expect("written");
    let (ok, told) = verify(&key, &file, &[]).await;
    assert!(ok && told.contains("as sealed: 2 seals"), "{told}");
    for beyond in [["--from-seal", "6"], ["--to-seal", "5"]] {
        let (ok, told) = said(&with_database(&house, &key, &[&["audit", "export"], &beyond[..], &casino[..]].concat()).await);
        assert!(!ok && told.contains("the newest is 4"), "{told}");
    }
}
