//! What is new or changed since a version: what the rules judge.
//!
//! In: the version of `access_events` up to which was judged, and how many rows at most. Out: the rows of the commits
//! after it, as they stand now, and the version they go up to. Each commit of ingest stamps its rows, new and changed,
//! with its `batch_id`; compaction keeps it, so compaction is no change. A row that a later commit changed again comes
//! with that later commit. At least one commit is taken, however large.
//!
//! Bad input: a version whose log is gone is [`crate::LakeErrorKind::LogGone`]; the caller rebuilds from the tables.

use std::{collections::HashSet, sync::Arc};

use deltalake::{
    DeltaTable,
    arrow::{
        array::{RecordBatch, StringArray, new_null_array},
        compute::cast,
    },
};
use futures::{FutureExt, StreamExt};

use crate::{
    error::{At, LakeError},
    lake::{Lake, in_parallel},
    ledger::commit_line,
    read::{self, Test, one_of},
    schema::{TableName, TableSpec},
    table::version_of,
};

const NAME: TableName = TableName::AccessEvents;

/// Rows that came or changed in some commits.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The version that was asked from: its own commit is not in it.
    pub from: Option<u64>,
    /// The last version that is in it.
    pub to: u64,
    /// The rows, with every column of `access_events`.
    pub rows: Vec<RecordBatch>,
}

impl Changes {
    /// How many rows there are.
    pub fn row_count(&self) -> usize {
        self.rows.iter().map(RecordBatch::num_rows).sum()
    }
}

impl Lake {
    /// The rows that came or changed after a version (all of the log where it is `None`). `None` if there is no newer
    /// version.
    ///
    /// # Errors
    /// The log or the files cannot be read, or the log no longer goes back that far.
    pub async fn changes(&self, after: Option<u64>, max_rows: usize) -> Result<Option<Changes>, LakeError> {
        let snapshot = self.inner.tables.get(NAME).latest().await?;
        let newest = version_of(&snapshot);
        let first = after.map_or(0, |version| version + 1);
        if first > newest {
            return Ok(None);
        }
        let log = snapshot.log_store();
        let max_rows = u64::try_from(max_rows).unwrap_or(u64::MAX);
        let (mut to, mut rows, mut batches) = (first, 0, HashSet::new());
        for version in first..=newest {
            if let Some(line) = commit_line(log.as_ref(), version).await? {
                let more = line.rows_written + line.rows_changed;
                if rows > 0 && more > 0 && rows + more > max_rows {
                    break;
                }
                rows += more;
                batches.extend(line.batch_id.filter(|_| more > 0));
            }
            to = version;
        }
        let rows = self.rows_of(&snapshot, batches).await?;
        Ok(Some(Changes { from: after, to, rows }))
    }

    /// The rows of these batches, wherever they are now.
    async fn rows_of(&self, snapshot: &DeltaTable, batches: HashSet<String>) -> Result<Vec<RecordBatch>, LakeError> {
        let batches = Arc::new(batches);
        let store = snapshot.log_store().object_store(None);
        let files = self.files(NAME).of(snapshot, NAME)?;
        let mut files: Vec<_> =
            files.into_iter().filter(|file| batches.iter().any(|batch| file.may_hold_batch(batch))).collect();
        // Folders are days, so rows come by day.
        files.sort_by(|one, other| one.path.cmp(&other.path));
        let jobs = files.into_iter().map(|file| {
            let (batches, store) = (batches.clone(), store.clone());
            let job = async move {
                let passes = move |column: &_| one_of(column, |batch| batches.contains(batch));
                let test = Test { column: "batch_id", passes: Box::new(passes), may_pass: None };
                let mut stream = read::open(store, &file, None, Some(test)).await?;
                let mut rows = Vec::new();
                while let Some(batch) = stream.next().await {
                    let batch = batch.at(&file.path)?;
                    if batch.num_rows() > 0 {
                        rows.push(whole(NAME.spec(), &batch, file.partition.as_deref())?);
                    }
                }
                Ok(rows)
            };
            job.boxed()
        });
        Ok(in_parallel(NAME, jobs.collect()).await?.into_iter().flatten().collect())
    }
}

/// A file's rows with all columns of the schema: the partition's value filled in, columns it is too old for as null.
pub(crate) fn whole(spec: &TableSpec, batch: &RecordBatch, partition: Option<&str>) -> Result<RecordBatch, LakeError> {
    let schema = spec.arrow_schema();
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        columns.push(match batch.column_by_name(field.name()) {
            Some(column) => cast(column, field.data_type()).at(spec.name)?,
            None if spec.partition == Some(field.name()) => {
                let value = partition.unwrap_or_default();
                Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, batch.num_rows())))
            }
            None => new_null_array(field.data_type(), batch.num_rows()),
        });
    }
    RecordBatch::try_new(schema, columns).at(spec.name)
}

