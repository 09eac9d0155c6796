//! Which hours the views call seen, late, quiet or a gap, and how long a silence is usual.

use keytrail_model::time;
use serde_json::{Value, json};

use super::views::rows;
use crate::{
    schema::TableName,
    session::{
        SessionSettings, build,
        fixture::{object, session, table},
    },
};

fn every(minutes: i64, from: i64, until: i64) -> impl Iterator<Item = i64> {
    (from..until).step_by(usize::try_from(minutes).expect("small"))
}

fn objects(minutes: impl Iterator<Item = i64>) -> Vec<Value> {
    let start = keytrail_model::time::parse_rfc3339("2026-01-01T00:05:00Z").expect("a time");
    minutes.map(|minute| object(&keytrail_model::time::to_rfc3339(start + minute * 60_000_000), json!({}))).collect()
}

async fn states(objects: &[Value]) -> Vec<String> {
    let session = session(&[], objects, &SessionSettings::default()).await;
    rows(&session, "SELECT state, count(*) AS hours, min(hour_at) AS first FROM coverage GROUP BY state ORDER BY first")
        .await
}

#[tokio::test]
async fn a_hole_in_a_busy_region_is_a_gap() {
    const DAY: i64 = 24 * 60;
    // An object every five minutes for ten days, three hours missing on day five, and still silent at the end while
    // another region sets the horizon.
    let mut all = objects(every(5, 0, 5 * DAY).chain(every(5, 5 * DAY + 180, 10 * DAY)));
    assert_eq!(states(&all).await, ["seen | 237 | 2026-01-01T00:00:00Z", "gap | 3 | 2026-01-06T00:00:00Z"]);
    all.push(object("2026-01-11T06:05:00Z", json!({ "region": "us-east-1", "object_key": "other" })));
    let session = session(&[], &all, &SessionSettings::default()).await;
    let sql = "SELECT region, state, count(*) AS hours, max(silent_from) AS since FROM coverage WHERE state <> 'seen' AND hour_at > TIMESTAMP '2026-01-10T00:00:00Z' GROUP BY region, state";
    assert_eq!(rows(&session, sql).await, ["eu-west-1 | gap | 5 | 2026-01-10T23:55:00Z"]);
}

#[tokio::test]
async fn nights_and_sparse_regions_are_quiet() {
    const DAY: i64 = 24 * 60;
    // Eight hours a day, every day: the nights are a habit.
    let days = (0..14).flat_map(|day| every(5, day * DAY, day * DAY + 8 * 60));
    assert_eq!(
        states(&objects(days)).await,
        ["seen | 112 | 2026-01-01T00:00:00Z", "quiet | 208 | 2026-01-01T08:00:00Z"]
    );
    // One object in about a day and a half.
    let sparse = states(&objects(every(35 * 60, 0, 30 * DAY))).await;
    assert!(sparse.iter().all(|line| !line.starts_with("gap")), "{sparse:?}");
}

#[tokio::test]
async fn files_that_come_late_say_so() {
    let mut all = objects(every(5, 0, 6 * 60));
    for object in all.iter_mut().skip(24).take(12) {
        object["delivered_at"] = json!("2026-01-01T09:00:00Z");
    }
    assert_eq!(
        states(&all).await,
        ["seen | 5 | 2026-01-01T00:00:00Z", "late | 1 | 2026-01-01T02:00:00Z", "gap | 2 | 2026-01-01T06:00:00Z"]
    );
}

fn at(day: u32, hour: u32, minute: u32) -> String {
    format!("2026-01-{day:02}T{hour:02}:{minute:02}:00Z")
}

/// The states of these objects where some of them are in quarantine.
async fn troubled(objects: &[Value], quarantine: &[Value], sql: &str) -> Vec<String> {
    let tables = [
        table(TableName::AccessEvents, &[]),
        table(TableName::Events, &[]),
        table(TableName::Objects, objects),
        table(TableName::Quarantine, quarantine),
        table(TableName::AlertLog, &[]),
        table(TableName::SuppressionLog, &[]),
        table(TableName::DeliveryLog, &[]),
    ];
    rows(&build(tables, &SessionSettings::default()).await.expect("the session builds"), sql).await
}

fn quarantined(digest: &str, version: &str, record_index: i64, ledger_version: i64) -> Value {
    json!({
        "object_key": format!("k-{digest}"), "object_version": version, "object_digest": digest, "record_index": record_index,
        "reason": "no gzip", "ledger_version": ledger_version,
    })
}

