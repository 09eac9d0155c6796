//! Formats old, new and foreign; opening at the same moment.

use std::path::Path;

use deltalake::{arrow::array::RecordBatch, kernel::Action, operations::create::CreateBuilder};

use url::Url;

use super::*;
use crate::{
    Lake, LakeSettings,
    encode::encode_access_events,
    error::Response,
    project::append,
    testing::{START, ask, batch, decrypt, from_object, lake, read},
    write::{FileWriter, Purpose},
};

async fn open(folder: &Path) -> Result<Lake, LakeError> {
    Lake::open(folder, LakeSettings::default()).await
}

async fn set_format(lake: &Lake, name: TableName, version: &str) {
    let table = lake.inner.tables.get(name).seen().await;
    let property = HashMap::from([(FORMAT_PROPERTY.to_owned(), version.to_owned())]);
    table.set_tbl_properties().with_properties(property).with_raise_if_not_exists(false).await.expect("a property");
}

#[tokio::test]
async fn a_newer_format_is_refused_and_nothing_is_written() {
    let (folder, lake) = lake().await;
    let newer = FORMAT.0 + 1;
    set_format(&lake, TableName::AccessEvents, &newer.to_string()).await;
    let log = folder.path().join("access_events/_delta_log");
    let entries = || std::fs::read_dir(&log).expect("the log").count();
    let before = entries();
    let refused = open(folder.path()).await.expect_err("a newer format");
    assert!(
        matches!(refused.kind, LakeErrorKind::NewerFormat { found, known } if (found, known) == (newer, FORMAT.0)),
        "{refused}"
    );
    assert_eq!(refused.response(), Response::Stop);
    assert!(refused.to_string().contains("use a newer keytrail"), "{refused}");
    // A worker that had the lake open notices too.
    let refused = lake.commit(batch([from_object(read("e", "a", START), "o")])).await.expect_err("a newer format");
    assert!(matches!(refused.kind, LakeErrorKind::NewerFormat { .. }), "{refused}");
    assert_eq!(entries(), before);
}

#[tokio::test]
async fn a_format_that_is_no_number_is_damage() {
    let (folder, lake) = lake().await;
    set_format(&lake, TableName::Objects, "soon").await;
    let refused = open(folder.path()).await.expect_err("no number");
    assert!(matches!(refused.kind, LakeErrorKind::Damaged(_)), "{refused}");
}

#[tokio::test]
async fn a_table_of_another_program_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("events");
    std::fs::create_dir_all(&place).expect("a folder");
    let url = Url::from_directory_path(&place).expect("a path");
    let table = DeltaTableBuilder::from_url(url).expect("a table").build().expect("a table");
    let fields = TableName::Events.spec().delta_fields();
    CreateBuilder::new().with_log_store(table.log_store()).with_columns(fields).await.expect("a table");
    let refused = open(folder.path()).await.expect_err("not ours");
    assert!(matches!(refused.kind, LakeErrorKind::Foreign(_)), "{refused}");
}

/// Makes `access_events` as a program that did not know a column had made it, with one row in it.
async fn older_table(root: &Path, unknown: &str) {
    let spec = TableName::AccessEvents.spec();
    let place = root.join(spec.name.folder());
    std::fs::create_dir_all(&place).expect("a folder");
    let url = Url::from_directory_path(place.canonicalize().expect("a path")).expect("a path");
    let table = DeltaTableBuilder::from_url(url).expect("a table").build().expect("a table");
    let fields = spec.columns.iter().filter(|column| column.name != unknown).map(|column| column.delta_field());
    let mut table = CreateBuilder::new()
        .with_log_store(table.log_store())
        .with_columns(fields)
        .with_partition_columns(spec.partition)
        .with_configuration(spec.properties())
        .with_raise_if_key_not_exists(false)
        .await
        .expect("a table");
    let rows = encode_access_events(&[read("old", "a", START)], 1, "0").expect("columns");
    let kept: Vec<usize> = (0..rows.num_columns()).filter(|at| rows.schema().field(*at).name() != unknown).collect();
    let rows: RecordBatch = rows.project(&kept).expect("columns");
    let mut writer =
        FileWriter::new(spec, Some("2026-08-01".into()), &rows.schema(), Purpose::Fresh).expect("a writer");
    writer.write(&rows).expect("rows");
    let add = writer.finish(true).expect("a file").store(table.object_store().as_ref()).await.expect("stored");
    table.update_state().await.expect("a snapshot");
    let draft = Draft {
        actions: vec![Action::Add(add)],
        metadata: HashMap::new(),
        transactions: Vec::new(),
        operation: append(spec.name),
    };
    let table = Table { name: spec.name, newest: Mutex::new(table) };
    let snapshot = table.seen().await;
    assert!(matches!(table.land(&snapshot, draft).await, Ok(Landed::At(1))));
}

