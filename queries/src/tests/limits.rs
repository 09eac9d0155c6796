//! Rows, time and memory are limited; a dropped stream stops; the query runtime is another one.

use std::time::{Duration, Instant};

use futures::StreamExt;
use keytrail_lake::session::Limits;

use super::fixture::{ask, lake, month, params, sql};
use crate::{Library, LimitKind, QueryErrorKind, QueryRuntime, QuerySource, RunOptions, run};

fn with(limits: Limits) -> RunOptions {
    RunOptions { limits, runtime: None }
}

#[tokio::test]
async fn a_result_is_cut_at_its_row_limit_and_says_so() {
    let session = lake(&[], Limits::default()).await;
    let limits = Limits { rows: 10, ..Limits::default() };
    for (count, rows, truncated) in [(9, 9, false), (10, 10, false), (11, 10, true), (1_000_000_000_000_i64, 10, true)]
    {
        let text = format!("SELECT * FROM generate_series(1, {count})");
        let (lines, outcome) = ask(&session, QuerySource::Text(text), &[], &with(limits)).await.expect("runs");
        assert_eq!((lines.len(), outcome.rows, outcome.truncated), (rows, rows, truncated), "{count}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_query_is_stopped_at_its_time_limit() {
    let session = lake(&[], Limits::default()).await;
    let limits = Limits { time: Duration::from_millis(300), ..Limits::default() };
    for text in [
        "SELECT count(*) FROM generate_series(1, 1000000000000) WHERE value % 7 = 8",
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
        "SELECT count(*) FROM generate_series(1, 1000000) a JOIN generate_series(1, 1000000) b ON a.value % 3 = b.value % 3",
    ] {
        let begun = Instant::now();
        let error = ask(&session, QuerySource::Text(text.to_owned()), &[], &with(limits)).await.expect_err(text);
        assert_eq!(error.kind, QueryErrorKind::Limit(LimitKind::Time), "{text}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{text}: {:?}", begun.elapsed());
    }
    insta::assert_snapshot!(
        ask(&session, QuerySource::Text("SELECT count(*) FROM generate_series(1, 1000000000000) WHERE value % 7 = 8".into()), &[], &with(limits))
            .await
            .expect_err("slow"),
        @"
    the query took longer than 300 ms and was stopped

    hint: ask for fewer days (a condition on event_at skips whole files), or raise the time limit
    "
    );
}

#[tokio::test]
async fn too_much_memory_is_an_error_of_its_own_kind() {
    let session = lake(&[], Limits { memory_bytes: 1 << 20, temp_disk_bytes: 1 << 20, ..Limits::default() }).await;
    let error = sql(&session, "SELECT value, count(*) FROM generate_series(1, 3000000) GROUP BY value ORDER BY 2, 1")
        .await
        .expect_err("too much");
    assert!(matches!(error.kind, QueryErrorKind::Limit(LimitKind::Memory | LimitKind::TempDisk)), "{error}");
    let session = lake(&[], Limits::default()).await;
    let error = sql(&session, "SELECT repeat('x', 2000000000)").await.expect_err("too much");
    insta::assert_snapshot!(error, @"
    repeat would make more than 16,000,000 items in one call
      --> line 1, column 8
      |
    1 | SELECT repeat('x', 2000000000)
      |        ^^^^^^
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_rows_ends_the_work() {
    let runtime = QueryRuntime::new(Some(1)).expect("a runtime");
    let handle = runtime.handle().expect("running");
    let session = lake(&[], Limits::default()).await;
    let options =
        RunOptions { limits: Limits { rows: usize::MAX - 1, ..Limits::default() }, runtime: Some(handle.clone()) };
    let source = QuerySource::Text("SELECT * FROM generate_series(1, 1000000000000)".to_owned());
    let mut rows = run(&session, &Library::embedded(), &source, &params(&[]), &options).await.expect("begins");
    rows.next().await.expect("a batch").expect("rows");
    assert!(handle.metrics().num_alive_tasks() > 0, "the work is done on the query runtime");
    drop(rows);
    let begun = Instant::now();
    while handle.metrics().num_alive_tasks() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the task is still there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_hogs_its_runtime_does_not_delay_the_callers() {
    let runtime = QueryRuntime::new(Some(1)).expect("a runtime");
    let session = lake(&month(), Limits::default()).await;
    let limits = Limits { time: Duration::from_millis(500), ..Limits::default() };
    let options = RunOptions { limits, runtime: runtime.handle() };
    // A nested loop without a match does not yield for a long while.
    let text =
        "SELECT count(*) FROM generate_series(1, 30000) a JOIN generate_series(1, 30000) b ON a.value + b.value < 0";
    let begun = Instant::now();
    let error = ask(&session, QuerySource::Text(text.to_owned()), &[], &options).await.expect_err("slow");
    assert_eq!(error.kind, QueryErrorKind::Limit(LimitKind::Time), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