#[tokio::test]
async fn events_that_come_alone_say_nothing_about_the_trail() {
    let files = objects(every(5, 0, 12 * 60).filter(|minute| !(240..480).contains(minute)));
    let with_gap = states(&files).await;
    assert!(with_gap.iter().any(|line| line.starts_with("gap")), "{with_gap:?}");
    let mut all = files.clone();
    let start = time::parse_rfc3339(&at(1, 0, 0)).expect("a time");
    for minute in every(1, 200, 900) {
        let told = time::to_rfc3339(start + minute * 60 * time::SECOND);
        let (mut alone, mut archived) = (object(&told, json!({})), object(&told, json!({})));
        alone["object_key"] = json!(format!("eventbridge://111122223333/eu-west-1/{minute}"));
        alone["object_digest"] = json!(format!("alone-{minute}"));
        archived["content_kind"] = json!("eventbridge");
        archived["object_digest"] = json!(format!("archived-{minute}"));
        all.extend([alone, archived]);
    }
    assert_eq!(states(&all).await, with_gap);
    let session = session(&[], &all, &SessionSettings::default()).await;
    assert_eq!(rows(&session, "SELECT silent_since FROM silences").await, ["2026-01-01T12:00:00Z"]);
    let alone: Vec<Value> = all
        .into_iter()
        .filter(|object| object["object_key"].as_str().is_some_and(|key| key.starts_with("eventbridge:")))
        .collect();
    let session = super::super::fixture::session(&[], &alone, &SessionSettings::default()).await;
    assert_eq!(
        rows(&session, "SELECT horizon_at FROM horizon").await,
        [""],
        "what is ahead of the trail is no horizon"
    );
}

#[tokio::test]
async fn backfill_is_not_late_and_a_redelivery_fills_its_gap() {
    // Read months after they were delivered: in time all the same.
    let mut all = objects(every(5, 0, 6 * 60));
    for object in &mut all {
        object["committed_at"] = json!("2026-06-01T00:00:00Z");
    }
    let hole = |minute: &i64| !(120..300).contains(minute);
    assert!(
        states(&all).await.iter().all(|line| line.starts_with("seen") || line.starts_with("gap | 1 | 2026-01-01T06"))
    );
    // A hole, and the file that comes for it a month later, when much else has come.
    let mut all = objects(every(5, 0, 31 * 24 * 60).filter(hole));
    let gap = "SELECT hour_at, state FROM coverage WHERE state IN ('gap', 'late') ORDER BY hour_at";
    let before = rows(&session(&[], &all, &SessionSettings::default()).await, gap).await;
    assert_eq!(before, ["2026-01-01T02:00:00Z | gap", "2026-01-01T03:00:00Z | gap", "2026-01-01T04:00:00Z | gap"]);
    for hour in [2, 3, 4] {
        let mut late = object(&at(31, 1, hour), json!({ "object_digest": format!("late-{hour}") }));
        late["last_event_at"] = json!(at(1, hour, 30));
        all.push(late);
    }
    let after = rows(&session(&[], &all, &SessionSettings::default()).await, gap).await;
    assert_eq!(after, ["2026-01-01T02:00:00Z | late", "2026-01-01T03:00:00Z | late", "2026-01-01T04:00:00Z | late"]);
}

