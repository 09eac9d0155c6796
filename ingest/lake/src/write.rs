//! Columns into Parquet files, and the files' entries for the Delta log.
//!
//! In: batches in a table's schema, already in the file's order, all of one partition. Out: bytes in the store and an
//! `Add` action with row count, smallest and largest value, so that readers skip whole files. The partition column
//! itself is not in the file (Delta keeps it in the log).
//!
//! Settings and why: zstd 1 when fresh (encoding is on ingest's path) and 3 when compacted (written once, read often);
//! row groups of 64 Ki rows keep one group's `raw` column near 100 MB before compression; pages of 8 Ki rows with a
//! page index let a reader of a time range skip within the file; bloom filters answer `event_id = …` without reading
//! the column; no dictionary and no statistics for columns where every value differs.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use deltalake::{
    ObjectStore, Path,
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    kernel::Add,
    parquet::{
        arrow::ArrowWriter,
        basic::{Compression, ZstdLevel},
        file::properties::{EnabledStatistics, WriterProperties},
        schema::types::ColumnPath,
    },
};
use keytrail_model::time;
use uuid::Uuid;

use crate::{
    error::{At, LakeError},
    schema::TableSpec,
};

mod partitions;
mod statistics;

use statistics::Statistics;

const ROW_GROUP_ROWS: usize = 64 * 1024;
const PAGE_ROWS: usize = 8 * 1024;
/// Texts where every value differs.
const UNIQUE_TEXTS: [&str; 3] = ["event_id", "raw", "evidence"];
/// Long texts, whose smallest and largest value tell nothing.
const PROSE: [&str; 5] = ["raw", "error_message", "user_agent", "reason", "evidence"];

/// What a file is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Rows of a commit: written fast.
    Fresh,
    /// Compaction of a day that may grow: written small, in order of time.
    Compacted,
    /// Compaction of a settled day: written small, in the settled order.
    Settled,
}

/// What the name of a file in the settled order starts with; the log has no other place for it that every reader keeps.
pub(crate) const SETTLED: &str = "settled-";

/// One Parquet file being written in memory.
pub(crate) struct FileWriter {
    spec: &'static TableSpec,
    partition: Option<String>,
    purpose: Purpose,
    writer: ArrowWriter<Vec<u8>>,
    statistics: Statistics,
}

/// A file that is written but not yet in the store.
pub(crate) struct EncodedFile {
    path: String,
    bytes: Bytes,
    add: Add,
}

impl FileWriter {
    /// Starts a file for batches of this schema (with or without the partition column).
    pub(crate) fn new(
        spec: &'static TableSpec,
        partition: Option<String>,
        schema: &SchemaRef,
        purpose: Purpose,
    ) -> Result<Self, LakeError> {
        let in_file = match spec.partition.and_then(|name| schema.index_of(name).ok()) {
            None => schema.clone(),
            Some(at) => {
                let kept: Vec<usize> = (0..schema.fields().len()).filter(|index| *index != at).collect();
                Arc::new(schema.project(&kept).at(spec.name)?)
            }
        };
        let writer = ArrowWriter::try_new(Vec::new(), in_file, Some(properties(spec, purpose)?)).at(spec.name)?;
        Ok(Self { spec, partition, purpose, writer, statistics: Statistics::new(spec) })
    }

    /// Adds rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        self.statistics.observe(batch)?;
        let mut batch = batch.clone();
        if let Some(at) = self.spec.partition.and_then(|name| batch.schema().index_of(name).ok()) {
            batch.remove_column(at);
        }
        self.writer.write(&batch).at(self.spec.name)
    }

    /// How many rows it has.
    pub(crate) fn rows(&self) -> usize {
        self.statistics.rows()
    }

    /// About how many bytes it will have.
    pub(crate) fn size_bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    /// Closes the file.
    pub(crate) fn finish(self, data_change: bool) -> Result<EncodedFile, LakeError> {
        let bytes = Bytes::from(self.writer.into_inner().at(self.spec.name)?);
        let prefix = if self.purpose == Purpose::Settled { SETTLED } else { "part-" };
        let name = format!("{prefix}{}.zstd.parquet", Uuid::new_v4());
        let (path, partition_values) = match (self.spec.partition, self.partition) {
            (Some(column), Some(value)) => {
                (format!("{column}={value}/{name}"), HashMap::from([(column.to_owned(), Some(value))]))
            }
            _ => (name, HashMap::new()),
        };
        let add = Add {
            path: path.clone(),
            partition_values,
            size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            modification_time: time::now() / 1_000,
            data_change,
            stats: Some(self.statistics.to_json()),
            ..Add::default()
        };
        Ok(EncodedFile { path, bytes, add })
    }
}

impl EncodedFile {
    /// Puts the file into the store; only the commit makes it part of the table.
    pub(crate) async fn store(self, store: &dyn ObjectStore) -> Result<Add, LakeError> {
        let path = Path::from(self.path.as_str());
        store.put_opts(&path, self.bytes.into(), Default::default()).await.at(&self.path)?;
        Ok(self.add)
    }
}

fn properties(spec: &TableSpec, purpose: Purpose) -> Result<WriterProperties, LakeError> {
    let level = match purpose {
        Purpose::Fresh => 1,
        Purpose::Compacted | Purpose::Settled => 3,
    };
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("keytrail {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(level).at(spec.name)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Page);
    let has = |name: &str| spec.columns.iter().any(|column| column.name == name);
    for name in UNIQUE_TEXTS.into_iter().filter(|name| has(name)) {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(name), false);
    }
    for name in PROSE.into_iter().filter(|name| has(name)) {
        properties = properties.set_column_statistics_enabled(ColumnPath::from(name), EnabledStatistics::None);
    }
    for name in spec.bloom {
        properties = properties
            .set_column_bloom_filter_enabled(ColumnPath::from(*name), true)
            .set_column_bloom_filter_fpp(ColumnPath::from(*name), 0.01)
            .set_column_bloom_filter_max_ndv(ColumnPath::from(*name), ROW_GROUP_ROWS as u64);
    }
    Ok(properties.build())
}
