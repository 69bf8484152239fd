//! Floor layouts: drawn as versions, and brought into force over the tables as they are.

use serde_json::{Value, json};

use super::{Floor, conflict, id, tray};
use crate::support::{House, Reply};

async fn layout(house: &House, name: &str) -> String {
    id(house
        .person("AD-01")
        .post("/api/v1/floor-layouts", json!({ "name": name }))
        .await
        .expect(201))
}

async fn draw(house: &House, layout: &str, drawing: Value) -> Reply {
    house
        .person("AD-01")
        .post(&format!("/api/v1/floor-layouts/{layout}/versions"), drawing)
        .await
}

async fn activate(house: &House, layout: &str, body: Value) -> Reply {
    house
        .person("AD-01")
        .post(&format!("/api/v1/floor-layouts/{layout}/activate"), body)
        .await
}

async fn tables(house: &House) -> Vec<String> {
    house
        .texts("SELECT t.label || ' ' || t.status || ' ' || COALESCE(t.pit, '-') FROM gaming_table AS t JOIN casino AS c ON c.id = t.casino_id WHERE c.name = 'River Bend' ORDER BY 1")
        .await
}

fn slot(house: &House, table: &str) -> Value {
    json!({ "slot_label": format!("place of {table}"), "game_type": "blackjack", "pit": "Pit 9", "preferred_table_id": house.table(table) })
}