#[tokio::test]
async fn an_hour_with_an_unread_object_is_not_complete_until_it_is_read() {
    let mut all = objects(every(5, 0, 6 * 60));
    let broken = json!({ "outcome": "quarantined", "object_digest": "broken", "object_version": "1", "last_event_at": null, "first_event_at": null });
    all.push(object(&at(1, 2, 35), broken.clone()));
    let partly = json!({ "quarantined_count": 2, "object_digest": "partly" });
    all.push(object(&at(1, 4, 20), partly));
    let quarantine =
        [quarantined("broken", "1", -1, 1), quarantined("partly", "1", 3, 1), quarantined("partly", "1", 4, 1)];
    let sql = "SELECT hour_at, state, object_count, silent_from, silent_until, quarantined_count FROM coverage \
        WHERE quarantined_count > 0 ORDER BY hour_at";
    assert_eq!(
        troubled(&all, &quarantine, sql).await,
        [
            "2026-01-01T02:00:00Z | gap | 12 | 2026-01-01T02:00:00Z | 2026-01-01T03:00:00Z | 1",
            "2026-01-01T04:00:00Z | seen | 13 |  |  | 1",
        ]
    );
    // Alone in its hour it is no silence, and no file that was read.
    let alone =
        [object(&at(1, 0, 30), json!({})), object(&at(1, 5, 30), broken.clone()), object(&at(1, 8, 30), json!({}))];
    let sql = "SELECT hour_at, state, object_count FROM coverage WHERE state = 'gap'";
    assert_eq!(troubled(&alone, &quarantine[..1], sql).await, ["2026-01-01T05:00:00Z | gap | 0"]);
    // Read again with success.
    let mut read = object(&at(1, 2, 35), json!({ "object_digest": "broken", "replaces": true, "ledger_version": 2 }));
    read["last_event_at"] = json!(at(1, 2, 30));
    all.push(read);
    let sql = "SELECT hour_at, state, object_count FROM coverage WHERE hour_at = TIMESTAMP '2026-01-01T02:00:00Z'";
    assert_eq!(troubled(&all, &quarantine, sql).await, ["2026-01-01T02:00:00Z | seen | 13"]);
    // Nobody knew its version, and another version of its key was read since.
    let unknown = json!({ "outcome": "quarantined", "object_digest": "unknown", "object_version": "", "object_key": "k-unknown", "last_event_at": null });
    let since = json!({ "object_digest": "known", "object_key": "k-unknown", "ledger_version": 9 });
    let mut all = objects(every(5, 0, 3 * 60));
    all.push(object(&at(1, 1, 35), unknown));
    let sql = "SELECT hour_at, quarantined_count FROM coverage WHERE quarantined_count > 0";
    let quarantine = [quarantined("unknown", "", -1, 1)];
    assert_eq!(troubled(&all, &quarantine, sql).await, ["2026-01-01T01:00:00Z | 1"]);
    all.push(object(&at(1, 1, 36), since));
    assert!(troubled(&all, &quarantine, sql).await.is_empty());
}

#[tokio::test]
async fn a_silence_is_measured_by_those_before_it() {
    const DAY: i64 = 24 * 60;
    let of = |objects: Vec<Value>| async move {
        let session = session(&[], &objects, &SessionSettings::default()).await;
        let sql = "SELECT silent_since, usual_silence_minutes, silence_count FROM silences ORDER BY region";
        rows(&session, sql).await
    };
    // Every five minutes: 5 * ln(100 * 2015).
    assert_eq!(of(objects(every(5, 0, 7 * DAY))).await, ["2026-01-08T00:00:00Z | 62 | 2015"]);
    // Eight hours a day: sixteen hours of night and a little more are a habit.
    let days = (0..14).flat_map(|day| every(5, day * DAY, day * DAY + 8 * 60));
    assert_eq!(of(objects(days)).await, ["2026-01-14T08:00:00Z | 1207 | 1343"]);
    // One delivery tells nothing.
    assert_eq!(of(objects(every(5, 0, 5))).await, ["2026-01-01T00:05:00Z |  | 0"]);
    // A hole of a day that happened once in thirty is no habit.
    let holed = objects(every(5, 0, 30 * DAY).filter(|minute| !(5 * DAY..6 * DAY).contains(minute)));
    let [told] = of(holed).await.try_into().expect("one region");
    let usual: i64 = told.split(" | ").nth(1).and_then(|usual| usual.parse().ok()).expect("a number");
    assert!((60..90).contains(&usual), "{told}");
    // An account is silent when all of its regions are.
    let mut two = objects(every(60, 0, 2 * DAY));
    for object in two.iter_mut().skip(1).step_by(2) {
        object["region"] = json!("us-east-1");
    }
    let session = session(&[], &two, &SessionSettings::default()).await;
    let sql =
        "SELECT account_id, silent_since, usual_silence_minutes, silence_count, last_object_at FROM account_silences";
    assert_eq!(rows(&session, sql).await, ["111122223333 | 2026-01-02T23:05:00Z | 508 | 47 | 2026-01-02T23:05:00Z"]);
    let sql = "SELECT region, silent_since, usual_silence_minutes FROM silences ORDER BY region";
    let regions = ["eu-west-1 | 2026-01-02T22:05:00Z | 929", "us-east-1 | 2026-01-02T23:05:00Z | 929"];
    assert_eq!(rows(&session, sql).await, regions);
}
