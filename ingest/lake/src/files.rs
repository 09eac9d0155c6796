//! The one place that turns a snapshot into its list of Parquet files.
//!
//! What the log says of a file never changes, so it is parsed once and kept by path; files that left the snapshot are
//! forgotten. A file without a bound (absurd moments, statistics of another writer) counts as holding everything.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use deltalake::{DeltaTable, kernel::Remove};
use keytrail_model::{Micros, time};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    error::{At, LakeError, LakeErrorKind},
    schema::{TableName, TableSpec},
    write::SETTLED,
};

/// What is known of one file of a table.
#[derive(Clone, Debug)]
pub(crate) struct FileFact {
    /// Under the table's folder.
    pub(crate) path: String,
    pub(crate) size: u64,
    /// The partition's value.
    pub(crate) partition: Option<String>,
    pub(crate) rows: Option<u64>,
    first_event_at: Option<Micros>,
    last_event_at: Option<Micros>,
    first_batch: Option<String>,
    last_batch: Option<String>,
    /// False only when the log says that no row corrects another event.
    pub(crate) may_correct: bool,
}

/// The facts of a table's files, kept from one snapshot to the next.
#[derive(Default)]
pub(crate) struct FileFacts {
    known: Mutex<HashMap<String, Arc<FileFact>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stats {
    num_records: Option<u64>,
    min_values: HashMap<String, Value>,
    max_values: HashMap<String, Value>,
    null_count: HashMap<String, Value>,
}

impl FileFacts {
    /// The files of a snapshot.
    pub(crate) fn of(&self, snapshot: &DeltaTable, table: TableName) -> Result<Vec<Arc<FileFact>>, LakeError> {
        let state = snapshot.snapshot().at(table)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut active = HashMap::with_capacity(known.len() + 1);
        for view in state.log_data().iter() {
            let path = view.path().into_owned();
            let fact = match known.remove(&path) {
                Some(fact) => fact,
                None => {
                    if view.deletion_vector_descriptor().is_some() {
                        let kind = LakeErrorKind::Foreign(format!("{path} has a deletion vector"));
                        return Err(LakeError::new(table, kind));
                    }
                    let stats = view.stats().and_then(|stats| serde_json::from_str(&stats).ok()).unwrap_or_default();
                    let partition = table.spec().partition;
                    let partition = partition.and_then(|column| view.partition_values_map().remove(column)).flatten();
                    Arc::new(FileFact::new(path.clone(), view.size(), partition, &stats))
                }
            };
            active.insert(path, fact);
        }
        let files = active.values().cloned().collect();
        *known = active;
        Ok(files)
    }
}

impl FileFact {
    fn new(path: String, size: i64, partition: Option<String>, stats: &Stats) -> Self {
        let moment = |values: &HashMap<String, Value>| time::parse_rfc3339(values.get("event_at")?.as_str()?);
        let text = |values: &HashMap<String, Value>| values.get("batch_id").and_then(Value::as_str).map(str::to_owned);
        let uncorrecting = stats.null_count.get("corrects_event_id").and_then(Value::as_u64);
        Self {
            path,
            size: u64::try_from(size).unwrap_or_default(),
            partition,
            rows: stats.num_records,
            first_event_at: moment(&stats.min_values),
            last_event_at: moment(&stats.max_values),
            first_batch: text(&stats.min_values),
            last_batch: text(&stats.max_values),
            may_correct: uncorrecting.is_none() || uncorrecting != stats.num_records,
        }
    }

    /// Whether rows with a time in `first..=last` can be in it.
    pub(crate) fn may_hold(&self, first: Micros, last: Micros) -> bool {
        self.first_event_at.is_none_or(|start| start <= last) && self.last_event_at.is_none_or(|end| end >= first)
    }

    /// Whether rows of this batch can be in it.
    pub(crate) fn may_hold_batch(&self, batch: &str) -> bool {
        self.first_batch.as_deref().is_none_or(|first| first <= batch)
            && self.last_batch.as_deref().is_none_or(|last| last >= batch)
    }

    /// Whether its rows are in the order of settled days.
    pub(crate) fn is_settled(&self) -> bool {
        self.path.rsplit('/').next().is_some_and(|name| name.starts_with(SETTLED))
    }

    /// The file's entry in a commit that takes it out.
    pub(crate) fn remove(&self, spec: &TableSpec, data_change: bool) -> Remove {
        let partition = spec.partition.map(|column| HashMap::from([(column.to_owned(), self.partition.clone())]));
        Remove {
            path: self.path.clone(),
            data_change,
            deletion_timestamp: Some(time::now() / 1_000),
            extended_file_metadata: Some(true),
            partition_values: Some(partition.unwrap_or_default()),
            size: Some(i64::try_from(self.size).unwrap_or(i64::MAX)),
            ..Remove::default()
        }
    }
}
