//! A simulated organisation through the queue gives the lake that the same files give from a folder.
//!
//! Three counts must agree: the worker's lake, a lake filled by `keytrail ingest FOLDER`, and Python over the files.

use std::{path::Path, time::Duration};

use serde_json::Value;

use super::stage::{BUCKET, Stage};
use crate::harness::{World, corpus::files, python, wait::PATIENCE};

#[test]
fn the_lake_of_a_queue_is_that_of_a_folder() {
    let stage = Stage::new(5);
    let folder = stage.world.path("bucket");
    let place = folder.to_str().expect("UTF-8");
    stage.world.ok(&[
        "simulate",
        "--out",
        place,
        "--days",
        "4",
        "--seed",
        "8",
        "--scale",
        "0.1",
        "--file-minutes",
        "240",
    ]);
    let files: Vec<(String, Vec<u8>)> = files(&folder).into_iter().filter(|(key, _)| key.contains('/')).collect();
    stage.emulator.announce(BUCKET, &stage.queue);
    stage.emulator.put_all(BUCKET, files.iter().map(|(key, bytes)| (key.as_str(), bytes.as_slice())));
    let mut worker = stage.worker(&stage.config());
    stage.drained(&mut worker, PATIENCE);
    assert_eq!(worker.terminate(Duration::from_secs(40)).0, 0, "{}", worker.log());
    stage.world.ok(&["detect"]);

    let reference = World::new();
    let parts = ["AWSLogs", "apigw-access-logs"].map(|part| folder.join(part).to_str().expect("UTF-8").to_owned());
    reference.run(&["ingest", &parts[0], &parts[1]]);
    for (what, expected, found) in
        contents(&reference).into_iter().zip(contents(&stage.world)).map(|(a, b)| (a.0, a.1, b.1))
    {
        assert!(expected.len() > 1, "{what}: the simulated world is not empty");
        let first = expected.iter().zip(&found).find(|(one, other)| one != other);
        assert!(
            expected.len() == found.len() && first.is_none(),
            "{what}: {} and {} rows, first different: {first:#?}",
            expected.len(),
            found.len()
        );
    }

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/worker/count.py");
    let counted: Value = serde_json::from_str(&python::run(&script, &[&parts[0]])).expect("JSON");
    let events = "SELECT count(DISTINCT event_id) FROM access_events WHERE event_name = 'GetSecretValue'";
    assert_eq!(counted["get_secret_value"].as_i64(), Some(stage.world.number(events)), "{counted}");
    let objects = "SELECT count(*) FROM objects WHERE object_key LIKE '%/AWSLogs/%'";
    assert_eq!(counted["files"].as_i64(), Some(stage.world.number(objects)), "{counted}");
    let records = "SELECT sum(record_count) FROM objects WHERE object_key LIKE '%/AWSLogs/%' AND outcome = 'committed'";
    assert_eq!(counted["records"].as_i64(), Some(stage.world.number(records)), "{counted}");
}

/// What must be the same, with keys from below `AWSLogs/` and the like.
fn contents(world: &World) -> Vec<(&'static str, Vec<Value>)> {
    let key = "regexp_replace(object_key, '^.*(AWSLogs|apigw-access-logs)/', '') AS k";
    // Of an event that two objects hold, either may be the one that it is remembered by.
    let rows = "SELECT account_id, event_id, secret_id, action, outcome, version_id, principal_id \
                FROM access_events ORDER BY 1, 2, 3, 4, 5, 6";
    let objects = format!("SELECT {key}, outcome, content_kind, record_count, kept_count FROM objects ORDER BY 1");
    let alerts = "SELECT alert_id, rule_id, severity, principal_id, event_count FROM alerts \
                  WHERE class = 'detection' ORDER BY 1";
    [("rows", rows), ("objects", objects.as_str()), ("alerts", alerts)]
        .map(|(what, sql)| (what, world.rows(sql)))
        .into()
}
