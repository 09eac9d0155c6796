//! The session's promises: every view runs on an empty lake, only reading is possible, limits hold, conditions reach
//! the stored tables.

use std::fmt::Write as _;

use deltalake::datafusion::{logical_expr::LogicalPlan, prelude::SessionContext};
use serde_json::json;

use super::{
    Limits, PlanError, SessionSettings, VIEWS,
    fixture::{event, session},
    plan_read_only,
};
use crate::schema::TableName;

mod coverage;
mod docs;
mod of_lake;
mod views;

async fn empty() -> SessionContext {
    session(&[], &[], &SessionSettings::default()).await
}

#[tokio::test]
async fn every_view_plans_and_runs_on_an_empty_lake() {
    let session = empty().await;
    for view in VIEWS {
        let batches = session.table(view.name).await.expect(view.name).collect().await.expect(view.name);
        let rows: usize = batches.iter().map(|batch| batch.num_rows()).sum();
        assert_eq!(rows, usize::from(view.name == "horizon"), "{}", view.name);
    }
}

#[tokio::test]
async fn views_of_stored_tables_have_exactly_their_columns() {
    let session = empty().await;
    for (view, table, more) in [
        ("access_events", TableName::AccessEvents, [].as_slice()),
        ("objects", TableName::Objects, &[]),
        ("quarantine", TableName::Quarantine, &["since", "attempts"]),
    ] {
        let schema = session.table(view).await.expect(view);
        let names: Vec<&str> = schema.schema().fields().iter().map(|field| field.name().as_str()).collect();
        // `replaces` has done its work when the view has chosen the newest lines.
        let stored = table.spec().columns.iter().map(|column| column.name).filter(|name| *name != "replaces");
        assert_eq!(names, stored.chain(more.iter().copied()).collect::<Vec<_>>(), "{view}");
    }
}

#[tokio::test]
async fn other_views_document_each_column_once_and_in_order() {
    let session = empty().await;
    for view in VIEWS {
        assert!(!view.description().is_empty(), "{}", view.name);
        let documented: Vec<String> = view.column_docs().into_iter().map(|(name, _)| name).collect();
        let shown = session.table(view.name).await.expect(view.name);
        let mut names: Vec<&str> = shown.schema().fields().iter().map(|field| field.name().as_str()).collect();
        if view.description().contains("Column meanings: the lake's table of columns.") {
            if !view.listed {
                assert!(documented.is_empty(), "{}: a step that no page shows", view.name);
                continue;
            }
            let table = docs::stored(view.name).expect("a view of a table").spec();
            names.retain(|name| !table.columns.iter().any(|column| column.name == *name));
            assert_eq!(documented, names, "{}: only what the table lacks", view.name);
            continue;
        }
        assert_eq!(documented, names, "{}", view.name);
    }
}

#[tokio::test]
async fn only_reading_is_possible() {
    let session = empty().await;
    for sql in [
        "INSERT INTO alert_log SELECT * FROM alert_log",
        "UPDATE alert_log SET state = 'closed'",
        "DELETE FROM alert_log",
        "MERGE INTO alert_log USING alerts ON false WHEN MATCHED THEN DELETE",
        "TRUNCATE TABLE alert_log",
        "DROP TABLE alert_log",
        "DROP VIEW secrets",
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "CREATE OR REPLACE VIEW secrets AS SELECT 1",
        "CREATE SCHEMA s",
        "CREATE DATABASE d",
        "CREATE FUNCTION f(INT) RETURNS INT RETURN $1",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE UNBOUNDED EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "COPY secrets TO '/tmp/x.csv'",
        "COPY (SELECT 1) TO '/tmp/x.parquet' STORED AS PARQUET",
        "SET datafusion.execution.batch_size = 1",
        "SET datafusion.runtime.memory_limit = '100G'",
        "RESET datafusion.runtime.memory_limit",
        "RESET ALL",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "ANALYZE TABLE secrets COMPUTE STATISTICS",
        "GRANT ALL ON secrets TO public",
        "ATTACH DATABASE 'x' AS y",
        "LOAD DATA INPATH '/etc/passwd' INTO TABLE alert_log",
        "EXPLAIN INSERT INTO alert_log SELECT * FROM alert_log",
        "EXPLAIN ANALYZE COPY secrets TO '/tmp/x.csv'",
        "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1",
        "SELECT 1; DROP TABLE alert_log",
        "SELECT 1; SELECT 2",
        "SELECT * INTO t FROM secrets",
        "SELECT * FROM (SELECT 1 AS a INTO t) AS x",
        "SELECT * FROM secrets FOR UPDATE",
        "WITH x AS (INSERT INTO alert_log SELECT * FROM alert_log RETURNING *) SELECT * FROM x",
        "WITH x AS (DELETE FROM alert_log RETURNING *) SELECT * FROM x",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM 'access_events.parquet'",
        "SELECT * FROM 's3://bucket/key.csv'",
    ] {
        let refused = plan_read_only(&session, sql).await;
        // What the grammar itself does not know is refused by the parser; nothing of the list may plan.
        assert!(
            matches!(&refused, Err(PlanError::Forbidden(_)))
                || matches!(&refused, Err(PlanError::Engine(error)) if error.to_string().contains("SQL error")),
            "{sql}: {refused:?}"
        );
    }
    for sql in [
        "SELECT * FROM read_parquet('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM parquet_metadata('/etc/passwd')",
        r#"SELECT * FROM "/etc/passwd""#,
        r#"SELECT * FROM "file:///etc/passwd""#,
    ] {
        let refused = plan_read_only(&session, sql).await;
        assert!(matches!(&refused, Err(PlanError::Engine(_))), "{sql}: {refused:?}");
    }
    assert!(matches!(plan_read_only(&session, "").await, Err(PlanError::Empty)));
    assert!(matches!(plan_read_only(&session, " -- nothing\n;").await, Err(PlanError::Empty)));
}