#[tokio::test]
async fn an_activation_switches_the_tables_and_leaves_live_ones_alone() {
    let house = House::open().await;
    // BJ-01 is in play and has no place in the drawing; BJ-02 has one; BJ-03 has none.
    let session = house.open_table("BJ-01", "BJ-01-A", tray()).await;
    let before = tables(&house).await;
    let plan = layout(&house, "Weekend").await;
    conflict(&activate(&house, &plan, json!({})).await, "nothing_drawn");
    let drawing = json!({ "pits": [{ "label": "Pit 9" }], "slots": [slot(&house, "BJ-02")] });
    let version = draw(&house, &plan, drawing.clone()).await;
    assert_eq!(
        (&version.expect(201)["version_no"], &version.body["pits"][0]["label"]),
        (&json!(1), &json!("Pit 9"))
    );
    assert_eq!(tables(&house).await, before, "a drawing moves nothing");
    let request = json!({ "request_id": "weekend-1" });
    let done = activate(&house, &plan, request.clone()).await;
    let outcome = &done.expect(200)["outcome"];
    let table = |label: &str| json!(house.table(label));
    assert_eq!((&outcome["moved"], &outcome["activated"]), (&json!([table("BJ-02")]), &json!([])));
    assert_eq!(outcome["deactivated"], json!([table("BJ-03")]));
    let skipped = outcome["skipped"].as_array().expect("a list");
    assert_eq!(skipped.len(), 1);
    assert_eq!(
        (
            &skipped[0]["table_id"],
            &skipped[0]["reason"],
            &skipped[0]["live_session_id"],
            &skipped[0]["wanted"]
        ),
        (&table("BJ-01"), &json!("live_session"), &json!(session), &json!("inactive"))
    );
    let pit = before[0].strip_prefix("BJ-01 active ").expect("in service");
    assert_eq!(
        tables(&house).await[..2],
        [format!("BJ-01 active {pit}"), "BJ-02 active Pit 9".to_owned()]
    );
    assert!(tables(&house).await[2].starts_with("BJ-03 inactive"));
    let told = "SELECT event FROM outbox WHERE event LIKE 'floor_layout.%' OR event LIKE 'table.%activated' ORDER BY position";
    assert_eq!(house.texts(told).await, ["floor_layout.activated", "table.deactivated"]);
    let slots = "SELECT payload->'table_slots'->0->>'preferred_table_id' FROM outbox WHERE event = 'floor_layout.activated'";
    assert_eq!(house.texts(slots).await, [house.table("BJ-02").to_string()]);

    // The same request again is the same answer, whatever has become of the floor; another request under its name is none.
    house.texts("DELETE FROM idempotency_key RETURNING key").await;
    house
        .person("AD-01")
        .post(&format!("/api/v1/tables/{}/activate", house.table("BJ-03")), json!({}))
        .await
        .expect(200);
    let again = activate(&house, &plan, request).await;
    assert_eq!((again.expect(200), again.header("idempotent-replayed")), (&done.body, Some("true")));
    assert!(tables(&house).await[2].starts_with("BJ-03 active"));
    let second = id(draw(&house, &plan, drawing).await.expect(201));
    let other = json!({ "request_id": "weekend-1", "layout_version_id": second });
    house
        .in_vain(activate(&house, &plan, other))
        .await
        .refused(422, "idempotency_conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_layout_is_in_force() {
    let house = House::open().await;
    let (day, night) = (layout(&house, "Day").await, layout(&house, "Night").await);
    let places = ["BJ-01", "BJ-02", "BJ-03"].map(|table| slot(&house, table));
    let all = json!({ "pits": [{ "label": "Pit 9" }], "slots": places });
    draw(&house, &day, all).await.expect(201);
    draw(
        &house,
        &night,
        json!({ "pits": [{ "label": "Pit 9" }], "slots": [slot(&house, "BJ-01")] }),
    )
    .await
    .expect(201);
    let (one, two) = tokio::join!(activate(&house, &day, json!({})), activate(&house, &night, json!({})));
    one.expect(200);
    two.expect(200);
    let active = house
        .texts(
            "SELECT l.name FROM floor_layout_activation AS a JOIN floor_layout AS l ON l.id = a.layout_id WHERE a.deactivated_at IS NULL",
        )
        .await;
    assert_eq!(active.len(), 1);
    let expected = if active == ["Day"] { "active" } else { "inactive" };
    assert_eq!(
        tables(&house).await[2],
        format!("BJ-03 {expected} Pit 9"),
        "the floor stands as the layout in force draws it"
    );
    let (in_force, not) = if active == ["Day"] { (&day, &night) } else { (&night, &day) };
    let read = |layout: &String| {
        let path = format!("/api/v1/floor-layouts/{layout}");
        let boss = house.person("PB-01");
        async move { boss.get(&path).await }
    };
    assert!(read(in_force).await.expect(200)["active"].is_object());
    assert!(read(not).await.expect(200)["active"].is_null());
    conflict(
        &house.person("AD-01").post("/api/v1/floor-layouts", json!({ "name": "Day" })).await,
        "name_taken",
    );
}

#[tokio::test]
async fn a_drawing_names_every_flaw_and_no_foreign_table() {
    let floor = Floor::in_play().await;
    let house = &floor.house;
    let plan = layout(house, "Weekend").await;
    let mut other_game = slot(house, "BJ-01");
    other_game["game_type"] = json!("poker");
    let flawed = json!({ "pits": [{ "label": "A" }, { "label": "A" }], "slots": [other_game] });
    let refused = house.in_vain(draw(house, &plan, flawed)).await;
    refused.refused(422, "validation_failed");
    assert_eq!(refused.pointers(), ["/pits/1/label", "/slots/0/pit", "/slots/0/preferred_table_id"]);
    let foreign = json!({ "slots": [{ "slot_label": "1", "game_type": "blackjack", "preferred_table_id": house.other.tables["BJ-01"] }] });
    house.in_vain(draw(house, &plan, foreign)).await.refused(404, "not_found");
    let version = id(draw(house, &plan, json!({})).await.expect(201));
    let elsewhere = layout(house, "Elsewhere").await;
    let mixed = json!({ "layout_version_id": version });
    house.in_vain(activate(house, &elsewhere, mixed)).await.refused(404, "not_found");
    let crowd: Vec<Value> = (0..101).map(|n| json!({ "label": format!("Pit {n}") })).collect();
    assert_eq!(
        house.in_vain(draw(house, &plan, json!({ "pits": crowd }))).await.pointers(),
        ["/pits"]
    );
}
