//! Real CloudTrail records, read by the real program.

use serde_json::Value;

use crate::harness::{World, recordings};

/// Ingests one folder of recordings; `None` when it is not here.
fn ingested(folder: &str) -> Option<(World, i32)> {
    let path = recordings(folder)?;
    let world = World::new();
    let ran = world.run(&["ingest", path.to_str().expect("UTF-8")]);
    assert!(ran.code == 0 || ran.code == 1, "{}", ran.stderr);
    Some((world, ran.code))
}

#[test]
fn stratus_red_team_counts_are_exact() {
    let Some((world, _)) = ingested("stratus-red-team") else { return };
    let reads = "FROM access_events WHERE action = 'read' AND outcome = 'ok' AND secret_kind";
    assert_eq!(world.number(&format!("SELECT count(*) {reads} = 'secretsmanager'")), 20);
    assert_eq!(world.number(&format!("SELECT count(DISTINCT secret_id) {reads} = 'secretsmanager'")), 20);
    assert_eq!(world.number(&format!("SELECT count(*) {reads} = 'parameter'")), 42);
    assert_eq!(world.number(&format!("SELECT count(DISTINCT secret_id) {reads} = 'parameter'")), 42);
    assert_eq!(world.number(&format!("SELECT count(DISTINCT event_id) {reads} = 'parameter'")), 5);
    let signals = "SELECT count(*) FROM access_events WHERE event_name = 'BatchGetSecretValue'";
    assert_eq!(world.number(signals), 5);
    assert_eq!(world.number(&format!("{signals} AND action = 'read'")), 0);
    assert_eq!(world.number("SELECT sum(record_count) FROM objects"), 310);
    assert_eq!(
        world.number("SELECT sum(record_count - kept_count - ignored_count - quarantined_count) FROM objects"),
        0
    );
}

#[test]
fn denied_calls_of_traildiscover_name_their_target() {
    let Some((world, _)) = ingested("traildiscover") else { return };
    let rows = world.rows(
        "SELECT event_name, secret_id, outcome, secret_resolution FROM access_events \
         WHERE event_name IN ('GetSecretValue', 'GetParameters') ORDER BY event_name",
    );
    let target = |name: &str| -> Vec<&str> {
        rows.iter().filter(|row| row["event_name"] == name).filter_map(|row| row["secret_id"].as_str()).collect()
    };
    assert!(rows.iter().all(|row| row["outcome"] == "denied"), "{rows:?}");
    assert!(target("GetSecretValue").iter().all(|id| id.contains("TrailDiscoverSecretId")), "{rows:?}");
    assert!(
        target("GetParameters")
            .iter()
            .all(|id| *id == "arn:aws:ssm:us-east-1:192374575148:parameter/TrailDiscoverParameters"),
        "{rows:?}"
    );
    assert!(!target("GetSecretValue").is_empty() && !target("GetParameters").is_empty());
}

#[test]
fn every_event_version_is_read_and_the_malformed_example_is_reported() {
    let Some(path) = recordings("cloudtrail-versions") else { return };
    let world = World::new();
    let ran = world.run(&["ingest", "--scope", "all", path.to_str().expect("UTF-8")]);
    assert_eq!(ran.code, 1, "the malformed example must be told by the exit code\n{}", ran.stderr);
    let quarantined = world.rows("SELECT object_key, reason FROM quarantine");
    let whole = world.rows("SELECT object_key, reason FROM objects WHERE outcome = 'quarantined'");
    let places: Vec<&Value> = quarantined.iter().chain(&whole).map(|row| &row["object_key"]).collect();
    assert!(places.iter().any(|key| key.as_str().is_some_and(|key| key.ends_with("bad1_01.json"))), "{places:?}");
    for version in ["1.0", "1.01", "1.02", "1.03", "1.04", "1.05", "1.06", "1.07", "1.08", "1.09", "1.10", "1.11"] {
        let sql = format!("SELECT count(*) FROM events WHERE json_get(raw, '/eventVersion') = '{version}'");
        assert!(world.number(&sql) > 0, "no event of version {version}");
    }
}
