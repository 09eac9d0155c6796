//! Many small files of a day into few sorted ones. Rows stay as they are, and so does their `batch_id`.
//!
//! A day that may still grow is kept in order of time (only its small files are merged); a settled day is put in order
//! of secret, then time, once, and again when enough late files have come. Sorting spills to disk beyond its memory.
//!
//! The commit says that no data changed and lands only at the version after its snapshot. If another commit came first
//! and left the files alone, the same files are committed after it; if it rewrote one of them, the work is thrown away
//! and the day is left for the next time.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use deltalake::{
    DeltaTable,
    arrow::{array::RecordBatch, compute::cast, datatypes::SchemaRef},
    datafusion::{
        dataframe::DataFrame,
        execution::{
            context::{SessionConfig, SessionContext},
            memory_pool::FairSpillPool,
            runtime_env::RuntimeEnvBuilder,
        },
        prelude::col,
    },
    kernel::{Action, Add},
    protocol::DeltaOperation,
};
use futures::StreamExt;
use keytrail_model::{Micros, time};

use crate::{
    encode::day_of,
    error::{At, LakeError, LakeErrorKind},
    files::FileFact,
    lake::Lake,
    schema::{TableName, TableSpec},
    table::{Draft, Landed},
    write::{FileWriter, Purpose},
};

/// A batch is the least that the sort can hold, and `raw` makes rows wide.
const SORT_BATCH_ROWS: usize = 1_024;

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compaction {
    /// Days (of all tables) whose files were rewritten.
    pub days: u64,
    /// Files that were merged.
    pub files_before: u64,
    /// Files that came of them.
    pub files_after: u64,
    /// Rows in them.
    pub rows: u64,
    /// Days that another writer changed meanwhile; the next compaction takes them.
    pub days_left: u64,
}

/// Files that become one (or few).
struct Job {
    partition: Option<String>,
    files: Vec<Arc<FileFact>>,
    purpose: Purpose,
}

impl Lake {
    /// Compacts what is worth it, as of a moment (which days are settled depends on it).
    ///
    /// # Errors
    /// The tables cannot be read or written. What was compacted until then stays.
    pub async fn compact(&self, now: Micros) -> Result<Compaction, LakeError> {
        let mut done = Compaction::default();
        for name in TableName::ALL {
            let table = self.inner.tables.get(name).latest().await?;
            for job in self.jobs(name, &table, now)? {
                self.compact_files(name, job, &mut done).await?;
            }
        }
        Ok(done)
    }

    fn jobs(&self, name: TableName, table: &DeltaTable, now: Micros) -> Result<Vec<Job>, LakeError> {
        let settings = &self.inner.settings;
        let settled_until = day_of(now.saturating_sub(i64::from(settings.settled_after_days) * time::DAY));
        let mut days: BTreeMap<Option<String>, Vec<Arc<FileFact>>> = BTreeMap::new();
        for file in self.files(name).of(table, name)? {
            days.entry(file.partition.clone()).or_default().push(file);
        }
        let job = |(partition, mut files): (Option<String>, Vec<Arc<FileFact>>)| {
            files.sort_by(|one, other| one.path.cmp(&other.path));
            let ordered = files.iter().filter(|file| file.is_settled()).count();
            let late = files.len() - ordered;
            // A table without days, and `unknown`, never settle.
            let settled = partition.as_deref().is_some_and(|day| day < settled_until.as_str());
            if settled {
                let worth_it = late >= settings.compact_min_files || (ordered == 0 && late > 0);
                return worth_it.then_some(Job { partition, files, purpose: Purpose::Settled });
            }
            files.retain(|file| usize::try_from(file.size).is_ok_and(|size| size < settings.compact_file_bytes / 2));
            let worth_it = files.len() >= settings.compact_min_files;
            worth_it.then_some(Job { partition, files, purpose: Purpose::Compacted })
        };
        Ok(days.into_iter().filter_map(job).collect())
    }