#[tokio::test]
async fn a_column_that_an_older_table_lacks_is_added() {
    for unknown in ["tls_version", "corrects_event_id"] {
        let folder = tempfile::tempdir().expect("a folder");
        older_table(folder.path(), unknown).await;
        let lake = open(folder.path()).await.expect("an older lake");
        let told = format!("SELECT event_id, {unknown}, version_id FROM access_events_stored ORDER BY 1");
        assert_eq!(ask(&lake, &told).await, ["old|-|-"]);
        // Its file takes part in everything: duplicates, settling by copy, changes, compaction.
        let again = from_object(read("old", "a", START), "o");
        let mut new = from_object(read("new", "b", START), "o");
        new.tls_version = Some("TLSv1.3".into());
        let key = from_object(decrypt("k", "a", "v", START), "o");
        let done = lake.commit(batch([again, new, key])).await.expect("a commit");
        assert_eq!((done.rows_written, done.duplicate_events, done.rows_changed), (2, 1, 1));
        let told = "SELECT event_id, tls_version, version_id FROM access_events_stored ORDER BY 1";
        let expected = ["k|-|v", "new|TLSv1.3|-", "old|-|v"];
        assert_eq!(ask(&lake, told).await, expected);
        lake.compact(START + 30 * keytrail_model::time::DAY).await.expect("a compaction");
        assert_eq!(ask(&lake, told).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lake_opened_by_many_at_once_is_made_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let opened = futures::future::join_all((0..6).map(|_| {
        let path = folder.path().to_owned();
        tokio::spawn(async move { open(&path).await })
    }));
    for lake in opened.await {
        lake.expect("a task").expect("a lake");
    }
    let lake = open(folder.path()).await.expect("a lake");
    assert_eq!(lake.version().await.expect("a version"), 0);
}

#[tokio::test]
async fn what_a_crash_leaves_in_the_log_is_ignored() {
    let (folder, lake) = lake().await;
    lake.commit(batch([from_object(read("e1", "a", START), "o1")])).await.expect("a commit");
    let log = folder.path().join("access_events/_delta_log");
    // A half-written entry lies beside its place until the moment it is whole.
    std::fs::write(log.join("00000000000000000002.json#1"), b"{\"commitInfo\":{").expect("a file");
    std::fs::write(log.join("_commit_0.json.tmp"), b"{").expect("a file");
    let lake = open(folder.path()).await.expect("a lake");
    lake.commit(batch([from_object(read("e2", "a", START), "o2")])).await.expect("a commit");
    assert_eq!(ask(&lake, "SELECT count(*) FROM access_events_stored").await, ["2"]);
}

#[tokio::test]
async fn a_commit_knows_itself_when_it_is_put_twice() {
    let (_folder, lake) = lake().await;
    let table = lake.inner.tables.get(TableName::Events);
    let snapshot = table.latest().await.expect("a snapshot");
    let entry = |id: &str| Bytes::from(format!("{{\"commitInfo\":{{\"keytrail.commitId\":\"{id}\"}}}}\n"));
    for _ in 0..2 {
        // As when the store's answer was an error although the entry was written, and the store tried again.
        assert_eq!(table.put(&snapshot, entry("mine")).await.expect("an answer"), Landed::At(1));
    }
    assert_eq!(table.put(&snapshot, entry("theirs")).await.expect("an answer"), Landed::Lost);
}