#[cfg(test)]
mod tests {
    use keytrail_model::time::{DAY, SECOND};

    use super::*;
    use crate::{
        LakeSettings,
        encode::{Texts, decode_access_events},
        error::LakeErrorKind,
        testing::{START, batch, decrypt, from_object, lake, read},
    };

    fn ids(changes: &Changes) -> Vec<String> {
        let mut ids: Vec<String> = changes
            .rows
            .iter()
            .flat_map(|batch| decode_access_events(batch).expect("rows"))
            .map(|event| event.event_id)
            .collect();
        ids.sort();
        ids
    }

    #[tokio::test]
    async fn new_and_changed_rows_come_once_in_order() {
        let (_folder, lake) = lake().await;
        let start = lake.version().await.expect("a version");
        assert!(lake.changes(Some(start), 10).await.expect("changes").is_none());
        let reads = [from_object(read("r1", "a", START), "o1"), from_object(read("r2", "b", START - DAY), "o1")];
        let one = lake.commit(batch(reads)).await.expect("a commit").version;
        let first = lake.changes(Some(start), 10).await.expect("changes").expect("rows");
        assert_eq!((first.from, first.to, ids(&first)), (Some(start), one, vec!["r1".into(), "r2".into()]));
        let days = Texts::of(&first.rows[0], "event_date").expect("the partition's column");
        assert_eq!(days.maybe(0), Some("2026-07-31"));

        let two = lake.commit(batch([from_object(decrypt("k1", "a", "v", START + SECOND), "o2")])).await;
        let two = two.expect("a commit").version;
        let second = lake.changes(Some(one), 10).await.expect("changes").expect("rows");
        assert_eq!((second.to, ids(&second)), (two, vec!["k1".into(), "r1".into()]), "the read was given its version");
        // From the start: the changed row comes once, as it stands now.
        let all = lake.changes(None, 10).await.expect("changes").expect("rows");
        assert_eq!(ids(&all), ["k1", "r1", "r2"]);
        assert!(lake.changes(Some(two), 10).await.expect("changes").is_none());
    }

    #[tokio::test]
    async fn a_limit_parts_at_commits_and_always_moves_on() {
        let (_folder, lake) = lake().await;
        let mut after = Some(lake.version().await.expect("a version"));
        for number in 0..3_i64 {
            let rows = (0..2_i64).map(|row| {
                from_object(read(&format!("e{number}-{row}"), "a", START + number * 60 * SECOND), &format!("o{number}"))
            });
            lake.commit(batch(rows)).await.expect("a commit");
        }
        let mut parts = Vec::new();
        while let Some(changes) = lake.changes(after, 1).await.expect("changes") {
            parts.push(changes.row_count());
            after = Some(changes.to);
        }
        assert_eq!(parts, [2, 2, 2]);
    }

    #[tokio::test]
    async fn a_log_that_was_cleaned_is_said_to_be_gone_and_statistics_outlive_it() {
        let (folder, lake) = lake().await;
        for number in 0..24_i64 {
            let row = from_object(read(&format!("e{number}"), "a", START + number * SECOND), &format!("o{number}"));
            lake.commit(batch([row])).await.expect("a commit");
        }
        let log = folder.path().join("access_events/_delta_log");
        assert!(log.join("00000000000000000019.checkpoint.parquet").exists(), "a checkpoint after 20 commits");
        lake.project_fully().await.expect("what vacuum does before it cleans the log");
        for version in 0..10 {
            std::fs::remove_file(log.join(format!("{version:020}.json"))).expect("an entry");
        }
        let lake = Lake::open(folder.path(), LakeSettings::default()).await.expect("a lake");
        let gone = lake.changes(Some(3), 10).await.expect_err("the log is gone");
        assert!(matches!(gone.kind, LakeErrorKind::LogGone { wanted: 4, oldest: 10 }), "{gone}");
        let rest = lake.changes(Some(9), 100).await.expect("changes").expect("rows");
        assert_eq!(rest.row_count(), 15);
        // The checkpoint carries what files are skipped by.
        let table = lake.inner.tables.get(NAME).latest().await.expect("a snapshot");
        let files = lake.files(NAME).of(&table, NAME).expect("files");
        assert_eq!(files.len(), 24);
        assert!(files.iter().all(|file| !file.may_correct && file.rows == Some(1)));
        assert_eq!(files.iter().filter(|file| file.may_hold(START, START)).count(), 1);
        assert!(files.iter().all(|file| !file.may_hold_batch("0")));
    }
}