    async fn compact_files(&self, name: TableName, job: Job, done: &mut Compaction) -> Result<(), LakeError> {
        let table = self.inner.tables.get(name);
        let mut snapshot = table.latest().await?;
        if !self.all_there(name, &snapshot, &job)? {
            done.days_left += 1;
            return Ok(());
        }
        let (adds, rows) = self.merge(name, &snapshot, &job).await?;
        let known: Option<u64> = job.files.iter().map(|file| file.rows).sum();
        if known.is_some_and(|known| known != rows) {
            self.discard(&snapshot, &adds).await;
            let kind = LakeErrorKind::Damaged(format!("the files hold {rows} rows, the log says {known:?}"));
            return Err(LakeError::new(name, kind));
        }
        for attempt in 0..self.inner.settings.commit_attempts {
            let removes = job.files.iter().map(|file| Action::Remove(file.remove(name.spec(), false)));
            let draft = Draft {
                actions: removes.chain(adds.iter().cloned().map(Action::Add)).collect(),
                metadata: Default::default(),
                transactions: Vec::new(),
                operation: DeltaOperation::Optimize {
                    predicate: None,
                    target_size: i64::try_from(self.inner.settings.compact_file_bytes).unwrap_or(i64::MAX),
                },
            };
            let landed = table.land(&snapshot, draft).await?;
            if let Landed::At(_) = landed {
                done.days += 1;
                done.files_before += job.files.len() as u64;
                done.files_after += adds.len() as u64;
                done.rows += rows;
                return Ok(());
            }
            self.pause(attempt).await;
            snapshot = table.latest().await?;
            if !self.all_there(name, &snapshot, &job)? {
                // After an unconfirmed commit the files may be gone because this very commit landed.
                if landed == Landed::Lost {
                    self.discard(&snapshot, &adds).await;
                }
                done.days_left += 1;
                return Ok(());
            }
        }
        self.discard(&snapshot, &adds).await;
        Err(LakeError::new(name, LakeErrorKind::Contended { attempts: self.inner.settings.commit_attempts }))
    }

    fn all_there(&self, name: TableName, snapshot: &DeltaTable, job: &Job) -> Result<bool, LakeError> {
        let files = self.files(name).of(snapshot, name)?;
        let active: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        Ok(job.files.iter().all(|file| active.contains(file.path.as_str())))
    }

    /// Writes the rows of some files in order into new files.
    async fn merge(&self, name: TableName, snapshot: &DeltaTable, job: &Job) -> Result<(Vec<Add>, u64), LakeError> {
        let spec = name.spec();
        let schema = snapshot.snapshot().at(name)?.snapshot().arrow_schema();
        let mut sorted = self.sorted(name, snapshot, job).await?.execute_stream().await.at(name)?;
        let store = snapshot.log_store().object_store(None);
        let (mut adds, mut rows) = (Vec::new(), 0);
        let mut writer: Option<FileWriter> = None;
        while let Some(batch) = sorted.next().await {
            let batch = plain(spec, &schema, &batch.at(name)?)?;
            rows += batch.num_rows() as u64;
            let mut open = match writer.take() {
                Some(open) => open,
                None => FileWriter::new(spec, job.partition.clone(), &schema, job.purpose)?,
            };
            // Compressing is work for a core, so it leaves the runtime's own threads alone.
            let open = tokio::task::spawn_blocking(move || open.write(&batch).map(|()| open)).await.at(name)??;
            if open.size_bytes() >= self.inner.settings.compact_file_bytes {
                adds.push(open.finish(false)?.store(store.as_ref()).await?);
            } else {
                writer = Some(open);
            }
        }
        if let Some(open) = writer.filter(|open| open.rows() > 0) {
            adds.push(open.finish(false)?.store(store.as_ref()).await?);
        }
        Ok((adds, rows))
    }

    async fn sorted(&self, name: TableName, snapshot: &DeltaTable, job: &Job) -> Result<DataFrame, LakeError> {
        let memory = Arc::new(FairSpillPool::new(self.inner.settings.compact_memory_bytes));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(memory).build_arc().at(name)?;
        // The sort's own reserve must fit the pool, however small that is set.
        let reserve = (self.inner.settings.compact_memory_bytes / 16).min(10 * 1024 * 1024);
        let mut config = SessionConfig::new()
            .with_target_partitions(2)
            .with_batch_size(SORT_BATCH_ROWS)
            .with_sort_spill_reservation_bytes(reserve);
        // Views of texts share their buffers, which the sort's accounting would count once per column.
        config.options_mut().execution.parquet.schema_force_view_types = false;
        let context = SessionContext::new_with_config_rt(config, runtime);
        let paths = job.files.iter().map(|file| file.path.clone());
        let scan = snapshot.table_provider().with_session(Arc::new(context.state())).with_file_paths(paths);
        let provider = scan.build().await.at(name)?;
        let order = match job.purpose {
            Purpose::Settled => name.spec().settled_order,
            Purpose::Fresh | Purpose::Compacted => name.spec().fresh_order,
        };
        let order = order.iter().map(|column| col(*column).sort(true, false)).collect();
        context.read_table(Arc::new(provider)).at(name)?.sort(order).at(name)
    }
}

/// The rows in the table's own types and order of columns.
fn plain(spec: &TableSpec, schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, LakeError> {
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let column = batch.column_by_name(field.name()).ok_or_else(|| {
            LakeError::new(spec.name, LakeErrorKind::Damaged(format!("the scan lacks the column {}", field.name())))
        })?;
        columns.push(cast(column, field.data_type()).at(spec.name)?);
    }
    RecordBatch::try_new(schema.clone(), columns).at(spec.name)
}

#[cfg(test)]
mod tests;
