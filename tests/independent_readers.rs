//! The lake is the user's: DuckDB and the Python `deltalake` package read it without us, and see what we see.

use std::path::Path;

use serde_json::Value;

use crate::harness::{World, python};

#[test]
fn duckdb_and_deltalake_see_the_rows_that_we_see() {
    let world = World::new();
    let bucket = world.path("bucket");
    let bucket = bucket.to_str().expect("UTF-8");
    world.ok(&["simulate", "--out", bucket, "--days", "5", "--seed", "11", "--scale", "0.2"]);
    world.run(&["ingest", bucket]);
    // The files are rewritten by compaction: what readers see must not change.
    let before = read(&world);
    world.ok(&["lake", "compact"]);
    let after = read(&world);

    for seen in [&before, &after] {
        assert_eq!(seen["doubled"], 0, "rows are unique without our views: {seen}");
        assert_eq!(
            seen["reads"],
            world.number("SELECT count(*) FROM access_events WHERE action = 'read' AND outcome = 'ok'")
        );
        for table in ["access_events", "objects", "quarantine"] {
            let ours = world.number(&format!("SELECT count(*) FROM {table}"));
            assert_eq!(seen["duckdb"][table], ours, "DuckDB, {table}");
            assert_eq!(seen["deltalake"][table], ours, "deltalake, {table}");
        }
        assert_eq!(seen["event_at_type"], "TIMESTAMP WITH TIME ZONE");
    }
    assert!(before["reads"].as_i64().is_some_and(|reads| reads > 100), "{before}");
    assert_eq!(before["duckdb"], after["duckdb"]);
}

fn read(world: &World) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/independent_readers.py");
    let lake = world.lake();
    let printed = python::run(&script, &[lake.to_str().expect("UTF-8")]);
    serde_json::from_str(&printed).expect("the script prints JSON")
}
