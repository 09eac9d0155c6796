//! A session over a real lake in a folder.

use deltalake::{arrow::util::pretty::pretty_format_batches, datafusion::physical_plan::displayable};

use crate::{
    session::{SessionSettings, plan_read_only},
    testing::{START, batch, from_object, lake, read},
};

const DAY: i64 = 24 * 3_600_000_000;

#[tokio::test]
async fn a_session_reads_what_was_committed_and_skips_files_by_time() {
    let (_folder, lake) = lake().await;
    for day in 0..3 {
        let row = from_object(read(&format!("e{day}"), "app/db", START + day * DAY), &format!("k{day}"));
        lake.commit(batch([row])).await.expect("commits");
    }
    let session = lake.session(&SessionSettings::default()).await.expect("a session");
    let ask = async |sql: &str| {
        let plan = plan_read_only(&session, sql).await.expect(sql);
        session.execute_logical_plan(plan).await.expect(sql).collect().await.expect(sql)
    };
    let batches = ask("SELECT read_count, days_active FROM pairs").await;
    let table = pretty_format_batches(&batches).expect("printable").to_string();
    assert!(table.contains("| 3          | 3           |"), "{table}");

    // What is committed after the session was made is not seen by it.
    lake.commit(batch([from_object(read("e9", "app/db", START + 9 * DAY), "k9")])).await.expect("commits");
    let batches = ask("SELECT count(*) AS n FROM access_events").await;
    assert!(pretty_format_batches(&batches).expect("printable").to_string().contains("| 3 |"));

    let since = "SELECT event_id FROM access_events WHERE event_at >= TIMESTAMP '2026-08-03T00:00:00Z'";
    let plan = plan_read_only(&session, since).await.expect("plans");
    let plan = session.execute_logical_plan(plan).await.expect("plans").create_physical_plan().await.expect("plans");
    let shown = displayable(plan.as_ref()).indent(true).to_string();
    assert!(shown.contains("event_date=2026-08-03/part-"), "{shown}");
    assert!(
        !shown.contains("event_date=2026-08-01/part-") && !shown.contains("event_date=2026-08-02/part-"),
        "{shown}"
    );
}