#[tokio::test]
async fn looking_around_is_allowed() {
    let session = empty().await;
    for sql in [
        "SELECT 1;",
        "VALUES (1), (2)",
        "EXPLAIN SELECT * FROM secrets",
        "EXPLAIN ANALYZE SELECT count(*) FROM secrets",
        "EXPLAIN FORMAT TREE SELECT count(*) FROM secrets",
        "SHOW TABLES",
        "SHOW COLUMNS FROM secrets",
        "SHOW ALL",
        "SHOW datafusion.execution.time_zone",
        "SHOW FUNCTIONS",
        "DESCRIBE secrets",
        "SELECT table_name FROM information_schema.tables",
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT * FROM n",
    ] {
        let plan = plan_read_only(&session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        session.execute_logical_plan(plan).await.expect(sql).collect().await.expect(sql);
    }
}

#[tokio::test]
async fn conditions_reach_the_stored_tables() {
    let session = session(&[event("2026-01-01T00:00:00Z", json!({}))], &[], &SessionSettings::default()).await;
    let sql = "SELECT event_id FROM access_events WHERE event_at >= TIMESTAMP '2026-01-01T00:00:00Z' AND event_date = '2026-01-01'";
    let plan = session.state().optimize(&plan_read_only(&session, sql).await.expect(sql)).expect("optimizes");
    let mut scans = String::new();
    scans_of(&plan, &mut scans);
    // Both branches scan with the conditions, and neither reads `raw`.
    assert_eq!(scans.matches("event_date = Utf8(\"2026-01-01\")").count(), 2, "{scans}");
    assert_eq!(scans.matches("event_at >= ").count(), 2, "{scans}");
    assert!(!scans.contains("raw"), "{scans}");
}

/// The filter above each scan of stored events, with the scan.
fn scans_of(plan: &LogicalPlan, into: &mut String) {
    match plan {
        LogicalPlan::Filter(filter) if matches!(&*filter.input, LogicalPlan::TableScan(_)) => {
            writeln!(into, "{} OVER {}", filter.predicate, filter.input.display()).expect("a string takes all");
        }
        LogicalPlan::TableScan(scan) if !scan.filters.is_empty() => {
            writeln!(into, "{}", plan.display()).expect("a string takes all");
        }
        _ => plan.inputs().into_iter().for_each(|input| scans_of(input, into)),
    }
}

async fn error_of(session: &SessionContext, sql: &str) -> String {
    let plan = match plan_read_only(session, sql).await {
        Ok(plan) => plan,
        Err(error) => return error.to_string(),
    };
    let rows = match session.execute_logical_plan(plan).await {
        Ok(rows) => rows.collect().await,
        Err(error) => Err(error),
    };
    rows.map(|_| String::new()).expect_err(sql).to_string()
}

#[tokio::test]
async fn one_line_cannot_make_more_than_memory_holds() {
    let session = empty().await;
    for call in [
        "generate_series(1, 100000000000)",
        "range(100000000000)",
        "range(0, 9223372036854775807, 1)",
        "generate_series(TIMESTAMP '1700-01-01', TIMESTAMP '2200-01-01', INTERVAL '1 second')",
        "repeat('abcdefgh', 2000000000)",
        "array_repeat(1, 2000000000)",
        "list_repeat('x', 2000000000)",
        "lpad('x', 2000000000)",
        "rpad('x', 2000000000, 'y')",
        "array_resize([1], 2000000000, 0)",
    ] {
        let error = error_of(&session, &format!("SELECT {call}")).await;
        assert!(error.contains("would make more than 16,000,000 items"), "{call}: {error}");
    }
    let sum = "SELECT sum(n) FROM (SELECT unnest(generate_series(1, 1000)) AS n)";
    let plan = plan_read_only(&session, sum).await.expect("plans");
    assert_eq!(session.execute_logical_plan(plan).await.expect("runs").count().await.expect("runs"), 1);
}

#[tokio::test]
async fn a_join_without_equality_is_refused_above_its_limit() {
    let rows: Vec<_> = (0..60).map(|second| event(&format!("2026-01-01T00:00:{second:02}Z"), json!({}))).collect();
    let limits = Limits { join_pairs: 3_599, ..Limits::default() };
    let session = session(&rows, &[], &SessionSettings { limits, ..SessionSettings::default() }).await;
    for sql in [
        "SELECT a.event_id, b.raw FROM access_events_stored AS a CROSS JOIN access_events_stored AS b",
        "SELECT a.event_id FROM access_events_stored AS a JOIN access_events_stored AS b ON a.event_at < b.event_at",
    ] {
        let error = error_of(&session, sql).await;
        assert!(error.contains("about 3,600 pairs of rows; the limit is 3,599"), "{sql}: {error}");
    }
    let joined = "SELECT count(*) FROM access_events_stored AS a JOIN access_events_stored AS b USING (event_id)";
    let plan = plan_read_only(&session, joined).await.expect("plans");
    session.execute_logical_plan(plan).await.expect("runs").collect().await.expect("runs");
}

#[tokio::test]
async fn a_query_beyond_memory_and_disk_ends_with_an_error() {
    let limits = Limits { memory_bytes: 1 << 20, temp_disk_bytes: 1 << 20, ..Limits::default() };
    let session = session(&[], &[], &SessionSettings { limits, ..SessionSettings::default() }).await;
    let error =
        error_of(&session, "SELECT value, count(*) FROM generate_series(1, 3000000) GROUP BY value ORDER BY 2, 1")
            .await;
    assert!(error.contains("Resources exhausted"), "{error}");
}
