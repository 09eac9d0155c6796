//! Compaction beside everything else that goes on.

use keytrail_model::time::{DAY, HOUR, SECOND};

use super::*;
use crate::{
    lake::LakeSettings,
    testing::{START, ask, batch, decrypt, from_object, lake, read, rows},
};

/// Some commits of a few rows each, on two days.
async fn fill(lake: &Lake, from: i64, to: i64) {
    for number in from..to {
        let at = START + number % 2 * DAY + number * SECOND;
        let secret = ["b", "a", "c"][usize::try_from(number % 3).expect("small")];
        let row = from_object(read(&format!("e{number:03}"), secret, at), &format!("o{number}"));
        lake.commit(batch([row])).await.expect("a commit");
    }
}

async fn file_count(lake: &Lake) -> usize {
    let table = lake.inner.tables.get(TableName::AccessEvents).latest().await.expect("a snapshot");
    lake.files(TableName::AccessEvents).of(&table, TableName::AccessEvents).expect("files").len()
}

#[tokio::test]
async fn rows_stay_and_are_no_change() {
    let (_folder, lake) = lake().await;
    fill(&lake, 0, 12).await;
    let told = "SELECT event_id, secret_id, batch_id, ingested_at, event_date FROM access_events_stored ORDER BY 1";
    let before = ask(&lake, told).await;
    assert_eq!(file_count(&lake).await, 12);
    let judged = lake.version().await.expect("a version");
    let done = lake.compact(START + 30 * DAY).await.expect("a compaction");
    assert!(done.days >= 2 && done.days_left == 0, "{done:?}");
    assert_eq!(file_count(&lake).await, 2);
    assert_eq!(ask(&lake, told).await, before);
    let changes = lake.changes(Some(judged), 100).await.expect("changes").expect("a newer version");
    assert_eq!(changes.row_count(), 0, "compaction is no change");
    // Rows are still found where they are now.
    let all = lake.changes(None, 100).await.expect("changes").expect("rows");
    assert_eq!(all.row_count(), 12);
    // Nothing is left to do, and the order of a settled day is by secret.
    let again = lake.compact(START + 30 * DAY).await.expect("a compaction");
    assert_eq!(again, Compaction::default());
    let day = ask(&lake, "SELECT secret_name FROM access_events_stored WHERE event_date = '2026-08-01'").await;
    assert!(day.is_sorted(), "{day:?}");
}

#[tokio::test]
async fn a_day_that_grows_stays_in_order_of_time() {
    let (_folder, lake) = lake().await;
    fill(&lake, 0, 10).await;
    lake.compact(START + HOUR).await.expect("a compaction");
    let day = ask(&lake, "SELECT event_id FROM access_events_stored WHERE event_date = '2026-08-01'").await;
    assert_eq!(day, ["e000", "e002", "e004", "e006", "e008"]);
}

#[tokio::test]
async fn duplicates_and_evidence_still_find_compacted_rows() {
    let (_folder, lake) = lake().await;
    fill(&lake, 0, 12).await;
    lake.compact(START + 30 * DAY).await.expect("a compaction");
    let again = from_object(read("e000", "b", START), "again");
    let key = from_object(decrypt("k", "b", "v1", START + SECOND), "again");
    let done = lake.commit(batch([again, key])).await.expect("a commit");
    assert_eq!((done.rows_written, done.duplicate_events, done.rows_changed), (1, 1, 1));
    let told = rows(&lake).await;
    assert_eq!(told.len(), 13);
    assert!(told.contains(&"e000|b|v1".to_owned()), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_beside_a_worker_that_rewrites_the_same_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = LakeSettings { compact_min_files: 2, ..LakeSettings::default() };
    let lake = Lake::open(folder.path(), settings.clone()).await.expect("a lake");
    let other = Lake::open(folder.path(), settings).await.expect("a lake");
    fill(&lake, 0, 6).await;
    let settle = async {
        for number in 0..16_i64 {
            // Every decrypt rewrites the file that holds its read, wherever compaction has put it.
            let at = START + number % 6 % 2 * DAY + number % 6 * SECOND;
            let secret = ["b", "a", "c"][usize::try_from(number % 3).expect("small")];
            let key =
                from_object(decrypt(&format!("k{number}"), secret, &format!("v{number}"), at), &format!("k{number}"));
            lake.commit(batch([key])).await.expect("a commit");
        }
    };
    let compact = async {
        for _ in 0..8 {
            other.compact(START + HOUR).await.expect("a compaction");
        }
    };
    tokio::join!(settle, compact);
    assert_eq!(ask(&lake, "SELECT count(*), count(DISTINCT event_id) FROM access_events_stored").await, ["22|22"]);
    let unsettled = "SELECT count(*) FROM access_events_stored WHERE action = 'read' AND version_id IS NULL";
    assert_eq!(ask(&lake, unsettled).await, ["0"]);
    assert_eq!(ask(&lake, "SELECT count(*) FROM objects_stored").await, ["22"]);
}

#[tokio::test]
async fn sorting_fits_a_small_memory_and_files_are_closed_at_their_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = LakeSettings {
        compact_memory_bytes: 24 * 1024 * 1024,
        compact_file_bytes: 256 * 1024,
        ..LakeSettings::default()
    };
    let lake = Lake::open(folder.path(), settings).await.expect("a lake");
    for part in 0..4_u32 {
        let events = (0..3_000_u32).map(|number| {
            let mut row =
                read(&format!("e{part}-{number}"), ["a", "b"][usize::from(number % 2 == 0)], START + i64::from(number));
            // Texts that do not compress away.
            row.raw = format!(
                "{{\"x\":\"{:x?}\"}}",
                sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(&row.event_id))
            )
            .repeat(3);
            from_object(row, &format!("o{part}"))
        });
        lake.commit(batch(events)).await.expect("a commit");
    }
    let done = lake.compact(START + 30 * DAY).await.expect("a compaction");
    assert!(done.files_after > 1, "files are closed at their size: {done:?}");
    assert_eq!(
        ask(&lake, "SELECT count(*), count(DISTINCT event_id) FROM access_events_stored").await,
        ["12000|12000"]
    );
}
