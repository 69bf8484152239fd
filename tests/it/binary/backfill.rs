//! `rundown backfill telemetry` as an operator runs it: the command, beside a daemon that takes money meanwhile.

use sea_orm::ConnectionTrait as _;

use super::*;

const MISSED: u64 = 7;
const LIVE: u64 = 40;

/// The example's folder, as far as the first player of BJ-01 has sat down.
fn until_somebody_sits(folder: &Path) {
    let example = crate::casino_day::folder();
    for (file, table, acts) in [("day.jsonl", "BJ-01", 4), ("telemetry.jsonl", "BJ-01", 3)] {
        let all = std::fs::read_to_string(example.join(file)).expect("the example");
        let first = all.lines().filter(|act| act.contains(&format!("\"table\":\"{table}\""))).take(acts);
        std::fs::write(folder.join(file), first.flat_map(|act| [act, "\n"]).collect::<String>()).expect("written");
    }
}

/// Finance takes money in for that player, so many times, one after another.
async fn take_in(url: &str, token: &str, slip: &Value, times: u64) {
    let client = reqwest::Client::new();
    for nth in 1..=times {
        let body = json!({
            "player_id": slip["player_id"], "visit_id": slip["visit_id"], "rating_slip_id": slip["id"], "direction": "in",
            "amount_cents": nth * 100, "tender_type": "cash",
        });
        let request = client.post(format!("{url}/api/v1/financial-transactions")).bearer_auth(token);
        let request = request.header("Idempotency-Key", rundown::clock::new_id().to_string()).json(&body);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap_or_default());
    }
}

/// Inserted, skipped, ineligible: the report's only line, which names the casino.
fn report(output: &Output) -> [u64; 3] {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let counts = said.trim().strip_prefix("River Bend: ").unwrap_or_else(|| panic!("{said}"));
    let words: Vec<(u64, &str)> = counts
        .split(", ")
        .filter_map(|count| count.split_once(' '))
        .map(|(count, word)| (count.parse().expect("a number"), word))
        .collect();
    let [(inserted, "inserted"), (skipped, "skipped"), (ineligible, "ineligible")] = words[..] else {
        panic!("{said}")
    };
    [inserted, skipped, ineligible]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backfill_runs_beside_the_daemon_twice_at_once_and_doubles_nothing() {
    let mut place = Place::fresh("backfill");
    until_somebody_sits(&place.folder);
    let url = place.serve().await.url.clone();
    let mut player = Player::of(&place);
    player.folder = Arc::new(Folder::read_with_telemetry(&place.folder).expect("the folder"));
    let token = player.issuer.issue("River Bend:PB-01", DEFAULT_TTL).expect("a token");
    let outcome = player.play(url.clone()).await.expect("played");
    assert_eq!((outcome.acts, outcome.refused.len()), (7, 0));
    let seat = "SELECT jsonb_build_object('id', r.id, 'visit_id', r.visit_id, 'player_id', v.player_id) AS json
                  FROM rating_slip AS r JOIN visit AS v ON v.id = r.visit_id";
    let slip = place.ask(seat).await;

    let (guest, owner) = place.owner().await;
    let bridge = async |what: &str| {
        let sql = format!("ALTER TABLE player_financial_transaction {what} TRIGGER bridge_buyin");
        owner.execute_unprepared(&sql).await.expect("altered");
    };
    bridge("DISABLE").await;
    take_in(&url, &token, &slip, MISSED).await;
    bridge("ENABLE").await;

    let fill = |args: &[&str]| {
        let mut command = place.command(args);
        async move { command.kill_on_drop(true).output().await.expect("run") }
    };
    let all = ["backfill", "telemetry"];
    let ((), first, second) = tokio::join!(take_in(&url, &token, &slip, LIVE), fill(&all), fill(&all));
    let ([first, ..], [second, ..]) = (report(&first), report(&second));
    assert_eq!(first + second, MISSED, "whoever of the two came first");
    let again = fill(&["backfill", "telemetry", "--casino", "River Bend"]).await;
    assert_eq!(report(&again), [0, MISSED + LIVE, 0]);
    let doubled = "SELECT jsonb_build_array(count(*), count(DISTINCT b.idempotency_key), sum(b.amount_cents)) AS json
                     FROM table_buyin_telemetry AS b JOIN player_financial_transaction AS t ON 'pft:' || t.id = b.idempotency_key";
    let cents = 100 * (MISSED * (MISSED + 1) + LIVE * (LIVE + 1)) / 2;
    assert_eq!(place.ask(doubled).await, json!([MISSED + LIVE, MISSED + LIVE, cents]));

    let nowhere = fill(&["backfill", "telemetry", "--casino", "Nowhere"]).await;
    let said = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert!(
        !nowhere.status.success() && said.contains("there is no casino \"Nowhere\""),
        "{said}"
    );
    owner.close().await.expect("closed");
    drop(guest);
    place.stop().await;
}
